//! Memory: which pages a process or segment has in the dump, and where their content is.

pub mod blocks;
pub mod pagemap;

pub use blocks::Blocks;
pub use pagemap::{Pagemap, PagemapEntry};

/// The low 32 bits: what protobuf makes of a longer number in such a field.
#[inline]
fn low(value: u64) -> u32 {
    (value & 0xffff_ffff) as u32
}
