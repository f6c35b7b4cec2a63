//! Iterating over pages: spans with their content, blocks taken apart, neighbours joined.

use std::ops::Range;

use crate::base::Error;
use crate::memory::compressed::Block;
use crate::memory::level::Level;
use crate::memory::missing::Missing;
use crate::memory::pages::Pages;
use crate::memory::run::{Content, Data, Packed, Run, Stored};
use crate::memory::span::{Joined, Origin, Span};
use crate::memory::store::Store;
use crate::memory::v2::Stretch;
use crate::wire::v2::Codec;

/// The runs of a range of addresses. Made by [`Pages::runs`].
pub struct Runs<'a> {
    pages: &'a Pages,
    spans: Joined<'a>,
    /// The entry in blocks that is being taken apart.
    blocks: Option<Blocks<'a>>,
    /// The pages by number that are being taken apart, and the block that had the last.
    stretch: Option<Stretch<'a>>,
    hint: usize,
    /// What is left of a span whose beginning was handed out.
    rest: Option<Span>,
    next: Option<Run<'a>>,
}

struct Blocks<'a> {
    store: &'a Store,
    level: usize,
    /// Address of the entry's first page, and the range that is asked for.
    base: u64,
    range: Range<u64>,
    iter: Box<dyn Iterator<Item = Block> + Send + 'a>,
}

impl<'a> Runs<'a> {
    pub(crate) fn new(pages: &'a Pages, range: Range<u64>) -> Self {
        Self { pages, spans: pages.spans(range), blocks: None, stretch: None, hint: 0, rest: None, next: None }
    }

    /// The next run, which may go on in the one after it.
    fn step(&mut self) -> Option<Run<'a>> {
        loop {
            if let Some(blocks) = &mut self.blocks {
                if let Some(run) = blocks.next() {
                    return Some(run);
                }
                self.blocks = None;
            }
            if let Some(stretch) = &mut self.stretch {
                let run = stretch.next();
                self.hint = stretch.hint;
                if run.is_some() {
                    return run;
                }
                self.stretch = None;
            }
            let span = self.rest.take().or_else(|| self.spans.next())?;
            match span.origin {
                Origin::Plain { level, offset } => return Some(self.plain(span, level, offset)),
                Origin::Blocks { level, index, offset, at } => {
                    let Level::V1(store) = self.pages.levels.get(level)? else { return None };
                    let iter = Box::new(store.blocks_from(index, offset, at)?);
                    let base = span.start.saturating_sub(at);
                    self.blocks = Some(Blocks { store, level, base, range: span.start..span.end, iter });
                }
                Origin::Zero => return Some(Run { start: span.start, end: span.end, content: Content::Zero }),
                Origin::Placed { level, page } if let Some(blocks) = self.pages.blocks(level) => {
                    let (rest, page_size) = (span.start..span.end, self.pages.page_size());
                    self.stretch = Some(Stretch::new(blocks, level, rest, page, page_size, self.hint));
                }
                _ => {
                    let content = Content::Missing(self.pages.missing(span.origin));
                    return Some(Run { start: span.start, end: span.end, content });
                }
            }
        }
    }

    /// Pages that are stored as they are; where the file is cut short, those that are there.
    fn plain(&mut self, span: Span, level: usize, offset: u64) -> Run<'a> {
        let Some(Level::V1(store)) = self.pages.levels.get(level) else {
            return Run { start: span.start, end: span.end, content: Content::Missing(Missing::Unknown) };
        };
        let length = span.end.saturating_sub(span.start);
        match slice(store, offset, length) {
            Ok(bytes) => Run { start: span.start, end: span.end, content: stored(store, level, offset, bytes) },
            Err(error) => {
                let there = store.pages().map_or(0, |pages| (pages.len() as u64).saturating_sub(offset));
                // whole pages, wherever in one the span begins
                let last = span.start.saturating_add(there) & !(store.page_size().wrapping_sub(1));
                let there = last.saturating_sub(span.start);
                match slice(store, offset, there) {
                    Ok(bytes) if !bytes.is_empty() => {
                        let end = span.start.saturating_add(there);
                        let origin = Origin::Plain { level, offset: offset.saturating_add(there) };
                        self.rest = Some(Span { start: end, end: span.end, origin });
                        Run { start: span.start, end, content: stored(store, level, offset, bytes) }
                    }
                    _ => Run { start: span.start, end: span.end, content: Content::Missing(Missing::Broken(error)) },
                }
            }
        }
    }
}

