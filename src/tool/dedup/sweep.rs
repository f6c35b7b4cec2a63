//! Which pages of ancestors a descendant in the chain stores itself: one pass over all pagemaps of an object together.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use crate::base::{Error, Result};
use crate::memory::{Content, Missing, Pages, Pieces};

/// Bytes of a pages file that nobody in the chain needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spare {
    pub(super) level: usize,
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// Consecutive pages that a dump stores.
#[derive(Clone, Copy, Debug)]
struct Held {
    start: u64,
    end: u64,
    /// Where in the pages file; `None` in blocks, which stay as they are.
    offset: Option<u64>,
}

/// Those of a dump, ascending.
struct Stream<'a> {
    pieces: Pieces<'a>,
    next: Option<Held>,
}

impl Stream<'_> {
    /// Errors: the pagemap is broken, or the pages file is not as long as it says.
    fn next(&mut self) -> Result<Option<Held>> {
        let mut held = self.next.take();
        loop {
            let Some(piece) = self.pieces.next() else { return Ok(held) };
            let (start, end) = (piece.run.start, piece.run.end);
            let offset = match &piece.run.content {
                Content::Stored(stored) if piece.block.is_none() => Some(stored.offset()),
                Content::Stored(_) | Content::Zero => None,
                // nothing of its own
                Content::Missing(Missing::NoParent { .. } | Missing::NotInParent { .. } | Missing::Lazy) => continue,
                Content::Missing(missing) => return Err(missing.fault(start)),
                _ => return Err(Error::format(format!("expected pages at {start:#x}, found others"))),
            };
            let found = Held { start, end, offset };
            match &mut held {
                Some(before) if before.goes_on_in(&found) => before.end = end,
                Some(_) => {
                    self.next = Some(found);
                    return Ok(held);
                }
                None => held = Some(found),
            }
        }
    }
}

impl Held {
    fn goes_on_in(&self, next: &Held) -> bool {
        let length = self.end.saturating_sub(self.start);
        self.end == next.start && self.offset.map(|offset| offset.saturating_add(length)) == next.offset
    }
}

/// A dump at the address that the sweep is at.
struct Active {
    held: Held,
    /// From where on another one hides it.
    since: Option<u64>,
}

/// Gives what is spare, of each level ascending; neighbours in a file are one. The levels are those of one object, the
/// dump itself first; a dump that does not know of the object is `None`.
///
/// Errors: a pagemap is broken, or a pages file too short; what `each` gives.
pub(super) fn sweep(levels: &[Option<Pages>], mut each: impl FnMut(Spare) -> Result<()>) -> Result<()> {
    let mut streams: Vec<Option<Stream<'_>>> =
        levels.iter().map(|pages| pages.as_ref().map(|pages| Stream { pieces: pages.pieces(), next: None })).collect();
    // addresses where something begins or ends; what ends comes first
    let mut events: BinaryHeap<Reverse<(u64, bool, usize)>> = BinaryHeap::new();
    let mut waiting: BTreeMap<usize, Held> = BTreeMap::new();
    let mut active: BTreeMap<usize, Active> = BTreeMap::new();
    let mut spare = Joined { open: vec![None; levels.len()] };
    for level in 0..streams.len() {
        begin(&mut streams, level, &mut events, &mut waiting)?;
    }
    while let Some(Reverse((at, begins, level))) = events.pop() {
        let first = active.keys().next().copied();
        if begins {
            let Some(held) = waiting.remove(&level) else { continue };
            let is_hidden = first.is_some_and(|first| first < level);
            if let (false, Some(first)) = (is_hidden, first)
                && let Some(other) = active.get_mut(&first)
            {
                other.since = Some(at);
            }
            events.push(Reverse((held.end, false, level)));
            active.insert(level, Active { held, since: is_hidden.then_some(at) });
        } else {
            if let Some(gone) = active.remove(&level) {
                gone.spare(level, at).map_or(Ok(()), |found| spare.push(found, &mut each))?;
            }
            let shown = active.keys().next().copied().filter(|_| first == Some(level));
            if let Some(level) = shown
                && let Some(other) = active.get_mut(&level)
            {
                let found = other.spare(level, at);
                other.since = None;
                found.map_or(Ok(()), |found| spare.push(found, &mut each))?;
            }
            begin(&mut streams, level, &mut events, &mut waiting)?;
        }
    }
    spare.open.into_iter().flatten().try_for_each(each)
}

/// What a level has next waits for its address.
fn begin(
    streams: &mut [Option<Stream<'_>>],
    level: usize,
    events: &mut BinaryHeap<Reverse<(u64, bool, usize)>>,
    waiting: &mut BTreeMap<usize, Held>,
) -> Result<()> {
    let Some(Some(stream)) = streams.get_mut(level) else { return Ok(()) };
    if let Some(held) = stream.next()? {
        events.push(Reverse((held.start, true, level)));
        waiting.insert(level, held);
    }
    Ok(())
}

impl Active {
    /// What was hidden up to an address.
    fn spare(&self, level: usize, at: u64) -> Option<Spare> {
        let (since, offset) = (self.since?, self.held.offset?);
        let length = at.checked_sub(since).filter(|length| *length > 0)?;
        Some(Spare { level, offset: offset.saturating_add(since.saturating_sub(self.held.start)), length })
    }
}

/// What is spare of each level and may go on.
struct Joined {
    open: Vec<Option<Spare>>,
}

impl Joined {
    fn push(&mut self, found: Spare, each: &mut impl FnMut(Spare) -> Result<()>) -> Result<()> {
        let Some(open) = self.open.get_mut(found.level) else { return Ok(()) };
        match open {
            Some(before) if before.offset.saturating_add(before.length) == found.offset => {
                before.length = before.length.saturating_add(found.length);
                Ok(())
            }
            _ => open.replace(found).map_or(Ok(()), each),
        }
    }
}
