//! The pagemap that is written: entries as CRIU writes them, neighbours joined; and where the content of each goes.

use std::io::Write;

use crate::base::{Error, Result};
use crate::memory::pagemap::{PE_LAZY, PE_PAYLOAD_ALIGNED, PE_PRESENT, PagemapEntry};
use crate::wire::{field, varint};

/// Bytes of pages in an entry that joins others: the products of numbers that CRIU computes in 32 bits fit.
const JOINED: u64 = 1 << 30;
/// Blocks in an entry that joins others, or that is cut from a longer one.
const BLOCKS: usize = 1 << 16;

/// How an entry of the dump says what it says: the words of its CRIU's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Style {
    /// The number of pages in `nr_pages`, not in `compat_nr_pages`.
    wide: bool,
    /// It has flags; without, it is present.
    flags: bool,
    lazy: bool,
}

impl Style {
    pub(super) fn of(entry: &PagemapEntry<'_>) -> Self {
        let lazy = entry.pe_flags() & PE_LAZY != 0;
        Self { wide: entry.nr_pages.is_some(), flags: entry.flags.is_some(), lazy }
    }
}

/// Takes pages in the order of their addresses and says where each goes in the pages file.
pub(super) struct Entries<W> {
    out: W,
    page_size: u64,
    /// Whether what is stored as it is begins at multiples of the page size, as where there are blocks.
    aligned: bool,
    /// Where the next content goes.
    at: u64,
    open: Option<Open>,
    message: Vec<u8>,
}

/// The entry that may still grow.
struct Open {
    vaddr: u64,
    pages: u64,
    style: Style,
    is_aligned: bool,
    blocks: Option<Blocks>,
}

struct Blocks {
    per_block: u64,
    sizes: Vec<u32>,
    total: u64,
    /// Whether each is stored as it is.
    raw: bool,
    /// Whether the last has fewer pages, so that nothing can follow.
    short: bool,
}

impl<W: Write> Entries<W> {
    /// Begins a pagemap behind its head, which is written.
    pub(super) fn new(out: W, page_size: u64, aligned: bool) -> Self {
        Self { out, page_size: page_size.max(1), aligned, at: 0, open: None, message: Vec::new() }
    }

    /// What is written so far, but for the entry that may still grow.
    pub(super) fn out(&self) -> &W {
        &self.out
    }

    /// An entry as the dump has it, of pages without content here.
    pub(super) fn same(&mut self, message: &[u8]) -> Result<()> {
        self.close()?;
        self.write(message)
    }

    /// Pages that are stored as they are. Gives where.
    pub(super) fn plain(&mut self, vaddr: u64, pages: u64, style: Style) -> Result<u64> {
        let most = JOINED / self.page_size;
        let goes_on = |open: &&mut Open| {
            let is_joined = open.pages.saturating_add(pages) <= most;
            open.blocks.is_none() && open.style == style && open.end(self.page_size) == vaddr && is_joined
        };
        match self.open.as_mut().filter(goes_on) {
            Some(open) => open.pages = open.pages.saturating_add(pages),
            None => {
                self.close()?;
                if self.aligned {
                    self.align()?;
                }
                self.open = Some(Open { vaddr, pages, style, is_aligned: self.aligned, blocks: None });
            }
        }
        self.take(pages.checked_mul(self.page_size))
    }

