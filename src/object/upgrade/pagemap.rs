//! Pagemaps: the entries of version 1 as runs of pages, and runs as the entries that they were, byte for byte.
//!
//! A run says what an entry said, and where its pages are. Neighbouring runs of one entry are marked, so that they
//! come back as one. What is written differently than CRIU writes it stands beside the runs, in notes.

use std::collections::HashMap;

use prost::Message as _;

use crate::base::{Error, Result};
use crate::image::Kind;
use crate::object::upgrade::{v2, write};
use crate::source::bundle::{Bundle, Records};
use crate::wire::field::{Fields, Value};
use crate::wire::v2::array::{Array, BLOCKS, CONT, V1_FLAGS};
use crate::wire::v2::{Codec, PageBlock, PageRun, Record, types};
use crate::wire::{v1, varint};

/// `PE_PARENT`.
const PARENT: u32 = 1;
/// `PE_PRESENT`.
const PRESENT: u32 = 4;
/// The upper half of an address whose sign was extended.
const SIGN: u64 = 0xffff_ffff;

/// Which fields the entries of a pagemap have; it changed over the years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// Since CRIU 4.2: flags, pages counted in field 5.
    #[default]
    Now,
    /// Since 3.5: flags, pages counted in field 2.
    Counted,
    /// Before: pages counted in field 2, and whether they are in the parent.
    Old,
}

/// What only the files of version 1 had, of a pagemap and its pages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The number in the name of its pages file.
    pub pages_id: u64,
    /// Which fields its entries have.
    pub style: Style,
    /// Whether it has no first word, as in version 1.0 of the format.
    pub is_bare: bool,
    /// Its first message, where it says more than `pages_id`.
    pub head: Option<Vec<u8>>,
    /// Whether addresses from 2 GiB to 4 GiB had their sign extended to 64 bits.
    pub is_extended: bool,
    /// Whether there is no pages file.
    pub is_absent: bool,
    /// What follows the last page in the pages file.
    pub tail: Vec<u8>,
}

impl Facts {
    /// The payload of its `V1_IMAGE` record.
    pub fn encode(&self) -> Vec<u8> {
        let style = match self.style {
            Style::Now => None,
            Style::Counted => Some(1),
            Style::Old => Some(2),
        };
        let image = v2::V1Image {
            pages_id: Some(self.pages_id),
            first_word: self.is_bare.then_some(v2::V1FirstWord::Absent.into()),
            pagemap_style: style,
            pages_absent: self.is_absent.then_some(true),
            pages_tail: (!self.tail.is_empty()).then(|| self.tail.clone().into()),
            pagemap_head: self.head.clone().map(Into::into),
            sign_extended: self.is_extended.then_some(true),
            ..v2::V1Image::default()
        };
        image.encode_to_vec()
    }

