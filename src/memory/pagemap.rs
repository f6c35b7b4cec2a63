//! Pagemap entries, decoded by hand: they are by far the most numerous objects there are. The schema's check and
//! prost are the oracles of a property test.

use rayon::iter::{IndexedParallelIterator, ParallelIterator};

use crate::base::{Error, Result};
use crate::image::{Entry, Image, Kind};
use crate::memory::blocks::{self, Blocks};
use crate::memory::low;
use crate::wire::field::{self, Fields, Value};
use crate::wire::varint;

/// Bit of an entry's flags: the content is in the parent dump.
pub const PE_PARENT: u32 = 1;
/// Bit of an entry's flags: the pages may be restored lazily.
pub const PE_LAZY: u32 = 2;
/// Bit of an entry's flags: the content is in the pages file of this dump.
pub const PE_PRESENT: u32 = 4;
/// Bit of an entry's flags: its content begins at a multiple of the page size (since CRIU 4.3).
pub const PE_PAYLOAD_ALIGNED: u32 = 8;

/// A pagemap: which pages of a process or a segment are in the dump, in the order of their content.
#[derive(Clone, Copy, Debug)]
pub struct Pagemap<'a> {
    image: &'a Image,
    pages_id: u32,
}

impl<'a> Pagemap<'a> {
    /// Reads the head of a pagemap. Its entries are found when they are asked for.
    ///
    /// Errors: the image is no pagemap, or its first entry is missing or broken.
    pub fn open(image: &'a Image) -> Result<Self> {
        if !is_pagemap(image) {
            let error = Error::usage(format!("expected a pagemap, found {}", image.kind().name()));
            return Err(error.in_image(image.name()));
        }
        let head = image.get(0)?;
        head.check()?;
        let pages_id = field::last_varint(head.message(), 1).ok().flatten().unwrap_or_default();
        Ok(Self { image, pages_id: low(pages_id) })
    }

    /// The image it is read from.
    pub fn image(&self) -> &'a Image {
        self.image
    }

    /// Number in the name of the pages file.
    pub fn pages_id(&self) -> u32 {
        self.pages_id
    }

    /// Its entries, in order. A broken entry is an error in its place, the next ones follow; a broken image ends
    /// them with an error.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Result<PagemapEntry<'a>>> + use<'a> {
        self.image.range(1..self.image.len(), true).map(decoded)
    }

    /// Its entries, in parallel; collecting keeps their order.
    pub fn par_iter(&self) -> impl IndexedParallelIterator<Item = Result<PagemapEntry<'a>>> + use<'a> {
        self.image.par_iter().skip(1).map(decoded)
    }
}

/// One entry of a pagemap: consecutive pages with one source. The fields are those of the message; what they mean
/// together, in dumps of every age, [`pages`](Self::pages) and [`pe_flags`](Self::pe_flags) say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PagemapEntry<'a> {
    /// Address of the first page in bytes; in a segment, its offset.
    pub vaddr: u64,
    /// How many pages, before CRIU 4.2. Newer ones write 0 here and the number in `nr_pages`.
    pub compat_nr_pages: u32,
    /// Whether the content is in the parent dump, before there were flags.
    pub in_parent: Option<bool>,
    /// `PE_*` bits; absent before CRIU 3.5.
    pub flags: Option<u32>,
    /// How many pages, since CRIU 4.2.
    pub nr_pages: Option<u64>,
    /// How the pages are cut into blocks, where they are compressed (since CRIU 4.3).
    pub blocks: Option<Blocks<'a>>,
}

impl<'a> PagemapEntry<'a> {
    /// Decodes an entry of a pagemap that is not its first.
    ///
    /// Errors: the entry is another message, broken, or lacks a required field.
    #[inline(always)]
    pub fn decode(entry: &Entry<'a>) -> Result<Self> {
        if entry.index() == 0 || !is_pagemap(entry.image()) {
            return Err(other_message(*entry));
        }
        decoded(Ok(*entry))
    }

    /// Decodes a message; `None` if the bytes are not one, or lack a required field. [`decode`](Self::decode) tells
    /// what is wrong, and where.
    #[inline(always)]
    pub fn from_message(message: &'a [u8]) -> Option<Self> {
        match Self::usual(message) {
            Some(entry) => Some(entry),
            None => Self::unusual(message),
        }
    }

