//! Which dump of a chain has which pages: the pagemaps of the chain, looked through together in one pass.

use crate::memory::cursor::What;
use crate::memory::level::{Level, Walker};

/// Consecutive pages of one origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// First address, and the address behind the last.
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) origin: Origin,
}

/// Where pages come from; `level` counts the links to parents that lead there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// In the pages file, at this offset.
    Plain { level: usize, offset: u64 },
    /// In blocks of the entry `index`, whose payload begins at `offset`, from `at` bytes behind its first page.
    Blocks { level: usize, index: usize, offset: u64, at: u64 },
    /// Nowhere: left to a server of pages.
    Lazy,
    /// Nowhere: they should be in a parent, and the one at `level` does not have them.
    Absent { level: usize },
    /// Nowhere: they should be in a parent that is not there.
    NoParent,
    /// Unknown: the pagemap is broken before them.
    Broken { level: usize },
    /// Nowhere: zeros.
    Zero,
    /// Among the pages of a dump of version 2, from this one on.
    Placed { level: usize, page: u64 },
    /// Unknown: a run is broken, or its batch.
    Bad { level: usize, batch: usize, run: usize },
}

/// The spans of a range of addresses, ascending. Pages of which no pagemap speaks are in none.
pub(crate) struct Spans<'a> {
    levels: &'a [Level],
    walkers: Vec<Walker<'a>>,
    at: u64,
    end: u64,
    page_size: u64,
}

impl<'a> Spans<'a> {
    pub(crate) fn new(levels: &'a [Level], start: u64, end: u64, page_size: u64) -> Self {
        Self { levels, walkers: Vec::new(), at: start, end, page_size: page_size.max(1) }
    }

    /// The walker of a level. Most ranges never ask for parents, so they are made when they are used.
    fn walker(&mut self, level: usize) -> Option<&mut Walker<'a>> {
        while self.walkers.len() <= level {
            self.walkers.push(Walker::new(self.levels.get(self.walkers.len())?));
        }
        self.walkers.get_mut(level)
    }

    /// Whether the pagemap of a level is broken behind its last sound entry.
    fn is_broken(&self, level: usize) -> bool {
        self.levels.get(level).is_some_and(|level| level.fault().is_some())
    }

    fn span(&mut self, start: u64, end: u64, origin: Origin) -> Option<Span> {
        self.at = end;
        Some(Span { start, end, origin })
    }
}

impl Iterator for Spans<'_> {
    type Item = Span;

    fn next(&mut self) -> Option<Span> {
        'entry: while self.at < self.end {
            let at = self.at;
            let Some(item) = self.walker(0)?.seek(at) else {
                return if self.is_broken(0) { self.span(at, self.end, Origin::Broken { level: 0 }) } else { None };
            };
            if item.start >= self.end {
                return None;
            }
            let start = item.start.max(at);
            let mut end = item.end.min(self.end);
            let (mut item, mut level) = (item, 0usize);
            loop {
                let behind = start.saturating_sub(item.start);
                match item.what {
                    What::Plain => {
                        let offset = item.offset.saturating_add(behind);
                        return self.span(start, end, Origin::Plain { level, offset });
                    }
                    What::Blocks(index) => {
                        let origin = Origin::Blocks { level, index, offset: item.offset, at: behind };
                        return self.span(start, end, origin);
                    }
                    What::Lazy => return self.span(start, end, Origin::Lazy),
                    // as if there were no entry
                    What::Hole if level == 0 => {
                        self.at = end;
                        continue 'entry;
                    }
                    What::Hole => return self.span(start, end, Origin::Absent { level }),
                    What::Zero => return self.span(start, end, Origin::Zero),
                    What::Placed { ancestor, page } => {
                        let level = level.saturating_add(ancestor);
                        if level >= self.levels.len() {
                            return self.span(start, end, Origin::NoParent);
                        }
                        let page = page.saturating_add(behind / self.page_size);
                        return self.span(start, end, Origin::Placed { level, page });
                    }
                    What::Bad { batch, run } => return self.span(start, end, Origin::Bad { level, batch, run }),
                    What::Parent(links) => level = level.saturating_add(links),
                }
                let Some(cursor) = self.walker(level) else { return self.span(start, end, Origin::NoParent) };
                match cursor.seek(start) {
                    Some(found) if found.start <= start => {
                        item = found;
                        end = end.min(found.end);
                    }
                    Some(found) => return self.span(start, end.min(found.start), Origin::Absent { level }),
                    None if self.is_broken(level) => return self.span(start, end, Origin::Broken { level }),
                    None => return self.span(start, end, Origin::Absent { level }),
                }
            }
        }
        None
    }
}

impl Span {
    /// Whether `next` goes on where this one ends, from the same place.
    fn goes_on_in(&self, next: &Span, page_size: u64) -> bool {
        let length = self.end.saturating_sub(self.start);
        self.end == next.start
            && match (self.origin, next.origin) {
                (Origin::Plain { level, offset }, Origin::Plain { level: other, offset: behind }) => {
                    level == other && offset.checked_add(length) == Some(behind)
                }
                (Origin::Placed { level, page }, Origin::Placed { level: other, page: behind }) => {
                    // a span may begin within a page
                    let pages = (next.start / page_size).saturating_sub(self.start / page_size);
                    level == other && page.checked_add(pages) == Some(behind)
                }
                (Origin::Blocks { .. }, _) => false,
                (this, other) => this == other,
            }
    }
}

/// Spans, those that go on in the next one joined to one. CRIU cuts what it writes into entries of 256 pages or so.
pub(crate) struct Joined<'a> {
    spans: Spans<'a>,
    next: Option<Span>,
}

impl<'a> Joined<'a> {
    pub(crate) fn new(spans: Spans<'a>) -> Self {
        Self { spans, next: None }
    }
}

impl Iterator for Joined<'_> {
    type Item = Span;

    #[inline]
    fn next(&mut self) -> Option<Span> {
        let mut span = self.next.take().or_else(|| self.spans.next())?;
        let page_size = self.spans.page_size;
        for next in self.spans.by_ref() {
            if !span.goes_on_in(&next, page_size) {
                self.next = Some(next);
                break;
            }
            span.end = next.end;
        }
        Some(span)
    }
}
