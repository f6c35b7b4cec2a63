//! Where the pages of a range of addresses are in a chain of checkpoints of version 2.

use std::iter::Peekable;

use crate::object::upgrade::pagemap::Runs;
use crate::wire::v2::PageRun;
use crate::wire::v2::array::{BY_ADDRESS, NOWHERE, ZERO};

/// Where a page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Where {
    /// Page of the store of an ancestor, counted from the child of the chain's first.
    Stored { ancestor: u32, page: u64 },
    /// Nowhere: it is zero.
    Zero,
    /// Nothing is known.
    Unknown,
}

impl Where {
    /// Where a page further on is, of those that lie behind each other.
    pub(super) fn further(self, pages: u64) -> Self {
        match self {
            Self::Stored { ancestor, page } => Self::Stored { ancestor, page: page.saturating_add(pages) },
            other => other,
        }
    }
}

/// The runs of one pagemap in all checkpoints of a chain, followed together. Addresses must ascend from call to call.
pub(super) struct Places<'a> {
    levels: Vec<Peekable<Good<'a>>>,
    page_size: u64,
}

/// Runs up to the first error: behind it nothing is known.
struct Good<'a>(Runs<'a>);

impl Iterator for Good<'_> {
    type Item = PageRun;

    fn next(&mut self) -> Option<PageRun> {
        self.0.next()?.ok()
    }
}

impl<'a> Places<'a> {
    pub(super) fn new(levels: Vec<Runs<'a>>, page_size: u64) -> Self {
        Self { levels: levels.into_iter().map(|runs| Good(runs).peekable()).collect(), page_size }
    }

    /// Where pages are: how many lie behind each other, and where the first of those is; together all that are asked
    /// for.
    pub(super) fn of(&mut self, vaddr: u64, pages: u64) -> Vec<(u64, Where)> {
        let mut found: Vec<(u64, Where)> = Vec::new();
        let (mut vaddr, mut left) = (vaddr, pages);
        while left > 0 {
            let (some, place) = self.at(0, vaddr, left);
            match found.last_mut() {
                Some((length, before)) if before.further(*length) == place => *length = length.saturating_add(some),
                _ => found.push((some, place)),
            }
            left = left.saturating_sub(some);
            vaddr = vaddr.wrapping_add(some.saturating_mul(self.page_size));
        }
        found
    }

    /// Where the page at an address is, and how many of `most` lie behind each other from there.
    fn at(&mut self, level: usize, vaddr: u64, most: u64) -> (u64, Where) {
        let page_size = self.page_size.max(1);
        let Some(runs) = self.levels.get_mut(level) else { return (most, Where::Unknown) };
        let end = |run: &PageRun| run.vaddr().saturating_add(run.pages().saturating_mul(page_size));
        while runs.next_if(|run| end(run) <= vaddr).is_some() {}
        let Some(run) = runs.peek().copied() else { return (most, Where::Unknown) };
        if run.vaddr() > vaddr {
            let gap = run.vaddr().saturating_sub(vaddr).div_ceil(page_size);
            return (most.min(gap.max(1)), Where::Unknown);
        }
        let behind = vaddr.saturating_sub(run.vaddr()) / page_size;
        let most = most.min(run.pages().saturating_sub(behind)).max(1);
        let flags = run.flags();
        if flags & ZERO != 0 {
            return (most, Where::Zero);
        }
        if flags & BY_ADDRESS != 0 {
            return self.at(level.saturating_add(1), vaddr, most);
        }
        let ancestor = u32::try_from(level).ok().and_then(|level| level.checked_add(1)?.checked_add(run.ancestor()));
        match ancestor.filter(|ancestor| *ancestor <= MOST && run.page() != NOWHERE) {
            Some(ancestor) => (most, Where::Stored { ancestor, page: run.page().saturating_add(behind) }),
            None => (most, Where::Unknown),
        }
    }
}

/// Ancestors that a run can name.
const MOST: u32 = 0xff;
