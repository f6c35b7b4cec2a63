//! Entries of pagemaps: whether they are as CRIU 4.3 wants them, and written anew with nothing else changed.

use crate::base::{Error, Result};
use crate::image::{Entry, Image};
use crate::memory::pagemap::{PE_PARENT, PE_PAYLOAD_ALIGNED, PE_PRESENT};
use crate::memory::{Compressed, PagemapEntry};
use crate::object::upgrade::edit::{Change, patch};
use crate::tool::compress::survey::Mode;

/// Numbers of fields of an entry, and of its blocks.
const FLAGS: u32 = 4;
const BLOCKS: u32 = 6;
const SIZES: u32 = 1;
const TOTAL: u32 = 2;
const PER_BLOCK: u32 = 3;

/// What the entries of a pagemap add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    /// Pages in this dump.
    pub(super) pages: u64,
    /// Bytes that the file of pages has to have.
    pub(super) payload: u64,
    /// Whether pages are in a parent.
    pub(super) has_parent: bool,
}

/// Looks at all entries.
///
/// Errors: the first that is not as CRIU 4.3 wants it.
pub(super) fn check(image: &Image, page_size: u64, mode: Mode) -> Result<Sums> {
    let mut sums = Sums::default();
    for entry in image.range(1..image.len(), true) {
        let entry = entry?;
        let decoded = PagemapEntry::decode(&entry)?;
        let done = sums.add(&decoded, page_size, mode);
        done.map_err(|(field, what)| entry.locate(Error::format(what), 0).in_field(field))?;
    }
    Ok(sums)
}

