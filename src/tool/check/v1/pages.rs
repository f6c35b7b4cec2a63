//! Point 19: pages that are stored twice. A table of bounded size proposes which are equal, comparing their bytes
//! decides: what is found is so, and of very large dumps some may be missed.

use rayon::prelude::*;

use crate::base::report::{Cancel, Progress};
use crate::base::{Listing, Result};
use crate::checkpoint::Checkpoint;
use crate::image::Kind;
use crate::memory::{Content, Pages, Run, Stored, Twins, twins};
use crate::tool::check::v1::survey::{Survey, go_on};
use crate::tool::check::v1::wish::Wish;

/// Stored bytes of one piece of work, and of what is hashed before the next is collected.
const PIECE: u64 = 1 << 20;
const BATCH: u64 = 64 << 20;
/// So many pieces are collected at most.
const PIECES: usize = 2048;

/// Pages of the dump itself; those of its parents are not counted.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    pages: u64,
    zero: u64,
    /// Equal to one that was met before, wherever that was.
    equal: u64,
    /// Equal to one of another task at the same address.
    same_address: u64,
    broken: u64,
}

pub(super) fn wish(survey: &Survey<'_>, control: (&dyn Progress, &Cancel)) -> Result<Wish> {
    let dump = survey.dump;
    let page_size = dump.page_size();
    let counts = Work::new(dump, control).all()?;
    let bytes = |pages: u64| pages.saturating_mul(page_size);
    let once = counts.pages.saturating_sub(counts.zero).saturating_sub(counts.equal);
    let v2 = if survey.v2.is_some() { dump.stored_bytes() } else { bytes(once) };
    let saved = bytes(counts.pages).saturating_sub(v2);
    let answer = match survey.v2 {
        Some(_) => format!("each content stands once, zeros nowhere: {v2} bytes are stored, {saved} saved"),
        None => format!("each content stands once, zeros nowhere: {saved} bytes less, before packing"),
    };
    let here = format!(
        "of {} pages {} equal one of another task at the same address, {} equal some other page, {} are zeros",
        counts.pages, counts.same_address, counts.equal, counts.zero
    );
    let wish = Wish::new(19, "pages of areas that are not yet copied on write are stored twice");
    let wish = wish.here(here).bytes(bytes(counts.pages), Some(v2)).version2(answer);
    let wish = wish.count("pages", counts.pages).count("zero", counts.zero).count("equal", counts.equal);
    Ok(wish.count("same_address", counts.same_address).count("broken", counts.broken).count("page_size", page_size))
}

struct Work<'d> {
    dump: &'d Checkpoint,
    /// Pages met, by content.
    any: Twins,
    /// Pages of tasks met, by content and address.
    placed: Twins,
    counts: Counts,
    done: u64,
    total: u64,
    control: (&'d dyn Progress, &'d Cancel),
}

/// A piece of stored bytes, and its address; a segment's has none that counts.
struct Piece<'a> {
    stored: Stored<'a>,
    address: Option<u64>,
}

/// What was found in a piece: zeros, the offsets and fingerprints of other pages, pages that cannot be read.
#[derive(Default)]
struct Hashed {
    zero: u64,
    pages: Vec<(usize, u64)>,
    broken: u64,
}

impl<'d> Work<'d> {
    fn new(dump: &'d Checkpoint, control: (&'d dyn Progress, &'d Cancel)) -> Self {
        let (size, total) = (dump.page_size(), dump.stored_bytes());
        let pages = total.checked_div(size).unwrap_or(0);
        let table = || Twins::new(pages, size);
        Self { dump, any: table(), placed: table(), counts: Counts::default(), done: 0, total, control }
    }

    fn all(mut self) -> Result<Counts> {
        let Listing { items: tasks, .. } = self.dump.tasks_or_one(None)?;
        for task in &tasks {
            // what cannot be read is told where memory is checked
            let Ok(Some(space)) = task.address_space() else { continue };
            if let Some(pages) = space.own() {
                self.pages(pages, true)?;
            }
        }
        for image in self.dump.images_of(Kind::PagemapShmem) {
            let Ok(space) = self.dump.segment(image.id) else { continue };
            if let Some(pages) = space.pages() {
                self.pages(pages, false)?;
            }
        }
        Ok(self.counts)
    }