    /// What a `V1_IMAGE` says. `None` where it cannot be read.
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let image = v2::V1Image::decode(payload).ok()?;
        let style = match image.pagemap_style.unwrap_or_default() {
            0 => Style::Now,
            1 => Style::Counted,
            2 => Style::Old,
            _ => return None,
        };
        Some(Self {
            pages_id: image.pages_id.unwrap_or_default(),
            style,
            is_bare: image.first_word == Some(v2::V1FirstWord::Absent.into()),
            head: image.pagemap_head.map(Into::into),
            is_extended: image.sign_extended.unwrap_or_default(),
            is_absent: image.pages_absent.unwrap_or_default(),
            tail: image.pages_tail.map(Into::into).unwrap_or_default(),
        })
    }

    /// The first message of the pagemap.
    pub fn head(&self) -> Vec<u8> {
        self.head.clone().unwrap_or_else(|| usual_head(self.pages_id))
    }

    /// The message of an entry, as CRIU writes it.
    pub fn entry(&self, entry: &Entry<'_>, out: &mut Vec<u8>) {
        let is_high = (0x8000_0000..=SIGN).contains(&entry.vaddr);
        let vaddr = if self.is_extended && is_high { entry.vaddr | SIGN << 32 } else { entry.vaddr };
        let mut number = |key: u8, value: u64| {
            out.push(key);
            varint::write(out, value);
        };
        number(0x08, vaddr);
        match self.style {
            Style::Now => {
                number(0x10, 0);
                number(0x20, u64::from(entry.flags));
                number(0x28, entry.pages);
            }
            Style::Counted => {
                number(0x10, entry.pages);
                number(0x20, u64::from(entry.flags));
            }
            Style::Old => {
                number(0x10, entry.pages);
                if entry.flags & PARENT != 0 {
                    number(0x18, 1);
                }
            }
        }
        let Some((per_block, sizes)) = entry.blocks else { return };
        let mut packed = Vec::with_capacity(sizes.len().saturating_mul(2));
        sizes.iter().for_each(|size| varint::write(&mut packed, u64::from(*size)));
        let mut blocks = Vec::with_capacity(packed.len().saturating_add(16));
        write::bytes(&mut blocks, 1, &packed);
        let total = sizes.iter().fold(0, |sum: u64, size| sum.saturating_add(u64::from(*size)));
        for (key, value) in [(0x10, total), (0x18, u64::from(per_block))] {
            blocks.push(key);
            varint::write(&mut blocks, value);
        }
        write::bytes(out, 6, &blocks);
    }
}

/// The first message of a pagemap as CRIU writes it.
pub fn usual_head(pages_id: u64) -> Vec<u8> {
    let mut head = vec![0x08];
    varint::write(&mut head, pages_id);
    head
}

/// An entry of a pagemap, as far as runs say it.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Address of its first page.
    pub vaddr: u64,
    /// How many pages.
    pub pages: u64,
    /// Its `PE_*` bits.
    pub flags: u32,
    /// Pages of a block and the sizes of all blocks, where it is in blocks.
    pub blocks: Option<(u32, &'a [u32])>,
}

/// What an entry says that a run has no room for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// Fields that follow those which CRIU writes.
    Rest(Vec<u8>),
    /// The whole message, which is made otherwise.
    Raw(Vec<u8>),
}

impl Note {
    /// What has to be noted of a message so that it can be made again from `usual`, what CRIU would have written.
    pub fn of(message: &[u8], usual: &[u8]) -> Option<Self> {
        let rest = message.strip_prefix(usual);
        match rest {
            Some([]) => None,
            Some(rest) => Some(Self::Rest(rest.to_vec())),
            None => Some(Self::Raw(message.to_vec())),
        }
    }

    /// The payload of its `NOTE` record, for the run with this number in its image.
    pub fn encode(&self, index: u64) -> Vec<u8> {
        let (rest, raw) = match self {
            Self::Rest(rest) => (Some(rest.clone().into()), None),
            Self::Raw(raw) => (None, Some(raw.clone().into())),
        };
        v2::Note { index: Some(index), v1_rest: rest, v1_raw: raw }.encode_to_vec()
    }

    fn decode(payload: &[u8]) -> Option<(u64, Self)> {
        let (mut index, mut note) = (0, None);
        for field in Fields::new(payload) {
            let field = field.ok()?;
            match (field.number, field.value) {
                (1, Value::Varint(value)) => index = value,
                (2, Value::Bytes(rest)) => note = Some(Self::Rest(rest.to_vec())),
                (3, Value::Bytes(raw)) => note = Some(Self::Raw(raw.to_vec())),
                _ => {}
            }
        }
        Some((index, note?))
    }
}

/// The runs of a pagemap in order. Each array is compared with its checksum and looked through when it is reached; it
/// ends behind the first error.
pub struct Runs<'a> {
    bundle: &'a Bundle,
    records: Records<'a>,
    array: Option<Array<'a, PageRun>>,
    next: usize,
    /// Where the runs before end.
    end: u64,
    page_size: u64,
    place: (usize, usize),
    has_ended: bool,
}

