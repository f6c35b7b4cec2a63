//! Verifying files of version 2: everything that is said twice is compared, all bytes against their checksums.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use rayon::prelude::*;

use crate::base::report::{Cancel, Progress};
use crate::base::{Error, Limits, Result};
use crate::source::bundle::compare::compare;
use crate::source::bundle::frames::{Problems, REMEMBERED, State};
use crate::source::bundle::job::{Job, Jobs};
use crate::source::bundle::salvage::Anchors;
use crate::source::bundle::survey::Survey;
use crate::source::bundle::{Bundle, Part};
use crate::wire::v2::{Item, PageRun, Record, array::Array, array::Element, types};

/// What verifying found.
#[derive(Debug, Default)]
pub struct Verified {
    /// What is wrong, by file and place.
    pub findings: Vec<Error>,
    /// What kind of thing each of these is.
    pub faults: Vec<Fault>,
    /// How many more findings there are than were kept.
    pub more: u64,
    /// Images that are whole.
    pub images: u64,
    /// Records that were looked at.
    pub records: u64,
    /// Pages that have no checksums: whether they are what they were, nobody can say.
    pub unchecked: u64,
}

/// What kind of thing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A header, a record, a directory: what it frames is lost, or nobody knows.
    Structure,
    /// Pages are not what they were.
    Pages,
    /// It has no end: it was cut, or was still being written.
    Cut,
    /// Something stands behind the end.
    Behind,
}

impl Verified {
    fn add(&mut self, fault: Fault, error: Error) {
        self.findings.push(error);
        self.faults.push(fault);
    }

    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }
}

impl Bundle {
    /// Compares everything in its files, whichever dump it is of: headers, checksums, STOPs, arrays, units of pages, ENDs,
    /// directories and block tables with what a walk finds. All bytes count but zeros behind the last END and pages
    /// that have no checksums. Progress is in bytes.
    ///
    /// Errors: it was cancelled; there are more sections than the limits allow.
    pub fn verify(&self, control: (&dyn Progress, &Cancel)) -> Result<Verified> {
        self.verify_all(true, control)
    }

    /// The same but for what pages are: no byte of them is read. Blocks count as unchecked only where they have no
    /// checksums.
    ///
    /// Errors: as [`verify`](Self::verify).
    pub fn verify_structure(&self, control: (&dyn Progress, &Cancel)) -> Result<Verified> {
        self.verify_all(false, control)
    }

    fn verify_all(&self, pages: bool, (progress, cancel): (&dyn Progress, &Cancel)) -> Result<Verified> {
        let total = self.parts.iter().fold(0u64, |sum, part| sum.saturating_add(part.bytes.len() as u64));
        let control = Control { progress, cancel, done: AtomicU64::new(0), total };
        let several = self.is_several;
        let parts: Result<Vec<Verified>> =
            self.parts.par_iter().map(|part| verify(part, pages, &self.limits, &control)).collect();
        let mut all = Verified::default();
        if several {
            self.warnings.iter().for_each(|error| all.add(Fault::Structure, error.clone()));
        }
        for part in parts? {
            all.findings.extend(part.findings);
            all.faults.extend(part.faults);
            all.more = all.more.saturating_add(part.more);
            all.images = all.images.saturating_add(part.images);
            all.records = all.records.saturating_add(part.records);
            all.unchecked = all.unchecked.saturating_add(part.unchecked);
        }
        if several && let Err(error) = self.blocks() {
            all.add(Fault::Structure, error.clone());
        }
        Ok(all)
    }
}

/// Who watches, and how far it is.
pub(super) struct Control<'c> {
    pub(super) progress: &'c dyn Progress,
    pub(super) cancel: &'c Cancel,
    pub(super) done: AtomicU64,
    pub(super) total: u64,
}

impl Control<'_> {
    /// So many bytes more are done.
    pub(super) fn advance(&self, bytes: u64) -> Result<()> {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        self.progress.advance(done.min(self.total), self.total);
        if self.cancel.is_cancelled() { Err(Error::cancelled("interrupted")) } else { Ok(()) }
    }
}

