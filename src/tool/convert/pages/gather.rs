//! Filling windows: the entries of a pagemap, cut where a window is full.

use std::sync::Arc;

use bytes::Bytes;

use crate::base::{Error, Result};
use crate::checkpoint::Checkpoint;
use crate::image::{Entry, Image, Kind};
use crate::memory::pagemap::{PE_PARENT, PE_PAYLOAD_ALIGNED, PE_PRESENT};
use crate::memory::{Blocks, PagemapEntry};
use crate::object::upgrade::pagemap::{self, Facts, Note};
use crate::tool::convert::pages::holes::Holes;
use crate::tool::convert::pages::loc::{Files, Loc};
use crate::tool::convert::pages::survey::Plan;
use crate::tool::convert::pages::walk::{Item, Walk};
use crate::tool::convert::pages::window::{Content, Span, Window};
use crate::wire::v2::Codec;

/// Fills windows with the pages of one pagemap after the other, and hands over those that are full.
pub(super) struct Gather<'a> {
    pub(super) dump: &'a Checkpoint,
    pub(super) page_size: u64,
    /// Bytes of pages of a window.
    pub(super) limit: u64,
    /// Whether blocks are unpacked.
    pub(super) decompress: bool,
    pub(super) window: Window,
}

/// A pages file.
pub(super) struct Store {
    bytes: Bytes,
    /// Its numbers, for pages as they are and for blocks.
    plain: u32,
    packed: u32,
    holes: Option<Arc<Holes>>,
}

impl Store {
    /// That of a pagemap, if it has one.
    ///
    /// Errors: it cannot be opened.
    pub(super) fn open(dump: &Checkpoint, plan: &Plan, files: &mut Files) -> Result<Option<Self>> {
        if plan.facts.is_absent {
            return Ok(None);
        }
        let file = Kind::Pages.file_name(plan.facts.pages_id).unwrap_or_default();
        let bytes = dump.source().open(&file)?;
        let holes = Holes::of(dump.source().file(&file).ok().flatten()).map(Arc::new);
        let (plain, packed) = (files.add(&bytes, Codec::Raw), files.add(&bytes, Codec::Lz4));
        Ok(Some(Self { bytes, plain, packed, holes }))
    }
}

