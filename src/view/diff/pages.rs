//! What differs between the memory of two dumps: page by page, counted by task, mapping and segment.
//!
//! Pages of the tasks that are in both dumps are compared at their addresses. Shared memory is compared once, with the
//! first pair of tasks that maps it, and counted as a segment of its own: a hundred tasks may map the same 100 MiB.
//! Only stored pages and zeros have bytes. A page that a side has no bytes of is never called the same, with one
//! exception that has a count of its own: both map the same place of the same file, and neither has read it.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use crate::base::report::{Cancel, Progress};
use crate::base::{Address, Error, Name, Result};
use crate::checkpoint::mm::Mapping;
use crate::checkpoint::task::Task;
use crate::checkpoint::{AddressSpace, Checkpoint};
use crate::view::diff::counts::Counts;
use crate::view::diff::memory::{MemoryDiff, PageRun, Scope};
use crate::view::diff::of;
use crate::view::diff::origin::Origins;
use crate::view::diff::pairs::{Pairs, comm};
use crate::view::diff::shared::{Plan, Segments, without};
use crate::view::diff::walk::{ChangedRun, Found, Place, Walk};

/// Stored bytes of one piece of work.
const PART: u64 = 4 << 20;

/// So many pieces are done before their results are put together: what waits stays small.
const BATCH: usize = 64;

/// What is made of the results.
pub(super) struct Takers<'t> {
    pub(super) problem: &'t mut dyn FnMut(Error) -> Result<()>,
    pub(super) memory: &'t mut dyn FnMut(MemoryDiff),
    /// Where the runs of changed pages go, if they are wanted.
    pub(super) run: Option<&'t mut dyn FnMut(PageRun) -> Result<()>>,
}

/// Compares the memory of the tasks that are in both dumps; the counts of all.
pub(super) fn pages(
    (a, b): (&Checkpoint, &Checkpoint),
    pairs: &Pairs<'_>,
    (progress, cancel): (&dyn Progress, &Cancel),
    mut takers: Takers<'_>,
) -> Result<Counts> {
    let origins = (Origins::new(a), Origins::new(b));
    let mut all = Counts::default();
    let mut segments = Segments::default();
    let mut of_segments: Vec<(u32, u32, Counts)> = Vec::new();
    // a task has at most this many; of parents more, and then its bar waits at its end
    let bytes = a.stored_bytes();
    let steps = (pairs.both.len() as u64).saturating_mul(STEPS);
    for (number, (task, other)) in pairs.both.iter().enumerate() {
        let spaces = (of(a, task.address_space()), of(b, other.address_space()));
        let (space_a, space_b) = match spaces {
            (Ok(Some(space_a)), Ok(Some(space_b))) => (space_a, space_b),
            (Err(error), Err(another)) => {
                (takers.problem)(error)?;
                (takers.problem)(another)?;
                continue;
            }
            (Err(error), _) | (_, Err(error)) => {
                (takers.problem)(error)?;
                continue;
            }
            // a zombie has none; the tasks tell
            (Ok(None), _) | (_, Ok(None)) => continue,
        };
        if space_a.page_size() != space_b.page_size() {
            let (one, two) = (space_a.page_size(), space_b.page_size());
            let text = format!("expected pages of one size for task {}, found {one} and {two} bytes", task.pid());
            (takers.problem)(Error::format(text))?;
            continue;
        }
        let plan = segments.plan(task.pid(), (a, &space_a), (b, &space_b), Mapping::what);
        of_segments.resize_with(segments.list.len(), || (task.pid(), other.pid(), Counts::default()));
        let walk = Walk {
            a: &space_a,
            b: &space_b,
            origins: (&origins.0, &origins.1),
            runs: takers.run.is_some(),
            at_most: if rayon::current_num_threads() > 1 { u64::MAX } else { PART },
        };
        let pair = Pair { task, other, walk: &walk };
        let begun = (number as u64).saturating_mul(STEPS);
        let advance = |stored: u64| {
            let part = stored.saturating_mul(STEPS).checked_div(bytes).unwrap_or(0).min(STEPS);
            progress.advance(begun.saturating_add(part), steps);
        };
        let counts = pair.compare(&plan, &mut of_segments, (&advance, cancel), &mut takers)?;
        all.add(&counts);
    }
    for (shared, (pid, pid_b, counts)) in segments.list.iter().zip(of_segments) {
        all.add(&counts);
        if counts.is_different() {
            (takers.memory)(MemoryDiff {
                scope: Scope::Segment,
                pid,
                pid_b,
                comm: Name::default(),
                start: None,
                end: None,
                what: Some(shared.what.clone()),
                mapped_by: shared.pids.clone(),
                counts,
            });
        }
    }
    // they are counted with the segments
    all.shared = 0;
    Ok(all)
}

