//! One dump's pagemap of a process or segment, and the pages file it describes.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::base::{Error, Limits, Result};
use crate::image::{Entry, Image, Kind, STRIDE};
use crate::memory::compressed::{Block, Compressed, Marks};
use crate::memory::pagemap::{PE_LAZY, PE_PARENT, PE_PAYLOAD_ALIGNED, PE_PRESENT, Pagemap, PagemapEntry};
use crate::source::Source;
use crate::wire::varint;

/// A pagemap that was looked through once. Its sound entries ascend, don't overlap and fit together; where they end
/// too early, `fault` says why.
pub(crate) struct Store {
    pub(super) image: Image,
    source: Arc<dyn Source>,
    /// Name of the pages file.
    file: String,
    /// What errors call the pages file.
    shown: String,
    pub(super) page_size: u64,
    /// Bytes behind the content of each entry that are no content.
    pub(super) gap: u64,
    pages: OnceLock<Result<Bytes>>,
    /// For each 64 entries of the image, the first one's address and offset in the pages file.
    pub(super) groups: Vec<Group>,
    /// Of entries of very many blocks, by their number in the image: where some of the blocks are.
    marks: Vec<(usize, Marks)>,
    /// Entries of the image that are sound, its head included.
    pub(super) len: usize,
    /// Whether addresses are those of a 32-bit task, some with their sign extended.
    pub(super) is_extended: bool,
    pub(crate) fault: Option<Error>,
    pub(crate) has_parent: bool,
    /// Bytes of the pages file that its entries describe.
    pub(crate) payload: u64,
}

#[derive(Clone, Copy)]
pub(super) struct Group {
    pub(super) start: u64,
    pub(super) offset: u64,
}

impl Store {
    /// Looks through a pagemap. `prefix` goes before the names of the dump's files in errors.
    ///
    /// Errors: it has no head. What is wrong with its entries is its `fault`.
    pub(crate) fn open(image: Image, source: Arc<dyn Source>, prefix: &str, page_size: Option<u64>) -> Result<Self> {
        let pages_id = Pagemap::open(&image)?.pages_id();
        let file = Kind::Pages.file_name(u64::from(pages_id)).unwrap_or_default();
        let mut store = Self::new(image, source, file, prefix, page_size.unwrap_or(0), 0);
        if page_size.is_none() {
            store.page_size = store.likely_page_size();
        }
        store.walk();
        Ok(store)
    }

    /// Content that stands in a file as old dumps have it, runs of pages one behind the other with `gap` bytes between
    /// them, the first at `start`; as if a pagemap said so. The runs are addresses and numbers of pages.
    ///
    /// Errors: none that a file can cause; what is wrong with the runs is the store's `fault`.
    pub(crate) fn old(
        source: Arc<dyn Source>,
        name: &str,
        content: Bytes,
        runs: impl Iterator<Item = (u64, u64)>,
        (start, gap): (u64, u64),
        page_size: u64,
    ) -> Result<Self> {
        let mut bytes = Kind::Pagemap.row().magic.to_le_bytes().to_vec();
        bytes.extend([2, 0, 0, 0, 0x08, 0]);
        let mut entry = Vec::new();
        for (address, pages) in runs {
            entry.clear();
            // vaddr, compat_nr_pages, PE_PRESENT, nr_pages
            entry.push(0x08);
            varint::write(&mut entry, address);
            entry.extend([0x10, 0, 0x20, 4, 0x28]);
            varint::write(&mut entry, pages);
            bytes.extend(u32::try_from(entry.len()).unwrap_or(0).to_le_bytes());
            bytes.extend(&entry);
        }
        let image = Image::of_kind(name, Kind::Pagemap, 0, bytes.into(), Limits::default())?;
        let mut store = Self::new(image, source, name.to_owned(), "", page_size, start);
        store.gap = gap;
        store.walk();
        store.pages = OnceLock::from(Ok(content));
        Ok(store)
    }

    fn new(image: Image, source: Arc<dyn Source>, file: String, prefix: &str, page_size: u64, payload: u64) -> Self {
        Self {
            shown: format!("{prefix}{file}"),
            image,
            source,
            file,
            page_size,
            gap: 0,
            pages: OnceLock::new(),
            groups: Vec::new(),
            marks: Vec::new(),
            len: 1,
            is_extended: false,
            fault: None,
            has_parent: false,
            payload,
        }
    }

    pub(crate) fn page_size(&self) -> u64 {
        self.page_size
    }

    /// The size that makes the pages file as long as it is: all that a pre-dump says of it.
    fn likely_page_size(&self) -> u64 {
        let Ok(length) = self.source.size(&self.file) else { return USUAL };
        let mut sizes = (0..=4).map(|shift| USUAL << shift);
        sizes.find(|size| self.payload_of(*size) == Some(length)).unwrap_or(USUAL)
    }

