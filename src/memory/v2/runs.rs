//! The runs of a process or segment: batches in the map, each looked through before its first use, searched in place.

use std::sync::{Arc, OnceLock};

use crate::base::{Error, Result};
use crate::image::Kind;
use crate::memory::v2::batch::{Batch, Marks, STRIDE};
use crate::source::bundle::Bundle;
use crate::wire::v2::array::{Array, CONT, V1_FLAGS};
use crate::wire::v2::{ObjectHeader, PageRun, types};

/// What pages are like where the runs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pages {
    /// A page has 2 to the power of this many bytes.
    pub(super) shift: u32,
    /// Whether addresses are those of a 32-bit task, some with their sign extended.
    pub(super) is_extended: bool,
}

/// The runs of pages of a process or segment in one dump of version 2, as slices of the map.
pub struct PageRuns {
    pub(super) bundle: Arc<Bundle>,
    pub(super) batches: Vec<Batch>,
    pub(super) pages: Pages,
    /// What is wrong with the image itself: behind it, and between its batches, there may have been more.
    pub(super) fault: Option<Error>,
}

impl PageRuns {
    /// Finds the batches of an image; `kind` is [`Kind::Pagemap`] or [`Kind::PagemapShmem`], and `page_size` that of
    /// the machine that dumped. `None` if there is no such image. Its runs are not looked at yet.
    ///
    /// Errors: the page size is no power of two; the image has records that this version does not know and must.
    pub fn open(bundle: &Arc<Bundle>, kind: Kind, id: u64, page_size: u64) -> Result<Option<Self>> {
        let number = kind.number();
        if !bundle.has(number, id) {
            return Ok(None);
        }
        if !page_size.is_power_of_two() {
            return Err(Error::usage(format!("expected a page size that is a power of two, found {page_size}")));
        }
        let mut batches: Vec<Batch> = Vec::new();
        let mut fault = None;
        for record in bundle.records(number, id).unchecked() {
            let found = match record {
                Ok(found) => found,
                Err(error) if is_unknown(bundle, number, id, &error) => return Err(error),
                Err(error) => {
                    fault = Some(error);
                    break;
                }
            };
            let (part, record) = (found.part, found.record);
            if record.header.object_type() != types::PAGE_RUN {
                continue;
            }
            match Array::<PageRun>::new(record.header, record.payload) {
                Ok(array) => {
                    let Some(first) = array.get(0) else { continue };
                    let state = OnceLock::new();
                    batches.push(Batch { part, offset: record.offset, first: first.vaddr(), state });
                }
                Err(broken) => {
                    let error = Error::format(broken.to_string()).at_offset(record.offset as u64);
                    fault = Some(error.in_image(bundle.part_name(part).to_owned()));
                    break;
                }
            }
        }
        let pages = Pages { shift: page_size.trailing_zeros(), is_extended: false };
        let mut this = Self { bundle: bundle.clone(), batches, pages, fault };
        this.pages.is_extended = this.is_extended();
        if this.pages.is_extended {
            for batch in &mut this.batches {
                (batch.first, batch.state) = (address(batch.first, true), OnceLock::new());
            }
        }
        Ok(Some(this))
    }

    /// How many batches there are.
    pub fn batches(&self) -> usize {
        self.batches.len()
    }

