//! Restored memory: ranges of addresses of this process, by the addresses they had in the dumped one.

use std::fs::File;
use std::ops::Range;

use rustix::io::Errno;

use crate::base::reserve::{Protection, Reservation};
use crate::base::{Error, Result};
use crate::checkpoint::mm::Prot;
use crate::tool::restore::{Plan, Target};

/// Memory as the process had it. All addresses here are those of the dumped process. Dropping it frees the memory.
#[derive(Debug)]
pub struct Memory {
    /// Ascending.
    spans: Vec<Span>,
}

/// Areas without a gap between them.
#[derive(Debug)]
struct Span {
    start: u64,
    end: u64,
    reservation: Reservation,
}

impl Span {
    /// The part of the reservation for these addresses.
    fn part(&self, range: &Range<u64>) -> Option<Range<usize>> {
        let behind = |address: u64| usize::try_from(address.checked_sub(self.start)?).ok();
        (range.end <= self.end).then_some(behind(range.start)?..behind(range.end)?)
    }
}

impl Memory {
    /// Reserves all that a plan needs.
    pub(super) fn reserve(plan: &Plan<'_>, target: Target) -> Result<Self> {
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for area in &plan.areas {
            match ranges.last_mut() {
                Some((_, end)) if *end == area.start.0 => *end = area.end.0,
                _ => ranges.push((area.start.0, area.end.0)),
            }
        }
        let spans = ranges.into_iter().map(|(start, end)| {
            let none = || Error::limit(format!("{start:#x}-{end:#x} are no addresses of this machine"));
            let from = usize::try_from(start).map_err(|_| none())?;
            let to = usize::try_from(end).map_err(|_| none())?;
            let reservation = match target {
                Target::Anywhere => Reservation::anywhere(to.saturating_sub(from), from)?,
                Target::Exact => Reservation::exactly(from..to)?,
            };
            Ok(Span { start, end, reservation })
        });
        Ok(Self { spans: spans.collect::<Result<_>>()? })
    }

    fn position(&self, address: u64) -> Option<usize> {
        self.spans.partition_point(|span| span.start <= address).checked_sub(1)
    }

    fn span(&self, range: &Range<u64>) -> Option<(&Span, Range<usize>)> {
        let span = self.spans.get(self.position(range.start)?)?;
        Some((span, span.part(range)?))
    }

    fn span_mut(&mut self, range: &Range<u64>) -> Result<(&mut Span, Range<usize>), Errno> {
        let position = self.position(range.start).ok_or(Errno::INVAL)?;
        let span = self.spans.get_mut(position).ok_or(Errno::INVAL)?;
        let part = span.part(range).ok_or(Errno::INVAL)?;
        Ok((span, part))
    }

    /// Where an address of the dumped process is in this one; `None` if it has no private memory there.
    pub fn address(&self, address: u64) -> Option<usize> {
        let (span, part) = self.span(&(address..address.checked_add(1)?))?;
        span.reservation.start().checked_add(part.start)
    }

    /// The bytes of a range; `None` where not all of it was restored and may be read, or it goes on over what is
    /// between mappings.
    pub fn bytes(&self, range: Range<u64>) -> Option<&[u8]> {
        let (span, part) = self.span(&range)?;
        span.reservation.bytes(part)
    }

    /// The bytes of a range, to write; `None` where not all of it may be written. Writing does not reach the dump.
    pub fn bytes_mut(&mut self, range: Range<u64>) -> Option<&mut [u8]> {
        let (span, part) = self.span_mut(&range).ok()?;
        span.reservation.bytes_mut(part)
    }

    /// Leaves the memory where it is until the process ends: for who goes on to run in it.
    pub fn keep(self) {
        self.spans.into_iter().for_each(|span| std::mem::forget(span.reservation));
    }

    /// Puts fresh memory there.
    pub(super) fn anonymous(&mut self, range: Range<u64>, protection: Protection) -> Result<()> {
        let (span, part) = self.span_mut(&range).map_err(|error| refused(&range, error))?;
        span.reservation.anonymous(part, protection).map_err(|error| refused(&range, error))
    }

    /// Maps a part of a file there.
    pub(super) fn file(&mut self, range: Range<u64>, file: &File, offset: u64, protection: Protection) -> Result<()> {
        let (span, part) = self.span_mut(&range).map_err(|error| refused(&range, error))?;
        span.reservation.file(part, file, offset, protection).map_err(|error| refused(&range, error))
    }

    /// Changes what may be done with a range.
    pub(super) fn protect(&mut self, range: Range<u64>, protection: Protection) -> Result<()> {
        let (span, part) = self.span_mut(&range).map_err(|error| refused(&range, error))?;
        span.reservation.protect(part, protection).map_err(|error| refused(&range, error))
    }

    /// Ranges that ascend and do not overlap, to write to all of them at once.
    pub(super) fn parts_mut(&mut self, ranges: &[Range<u64>]) -> Result<Vec<&mut [u8]>> {
        let mut parts = Vec::with_capacity(ranges.len());
        let mut rest = ranges;
        for span in &mut self.spans {
            let (own, others) = rest.split_at(rest.partition_point(|range| range.start < span.end));
            rest = others;
            let (start, end) = (span.start, span.end);
            let ranges: Option<Vec<_>> = own.iter().map(|range| span.part(range)).collect();
            let open = ranges.and_then(|ranges| span.reservation.parts_mut(ranges.into_iter()));
            parts.extend(open.ok_or_else(|| refused(&(start..end), Errno::ACCESS))?);
        }
        if rest.is_empty() { Ok(parts) } else { Err(refused(&(0..0), Errno::INVAL)) }
    }
}

fn refused(range: &Range<u64>, error: Errno) -> Error {
    let refused = Error::io(format!("cannot map {:#x}-{:#x}", range.start, range.end), error);
    match error {
        Errno::NOMEM => refused.hint("the process may have too many maps: vm.max_map_count, or Options::maps"),
        Errno::ACCESS | Errno::PERM => {
            refused.hint("a file system mounted noexec does not let code be mapped: copy it")
        }
        _ => refused,
    }
}

/// Protection as the plan has it, as it goes to the kernel.
pub(super) fn protection(prot: Prot) -> Protection {
    Protection(prot.0)
}