fn verify(part: &Part, pages: bool, limits: &Limits, control: &Control<'_>) -> Result<Verified> {
    let bytes: &Bytes = &part.bytes;
    let anchors = Anchors::of(bytes, limits);
    let mut survey = Survey::new(bytes, 0, limits);
    let mut jobs = Jobs::new(pages);
    let mut order = Order::default();
    let mut at = 0;
    while let Some(damage) = survey.walk(at, &mut |item| {
        jobs.add(item);
        order.add(item);
    }) {
        // behind an END there may be anything, of which one thing is said
        let is_behind = survey.frames.tails.last().is_some_and(|tail| tail.length == damage as u64);
        match anchors.next(bytes, damage).filter(|_| !is_behind) {
            Some(next) => at = anchors.enter(&mut survey, next),
            None => break,
        }
    }
    survey.frames.check().map_err(|error| error.in_image(part.name.as_str()))?;
    let trailing = survey.trailing().filter(|at| !survey.are_zeros(*at));
    let Survey { frames, .. } = survey;
    let mut problems = frames.problems;
    problems.extend(frames.refused);
    problems.extend(order.problems);
    let mut ends = Vec::new();
    let end = || Error::format("expected an END, found the end of the file").at_offset(bytes.len() as u64);
    match (frames.tails.is_empty(), frames.images.as_slice()) {
        (true, [image]) if image.state == State::Whole => {}
        (true, [image]) => {
            let what = format!("expected image {} {} whole, found a part of it", image.kind, image.id);
            ends.push((Fault::Cut, Error::format(what).at_offset(bytes.len() as u64)));
        }
        (true, _) => ends.push((Fault::Cut, end())),
        (false, _) => compare(bytes, &frames.images, &frames.tails, limits, &mut problems),
    }
    if let Some(at) = trailing {
        let what =
            format!("expected the end of the file behind its END, found {} bytes", bytes.len().saturating_sub(at));
        let error = Error::format(what).at_offset(at as u64).hint("an append that was cut, or garbage");
        ends.push((Fault::Behind, error));
    }
    let (jobs, bare) = jobs.finish();
    let checked: Result<Vec<_>> =
        jobs.into_par_iter().map(|job: Job| Ok((job.fault(), job.run(bytes, control)?))).collect();
    let mut unchecked = bare.0;
    let mut found: Vec<(Fault, Error)> = problems.list.into_iter().map(|error| (Fault::Structure, error)).collect();
    let mut more = problems.more;
    found.extend(ends);
    for (fault, (problems, pages)) in checked? {
        let room = REMEMBERED.saturating_sub(found.len()).min(problems.list.len());
        more = more.saturating_add(problems.more).saturating_add((problems.list.len().saturating_sub(room)) as u64);
        found.extend(problems.list.into_iter().take(room).map(|error| (fault, error)));
        unchecked = unchecked.saturating_add(pages.0);
    }
    found.sort_by_key(|(_, error)| error.offset());
    let name = part.name.as_str();
    let (faults, findings) = found.into_iter().map(|(fault, error)| (fault, error.in_image(name))).unzip();
    let images = frames.images.iter().filter(|image| image.state == State::Whole).count() as u64;
    Ok(Verified { findings, faults, more, images, records: frames.records, unchecked })
}

/// Runs of pages ascend over all records of their image.
#[derive(Default)]
struct Order {
    image: Option<(u64, u32, u64)>,
    last: BTreeMap<(u64, u32, u64), PageRun>,
    problems: Problems,
}

impl Order {
    fn add(&mut self, item: &Item<'_>) {
        match item {
            Item::Image(_, header) => {
                let image = (header.dump(), header.kind(), header.id());
                if header.flags() & crate::wire::v2::header::CONTINUES == 0 {
                    self.last.remove(&image);
                }
                self.image = Some(image);
            }
            Item::Record(record) if record.header.object_type() == types::PAGE_RUN => self.runs(record),
            Item::Record(_) => {}
        }
    }

    fn runs(&mut self, record: &Record<'_>) {
        let (Some(image), Ok(runs)) = (self.image, Array::<PageRun>::new(record.header, record.payload)) else {
            return;
        };
        let (Some(first), Some(last)) = (runs.get(0), runs.len().checked_sub(1).and_then(|last| runs.get(last))) else {
            return;
        };
        if self.last.get(&image).is_some_and(|before| !first.follows(before)) {
            self.problems.at(record.offset, "expected runs of pages that ascend, found others");
        }
        self.last.insert(image, *last);
    }
}
