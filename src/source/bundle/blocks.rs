//! Where blocks of pages are: the block table, or what a walk over the pages finds.

use bytes::Bytes;

use crate::base::{Error, Result};
use crate::source::bundle::{Bundle, In, Records};
use crate::wire::v2::array::Array;
use crate::wire::v2::{BlockRow, Broken, ObjectHeader, PageBlock, Record, types};

/// All blocks of pages, by the number of their first page.
pub struct Blocks {
    /// The table of the directory, where there is one: its bytes, and the file they are about.
    table: Option<(Bytes, usize)>,
    /// What was found without one.
    found: Vec<BlockAt>,
    len: usize,
}

/// Where a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlockAt {
    /// The number of its first page.
    pub first: u64,
    /// How many pages.
    pub pages: u64,
    /// Which file.
    pub part: usize,
    /// Offset of its header in the file.
    pub offset: u64,
    /// From there to its data, in bytes.
    pub data: u32,
}

impl Blocks {
    pub(super) fn of(bundle: &Bundle) -> Result<Self> {
        let tables = bundle.parts.iter().map(|part| part.tables.as_slice());
        if let [[table]] = tables.clone().collect::<Vec<_>>().as_slice()
            && let (bytes, array) = table_at(bundle, 0, *table)?
            && array.as_slice().is_some()
        {
            return Ok(Self { len: array.len(), table: Some((bytes, 0)), found: Vec::new() });
        }
        let mut found = Vec::new();
        for (part, tables) in tables.enumerate() {
            if tables.is_empty() {
                Self::walk(bundle, part, &mut found)?;
            }
            for table in tables {
                let (_, array) = table_at(bundle, part, *table)?;
                found.extend(array.iter().map(|row| BlockAt::of_row(row, part)));
            }
        }
        found.sort_unstable();
        let overlap = |pair: &&[BlockAt]| matches!(pair, [a, b] if b.first.saturating_sub(a.first) < a.pages);
        if let Some([_, block]) = found.windows(2).find(overlap) {
            let name = bundle.part_name(block.part);
            let what = format!("expected page {} in one block, found it in two", block.first);
            return Err(Error::format(what).at_offset(block.offset).in_image(name));
        }
        Ok(Self::of_found(found))
    }

    /// What was found, in order.
    pub(super) fn of_found(found: Vec<BlockAt>) -> Self {
        Self { table: None, len: found.len(), found }
    }

    /// Looks for them where pages are.
    fn walk(bundle: &Bundle, part: usize, found: &mut Vec<BlockAt>) -> Result<()> {
        let sections = bundle.sections(types::KIND_PAGES, 0);
        let start = sections.partition_point(|section| section.part < part);
        let end = sections.partition_point(|section| section.part <= part);
        for record in Records::of(bundle, sections.get(start..end).unwrap_or_default()).unchecked() {
            let In { part, record } = record?;
            if record.header.object_type() == types::PAGE_BLOCK {
                let block = PageBlock::read(record.payload).map_err(|broken| {
                    let broken = broken.at(record.offset.saturating_add(size_of_val(record.header)));
                    Error::format(broken.to_string()).at_offset(broken.offset as u64).in_image(bundle.part_name(part))
                })?;
                found.push(BlockAt::of(&block, part, record.offset));
            }
        }
        Ok(())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Block `index`.
    #[inline]
    pub fn get(&self, index: usize) -> Option<BlockAt> {
        match &self.table {
            None => self.found.get(index).copied(),
            Some((bytes, part)) => rows(bytes).get(index).map(|row| BlockAt::of_row(row, *part)),
        }
    }

    /// The number of the block that has a page.
    #[inline]
    pub fn find(&self, page: u64) -> Option<usize> {
        let behind = match &self.table {
            None => self.found.partition_point(|block| block.first <= page),
            Some((bytes, _)) => rows(bytes).partition_point(|row| row.first() <= page),
        };
        let index = behind.checked_sub(1)?;
        let block = self.get(index)?;
        (page.wrapping_sub(block.first) < block.pages).then_some(index)
    }
}

impl BlockAt {
    /// A block whose header is at an offset.
    pub(super) fn of(block: &PageBlock<'_>, part: usize, offset: usize) -> Self {
        let data = u32::try_from(size_of::<ObjectHeader>().saturating_add(block.data_at)).unwrap_or(u32::MAX);
        Self { first: block.first, pages: u64::from(block.pages), part, offset: offset as u64, data }
    }

    /// What a table says.
    pub(super) fn of_row(row: &BlockRow, part: usize) -> Self {
        Self { first: row.first(), pages: row.pages(), part, offset: row.offset(), data: row.data() }
    }
}

/// The table at an offset, compared with its checksum.
fn table_at(bundle: &Bundle, part: usize, at: usize) -> Result<(Bytes, Array<'_, BlockRow>)> {
    let wrong = |broken: Broken| {
        let name = bundle.part_name(part);
        Error::format(broken.to_string()).at_offset(broken.offset as u64).in_image(name)
    };
    let Some(bytes) = bundle.bytes(part) else { return Err(Error::usage("expected a file, found none")) };
    let record = Record::read(bytes, at).map_err(wrong)?;
    record.check().map_err(wrong)?;
    let payload = at.saturating_add(size_of_val(record.header));
    let array = Array::<BlockRow>::new(record.header, record.payload);
    let array = array.and_then(|array| array.check().map(|()| array)).map_err(|broken| wrong(broken.at(payload)))?;
    Ok((bytes.slice_ref(record.payload), array))
}

fn rows(bytes: &[u8]) -> &[BlockRow] {
    <[BlockRow] as zerocopy::FromBytes>::ref_from_bytes(bytes).unwrap_or_default()
}
