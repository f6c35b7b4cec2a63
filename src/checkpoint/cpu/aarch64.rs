//! The registers of an ARM processor of 64 bits.

use super::exactly;
use crate::base::Result;
use crate::object::v1;

/// The registers of a thread on aarch64.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Aarch64 {
    /// x0 to x30.
    pub regs: [u64; 31],
    /// The stack pointer.
    pub sp: u64,
    /// The program counter.
    pub pc: u64,
    /// The state of the processor.
    pub pstate: u64,
    /// v0 to v31, the low half of each first.
    pub vregs: [u64; 64],
    /// State of floating point.
    pub fpsr: u32,
    /// Control of floating point.
    pub fpcr: u32,
    /// Where the thread's own variables are (TPIDR_EL0).
    pub tls: u64,
}

impl Aarch64 {
    pub(super) fn new(info: &v1::ThreadInfoAarch64) -> Result<Self> {
        let (general, float) = (&info.gpregs, &info.fpsimd);
        Ok(Self {
            regs: exactly(&general.regs, "ti_aarch64.gpregs.regs")?,
            sp: general.sp,
            pc: general.pc,
            pstate: general.pstate,
            vregs: exactly(&float.vregs, "ti_aarch64.fpsimd.vregs")?,
            fpsr: float.fpsr,
            fpcr: float.fpcr,
            tls: info.tls,
        })
    }
}
