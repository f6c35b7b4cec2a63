//! Holes of pages files: what is read from them is zeros, whatever was there.

use std::fs::File;

use rustix::fs::SeekFrom;

use crate::memory::{PageRuns, PagesFile};
use crate::tool::check::Finding;
use crate::wire::v2::array::HOLE;

/// The holes of a file that has some, asked for one after the other.
#[derive(Debug)]
pub(super) struct Holes {
    file: File,
    length: u64,
    /// The first one that nobody went past.
    next: Option<(u64, u64)>,
}

/// What is read from holes of one file.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct InHoles {
    pub(super) bytes: u64,
    /// Of how many that are read at all.
    pub(super) of: u64,
    /// Offset in the file, and address of the pages, where that begins.
    pub(super) first: Option<(u64, u64)>,
}

impl Holes {
    /// The holes of a file; `None` if it has none, or nobody can say.
    pub(super) fn of(pages: &PagesFile) -> Option<Self> {
        let file = pages.open().ok()??;
        let length = file.metadata().ok()?.len();
        let mut holes = Self { file, length, next: None };
        holes.next = Some(holes.from(0)?);
        Some(holes)
    }

    /// The first hole from an offset on.
    fn from(&self, offset: u64) -> Option<(u64, u64)> {
        let seek = |to| rustix::fs::seek(&self.file, to);
        // there is one behind the last byte of every file
        let start = seek(SeekFrom::Hole(offset)).ok().filter(|start| *start < self.length)?;
        let end = seek(SeekFrom::Data(start)).unwrap_or(self.length).min(self.length);
        (end > start).then_some((start, end))
    }

    /// Whether an offset lies in one.
    pub(super) fn has(&self, offset: u64) -> bool {
        self.from(offset).is_some_and(|(start, _)| start == offset)
    }

    /// Counts what of `from..to` lies in holes, which has pages from `address` on. Offsets don't descend from call to
    /// call.
    pub(super) fn count(&mut self, (from, to): (u64, u64), address: u64, found: &mut InHoles) {
        found.of = found.of.saturating_add(to.saturating_sub(from));
        while let Some((start, end)) = self.next {
            if end <= from {
                // no hole before that is of interest
                self.next = self.from(from.max(end));
                continue;
            }
            if start >= to {
                return;
            }
            let (first, last) = (start.max(from), end.min(to));
            found.bytes = found.bytes.saturating_add(last.saturating_sub(first));
            found.first = found.first.or(Some((first, address.saturating_add(first.saturating_sub(from)))));
            if end > to {
                return;
            }
            self.next = self.from(end);
        }
    }
}

/// Pages that are read from holes of a file. `is_lost`: whether one of them cannot have been zeros.
pub(super) fn finding(file: &str, level: usize, found: &InHoles, page_size: u64, is_lost: bool) -> Option<Finding> {
    let (offset, address) = found.first?;
    let [pages, of] = [found.bytes, found.of].map(|bytes| bytes.div_ceil(page_size.max(1)));
    let what = format!(
        "{pages} of {of} pages that the dump reads here, the first at {address:#x}, lie in holes and read as zeros"
    );
    let by = if level == 0 { "a child of this dump" } else { "another child of that parent" };
    let finding = if is_lost {
        let what = format!("{what}; the stack of the task is among them, so they were taken out");
        let advice = format!("dedup did that for {by}: this dump can no longer be restored by itself");
        Finding::error("pages-hole", what).advice(advice)
    } else {
        // a copy may leave out a few pages; that most of a process is zeros nobody has seen
        let is_much = found.bytes >= MUCH && found.bytes >= found.of / 2;
        let why = "either they were zeros, and a copy made the file sparse, or they were taken out, and are lost";
        let what = format!("{what}: {why}");
        let finding = if is_much { Finding::warning("pages-hole", what) } else { Finding::note("pages-hole", what) };
        finding.advice(format!("if dedup ran for {by}, pages are lost; CRIU itself leaves no holes"))
    };
    Some(finding.in_image(file).at_offset(offset))
}

/// Zeros of version 2 that were holes of the file that was converted.
pub(super) fn of_runs(runs: &PageRuns, pagemap: &str, page_size: u64) -> Option<Finding> {
    let (mut bytes, mut first) = (0u64, None);
    for number in 0..runs.batches() {
        for run in runs.batch(number).ok().into_iter().flat_map(|batch| batch.iter()) {
            if run.flags() & HOLE != 0 {
                bytes = bytes.saturating_add(run.pages().saturating_mul(page_size));
                first = first.or(Some(run.vaddr()));
            }
        }
    }
    let what = format!(
        "{} pages, the first at {:#x}, were holes of the pages file that was converted: either zeros, and a copy made \
         the file sparse, or taken out, and lost",
        bytes / page_size.max(1),
        first?
    );
    Some(Finding::note("pages-hole", what).in_image(pagemap))
}

/// Less than that in holes is not suspicious.
const MUCH: u64 = 64 << 10;
