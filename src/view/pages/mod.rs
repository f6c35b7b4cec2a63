//! What pages are stored of each mapping, and what could be saved of them: zeros, equal pages, packing.

mod measure;
mod tally;

use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use serde::Serialize;

use crate::base::report::{Cell, Column, Once, Progress, Row, Rows};
use crate::base::{Address, Listing, Result};
use crate::checkpoint::mm::{Backing, Mapping};
use crate::checkpoint::task::Task;
use crate::checkpoint::{AddressSpace, Checkpoint};
use crate::image::Kind;
use crate::memory::{Content, Missing, Pages, Run, Twins};
use crate::view::Of;
use measure::{Chunk, Measured};
use tally::Tally;

/// How many pages of something are stored, and what of that could be saved.
#[derive(Clone, Debug, Serialize)]
pub struct Stored {
    /// What the row is about.
    pub of: Of,
    /// The task; `None` for segments and the total.
    pub pid: Option<u32>,
    /// The number of a segment.
    pub segment: Option<u64>,
    /// First address; in a segment, the offset.
    pub start: Option<Address>,
    /// The address behind the last.
    pub end: Option<Address>,
    /// What it is: `[heap]`, a path.
    pub what: String,
    /// Pages that are stored, in this dump or in one before it, and could be read. Those that compressed dumps store
    /// as nothing are not counted: they are zeros already.
    pub pages: u64,
    /// Of these, those in dumps before this one.
    pub in_parents: u64,
    /// Of these, those of zeros.
    pub zero: u64,
    /// Of these, those that are not zeros, and equal to one that was met before: in a row above, or in this. Of a very
    /// large dump some are not found; those that are, are.
    pub duplicate: u64,
    /// Pages that should be there and cannot be read: the pages file is cut short or not there, a block is broken.
    pub broken: u64,
    /// Bits per byte that the stored bytes carry, from 0 to 8, by how often each byte occurs.
    pub entropy: Option<f64>,
    /// Bytes that storing nothing for zeros and each content once would save.
    pub saved_by_dedup: u64,
    /// Bytes that packing each page with LZ4 would save; zeros as nothing. An estimate from a sample.
    pub saved_by_lz4: u64,
    /// Bytes that both would save together. An estimate too.
    pub saved_by_both: u64,
    /// Pages that were packed for the estimate; pages of zeros are not.
    pub sampled: u64,
}

impl Row for Stored {
    const COLUMNS: &'static [Column] = &[
        Column::number("PID", 1),
        Column::number("START", 1),
        Column::number("PAGES", 0),
        Column::number("PARENTS", 1),
        Column::number("ZERO", 0),
        Column::number("EQUAL", 0),
        Column::number("BROKEN", 0),
        Column::number("ENTROPY", 0),
        Column::number("DEDUP", 0),
        Column::number("LZ4", 0),
        Column::number("BOTH", 0),
        Column::long("WHAT", 0),
    ];

    fn cells(&self) -> Vec<Cell> {
        let number = |number: u64| if number == 0 { Cell::Empty } else { Cell::text(number) };
        let size = |bytes: u64| if bytes == 0 { Cell::Empty } else { Cell::Size(bytes) };
        let estimate = |bytes: u64| {
            if bytes == 0 { Cell::Empty } else { Cell::text(format_args!("~{}", crate::base::Size(bytes))) }
        };
        vec![
            Cell::maybe(self.pid),
            Cell::maybe(self.start.map(|start| format!("{:x}", start.0))),
            Cell::text(self.pages),
            number(self.in_parents),
            number(self.zero),
            number(self.duplicate),
            if self.broken == 0 { Cell::Empty } else { Cell::Odd(self.broken.to_string().into()) },
            Cell::maybe(self.entropy.map(|entropy| format!("{entropy:.2}"))),
            size(self.saved_by_dedup),
            estimate(self.saved_by_lz4),
            estimate(self.saved_by_both),
            Cell::Text(self.what.clone().into()),
        ]
    }
}

