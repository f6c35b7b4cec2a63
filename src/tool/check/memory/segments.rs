//! Segments of shared memory: who maps them, whether their pages are there, and how large they are.

use std::collections::BTreeMap;

use crate::base::{Address, Result};
use crate::checkpoint::Checkpoint;
use crate::checkpoint::mm::{Backing, Mapping};
use crate::image::Kind;
use crate::tool::check::Finding;
use crate::tool::check::findings::Findings;
use crate::tool::check::memory::find;
use crate::tool::check::memory::ranges::Ranges;

/// The segments that are mapped, by the number of their pagemaps.
#[derive(Debug, Default)]
pub(super) struct Segments(BTreeMap<u64, Mapped>);

/// What mappings say of a segment.
#[derive(Debug)]
struct Mapped {
    /// The task and the address of one that maps it.
    by: (u64, u64),
    /// Up to where it is mapped.
    end: u64,
    /// Its size, if something else than mappings says it.
    size: Option<u64>,
    /// Whether it is a file, behind whose end something may be mapped.
    is_file: bool,
    /// What of it must not be packed.
    raw: Vec<(u64, u64)>,
}

impl Segments {
    /// Adds a mapping of a segment.
    pub(super) fn add(&mut self, dump: &Checkpoint, task: u64, mapping: &Mapping) {
        let (id, size) = match mapping.backing {
            Backing::Memfd(_) => match dump.memfd(mapping.shmid) {
                // CRIU writes no image for one without a byte
                Ok(Some((id, size))) if size > 0 => (id, Some(size)),
                // others tell that there is no such file
                _ => return,
            },
            _ => (mapping.shmid, None),
        };
        let end = mapping.pgoff.saturating_add(mapping.size());
        let by = (task, mapping.start.0);
        let mapped = self.0.entry(id).or_insert_with(|| Mapped {
            by,
            end: 0,
            is_file: size.is_some(),
            size: size.or_else(|| dump.segment_size(id).filter(|_| mapping.backing == Backing::SysV)),
            raw: Vec::new(),
        });
        mapped.end = mapped.end.max(end);
        if mapping.must_be_raw() {
            mapped.raw.push((mapping.pgoff, end));
        }
    }

    /// Looks whether their pages are there.
    pub(super) fn look(&self, dump: &Checkpoint, page_size: u64, findings: &mut Findings<'_>) -> Result<()> {
        for (id, mapped) in &self.0 {
            let mm = Kind::Mm.file_name(mapped.by.0).unwrap_or_default();
            let at = Address(mapped.by.1);
            // old dumps have them elsewhere
            let is_there = find(dump, Kind::PagemapShmem, *id).is_some();
            if let Some(missing) =
                Some(()).filter(|()| !is_there).and_then(|()| dump.open_segment(*id, None).ok()?.pages.err())
            {
                let name = Kind::PagemapShmem.file_name(*id).unwrap_or_default();
                let what = format!("expected the pages of segment {id}, mapped at {at}, in {name}: {missing}");
                let advice = "restoring fails without it: take the image from a copy, or dump again";
                findings.add(Finding::error("segment-missing", what).in_image(mm.as_str()).advice(advice))?;
            }
            if let Some(size) = mapped.size
                && !mapped.is_file
                && size.checked_next_multiple_of(page_size).is_some_and(|size| size < mapped.end)
            {
                let what =
                    format!("expected segment {id}, mapped at {at}, to reach {:#x}, found {size:#x}", mapped.end);
                findings.add(Finding::warning("segment-size", what).in_image(mm))?;
            }
        }
        Ok(())
    }

    /// Where the pages of a segment may be; `None` if nothing says how large it is.
    pub(super) fn ranges(&self, dump: &Checkpoint, id: u64, page_size: u64) -> Option<Ranges> {
        let mapped = self.0.get(&id);
        let size = mapped.and_then(|mapped| mapped.size).or_else(|| dump.segment_size(id));
        let end = match (size, mapped) {
            (Some(size), _) => size.checked_next_multiple_of(page_size)?,
            (None, mapped) => mapped?.end,
        };
        Some(Ranges::segment(end, mapped.map(|mapped| mapped.raw.clone()).unwrap_or_default()))
    }
}
