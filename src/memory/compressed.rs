//! A pagemap entry whose pages are cut into blocks: where each block is in the pages file.

use bytes::Bytes;

use crate::memory::blocks::Blocks;
use crate::memory::low;
use crate::wire::varint;

/// Every how many blocks the place of one is kept.
const STRIDE: usize = 256;
/// The largest block, in bytes (CRIU's limit).
const MAX_BLOCK: u64 = 4 << 20;

/// The blocks of one entry, checked against what its other fields say.
pub(crate) struct Compressed {
    /// Bytes of pages, all blocks together.
    length: u64,
    /// Bytes of pages in a block; the last may have fewer.
    block: u64,
    /// Where the first block is in the pages file.
    pub(crate) offset: u64,
    /// The sizes, as varints.
    sizes: Bytes,
    /// For each 256th block: where its size is among the sizes, and its offset behind that of the first.
    marks: Vec<(usize, u64)>,
}

/// One block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// Where its pages begin, in bytes behind the entry's first.
    pub(crate) at: u64,
    /// Bytes of pages.
    pub(crate) unpacked: u64,
    /// Where it is in the pages file.
    pub(crate) offset: u64,
    /// Bytes that it takes there: 0 for zeros, as many as `unpacked` for plain pages, else an LZ4 block.
    pub(crate) packed: u64,
}

impl Compressed {
    /// The blocks of an entry with `length` bytes of pages whose payload begins at `offset`; what is wrong, if they
    /// do not fit together. `owner` is what `blocks` is a part of.
    pub(crate) fn new(
        blocks: Blocks<'_>,
        owner: &Bytes,
        length: u64,
        page_size: u64,
        offset: u64,
    ) -> Result<Self, String> {
        let per_block = u64::from(blocks.pages_per_block());
        let block =
            per_block.checked_mul(page_size).filter(|size| (1..=MAX_BLOCK).contains(size)).ok_or_else(|| {
                format!("expected 1 to {} pages in a block, found {per_block}", MAX_BLOCK / page_size.max(1))
            })?;
        let sizes = match blocks.packed() {
            Some(packed) => owner.slice_ref(packed),
            None => blocks.repacked().into(),
        };
        let mut this = Self { length, block, offset, sizes, marks: Vec::new() };
        let expected = length.div_ceil(block);
        let (mut at, mut number, mut sum) = (0usize, 0u64, 0u64);
        while at < this.sizes.len() && number < expected {
            if usize::try_from(number).is_ok_and(|number| number.is_multiple_of(STRIDE)) {
                this.marks.push((at, sum));
            }
            let (size, end) = this.size_at(at).ok_or("expected the size of a block")?;
            let unpacked = block.min(length.saturating_sub(number.saturating_mul(block)));
            if size > unpacked {
                return Err(format!("block {number}: expected at most {unpacked} bytes, found {size}"));
            }
            // at most 2^32 blocks of 4 MiB
            sum = sum.saturating_add(size);
            number = number.saturating_add(1);
            at = end;
        }
        let found = number.saturating_add(varint_count(this.sizes.get(at..).unwrap_or_default()));
        if found != expected {
            return Err(format!("expected {expected} sizes of blocks, found {found}"));
        }
        let total = blocks.total_payload_size();
        if total != sum {
            return Err(format!("expected blocks of {total} bytes together (total_payload_size), found {sum}"));
        }
        Ok(this)
    }

    fn size_at(&self, at: usize) -> Option<(u64, usize)> {
        let (value, end) = varint::read(&self.sizes, at).ok()?;
        Some((u64::from(low(value)), end))
    }

    /// The blocks from that with the page `at` bytes behind the entry's first.
    pub(crate) fn blocks_from(&self, at: u64) -> impl Iterator<Item = Block> + use<'_> {
        let wanted = usize::try_from(at / self.block).unwrap_or(usize::MAX);
        let mark = wanted / STRIDE;
        let mut number = mark.saturating_mul(STRIDE);
        let (mut place, mut before) = self.marks.get(mark).copied().unwrap_or((self.sizes.len(), 0));
        std::iter::from_fn(move || {
            loop {
                let start = (number as u64).saturating_mul(self.block);
                if start >= self.length {
                    return None;
                }
                let (packed, end) = self.size_at(place)?;
                let block = Block {
                    at: start,
                    unpacked: self.block.min(self.length.saturating_sub(start)),
                    offset: self.offset.saturating_add(before),
                    packed,
                };
                place = end;
                before = before.saturating_add(packed);
                number = number.saturating_add(1);
                if number > wanted {
                    return Some(block);
                }
            }
        })
    }
}

/// Every varint ends with a byte below 0x80.
fn varint_count(run: &[u8]) -> u64 {
    run.iter().filter(|byte| **byte < 0x80).count() as u64
}
