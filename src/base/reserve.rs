//! Ranges of addresses for restored memory: reserved first, then opened piece by piece. ⚠ `unsafe` is allowed here.
//!
//! Memory at addresses of somebody's choosing is what no safe interface of the system gives. A [`Reservation`] owns
//! its whole range from the first moment on, so whatever is mapped later replaces what is its own and nothing else of
//! the process; it keeps in mind what is open to reading and writing, and hands out slices of that only.
//!
//! Bytes of a file that is mapped privately are the file's until they are written to, so [what holds for the read-only
//! map](crate::base::map) holds here too: who changes the file changes what is read, who truncates it makes the next
//! access raise SIGBUS.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::fs::File;
use std::ops::Range;

use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, MprotectFlags, ProtFlags};

use crate::base::{Error, Result};

/// Bytes of a huge page where pages have 4 KiB.
pub const HUGE: usize = 2 << 20;

/// What may be done with memory: bits as of mmap, 1 read, 2 write, 4 execute; others are passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protection(pub u32);

impl Protection {
    /// Reading and writing.
    pub const READ_WRITE: Self = Self(3);

    fn covers(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    fn map(self) -> ProtFlags {
        ProtFlags::from_bits_truncate(self.0 & 7)
    }
}

/// A range of addresses that nothing else in the process uses. Nothing in it can be touched until it is opened.
/// Dropping it frees all of it.
#[derive(Debug)]
pub struct Reservation {
    /// Its first address, whose provenance the kernel's answer exposed.
    start: usize,
    length: usize,
    /// What is open: where a piece begins, in bytes from the start; where it ends, and what may be done there.
    open: BTreeMap<usize, (usize, Protection)>,
    /// Ranges that a failed map may have freed, in bytes from the start, in no order: somebody else may have got them.
    lost: Vec<Range<usize>>,
}

impl Reservation {
    /// Reserves `length` bytes wherever there is room, at an address that `like` lies at in its huge page: so what fits
    /// huge pages there fits them here.
    ///
    /// Errors: there is no room, or `length` is 0 or no number of whole pages.
    pub fn anywhere(length: usize, like: usize) -> Result<Self> {
        let failed = |error: Errno| Error::io(format!("cannot reserve {length:#x} bytes of addresses"), error);
        let slack = if length >= HUGE { HUGE } else { 0 };
        let all = length.checked_add(slack).ok_or_else(|| failed(Errno::NOMEM))?;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: without MAP_FIXED the kernel finds a range that nobody uses.
        let found = unsafe { rustix::mm::mmap_anonymous(std::ptr::null_mut(), all, ProtFlags::empty(), flags) };
        let mut this = Self {
            start: found.map_err(failed)?.expose_provenance(),
            length: all,
            open: BTreeMap::new(),
            lost: Vec::new(),
        };
        if slack > 0 {
            let before = like.wrapping_sub(this.start) & (HUGE - 1);
            this.trim(before, length).map_err(failed)?;
        }
        Ok(this)
    }

    /// Gives back what is before `before` and what is behind the `length` bytes from there.
    fn trim(&mut self, before: usize, length: usize) -> Result<(), Errno> {
        let behind = self.length.saturating_sub(before).saturating_sub(length);
        if before > 0 {
            // SAFETY: the range is the beginning of the reservation, of which nothing was handed out.
            unsafe { rustix::mm::munmap(pointer(self.start), before) }?;
            self.start = self.start.wrapping_add(before);
            self.length = self.length.saturating_sub(before);
        }
        if behind > 0 {
            // SAFETY: the range is the end of the reservation, of which nothing was handed out.
            unsafe { rustix::mm::munmap(pointer(self.start.wrapping_add(length)), behind) }?;
            self.length = length;
        }
        Ok(())
    }

    /// Reserves just these addresses.
    ///
    /// Errors: something is there already (`io_kind` is `AlreadyExists`), or the kernel does not give these addresses
    /// to a program.
    pub fn exactly(range: Range<usize>) -> Result<Self> {
        let failed = |error: Errno| {
            Error::io(format!("cannot reserve the addresses {:#x}-{:#x}", range.start, range.end), error)
        };
        let length = range.end.saturating_sub(range.start);
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED_NOREPLACE;
        // SAFETY: MAP_FIXED_NOREPLACE fails rather than to replace anything; kernels that do not know it take the
        // address for a hint and find a range that nobody uses.
        let found = unsafe { rustix::mm::mmap_anonymous(pointer(range.start), length, ProtFlags::empty(), flags) };
        let this =
            Self { start: found.map_err(failed)?.expose_provenance(), length, open: BTreeMap::new(), lost: Vec::new() };
        // such a kernel's answer is given back as it is dropped
        if this.start == range.start { Ok(this) } else { Err(failed(Errno::EXIST)) }
    }

