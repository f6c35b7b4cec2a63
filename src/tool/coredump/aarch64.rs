//! Notes of aarch64: registers as the kernel's `user_pt_regs` and `user_fpsimd_state` order them.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{Immutable, IntoBytes, Unaligned};

use crate::base::Result;
use crate::checkpoint::cpu::Aarch64;
use crate::tool::coredump::notes::{CORE, LINUX, Notes, kind};

/// 528 bytes.
#[derive(IntoBytes, Immutable, Unaligned)]
#[repr(C)]
struct Fpsimd {
    vregs: [U64; 64],
    fpsr: U32,
    fpcr: U32,
    reserved: [U32; 2],
}

/// 34 registers.
pub(super) fn general(cpu: &Aarch64) -> Vec<u8> {
    let mut bytes = cpu.regs.map(U64::new).as_bytes().to_vec();
    bytes.extend_from_slice([cpu.sp, cpu.pc, cpu.pstate].map(U64::new).as_bytes());
    bytes
}

/// What follows the general registers of a thread.
pub(super) fn others(cpu: &Aarch64, notes: &mut Notes<'_, '_>) -> Result<()> {
    let float = Fpsimd {
        vregs: cpu.vregs.map(U64::new),
        fpsr: U32::new(cpu.fpsr),
        fpcr: U32::new(cpu.fpcr),
        reserved: [U32::new(0); 2],
    };
    notes.note(CORE, kind::FPREGSET, float.as_bytes())?;
    notes.note(LINUX, kind::ARM_TLS, U64::new(cpu.tls).as_bytes())
}