impl Gather<'_> {
    /// Adds a pagemap. `full` takes windows.
    ///
    /// Errors: it cannot be read, or is another than when it was looked through; those of `full`.
    pub(super) fn image(
        &mut self,
        plan: &Plan,
        store: Option<&Store>,
        mut full: impl FnMut(Window) -> Result<()>,
    ) -> Result<()> {
        let content = self.dump.source().open(&plan.name.file)?;
        let image = Image::of_kind(&plan.name.file, plan.name.kind, plan.name.id, content, *self.dump.limits())?;
        self.window.part(plan.name.kind, plan.name.id, Some(plan.facts.clone()));
        let mut walk = Walk::new(self.page_size);
        for entry in image.range(1..image.len(), false) {
            let entry = entry?;
            let changed = || entry.locate(Error::format("it changed while it was read"), 0);
            let decoded = PagemapEntry::from_message(entry.message()).ok_or_else(changed)?;
            let item = walk.next(&decoded).map_err(|_| changed())?;
            self.entry(&entry, &item, plan, store, &mut full)?;
        }
        self.window.mark(true);
        Ok(())
    }

    /// Hands over a window that is full.
    fn turn(&mut self, plan: &Plan, full: &mut impl FnMut(Window) -> Result<()>) -> Result<u64> {
        if self.window.room(self.limit) == 0 {
            full(std::mem::take(&mut self.window))?;
            self.window.part(plan.name.kind, plan.name.id, None);
        }
        Ok(self.window.room(self.limit))
    }

    fn entry(
        &mut self,
        entry: &Entry<'_>,
        item: &Item<'_>,
        plan: &Plan,
        store: Option<&Store>,
        full: &mut impl FnMut(Window) -> Result<()>,
    ) -> Result<()> {
        let mut room = self.turn(plan, full)?;
        let flags = if self.decompress { item.flags & !PE_PAYLOAD_ALIGNED } else { item.flags };
        let note = self.note(entry.message(), item, &plan.facts, store.is_some()).map(Box::new);
        let mut first = Some(note);
        let mut span = |vaddr: u64, pages: u64, content| {
            let (is_first, note) = (first.is_some(), first.take().flatten());
            Span { vaddr, pages, flags, is_first, note, content }
        };
        let store = match store {
            Some(store) if item.flags & PE_PRESENT != 0 => store,
            _ => {
                let content = if item.flags & PE_PARENT != 0 { Content::Parent } else { Content::None };
                self.window.push(span(item.vaddr, item.pages, content), 0);
                return Ok(());
            }
        };
        let cut = || entry.locate(Error::format("its pages file became shorter while it was read"), 0);
        let slice = |offset: u64, length: u64| {
            let from = usize::try_from(offset).ok();
            let to = offset.checked_add(length).and_then(|to| usize::try_from(to).ok());
            let range = from.zip(to).filter(|(from, to)| from <= to && *to <= store.bytes.len());
            range.map(|(from, to)| store.bytes.slice(from..to)).ok_or_else(cut)
        };
        let page_size = self.page_size;
        let Some(blocks) = &item.blocks else {
            let (mut vaddr, mut pages, mut offset) = (item.vaddr, item.pages, item.offset);
            while pages > 0 {
                let some = pages.min((room / page_size).max(1));
                let length = some.saturating_mul(page_size);
                let loc = Loc { offset, file: store.plain, ..Loc::default() };
                let content = Content::Plain { bytes: slice(offset, length)?, loc, holes: store.holes.clone() };
                self.window.push(span(vaddr, some, content), length);
                pages = pages.saturating_sub(some);
                vaddr = vaddr.wrapping_add(length);
                offset = offset.saturating_add(length);
                room = self.turn(plan, full)?;
            }
            return Ok(());
        };
        let per_block = blocks.pages_per_block();
        let (mut vaddr, mut pages, mut offset) = (item.vaddr, item.pages, item.offset);
        let mut sizes = blocks.block_sizes();
        while pages > 0 {
            let unit = u64::from(per_block).max(1);
            if self.decompress {
                let Some(size) = sizes.next() else { return Err(cut()) };
                let some = pages.min(unit);
                let length = some.saturating_mul(page_size);
                let bytes = slice(offset, u64::from(size))?;
                let content = match u64::from(size) {
                    0 => Content::Zero,
                    size if size == length => {
                        let loc = Loc { offset, file: store.plain, ..Loc::default() };
                        Content::Plain { bytes, loc, holes: None }
                    }
                    _ => {
                        let unpacked = u32::try_from(length).unwrap_or(u32::MAX);
                        let loc = Loc { offset, file: store.packed, packed: size, unpacked, at: 0 };
                        Content::Packed { bytes, loc }
                    }
                };
                self.window.push(span(vaddr, some, content), length);
                pages = pages.saturating_sub(some);
                vaddr = vaddr.wrapping_add(length);
                offset = offset.saturating_add(u64::from(size));
            } else {
                let whole = (room / page_size.saturating_mul(unit)).max(1);
                let some = pages.min(whole.saturating_mul(unit));
                let count = usize::try_from(some.div_ceil(unit)).unwrap_or(usize::MAX);
                let sizes: Vec<u32> = sizes.by_ref().take(count).collect();
                let length = sizes.iter().fold(0, |sum: u64, size| sum.saturating_add(u64::from(*size)));
                let content = Content::Units { bytes: slice(offset, length)?, per_block, sizes };
                self.window.push(span(vaddr, some, content), some.saturating_mul(page_size));
                pages = pages.saturating_sub(some);
                vaddr = vaddr.wrapping_add(some.saturating_mul(page_size));
                offset = offset.saturating_add(length);
            }
            room = self.turn(plan, full)?;
        }
        Ok(())
    }

    /// What has to be noted of an entry so that it comes back as it was.
    fn note(&self, message: &[u8], item: &Item<'_>, facts: &Facts, is_stored: bool) -> Option<Note> {
        let sizes: Option<(u32, Vec<u32>)> = match &item.blocks {
            // without a pages file nothing else has the sizes
            Some(blocks) if is_stored => Some((blocks.pages_per_block(), Blocks::block_sizes(blocks).collect())),
            _ => None,
        };
        let blocks = sizes.as_ref().map(|(per_block, sizes)| (*per_block, sizes.as_slice()));
        let entry = pagemap::Entry { vaddr: item.vaddr, pages: item.pages, flags: item.flags, blocks };
        let mut usual = Vec::with_capacity(32);
        facts.entry(&entry, &mut usual);
        match Note::of(message, &usual) {
            // it will not come back as it was
            Some(Note::Raw(_))
                if self.decompress && (item.blocks.is_some() || item.flags & PE_PAYLOAD_ALIGNED != 0) =>
            {
                None
            }
            note => note,
        }
    }
}