impl<'a> Runs<'a> {
    /// The runs of an image.
    pub fn new(bundle: &'a Bundle, kind: Kind, id: u64, page_size: u64) -> Self {
        let records = bundle.records(kind.number(), id);
        Self { bundle, records, array: None, next: 0, end: 0, page_size, place: (0, 0), has_ended: false }
    }

    #[cold]
    fn wrong(&mut self, what: String) -> Option<Result<PageRun>> {
        let (part, offset) = self.place;
        (self.array, self.has_ended) = (None, true);
        Some(Err(Error::format(what).at_offset(offset as u64).in_image(self.bundle.part_name(part))))
    }
}

impl Iterator for Runs<'_> {
    type Item = Result<PageRun>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_ended {
            return None;
        }
        loop {
            if let Some(run) = self.array.as_ref().and_then(|array| array.get(self.next)) {
                self.next = self.next.saturating_add(1);
                let end = run.pages().checked_mul(self.page_size).and_then(|bytes| run.vaddr().checked_add(bytes));
                return match end {
                    Some(end) if run.vaddr() >= self.end => {
                        self.end = end;
                        Some(Ok(*run))
                    }
                    _ => self.wrong(format!(
                        "expected runs that ascend, found {} pages at {:#x} behind {:#x}",
                        run.pages(),
                        run.vaddr(),
                        self.end
                    )),
                };
            }
            self.array = None;
            let found = match self.records.next()? {
                Ok(found) => found,
                Err(error) => return Some(Err(error)),
            };
            if found.record.header.object_type() != types::PAGE_RUN {
                continue;
            }
            self.place = (found.part, found.record.offset);
            match checked(&found.record) {
                Ok(array) => (self.array, self.next) = (Some(array), 0),
                Err(broken) => return self.wrong(broken.to_string()),
            }
        }
    }
}

fn checked<'a>(record: &Record<'a>) -> Result<Array<'a, PageRun>, crate::wire::v2::Broken> {
    record.check()?;
    let array = Array::new(record.header, record.payload)?;
    array.check()?;
    Ok(array)
}

/// What stands beside the runs of a pagemap: facts, and notes by the number of their run.
///
/// Errors: the image is broken.
pub fn beside(bundle: &Bundle, kind: Kind, id: u64) -> Result<(Facts, HashMap<u64, Note>)> {
    let mut facts = Facts::default();
    let mut notes = HashMap::new();
    for found in bundle.records(kind.number(), id) {
        let found = found?;
        let wrong =
            |what| Error::format(what).at_offset(found.record.offset as u64).in_image(bundle.part_name(found.part));
        match found.record.header.object_type() {
            types::V1_IMAGE => {
                let read = Facts::decode(found.record.payload);
                facts = read.ok_or_else(|| wrong("expected what a pagemap had in version 1, found other bytes"))?;
            }
            types::NOTE => {
                let read = Note::decode(found.record.payload);
                notes.extend([read.ok_or_else(|| wrong("expected a note, found other bytes"))?]);
            }
            _ => {}
        }
    }
    Ok((facts, notes))
}

/// The file of version 1 that a pagemap was: `page_size` is that of the checkpoint.
///
/// Errors: the image is broken; or the blocks that had its pages in version 1 are not there.
pub fn bytes(bundle: &Bundle, kind: Kind, id: u64, page_size: u64) -> Result<Vec<u8>> {
    let (facts, notes) = beside(bundle, kind, id)?;
    let mut out = Vec::new();
    if !facts.is_bare {
        out.extend(v1::COMMON.to_le_bytes());
    }
    out.extend(kind.row().magic.to_le_bytes());
    put(&mut out, &facts.head());
    let mut entry: Option<Whole> = None;
    for (index, run) in (0u64..).zip(Runs::new(bundle, kind, id, page_size)) {
        let run = run?;
        if run.flags() & CONT == 0 {
            if let Some(entry) = entry.take() {
                entry.write(&facts, &notes, &mut out);
            }
            entry = Some(Whole::new(index, &run));
        }
        let whole = entry.as_mut().and_then(|entry| entry.add(bundle, &run, page_size));
        if whole.is_none() {
            return Err(Error::format(format!("expected a run that goes on, found another at {:#x}", run.vaddr()))
                .in_image(bundle.name()));
        }
    }
    if let Some(entry) = entry {
        entry.write(&facts, &notes, &mut out);
    }
    Ok(out)
}

