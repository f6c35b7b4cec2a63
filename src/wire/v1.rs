//! The words of a V1 image: the first word, the magic, the size before each entry. Little endian; what a big-endian
//! machine wrote can be told by its first word.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

/// First word of most images of v1.1 and later.
pub const COMMON: u32 = 0x5456_4319;
/// First word of `stats-*` and `irmap-cache`.
pub const SERVICE: u32 = 0x5510_5940;

/// A word of 32 bits.
#[derive(FromBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, Debug)]
#[repr(C)]
pub struct Word {
    /// Its value.
    pub value: U32,
}

/// The length before the message of a plugin's image.
#[derive(FromBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, Debug)]
#[repr(C)]
pub struct LongWord {
    /// Its value.
    pub value: U64,
}

/// The word at `at`, if the slice has one there.
#[inline]
pub fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let (word, _) = Word::ref_from_prefix(bytes.get(at..)?).ok()?;
    Some(word.value.get())
}

/// The word of 64 bits at `at`, if the slice has one there.
#[inline]
pub fn long_word(bytes: &[u8], at: usize) -> Option<u64> {
    let (word, _) = LongWord::ref_from_prefix(bytes.get(at..)?).ok()?;
    Some(word.value.get())
}

/// `length` rounded up to a multiple of `to`, a power of two; `None` beyond 64 bits.
#[inline]
pub fn padded(length: u64, to: u64) -> Option<u64> {
    let mask = to.checked_sub(1)?;
    Some(length.checked_add(mask)? & !mask)
}
