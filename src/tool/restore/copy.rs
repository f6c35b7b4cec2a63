//! Bytes to restored memory: read or unpacked straight to where they belong, on all cores.

use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use rayon::iter::{IntoParallelIterator, ParallelIterator};

use crate::base::report::{Cancel, Progress};
use crate::base::reserve::{self, HUGE};
use crate::base::{Error, Result};
use crate::memory::Content;
use crate::tool::restore::map::{pieces, range};
use crate::tool::restore::memory::Memory;
use crate::tool::restore::plan::{Fragment, Image, Plan, What, cut};
use crate::tool::restore::{Way, cancelled};

/// Addresses of one piece of parallel work. It ends where a huge page does, so that no two threads ask for the same.
const PART: u64 = 2 * HUGE as u64;
/// So many bytes are backed with memory and then filled while the processor's cache still has them.
const STEP: usize = 256 << 10;
/// A huge page is asked for where so many of its bytes are copied: memory that nobody asked for stays small.
const DENSE: u64 = HUGE as u64 / 8 * 7;

/// A part of the work: fragments, and the memory that they are for as far as it is of this part.
struct Part<'p> {
    start: u64,
    fragments: &'p [Fragment],
}

/// Fills what has to be copied to.
pub(super) fn fill(
    plan: &Plan<'_>,
    way: Way,
    memory: &mut Memory,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<()> {
    let maps = way == Way::Map;
    let (_, total) = plan.count(|what| what.is_copied(maps));
    if total == 0 {
        return Ok(());
    }
    let filler = Filler {
        plan,
        maps,
        contents: contents(plan)?,
        page_size: plan.space.page_size(),
        total,
        done: AtomicU64::new(0),
        progress,
        cancel,
    };
    let (mut ranges, mut parts) = (Vec::new(), Vec::new());
    for area in &plan.areas {
        for piece in pieces(area) {
            // what is mapped cannot be written to in passing
            let stretches = piece.chunk_by(|a, b| filler.is_memory(a) && filler.is_memory(b));
            for stretch in stretches.filter(|stretch| stretch.first().is_some_and(|first| filler.is_memory(first))) {
                if area.huge {
                    filler.huge(stretch, memory);
                }
                filler.cut(stretch, &mut ranges, &mut parts);
            }
        }
    }
    let into = memory.parts_mut(&ranges)?;
    let work = (parts, into).into_par_iter();
    work.try_for_each_init(Vec::new, |scratch, (part, into)| filler.part(&part, into, scratch))
}

/// What pages files are that are no plain files.
fn contents(plan: &Plan<'_>) -> Result<Vec<Option<Bytes>>> {
    let open = |image: &Image| match &image.file {
        Some(_) => Ok(None),
        None => image.place.content().map(Some),
    };
    plan.images.iter().map(open).collect()
}

struct Filler<'a> {
    plan: &'a Plan<'a>,
    maps: bool,
    /// For each of the plan's images, its bytes where it has no file.
    contents: Vec<Option<Bytes>>,
    page_size: u64,
    total: u64,
    done: AtomicU64,
    progress: &'a dyn Progress,
    cancel: &'a Cancel,
}