    /// Whether a message is sound and is as CRIU has written them since 4.2, but for blocks.
    #[inline(always)]
    pub(crate) fn is_usual(message: &[u8]) -> bool {
        PagemapEntry::usual(message).is_some()
    }

    // inlined always: a struct that goes through memory costs three times what reading it does

    /// What CRIU writes since 4.2, but for blocks: all fields in order, small flags, nothing else.
    #[inline(always)]
    fn usual(message: &'a [u8]) -> Option<Self> {
        let [0x08, rest @ ..] = message else { return None };
        let (vaddr, length) = varint::read_word(rest.first_chunk()?)?;
        let tail = rest.get(length..)?;
        let [0x10, compat @ 0..0x80, 0x20, flags @ 0..0x80, 0x28, pages, more @ ..] = tail else { return None };
        // the last number has one byte or two, which no branch foretells: with one, it is the last as well
        let second = more.len() as u64;
        let last = u64::from(*tail.last()?);
        if second > 1 || u64::from(*pages >> 7) != second || last >= 0x80 {
            return None;
        }
        let nr_pages = u64::from(*pages & 0x7f) | last.wrapping_mul(second) << 7;
        Some(Self {
            vaddr,
            compat_nr_pages: u32::from(*compat),
            in_parent: None,
            flags: Some(u32::from(*flags)),
            nr_pages: Some(nr_pages),
            blocks: None,
        })
    }

    /// Any message.
    #[inline(never)]
    fn unusual(message: &'a [u8]) -> Option<Self> {
        let mut entry = Self::default();
        let mut seen = 0u32;
        let mut at = 0usize;
        while let Some(&key) = message.get(at) {
            at = match key {
                // varint fields 1 to 5
                0x08 | 0x10 | 0x18 | 0x20 | 0x28 => {
                    let (value, end) = varint::read(message, at.wrapping_add(1)).ok()?;
                    entry.set(&mut seen, u32::from(key >> 3), value);
                    end
                }
                _ => entry.other(&mut seen, message, at)?,
            };
        }
        (seen & REQUIRED == REQUIRED).then_some(entry)
    }

    #[inline]
    fn set(&mut self, seen: &mut u32, number: u32, value: u64) {
        *seen |= 1 << number;
        match number {
            1 => self.vaddr = value,
            2 => self.compat_nr_pages = low(value),
            3 => self.in_parent = Some(value != 0),
            4 => self.flags = Some(low(value)),
            _ => self.nr_pages = Some(value),
        }
    }

    /// The field at `at` if it is not a number in its usual form: blocks, what a newer CRIU added, a key longer than
    /// it needs to be. Gives the offset behind it.
    #[inline(never)]
    fn other(&mut self, seen: &mut u32, message: &'a [u8], at: usize) -> Option<usize> {
        let field = Fields::new(message.get(at..)?).next()?.ok()?;
        match (field.number, field.value) {
            (1..=5, Value::Varint(value)) => self.set(seen, field.number, value),
            (blocks::NUMBER, Value::Bytes(inner)) => {
                blocks::check(inner)?;
                self.blocks = Some(Blocks::new(message));
            }
            (1..=blocks::NUMBER, _) => return None,
            _ => {}
        }
        at.checked_add(field.end)
    }

    /// How many pages it is about, whichever field has the number.
    #[inline]
    pub fn pages(&self) -> u64 {
        self.nr_pages.unwrap_or_else(|| u64::from(self.compat_nr_pages))
    }

    /// Its `PE_*` bits as today's CRIU would write them: before there were flags, pages were in the parent dump or
    /// present.
    #[inline]
    pub fn pe_flags(&self) -> u32 {
        match (self.in_parent, self.flags) {
            (Some(true), flags) => flags.unwrap_or_default() | PE_PARENT,
            (_, Some(flags)) => flags,
            (_, None) => PE_PRESENT,
        }
    }
}

/// Bits of the required fields, by number: `vaddr` and `compat_nr_pages`.
const REQUIRED: u32 = 1 << 1 | 1 << 2;

/// An entry of an image that is known to be a pagemap, and not its first.
#[inline(always)]
fn decoded<'a>(entry: Result<Entry<'a>>) -> Result<PagemapEntry<'a>> {
    let entry = entry?;
    PagemapEntry::from_message(entry.message()).ok_or_else(|| broken(entry))
}

