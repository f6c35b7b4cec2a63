//! A block of pages: what stands before its data, read and written.

use zerocopy::FromBytes;
use zerocopy::little_endian::U32;

use crate::wire::field::write_key;
use crate::wire::v2::crc::crc32c;
use crate::wire::v2::header::ObjectHeader;
use crate::wire::v2::{Broken, Problem, types};
use crate::wire::varint;

/// How the units of a block are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// As they are.
    Raw,
    /// LZ4 blocks.
    Lz4,
    /// zstd frames.
    Zstd,
}

impl Codec {
    /// The number that says so.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::Raw => 0,
            Self::Lz4 => 1,
            Self::Zstd => 2,
        }
    }

    /// The codec with this number.
    #[must_use]
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::Raw),
            1 => Some(Self::Lz4),
            2 => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// A block of pages, read up to its data.
#[derive(Clone, Copy, Debug)]
pub struct PageBlock<'a> {
    /// The number of its first page.
    pub first: u64,
    /// How many pages.
    pub pages: u32,
    /// How its units are stored.
    pub codec: Codec,
    /// Pages of a unit; the last may have fewer.
    pub unit: u32,
    /// Stored bytes of each unit; 0: all zero, as long as its pages: as they are. None in raw blocks.
    pub sizes: &'a [U32],
    /// CRC-32C of each unit's stored bytes; none: nobody made any.
    pub sums: &'a [U32],
    /// From the start of the payload to the data, in bytes.
    pub data_at: usize,
    /// The data.
    pub data: &'a [u8],
}

impl<'a> PageBlock<'a> {
    /// What the payload of a block says. Its checksum is not looked at: see [`Record::check`](super::Record::check).
    ///
    /// Errors: fields that are missing, too many, or don't fit each other; at their offset in the payload.
    pub fn read(payload: &'a [u8]) -> Result<Self, Broken> {
        Self::read_prefix(payload, payload.len() as u64)
    }