impl Filler<'_> {
    /// Whether a fragment is fresh memory.
    fn is_memory(&self, fragment: &Fragment) -> bool {
        !(self.maps && matches!(fragment.what, What::Map { .. }))
    }

    fn is_copied(&self, fragment: &Fragment) -> bool {
        fragment.what.is_copied(self.maps)
    }

    /// How many bytes of a range are copied to, by fragments of which the first ends in it or behind.
    fn copied(&self, fragments: &[Fragment], range: &Range<u64>) -> u64 {
        let parts = fragments.iter().take_while(|fragment| fragment.start.0 < range.end);
        let copied = parts.filter(|fragment| self.is_copied(fragment));
        copied.fold(0, |sum, fragment| sum.saturating_add(length(&within(fragment, range))))
    }

    /// Asks for huge pages where whole ones are copied to.
    fn huge(&self, stretch: &[Fragment], memory: &mut Memory) {
        let all = range(stretch);
        let mut rest = stretch;
        let mut dense: Option<Range<u64>> = None;
        let mut at = all.start.checked_next_multiple_of(HUGE as u64).unwrap_or(all.end);
        while let Some(block) = at.checked_add(HUGE as u64).filter(|end| *end <= all.end).map(|end| at..end) {
            rest = rest.get(rest.partition_point(|fragment| fragment.end.0 <= at)..).unwrap_or_default();
            at = self.next(rest, &block);
            if self.copied(rest, &block) < DENSE {
                continue;
            }
            match &mut dense {
                Some(dense) if dense.end == block.start => dense.end = block.end,
                _ => prefer_huge(memory, dense.replace(block)),
            }
        }
        prefer_huge(memory, dense);
    }

    /// Cuts a stretch of memory into parts.
    fn cut<'p>(&self, stretch: &'p [Fragment], ranges: &mut Vec<Range<u64>>, parts: &mut Vec<Part<'p>>) {
        let all = range(stretch);
        let mut rest = stretch;
        let mut at = all.start;
        while at < all.end {
            let end = (at / PART).saturating_add(1).saturating_mul(PART).min(all.end);
            rest = rest.get(rest.partition_point(|fragment| fragment.end.0 <= at)..).unwrap_or_default();
            let fragments = rest.get(..rest.partition_point(|fragment| fragment.start.0 < end)).unwrap_or_default();
            if fragments.iter().any(|fragment| self.is_copied(fragment)) {
                ranges.push(at..end);
                parts.push(Part { start: at, fragments });
            }
            at = self.next(rest, &(end.saturating_sub(PART)..end));
        }
    }

    /// Where to go on behind a range, as far as its length fits: a mapping of many GiB that nobody touched is passed
    /// over at once.
    fn next(&self, fragments: &[Fragment], range: &Range<u64>) -> u64 {
        let behind = fragments.get(fragments.partition_point(|fragment| fragment.end.0 <= range.end)..);
        let next = behind.unwrap_or_default().iter().find(|fragment| self.is_copied(fragment));
        let length = length(range).max(1);
        next.map_or(u64::MAX, |next| range.end.max(next.start.0 / length * length))
    }

    fn part(&self, part: &Part<'_>, into: &mut [u8], scratch: &mut Vec<u8>) -> Result<()> {
        if self.cancel.is_cancelled() {
            return Err(cancelled());
        }
        let all = part.start..part.start.saturating_add(into.len() as u64);
        // up to where memory is backed
        let mut backed = part.start;
        let mut bytes = 0u64;
        for (number, fragment) in part.fragments.iter().enumerate() {
            if !self.is_copied(fragment) {
                continue;
            }
            let own = within(fragment, &all);
            let mut at = own.start;
            while at < own.end {
                if backed <= at {
                    let end = self.goes_on(part.fragments.get(number..).unwrap_or_default(), at).min(all.end);
                    backed = end;
                    // a page alone is backed as soon by writing to it; and where the kernel cannot, all are
                    let step = slice(into, part.start, at..end).filter(|step| step.len() as u64 > self.page_size);
                    step.map(reserve::populate);
                }
                // a block is not unpacked once for each step
                let end = if fragment.what == What::Unpack { own.end } else { own.end.min(backed) };
                let step = at..end;
                let into = slice(into, part.start, step.clone()).ok_or_else(|| outside(at))?;
                self.bytes(fragment, step.start, into, scratch)?;
                at = step.end;
            }
            bytes = bytes.saturating_add(length(&own));
        }
        let done = self.done.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        self.progress.advance(done, self.total);
        Ok(())
    }

    /// Up to where memory is backed at once, from an address in the first fragment on: as far as it is read to without
    /// a gap, and at most a step; or as far as it is unpacked to.
    fn goes_on(&self, fragments: &[Fragment], at: u64) -> u64 {
        if let Some(first) = fragments.first().filter(|first| first.what == What::Unpack) {
            return first.end.0;
        }
        let most = at.saturating_add(STEP as u64);
        let mut end = at;
        let is_read = |fragment: &&Fragment| self.is_copied(fragment) && fragment.what != What::Unpack;
        for fragment in fragments.iter().take_while(is_read) {
            end = fragment.end.0;
            if end >= most {
                return most;
            }
        }
        end
    }

    /// Fills memory that is of one fragment from `at` on.
    fn bytes(&self, fragment: &Fragment, at: u64, into: &mut [u8], scratch: &mut Vec<u8>) -> Result<()> {
        match fragment.what.at(at.saturating_sub(fragment.start.0)) {
            What::Map { image, offset } | What::Copy { image, offset } => {
                let number = usize::try_from(image).unwrap_or(usize::MAX);
                let image = self.plan.images.get(number).ok_or_else(|| outside(at))?;
                match &image.file {
                    Some(file) => read(file, image, offset, at, into),
                    None => {
                        let bytes = self.contents.get(number).and_then(Option::as_ref);
                        let from = usize::try_from(offset).unwrap_or(usize::MAX);
                        let bytes = bytes.and_then(|bytes| bytes.get(from..from.saturating_add(into.len())));
                        into.copy_from_slice(bytes.ok_or_else(|| cut(&image.name, offset, 0, at))?);
                        Ok(())
                    }
                }
            }
            _ => self.unpack(at, into, scratch),
        }
    }

    /// What the address space has from `at` on: blocks, and zeros that fresh memory has already.
    fn unpack(&self, at: u64, into: &mut [u8], scratch: &mut Vec<u8>) -> Result<()> {
        for run in self.plan.space.runs(at..at.saturating_add(into.len() as u64)) {
            match &run.content {
                Content::Stored(stored) => {
                    let into = slice(into, at, run.start..run.end).ok_or_else(|| outside(run.start))?;
                    stored.read_into(into, scratch).map_err(|error| error.at_page(run.start))?;
                }
                Content::Zero => {}
                _ => return Err(self.plan.space.fault(run.start)),
            }
        }
        Ok(())
    }
}