    /// Its first address in this process.
    pub fn start(&self) -> usize {
        self.start
    }

    /// Its bytes.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Where a range of it is, if it has such a range.
    fn place(&self, range: &Range<usize>) -> Option<*mut c_void> {
        let is_own = self.lost.iter().all(|lost| range.end <= lost.start || lost.end <= range.start);
        let is_within = range.start < range.end && range.end <= self.length;
        (is_within && is_own).then(|| pointer(self.start.wrapping_add(range.start)))
    }

    /// Puts fresh memory there, all zeros, whatever there was. Ranges are in bytes from the start.
    ///
    /// Errors: the range is not of the reservation, or the kernel refuses; the range may then be lost to it.
    pub fn anonymous(&mut self, range: Range<usize>, protection: Protection) -> Result<(), Errno> {
        let place = self.place(&range).ok_or(Errno::INVAL)?;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED;
        let length = range.end.saturating_sub(range.start);
        // SAFETY: what is replaced lies in the reservation, and `&mut self` says that no slice of it is in use.
        let done = unsafe { rustix::mm::mmap_anonymous(place, length, protection.map(), flags) };
        self.mapped(done.map(|_| ()), range, protection)
    }

    /// Puts a part of a file there, privately: what is written there does not reach the file.
    ///
    /// Errors: the range is not of the reservation, or the kernel refuses: the file cannot be mapped, the process has
    /// as many maps as it may have. The range may then be lost to the reservation.
    pub fn file(&mut self, range: Range<usize>, file: &File, offset: u64, protection: Protection) -> Result<(), Errno> {
        let place = self.place(&range).ok_or(Errno::INVAL)?;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED;
        let length = range.end.saturating_sub(range.start);
        // SAFETY: what is replaced lies in the reservation, and `&mut self` says that no slice of it is in use. What a
        // change of the file can do is told in the module's documentation.
        let done = unsafe { rustix::mm::mmap(place, length, protection.map(), flags, file, offset) };
        self.mapped(done.map(|_| ()), range, protection)
    }

    /// Changes what may be done with a range, whatever is there.
    ///
    /// Errors: the range is not of the reservation, or the kernel refuses.
    pub fn protect(&mut self, range: Range<usize>, protection: Protection) -> Result<(), Errno> {
        let place = self.place(&range).ok_or(Errno::INVAL)?;
        let length = range.end.saturating_sub(range.start);
        let flags = MprotectFlags::from_bits_truncate(protection.0 & 7);
        // SAFETY: the range lies in the reservation, and `&mut self` says that no slice of it is in use.
        let done = unsafe { rustix::mm::mprotect(place, length, flags) };
        self.done(done, range, protection)
    }

    /// Keeps in mind what a map did. One that fails may have unmapped what it was to replace, and then the range is no
    /// longer the reservation's: it is given up, so that nothing of somebody else's is ever replaced or freed.
    fn mapped(&mut self, done: Result<(), Errno>, range: Range<usize>, protection: Protection) -> Result<(), Errno> {
        // these are found before anything is unmapped
        if let Err(error) = done
            && !matches!(error, Errno::ACCESS | Errno::PERM | Errno::INVAL | Errno::BADF)
        {
            self.lost.push(range.clone());
        }
        self.done(done, range, protection)
    }

    /// Keeps in mind what a range is open to; to nothing after a failure, which may have happened halfway.
    fn done(&mut self, done: Result<(), Errno>, range: Range<usize>, protection: Protection) -> Result<(), Errno> {
        self.set(range, if done.is_ok() { protection } else { Protection(0) });
        done
    }

    fn set(&mut self, range: Range<usize>, protection: Protection) {
        if let Some((_, (end, old))) = self.open.range_mut(..range.start).next_back()
            && *end > range.start
        {
            let (rest, old) = (*end, *old);
            *end = range.start;
            if rest > range.end {
                self.open.insert(range.end, (rest, old));
            }
        }
        while let Some((&at, &(end, old))) = self.open.range(range.clone()).next() {
            self.open.remove(&at);
            if end > range.end {
                self.open.insert(range.end, (end, old));
            }
        }
        match self.open.range_mut(..range.start).next_back() {
            Some((_, (end, same))) if *end == range.start && *same == protection => *end = range.end,
            _ => {
                self.open.insert(range.start, (range.end, protection));
            }
        }
    }

