//! Pages as they are stored, through a chain of dumps: for who moves them, not for who looks at them. Nothing is joined:
//! a piece lies within one entry of the dump itself, and within one block where there are blocks.

use std::ops::Range;

use crate::memory::compressed::Block;
use crate::memory::level::Level;
use crate::memory::missing::Missing;
use crate::memory::pages::Pages;
use crate::memory::run::{Content, Run};
use crate::memory::runs::{in_block, slice, stored};
use crate::memory::span::{Origin, Span, Spans};
use crate::memory::store::Store;
use crate::memory::v2::Stretch;
use crate::wire::v2::Codec;

/// Consecutive pages of one entry, in one place.
pub(crate) struct Piece<'a> {
    pub(crate) run: Run<'a>,
    /// The block of version 1 that has them.
    pub(crate) block: Option<InBlock>,
}

/// What is known of the block that a piece is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InBlock {
    /// Pages in each block of the entry but its last, which may have fewer.
    pub(crate) per_block: u64,
    /// Whether the piece has all of the block's pages.
    pub(crate) is_whole: bool,
}

/// The pieces of all pages that a pagemap speaks of, ascending.
pub(crate) struct Pieces<'a> {
    pages: &'a Pages,
    spans: Spans<'a>,
    blocks: Option<Blocks<'a>>,
    stretch: Option<Stretch<'a>>,
    hint: usize,
}

struct Blocks<'a> {
    store: &'a Store,
    level: usize,
    /// Address of the entry's first page, and the range that is wanted.
    base: u64,
    range: Range<u64>,
    per_block: u64,
    iter: Box<dyn Iterator<Item = Block> + Send + 'a>,
}

impl Pages {
    /// The pages as they are stored.
    pub(crate) fn pieces(&self) -> Pieces<'_> {
        let spans = Spans::new(&self.levels, 0, u64::MAX, self.page_size());
        Pieces { pages: self, spans, blocks: None, stretch: None, hint: 0 }
    }
}

impl<'a> Pieces<'a> {
    fn span(&mut self, span: Span) -> Option<Piece<'a>> {
        let Span { start, end, origin } = span;
        let content = match origin {
            Origin::Plain { level, offset } => match self.pages.levels.get(level) {
                Some(Level::V1(store)) => match slice(store, offset, end.saturating_sub(start)) {
                    Ok(bytes) => stored(store, level, offset, bytes),
                    Err(error) => Content::Missing(Missing::Broken(error)),
                },
                _ => Content::Missing(Missing::Unknown),
            },
            Origin::Blocks { level, index, offset, at } => {
                let Some(Level::V1(store)) = self.pages.levels.get(level) else { return None };
                let per_block = store.pages_per_block(index);
                let iter = Box::new(store.blocks_from(index, offset, at)?);
                let base = start.saturating_sub(at);
                self.blocks = Some(Blocks { store, level, base, range: start..end, per_block, iter });
                return None;
            }
            Origin::Placed { level, page } if let Some(blocks) = self.pages.blocks(level) => {
                self.stretch = Some(Stretch::new(blocks, level, start..end, page, self.pages.page_size(), self.hint));
                return None;
            }
            Origin::Zero => Content::Zero,
            _ => Content::Missing(self.pages.missing(origin)),
        };
        Some(Piece { run: Run { start, end, content }, block: None })
    }

    /// Pages of version 2. Those that are packed as version 1 does it may stay so.
    fn placed(&self, run: Run<'a>) -> Piece<'a> {
        let block = match &run.content {
            Content::Stored(stored) => stored.packed().filter(|packed| packed.codec == Codec::Lz4).map(|packed| {
                let per_block = (packed.length as u64).checked_div(self.pages.page_size()).unwrap_or(0);
                InBlock { per_block, is_whole: packed.part == (0..packed.length) }
            }),
            _ => None,
        };
        Piece { run, block }
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        loop {
            if let Some(blocks) = &mut self.blocks {
                if let Some(piece) = blocks.next() {
                    return Some(piece);
                }
                self.blocks = None;
            }
            if let Some(stretch) = &mut self.stretch {
                let run = stretch.next();
                self.hint = stretch.hint;
                if let Some(run) = run {
                    return Some(self.placed(run));
                }
                self.stretch = None;
            }
            let span = self.spans.next()?;
            if let Some(piece) = self.span(span) {
                return Some(piece);
            }
        }
    }
}

impl<'a> Iterator for Blocks<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        let block = self.iter.next()?;
        let first = self.base.saturating_add(block.at);
        let behind = first.saturating_add(block.unpacked);
        let (start, end) = (first.max(self.range.start), behind.min(self.range.end));
        if start >= end {
            return None;
        }
        let content = in_block(self.store, self.level, block, first, start..end);
        let is_whole = (start, end) == (first, behind);
        Some(Piece { run: Run { start, end, content }, block: Some(InBlock { per_block: self.per_block, is_whole }) })
    }
}
