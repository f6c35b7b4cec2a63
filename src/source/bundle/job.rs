//! What verifying compares with checksums, cut into pieces of about the same number of bytes.

use crate::base::{Error, Result};
use crate::source::bundle::frames::Problems;
use crate::source::bundle::verify::{Control, Fault};
use crate::wire::v2::array::{Array, BlockRow, DirectoryRow, PageRun};
use crate::wire::v2::crc::crc32c;
use crate::wire::v2::{Broken, Codec, Item, ObjectHeader, PageBlock, Problem, Record, Walk, types};

/// Bytes of a piece: 4 MiB.
const PIECE: usize = 4 << 20;

/// Pages that have no checksums.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Unchecked(pub(super) u64);

/// A piece of the work.
pub(super) enum Job {
    /// All records between two offsets, of blocks of pages what stands before the data.
    Records { from: usize, to: usize },
    /// Units of the block whose header is at an offset.
    Units { block: usize, from: usize, to: usize },
}

/// Cuts a walk into pieces.
pub(super) struct Jobs {
    jobs: Vec<Job>,
    /// Whether pages are compared.
    pages: bool,
    /// Pages of which it is known without reading them that they have no checksums.
    bare: Unchecked,
    /// Where the records begin that are in no piece yet, where they end, and what they weigh.
    open: Option<(usize, usize, usize)>,
}

impl Jobs {
    /// Nothing yet; whether pages will be compared.
    pub(super) fn new(pages: bool) -> Self {
        Self { jobs: Vec::new(), pages, bare: Unchecked::default(), open: None }
    }

    pub(super) fn add(&mut self, item: &Item<'_>) {
        let (at, end, weight) = match item {
            Item::Image(at, header) => (*at, at.saturating_add(size_of_val(*header)), 0),
            Item::Record(record) => (record.offset, record.end(), self.record(record)),
        };
        match &mut self.open {
            Some((_, to, sum)) if *to == at => {
                *to = end;
                *sum = sum.saturating_add(weight);
            }
            open => {
                let before = open.replace((at, end, weight));
                self.jobs.extend(before.map(|(from, to, _)| Job::Records { from, to }));
            }
        }
        if self.open.is_some_and(|(.., sum)| sum >= PIECE) {
            self.close();
        }
    }

    fn close(&mut self) {
        self.jobs.extend(self.open.take().map(|(from, to, _)| Job::Records { from, to }));
    }

    /// What a record weighs without its units, which are pieces of their own.
    fn record(&mut self, record: &Record<'_>) -> usize {
        if record.header.object_type() != types::PAGE_BLOCK {
            return record.payload.len();
        }
        let Ok(block) = PageBlock::read(record.payload) else { return record.payload.len() };
        if !self.pages {
            let bare = if block.sums.is_empty() { u64::from(block.pages) } else { 0 };
            self.bare.0 = self.bare.0.saturating_add(bare);
            return block.data_at;
        }
        let units = usize::try_from(block.units()).unwrap_or(usize::MAX);
        let together = units.saturating_mul(PIECE).checked_div(block.data.len()).unwrap_or(units).max(1);
        for from in (0..units).step_by(together) {
            let to = from.saturating_add(together).min(units);
            self.jobs.push(Job::Units { block: record.offset, from, to });
        }
        block.data_at
    }

    pub(super) fn finish(mut self) -> (Vec<Job>, Unchecked) {
        self.close();
        (self.jobs, self.bare)
    }
}

impl Job {
    /// What is wrong where it finds something.
    pub(super) fn fault(&self) -> Fault {
        match self {
            Self::Records { .. } => Fault::Structure,
            Self::Units { .. } => Fault::Pages,
        }
    }