pub(super) fn stored<'a>(store: &'a Store, level: usize, offset: u64, bytes: &'a [u8]) -> Content<'a> {
    Content::Stored(Stored { level, part: 0, offset, data: Data::Map(bytes), seal: None, file: store.pages_name() })
}

/// A part of the pages file.
pub(super) fn slice(store: &Store, offset: u64, length: u64) -> Result<&[u8], Error> {
    let pages = store.pages().map_err(Clone::clone)?;
    let from = usize::try_from(offset).ok();
    let to = offset.checked_add(length).and_then(|end| usize::try_from(end).ok());
    from.zip(to).and_then(|(from, to)| pages.get(from..to)).ok_or_else(|| {
        let found = (pages.len() as u64).saturating_sub(offset);
        Error::format(format!("expected {length} bytes of pages, found {found} to the end of the file"))
            .at_offset(offset)
            .in_image(store.pages_name())
            .hint("the file is cut short, or the pagemap is wrong")
    })
}

impl<'a> Iterator for Blocks<'a> {
    type Item = Run<'a>;

    fn next(&mut self) -> Option<Run<'a>> {
        let block = self.iter.next()?;
        let first = self.base.saturating_add(block.at);
        let end = first.saturating_add(block.unpacked).min(self.range.end);
        let start = first.max(self.range.start);
        if start >= end {
            return None;
        }
        let content = in_block(self.store, self.level, block, first, start..end);
        Some(Run { start, end, content })
    }
}

/// What a block whose first page is at `first` has at the addresses of `range`, which lie in it.
pub(super) fn in_block(store: &Store, level: usize, block: Block, first: u64, range: Range<u64>) -> Content<'_> {
    let part = |address: u64| usize::try_from(address.saturating_sub(first)).unwrap_or(usize::MAX);
    if block.packed == 0 {
        return Content::Zero;
    }
    match slice(store, block.offset, block.packed) {
        Err(error) => Content::Missing(Missing::Broken(error)),
        Ok(bytes) if block.packed == block.unpacked => {
            let offset = block.offset.saturating_add(range.start.saturating_sub(first));
            stored(store, level, offset, bytes.get(part(range.start)..part(range.end)).unwrap_or_default())
        }
        Ok(bytes) => {
            let length = usize::try_from(block.unpacked).unwrap_or(usize::MAX);
            let part = part(range.start)..part(range.end);
            let data = Data::Block(Box::new(Packed { codec: Codec::Lz4, bytes, length, part }));
            let (offset, file) = (block.offset, store.pages_name());
            Content::Stored(Stored { level, part: 0, offset, data, seal: None, file })
        }
    }
}

/// Makes `run` longer by `next` if that goes on where it ends.
fn join<'a>(run: &mut Run<'a>, next: &Run<'a>, pages: &'a Pages) -> bool {
    if run.end != next.start {
        return false;
    }
    let is_one = match (&mut run.content, &next.content) {
        (Content::Zero, Content::Zero) => true,
        (Content::Stored(this), Content::Stored(other)) => match (&mut this.data, &other.data) {
            (Data::Map(bytes), Data::Map(more)) if (this.level, this.part) == (other.level, other.part) => {
                let length = bytes.len().saturating_add(more.len());
                let is_behind = this.offset.checked_add(bytes.len() as u64) == Some(other.offset);
                let seal = match (this.seal, &other.seal) {
                    (None, None) => Some(None),
                    (Some(seal), Some(other)) => seal.join(other).map(Some),
                    _ => None,
                };
                let all = || {
                    let from = usize::try_from(this.offset).ok()?;
                    let content = pages.levels.get(this.level)?.content(this.part)?;
                    content.get(from..from.checked_add(length)?)
                };
                match seal.filter(|_| is_behind).and_then(|seal| Some((seal, all()?))) {
                    Some((seal, all)) => {
                        (*bytes, this.seal) = (all, seal);
                        true
                    }
                    None => false,
                }
            }
            _ => false,
        },
        _ => false,
    };
    if is_one {
        run.end = next.end;
    }
    is_one
}

impl<'a> Iterator for Runs<'a> {
    type Item = Run<'a>;

    fn next(&mut self) -> Option<Run<'a>> {
        let mut run = match self.next.take() {
            Some(run) => run,
            None => self.step()?,
        };
        while let Some(next) = self.step() {
            if !join(&mut run, &next, self.pages) {
                self.next = Some(next);
                break;
            }
        }
        Some(run)
    }
}
