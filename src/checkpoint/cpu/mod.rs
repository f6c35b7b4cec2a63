//! All registers of a thread, by machine. What a listing shows of them is in [`registers`](super::registers).

pub mod aarch64;
pub mod x86;

pub use aarch64::Aarch64;
pub use x86::X86;

use crate::base::{Error, Result};
use crate::checkpoint::registers::arch;
use crate::checkpoint::task::Task;
use crate::image::Kind;
use crate::object::v1;
use crate::object::v1::core_entry::March;

/// All registers of a thread.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cpu {
    /// Of an x86 processor, of 64 or 32 bits.
    X86(Box<X86>),
    /// Of an ARM processor of 64 bits.
    Aarch64(Box<Aarch64>),
}

impl Task<'_> {
    /// All registers of the thread `tid`, which is one of [`tids`](Self::tids); `None` where its core image has none,
    /// as that of a zombie.
    ///
    /// Errors: the image is missing or broken, or of a machine other than those of [`Cpu`].
    pub fn cpu(&self, tid: u32) -> Result<Option<Cpu>> {
        let image = self.dump.image_of(Kind::Core, u64::from(tid))?;
        let entry = image.get(0)?;
        let core = entry.decode::<v1::CoreEntry>()?;
        let cpu = match (core.mtype(), &core.thread_info, &core.ti_aarch64) {
            (March::X8664, Some(info), _) => X86::new(info).map(|cpu| Some(Cpu::X86(Box::new(cpu)))),
            (March::Aarch64, _, Some(info)) => Aarch64::new(info).map(|cpu| Some(Cpu::Aarch64(Box::new(cpu)))),
            (March::X8664 | March::Aarch64, ..) => Ok(None),
            (other, ..) => {
                let what = format!("expected registers of x86_64 or aarch64, found those of {}", arch(other));
                Err(Error::usage(what))
            }
        };
        cpu.map_err(|error| entry.locate(error, 0))
    }
}

/// Exactly `N` numbers, as the machine has so many registers.
fn exactly<T: Copy, const N: usize>(words: &[T], field: &'static str) -> Result<[T; N]> {
    words
        .try_into()
        .map_err(|_| Error::format(format!("expected {N} words of registers, found {}", words.len())).in_field(field))
}
