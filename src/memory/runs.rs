//! Iterating over pages: spans with their content, blocks taken apart, neighbours joined.

use std::ops::Range;

use crate::base::Error;
use crate::memory::compressed::Block;
use crate::memory::missing::Missing;
use crate::memory::pages::Pages;
use crate::memory::run::{Content, Data, Run, Stored};
use crate::memory::span::{Joined, Origin, Span};
use crate::memory::store::Store;

/// The runs of a range of addresses. Made by [`Pages::runs`].
pub struct Runs<'a> {
    pages: &'a Pages,
    spans: Joined<'a>,
    /// The entry in blocks that is being taken apart.
    blocks: Option<Blocks<'a>>,
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
        Self { pages, spans: pages.spans(range), blocks: None, rest: None, next: None }
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
            let span = self.rest.take().or_else(|| self.spans.next())?;
            match span.origin {
                Origin::Plain { level, offset } => return Some(self.plain(span, level, offset)),
                Origin::Blocks { level, index, offset, at } => {
                    let store = self.pages.stores.get(level)?;
                    let iter = Box::new(store.blocks_from(index, offset, at)?);
                    let base = span.start.saturating_sub(at);
                    self.blocks = Some(Blocks { store, level, base, range: span.start..span.end, iter });
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
        let Some(store) = self.pages.stores.get(level) else {
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

fn stored<'a>(store: &'a Store, level: usize, offset: u64, bytes: &'a [u8]) -> Content<'a> {
    Content::Stored(Stored { level, offset, data: Data::Map(bytes), file: store.pages_name() })
}

/// A part of the pages file.
fn slice(store: &Store, offset: u64, length: u64) -> Result<&[u8], Error> {
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
        let (store, level) = (self.store, self.level);
        let part = |address: u64| usize::try_from(address.saturating_sub(first)).unwrap_or(usize::MAX);
        let content = if block.packed == 0 {
            Content::Zero
        } else {
            match slice(store, block.offset, block.packed) {
                Err(error) => Content::Missing(Missing::Broken(error)),
                Ok(bytes) if block.packed == block.unpacked => {
                    let offset = block.offset.saturating_add(start.saturating_sub(first));
                    stored(store, level, offset, bytes.get(part(start)..part(end)).unwrap_or_default())
                }
                Ok(bytes) => {
                    let length = usize::try_from(block.unpacked).unwrap_or(usize::MAX);
                    let data = Data::Block(bytes, length, part(start)..part(end));
                    Content::Stored(Stored { level, offset: block.offset, data, file: store.pages_name() })
                }
            }
        };
        Some(Run { start, end, content })
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
            (Data::Map(bytes), Data::Map(more)) if this.level == other.level => {
                let length = bytes.len().saturating_add(more.len());
                let is_behind = this.offset.checked_add(bytes.len() as u64) == Some(other.offset);
                match pages.stores.get(this.level) {
                    Some(store) if is_behind => match slice(store, this.offset, length as u64) {
                        Ok(all) => {
                            *bytes = all;
                            true
                        }
                        Err(_) => false,
                    },
                    _ => false,
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