/// A message with its size before it.
fn put(out: &mut Vec<u8>, message: &[u8]) {
    out.extend(u32::try_from(message.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(message);
}

/// An entry as its runs are joined.
struct Whole {
    index: u64,
    vaddr: u64,
    pages: u64,
    flags: u32,
    per_block: u32,
    sizes: Vec<u32>,
}

impl Whole {
    fn new(index: u64, run: &PageRun) -> Self {
        let (vaddr, flags) = (run.vaddr(), run.flags());
        Self { index, vaddr, pages: 0, flags, per_block: 0, sizes: Vec::new() }
    }

    /// Adds a run; `None` if it does not go on where those before end, or its blocks are not there.
    fn add(&mut self, bundle: &Bundle, run: &PageRun, page_size: u64) -> Option<()> {
        let said = V1_FLAGS | BLOCKS;
        let end = self.pages.checked_mul(page_size)?.checked_add(self.vaddr)?;
        if run.vaddr() != end || run.flags() & said != self.flags & said {
            return None;
        }
        self.pages = self.pages.checked_add(run.pages())?;
        if run.flags() & BLOCKS == 0 {
            return Some(());
        }
        units(bundle, run, |block, range| {
            if self.per_block == 0 {
                self.per_block = block.unit;
            }
            let sizes = block.sizes.get(range).filter(|_| self.per_block == block.unit)?;
            self.sizes.extend(sizes.iter().map(|size| size.get()));
            Some(())
        })
    }

    fn write(&self, facts: &Facts, notes: &HashMap<u64, Note>, out: &mut Vec<u8>) {
        let note = notes.get(&self.index);
        if let Some(Note::Raw(raw)) = note {
            return put(out, raw);
        }
        let mut message = Vec::new();
        let blocks = (self.flags & BLOCKS != 0).then_some((self.per_block, self.sizes.as_slice()));
        let (vaddr, pages, flags) = (self.vaddr, self.pages, self.flags & V1_FLAGS);
        facts.entry(&Entry { vaddr, pages, flags, blocks }, &mut message);
        if let Some(Note::Rest(rest)) = note {
            message.extend_from_slice(rest);
        }
        put(out, &message);
    }
}

/// The units that have the pages of a run in blocks: of each block of pages, which of its units. `None` if there are
/// no such blocks, a unit is not all of the run's, or `take` says so.
pub fn units<'a>(
    bundle: &'a Bundle,
    run: &PageRun,
    mut take: impl FnMut(&PageBlock<'a>, std::ops::Range<usize>) -> Option<()>,
) -> Option<()> {
    let blocks = bundle.blocks().ok()?;
    let (mut page, end) = (run.page(), run.page().checked_add(run.pages())?);
    while page < end {
        let at = blocks.get(blocks.find(page)?)?;
        let record = Record::read(bundle.bytes(at.part)?, usize::try_from(at.offset).ok()?).ok()?;
        let block = PageBlock::read(record.payload).ok()?;
        if block.codec != Codec::Lz4 || block.first != at.first || u64::from(block.pages) != at.pages {
            return None;
        }
        let behind = block.first.checked_add(at.pages)?.min(end);
        let (from, to) = (page.checked_sub(block.first)?, behind.checked_sub(block.first)?);
        let unit = u64::from(block.unit);
        // only the last unit of an entry is shorter, and then its block ends with it
        if !from.is_multiple_of(unit) || (!to.is_multiple_of(unit) && to != at.pages) {
            return None;
        }
        let range = usize::try_from(from / unit).ok()?..usize::try_from(to.div_ceil(unit)).ok()?;
        take(&block, range)?;
        page = behind;
    }
    Some(())
}

/// Whether the pages of a run were in the pages file.
pub fn is_present(run: &PageRun) -> bool {
    run.flags() & PRESENT != 0
}
