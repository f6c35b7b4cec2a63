//! Notes of x86-64: registers as the kernel's `user_regs_struct` orders them.

use zerocopy::IntoBytes;
use zerocopy::little_endian::U64;

use crate::base::Result;
use crate::checkpoint::cpu::X86;
use crate::tool::coredump::notes::{CORE, LINUX, Notes, kind};
use crate::tool::coredump::xsave;

/// 27 registers.
pub(super) fn general(cpu: &X86) -> Vec<u8> {
    let r = &cpu.general;
    [
        r.r15, r.r14, r.r13, r.r12, r.bp, r.bx, r.r11, r.r10, r.r9, r.r8, r.ax, r.cx, r.dx, r.si, r.di, r.orig_ax,
        r.ip, r.cs, r.flags, r.sp, r.ss, r.fs_base, r.gs_base, r.ds, r.es, r.fs, r.gs,
    ]
    .map(U64::new)
    .as_bytes()
    .to_vec()
}

/// What follows the general registers of a thread.
pub(super) fn others(cpu: &X86, notes: &mut Notes<'_, '_>) -> Result<()> {
    notes.note(CORE, kind::FPREGSET, &xsave::fxsave(&cpu.float))?;
    match xsave::xsave(cpu) {
        Some(area) => notes.note(LINUX, kind::X86_XSTATE, &area),
        None => Ok(()),
    }
}
