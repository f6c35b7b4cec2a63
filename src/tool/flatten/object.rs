//! A process or segment through the chain: what each page of its pagemap is, in the order of its own entries.

use crate::base::{Error, Result};
use crate::checkpoint::{Checkpoint, ImageName};
use crate::image::Image;
use crate::memory::pagemap::{PE_PARENT, PE_PAYLOAD_ALIGNED, PE_PRESENT, Pagemap, PagemapEntry};
use crate::memory::{Content, Missing, Pages, Pieces, Stored};
use crate::tool::flatten::entries::Style;

/// A pagemap of the dump, and the pages that it speaks of.
pub(super) struct Object {
    pub(super) image: Image,
    /// `None` where memory is kept as a file, and so is not known.
    pub(super) pages: Option<Pages>,
    pub(super) pages_id: u32,
}

/// What is to be done, in order.
pub(super) enum Step<'a> {
    /// An entry as it is, and how many pages it leaves to a server.
    Same(&'a [u8], u64),
    /// Pages that have content.
    Pages(Part<'a>),
}

/// Consecutive pages in one place.
pub(super) struct Part<'a> {
    pub(super) vaddr: u64,
    pub(super) pages: u64,
    pub(super) style: Style,
    pub(super) what: What<'a>,
}

pub(super) enum What<'a> {
    /// As they are.
    Plain(Stored<'a>),
    /// To be unpacked.
    Packed(Stored<'a>),
    /// A block as it is; without bytes if it is of zeros.
    Block { per_block: u64, stored: Option<Stored<'a>>, size: u32 },
    /// Zeros that are stored nowhere.
    Zeros,
}

/// What its own entries are like.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Own {
    pub(super) has_parent: bool,
    pub(super) is_aligned: bool,
    pub(super) has_blocks: bool,
}

impl Object {
    pub(super) fn open(dump: &Checkpoint, name: &ImageName) -> Result<Self> {
        let image = dump.open_image(name)?;
        let pages_id = Pagemap::open(&image)?.pages_id();
        let page_size = dump.known_page_size();
        let pages = Pages::open(dump.parents(), name.kind, name.id, page_size, dump.limits())?;
        Ok(Self { image, pages, pages_id })
    }

    pub(super) fn page_size(&self) -> u64 {
        self.pages.as_ref().map_or(4096, Pages::page_size).max(1)
    }

    /// The beginning of the pagemap, with its head.
    pub(super) fn head(&self) -> &[u8] {
        let behind = self.image.get(0).ok().and_then(|head| usize::try_from(head.payload_offset()).ok());
        behind.and_then(|behind| self.image.bytes().get(..behind)).unwrap_or_default()
    }

    /// Goes through its entries. `keep_blocks`: what is in blocks and needed as a whole stays so.
    ///
    /// Errors: a page is nowhere; the pagemap, or one that it leads to, is broken; what `each` gives.
    pub(super) fn walk<'a>(&'a self, keep_blocks: bool, mut each: impl FnMut(Step<'a>) -> Result<()>) -> Result<Own> {
        let mut own = Own::default();
        let mut pieces = self.pages.as_ref().map(Pages::pieces);
        for (index, entry) in (1u64..).zip(Pagemap::open(&self.image)?.iter()) {
            let entry = entry?;
            let flags = entry.pe_flags();
            own.is_aligned |= flags & PE_PAYLOAD_ALIGNED != 0;
            own.has_blocks |= entry.blocks.is_some();
            own.has_parent |= flags & PE_PARENT != 0;
            let wrong = |error: Error| error.in_image(self.image.name()).at_entry(index);
            if flags & (PE_PRESENT | PE_PARENT) == 0 {
                if flags != 0
                    && let Some(pieces) = &mut pieces
                {
                    let mut left = entry.pages();
                    while left > 0 {
                        let run = pieces.next().ok_or_else(|| wrong(other(entry.vaddr)))?.run;
                        match &run.content {
                            Content::Missing(Missing::Lazy) => {}
                            Content::Missing(missing) => return Err(wrong(nowhere(missing, entry.vaddr))),
                            _ => return Err(wrong(other(entry.vaddr))),
                        }
                        left = left.saturating_sub(run.len() / self.page_size());
                    }
                }
                // what has no flags is a hole
                each(Step::Same(self.message(index), if flags == 0 { 0 } else { entry.pages() }))?;
                continue;
            }
            match &mut pieces {
                Some(pieces) => self.content(&entry, pieces, keep_blocks, &mut each).map_err(wrong)?,
                None if flags & PE_PARENT != 0 => {
                    return Err(wrong(Error::usage("is kept as a file, whose pages in a parent cannot be found")));
                }
                None => each(Step::Same(self.message(index), entry.pages()))?,
            }
        }
        Ok(own)
    }

    /// The bytes of an entry that was just read.
    fn message(&self, index: u64) -> &[u8] {
        let entry = usize::try_from(index).ok().and_then(|index| self.image.get(index).ok());
        entry.map(|entry| entry.message()).unwrap_or_default()
    }

    fn content<'a>(
        &'a self,
        entry: &PagemapEntry<'_>,
        pieces: &mut Pieces<'a>,
        keep_blocks: bool,
        each: &mut impl FnMut(Step<'a>) -> Result<()>,
    ) -> Result<()> {
        let (page_size, style) = (self.page_size(), Style::of(entry));
        let mut done = 0u64;
        while done < entry.pages() {
            let vaddr = entry.vaddr.wrapping_add(done.saturating_mul(page_size));
            let piece = pieces.next().ok_or_else(|| other(vaddr))?;
            let pages = piece.run.len() / page_size;
            // the pagemap of a 32-bit task has addresses with their sign extended
            let is_same = piece.run.start & 0xffff_ffff == vaddr & 0xffff_ffff;
            if !is_same || pages == 0 || pages > entry.pages().saturating_sub(done) {
                return Err(other(vaddr));
            }
            let block = piece.block.filter(|block| keep_blocks && block.is_whole && block.per_block > 0);
            let what = match (piece.run.content, block) {
                (Content::Missing(missing), _) => return Err(nowhere(&missing, vaddr)),
                (Content::Stored(stored), Some(block)) => {
                    let size = stored.packed().map_or(stored.len(), |packed| packed.bytes.len());
                    let size = u32::try_from(size).map_err(|_| other(vaddr))?;
                    What::Block { per_block: block.per_block, stored: Some(stored), size }
                }
                (Content::Zero, Some(block)) => What::Block { per_block: block.per_block, stored: None, size: 0 },
                (Content::Stored(stored), None) if stored.is_plain() => What::Plain(stored),
                (Content::Stored(stored), None) => What::Packed(stored),
                _ => What::Zeros,
            };
            each(Step::Pages(Part { vaddr, pages, style, what }))?;
            done = done.saturating_add(pages);
        }
        Ok(())
    }
}

#[cold]
fn nowhere(missing: &Missing, vaddr: u64) -> Error {
    Error::fault(format!("no page at {vaddr:#x}: {missing}"))
        .hint("icecore check says what is wrong with the chain; a page that nobody has cannot be restored")
}

#[cold]
fn other(vaddr: u64) -> Error {
    Error::format(format!("expected pages at {vaddr:#x} that fit the entries before, found others"))
}