    /// How long the pages file is if pages have this size.
    fn payload_of(&self, page_size: u64) -> Option<u64> {
        let entries = self.image.range(1..self.image.len(), false).flatten();
        let mut entries = entries.filter_map(|entry| PagemapEntry::from_message(entry.message()));
        entries.try_fold(0u64, |at, entry| {
            let flags = entry.pe_flags();
            if flags & PE_PRESENT == 0 {
                return Some(at);
            }
            let at = if flags & PE_PAYLOAD_ALIGNED != 0 { at.checked_next_multiple_of(page_size)? } else { at };
            at.checked_add(match entry.blocks {
                Some(blocks) => blocks.total_payload_size(),
                None => entry.pages().checked_mul(page_size)?,
            })
        })
    }

    fn walk(&mut self) {
        let mut walk = Walk { payload: self.payload, gap: self.gap, ..Walk::default() };
        let mut len = 1usize;
        let mut fault = None;
        walk.groups.reserve(self.image.len() / STRIDE);
        for entry in self.image.range(1..self.image.len(), false) {
            let found = entry.and_then(|entry| {
                let decoded = PagemapEntry::from_message(entry.message());
                match decoded.and_then(|decoded| walk.usual(&decoded, entry.index(), self.page_size)) {
                    Some(()) => Ok(()),
                    None => walk.unusual(&entry, self.page_size),
                }
            });
            if let Err(error) = found {
                fault = Some(error);
                break;
            }
            len = len.saturating_add(1);
        }
        self.fault = fault.or_else(|| self.image.fault().cloned());
        self.len = len;
        self.groups = walk.groups;
        self.marks = walk.marks;
        self.is_extended = walk.is_extended;
        self.has_parent = walk.has_parent;
        self.payload = walk.payload;
    }

    /// The content of the pages file.
    pub(crate) fn pages(&self) -> Result<&Bytes, &Error> {
        let open = || self.source.open(&self.file).map_err(|error| error.renamed(self.shown.as_str()));
        self.pages.get_or_init(open).as_ref()
    }

    /// What errors call its pages file.
    pub(crate) fn pages_name(&self) -> &str {
        &self.shown
    }

    /// Where its pages file is: the source, and the name there.
    pub(crate) fn pages_file(&self) -> (&Arc<dyn Source>, &str) {
        (&self.source, &self.file)
    }

    /// Bytes that the blocks of entry `index` take.
    pub(crate) fn payload_of_blocks(&self, index: usize) -> Option<u64> {
        let entry = PagemapEntry::from_message(self.image.get(index).ok()?.message())?;
        Some(entry.blocks?.total_payload_size())
    }

    /// Pages in each block of entry `index`, but perhaps its last.
    pub(crate) fn pages_per_block(&self, index: usize) -> u64 {
        let entry = self.image.get(index).ok();
        let entry = entry.and_then(|entry| PagemapEntry::from_message(entry.message()));
        entry.and_then(|entry| entry.blocks).map_or(0, |blocks| u64::from(blocks.pages_per_block()))
    }

    /// The blocks of entry `index`, whose payload begins at `offset`, from the page `at` bytes behind its first on.
    pub(crate) fn blocks_from(&self, index: usize, offset: u64, at: u64) -> Option<impl Iterator<Item = Block> + '_> {
        let entry = PagemapEntry::from_message(self.image.get(index).ok()?.message())?;
        let length = entry.pages().wrapping_mul(self.page_size);
        let marks = self.marks.binary_search_by_key(&index, |(entry, _)| *entry).ok();
        let marks = marks.and_then(|position| self.marks.get(position)).map_or(&[][..], |(_, marks)| marks);
        Some(Compressed::new(entry.blocks?, length, self.page_size, offset).blocks_from(at, marks))
    }
}

/// The size of a page nearly everywhere.
const USUAL: u64 = 4096;

/// What is known while a pagemap is looked through.
#[derive(Default)]
struct Walk {
    /// Where the entry before ends.
    end: u64,
    groups: Vec<Group>,
    marks: Vec<(usize, Marks)>,
    has_parent: bool,
    is_extended: bool,
    /// Where the next payload begins.
    payload: u64,
    gap: u64,
}