    fn pages(&mut self, pages: &Pages, is_task: bool) -> Result<()> {
        let size = pages.page_size().max(1);
        let mut batch: Vec<Piece<'_>> = Vec::new();
        let mut collected = 0u64;
        for run in pages.runs(0..u64::MAX) {
            if matches!(run.content, Content::Zero) {
                let count = run.len().checked_div(size).unwrap_or(0);
                self.counts.pages = self.counts.pages.saturating_add(count);
                self.counts.zero = self.counts.zero.saturating_add(count);
            }
            for (address, stored) in cut(run) {
                collected = collected.saturating_add(stored.len() as u64);
                batch.push(Piece { stored, address: is_task.then_some(address) });
                if collected >= BATCH || batch.len() >= PIECES {
                    self.compare(&batch, pages, size)?;
                    (collected, _) = (0, batch.clear());
                }
            }
        }
        self.compare(&batch, pages, size)
    }

    fn compare(&mut self, batch: &[Piece<'_>], pages: &Pages, size: u64) -> Result<()> {
        go_on(self.control.1)?;
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let hashed: Vec<Hashed> = batch.par_iter().map(|piece| hash(&piece.stored, size)).collect();
        for (piece, hashed) in batch.iter().zip(hashed) {
            let length = piece.stored.len();
            self.done = self.done.saturating_add(length as u64);
            self.counts.pages = self.counts.pages.saturating_add(length.checked_div(size).unwrap_or(0) as u64);
            self.counts.zero = self.counts.zero.saturating_add(hashed.zero);
            self.counts.broken = self.counts.broken.saturating_add(hashed.broken);
            let (any, placed) = (self.any.file(pages, &piece.stored), self.placed.file(pages, &piece.stored));
            // one after the other: which of two is the first is then the same each time
            for (at, hash) in hashed.pages {
                if self.any.met(&piece.stored, any, at, hash) {
                    self.counts.equal = self.counts.equal.saturating_add(1);
                }
                if let Some(address) = piece.address {
                    let hash = with_address(hash, address.saturating_add(at as u64));
                    if self.placed.met(&piece.stored, placed, at, hash) {
                        self.counts.same_address = self.counts.same_address.saturating_add(1);
                    }
                }
            }
        }
        self.control.0.advance(self.done.min(self.total), self.total);
        Ok(())
    }
}

/// 64 bits for a content at an address.
fn with_address(hash: u64, address: u64) -> u64 {
    (hash ^ address.rotate_left(21)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) ^ hash
}

fn hash(stored: &Stored<'_>, size: usize) -> Hashed {
    let mut hashed = Hashed::default();
    let mut unpacked = Vec::new();
    match stored.bytes(&mut unpacked) {
        Ok(bytes) => {
            for (number, page) in bytes.chunks(size.max(1)).enumerate() {
                match page.chunks(64).all(|line| line.iter().fold(0, |all, byte| all | byte) == 0) {
                    true => hashed.zero = hashed.zero.saturating_add(1),
                    false => hashed.pages.push((number.saturating_mul(size), twins::fingerprint(page))),
                }
            }
        }
        Err(_) => hashed.broken = stored.len().checked_div(size).unwrap_or(0) as u64,
    }
    hashed
}

/// What the dump itself stores of a run, in pieces with their addresses; blocks stay whole, or they would be unpacked
/// more than once.
fn cut(run: Run<'_>) -> impl Iterator<Item = (u64, Stored<'_>)> {
    let step = match &run.content {
        Content::Stored(stored) if stored.is_plain() => PIECE,
        _ => u64::MAX,
    };
    let mut at = run.start;
    std::iter::from_fn(move || {
        let part = run.within(at..at.saturating_add(step))?;
        let address = std::mem::replace(&mut at, part.end);
        match part.content {
            Content::Stored(stored) if stored.level() == 0 => Some((address, stored)),
            _ => None,
        }
    })
}
