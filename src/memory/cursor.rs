//! Walking the sound entries of a pagemap forward, over many at once where nobody asks for them.

use crate::image::{Entries, STRIDE};
use crate::memory::pagemap::{PE_LAZY, PE_PARENT, PE_PAYLOAD_ALIGNED, PE_PRESENT, PagemapEntry};
use crate::memory::store::{Store, address};

/// A sound entry of a pagemap, or a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    /// First address, and the address behind the last.
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// Where its payload begins in the pages file.
    pub(crate) offset: u64,
    pub(crate) what: What,
}

/// Where its content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Plain,
    /// In blocks: the number of the entry in the image.
    Blocks(usize),
    /// In the dump so many links away, at the same address.
    Parent(usize),
    Lazy,
    Hole,
    /// Nowhere: zeros.
    Zero,
    /// Among the pages of the dump so many links away, from this one on.
    Placed {
        ancestor: usize,
        page: u64,
    },
    /// Unknown: a run is broken, or its batch.
    Bad {
        batch: usize,
        run: usize,
    },
}

/// Walks the sound entries of a pagemap; it can be moved forward over many of them at once.
pub(crate) struct Cursor<'a> {
    store: &'a Store,
    entries: Entries<'a>,
    /// The group that comes after the one it is in.
    group: usize,
    /// Where the next entry's payload begins.
    offset: u64,
    current: Option<Item>,
}

impl<'a> Cursor<'a> {
    /// A cursor before the first entry.
    pub(crate) fn new(store: &'a Store) -> Self {
        let mut cursor = Self { store, entries: store.image.range(0..0, false), group: 0, offset: 0, current: None };
        cursor.jump(0);
        cursor
    }

    /// The first entry that ends behind `address`. Addresses must not descend from call to call.
    #[inline]
    pub(crate) fn seek(&mut self, address: u64) -> Option<Item> {
        loop {
            match self.current {
                // an entry of no pages is none
                Some(item) if item.end > address.max(item.start) => return Some(item),
                _ => {}
            }
            if self.store.groups.get(self.group).is_some_and(|group| group.start <= address) {
                let groups = self.store.groups.get(self.group..).unwrap_or_default();
                let ahead = groups.partition_point(|group| group.start <= address);
                self.jump(self.group.saturating_add(ahead).saturating_sub(1));
            }
            self.current = Some(self.next()?);
        }
    }

    fn jump(&mut self, group: usize) {
        let start = group.saturating_mul(STRIDE);
        self.entries = self.store.image.range(start.max(1)..self.store.len.max(1), false);
        self.offset = self.store.groups.get(group).map_or(0, |group| group.offset);
        self.group = group.saturating_add(1);
        self.current = None;
    }

    #[inline]
    fn next(&mut self) -> Option<Item> {
        let entry = self.entries.next()?.ok()?;
        let index = entry.index();
        if index.is_multiple_of(STRIDE) {
            self.group = (index / STRIDE).saturating_add(1);
        }
        let decoded = PagemapEntry::from_message(entry.message())?;
        // all of this was checked when the store was opened; a file that changed since gives other numbers, no panic
        let start = address(decoded.vaddr, self.store.is_extended);
        let length = decoded.pages().wrapping_mul(self.store.page_size);
        let end = start.saturating_add(length);
        let flags = decoded.pe_flags();
        if flags & PE_PAYLOAD_ALIGNED != 0 {
            self.offset = self.offset.checked_next_multiple_of(self.store.page_size)?;
        }
        let (what, stored) = if flags & PE_PRESENT != 0 {
            match decoded.blocks {
                None => (What::Plain, length),
                Some(blocks) => (What::Blocks(index), blocks.total_payload_size()),
            }
        } else if flags & PE_PARENT != 0 {
            (What::Parent(1), 0)
        } else if flags & PE_LAZY != 0 {
            (What::Lazy, 0)
        } else {
            (What::Hole, 0)
        };
        let item = Item { start, end, offset: self.offset, what };
        let gap = if flags & PE_PRESENT != 0 { self.store.gap } else { 0 };
        self.offset = self.offset.saturating_add(stored).saturating_add(gap);
        Some(item)
    }
}
