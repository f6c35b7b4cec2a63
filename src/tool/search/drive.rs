//! The walk over the memory of all processes: parts are searched on all cores, what they give is taken in order.

use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use super::Unsearched;
use super::batch::{Batch, Batches, Part};
use super::filter::Filter;
use super::grain::Grain;
use super::once::Once;
use super::piece::{Piece, Pieces};
use super::window::{Scratch, Shape};
use crate::base::report::{Cancel, Progress, Rows};
use crate::base::{Error, Listing, Result};
use crate::checkpoint::{AddressSpace, Checkpoint};

/// Whose memory it is.
pub(super) struct Process<'a> {
    pub(super) pid: u32,
    pub(super) space: &'a AddressSpace,
}

/// A part with what is needed to search it.
pub(super) struct View<'v> {
    pub(super) process: &'v Process<'v>,
    pub(super) pieces: &'v [Piece<'v>],
    pub(super) part: &'v Part,
}

/// What is done with each part.
pub(super) trait Work<R>: Sync {
    /// What searching a part gives.
    type Found: Send;

    fn shape(&self) -> Shape;

    fn grain(&self) -> Grain;

    /// Searches a part, on any core. Bounded in what it gives.
    fn scan(&self, view: &View<'_>, scratch: &mut Scratch) -> Self::Found;

    /// Takes what was found in a part, in ascending order.
    fn take(
        &mut self,
        view: &View<'_>,
        found: Self::Found,
        scratch: &mut Scratch,
        out: &mut dyn Rows<R>,
    ) -> Result<ControlFlow<()>>;

    /// The last part of a process was taken.
    fn end(&mut self, process: &Process<'_>, out: &mut dyn Rows<R>) -> Result<ControlFlow<()>>;
}

/// Parts that each core gets at a time, and all of them, unless there are very many cores: what is found in them is
/// kept until it is taken.
const EACH: usize = 32;
const TOGETHER: usize = 256;

/// Walks over the memory that the filter admits.
///
/// Errors: there is no such task, the tasks cannot be listed, `out` ends it, it was cancelled.
pub(super) fn drive<R, W: Work<R>>(
    dump: &Checkpoint,
    filter: &Filter,
    work: &mut W,
    (progress, cancel): (&dyn Progress, &Cancel),
    out: &mut dyn Rows<R>,
) -> Result<Unsearched> {
    let Listing { items: mut tasks, problems } = dump.tasks()?;
    for problem in problems {
        out.problem(problem)?;
    }
    for pid in &filter.pids {
        // says what is wrong with a number that leads to none
        dump.task(*pid)?;
    }
    if !filter.pids.is_empty() {
        tasks.retain(|task| filter.pids.contains(&task.pid()));
    }
    let pages = |sum: u64, count: crate::checkpoint::resident::PageCount| {
        sum.saturating_add(count.here).saturating_add(count.parent)
    };
    let pages = tasks.iter().filter_map(|task| task.page_count().ok()).fold(0, pages);
    let mut walk = Walk {
        filter,
        progress,
        cancel,
        done: 0,
        total: pages.saturating_mul(dump.page_size()),
        pool: Pool::default(),
    };
    let mut told = false;
    let (mut once, mut unsearched) = (Once::default(), Unsearched::default());
    for task in &tasks {
        let space = match task.address_space() {
            Ok(Some(space)) => {
                // all tasks have the same
                if !told {
                    space.problems().iter().try_for_each(|error| out.problem(error.clone()))?;
                    told = !space.problems().is_empty();
                }
                space
            }
            Ok(None) => continue,
            Err(error) => {
                out.problem(error)?;
                continue;
            }
        };
        let process = Process { pid: task.pid(), space: &space };
        let passed = once.passed(dump, &space, filter);
        if walk.process(&process, passed, work, out, &mut unsearched)?.is_break() {
            break;
        }
    }
    Ok(unsearched)
}

struct Walk<'w> {
    filter: &'w Filter,
    progress: &'w dyn Progress,
    cancel: &'w Cancel,
    done: u64,
    total: u64,
    pool: Pool,
}

impl Walk<'_> {
    fn process<R, W: Work<R>>(
        &mut self,
        process: &Process<'_>,
        passed: Vec<u64>,
        work: &mut W,
        out: &mut dyn Rows<R>,
        unsearched: &mut Unsearched,
    ) -> Result<ControlFlow<()>> {
        let shape = work.shape();
        let pieces = Pieces::new(process.space, self.filter, passed, shape.zeros);
        let cores = rayon::current_num_threads();
        let parts = cores.saturating_mul(EACH).min(TOGETHER).max(cores.saturating_mul(4));
        let mut batches = Batches::new(pieces, shape, parts, work.grain().part);
        let mut broken = Vec::new();
        let mut flow = ControlFlow::Continue(());
        while let Some(batch) = batches.next() {
            if self.cancel.is_cancelled() {
                return Err(Error::cancelled("interrupted"));
            }
            flow = self.batch(process, &batch, work, out, &mut broken)?;
            if flow.is_break() {
                break;
            }
        }
        let mut gaps = batches.pieces.gaps;
        for (range, error) in broken {
            gaps.add(range.start, range.end.saturating_sub(range.start), error.to_string());
        }
        if flow.is_continue() {
            flow = work.end(process, out)?;
        }
        gaps.problems(process.pid).try_for_each(|problem| out.problem(problem))?;
        unsearched.bytes = unsearched.bytes.saturating_add(gaps.bytes());
        unsearched.in_files = unsearched.in_files.saturating_add(gaps.in_files);
        Ok(flow)
    }

    fn batch<R, W: Work<R>>(
        &mut self,
        process: &Process<'_>,
        batch: &Batch<'_>,
        work: &mut W,
        out: &mut dyn Rows<R>,
        broken: &mut Vec<(std::ops::Range<u64>, Error)>,
    ) -> Result<ControlFlow<()>> {
        let view = |part| View { process, pieces: &batch.pieces, part };
        let found: Vec<_> = {
            let (pool, work) = (&self.pool, &*work);
            let scan =
                |part| pool.lend(|scratch| (work.scan(&view(part), scratch), std::mem::take(&mut scratch.broken)));
            batch.parts.par_iter().map(scan).collect()
        };
        for (part, (found, faults)) in batch.parts.iter().zip(found) {
            broken.extend(faults);
            let taken = self.pool.lend(|scratch| {
                let taken = work.take(&view(part), found, scratch, out);
                scratch.broken.clear();
                taken
            });
            self.done = self.done.saturating_add(part.bytes);
            self.progress.advance(self.done, self.total.max(self.done));
            if taken?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// Buffers that nobody uses just now.
#[derive(Default)]
struct Pool(Mutex<Vec<Scratch>>);

impl Pool {
    fn lend<T>(&self, borrow: impl FnOnce(&mut Scratch) -> T) -> T {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = lock().pop();
        let mut scratch = taken.unwrap_or_default();
        let value = borrow(&mut scratch);
        lock().push(scratch);
        value
    }
}
