//! A block of pages whose prefix was compared with its checksum; its units are, one by one, before their first use.

use std::sync::atomic::{AtomicU64, Ordering};

use zerocopy::FromBytes;
use zerocopy::little_endian::U32;

use crate::base::{Error, Result};
use crate::source::bundle::{BlockAt, Bundle};
use crate::wire::v2::crc::crc32c;
use crate::wire::v2::{Broken, Codec, PageBlock, Problem, Record, types};

/// Every how many units the place of one is kept.
const STRIDE: usize = 64;

/// A block: where its parts are in its file. Nothing of it is copied but every 64th unit's place.
pub(super) struct Block {
    pub(super) first: u64,
    pub(super) pages: u64,
    pub(super) codec: Codec,
    /// Pages of a unit.
    pub(super) unit: u64,
    pub(super) part: usize,
    /// Offset of its data in the file, and their length in bytes.
    pub(super) data: u64,
    pub(super) length: u64,
    /// Where the sizes and the checksums of units begin in the file.
    sizes: usize,
    sums: Option<usize>,
    /// Of packed units every 64th one's offset in the data.
    places: Box<[u64]>,
    /// A bit for each unit that was found to be right.
    seen: Box<[AtomicU64]>,
}

impl Block {
    /// Opens the block that should be there.
    ///
    /// Errors: there is none, or another; its checksum is another.
    pub(super) fn open(bundle: &Bundle, at: &BlockAt) -> Result<Self> {
        let name = bundle.part_name(at.part);
        let wrong = |what: String, offset: u64| Error::format(what).at_offset(offset).in_image(name);
        let broken = |broken: Broken| wrong(broken.to_string(), broken.offset as u64);
        let bytes: &[u8] = bundle.bytes(at.part).map_or(&[], |bytes| bytes);
        let offset = usize::try_from(at.offset).unwrap_or(usize::MAX);
        let record = Record::read(bytes, offset).map_err(broken)?;
        if record.header.object_type() != types::PAGE_BLOCK {
            let what = format!("expected a block of pages, found a record of type {}", record.header.object_type());
            return Err(wrong(what, at.offset));
        }
        record.check().map_err(broken)?;
        let payload = record.end().saturating_sub(record.payload.len());
        let block = PageBlock::read(record.payload).map_err(|found| broken(found.at(payload)))?;
        let data = payload.saturating_add(block.data_at);
        let is_as_told = block.first == at.first
            && u64::from(block.pages) == at.pages
            && at.offset.checked_add(u64::from(at.data)) == Some(data as u64);
        if !is_as_told {
            let (first, pages) = (at.first, at.pages);
            let what = format!(
                "expected the block of {pages} pages from page {first} on that the table tells, found one of {} from \
                 {} on",
                block.pages, block.first
            );
            return Err(wrong(what, at.offset));
        }
        let place = |part: &[U32]| {
            // both lie in the map, one within the other
            let behind = part.as_ptr().addr().checked_sub(bytes.as_ptr().addr())?;
            (!part.is_empty()).then_some(behind)
        };
        let mut places = Vec::new();
        let mut sum = 0u64;
        for (number, size) in block.sizes.iter().enumerate() {
            if number.is_multiple_of(STRIDE) {
                places.push(sum);
            }
            sum = sum.saturating_add(u64::from(size.get()));
        }
        let units = usize::try_from(block.units()).unwrap_or(usize::MAX);
        Ok(Self {
            first: block.first,
            pages: u64::from(block.pages),
            codec: block.codec,
            unit: u64::from(block.unit),
            part: at.part,
            data: data as u64,
            length: block.data.len() as u64,
            sizes: place(block.sizes).unwrap_or(0),
            sums: place(block.sums),
            places: places.into(),
            seen: (0..units.div_ceil(64)).map(|_| AtomicU64::new(0)).collect(),
        })
    }