fn prefer_huge(memory: &mut Memory, range: Option<Range<u64>>) {
    if let Some(range) = range
        && let Some(part) = memory.bytes_mut(range)
    {
        // without them it takes longer, and is the same
        reserve::prefer_huge(part);
    }
}

/// Reads a part of a pages file straight to where it belongs.
fn read(file: &std::fs::File, image: &Image, offset: u64, at: u64, into: &mut [u8]) -> Result<()> {
    let mut filled = 0usize;
    while let Some(rest) = into.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let (from, address) = (offset.saturating_add(filled as u64), at.saturating_add(filled as u64));
        match file.read_at(rest, from) {
            Ok(0) => {
                return Err(cut(&image.name, from.saturating_add(rest.len() as u64), from, address).at_offset(from));
            }
            Ok(count) => filled = filled.saturating_add(count),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => {
                return Err(Error::io("cannot read", error).at_page(address).at_offset(from).in_image(&*image.name));
            }
        }
    }
    Ok(())
}

/// The part of a fragment that lies in a range.
fn within(fragment: &Fragment, range: &Range<u64>) -> Range<u64> {
    fragment.start.0.max(range.start)..fragment.end.0.min(range.end)
}

fn length(range: &Range<u64>) -> u64 {
    range.end.saturating_sub(range.start)
}

/// The addresses of `range` in memory that begins at `start`.
fn slice(into: &mut [u8], start: u64, range: Range<u64>) -> Option<&mut [u8]> {
    let behind = |address: u64| usize::try_from(address.checked_sub(start)?).ok();
    into.get_mut(behind(range.start)?..behind(range.end)?)
}

/// Only a plan that was changed by hand asks for it.
fn outside(address: u64) -> Error {
    Error::usage(format!("the plan has no memory at {address:#x}"))
}
