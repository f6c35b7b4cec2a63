//! What vouches for bytes of a block: the checksums of the units that they are in.

use std::fmt;

use crate::base::Result;
use crate::memory::v2::block::Block;
use crate::memory::v2::blocks::PageBlocks;
use crate::wire::v2::Codec;

/// The units that bytes are in, to be compared with their checksums before the bytes are used.
#[derive(Clone, Copy)]
pub(crate) struct Seal<'a> {
    pub(super) blocks: &'a PageBlocks,
    pub(super) block: &'a Block,
    /// The first, and the one behind the last.
    pub(super) units: (u64, u64),
}

impl Seal<'_> {
    /// Compares those that were not yet.
    ///
    /// Errors: a checksum is another.
    #[inline]
    pub(crate) fn check(&self) -> Result<()> {
        self.blocks.check(self.block, self.units)
    }

    /// From an offset of the file on, how far the bytes are all right, at most up to `to`; or how far they are not, and
    /// why.
    pub(crate) fn sound(&self, from: u64, to: u64) -> (u64, Result<()>) {
        let Some(unit) = self.unit() else { return (to, self.check()) };
        let number = |offset: u64| offset.saturating_sub(self.block.data) / unit;
        let behind = |number: u64| self.block.data.saturating_add(number.saturating_mul(unit));
        let first = number(from);
        for number in first..number(to.saturating_sub(1)).saturating_add(1) {
            match self.blocks.check(self.block, (number, number.saturating_add(1))) {
                Ok(()) => {}
                Err(error) if number == first => return (behind(number.saturating_add(1)).min(to), Err(error)),
                Err(_) => return (behind(number), Ok(())),
            }
        }
        (to, Ok(()))
    }

    /// Bytes of a unit, where pages are as they are.
    fn unit(&self) -> Option<u64> {
        let page = self.block.length.checked_div(self.block.pages)?;
        let unit = page.checked_mul(self.block.unit).filter(|unit| *unit > 0);
        unit.filter(|_| self.block.codec == Codec::Raw)
    }

    /// The seal of a part: `length` bytes of the file at `offset`.
    pub(crate) fn part(self, offset: u64, length: u64) -> Self {
        let Some(unit) = self.unit() else { return self };
        let from = offset.saturating_sub(self.block.data);
        let last = from.saturating_add(length).div_ceil(unit);
        Self { units: (from / unit, last), ..self }
    }

    /// The seal of this and of what goes on behind it; `None` if that is in another block.
    pub(crate) fn join(self, next: &Seal<'_>) -> Option<Self> {
        let units = (self.units.0.min(next.units.0), self.units.1.max(next.units.1));
        std::ptr::eq(self.block, next.block).then_some(Self { units, ..self })
    }
}

impl fmt::Debug for Seal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seal").field("first", &self.block.first).field("units", &self.units).finish_non_exhaustive()
    }
}