    /// Compares; gives what is wrong, and how many pages have no checksums.
    pub(super) fn run(&self, bytes: &[u8], control: &Control<'_>) -> Result<(Problems, Unchecked)> {
        let (mut problems, mut unchecked) = (Problems::default(), Unchecked::default());
        let done = match self {
            Self::Records { from, to } => records(bytes, *from, *to, &mut problems),
            Self::Units { block, from, to } => {
                let wrong = |unit: &Unit<'_>, stored, computed| {
                    let broken = Broken { offset: unit.offset, problem: Problem::Checksum { stored, computed } };
                    let what = format!("pages {} to {}: {broken}", unit.first, unit.last());
                    Error::format(what).at_offset(unit.offset as u64)
                };
                let mut done = 0usize;
                for unit in units(bytes, *block, *from, *to).into_iter().flatten() {
                    done = done.saturating_add(unit.data.len());
                    match unit.sum.map(|stored| (stored, crc32c(0, unit.data))) {
                        None => unchecked.0 = unchecked.0.saturating_add(unit.pages),
                        Some((stored, computed)) if stored != computed => problems.push(wrong(&unit, stored, computed)),
                        Some(_) => {}
                    }
                }
                done
            }
        };
        control.advance(done as u64)?;
        Ok((problems, unchecked))
    }
}

/// A unit of a block.
pub(super) struct Unit<'a> {
    /// Number of its first page.
    pub(super) first: u64,
    pub(super) pages: u64,
    /// Where its data is in the file.
    pub(super) offset: usize,
    pub(super) data: &'a [u8],
    /// Its checksum, if it has one.
    pub(super) sum: Option<u32>,
}

impl Unit<'_> {
    /// Number of its last page.
    pub(super) fn last(&self) -> u64 {
        self.first.saturating_add(self.pages).saturating_sub(1)
    }
}

/// Some units of the block whose header is at an offset, of all that it has.
pub(super) fn units(bytes: &[u8], at: usize, from: usize, to: usize) -> Option<impl Iterator<Item = Unit<'_>>> {
    let record = Record::read(bytes, at).ok()?;
    let block = PageBlock::read(record.payload).ok()?;
    let page = (block.data.len() as u64).checked_div(u64::from(block.pages))?;
    let full = page.saturating_mul(u64::from(block.unit));
    let before = match block.codec {
        Codec::Raw => full.saturating_mul(from as u64),
        _ => block.sizes.get(..from)?.iter().fold(0, |sum: u64, size| sum.saturating_add(u64::from(size.get()))),
    };
    let mut start = usize::try_from(before).ok()?;
    let data = at.saturating_add(size_of::<ObjectHeader>()).saturating_add(block.data_at);
    let to = to.min(usize::try_from(block.units()).unwrap_or(usize::MAX));
    Some((from..to).map(move |index| {
        let before = (index as u64).saturating_mul(u64::from(block.unit));
        let pages = u64::from(block.pages).saturating_sub(before).min(u64::from(block.unit));
        let length = match block.codec {
            Codec::Raw => page.saturating_mul(pages),
            _ => block.sizes.get(index).map_or(0, |size| u64::from(size.get())),
        };
        let end = start.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
        let stored = block.data.get(start..end).unwrap_or_default();
        let offset = data.saturating_add(start);
        start = end;
        let sum = block.sums.get(index).map(|sum| sum.get());
        Unit { first: block.first.saturating_add(before), pages, offset, data: stored, sum }
    }))
}

/// Compares records; gives how many bytes that were.
fn records(bytes: &[u8], from: usize, to: usize, problems: &mut Problems) -> usize {
    let mut done = 0usize;
    for item in Walk::new(bytes.get(..to).unwrap_or(bytes), from) {
        let Ok(Item::Record(record)) = item else { continue };
        done = done.saturating_add(match record.header.object_type() {
            types::PAGE_BLOCK => PageBlock::read(record.payload).map_or(0, |block| block.data_at),
            _ => record.payload.len(),
        });
        let payload = record.offset.saturating_add(size_of_val(record.header));
        let checked = record.check().and_then(|()| array(&record).map_err(|broken| broken.at(payload)));
        if let Err(broken) = checked {
            problems.at(broken.offset, broken.to_string());
        }
    }
    done
}

fn array(record: &Record<'_>) -> Result<(), Broken> {
    let (header, payload) = (record.header, record.payload);
    match header.object_type() {
        types::PAGE_RUN => Array::<PageRun>::new(header, payload)?.check(),
        types::DIRECTORY => Array::<DirectoryRow>::new(header, payload)?.check(),
        types::BLOCK_TABLE => Array::<BlockRow>::new(header, payload)?.check(),
        _ => Ok(()),
    }
}
