//! Holes of pages files: what is read from them is zeros, whatever was there.

use std::fs::File;

use rustix::fs::SeekFrom;

use crate::memory::PagesFile;
use crate::tool::check::Finding;

/// The holes of a file that has some, asked for one after the other.
#[derive(Debug)]
pub(super) struct Holes {
    file: File,
    length: u64,
    /// The first one that nobody went past.
    next: Option<(u64, u64)>,
}

/// What is read from holes of one file.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct InHoles {
    pub(super) bytes: u64,
    /// Offset in the file, and address of the pages, where that begins.
    pub(super) first: Option<(u64, u64)>,
}

impl Holes {
    /// The holes of a file; `None` if it has none, or nobody can say.
    pub(super) fn of(pages: &PagesFile) -> Option<Self> {
        let file = pages.open().ok()??;
        let length = file.metadata().ok()?.len();
        let mut holes = Self { file, length, next: None };
        holes.next = Some(holes.from(0)?);
        Some(holes)
    }

    /// The first hole from an offset on.
    fn from(&self, offset: u64) -> Option<(u64, u64)> {
        let seek = |to| rustix::fs::seek(&self.file, to);
        // there is one behind the last byte of every file
        let start = seek(SeekFrom::Hole(offset)).ok().filter(|start| *start < self.length)?;
        let end = seek(SeekFrom::Data(start)).unwrap_or(self.length).min(self.length);
        (end > start).then_some((start, end))
    }

    /// Counts what of `from..to` lies in holes, which has pages from `address` on. Offsets don't descend from call to
    /// call.
    pub(super) fn count(&mut self, (from, to): (u64, u64), address: u64, found: &mut InHoles) {
        while let Some((start, end)) = self.next {
            if end <= from {
                // no hole before that is of interest
                self.next = self.from(from.max(end));
                continue;
            }
            if start >= to {
                return;
            }
            let (first, last) = (start.max(from), end.min(to));
            found.bytes = found.bytes.saturating_add(last.saturating_sub(first));
            found.first = found.first.or(Some((first, address.saturating_add(first.saturating_sub(from)))));
            if end > to {
                return;
            }
            self.next = self.from(end);
        }
    }
}

/// Pages that are read from holes of a file.
pub(super) fn finding(file: &str, level: usize, found: &InHoles, page_size: u64) -> Option<Finding> {
    let (offset, address) = found.first?;
    let pages = found.bytes.div_ceil(page_size.max(1));
    let what = format!(
        "{pages} pages that the dump reads, the first at {address:#x}, lie in holes of the file and read as zeros: zeros \
         that a copy made sparse, or pages that dedup took out, which are lost"
    );
    let advice = match level {
        0 => "if dedup ran on this dump for a child, only the child can be restored; CRIU itself leaves no holes",
        _ => "if dedup ran on that parent for another child, this dump lost its pages; CRIU itself leaves no holes",
    };
    Some(Finding::warning("pages-hole", what).in_image(file).at_offset(offset).advice(advice))
}