/// The stored pages of one task, or of all, by mapping, then those of segments, each once, then their sum. Mappings of
/// which nothing is stored have no row.
///
/// Errors: the tasks cannot be listed, there is no such task, or `out` ends the question.
pub fn pages(dump: &Checkpoint, pid: Option<u32>, progress: &dyn Progress, out: &mut impl Rows<Stored>) -> Result<()> {
    let Listing { items: tasks, problems } = dump.tasks_or_one(pid)?;
    // a file that is not there may concern many mappings
    let out = &mut Once::new(out);
    Rows::<Stored>::problems(out, problems)?;
    // a pre-dump does not say it; its pagemaps do
    let spaces = tasks.iter().filter_map(|task| task.address_space().ok().flatten());
    let page_size = spaces.map(|space| space.page_size()).next().unwrap_or_else(|| dump.page_size());
    let bytes = dump.stored_bytes();
    let mut work = Work {
        page_size,
        twins: Twins::new(bytes / page_size.max(1), page_size),
        total: Tally::default(),
        saved: (0, 0),
        done: 0,
        bytes,
        progress,
    };
    let mut segments = BTreeSet::new();
    for task in &tasks {
        let Some(Some(space)) = Rows::<Stored>::ok(out, task.address_space())? else { continue };
        Rows::<Stored>::problems(out, space.problems().iter().cloned())?;
        if pid.is_some() {
            segments.extend(space.mappings().iter().filter_map(|mapping| segment(dump, mapping)));
        }
        work.pages(&space, of_task(task, &space), out)?;
    }
    if pid.is_none() {
        segments.extend(dump.images_of(Kind::PagemapShmem).iter().map(|image| image.id));
    }
    for id in segments {
        let Some(space) = Rows::<Stored>::ok(out, dump.segment(id))? else { continue };
        let subject = Subject {
            row: Stored { of: Of::Segment, segment: Some(id), ..empty(format!("[shared {id}]")) },
            ranges: std::iter::once(0..u64::MAX).collect(),
            tally: Tally::default(),
        };
        work.pages(&space, vec![subject], out)?;
    }
    let total = std::mem::take(&mut work.total);
    if total.pages == 0 && total.broken == 0 {
        return Rows::<Stored>::note(out, &dump.why_none("stored pages", pid));
    }
    let (saved_by_lz4, saved_by_both) = work.saved;
    out.row(Stored { saved_by_lz4, saved_by_both, ..total.row(empty("total".to_owned()), work.page_size) })
}

fn empty(what: String) -> Stored {
    Stored {
        of: Of::Total,
        pid: None,
        segment: None,
        start: None,
        end: None,
        what,
        pages: 0,
        in_parents: 0,
        zero: 0,
        duplicate: 0,
        broken: 0,
        entropy: None,
        saved_by_dedup: 0,
        saved_by_lz4: 0,
        saved_by_both: 0,
        sampled: 0,
    }
}

/// The segment that is mapped.
fn segment(dump: &Checkpoint, mapping: &Mapping) -> Option<u64> {
    match mapping.backing {
        Backing::Shared | Backing::SysV => Some(mapping.shmid),
        Backing::Memfd(_) => dump.memfd(mapping.shmid).ok().flatten().filter(|(_, size)| *size > 0).map(|(id, _)| id),
        _ => None,
    }
}

/// The mappings of a task, and what is outside of them.
fn of_task(task: &Task<'_>, space: &AddressSpace) -> Vec<Subject> {
    let subject = |row: Stored, ranges: VecDeque<Range<u64>>| Subject {
        row: Stored { pid: Some(task.pid()), ..row },
        ranges,
        tally: Tally::default(),
    };
    let mut mappings: Vec<&Mapping> = space.mappings().iter().collect();
    // guards lie in others
    mappings.retain(|mapping| mapping.backing != Backing::Guard && mapping.size() > 0);
    mappings.sort_by_key(|mapping| mapping.start);
    let mut subjects = Vec::with_capacity(mappings.len().saturating_add(1));
    let mut between = VecDeque::new();
    let mut at = 0;
    for mapping in mappings {
        let (start, end) = (mapping.start.0.max(at), mapping.end.0.max(at));
        if at < start {
            between.push_back(at..start);
        }
        at = end;
        let (start_of, end_of) = (Some(mapping.start), Some(mapping.end));
        let row = Stored { of: Of::Mapping, start: start_of, end: end_of, ..empty(mapping.what()) };
        subjects.push(subject(row, std::iter::once(start..end).collect()));
    }
    between.push_back(at..u64::MAX);
    let what = if space.is_known() { "[not mapped]" } else { "[mappings are not known]" };
    subjects.push(subject(Stored { of: Of::Elsewhere, ..empty(what.to_owned()) }, between));
    subjects
}

/// What a row will be about, and what was found of it so far.
struct Subject {
    row: Stored,
    /// Ascending.
    ranges: VecDeque<Range<u64>>,
    tally: Tally,
}

/// Stored bytes of one piece of work, and of what is measured before the next is collected.
const PIECE: u64 = 1 << 20;
const BATCH: u64 = 64 << 20;
/// So many pieces are collected at most.
const PIECES: usize = 2048;
/// So many pages of a mapping are packed, about.
const SAMPLE: u64 = 256;

struct Work<'p> {
    page_size: u64,
    twins: Twins,
    total: Tally,
    /// The rows' estimates, summed: of each the sample is about as large, whatever it is a sample of.
    saved: (u64, u64),
    /// Bytes that were looked at, of about how many.
    done: u64,
    bytes: u64,
    progress: &'p dyn Progress,
}

