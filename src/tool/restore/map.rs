//! The layout of restored memory: fresh memory, and private maps of the pages files where the way is to map.

use std::ops::Range;

use crate::base::report::Cancel;
use crate::base::reserve::Protection;
use crate::base::{Error, Result};
use crate::tool::restore::memory::{Memory, protection};
use crate::tool::restore::plan::{Area, Fragment, Plan, What};
use crate::tool::restore::{Way, cancelled};

/// Lays out all areas. What has to be copied to can be written afterwards, the rest is as it stays.
pub(super) fn lay(plan: &Plan<'_>, way: Way, memory: &mut Memory, cancel: &Cancel) -> Result<()> {
    for area in &plan.areas {
        for piece in pieces(area) {
            if cancel.is_cancelled() {
                return Err(cancelled());
            }
            lay_piece(plan, way, memory, area, piece)?;
        }
    }
    Ok(())
}

fn lay_piece(plan: &Plan<'_>, way: Way, memory: &mut Memory, area: &Area, piece: &[Fragment]) -> Result<()> {
    let maps = way == Way::Map;
    let last = last_protection(plan, area);
    let is_mapped = |fragment: &Fragment| maps && matches!(fragment.what, What::Map { .. });
    if !piece.iter().all(is_mapped) {
        let is_copied = piece.iter().any(|fragment| fragment.what.is_copied(maps));
        memory.anonymous(range(piece), if is_copied { Protection::READ_WRITE } else { last })?;
    }
    for fragment in piece.iter().filter(|fragment| is_mapped(fragment)) {
        let What::Map { image, offset } = fragment.what else { continue };
        let image = usize::try_from(image).ok().and_then(|number| plan.images.get(number));
        let Some((image, file)) = image.and_then(|image| Some((image, image.file.as_ref()?))) else {
            return Err(Error::usage(format!("{} has no pages file to map", fragment.start)));
        };
        memory
            .file(fragment.start.0..fragment.end.0, file, offset, last)
            .map_err(|error| error.in_image(image.name.as_str()).at_offset(offset))?;
    }
    Ok(())
}

/// Protects what was copied to.
pub(super) fn protect(plan: &Plan<'_>, way: Way, memory: &mut Memory) -> Result<()> {
    let maps = way == Way::Map;
    for area in &plan.areas {
        let last = last_protection(plan, area);
        if last == Protection::READ_WRITE {
            continue;
        }
        for piece in pieces(area) {
            if !piece.iter().any(|fragment| fragment.what.is_copied(maps)) {
                continue;
            }
            let is_one = |a: &Fragment, b: &Fragment| !maps || is_file(a) == is_file(b);
            for part in piece.chunk_by(is_one) {
                if !maps || !part.iter().any(is_file) {
                    memory.protect(range(part), last)?;
                }
            }
        }
    }
    Ok(())
}

fn is_file(fragment: &Fragment) -> bool {
    matches!(fragment.what, What::Map { .. })
}

fn last_protection(plan: &Plan<'_>, area: &Area) -> Protection {
    if plan.options().protect { protection(area.prot) } else { Protection::READ_WRITE }
}

/// The parts of an area that are memory, each without a gap; the others stay reserved.
pub(super) fn pieces(area: &Area) -> impl Iterator<Item = &[Fragment]> {
    let pieces = area.fragments.chunk_by(|a, b| a.what.is_memory() == b.what.is_memory());
    pieces.filter(|piece| piece.first().is_some_and(|fragment| fragment.what.is_memory()))
}

/// All addresses of fragments that follow each other.
pub(super) fn range(fragments: &[Fragment]) -> Range<u64> {
    let start = fragments.first().map_or(0, |fragment| fragment.start.0);
    start..fragments.last().map_or(start, |fragment| fragment.end.0)
}
