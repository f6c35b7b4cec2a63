//! Memory: pagemaps, the files with pages, the dumps before, and the containers of version 2.
//!
//! Nothing reads a page unless it is asked to (`deep`): what a pagemap says is held against what is mapped, against the
//! lengths of files and against the pagemaps of the parents, in one pass each.

mod chain;
mod compress;
mod container;
mod deep;
mod few;
mod files;
mod holes;
mod odd;
mod packed;
mod pagemap;
mod parents;
mod payload;
mod ranges;
mod segments;

use rayon::prelude::*;

use crate::base::Result;
use crate::checkpoint::mm::Mapping;
use crate::checkpoint::task::Task;
use crate::checkpoint::{Checkpoint, ImageName};
use crate::image::Kind;
use crate::memory::Pages;
use crate::tool::check::findings::Findings;
use crate::tool::check::{Checked, Finding, Subject};
pub(super) use container::salvage;
use pagemap::Described;
use ranges::Ranges;
use segments::Segments;

/// Pagemaps whose findings are kept before they are told.
const WINDOW: usize = 64;

pub(super) fn look(subject: &Subject<'_>, findings: &mut Findings<'_>, checked: &mut Checked) -> Result<()> {
    let dump = subject.dump;
    let page_size = page_size(dump);
    let mut segments = Segments::default();
    let mut described = Vec::new();
    let ids = ids(dump);
    for window in ids.chunks(WINDOW) {
        subject.go_on()?;
        let looked: Vec<_> = window.par_iter().map(|id| task(subject, *id, page_size)).collect();
        for (id, (mappings, found)) in window.iter().zip(looked) {
            for mapping in mappings.iter().flatten() {
                segments.add(dump, *id, mapping);
            }
            tell(found, findings, &mut described)?;
        }
    }
    segments.look(dump, page_size, findings)?;
    for window in dump.images_of(Kind::PagemapShmem).chunks(WINDOW) {
        subject.go_on()?;
        let looked: Vec<_> = window
            .par_iter()
            .map(|name| pagemap::look(subject, name, page_size, segments.ranges(dump, name.id, page_size).as_ref()))
            .collect();
        for found in looked {
            tell(found, findings, &mut described)?;
        }
    }
    for one in &described {
        checked.pages = checked.pages.saturating_add(one.count.stored);
    }
    checked.page_bytes = checked.pages.saturating_mul(page_size);
    container::look(subject, findings, checked)?;
    compress::look(dump, page_size, &described, findings)?;
    if dump.source().bundle().is_none() {
        checked.unchecked_pages = checked.pages;
    }
    files::look(dump, &described, findings)?;
    parents::links(subject, findings, checked)?;
    let mut packed = Vec::new();
    for window in described.chunks(WINDOW) {
        subject.go_on()?;
        let walked: Vec<_> = window.par_iter().map(|one| chain::look(subject, one, page_size)).collect();
        for (one, walked) in window.iter().zip(walked) {
            packed.extend(walked.packed.iter().max());
            chain::tell(walked, one, findings)?;
        }
    }
    parents::versions(subject, &packed, findings)?;
    if subject.options.deep {
        deep::look(subject, &described, page_size, findings)?;
    }
    Ok(())
}

/// Bytes of a page; where the dump does not say, what makes the first pages file as long as it is.
fn page_size(dump: &Checkpoint) -> u64 {
    dump.known_page_size().unwrap_or_else(|| {
        let name = dump.images_of(Kind::Pagemap).first();
        let pages = name.and_then(|name| Pages::open(dump.parents(), name.kind, name.id, None, dump.limits()).ok()?);
        pages.map_or(4096, |pages| pages.page_size())
    })
}

/// The tasks that have mappings or pages, ascending.
fn ids(dump: &Checkpoint) -> Vec<u64> {
    let names = [Kind::Mm, Kind::Pagemap].into_iter().flat_map(|kind| dump.images_of(kind));
    let mut ids: Vec<u64> = names.map(|name| name.id).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// The mappings of a task, and its pagemap.
fn task(subject: &Subject<'_>, id: u64, page_size: u64) -> (Option<Vec<Mapping>>, Option<Described>) {
    let dump = subject.dump;
    let pid = u32::try_from(id).ok();
    // what is wrong with it others tell
    let mm = pid.and_then(|pid| Task::unknown(dump, pid).mm().ok()?);
    let mappings = mm.map(|mm| mm.mappings);
    let name = find(dump, Kind::Pagemap, id);
    let ranges = mappings.as_deref().map(Ranges::of);
    let described = name.and_then(|name| pagemap::look(subject, name, page_size, ranges.as_ref()));
    let shared = mappings.map(|mut mappings| {
        mappings.retain(|mapping| mapping.backing.is_segment());
        mappings
    });
    (shared, described)
}

/// The image of this kind and number.
fn find(dump: &Checkpoint, kind: Kind, id: u64) -> Option<&ImageName> {
    let images = dump.images_of(kind);
    images.get(images.binary_search_by_key(&id, |image| image.id).ok()?)
}

/// Tells what was found in a pagemap.
fn tell(found: Option<Described>, findings: &mut Findings<'_>, described: &mut Vec<Described>) -> Result<()> {
    let Some(mut found) = found else { return Ok(()) };
    std::mem::take(&mut found.few).tell(&found.name, findings)?;
    if let Some(entry) = found.count.first_lazy {
        let what = format!("{} pages are not in the dump: a server of pages has them", found.count.lazy);
        let note = Finding::note("pagemap-lazy", what).in_image(found.name.as_str()).at_entry(entry);
        findings.add(note.advice("restoring needs criu lazy-pages and the server that ran while dumping"))?;
    }
    described.push(found);
    Ok(())
}