impl Walk {
    /// An entry with nothing special about it; `None` for any other, and for what is wrong.
    #[inline]
    fn usual(&mut self, entry: &PagemapEntry<'_>, index: usize, page_size: u64) -> Option<()> {
        let flags = entry.pe_flags();
        let length = entry.pages().checked_mul(page_size)?;
        let end = entry.vaddr.checked_add(length)?;
        let is_present = flags & !PE_LAZY == PE_PRESENT;
        let is_usual = (is_present || flags == PE_PARENT)
            && entry.blocks.is_none()
            && entry.vaddr >= self.end
            && entry.vaddr & page_size.wrapping_sub(1) == 0
            && entry.vaddr >> 32 != SIGN
            && !self.is_extended;
        if !is_usual {
            return None;
        }
        let payload = match is_present {
            true => self.payload.checked_add(length)?.checked_add(self.gap)?,
            false => self.payload,
        };
        self.group(index, entry.vaddr);
        self.end = end;
        self.payload = payload;
        self.has_parent |= !is_present;
        Some(())
    }

    #[inline]
    fn group(&mut self, index: usize, start: u64) {
        // the first group begins with the head
        if index.is_multiple_of(STRIDE) || self.groups.is_empty() {
            self.groups.push(Group { start, offset: self.payload });
        }
    }

    #[cold]
    fn unusual(&mut self, entry: &Entry<'_>, page_size: u64) -> Result<()> {
        let decoded = PagemapEntry::decode(entry)?;
        let wrong = |what: String| entry.locate(Error::format(what), 0);
        let flags = decoded.pe_flags();
        // a 64-bit task is known by the addresses before
        self.is_extended |= decoded.vaddr >> 32 == SIGN && self.end <= 1 << 32;
        let start = address(decoded.vaddr, self.is_extended);
        if self.is_extended && start >> 32 != 0 {
            return Err(
                wrong(format!("expected an address of 32 bits, as those before, found {start:#x}")).in_field("vaddr")
            );
        }
        if start & page_size.wrapping_sub(1) != 0 {
            return Err(wrong(format!("expected an address that is a multiple of {page_size}, found {start:#x}"))
                .in_field("vaddr"));
        }
        let length = decoded.pages().checked_mul(page_size);
        let Some((length, end)) = length.and_then(|length| Some((length, start.checked_add(length)?))) else {
            let what = format!("expected pages that fit the address space, found {} at {start:#x}", decoded.pages());
            return Err(wrong(what).in_field("nr_pages"));
        };
        if start < self.end {
            let what = format!("expected an address from {:#x} (entries ascend), found {start:#x}", self.end);
            return Err(wrong(what).in_field("vaddr"));
        }
        let is_present = flags & PE_PRESENT != 0;
        let only = |bit: &str| wrong(format!("expected {bit} only together with PE_PRESENT, found flags {flags:#x}"));
        if is_present && flags & PE_PARENT != 0 {
            return Err(wrong(format!("expected PE_PRESENT or PE_PARENT, found both in flags {flags:#x}")));
        }
        if !is_present && flags & PE_PAYLOAD_ALIGNED != 0 {
            return Err(only("PE_PAYLOAD_ALIGNED"));
        }
        if !is_present && decoded.blocks.is_some() {
            return Err(only("blocks"));
        }
        // unknown bits: whoever made them may have put pages elsewhere
        if flags & !(PE_PRESENT | PE_PARENT | PE_LAZY | PE_PAYLOAD_ALIGNED) != 0 {
            return Err(wrong(format!("expected flags that are known, found {flags:#x}")).in_field("flags"));
        }
        let too_long = || wrong(format!("expected payloads that fit a file, found {length:#x} bytes more"));
        if flags & PE_PAYLOAD_ALIGNED != 0 {
            self.payload = self.payload.checked_next_multiple_of(page_size).ok_or_else(too_long)?;
        }
        self.group(entry.index(), start);
        if is_present {
            let stored = match decoded.blocks {
                None => length,
                Some(blocks) => {
                    let marks = Compressed::new(blocks, length, page_size, self.payload)
                        .check(page_size)
                        .map_err(|what| wrong(what).in_field("blocks"))?;
                    if !marks.is_empty() {
                        self.marks.push((entry.index(), marks));
                    }
                    blocks.total_payload_size()
                }
            };
            let behind = stored.checked_add(self.gap).and_then(|stored| self.payload.checked_add(stored));
            self.payload = behind.ok_or_else(too_long)?;
        }
        self.has_parent |= flags & PE_PARENT != 0;
        self.end = end;
        Ok(())
    }
}

/// The upper half of an address above 2 GiB in the dump of a 32-bit task.
const SIGN: u64 = 0xffff_ffff;

/// The address of an entry, without the sign that dumps of 32-bit tasks extend.
pub(super) fn address(vaddr: u64, is_extended: bool) -> u64 {
    if is_extended && vaddr >> 32 == SIGN { vaddr & 0xffff_ffff } else { vaddr }
}