/// Steps of progress that a task counts for.
const STEPS: u64 = 1000;

/// A task that is in both dumps.
struct Pair<'p> {
    task: &'p Task<'p>,
    other: &'p Task<'p>,
    walk: &'p Walk<'p>,
}

/// A piece of work: a range of addresses; if it is shared memory, which of the plan's pieces.
struct Work {
    range: Range<u64>,
    piece: Option<usize>,
}

impl Pair<'_> {
    fn compare(
        &self,
        plan: &Plan,
        of_segments: &mut [(u32, u32, Counts)],
        (advance, cancel): (&(dyn Fn(u64) + Sync), &Cancel),
        takers: &mut Takers<'_>,
    ) -> Result<Counts> {
        let mut work = VecDeque::from(self.work(plan));
        let done = AtomicU64::new(0);
        let mut by_place: BTreeMap<(u64, Place), Counts> = BTreeMap::new();
        let mut runs = Joiner { pair: self, names: BTreeMap::new(), last: None };
        while !work.is_empty() {
            let size = if self.walk.at_most == u64::MAX { BATCH } else { 1 };
            let batch: Vec<Work> = work.drain(..size.min(work.len())).collect();
            let found: Vec<Found> = batch
                .par_iter()
                .map(|work| {
                    if cancel.is_cancelled() {
                        return Found::default();
                    }
                    let found = self.walk.range(work.range.clone());
                    advance(done.fetch_add(found.stored, Ordering::Relaxed).saturating_add(found.stored));
                    found
                })
                .collect();
            if cancel.is_cancelled() {
                return Err(Error::cancelled("the comparison was cancelled"));
            }
            for (Work { range, piece }, found) in batch.into_iter().zip(found) {
                if let Some(rest) = found.rest {
                    work.push_front(Work { range: rest..range.end, piece });
                }
                found.problems.into_iter().try_for_each(&mut *takers.problem)?;
                let piece = piece.and_then(|piece| plan.pieces.get(piece));
                let of_segment = piece.and_then(|piece| of_segments.get_mut(piece.segment));
                match of_segment {
                    Some((.., sum)) => found.counts.iter().for_each(|(_, counts)| sum.add(counts)),
                    None => {
                        for (place, counts) in &found.counts {
                            by_place.entry((self.start(*place), *place)).or_default().add(counts);
                        }
                    }
                }
                if let Some(take) = &mut takers.run {
                    let shift = piece.map(|piece| (piece.range.start, piece.offset));
                    for run in found.runs {
                        runs.take(run, shift, take)?;
                    }
                }
            }
        }
        if let Some(take) = &mut takers.run {
            runs.finish(take)?;
        }
        let mut counts = Counts::default();
        by_place.values().for_each(|some| counts.add(some));
        let page = self.walk.a.page_size().max(1);
        let shared = plan.ranges.iter().map(|range| range.end.saturating_sub(range.start).div_ceil(page));
        counts.shared = shared.fold(0, u64::saturating_add);
        self.tell(&counts, by_place, takers);
        Ok(counts)
    }

    fn tell(&self, all: &Counts, by_place: BTreeMap<(u64, Place), Counts>, takers: &mut Takers<'_>) {
        if !all.is_different() {
            return;
        }
        let comm = comm(self.task).or_else(|| comm(self.other)).unwrap_or_default();
        let row = MemoryDiff {
            scope: Scope::Task,
            pid: self.task.pid(),
            pid_b: self.other.pid(),
            comm,
            start: None,
            end: None,
            what: None,
            mapped_by: Vec::new(),
            counts: all.clone(),
        };
        (takers.memory)(row.clone());
        for ((_, place), counts) in by_place.into_iter().filter(|(_, counts)| counts.is_different()) {
            let mapping = self.mapping(place);
            (takers.memory)(MemoryDiff {
                scope: Scope::Mapping,
                start: mapping.map(|mapping| mapping.start),
                end: mapping.map(|mapping| mapping.end),
                what: Some(self.what(place)),
                counts,
                ..row.clone()
            });
        }
    }

    /// The work, cut where that splits what either side has stored evenly. One thread cuts it as it goes: going through
    /// all runs beforehand is a good part of comparing them.
    fn work(&self, plan: &Plan) -> Vec<Work> {
        let mut work = Vec::new();
        let mut cut = |range: Range<u64>, piece: Option<usize>| {
            if self.walk.at_most < u64::MAX {
                work.push(Work { range, piece });
                return;
            }
            let parts = |space: &AddressSpace| space.parts(range.clone(), PART);
            let (these, those) = rayon::join(|| parts(self.walk.a), || parts(self.walk.b));
            let mut ends: Vec<u64> = these.into_iter().chain(those).map(|part| part.end).collect();
            ends.sort_unstable();
            ends.dedup();
            let mut start = range.start;
            for end in ends {
                work.push(Work { range: start..end, piece });
                start = end;
            }
        };
        without(0..u64::MAX, &plan.ranges).into_iter().for_each(|range| cut(range, None));
        for (number, piece) in plan.pieces.iter().enumerate() {
            cut(piece.range.clone(), Some(number));
        }
        work
    }

    fn mapping(&self, place: Place) -> Option<&Mapping> {
        match place {
            Place::InA(number) => self.walk.a.mappings().get(number),
            Place::InB(number) => self.walk.b.mappings().get(number),
            Place::Unmapped => None,
        }
    }

    fn start(&self, place: Place) -> u64 {
        self.mapping(place).map_or(0, |mapping| mapping.start.0)
    }

    fn what(&self, place: Place) -> String {
        self.mapping(place).map_or_else(|| "(no mapping)".to_owned(), Mapping::what)
    }
}

