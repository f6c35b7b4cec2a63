//! A batch of runs: one record, compared with its checksum and looked through once, before its first use.

use std::sync::OnceLock;

use zerocopy::FromBytes;

use crate::base::{Error, Result};
use crate::memory::v2::runs::{Pages, address};
use crate::wire::v2::array::Array;
use crate::wire::v2::crc::crc32c;
use crate::wire::v2::{Broken, ObjectHeader, PageRun, Problem, Record};

/// A record with runs.
#[derive(Debug)]
pub(super) struct Batch {
    /// Which file, and where in it the record's header is.
    pub(super) part: usize,
    pub(super) offset: usize,
    /// The address of its first run, as it is read without looking at the checksum.
    pub(super) first: u64,
    /// Once it was looked through: where its runs are, or what is wrong with it.
    pub(super) state: OnceLock<Result<Marks>>,
}

/// The address of every 64th run: most of a search is among these.
pub(super) type Marks = Box<[u64]>;

/// Every how many runs the address of one is kept.
pub(super) const STRIDE: usize = 64;

/// So many bytes are summed and then looked at while they are in the processor's cache.
const CHUNK: usize = 16 << 10;

impl Batch {
    /// The array, whose header was looked at when the image was opened.
    #[inline]
    pub(super) fn array<'a>(&self, bytes: &'a [u8]) -> Option<Array<'a, PageRun>> {
        let (header, rest) = bytes.get(self.offset..)?.split_at_checked(size_of::<ObjectHeader>())?;
        let header = ObjectHeader::read(header).ok()?;
        let payload = rest.get(..usize::try_from(header.size()).ok()?)?;
        Array::new(header, payload).ok()
    }

    /// Compares it with its checksum and looks at all its runs; gives the addresses of some.
    ///
    /// Errors: the checksum is another; a run has other tags, does not ascend, overlaps the one before, or is not where
    /// pages can be.
    pub(super) fn check(&self, name: &str, bytes: &[u8], pages: Pages) -> Result<Marks> {
        let wrong = |offset: usize, what: String| Error::format(what).at_offset(offset as u64).in_image(name);
        let record = Record::read(bytes, self.offset).map_err(|broken| wrong(broken.offset, broken.to_string()))?;
        let array = Array::<PageRun>::new(record.header, record.payload)
            .map_err(|broken| wrong(self.offset, broken.to_string()))?;
        let mut sum = crc32c(0, record.header.head());
        let is_usual = array.as_slice().is_some() && !pages.is_extended;
        let mut state = Walk::new(pages.shift);
        for chunk in record.payload.chunks(CHUNK) {
            // in this order: what waits for memory is the loop that has time to
            if is_usual {
                state.add(chunk);
            }
            sum = crc32c(sum, chunk);
        }
        if sum != record.header.checksum() {
            let problem = Problem::Checksum { stored: record.header.checksum(), computed: sum };
            return Err(wrong(self.offset, Broken { offset: 0, problem }.to_string()));
        }
        let marks = || {
            let runs = (0..array.len()).step_by(STRIDE).filter_map(|index| array.get(index));
            runs.map(|run| address(run.vaddr(), pages.is_extended)).collect()
        };
        if is_usual && state.is_good() {
            return Ok(marks());
        }
        let start = record.end().saturating_sub(record.payload.len());
        let stride = record.payload.len().checked_div(array.len()).unwrap_or(0);
        let (mut before, mut end) = (None, 0);
        for (index, run) in array.iter().enumerate() {
            match one(run, before, end, pages) {
                Ok(behind) => end = behind,
                Err(what) => return Err(wrong(start.saturating_add(index.saturating_mul(stride)), what)),
            }
            before = Some(run.vaddr());
        }
        Ok(marks())
    }

    /// Whether the bytes have the checksum; nothing else is looked at.
    pub(super) fn has_checksum(&self, bytes: &[u8]) -> bool {
        Record::read(bytes, self.offset).is_ok_and(|record| record.check().is_ok())
    }
}

/// What is known while a batch is looked through: one loop without branches over what is nearly always right. Which run
/// is wrong, if one may be, is found afterwards.
struct Walk {
    /// Bits that all runs have, and bits that any has: of the tags both are the same.
    and: [u8; SIZE],
    or: [u8; SIZE],
    /// Its sign is set once a run begins before the one before ends, or has no pages.
    wrong: u64,
    /// Where the run before ends.
    end: u64,
    shift: u32,
}

/// Bytes of a run.
const SIZE: usize = size_of::<PageRun>();

impl Walk {
    fn new(shift: u32) -> Self {
        Self { and: [0xff; SIZE], or: [0; SIZE], wrong: 0, end: 0, shift }
    }

