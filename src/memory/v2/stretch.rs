//! Pages that are known by their numbers, taken apart into what blocks have of them.

use std::ops::Range;

use crate::memory::missing::Missing;
use crate::memory::run::{Content, Data, Packed, Run, Stored};
use crate::memory::v2::blocks::{PageBlocks, What};

/// Consecutive pages of one dump at consecutive addresses.
pub(crate) struct Stretch<'a> {
    blocks: &'a PageBlocks,
    /// Number of the dump in the chain.
    level: usize,
    /// What is left: addresses, and the number of the first page.
    rest: Range<u64>,
    page: u64,
    page_size: u64,
    /// The block that was found last.
    pub(crate) hint: usize,
}

impl<'a> Stretch<'a> {
    pub(crate) fn new(
        blocks: &'a PageBlocks,
        level: usize,
        rest: Range<u64>,
        page: u64,
        page_size: u64,
        hint: usize,
    ) -> Self {
        Self { blocks, level, rest, page, page_size: page_size.max(1), hint }
    }
}

impl<'a> Iterator for Stretch<'a> {
    type Item = Run<'a>;

    fn next(&mut self) -> Option<Run<'a>> {
        let Range { start, end } = self.rest;
        if start >= end {
            return None;
        }
        // a range of addresses may begin or end within a page
        let within = start & self.page_size.wrapping_sub(1);
        let whole = end.saturating_sub(start).saturating_add(within);
        let most = whole.div_ceil(self.page_size);
        let found = self.blocks.locate(self.page, most, self.page_size, &mut self.hint);
        let pages = match &found {
            Ok(found) => found.pages,
            Err((_, pages)) => *pages,
        }
        .clamp(1, most);
        let to = start.saturating_sub(within).saturating_add(pages.saturating_mul(self.page_size)).min(end);
        self.rest.start = to;
        self.page = self.page.saturating_add(pages);
        let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let part = number(within)..number(within.saturating_add(to.saturating_sub(start)));
        let content = match found {
            Err((error, _)) => Content::Missing(Missing::Broken(error)),
            Ok(found) => {
                let file = self.blocks.bundle().part_name(found.part);
                let (level, part_number) = (self.level, found.part);
                let stored = |offset, data, seal| {
                    Content::Stored(Stored { level, part: part_number, offset, data, seal: Some(seal), file })
                };
                match found.what {
                    What::Zero => Content::Zero,
                    What::Plain { offset, bytes, seal } => {
                        let offset = offset.saturating_add(within);
                        let bytes = bytes.get(part).unwrap_or_default();
                        stored(offset, Data::Map(bytes), seal.part(offset, bytes.len() as u64))
                    }
                    What::Packed { codec, offset, bytes, length, skip, seal } => {
                        let part = skip.saturating_add(part.start)..skip.saturating_add(part.end);
                        stored(offset, Data::Block(Box::new(Packed { codec, bytes, length, part })), seal)
                    }
                }
            }
        };
        Some(Run { start, end: to, content })
    }
}
