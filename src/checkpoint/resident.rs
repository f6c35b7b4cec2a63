//! How much of a task's memory the dump has.

use serde::Serialize;

use crate::base::Result;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::mm::Mapping;
use crate::checkpoint::task::Task;
use crate::image::Kind;
use crate::memory::PageRuns;
use crate::memory::pagemap::{PE_PARENT, PE_PRESENT, Pagemap};
use crate::object::v1;

/// A run of pages that the dump knows of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRun {
    /// Address of the first.
    pub vaddr: u64,
    /// How many.
    pub pages: u64,
    /// Where they are.
    pub place: PagePlace,
}

/// Where pages are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PagePlace {
    /// In this dump.
    Here,
    /// In the dump this one is an increment of.
    Parent,
    /// Nowhere: left to a server of pages, or a hole.
    Nowhere,
}

/// How many pages of a task are where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PageCount {
    /// In this dump.
    pub here: u64,
    /// In the dumps this one is an increment of.
    pub parent: u64,
}

/// Bits of a mapping's status: memory that is the task's alone, without a file and with one; a ring of asynchronous
/// I/O; a range that must not be touched; memory that a plugin takes care of.
const PRIVATE: u32 = 1 << 9 | 1 << 6;
const AIORING: u32 = 1 << 13;
const GUARD: u32 = 1 << 16;
const PLUGIN: u32 = 1 << 27;

impl Mapping {
    /// Whether the task's own pagemap may have pages of it: CRIU refuses those of any other mapping.
    pub fn has_own_pages(&self) -> bool {
        self.status & (PRIVATE | AIORING) != 0 && self.status & GUARD == 0
    }

    /// Whether CRIU cannot unpack pages into it.
    pub fn must_be_raw(&self) -> bool {
        self.flags.is_huge() || self.status & PLUGIN != 0
    }
}

/// Kind of the entry in what the kernel tells a program that has the size of a page.
const AT_PAGESZ: u64 = 6;

impl Task<'_> {
    /// The runs of pages of its own memory, in the order of the dump; none where the dump has no such image.
    ///
    /// Errors: its pagemap is broken. `each` is then called for the runs before that place.
    pub fn pages(&self, mut each: impl FnMut(PageRun) -> Result<()>) -> Result<()> {
        let id = u64::from(self.pid());
        let place = |flags: u32| match flags {
            flags if flags & PE_PRESENT != 0 => PagePlace::Here,
            flags if flags & PE_PARENT != 0 => PagePlace::Parent,
            _ => PagePlace::Nowhere,
        };
        if let Some(bundle) = self.dump.source().bundle() {
            let Some(runs) = PageRuns::open(bundle, Kind::Pagemap, id, self.dump.page_size())? else { return Ok(()) };
            return runs.entries(|vaddr, pages, flags| each(PageRun { vaddr, pages, place: place(flags) }));
        }
        let Some(image) = self.dump.find(Kind::Pagemap, id)? else { return Ok(()) };
        for entry in Pagemap::open(&image)?.iter() {
            let entry = entry?;
            each(PageRun { vaddr: entry.vaddr, pages: entry.pages(), place: place(entry.pe_flags()) })?;
        }
        Ok(())
    }

    /// How many pages of its own memory are where.
    ///
    /// Errors: its pagemap is broken.
    pub fn page_count(&self) -> Result<PageCount> {
        let mut count = PageCount::default();
        self.pages(|run| {
            match run.place {
                PagePlace::Here => count.here = count.here.saturating_add(run.pages),
                PagePlace::Parent => count.parent = count.parent.saturating_add(run.pages),
                PagePlace::Nowhere => {}
            }
            Ok(())
        })?;
        Ok(count)
    }
}

impl Checkpoint {
    /// Bytes of a page on the machine that dumped, as the kernel told the programs; 4096 where nothing says.
    pub fn page_size(&self) -> u64 {
        self.known_page_size().unwrap_or(4096)
    }

    /// Bytes of pages that the dump has stored, of all processes and segments; without looking into pagemaps.
    pub fn stored_bytes(&self) -> u64 {
        self.parents().stored(self.page_size()).unwrap_or_else(|| {
            let files = self.images_of(Kind::Pages).iter();
            files.filter_map(|image| self.source().size(&image.file).ok()).fold(0, u64::saturating_add)
        })
    }

    /// Bytes of a page; `None` where nothing says, as in pre-dumps.
    pub(crate) fn known_page_size(&self) -> Option<u64> {
        let is_page = |size: &u64| size.is_power_of_two() && (4096..=65536).contains(size);
        if let Some(size) = self.v1_files().and_then(|files| files.head().page_size).filter(is_page) {
            return Some(size);
        }
        *self.cache.page_size.get_or_init(|| {
            let told = self.images_of(Kind::Mm).first().and_then(|name| {
                let entry = self.open_image(name).ok()?.get(0).ok()?.decode::<v1::MmEntry>().ok()?;
                let (pairs, _) = entry.mm_saved_auxv.as_chunks::<2>();
                let told = pairs.iter().find(|[kind, _]| *kind == AT_PAGESZ).map(|[_, size]| *size);
                // of a 32-bit task each word has both
                told.or_else(|| {
                    let mut both = entry.mm_saved_auxv.iter().map(|word| (word & 0xffff_ffff, word >> 32));
                    both.find(|(kind, _)| *kind == AT_PAGESZ).map(|(_, size)| size)
                })
            });
            told.filter(is_page)
        })
    }
}
