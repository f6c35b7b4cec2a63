//! The registers of a thread, in short: of which machine, where it was, where its stack was.

use serde::Serialize;

use crate::base::Address;
use crate::object::v1;
use crate::object::v1::core_entry::March;

/// The registers of a thread, in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Registers {
    /// The machine's architecture: `x86_64`, `aarch64`...
    pub arch: &'static str,
    /// Whether it is a 32-bit task on a 64-bit machine.
    pub compat: bool,
    /// The program counter.
    pub pc: Address,
    /// The stack pointer; `None` where CRIU's message does not name it.
    pub sp: Option<Address>,
    /// Where the kernel clears the number of an ended thread.
    pub clear_tid: Address,
}

impl Registers {
    pub(crate) fn new(core: &v1::CoreEntry) -> Option<Self> {
        let arch = arch(core.mtype());
        let short = |pc: u64, sp: Option<u64>, clear_tid: u64| Self {
            arch,
            compat: false,
            pc: Address(pc),
            sp: sp.map(Address),
            clear_tid: Address(clear_tid),
        };
        match core.mtype() {
            March::Unknown => None,
            March::X8664 => core.thread_info.as_ref().map(|info| Self {
                compat: info.gpregs.mode() == v1::UserX86RegsMode::Compat,
                ..short(info.gpregs.ip, Some(info.gpregs.sp), info.clear_tid_addr)
            }),
            March::Arm => core
                .ti_arm
                .as_ref()
                .map(|info| short(u64::from(info.gpregs.pc), Some(u64::from(info.gpregs.sp)), info.clear_tid_addr)),
            March::Aarch64 => {
                core.ti_aarch64.as_ref().map(|info| short(info.gpregs.pc, Some(info.gpregs.sp), info.clear_tid_addr))
            }
            March::Ppc64 => core
                .ti_ppc64
                .as_ref()
                .map(|info| short(info.gpregs.nip, info.gpregs.gpr.get(1).copied(), info.clear_tid_addr)),
            March::S390 => core
                .ti_s390
                .as_ref()
                .map(|info| short(info.gpregs.psw_addr, info.gpregs.gprs.get(15).copied(), info.clear_tid_addr)),
            March::Mips => {
                core.ti_mips.as_ref().map(|info| short(info.gpregs.cp0_epc, Some(info.gpregs.r29), info.clear_tid_addr))
            }
            March::Loongarch64 => core
                .ti_loongarch64
                .as_ref()
                .map(|info| short(info.gpregs.pc, info.gpregs.regs.get(3).copied(), info.clear_tid_addr)),
            March::Riscv64 => {
                core.ti_riscv64.as_ref().map(|info| short(info.gpregs.pc, Some(info.gpregs.sp), info.clear_tid_addr))
            }
        }
    }
}

pub(super) fn arch(march: March) -> &'static str {
    match march {
        March::Unknown => "unknown",
        March::X8664 => "x86_64",
        March::Arm => "arm",
        March::Aarch64 => "aarch64",
        March::Ppc64 => "ppc64",
        March::S390 => "s390",
        March::Mips => "mips",
        March::Loongarch64 => "loongarch64",
        March::Riscv64 => "riscv64",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_of_32_bits() {
        let core = |mode: v1::UserX86RegsMode| {
            let gpregs = v1::UserX86RegsEntry { ip: 0x0804_8000, mode: Some(mode.into()), ..Default::default() };
            let info = v1::ThreadInfoX86 { gpregs, ..Default::default() };
            v1::CoreEntry { mtype: March::X8664.into(), thread_info: Some(info), ..Default::default() }
        };
        let compat = Registers::new(&core(v1::UserX86RegsMode::Compat)).unwrap();
        assert_eq!((compat.arch, compat.compat, compat.pc.0), ("x86_64", true, 0x0804_8000));
        assert!(!Registers::new(&core(v1::UserX86RegsMode::Native)).unwrap().compat);
    }
}