    /// The same of the first bytes of a payload of `size` bytes, up to the data at least.
    ///
    /// Errors: as [`read`](Self::read).
    pub fn read_prefix(payload: &'a [u8], size: u64) -> Result<Self, Broken> {
        let wrong = |offset: usize, what| Broken { offset, problem: Problem::Block(what) };
        let mut at = 0usize;
        let fixed = |at: &mut usize, tag: u8| {
            let bytes = payload.get(*at..)?;
            let (found, rest) = bytes.split_first()?;
            let value = rest.first_chunk::<4>().filter(|_| *found == tag)?;
            *at = at.checked_add(5)?;
            Some(u32::from_le_bytes(*value))
        };
        let first = payload.split_first_chunk::<9>().map(|(field, _)| *field);
        let Some([0x09, a, b, c, d, e, f, g, h]) = first else { return Err(wrong(0, "no number of a first page")) };
        at = at.saturating_add(9);
        let pages = fixed(&mut at, 0x15).ok_or_else(|| wrong(at, "no number of pages"))?;
        let codec = fixed(&mut at, 0x1d).ok_or_else(|| wrong(at, "no codec"))?;
        let unit = fixed(&mut at, 0x25).ok_or_else(|| wrong(at, "no unit"))?;
        let first = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        let codec = Codec::from_number(codec).ok_or_else(|| wrong(14, "an unknown codec"))?;
        if unit == 0 || pages == 0 || first.checked_add(u64::from(pages)).is_none() {
            return Err(wrong(at, "no pages"));
        }
        let bytes = |at: &mut usize, tag: u8| -> Option<Option<&'a [u8]>> {
            let Some((found, _)) = payload.get(*at..)?.split_first() else { return Some(None) };
            if *found != tag {
                return Some(None);
            }
            let (length, start) = varint::read(payload, at.checked_add(1)?).ok()?;
            let end = start.checked_add(usize::try_from(length).ok()?)?;
            let value = payload.get(start..end)?;
            *at = end;
            Some(Some(value))
        };
        let sizes_at = at;
        let sizes = bytes(&mut at, 0x2a).ok_or_else(|| wrong(sizes_at, "sizes that are cut"))?;
        let sums_at = at;
        let sums = bytes(&mut at, 0x32).ok_or_else(|| wrong(sums_at, "checksums that are cut"))?;
        let padding_at = at;
        bytes(&mut at, 0x3a).ok_or_else(|| wrong(padding_at, "padding that is cut"))?;
        let data_field = at;
        let has_data = payload.get(at) == Some(&0x42);
        let length = varint::read(payload, at.saturating_add(1)).ok().filter(|_| has_data);
        let (length, data_at) = length.ok_or_else(|| wrong(data_field, "no data"))?;
        if (data_at as u64).checked_add(length) != Some(size) {
            return Err(wrong(data_field, "data that do not end with it"));
        }
        let data = payload.get(data_at..).unwrap_or_default();
        let units = usize::try_from(pages.div_ceil(unit)).unwrap_or(usize::MAX);
        let numbers = |bytes: Option<&'a [u8]>| <[U32]>::ref_from_bytes(bytes.unwrap_or_default()).ok();
        let sizes = match (numbers(sizes), codec) {
            (Some([]), Codec::Raw) => &[][..],
            (Some(sizes), Codec::Lz4 | Codec::Zstd) if sizes.len() == units => sizes,
            _ => return Err(wrong(sizes_at, "sizes that are not one for each unit")),
        };
        let sums = match numbers(sums) {
            Some(sums) if sums.is_empty() || sums.len() == units => sums,
            _ => return Err(wrong(sums_at, "checksums that are not one for each unit")),
        };
        let stored = match codec {
            Codec::Raw => length,
            _ => sizes.iter().fold(0, |sum: u64, size| sum.saturating_add(u64::from(size.get()))),
        };
        let fits = match codec {
            Codec::Raw => stored > 0 && stored.is_multiple_of(u64::from(pages)),
            _ => stored == length,
        };
        if !fits {
            return Err(wrong(data_field, "data of another length than its pages"));
        }
        Ok(Self { first, pages, codec, unit, sizes, sums, data_at, data })
    }

    /// How many units it has.
    #[must_use]
    pub fn units(&self) -> u32 {
        self.pages.div_ceil(self.unit)
    }
}

/// What stands before the data of a block, to be written: its header and the fields up to the data.
#[derive(Clone, Copy, Debug)]
pub struct Prefix<'a> {
    /// The number of its first page.
    pub first: u64,
    /// How many pages.
    pub pages: u32,
    /// How its units are stored.
    pub codec: Codec,
    /// Pages of a unit.
    pub unit: u32,
    /// Stored bytes of each unit, for all codecs but raw.
    pub sizes: &'a [u32],
    /// CRC-32C of each unit's stored bytes, or none.
    pub sums: &'a [u32],
    /// Bytes of data.
    pub length: u64,
}

