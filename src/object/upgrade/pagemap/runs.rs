//! The runs of a pagemap, read in order, and the blocks of version 1 that they may be.

use crate::base::{Error, Result};
use crate::image::Kind;
use crate::source::bundle::{Bundle, Records};
use crate::wire::v2::array::Array;
use crate::wire::v2::{Codec, PageBlock, PageRun, Record, types};

/// `PE_PRESENT`.
const PRESENT: u32 = 4;

/// The runs of a pagemap in order. Each array is compared with its checksum and looked through when it is reached; it
/// ends behind the first error.
pub struct Runs<'a> {
    bundle: &'a Bundle,
    records: Records<'a>,
    array: Option<Array<'a, PageRun>>,
    next: usize,
    /// Where the runs before end.
    end: u64,
    page_size: u64,
    place: (usize, usize),
    has_ended: bool,
}

impl<'a> Runs<'a> {
    /// The runs of an image.
    pub fn new(bundle: &'a Bundle, kind: Kind, id: u64, page_size: u64) -> Self {
        let records = bundle.records(kind.number(), id);
        Self { bundle, records, array: None, next: 0, end: 0, page_size, place: (0, 0), has_ended: false }
    }

    #[cold]
    fn wrong(&mut self, what: String) -> Option<Result<PageRun>> {
        let (part, offset) = self.place;
        (self.array, self.has_ended) = (None, true);
        Some(Err(Error::format(what).at_offset(offset as u64).in_image(self.bundle.part_name(part))))
    }
}

impl Iterator for Runs<'_> {
    type Item = Result<PageRun>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_ended {
            return None;
        }
        loop {
            if let Some(run) = self.array.as_ref().and_then(|array| array.get(self.next)) {
                self.next = self.next.saturating_add(1);
                let end = run.pages().checked_mul(self.page_size).and_then(|bytes| run.vaddr().checked_add(bytes));
                return match end {
                    Some(end) if run.vaddr() >= self.end => {
                        self.end = end;
                        Some(Ok(*run))
                    }
                    _ => self.wrong(format!(
                        "expected runs that ascend, found {} pages at {:#x} behind {:#x}",
                        run.pages(),
                        run.vaddr(),
                        self.end
                    )),
                };
            }
            self.array = None;
            let found = match self.records.next()? {
                Ok(found) => found,
                Err(error) => return Some(Err(error)),
            };
            if found.record.header.object_type() != types::PAGE_RUN {
                continue;
            }
            self.place = (found.part, found.record.offset);
            match checked(&found.record) {
                Ok(array) => (self.array, self.next) = (Some(array), 0),
                Err(broken) => return self.wrong(broken.to_string()),
            }
        }
    }
}

fn checked<'a>(record: &Record<'a>) -> Result<Array<'a, PageRun>, crate::wire::v2::Broken> {
    record.check()?;
    let array = Array::new(record.header, record.payload)?;
    array.check()?;
    Ok(array)
}

/// The units that have the pages of a run in blocks: of each block of pages, which of its units. `None` if there are
/// no such blocks, a unit is not all of the run's, or `take` says so.
pub(super) fn units<'a>(
    bundle: &'a Bundle,
    run: &PageRun,
    mut take: impl FnMut(&PageBlock<'a>, std::ops::Range<usize>) -> Option<()>,
) -> Option<()> {
    let blocks = bundle.blocks().ok()?;
    let (mut page, end) = (run.page(), run.page().checked_add(run.pages())?);
    while page < end {
        let at = blocks.get(blocks.find(page)?)?;
        let record = Record::read(bundle.bytes(at.part)?, usize::try_from(at.offset).ok()?).ok()?;
        let block = PageBlock::read(record.payload).ok()?;
        if block.codec != Codec::Lz4 || block.first != at.first || u64::from(block.pages) != at.pages {
            return None;
        }
        let behind = block.first.checked_add(at.pages)?.min(end);
        let (from, to) = (page.checked_sub(block.first)?, behind.checked_sub(block.first)?);
        let unit = u64::from(block.unit);
        // only the last unit of an entry is shorter, and then its block ends with it
        if !from.is_multiple_of(unit) || (!to.is_multiple_of(unit) && to != at.pages) {
            return None;
        }
        let range = usize::try_from(from / unit).ok()?..usize::try_from(to.div_ceil(unit)).ok()?;
        take(&block, range)?;
        page = behind;
    }
    Some(())
}

/// Whether the pages of a run were in the pages file.
pub fn is_present(run: &PageRun) -> bool {
    run.flags() & PRESENT != 0
}