/// The field that is wrong, and how.
type Wrong = (&'static str, String);

impl Sums {
    fn add(&mut self, entry: &PagemapEntry<'_>, page_size: u64, mode: Mode) -> Result<(), Wrong> {
        let (pages, flags) = (entry.pages(), entry.pe_flags());
        if pages == 0 {
            return Err(("nr_pages", "expected at least one page, found none".to_owned()));
        }
        let too_many = || ("nr_pages", format!("expected pages that fit the address space, found {pages}"));
        let length = pages.checked_mul(page_size).ok_or_else(too_many)?;
        if !entry.vaddr.is_multiple_of(page_size) {
            let what = format!("expected an address that is a multiple of {page_size}, found {:#x}", entry.vaddr);
            return Err(("vaddr", what));
        }
        entry.vaddr.checked_add(length).ok_or_else(too_many)?;
        let has = |bit: u32| flags & bit != 0;
        self.has_parent |= has(PE_PARENT);
        if has(PE_PRESENT) && has(PE_PARENT) {
            return Err(("flags", format!("expected PE_PRESENT or PE_PARENT, found both in {flags:#x}")));
        }
        if !has(PE_PRESENT) {
            if has(PE_PAYLOAD_ALIGNED) {
                let what = format!("expected PE_PAYLOAD_ALIGNED only together with PE_PRESENT, found {flags:#x}");
                return Err(("flags", what));
            }
            return match entry.blocks {
                Some(_) => Err(("blocks", "expected blocks only together with PE_PRESENT, found some".to_owned())),
                None => Ok(()),
            };
        }
        if mode == Mode::Compress {
            if entry.blocks.is_some() {
                return Err(("blocks", "expected plain pages, as the inventory says, found blocks".to_owned()));
            }
            if has(PE_PAYLOAD_ALIGNED) {
                let what = "expected none of the flags of compressed dumps, as the inventory says, found \
                            PE_PAYLOAD_ALIGNED";
                return Err(("flags", what.to_owned()));
            }
        }
        let too_long = || ("nr_pages", format!("expected pages that fit a file, found {pages} more"));
        let start = start(self.payload, flags, page_size).ok_or_else(too_long)?;
        let stored = match entry.blocks {
            None => length,
            Some(blocks) => {
                let compressed = Compressed::new(blocks, length, page_size, start);
                compressed.check(page_size).map_err(|what| ("blocks", what))?;
                blocks.total_payload_size()
            }
        };
        self.payload = start.checked_add(stored).ok_or_else(too_long)?;
        self.pages = self.pages.checked_add(pages).ok_or_else(too_long)?;
        Ok(())
    }
}

/// Where the payload of an entry begins, if that of the one before ends here.
pub(super) fn start(end: u64, flags: u32, page_size: u64) -> Option<u64> {
    match flags & PE_PAYLOAD_ALIGNED {
        0 => Some(end),
        _ => end.checked_next_multiple_of(page_size),
    }
}

/// Blocks of an entry as they come.
#[derive(Debug, Default)]
pub(super) struct Sizes {
    /// Their sizes on the wire.
    pub(super) wire: Vec<u8>,
    /// Bytes of all of them.
    pub(super) total: u64,
}

/// An entry with its blocks; without, if all of them are plain pages. `aligned` says that its payload begins at a page.
///
/// Errors: it is no protobuf message.
pub(super) fn with_blocks(message: &[u8], aligned: bool, sizes: Option<&Sizes>, per_block: u64) -> Result<Vec<u8>> {
    let mut changes = Vec::new();
    if aligned {
        let flags = PagemapEntry::from_message(message).map_or(PE_PRESENT, |entry| entry.pe_flags());
        changes.push(Change::number(FLAGS, u64::from(flags | PE_PAYLOAD_ALIGNED)));
    }
    if let Some(sizes) = sizes {
        let list = [
            Change::bytes(SIZES, &sizes.wire),
            Change::number(TOTAL, sizes.total),
            Change::number(PER_BLOCK, per_block),
        ];
        changes.push(Change::bytes(BLOCKS, &patch(&[], &list)?));
    }
    patch(message, &changes)
}

/// An entry whose pages are plain.
///
/// Errors: it is no protobuf message.
pub(super) fn without_blocks(message: &[u8], entry: &PagemapEntry<'_>) -> Result<Vec<u8>> {
    let flags = entry.pe_flags();
    let mut changes = Vec::new();
    if flags & PE_PAYLOAD_ALIGNED != 0 {
        changes.push(Change::number(FLAGS, u64::from(flags & !PE_PAYLOAD_ALIGNED)));
    }
    if entry.blocks.is_some() {
        changes.push(Change::drop(BLOCKS));
    }
    patch(message, &changes)
}

/// The largest message that CRIU writes.
const MESSAGE: usize = (1 << 31) - 5;

/// The size word of a message.
///
/// Errors: it is longer than an image can hold.
pub(super) fn size_word(message: &[u8]) -> Result<[u8; 4]> {
    let size = u32::try_from(message.len()).ok().filter(|_| message.len() <= MESSAGE);
    size.map(u32::to_le_bytes).ok_or_else(|| {
        Error::limit(format!("its blocks take {} bytes, more than an entry can have", message.len()))
            .hint("larger blocks are fewer: --block")
    })
}

/// The whole image of an entry with another message in its place.
///
/// Errors: the message is longer than an image can hold.
pub(super) fn replaced(entry: &Entry<'_>, message: &[u8]) -> Result<Vec<u8>> {
    let bytes = entry.image().bytes();
    let place = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
    let mut out = bytes.get(..place(entry.offset())).unwrap_or_default().to_vec();
    out.extend(size_word(message)?);
    out.extend_from_slice(message);
    let end = place(entry.message_offset()).saturating_add(entry.message().len());
    out.extend_from_slice(bytes.get(end..).unwrap_or_default());
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_else_changes() {
        // vaddr, compat_nr_pages, flags, nr_pages, and a field of tomorrow
        let message = [0x08, 0x80, 0x20, 0x10, 0, 0x20, 4, 0x28, 3, 0x78, 9];
        let sizes = Sizes { wire: vec![0, 0x80, 0x20, 7], total: 4103 };
        let packed = with_blocks(&message, true, Some(&sizes), 1).unwrap();
        assert_eq!(
            packed,
            [
                &message[..5],
                &[0x20, 12, 0x28, 3],
                &[0x32, 11, 0x0a, 4, 0, 0x80, 0x20, 7, 0x10, 0x87, 0x20, 0x18, 1],
                &[0x78, 9]
            ]
            .concat()
        );
        let entry = PagemapEntry::from_message(&packed).unwrap();
        assert_eq!(without_blocks(&packed, &entry).unwrap(), message);
        // where there were no flags, they are what their absence meant
        let old = [0x08, 0, 0x10, 3];
        assert_eq!(with_blocks(&old, true, None, 1).unwrap(), [0x08, 0, 0x10, 3, 0x20, 12]);
        assert_eq!(with_blocks(&old, false, None, 1).unwrap(), old);
    }
}