    /// Whether all of a range is open to what `wanted` says.
    fn is_open(&self, range: &Range<usize>, wanted: Protection) -> bool {
        let first = self.open.range(..=range.start).next_back().map_or(range.start, |(at, _)| *at);
        let mut behind = range.start;
        for (at, (end, protection)) in self.open.range(first..range.end) {
            if *at > behind || !protection.covers(wanted) {
                return false;
            }
            behind = *end;
        }
        behind >= range.end
    }

    /// The bytes of a range; `None` where not all of it may be read.
    pub fn bytes(&self, range: Range<usize>) -> Option<&[u8]> {
        let place = self.place(&range).filter(|_| self.is_open(&range, Protection(1)))?;
        // SAFETY: all of the range is mapped and may be read, and it stays so as long as `&self` is borrowed. It holds
        // bytes, which are initialised whatever they are.
        Some(unsafe { std::slice::from_raw_parts(place.cast(), range.len()) })
    }

    /// The bytes of a range, to write; `None` where not all of it may be read and written.
    pub fn bytes_mut(&mut self, range: Range<usize>) -> Option<&mut [u8]> {
        self.parts_mut(std::iter::once(range))?.pop()
    }

    /// Several ranges at once; `None` where one may not be read and written, or begins before the one before it ends.
    pub fn parts_mut(&mut self, ranges: impl Iterator<Item = Range<usize>>) -> Option<Vec<&mut [u8]>> {
        let mut parts = Vec::with_capacity(ranges.size_hint().0);
        let mut behind = 0usize;
        for range in ranges {
            let is_apart = range.start >= behind && self.is_open(&range, Protection::READ_WRITE);
            let place = self.place(&range).filter(|_| is_apart)?;
            behind = range.end;
            // SAFETY: all of the range may be read and written, and stays so as long as the slices borrow `&mut self`;
            // no two overlap, since they ascend.
            parts.push(unsafe { std::slice::from_raw_parts_mut(place.cast(), range.len()) });
        }
        Some(parts)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.lost.sort_unstable_by_key(|lost| lost.start);
        let mut at = 0;
        for lost in std::mem::take(&mut self.lost).into_iter().chain(std::iter::once(self.length..self.length)) {
            if at < lost.start {
                let (place, length) = (pointer(self.start.wrapping_add(at)), lost.start.saturating_sub(at));
                // SAFETY: the range is the reservation's own, and slices of it cannot outlive it. A failure leaves it
                // mapped.
                let _ = unsafe { rustix::mm::munmap(place, length) };
            }
            at = lost.end;
        }
    }
}

/// The address with the provenance that the kernel's answers exposed.
fn pointer(address: usize) -> *mut c_void {
    std::ptr::with_exposed_provenance_mut(address)
}

/// Asks for huge pages where `part` covers whole ones; whether the kernel heard it.
pub fn prefer_huge(part: &mut [u8]) -> bool {
    advise(part, HUGE, Advice::LinuxHugepage)
}

/// Has the kernel back the whole pages of `part` with memory, all at once instead of one by one as they are touched;
/// whether it did. Kernels before 5.14 do not, and then nothing has changed.
pub fn populate(part: &mut [u8]) -> bool {
    advise(part, rustix::param::page_size(), Advice::LinuxPopulateWrite)
}

/// Advice that changes no byte, on the whole units within `part`.
fn advise(part: &mut [u8], unit: usize, advice: Advice) -> bool {
    let start = part.as_ptr().addr();
    let before = start.next_multiple_of(unit).saturating_sub(start);
    let length = part.len().saturating_sub(before) & !unit.wrapping_sub(1);
    let Some(inner) = part.get_mut(before..).and_then(|inner| inner.get_mut(..length)).filter(|_| length > 0) else {
        return false;
    };
    // SAFETY: the range is exclusively borrowed memory, and neither advice that is given here changes what it holds.
    unsafe { rustix::mm::madvise(inner.as_mut_ptr().cast(), length, advice) }.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const PAGE: usize = 4096;

    #[test]
    fn only_what_is_open_is_handed_out() {
        let mut space = Reservation::anywhere(8 * PAGE, 0).unwrap();
        assert!(space.bytes(0..PAGE).is_none());
        space.anonymous(PAGE..4 * PAGE, Protection::READ_WRITE).unwrap();
        assert!(space.bytes(0..2 * PAGE).is_none() && space.bytes(3 * PAGE..5 * PAGE).is_none());
        space.bytes_mut(PAGE..4 * PAGE).unwrap().fill(7);
        space.protect(2 * PAGE..3 * PAGE, Protection(1)).unwrap();
        assert!(space.bytes_mut(PAGE..3 * PAGE).is_none());
        assert_eq!(space.bytes(PAGE..4 * PAGE).unwrap(), [7; 3 * PAGE]);
        space.anonymous(2 * PAGE..3 * PAGE, Protection::READ_WRITE).unwrap();
        assert_eq!(space.bytes(2 * PAGE..3 * PAGE).unwrap(), [0; PAGE]);
        space.protect(2 * PAGE..3 * PAGE, Protection(0)).unwrap();
        assert!(space.bytes(PAGE..3 * PAGE).is_none() && space.bytes(PAGE..2 * PAGE).is_some());
        assert!(space.anonymous(7 * PAGE..9 * PAGE, Protection(1)).is_err());
        assert!(space.bytes(8 * PAGE..8 * PAGE).is_none());
    }

    #[test]
    fn parts_are_apart() {
        let mut space = Reservation::anywhere(4 * PAGE, 0).unwrap();
        space.anonymous(0..4 * PAGE, Protection::READ_WRITE).unwrap();
        let parts = space.parts_mut([0..10, 10..20, 2 * PAGE..3 * PAGE].into_iter()).unwrap();
        assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [10, 10, PAGE]);
        assert!(space.parts_mut([0..10, 9..20].into_iter()).is_none());
        assert!(space.parts_mut([5..10, 0..2].into_iter()).is_none());
    }

