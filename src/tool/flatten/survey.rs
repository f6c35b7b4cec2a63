//! All pagemaps through the chain, before anything is written: is every page somewhere, and what is to be done.

use std::collections::HashMap;

use crate::base::report::Cancel;
use crate::base::{Error, Result};
use crate::checkpoint::{Checkpoint, ImageName};
use crate::image::Kind;
use crate::tool::flatten::holes::Holes;
use crate::tool::flatten::kept::{self, Keeper, Kept};
use crate::tool::flatten::object::{Object, Own, Step, What};
use crate::tool::flatten::report::{Counts, Level};

/// What is to be done.
pub(super) struct Survey {
    /// Pagemaps that are written anew.
    pub(super) plans: Vec<Plan>,
    pub(super) counts: Counts,
    /// Whether blocks stay as they are.
    pub(super) keeps: bool,
    /// Bytes of pages in the largest block that does; 0 without.
    pub(super) largest: u64,
    /// Bytes that will be moved for `plans`.
    pub(super) bytes: u64,
    /// Stretches of pages that lie in holes of ancestors' files.
    pub(super) holes: u64,
    /// Whether the dump needs no other one, and says so.
    pub(super) is_whole: bool,
}

/// A pagemap that is written anew, with its pages file.
pub(super) struct Plan {
    pub(super) name: ImageName,
    pub(super) pages: String,
    /// Bytes that will be moved.
    pub(super) bytes: u64,
    /// What is to be done, where that is kept and no pagemap keeps blocks.
    pub(super) kept: Option<Kept>,
}

/// What one pagemap was found to be.
struct Found {
    plan: Plan,
    own: Own,
    /// Bytes of pages in its largest block that stays, or 0.
    largest: u64,
    is_known: bool,
    holes: u64,
}

impl Survey {
    /// Errors: a page is nowhere; an image is broken; two pagemaps share their pages; asked to end.
    pub(super) fn of(dump: &Checkpoint, decompress: bool, cancel: &Cancel) -> Result<Self> {
        let version = match dump.find(Kind::Inventory, 0)? {
            Some(_) => Some(dump.inventory()?.img_version),
            None => None,
        };
        let keeps = !decompress && keeps(dump, version);
        let mut counts = Counts::default();
        let mut level = 0;
        while let Some(source) = dump.parents().get(level)? {
            counts.dumps.push(Level { dump: source.name().to_owned(), pages: 0 });
            level = level.saturating_add(1);
        }
        let is_whole = level <= 1;
        let mut found = Vec::new();
        let mut owners: HashMap<String, String> = HashMap::new();
        let mut shared = None;
        let mut room = kept::ROOM;
        for kind in [Kind::Pagemap, Kind::PagemapShmem] {
            for name in dump.images_of(kind) {
                if cancel.is_cancelled() {
                    return Err(Error::cancelled("interrupted; nothing was written"));
                }
                let one = look(dump, name, keeps, &mut counts, &mut room)?;
                if let Some(before) = owners.insert(one.plan.pages.clone(), name.file.clone()) {
                    shared = Some((before, name.file.clone(), one.plan.pages.clone()));
                }
                found.push(one);
            }
        }
        counts.pagemaps = found.len() as u64;
        let largest = found.iter().map(|one| one.largest).max().unwrap_or(0);
        let is_anew = |one: &Found| {
            let in_blocks = one.own.has_blocks && !keeps;
            // that bit is known where there are blocks
            let is_odd = one.own.is_aligned && largest == 0 && (decompress || !is_whole);
            one.is_known && (one.own.has_parent || in_blocks || is_odd || dump.v1_files().is_some())
        };
        found.retain(is_anew);
        if let (Some((before, name, pages)), false) = (shared, found.is_empty()) {
            return Err(Error::format(format!("expected pages of its own, found those of {before} ({pages})"))
                .in_image(name)
                .hint("each pagemap needs a pages file of its own"));
        }
        let bytes = found.iter().fold(0, |sum: u64, one| sum.saturating_add(one.plan.bytes));
        let holes = found.iter().fold(0, |sum: u64, one| sum.saturating_add(one.holes));
        let plans = found.into_iter().map(|one| one.plan).collect();
        Ok(Self { plans, counts, keeps, largest, bytes, holes, is_whole })
    }
}

/// Whether blocks may stay: version 1.0 knows none, and in a bundle of pages that were not compressed in version 1 the
/// ones that are packed are the bundle's own.
fn keeps(dump: &Checkpoint, version: Option<u32>) -> bool {
    match (dump.v1_files(), version) {
        (_, Some(1)) => false,
        (Some(_), Some(version)) => version >= 3,
        (Some(_), None) => false,
        (None, _) => true,
    }
}

fn look(dump: &Checkpoint, name: &ImageName, keeps: bool, counts: &mut Counts, room: &mut usize) -> Result<Found> {
    let object = Object::open(dump, name)?;
    let pages = Kind::Pages.file_name(u64::from(object.pages_id)).unwrap_or_default();
    let (mut bytes, mut largest, mut under, mut holes) = (0u64, 0u64, 0u64, Holes::default());
    let page_size = object.page_size();
    let mut keeper = Keeper::new(&object);
    let own = object.walk(keeps, |step| {
        if keeper.as_mut().is_some_and(|keeper| !keeper.step(&step, *room)) {
            keeper = None;
        }
        let part = match step {
            Step::Same(_, pages) => {
                counts.lazy_pages = counts.lazy_pages.saturating_add(pages);
                return Ok(());
            }
            Step::Pages(part) => part,
        };
        counts.pages = counts.pages.saturating_add(part.pages);
        let stored = match &part.what {
            What::Plain(stored) | What::Packed(stored) => Some(stored),
            What::Block { stored, .. } => stored.as_ref(),
            What::Zeros => None,
        };
        match stored {
            Some(stored) => counts.level(stored.level(), part.pages),
            None => counts.zero_pages = counts.zero_pages.saturating_add(part.pages),
        }
        match &part.what {
            What::Plain(stored) => {
                bytes = bytes.saturating_add(stored.len() as u64);
                if object.pages.as_ref().is_some_and(|pages| holes.has(pages, stored)) {
                    under = under.saturating_add(1);
                }
            }
            What::Packed(stored) => {
                bytes = bytes.saturating_add(stored.len() as u64);
                counts.unpacked_pages = counts.unpacked_pages.saturating_add(part.pages);
            }
            What::Block { per_block, size, .. } => {
                bytes = bytes.saturating_add(u64::from(*size));
                counts.blocks = counts.blocks.saturating_add(1);
                largest = largest.max(per_block.saturating_mul(page_size));
            }
            What::Zeros => {}
        }
        Ok(())
    })?;
    let holes = under;
    // the others are mostly copies
    let kept = keeper.filter(|_| own.has_parent).map(Keeper::finish).transpose()?.map(|(kept, size)| {
        *room = room.saturating_sub(size);
        kept
    });
    Ok(Found {
        holes,
        plan: Plan { name: name.clone(), pages, bytes, kept },
        own,
        largest,
        is_known: object.pages.is_some(),
    })
}
