//! What is searched of an address space: its runs that have bytes and pass the filter.

use std::collections::VecDeque;
use std::ops::Range;

use super::filter::Filter;
use super::gaps::Gaps;
use crate::checkpoint::AddressSpace;
use crate::checkpoint::space::SpaceRuns;
use crate::memory::{Content, Run, Stored};

/// Consecutive addresses that are searched. Pieces whose addresses touch are searched as one.
#[derive(Clone)]
pub(super) struct Piece<'a> {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) what: What<'a>,
}

#[derive(Clone)]
pub(super) enum What<'a> {
    /// Bytes that are in the map as they are.
    Map(Stored<'a>),
    /// A part of a compressed block.
    Block(Stored<'a>),
    /// Zeros that no file has.
    Zero,
}

/// The pieces of a process, ascending. Of zeros that the dump does not store only what is next to stored bytes is one:
/// what it takes does not grow with memory that nobody touched.
pub(super) struct Pieces<'a> {
    space: &'a AddressSpace,
    filter: &'a Filter,
    /// Mappings that are passed over, by where they start, ascending.
    passed: Vec<u64>,
    ranges: std::vec::IntoIter<Range<u64>>,
    runs: Option<SpaceRuns<'a>>,
    ready: VecDeque<Piece<'a>>,
    /// So many zeros beside stored bytes count.
    keep: u64,
    /// Where the last stored bytes end.
    stored: Option<u64>,
    /// Zeros of which it is not known yet what follows.
    zeros: Option<Range<u64>>,
    /// The mapping asked about last, and whether it is searched.
    verdict: (Range<u64>, bool),
    pub(super) gaps: Gaps,
}

impl<'a> Pieces<'a> {
    pub(super) fn new(space: &'a AddressSpace, filter: &'a Filter, passed: Vec<u64>, keep: u64) -> Self {
        Self {
            space,
            filter,
            passed,
            ranges: filter.ranges().into_iter(),
            runs: None,
            ready: VecDeque::new(),
            keep,
            stored: None,
            zeros: None,
            verdict: (0..0, false),
            gaps: Gaps::default(),
        }
    }

    fn run(&mut self) -> Option<Run<'a>> {
        loop {
            if let Some(run) = self.runs.as_mut().and_then(Iterator::next) {
                return Some(run);
            }
            self.runs = Some(self.space.runs(self.ranges.next()?));
        }
    }

    /// Whether what is at this address is searched.
    fn admits(&mut self, address: u64) -> bool {
        if !self.filter.is_about_mappings() && self.passed.is_empty() {
            return true;
        }
        if !self.verdict.0.contains(&address) {
            self.verdict = match self.space.mapping_at(address) {
                Some(mapping) => {
                    let is_in = self.filter.admits(mapping) && self.passed.binary_search(&mapping.start.0).is_err();
                    (mapping.start.0..mapping.end.0, is_in)
                }
                None => (address..address.saturating_add(1), !self.filter.is_about_mappings()),
            };
        }
        self.verdict.1
    }

    /// Hands out what counts of the zeros that wait. `next` is where stored bytes follow.
    fn release(&mut self, next: Option<u64>) {
        let Some(zeros) = self.zeros.take() else { return };
        let is_behind = self.stored == Some(zeros.start);
        let is_before = next == Some(zeros.end);
        let mut push = |range: Range<u64>| {
            if !range.is_empty() {
                self.ready.push_back(Piece { start: range.start, end: range.end, what: What::Zero });
            }
        };
        let length = zeros.end.saturating_sub(zeros.start);
        if is_behind && is_before && length <= self.keep.saturating_mul(2) {
            return push(zeros);
        }
        let kept = length.min(self.keep);
        if is_behind {
            push(zeros.start..zeros.start.saturating_add(kept));
        }
        if is_before {
            push(zeros.end.saturating_sub(kept)..zeros.end);
        }
    }

    fn add(&mut self, run: Run<'a>) {
        let Run { start, end, .. } = run;
        match &run.content {
            Content::Zero => match &mut self.zeros {
                Some(zeros) if zeros.end == start => zeros.end = end,
                _ => {
                    self.release(None);
                    self.zeros = Some(start..end);
                }
            },
            Content::Stored(stored) => {
                self.release(Some(start));
                let what = if stored.is_plain() { What::Map } else { What::Block }(stored.clone());
                self.ready.push_back(Piece { start, end, what });
                self.stored = Some(end);
            }
            Content::File { .. } => self.gaps.in_files = self.gaps.in_files.saturating_add(run.len()),
            Content::Missing(missing) => self.gaps.missing(&run, missing),
        }
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Some(piece);
            }
            match self.run() {
                Some(run) if self.admits(run.start) => self.add(run),
                Some(_) => {}
                None => {
                    self.zeros.as_ref()?;
                    self.release(None);
                }
            }
        }
    }
}