    #[test]
    fn a_file_is_mapped_privately() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[1; 2 * PAGE]).unwrap();
        let mut space = Reservation::anywhere(4 * PAGE, 0).unwrap();
        space.file(PAGE..2 * PAGE, &file, PAGE as u64, Protection::READ_WRITE).unwrap();
        let bytes = space.bytes_mut(PAGE..2 * PAGE).unwrap();
        assert_eq!(bytes, [1; PAGE]);
        bytes.fill(2);
        let mut again = vec![0; PAGE];
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut again, PAGE as u64).unwrap();
        assert_eq!(again, [1; PAGE]);
    }

    #[test]
    fn what_a_failed_map_may_have_freed_is_given_up() {
        let mut space = Reservation::anywhere(4 * PAGE, 0).unwrap();
        space.anonymous(0..4 * PAGE, Protection::READ_WRITE).unwrap();
        // found by the file system, when the kernel may have unmapped the range
        let odd = File::open("/proc/self/status").unwrap();
        space.file(PAGE..2 * PAGE, &odd, 0, Protection::READ_WRITE).unwrap_err();
        assert!(space.bytes(PAGE..2 * PAGE).is_none() && space.bytes(0..PAGE).is_some());
        assert_eq!(space.anonymous(0..2 * PAGE, Protection::READ_WRITE), Err(Errno::INVAL));
        space.bytes_mut(2 * PAGE..4 * PAGE).unwrap().fill(1);
        // found beforehand
        let writable = File::options().write(true).open("/dev/null").unwrap();
        space.file(2 * PAGE..3 * PAGE, &writable, 0, Protection::READ_WRITE).unwrap_err();
        space.anonymous(2 * PAGE..3 * PAGE, Protection::READ_WRITE).unwrap();
        let start = space.start();
        drop(space);
        // what may be another's is left alone
        // (other tests may take what is free)
        if let Ok(again) = Reservation::exactly(start + 2 * PAGE..start + 4 * PAGE) {
            assert_eq!(again.len(), 2 * PAGE);
        }
    }

    #[test]
    fn what_is_taken_is_not_reserved_again() {
        let space = Reservation::anywhere(3 * HUGE, 5 * PAGE).unwrap();
        assert_eq!((space.start() % HUGE, space.len()), (5 * PAGE, 3 * HUGE));
        let (start, end) = (space.start(), space.start() + space.len());
        let error = Reservation::exactly(end - PAGE..end + PAGE).unwrap_err();
        assert_eq!(error.io_kind(), Some(std::io::ErrorKind::AlreadyExists));
        assert!(error.to_string().contains(&format!("{:#x}-{:#x}", end - PAGE, end + PAGE)), "{error}");
        drop(space);
        // other tests may take it meanwhile
        if let Ok(again) = Reservation::exactly(start..end) {
            assert_eq!(again.start(), start);
        }
    }

    #[test]
    fn advice_keeps_the_bytes() {
        let mut space = Reservation::anywhere(2 * HUGE, PAGE).unwrap();
        space.anonymous(0..2 * HUGE, Protection::READ_WRITE).unwrap();
        let bytes = space.bytes_mut(0..2 * HUGE).unwrap();
        bytes[HUGE] = 9;
        prefer_huge(bytes);
        populate(bytes);
        assert_eq!((bytes[HUGE], bytes[0]), (9, 0));
        assert!(!populate(&mut bytes[1..100]), "no whole page");
    }
}