/// Puts runs together that were found in two pieces of work, and names what they are in.
struct Joiner<'p> {
    pair: &'p Pair<'p>,
    names: BTreeMap<Place, Arc<str>>,
    /// The run that may go on, and whether it is a segment's.
    last: Option<(ChangedRun, bool)>,
}

impl Joiner<'_> {
    fn take(
        &mut self,
        mut run: ChangedRun,
        shift: Option<(u64, u64)>,
        take: &mut dyn FnMut(PageRun) -> Result<()>,
    ) -> Result<()> {
        if let Some((from, to)) = shift {
            run.start = run.start.wrapping_sub(from).wrapping_add(to);
            run.end = run.end.wrapping_sub(from).wrapping_add(to);
        }
        if let Some((last, is_segment)) = &mut self.last
            && *is_segment == shift.is_some()
            && last.join(&run)
        {
            return Ok(());
        }
        self.finish(take)?;
        self.last = Some((run, shift.is_some()));
        Ok(())
    }

    fn finish(&mut self, take: &mut dyn FnMut(PageRun) -> Result<()>) -> Result<()> {
        let Some((run, segment)) = self.last.take() else { return Ok(()) };
        let what = self.names.entry(run.place).or_insert_with(|| self.pair.what(run.place).into()).clone();
        take(PageRun {
            pid: self.pair.task.pid(),
            pid_b: self.pair.other.pid(),
            address: Address(run.start),
            pages: run.pages,
            bytes_changed: run.bytes,
            segment,
            what,
        })
    }
}