    /// Whether its data have as many bytes as pages of this size take, or are packed into units that may be.
    ///
    /// Errors: they have not, or are not.
    pub(super) fn fits(&self, page_size: u64) -> Result<(), String> {
        match self.codec {
            Codec::Raw if self.pages.checked_mul(page_size) != Some(self.length) => {
                let (pages, found) = (self.pages, self.length);
                Err(format!("expected {pages} pages of {page_size} bytes, found {found} bytes"))
            }
            Codec::Lz4 | Codec::Zstd if self.unit.saturating_mul(page_size) > MOST => {
                let most = MOST.checked_div(page_size).unwrap_or(0);
                Err(format!("expected 1 to {most} pages in a packed unit, found {}", self.unit))
            }
            _ => Ok(()),
        }
    }

    /// How many pages a unit has.
    pub(super) fn pages_of(&self, unit: u64) -> u64 {
        self.pages.saturating_sub(unit.saturating_mul(self.unit)).min(self.unit)
    }

    /// Where a unit is: its offset in the file, and its stored bytes.
    pub(super) fn place(&self, bytes: &[u8], unit: u64) -> Option<(u64, u64)> {
        if self.codec == Codec::Raw {
            let page = self.length.checked_div(self.pages)?;
            let behind = unit.checked_mul(self.unit)?.checked_mul(page)?;
            return Some((self.data.checked_add(behind)?, self.pages_of(unit).checked_mul(page)?));
        }
        let number = usize::try_from(unit).ok()?;
        let group = number / STRIDE;
        let mut behind = *self.places.get(group)?;
        for before in group.saturating_mul(STRIDE)..number {
            behind = behind.saturating_add(u64::from(word(bytes, self.sizes, before)?));
        }
        Some((self.data.checked_add(behind)?, u64::from(word(bytes, self.sizes, number)?)))
    }

    /// The file that it is in.
    pub(super) fn bytes<'b>(&self, bundle: &'b Bundle) -> &'b [u8] {
        bundle.bytes(self.part).map_or(&[], |bytes| bytes)
    }

    /// Whether a unit was found to be right before.
    #[inline]
    fn is_seen(&self, unit: u64) -> bool {
        let word = usize::try_from(unit / 64).ok().and_then(|word| self.seen.get(word));
        word.is_some_and(|word| word.load(Ordering::Relaxed) >> (unit % 64) & 1 == 1)
    }

    /// Compares a unit with its checksum, once; how many pages nobody can vouch for, having none.
    ///
    /// Errors: it is another.
    #[inline]
    pub(super) fn check(&self, bundle: &Bundle, unit: u64) -> Result<u64> {
        if self.is_seen(unit) { Ok(0) } else { self.look(bundle, unit) }
    }

    #[cold]
    fn look(&self, bundle: &Bundle, unit: u64) -> Result<u64> {
        let bytes = self.bytes(bundle);
        let wrong =
            |what: String, offset: u64| Error::format(what).at_offset(offset).in_image(bundle.part_name(self.part));
        if let Some(sums) = self.sums {
            let place = self.place(bytes, unit).and_then(|(offset, length)| {
                let from = usize::try_from(offset).ok()?;
                let stored = bytes.get(from..from.checked_add(usize::try_from(length).ok()?)?)?;
                Some((offset, stored, word(bytes, sums, usize::try_from(unit).ok()?)?))
            });
            let Some((offset, unit, stored)) = place else {
                return Err(wrong(format!("expected unit {unit} of a block of pages, found none"), self.data));
            };
            let computed = crc32c(0, unit);
            if stored != computed {
                let problem = Problem::Checksum { stored, computed };
                return Err(wrong(Broken { offset: 0, problem }.to_string(), offset).hint("these pages are damaged"));
            }
        }
        let before = usize::try_from(unit / 64).ok().and_then(|word| self.seen.get(word));
        let before = before.map_or(0, |word| word.fetch_or(1 << (unit % 64), Ordering::Relaxed));
        let is_first = before >> (unit % 64) & 1 == 0;
        Ok(if self.sums.is_none() && is_first { self.pages_of(unit) } else { 0 })
    }
}

/// The largest packed unit, in bytes of pages.
const MOST: u64 = 4 << 20;

/// A word of the sizes or sums that begin there.
fn word(bytes: &[u8], start: usize, number: usize) -> Option<u32> {
    let at = start.checked_add(number.checked_mul(4)?)?;
    U32::read_from_prefix(bytes.get(at..)?).ok().map(|(word, _)| word.get())
}
