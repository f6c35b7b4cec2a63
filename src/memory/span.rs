//! Which dump of a chain has which pages: the pagemaps of the chain, looked through together in one pass.

use crate::memory::cursor::{Cursor, What};
use crate::memory::store::Store;

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
}

/// The spans of a range of addresses, ascending. Pages of which no pagemap speaks are in none.
pub(crate) struct Spans<'a> {
    stores: &'a [Store],
    cursors: Vec<Cursor<'a>>,
    at: u64,
    end: u64,
}

impl<'a> Spans<'a> {
    pub(crate) fn new(stores: &'a [Store], start: u64, end: u64) -> Self {
        Self { stores, cursors: Vec::new(), at: start, end }
    }

    /// The cursor of a level. Most ranges never ask for parents, so they are made when they are used.
    fn cursor(&mut self, level: usize) -> Option<&mut Cursor<'a>> {
        while self.cursors.len() <= level {
            self.cursors.push(Cursor::new(self.stores.get(self.cursors.len())?));
        }
        self.cursors.get_mut(level)
    }

    /// Whether the pagemap of a level is broken behind its last sound entry.
    fn is_broken(&self, level: usize) -> bool {
        self.stores.get(level).is_some_and(|store| store.fault.is_some())
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
            let Some(item) = self.cursor(0)?.seek(at) else {
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
                    What::Parent => {}
                }
                level = level.saturating_add(1);
                let Some(cursor) = self.cursor(level) else { return self.span(start, end, Origin::NoParent) };
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
    fn goes_on_in(&self, next: &Span) -> bool {
        let length = self.end.saturating_sub(self.start);
        self.end == next.start
            && match (self.origin, next.origin) {
                (Origin::Plain { level, offset }, Origin::Plain { level: other, offset: behind }) => {
                    level == other && offset.checked_add(length) == Some(behind)
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
        for next in self.spans.by_ref() {
            if !span.goes_on_in(&next) {
                self.next = Some(next);
                break;
            }
            span.end = next.end;
        }
        Some(span)
    }
}
