//! Looking for a pattern: in each part on its own, then joined where a match reaches from one part into the next.

use std::ops::ControlFlow;

use super::Search;
use super::drive::{Process, View, Work};
use super::excerpt::{Place, Reader};
use super::grain::Grain;
use super::pattern::Pattern;
use super::window::{Scratch, Shape, windows};
use crate::base::Result;
use crate::base::report::Rows;

/// Addresses: of a match's first byte, and behind its last.
pub(super) type Span = (u64, u64);

/// The matches of a part, as if none before it reached into it.
#[derive(Default)]
pub(super) struct Found {
    /// The first of them.
    first: Vec<Span>,
    /// Whether there may be more.
    is_cut: bool,
    /// How many there are in which mapping, by an address in it, where only that is asked for; those of `first` too.
    counts: Vec<(u64, u64)>,
    /// Where the last ends.
    end: u64,
}

/// Takes matches in ascending order.
pub(super) trait Taker<R>: Sync {
    /// Whether only their number is asked for.
    const COUNTS: bool;

    /// Takes a match.
    fn span(
        &mut self,
        process: &Process<'_>,
        span: Span,
        reader: &mut Reader<'_>,
        out: &mut dyn Rows<R>,
    ) -> Result<ControlFlow<()>>;

    /// Takes the number of matches in the mapping with this address.
    fn count(&mut self, process: &Process<'_>, address: u64, count: u64);

    /// The process has no more.
    fn end(&mut self, process: &Process<'_>, out: &mut dyn Rows<R>) -> Result<ControlFlow<()>>;
}

pub(super) struct Scan<'p, T> {
    pattern: &'p Pattern,
    grain: Grain,
    pub(super) taker: T,
    /// Where the last match that was taken ends.
    end: u64,
}

impl<'p, T> Scan<'p, T> {
    pub(super) fn new(search: &'p Search, taker: T) -> Self {
        Self { pattern: &search.pattern, grain: search.grain, taker, end: 0 }
    }

    /// Every match of a part that begins at `from` or later.
    fn each(&self, view: &View<'_>, from: u64, scratch: &mut Scratch, mut take: impl FnMut(Span) -> ControlFlow<()>) {
        let mut from = from;
        windows(view.pieces, view.part, (self.pattern.shape(), self.grain), scratch, |window| {
            let skip = usize::try_from(from.saturating_sub(window.base)).unwrap_or(usize::MAX);
            let mut at = window.own.start.max(skip);
            while at < window.own.end
                && let Some(found) = self.pattern.find(window.bytes, at)
                && found.start < window.own.end
            {
                let address = |offset: usize| window.base.saturating_add(offset as u64);
                at = found.end;
                from = address(found.end);
                take((address(found.start), from))?;
            }
            ControlFlow::Continue(())
        });
    }

    fn found(&self, view: &View<'_>, from: u64, counts: bool, scratch: &mut Scratch) -> Found {
        let mut found = Found { end: from, ..Found::default() };
        let mut place: Option<Place> = None;
        self.each(view, from, scratch, |span| {
            found.end = span.1;
            if found.first.len() < self.grain.kept.max(1) {
                found.first.push(span);
            } else if !counts {
                found.is_cut = true;
                return ControlFlow::Break(());
            }
            if counts {
                tally(&mut found.counts, &mut place, view.process, span.0);
            }
            ControlFlow::Continue(())
        });
        if found.is_cut {
            found.end = found.first.last().map_or(from, |span| span.1);
        }
        found
    }

    /// What the part has if matches begin at `from` or later: searched anew until a match is one of those found
    /// already, from where on all are the same.
    fn again(&self, view: &View<'_>, from: u64, counts: bool, found: Found, scratch: &mut Scratch) -> Found {
        let mut other = Found::default();
        let mut same = None;
        let mut known = found.first.iter().enumerate().peekable();
        let mut place = None;
        let mut is_full = false;
        self.each(view, from, scratch, |span| {
            while known.next_if(|(_, known)| known.1 < span.1).is_some() {}
            if let Some((position, _)) = known.peek().filter(|(_, known)| known.1 == span.1) {
                same = Some(*position);
            } else if known.peek().is_none() {
                is_full = true;
            }
            if is_full {
                return ControlFlow::Break(());
            }
            other.first.push(span);
            other.end = span.1;
            if counts {
                tally(&mut other.counts, &mut place, view.process, span.0);
            }
            if same.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        match same {
            None if is_full => self.found(view, from, counts, scratch),
            None => Found { end: other.end.max(from), ..other },
            Some(position) => {
                let (old, rest) = found.first.split_at(position.saturating_add(1).min(found.first.len()));
                other.first.extend_from_slice(rest);
                if counts {
                    let mut gone = Vec::new();
                    let mut place = None;
                    old.iter().for_each(|span| tally(&mut gone, &mut place, view.process, span.0));
                    other.counts = adjusted(found.counts, &gone, &other.counts);
                }
                Found { is_cut: found.is_cut, end: found.end, ..other }
            }
        }
    }
}

/// Counts a match in the mapping that it begins in.
fn tally(counts: &mut Vec<(u64, u64)>, place: &mut Option<Place>, process: &Process<'_>, address: u64) {
    if let (Some(place), Some(last)) = (&place, counts.last_mut())
        && place.is_of(process.space, address)
    {
        last.1 = last.1.saturating_add(1);
        return;
    }
    *place = Some(Place::of(process.space, address));
    counts.push((address, 1));
}

/// The counts without those that are gone and with those that came; the takers add up what is of one mapping.
fn adjusted(mut counts: Vec<(u64, u64)>, gone: &[(u64, u64)], came: &[(u64, u64)]) -> Vec<(u64, u64)> {
    // both begin with the part's first match, so they agree on where counts begin
    for (address, number) in gone {
        if let Some(count) = counts.iter_mut().find(|(first, _)| first == address) {
            count.1 = count.1.saturating_sub(*number);
        }
    }
    let mut all = came.to_vec();
    all.extend(counts.into_iter().filter(|(_, number)| *number > 0));
    all
}

impl<R, T: Taker<R>> Work<R> for Scan<'_, T> {
    type Found = Found;

    fn shape(&self) -> Shape {
        self.pattern.shape()
    }

    fn grain(&self) -> Grain {
        self.grain
    }

    fn scan(&self, view: &View<'_>, scratch: &mut Scratch) -> Found {
        self.found(view, view.part.range.start, T::COUNTS, scratch)
    }

    fn take(
        &mut self,
        view: &View<'_>,
        found: Found,
        scratch: &mut Scratch,
        out: &mut dyn Rows<R>,
    ) -> Result<ControlFlow<()>> {
        let is_hit = found.first.first().is_some_and(|first| first.0 < self.end);
        let mut found = if is_hit { self.again(view, self.end, T::COUNTS, found, scratch) } else { found };
        let mut reader = Reader::new(view.process.space);
        loop {
            if T::COUNTS {
                found.counts.iter().for_each(|(address, count)| self.taker.count(view.process, *address, *count));
            } else {
                for span in &found.first {
                    if self.taker.span(view.process, *span, &mut reader, out)?.is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
            }
            self.end = self.end.max(found.end);
            if !found.is_cut {
                return Ok(ControlFlow::Continue(()));
            }
            found = self.found(view, self.end, T::COUNTS, scratch);
        }
    }

    fn end(&mut self, process: &Process<'_>, out: &mut dyn Rows<R>) -> Result<ControlFlow<()>> {
        self.end = 0;
        self.taker.end(process, out)
    }
}