    /// The runs of a batch, once they were looked through: they ascend, over all batches, and don't overlap.
    ///
    /// Errors: they don't, or the checksum is another.
    pub fn batch(&self, number: usize) -> Result<Array<'_, PageRun>, &Error> {
        let none = || self.fault.as_ref();
        let Some(batch) = self.batches.get(number) else { return none().map_or(Ok(Array::default()), Err) };
        self.looked(number, batch)?;
        Ok(self.array(batch).unwrap_or_default())
    }

    #[inline]
    fn looked<'a>(&self, number: usize, batch: &'a Batch) -> Result<&'a [u64], &'a Error> {
        batch.state.get_or_init(|| self.check(number)).as_deref()
    }

    /// The last run of those that begin at an address or before it, if the batch that would have it is good; and whether
    /// the batch goes on behind it.
    #[inline]
    pub(super) fn before(&self, address: u64) -> Option<(&PageRun, bool)> {
        let number = self.behind(address)?;
        let batch = self.batches.get(number)?;
        let marks = self.looked(number, batch).ok()?;
        let first = marks.partition_point(|start| *start <= address).checked_sub(1)?.checked_mul(STRIDE)?;
        let array = self.array(batch)?;
        let is_before = |run: &PageRun| self.start(run) <= address;
        let index = match array.as_slice() {
            Some(all) => {
                let some = all.get(first..first.saturating_add(STRIDE).min(all.len()))?;
                first.saturating_add(some.partition_point(is_before))
            }
            None => array.partition_point(is_before),
        };
        Some((array.get(index.checked_sub(1)?)?, index < array.len()))
    }

    #[inline]
    pub(super) fn is_good(&self, number: usize) -> bool {
        self.batch(number).is_ok()
    }

    /// Calls `each` for what version 1 has an entry for, in order: address, number of pages, flags.
    ///
    /// Errors: a batch is broken, the image is not complete, or `each` ends it.
    pub fn entries(&self, mut each: impl FnMut(u64, u64, u32) -> Result<()>) -> Result<()> {
        let mut last: Option<(u64, u64, u32)> = None;
        for number in 0..self.batches() {
            for run in self.batch(number).map_err(Clone::clone)?.iter() {
                match &mut last {
                    Some((_, pages, _)) if run.flags() & CONT != 0 => *pages = pages.saturating_add(run.pages()),
                    last => {
                        let next = (run.vaddr(), run.pages(), run.flags() & V1_FLAGS);
                        if let Some((vaddr, pages, flags)) = last.replace(next) {
                            each(vaddr, pages, flags)?;
                        }
                    }
                }
            }
        }
        if let Some((vaddr, pages, flags)) = last {
            each(vaddr, pages, flags)?;
        }
        self.fault.clone().map_or(Ok(()), Err)
    }

    /// What is wrong with the image besides its batches: it is cut, or not complete.
    pub fn fault(&self) -> Option<&Error> {
        self.fault.as_ref()
    }

    fn bytes(&self, batch: &Batch) -> &[u8] {
        self.bundle.bytes(batch.part).map_or(&[], |bytes| bytes)
    }

    pub(super) fn array(&self, batch: &Batch) -> Option<Array<'_, PageRun>> {
        batch.array(self.bytes(batch))
    }

    /// Where a run begins.
    #[inline]
    pub(super) fn start(&self, run: &PageRun) -> u64 {
        address(run.vaddr(), self.pages.is_extended)
    }

    /// Where a run ends, which was looked at.
    #[inline]
    pub(super) fn end(&self, run: &PageRun) -> u64 {
        self.start(run).saturating_add(run.pages().wrapping_shl(self.pages.shift))
    }

    /// The batch that an address is in or behind, if it is in one at all.
    pub(super) fn behind(&self, address: u64) -> Option<usize> {
        self.batches.partition_point(|batch| batch.first <= address).checked_sub(1)
    }

    /// Where a good batch begins and ends.
    pub(super) fn range(&self, number: usize) -> Option<(u64, u64)> {
        let array = self.batch(number).ok()?;
        let last = array.get(array.len().checked_sub(1)?)?;
        Some((self.batches.get(number)?.first, self.end(last)))
    }

    fn check(&self, number: usize) -> Result<Marks> {
        let Some(batch) = self.batches.get(number) else { return Ok(Marks::default()) };
        let name = self.bundle.part_name(batch.part);
        let marks = batch.check(name, self.bytes(batch), self.pages)?;
        // with those before and behind it is as with the runs in it: none reaches into another
        let ends = |batch: &Batch| {
            let array = self.array(batch)?;
            array.get(array.len().checked_sub(1)?).map(|run| self.end(run))
        };
        let before = number.checked_sub(1).and_then(|before| self.batches.get(before));
        for (one, next) in [(before, Some(batch)), (Some(batch), self.batches.get(number.saturating_add(1)))] {
            let (Some(one), Some(next)) = (one, next) else { continue };
            let other = if std::ptr::eq(one, batch) { next } else { one };
            let end = ends(one).unwrap_or(0);
            // what is broken there may say anything
            if end.max(one.first) > next.first && other.has_checksum(self.bytes(other)) {
                let what = format!("expected runs from {end:#x} on (runs ascend), found {:#x}", next.first);
                return Err(Error::format(what).at_offset(next.offset as u64).in_image(name));
            }
        }
        Ok(marks)
    }

    /// Whether this is a 32-bit task whose addresses above 2 GiB have their sign extended. A 64-bit task is known by
    /// the addresses before.
    fn is_extended(&self) -> bool {
        let last = || {
            let array = self.array(self.batches.last()?)?;
            array.get(array.len().checked_sub(1)?).map(PageRun::vaddr)
        };
        let is_signed = |vaddr: u64| vaddr >> 32 == SIGN;
        if !self.batches.iter().any(|batch| is_signed(batch.first)) && !last().is_some_and(is_signed) {
            return false;
        }
        let above = (0..self.batches.len()).find_map(|number| {
            let array = self.batch(number).ok()?;
            array.get(array.partition_point(|run| run.vaddr() >> 32 == 0))
        });
        above.is_some_and(|run| is_signed(run.vaddr()))
    }
}

/// Whether an error is about a record of a type that must be understood: nothing before it may be either.
fn is_unknown(bundle: &Bundle, kind: u32, id: u64, error: &Error) -> bool {
    let parts = bundle.sections(kind, id).iter().map(|section| section.part);
    let mut parts = parts.filter(|part| error.image() == Some(bundle.part_name(*part)));
    parts.any(|part| {
        let offset = error.offset().and_then(|offset| usize::try_from(offset).ok());
        let bytes = offset.and_then(|offset| bundle.bytes(part)?.get(offset..));
        let header = bytes.and_then(|bytes| ObjectHeader::read(bytes).ok());
        header.is_some_and(|header| header.object_type() & types::MUST != 0)
    })
}

/// The upper half of an address above 2 GiB in the dump of a 32-bit task.
const SIGN: u64 = 0xffff_ffff;

/// The address of a run, without the sign that dumps of 32-bit tasks extend.
#[inline]
pub(super) fn address(vaddr: u64, is_extended: bool) -> u64 {
    if is_extended && vaddr >> 32 == SIGN { vaddr & 0xffff_ffff } else { vaddr }
}