fn is_pagemap(image: &Image) -> bool {
    matches!(image.kind(), Kind::Pagemap | Kind::PagemapShmem)
}

#[cold]
fn other_message(entry: Entry<'_>) -> Error {
    entry.locate(Error::usage(format!("expected a pagemap_entry, found a {}", entry.message_name())), 0)
}

/// What is wrong with an entry that could not be decoded: the check of its schema says it best.
#[cold]
fn broken(entry: Entry<'_>) -> Error {
    match entry.check() {
        Err(error) => error,
        Ok(()) => entry.locate(Error::format("expected a pagemap_entry, found other bytes"), 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pagemap with a head and these entries.
    fn image(entries: &[&[u8]]) -> Image {
        let mut bytes = vec![0x19, 0x43, 0x56, 0x54, 0x25, 0x40, 0x08, 0x56, 2, 0, 0, 0, 8, 7];
        for entry in entries {
            bytes.extend_from_slice(&(entry.len() as u32).to_le_bytes());
            bytes.extend_from_slice(entry);
        }
        Image::open("pagemap-1.img", bytes.into(), Default::default()).unwrap()
    }

    #[test]
    fn a_pagemap() {
        let image = image(&[
            &[0x08, 0x80, 0x20, 0x10, 0x00, 0x20, 0x04, 0x28, 0x03],
            &[0x08, 0x80, 0x20],
            &[0x08, 0x80, 0x40, 0x10, 0x02],
        ]);
        let pagemap = Pagemap::open(&image).unwrap();
        assert_eq!(pagemap.pages_id(), 7);
        let entries: Vec<_> = pagemap.iter().collect();
        let first = entries[0].as_ref().unwrap();
        assert_eq!((first.vaddr, first.pages(), first.pe_flags()), (0x1000, 3, PE_PRESENT));
        assert_eq!(
            entries[1].as_ref().unwrap_err().to_string(),
            "pagemap-1.img: entry 2: offset 31 (0x1f): field compat_nr_pages: expected required field 2 of \
             pagemap_entry, found none"
        );
        assert_eq!(entries[2].as_ref().unwrap().pages(), 2);
        let parallel: Vec<_> = pagemap.par_iter().map(|entry| entry.ok()).collect();
        assert_eq!(parallel, entries.into_iter().map(Result::ok).collect::<Vec<_>>());
    }

    #[test]
    fn old_dumps_mean_what_they_said() {
        let entry = |in_parent, flags| PagemapEntry { in_parent, flags, ..PagemapEntry::default() };
        assert_eq!(entry(None, None).pe_flags(), PE_PRESENT);
        assert_eq!(entry(Some(false), None).pe_flags(), PE_PRESENT);
        assert_eq!(entry(Some(true), None).pe_flags(), PE_PARENT);
        assert_eq!(entry(Some(true), Some(PE_LAZY)).pe_flags(), PE_PARENT | PE_LAZY);
        assert_eq!(entry(None, Some(0)).pe_flags(), 0);
        let counted = PagemapEntry { compat_nr_pages: 5, ..PagemapEntry::default() };
        assert_eq!(counted.pages(), 5);
        assert_eq!(PagemapEntry { nr_pages: Some(0), ..counted }.pages(), 0);
    }

    #[test]
    fn the_head_is_no_entry() {
        let image = image(&[]);
        let error = PagemapEntry::decode(&image.get(0).unwrap()).unwrap_err();
        assert_eq!(error.what(), "expected a pagemap_entry, found a pagemap_head");
        assert_eq!(Pagemap::open(&image).unwrap().iter().len(), 0);
    }

    #[test]
    fn blocks_in_several_fields_are_one_list() {
        let message = [
            0x08, 1, 0x10, 0, // vaddr, compat_nr_pages
            0x32, 8, 0x0a, 2, 5, 6, 0x10, 11, 0x18, 64, // sizes packed
            0x32, 8, 0x08, 7, 0x08, 8, 0x10, 15, 0x18, 64, // sizes one by one
        ];
        let blocks = PagemapEntry::from_message(&message).unwrap().blocks.unwrap();
        assert_eq!(blocks.block_sizes().collect::<Vec<_>>(), [5, 6, 7, 8]);
        assert_eq!((blocks.total_payload_size(), blocks.pages_per_block()), (15, 64));
    }
}
