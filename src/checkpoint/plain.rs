//! Which memory has to stay as it is where pages are compressed: CRIU restores huge pages and what plugins know only
//! from plain ones.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::base::{Error, Result};
use crate::checkpoint::Checkpoint;
use crate::checkpoint::mm::{MapFlags, status};
use crate::image::Kind;
use crate::object::v1;

/// Addresses of a process, or offsets in a segment, whose pages have to be plain, ascending and apart. By pagemap: its
/// kind and number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlainRanges(BTreeMap<(Kind, u64), Vec<Range<u64>>>);

impl PlainRanges {
    /// Those of one pagemap.
    pub fn of(&self, kind: Kind, id: u64) -> &[Range<u64>] {
        self.0.get(&(kind, id)).map_or(&[], Vec::as_slice)
    }

    fn add(&mut self, kind: Kind, id: u64, range: Range<u64>) {
        self.0.entry((kind, id)).or_default().push(range);
    }

    fn merge(&mut self) {
        for ranges in self.0.values_mut() {
            ranges.sort_by_key(|range| (range.start, range.end));
            ranges.dedup_by(|range, before| {
                let is_joined = range.start <= before.end;
                before.end = if is_joined { before.end.max(range.end) } else { before.end };
                is_joined
            });
        }
    }
}

impl Checkpoint {
    /// Which pages have to stay plain where pages are compressed. Pages of this size.
    ///
    /// Errors: an image of a process's memory is broken, or a mapping in question is none.
    pub fn plain_ranges(&self, page_size: u64) -> Result<PlainRanges> {
        let mut plain = PlainRanges::default();
        for name in self.images_of(Kind::Mm) {
            let image = self.open_image(name)?;
            let entry = image.get(0)?;
            let mm = entry.decode::<v1::MmEntry>()?;
            for (number, vma) in mm.vmas.iter().enumerate() {
                if MapFlags(vma.flags).is_huge() || vma.status & status::PLUGIN != 0 {
                    let wrong = |what: String| entry.locate(Error::format(format!("mapping {number}: {what}")), 0);
                    self.plain(name.id, vma, page_size, &mut plain).map_err(wrong)?;
                }
            }
        }
        plain.merge();
        Ok(plain)
    }

    /// Where the pages of a mapping are that have to be plain; what is wrong with it, if something is.
    fn plain(&self, id: u64, vma: &v1::VmaEntry, page_size: u64, plain: &mut PlainRanges) -> Result<(), String> {
        let is_whole = |at: u64| at.is_multiple_of(page_size.max(1));
        let (start, end, from) = (vma.start, vma.end, vma.pgoff);
        if end <= start || !is_whole(start) || !is_whole(end) {
            return Err(format!("expected whole pages of {page_size} bytes, found {start:#x} to {end:#x}"));
        }
        const SHARED: u32 = status::FILE_SHARED | status::ANON_SHARED | status::SYSVIPC;
        if !MapFlags(vma.flags).is_shared() && vma.status & SHARED == 0 {
            plain.add(Kind::Pagemap, id, start..end);
            return Ok(());
        }
        let Some(to) = from.checked_add(end.saturating_sub(start)).filter(|_| is_whole(from)) else {
            return Err(format!("expected an offset of whole pages in a segment, found {from:#x}"));
        };
        // of a memfd the number is that of its file, which knows the segment
        let segment = match vma.status & status::MEMFD {
            0 => Some(vma.shmid),
            _ => self.memfd(vma.shmid).map_err(|error| error.to_string())?.map(|(segment, _)| segment),
        };
        if let Some(segment) = segment {
            plain.add(Kind::PagemapShmem, segment, from..to);
        }
        Ok(())
    }
}
