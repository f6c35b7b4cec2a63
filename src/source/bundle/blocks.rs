//! Where blocks of pages are: the block table, or what a walk over the pages finds.

use bytes::Bytes;

use crate::base::{Error, Result};
use crate::source::bundle::Bundle;
use crate::wire::v2::array::Array;
use crate::wire::v2::{BlockRow, Broken, PageBlock, Record, types};

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
        if let [part] = bundle.parts.as_slice()
            && let [table] = part.tables.as_slice()
        {
            let wrong = |broken: Broken| {
                Error::format(broken.to_string()).at_offset(broken.offset as u64).in_image(part.name.as_str())
            };
            let record = Record::read(&part.bytes, *table).map_err(wrong)?;
            record.check().map_err(wrong)?;
            let array =
                Array::<BlockRow>::new(record.header, record.payload).map_err(|broken| wrong(broken.at(*table)))?;
            array.check().map_err(|broken| wrong(broken.at(*table)))?;
            if array.as_slice().is_some() {
                let bytes = part.bytes.slice_ref(record.payload);
                return Ok(Self { len: array.len(), table: Some((bytes, 0)), found: Vec::new() });
            }
        }
        Self::walk(bundle)
    }

    /// Looks for them where pages are.
    fn walk(bundle: &Bundle) -> Result<Self> {
        let mut found = Vec::new();
        for record in bundle.records(types::KIND_PAGES, 0).unchecked() {
            // what was found before an error is good
            let Ok(record) = record else { break };
            if record.record.header.object_type() != types::PAGE_BLOCK {
                continue;
            }
            let Ok(block) = PageBlock::read(record.record.payload) else { continue };
            let data = size_of::<crate::wire::v2::ObjectHeader>().saturating_add(block.data_at);
            found.push(BlockAt {
                first: block.first,
                pages: u64::from(block.pages),
                part: record.part,
                offset: record.record.offset as u64,
                data: u32::try_from(data).unwrap_or(u32::MAX),
            });
        }
        found.sort_unstable();
        Ok(Self { table: None, len: found.len(), found })
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
            Some((bytes, part)) => {
                let row = rows(bytes).get(index)?;
                let (first, pages, offset, data) = (row.first(), row.pages(), row.offset(), row.data());
                Some(BlockAt { first, pages, part: *part, offset, data })
            }
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

fn rows(bytes: &[u8]) -> &[BlockRow] {
    <[BlockRow] as zerocopy::FromBytes>::ref_from_bytes(bytes).unwrap_or_default()
}