impl Work<'_> {
    /// Measures the stored pages of an address space, of each subject in turn, and hands out rows.
    fn pages(&mut self, space: &AddressSpace, subjects: Vec<Subject>, out: &mut impl Rows<Stored>) -> Result<()> {
        let Some(pages) = space.pages() else { return Ok(()) };
        let page_size = usize::try_from(space.page_size()).unwrap_or(usize::MAX);
        let mut open: VecDeque<Subject> = VecDeque::new();
        let mut batch: Vec<(usize, Chunk<'_>)> = Vec::new();
        let mut collected = 0u64;
        for mut subject in subjects {
            let step = stored(pages, &subject.ranges).div_ceil(SAMPLE.saturating_mul(space.page_size()));
            let mut first = 0u64;
            let ranges = std::mem::take(&mut subject.ranges);
            open.push_back(subject);
            for run in ranges.into_iter().flat_map(|range| pages.runs(range)) {
                if let (Content::Missing(Missing::Broken(error)), Some(subject)) = (&run.content, open.back_mut()) {
                    let broken = run.len().checked_div(self.page_size).unwrap_or(0);
                    subject.tally.broken = subject.tally.broken.saturating_add(broken);
                    out.problem(error.clone())?;
                    continue;
                }
                for stored in cut(run) {
                    let length = stored.len() as u64;
                    batch.push((open.len().saturating_sub(1), Chunk { stored, page_size, first, step }));
                    first = first.saturating_add(length.checked_div(space.page_size()).unwrap_or(0));
                    collected = collected.saturating_add(length);
                    if collected >= BATCH || batch.len() >= PIECES {
                        self.measure(&batch, pages, &mut open, out)?;
                        (collected, _) = (0, batch.clear());
                        // all but the last will not change any more
                        while open.len() > 1 {
                            self.finish(open.pop_front(), out)?;
                        }
                    }
                }
            }
        }
        self.measure(&batch, pages, &mut open, out)?;
        while !open.is_empty() {
            self.finish(open.pop_front(), out)?;
        }
        Ok(())
    }

    fn measure(
        &mut self,
        batch: &[(usize, Chunk<'_>)],
        space: &Pages,
        open: &mut VecDeque<Subject>,
        out: &mut impl Rows<Stored>,
    ) -> Result<()> {
        let measured: Vec<Measured> = batch.par_iter().map(|(_, chunk)| chunk.measure()).collect();
        for ((subject, chunk), measured) in batch.iter().zip(measured) {
            let Some(Subject { tally, .. }) = open.get_mut(*subject) else { continue };
            let length = chunk.stored.len() as u64;
            self.done = self.done.saturating_add(length);
            let pages = length.checked_div(self.page_size).unwrap_or(0).saturating_sub(measured.broken);
            tally.broken = tally.broken.saturating_add(measured.broken);
            measured.errors.into_iter().try_for_each(|error| out.problem(error))?;
            tally.pages = tally.pages.saturating_add(pages);
            if chunk.stored.level() > 0 {
                tally.in_parents = tally.in_parents.saturating_add(pages);
            }
            tally.zero = tally.zero.saturating_add(measured.zero);
            tally.sampled = tally.sampled.saturating_add(measured.sampled);
            tally.packed = tally.packed.saturating_add(measured.packed);
            tally.histogram.get_or_insert_default().add(&measured.histogram);
            let file = self.twins.file(space, &chunk.stored);
            // one after the other: which of two equal pages is the first is then the same each time
            for (at, hash) in measured.pages {
                if self.twins.met(&chunk.stored, file, at, hash) {
                    tally.duplicate = tally.duplicate.saturating_add(1);
                }
            }
        }
        self.progress.advance(self.done.min(self.bytes), self.bytes);
        Ok(())
    }

    fn finish(&mut self, subject: Option<Subject>, out: &mut impl Rows<Stored>) -> Result<()> {
        let Some(Subject { row, tally, .. }) =
            subject.filter(|subject| subject.tally.pages > 0 || subject.tally.broken > 0)
        else {
            return Ok(());
        };
        self.total.add(&tally);
        let row = tally.row(row, self.page_size);
        self.saved.0 = self.saved.0.saturating_add(row.saved_by_lz4);
        self.saved.1 = self.saved.1.saturating_add(row.saved_by_both);
        out.row(row)
    }
}

/// Bytes that are stored in these ranges.
fn stored(pages: &Pages, ranges: &VecDeque<Range<u64>>) -> u64 {
    let runs = ranges.iter().flat_map(|range| pages.runs(range.clone()));
    runs.filter(|run| matches!(run.content, Content::Stored(_))).fold(0, |sum: u64, run| sum.saturating_add(run.len()))
}

/// What is stored of a run, in pieces; blocks stay whole, or they would be unpacked more than once.
fn cut(run: Run<'_>) -> impl Iterator<Item = crate::memory::Stored<'_>> {
    let step = match &run.content {
        Content::Stored(stored) if stored.is_plain() => PIECE,
        _ => u64::MAX,
    };
    let mut at = run.start;
    std::iter::from_fn(move || {
        let part = run.within(at..at.saturating_add(step))?;
        at = part.end;
        match part.content {
            Content::Stored(stored) => Some(stored),
            _ => None,
        }
    })
}