    fn add(&mut self, chunk: &[u8]) {
        let Self { mut and, mut or, mut wrong, mut end, shift } = *self;
        for run in chunk.as_chunks::<SIZE>().0 {
            for ((and, or), byte) in and.iter_mut().zip(&mut or).zip(run) {
                *and &= *byte;
                *or |= *byte;
            }
            let (start, pages) = numbers(run);
            wrong |= start.wrapping_sub(end) | pages.wrapping_sub(1);
            end = start.wrapping_add(pages.wrapping_shl(shift));
        }
        *self = Self { and, or, wrong, end, shift };
    }

    /// Whether all runs are right; if not, they have to be looked at one by one.
    fn is_good(&self) -> bool {
        let is_run = |bytes: &[u8; SIZE]| PageRun::ref_from_bytes(bytes).is_ok_and(PageRun::has_tags);
        let (starts, pages) = numbers(&self.or);
        // so far below the last address no difference is too large for its sign
        let is_low = starts >> 62 == 0 && pages.leading_zeros() >= self.shift.saturating_add(2);
        let is_aligned = starts.trailing_zeros() >= self.shift;
        is_run(&self.and) && is_run(&self.or) && is_low && is_aligned && self.wrong >> 63 == 0
    }
}

/// Address and number of pages.
#[inline]
fn numbers(run: &[u8; SIZE]) -> (u64, u64) {
    let [_, a, b, c, d, e, f, g, h, _, i, j, k, l, m, n, o, p, ..] = *run;
    (u64::from_le_bytes([a, b, c, d, e, f, g, h]), u64::from_le_bytes([i, j, k, l, m, n, o, p]))
}

/// Where a run ends, or what is wrong with it.
fn one(run: &PageRun, before: Option<u64>, end: u64, pages: Pages) -> Result<u64, String> {
    if !run.has_tags() {
        return Err(Broken { offset: 0, problem: Problem::Element }.to_string());
    }
    let start = address(run.vaddr(), pages.is_extended);
    let size = 1u64 << pages.shift;
    if start & size.wrapping_sub(1) != 0 {
        return Err(format!("expected an address that is a multiple of {size}, found {start:#x}"));
    }
    if pages.is_extended && start >> 32 != 0 {
        return Err(format!("expected an address of 32 bits, as those before, found {start:#x}"));
    }
    if before.is_some_and(|before| run.vaddr() <= before) || start < end {
        return Err(format!("expected an address from {end:#x} (runs ascend), found {start:#x}"));
    }
    let length = run.pages().checked_mul(size);
    length
        .and_then(|length| start.checked_add(length))
        .ok_or_else(|| format!("expected pages that fit the address space, found {} at {start:#x}", run.pages()))
}

#[cfg(test)]
mod tests {
    use zerocopy::IntoBytes;

    use super::*;

    /// What looks at one run after the other.
    fn one_by_one(runs: &[PageRun], pages: Pages) -> bool {
        let (mut before, mut end) = (None, 0);
        runs.iter().all(|run| match one(run, before, end, pages) {
            Ok(behind) => {
                (before, end) = (Some(run.vaddr()), behind);
                true
            }
            Err(_) => false,
        })
    }

    #[test]
    fn the_quick_look_takes_nothing_that_is_wrong() {
        let mut state = 7u64;
        let mut next = |below: u64| {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            (state >> 33) % below
        };
        let (mut good, mut wrong) = (0, 0);
        for round in 0..40_000 {
            let pages = Pages { shift: if round % 3 == 0 { 16 } else { 12 }, is_extended: false };
            let mut at = [0, 1 << 40, 1 << 61, 1 << 62, 1 << 63, u64::MAX << 20][usize::try_from(next(6)).unwrap()];
            let mut runs = Vec::new();
            for _ in 0..1 + next(5) {
                let odd = next(40);
                let length = match odd {
                    0 => 0,
                    1 => 1 << (40 + next(24)),
                    _ => 1 + next(9),
                };
                runs.push(PageRun::new(if odd == 2 { at + 1 } else { at }, length, next(100), 4));
                let gap = if odd == 3 { 0u64.wrapping_sub(next(4)) } else { next(4) };
                at = at.wrapping_add(length.wrapping_add(gap) << pages.shift);
            }
            let mut bytes = runs.as_bytes().to_vec();
            if next(30) == 0 {
                let at = usize::try_from(next(bytes.len() as u64)).unwrap();
                bytes[at] ^= 1 << next(8);
            }
            let runs = <[PageRun]>::ref_from_bytes(&bytes).unwrap();
            let mut walk = Walk::new(pages.shift);
            bytes.chunks(2 * SIZE).for_each(|chunk| walk.add(chunk));
            let is_right = one_by_one(runs, pages);
            assert!(is_right || !walk.is_good(), "{runs:x?}");
            let is_usual = runs.iter().all(|run| run.pages() > 0 && run.vaddr() < 1 << 60 && run.pages() < 1 << 40);
            assert!(!is_right || !is_usual || walk.is_good(), "{runs:x?}");
            good += u32::from(walk.is_good());
            wrong += u32::from(!is_right);
        }
        assert!(good > 10_000 && wrong > 5000, "{good} {wrong}");
    }
}