impl Prefix<'_> {
    /// Whether what it says fits together: [`PageBlock::read`] takes what is written of it.
    ///
    /// Errors: what does not fit.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.unit == 0 || self.pages == 0 || self.first.checked_add(u64::from(self.pages)).is_none() {
            return Err("expected a block of pages, found one without pages");
        }
        let units = usize::try_from(self.pages.div_ceil(self.unit)).unwrap_or(usize::MAX);
        let stored = self.sizes.iter().fold(0u64, |sum, size| sum.saturating_add(u64::from(*size)));
        let (sizes, fits) = match self.codec {
            Codec::Raw => (0, self.length > 0 && self.length.is_multiple_of(u64::from(self.pages))),
            Codec::Lz4 | Codec::Zstd => (units, stored == self.length),
        };
        if self.sizes.len() != sizes || !(self.sums.is_empty() || self.sums.len() == units) {
            return Err("expected sizes and checksums of a block, one for each unit, found others");
        }
        if !fits || self.length > types::BLOCK_DATA {
            return Err("expected data as long as a block says, found others");
        }
        Ok(())
    }

    /// Writes header and prefix behind `out`. With `offset`, where in the file they will stand, and `align`, a power of
    /// two, the data begins at a multiple of it.
    pub fn write(&self, out: &mut Vec<u8>, offset: u64, align: u64) {
        let mut prefix = Vec::with_capacity(64);
        prefix.push(0x09);
        prefix.extend(self.first.to_le_bytes());
        for (tag, value) in [(0x15, self.pages), (0x1d, self.codec.number()), (0x25, self.unit)] {
            prefix.push(tag);
            prefix.extend(value.to_le_bytes());
        }
        for (number, values) in [(5, self.sizes), (6, self.sums)] {
            if !values.is_empty() {
                write_key(&mut prefix, number, 2);
                varint::write(&mut prefix, (values.len() as u64).saturating_mul(4));
                values.iter().for_each(|value| prefix.extend(value.to_le_bytes()));
            }
        }
        let mut data = vec![0x42];
        varint::write(&mut data, self.length);
        let header = size_of::<ObjectHeader>() as u64;
        let before =
            [header, prefix.len() as u64, data.len() as u64].iter().fold(offset, |sum, n| sum.wrapping_add(*n));
        let gap = before.wrapping_neg() & align.wrapping_sub(1);
        if let Some((length, width)) = padding(gap, align) {
            prefix.push(0x3a);
            varint::write(&mut prefix, length);
            debug_assert_eq!(varint::length(length), width);
            prefix.resize(prefix.len().saturating_add(usize::try_from(length).unwrap_or(0)), 0);
        }
        prefix.extend(data);
        let size = (prefix.len() as u64).saturating_add(self.length);
        let header = ObjectHeader::of(types::PAGE_BLOCK, 1, size, &prefix);
        out.extend_from_slice(zerocopy::IntoBytes::as_bytes(&header));
        out.extend(prefix);
    }
}

/// How long a field of padding must be so that it takes `gap` bytes, or as many more as `align` says: the length of its
/// content, and of the varint that says so. `None` where nothing is needed.
fn padding(gap: u64, align: u64) -> Option<(u64, usize)> {
    if gap == 0 {
        return None;
    }
    let fits = |gap: u64| {
        (1..=5usize).find_map(|width| {
            let length = gap.checked_sub(1)?.checked_sub(width as u64)?;
            (varint::length(length) == width).then_some((length, width))
        })
    };
    // some gaps no minimal varint can make: then one unit of alignment more
    fits(gap).or_else(|| fits(gap.saturating_add(align)))
}

/// The checksum that the header of a block should have.
#[must_use]
pub fn checksum(header: &ObjectHeader, payload: &[u8], data_at: usize) -> u32 {
    crc32c(crc32c(0, header.head()), payload.get(..data_at).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_aligned_wherever_a_block_begins() {
        for offset in (0..9000u64).chain([1 << 20, (1 << 32) + 3]) {
            for (units, align) in [(1u32, 4096u64), (300, 4096), (16, 65536)] {
                let sums = vec![7; units as usize];
                let length = u64::from(units) * 65536;
                let prefix = Prefix {
                    first: 5,
                    pages: units * 16,
                    codec: Codec::Raw,
                    unit: 16,
                    sizes: &[],
                    sums: &sums,
                    length,
                };
                let mut out = Vec::new();
                prefix.write(&mut out, offset, align);
                assert_eq!((offset + out.len() as u64) % align, 0, "{offset} {units}");
                let at = out.len() - 24;
                let header = *ObjectHeader::read(&out).unwrap();
                assert_eq!(header.size(), at as u64 + length);
                if offset % 500 == 0 {
                    out.resize(out.len() + length as usize, 9);
                    let block = PageBlock::read(&out[24..]).unwrap();
                    assert_eq!((block.first, block.pages, block.unit, block.data_at), (5, units * 16, 16, at));
                    assert_eq!(header.checksum(), checksum(&header, &out[24..], block.data_at));
                }
            }
        }
    }
}
