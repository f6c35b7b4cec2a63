//! Pages of a checkpoint and its ancestors by their numbers: where their bytes are, and which sums say so.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;
use std::sync::Arc;

use crate::base::{Error, Result};
use crate::memory::Parents;
use crate::source::bundle::Bundle;
use crate::wire::v2::{Codec, PageBlock, Record, types};

/// The bundles of a checkpoint and its ancestors, as far as they follow each other and are there: whoever needs a page
/// of one that is not is told so.
pub(super) fn bundles(parents: &Parents) -> Result<Vec<Arc<Bundle>>> {
    let mut bundles = Vec::new();
    loop {
        let source = match parents.get(bundles.len()) {
            Err(error) if bundles.is_empty() => return Err(error),
            Err(_) | Ok(None) => return Ok(bundles),
            Ok(Some(source)) => source,
        };
        let Some(bundle) = source.bundle() else { return Ok(bundles) };
        bundles.push(bundle.clone());
    }
}

/// Which block: of which bundle, and its number there.
type Key = (usize, usize);

/// The stores of some bundles. Blocks are looked at when they are first used.
pub(super) struct Stores<'a> {
    bundles: &'a [Arc<Bundle>],
    page_size: u64,
    blocks: HashMap<Key, Block<'a>>,
}

/// A block that was looked at.
pub(super) struct Block<'a> {
    pub(super) key: Key,
    pub(super) inner: PageBlock<'a>,
    /// Which file it is in, and where its data begins there.
    pub(super) part: usize,
    pub(super) data_at: u64,
    /// Where each unit begins in the data, and the end; none of raw blocks.
    offsets: Vec<u32>,
    /// A bit for each unit whose sum was, or will be, compared.
    checked: Vec<u64>,
}

/// Stored bytes, and the sum that they should have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sum<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) sum: u32,
    pub(super) level: usize,
    pub(super) part: usize,
    /// Offset in the file.
    pub(super) offset: u64,
}

/// One unit of a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unit<'a> {
    /// Its bytes as they are stored.
    pub(super) stored: &'a [u8],
    /// Where those are in the file.
    pub(super) offset: u64,
    /// Bytes of its pages.
    pub(super) length: usize,
}

impl<'a> Stores<'a> {
    pub(super) fn new(bundles: &'a [Arc<Bundle>], page_size: u64) -> Self {
        Self { bundles, page_size, blocks: HashMap::new() }
    }

    /// The block that has a page.
    ///
    /// Errors: there is none, or it is broken.
    pub(super) fn block(&mut self, level: usize, page: u64) -> Result<&mut Block<'a>> {
        let Some(bundle) = self.bundles.get(level) else {
            return Err(Error::fault(format!("expected page {page} of ancestor {level}, which is not there")));
        };
        let blocks = bundle.blocks().map_err(Clone::clone)?;
        let absent = || Error::format(format!("expected a block with page {page}, found none")).in_image(bundle.name());
        let index = blocks.find(page).ok_or_else(absent)?;
        let page_size = self.page_size;
        match self.blocks.entry((level, index)) {
            Entry::Occupied(block) => Ok(block.into_mut()),
            Entry::Vacant(place) => {
                let at = blocks.get(index).ok_or_else(absent)?;
                let offset = usize::try_from(at.offset).unwrap_or(usize::MAX);
                let wrong = |broken: crate::wire::v2::Broken| {
                    Error::format(broken.to_string())
                        .at_offset(broken.offset as u64)
                        .in_image(bundle.part_name(at.part))
                };
                let record = Record::read(bundle.bytes(at.part).ok_or_else(absent)?, offset).map_err(wrong)?;
                if record.header.object_type() != types::PAGE_BLOCK {
                    let what = "expected a block of pages where the table of blocks says, found another record";
                    return Err(Error::format(what).at_offset(at.offset).in_image(bundle.part_name(at.part)));
                }
                record.check().map_err(wrong)?;
                let inner = PageBlock::read(record.payload).map_err(wrong)?;
                let said = |what: &str| {
                    Error::format(what.to_owned()).at_offset(at.offset).in_image(bundle.part_name(at.part))
                };
                if inner.first != at.first || u64::from(inner.pages) != at.pages {
                    return Err(said("expected the pages that the table of blocks says, found others"));
                }
                let bytes = u64::from(inner.pages).saturating_mul(page_size);
                let unit = u64::from(inner.unit).saturating_mul(page_size);
                let is_wrong = match inner.codec {
                    Codec::Raw => inner.data.len() as u64 != bytes,
                    _ => unit > MAX_UNIT,
                };
                if is_wrong {
                    return Err(said("expected a block of pages of another size"));
                }
                let mut sum = 0u32;
                let ends = inner.sizes.iter().map(|size| {
                    sum = sum.saturating_add(size.get());
                    sum
                });
                let offsets = match inner.codec {
                    Codec::Raw => Vec::new(),
                    _ => std::iter::once(0).chain(ends).collect(),
                };
                let units = usize::try_from(inner.units()).unwrap_or(usize::MAX);
                let behind = record.end().saturating_sub(inner.data.len()) as u64;
                Ok(place.insert(Block {
                    key: (level, index),
                    inner,
                    part: at.part,
                    data_at: behind,
                    offsets,
                    checked: vec![0; units.div_ceil(64)],
                }))
            }
        }
    }
}

/// A packed unit holds at most so many bytes of pages.
const MAX_UNIT: u64 = 4 << 20;

impl<'a> Block<'a> {
    /// The units that have some of its pages, counted from its first.
    pub(super) fn units(&self, pages: Range<u64>) -> Range<usize> {
        let unit = u64::from(self.inner.unit).max(1);
        let place = |unit: u64| usize::try_from(unit).unwrap_or(usize::MAX);
        place(pages.start / unit)..place(pages.end.div_ceil(unit))
    }

    /// One of its units.
    pub(super) fn unit(&self, index: usize, page_size: u64) -> Option<Unit<'a>> {
        let unit = u64::from(self.inner.unit);
        let first = unit.checked_mul(index as u64)?;
        let pages = u64::from(self.inner.pages).checked_sub(first)?.min(unit);
        let length = usize::try_from(pages.checked_mul(page_size)?).ok()?;
        let (from, to) = match self.inner.codec {
            Codec::Raw => {
                let from = usize::try_from(first.checked_mul(page_size)?).ok()?;
                (from, from.checked_add(length)?)
            }
            _ => {
                let place = |index: usize| usize::try_from(*self.offsets.get(index)?).ok();
                (place(index)?, place(index.checked_add(1)?)?)
            }
        };
        let stored = self.inner.data.get(from..to).filter(|stored| stored.len() <= length)?;
        Some(Unit { stored, offset: self.data_at.checked_add(from as u64)?, length })
    }

    /// The sum of a unit, if it has one and nobody asked for it yet.
    pub(super) fn sum(&mut self, index: usize, unit: &Unit<'a>) -> Option<Sum<'a>> {
        let bits = self.checked.get_mut(index / 64)?;
        let bit = 1u64 << (index % 64);
        if *bits & bit != 0 {
            return None;
        }
        *bits |= bit;
        let sum = self.inner.sums.get(index)?.get();
        Some(Sum { bytes: unit.stored, sum, level: self.key.0, part: self.part, offset: unit.offset })
    }
}
