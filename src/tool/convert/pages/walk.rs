//! One entry of a pagemap after the other: whether runs can say it, and where its pages are in the pages file.

use crate::memory::Blocks;
use crate::memory::pagemap::{PE_LAZY, PE_PARENT, PE_PAYLOAD_ALIGNED, PE_PRESENT, PagemapEntry};

/// The largest block that CRIU makes, in bytes.
const MAX_BLOCK: u64 = 4 << 20;
/// The upper half of an address above 2 GiB in the dump of a 32-bit task.
const SIGN: u64 = 0xffff_ffff;

/// What is known while the entries of a pagemap are walked over.
pub(super) struct Walk {
    pub(super) page_size: u64,
    /// Where the entry before ends.
    end: u64,
    /// Whether addresses are those of a 32-bit task, some with their sign extended.
    pub(super) is_extended: bool,
    /// Where the payload of the next entry begins in the pages file.
    pub(super) payload: u64,
}

/// What an entry says.
pub(super) struct Item<'a> {
    /// Address of its first page, its sign not extended.
    pub(super) vaddr: u64,
    pub(super) pages: u64,
    /// Its `PE_*` bits.
    pub(super) flags: u32,
    /// Where padding before its payload begins, and where its payload.
    pub(super) padding: u64,
    pub(super) offset: u64,
    /// Bytes of its payload.
    pub(super) stored: u64,
    pub(super) blocks: Option<Blocks<'a>>,
}

impl Walk {
    pub(super) fn new(page_size: u64) -> Self {
        Self { page_size, end: 0, is_extended: false, payload: 0 }
    }

    /// What the next entry says. Errors say why runs cannot.
    pub(super) fn next<'a>(&mut self, entry: &PagemapEntry<'a>) -> Result<Item<'a>, &'static str> {
        let (flags, pages) = (entry.pe_flags(), entry.pages());
        self.is_extended |= entry.vaddr >> 32 == SIGN && self.end <= 1 << 32;
        let vaddr = match self.is_extended && entry.vaddr >> 32 == SIGN {
            true => entry.vaddr & SIGN,
            false => entry.vaddr,
        };
        if self.is_extended && vaddr >> 32 != 0 {
            return Err("an address of 64 bits among those of 32");
        }
        if !vaddr.is_multiple_of(self.page_size) {
            return Err("an address that is no multiple of the page size");
        }
        if pages == 0 {
            return Err("an entry without pages");
        }
        if vaddr < self.end {
            return Err("entries that do not ascend");
        }
        let length = pages.checked_mul(self.page_size).ok_or("more pages than there can be")?;
        let end = vaddr.checked_add(length).ok_or("pages beyond the address space")?;
        let is_present = flags & PE_PRESENT != 0;
        if flags & !(PE_PRESENT | PE_PARENT | PE_LAZY | PE_PAYLOAD_ALIGNED) != 0 {
            return Err("flags that nobody knows");
        }
        if is_present && flags & PE_PARENT != 0 {
            return Err("pages that are both present and in the parent");
        }
        if !is_present && (flags & PE_PAYLOAD_ALIGNED != 0 || entry.blocks.is_some()) {
            return Err("pages that are not present, but how they are stored is said");
        }
        let padding = self.payload;
        if flags & PE_PAYLOAD_ALIGNED != 0 {
            let aligned = self.payload.checked_next_multiple_of(self.page_size);
            self.payload = aligned.ok_or("payloads that no file can have")?;
        }
        let offset = self.payload;
        let stored = match &entry.blocks {
            _ if !is_present => 0,
            None => length,
            Some(blocks) => self.blocks(blocks, length)?,
        };
        self.payload = offset.checked_add(stored).ok_or("payloads that no file can have")?;
        self.end = end;
        Ok(Item { vaddr, pages, flags, padding, offset, stored, blocks: entry.blocks })
    }

    /// Bytes of blocks, which fit together.
    fn blocks(&self, blocks: &Blocks<'_>, length: u64) -> Result<u64, &'static str> {
        let block = u64::from(blocks.pages_per_block()).saturating_mul(self.page_size);
        if block == 0 || block > MAX_BLOCK {
            return Err("blocks of no pages, or of too many");
        }
        let (mut rest, mut sum) = (length, 0u64);
        for size in blocks.block_sizes() {
            let plain = rest.min(block);
            if plain == 0 || u64::from(size) > plain {
                return Err("blocks that are longer than their pages");
            }
            rest = rest.saturating_sub(plain);
            sum = sum.saturating_add(u64::from(size));
        }
        if rest != 0 || sum != blocks.total_payload_size() {
            return Err("blocks that do not fit together");
        }
        Ok(sum)
    }
}