    /// A block that takes `size` bytes. Gives where it goes.
    pub(super) fn block(&mut self, vaddr: u64, pages: u64, per_block: u64, size: u32, style: Style) -> Result<u64> {
        let most = JOINED / self.page_size;
        let goes_on = |open: &&mut Open| {
            let fits = open.style == style && open.end(self.page_size) == vaddr;
            fits && open.pages.saturating_add(pages) <= most
                && open
                    .blocks
                    .as_ref()
                    .is_some_and(|blocks| blocks.per_block == per_block && !blocks.short && blocks.sizes.len() < BLOCKS)
        };
        let is_raw = u64::from(size) == pages.saturating_mul(self.page_size);
        if self.open.as_mut().filter(goes_on).is_none() {
            self.close()?;
            let blocks = Blocks { per_block, sizes: Vec::new(), total: 0, raw: true, short: false };
            self.open = Some(Open { vaddr, pages: 0, style, is_aligned: false, blocks: Some(blocks) });
        }
        // what is stored as it is first decides for the entry
        let begins = self.open.as_ref().and_then(|open| open.blocks.as_ref()).is_some_and(|blocks| blocks.total == 0);
        if is_raw && begins {
            self.align()?;
        }
        if let Some(open) = &mut self.open
            && let Some(blocks) = &mut open.blocks
        {
            open.is_aligned |= is_raw && begins;
            open.pages = open.pages.saturating_add(pages);
            blocks.raw &= is_raw;
            blocks.short = pages < per_block;
            blocks.total = blocks.total.saturating_add(u64::from(size));
            blocks.sizes.push(size);
        }
        self.take(Some(u64::from(size)))
    }

    /// Writes what is left. Gives the length of the pages file.
    pub(super) fn finish(mut self) -> Result<(W, u64)> {
        self.close()?;
        Ok((self.out, self.at))
    }

    fn align(&mut self) -> Result<()> {
        self.at = self.at.checked_next_multiple_of(self.page_size).ok_or_else(too_long)?;
        Ok(())
    }

    fn take(&mut self, bytes: Option<u64>) -> Result<u64> {
        let at = self.at;
        let end = bytes.and_then(|bytes| at.checked_add(bytes)).filter(|end| *end < 1 << 63);
        self.at = end.ok_or_else(too_long)?;
        Ok(at)
    }

    fn close(&mut self) -> Result<()> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let mut message = std::mem::take(&mut self.message);
        message.clear();
        open.encode(&mut message);
        let written = self.write(&message);
        self.message = message;
        written
    }

    fn write(&mut self, message: &[u8]) -> Result<()> {
        let size = u32::try_from(message.len()).map_err(|_| Error::limit("an entry is larger than 4 GiB"))?;
        let done = self.out.write_all(&size.to_le_bytes()).and_then(|()| self.out.write_all(message));
        done.map_err(|error| Error::io("cannot write", error))
    }
}

#[cold]
fn too_long() -> Error {
    Error::format("expected pages that fit a file")
}

impl Open {
    fn end(&self, page_size: u64) -> u64 {
        self.vaddr.wrapping_add(self.pages.wrapping_mul(page_size))
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let mut number = |number: u32, value: u64| {
            field::write_key(out, number, 0);
            varint::write(out, value);
        };
        let lazy = if self.style.lazy { PE_LAZY } else { 0 };
        let aligned = if self.is_aligned { PE_PAYLOAD_ALIGNED } else { 0 };
        let flags = PE_PRESENT | lazy | aligned;
        number(1, self.vaddr);
        number(2, if self.style.wide { 0 } else { self.pages });
        if self.style.flags || flags != PE_PRESENT {
            number(4, u64::from(flags));
        }
        if self.style.wide {
            number(5, self.pages);
        }
        // blocks that are all stored as they are need not be told
        let Some(blocks) = self.blocks.as_ref().filter(|blocks| !blocks.raw) else { return };
        let mut sizes = Vec::new();
        blocks.sizes.iter().for_each(|size| varint::write(&mut sizes, u64::from(*size)));
        let mut inner = Vec::with_capacity(sizes.len().saturating_add(24));
        field::write_key(&mut inner, 1, 2);
        varint::write(&mut inner, sizes.len() as u64);
        inner.extend_from_slice(&sizes);
        field::write_key(&mut inner, 2, 0);
        varint::write(&mut inner, blocks.total);
        field::write_key(&mut inner, 3, 0);
        varint::write(&mut inner, blocks.per_block);
        field::write_key(out, 6, 2);
        varint::write(out, inner.len() as u64);
        out.extend_from_slice(&inner);
    }
}
