//! A pagemap entry whose pages are cut into blocks: where each block is in the pages file.

use crate::memory::blocks::Blocks;
use crate::memory::low;
use crate::wire::varint;

/// Every how many blocks the place of one is kept.
const STRIDE: usize = 256;
/// The largest block, in bytes (CRIU's limit).
const MAX_BLOCK: u64 = 4 << 20;

/// For each 256th block but the first: where its size is among the sizes, and its offset behind the first block.
pub(crate) type Marks = Vec<(usize, u64)>;

/// The blocks of one entry.
pub(crate) struct Compressed<'a> {
    blocks: Blocks<'a>,
    /// The sizes, as varints, where they stand together.
    sizes: Option<&'a [u8]>,
    /// Bytes of pages, all blocks together.
    length: u64,
    /// Bytes of pages in a block; the last may have fewer.
    block: u64,
    /// Where the first block is in the pages file.
    offset: u64,
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

impl<'a> Compressed<'a> {
    /// The blocks of an entry with `length` bytes of pages whose payload begins at `offset`.
    pub(crate) fn new(blocks: Blocks<'a>, length: u64, page_size: u64, offset: u64) -> Self {
        let block = u64::from(blocks.pages_per_block()).saturating_mul(page_size).max(1);
        Self { sizes: blocks.packed(), blocks, length, block, offset }
    }

    /// Whether they fit together and with the rest of the entry; what is wrong, if they don't.
    pub(crate) fn check(&self, page_size: u64) -> Result<Marks, String> {
        let per_block = self.blocks.pages_per_block();
        if per_block == 0 || self.block > MAX_BLOCK {
            let most = MAX_BLOCK / page_size.max(1);
            return Err(format!("expected 1 to {most} pages in a block, found {per_block}"));
        }
        let expected = self.length.div_ceil(self.block);
        let mut marks = Marks::new();
        let (mut number, mut sum) = (0usize, 0u64);
        for (at, block) in self.walk(0, 0, 0) {
            if number > 0 && number.is_multiple_of(STRIDE) {
                marks.push((at, sum));
            }
            if block.packed > block.unpacked {
                let (most, size) = (block.unpacked, block.packed);
                return Err(format!("block {number}: expected at most {most} bytes, found {size}"));
            }
            // blocks of 4 MiB, each with a size of at least one byte
            sum = sum.saturating_add(block.packed);
            number = number.saturating_add(1);
        }
        let found = self.blocks.block_sizes().count() as u64;
        if found != expected || number as u64 != expected {
            return Err(format!("expected {expected} sizes of blocks, found {found}"));
        }
        let total = self.blocks.total_payload_size();
        if total != sum {
            return Err(format!("expected blocks of {total} bytes together (total_payload_size), found {sum}"));
        }
        if self.sizes.is_none() {
            marks.clear();
        }
        Ok(marks)
    }

    /// The blocks from that on with the page `at` bytes behind the entry's first. `marks` are those of the check.
    pub(crate) fn blocks_from(&self, at: u64, marks: &[(usize, u64)]) -> impl Iterator<Item = Block> + use<'a> {
        let wanted = usize::try_from(at / self.block).unwrap_or(usize::MAX);
        let mark = (wanted / STRIDE).min(marks.len());
        let (place, before) = mark.checked_sub(1).and_then(|mark| marks.get(mark).copied()).unwrap_or_default();
        let first = mark.saturating_mul(STRIDE);
        self.walk(first, place, before).map(|(_, block)| block).skip(wanted.saturating_sub(first))
    }

    /// The blocks from block `number` on, whose size stands at `place` and which is `before` bytes behind the first;
    /// each with the place of its size.
    fn walk(&self, number: usize, place: usize, before: u64) -> impl Iterator<Item = (usize, Block)> + use<'a> {
        let (length, block, offset) = (self.length, self.block, self.offset);
        let mut sizes = match self.sizes {
            Some(run) => Sizes::Packed { run, at: place },
            // never marked
            None => Sizes::Spread(Box::new(self.blocks.block_sizes())),
        };
        let (mut number, mut before) = (number as u64, before);
        std::iter::from_fn(move || {
            let start = number.saturating_mul(block);
            if start >= length {
                return None;
            }
            let (at, packed) = sizes.next()?;
            let found = Block {
                at: start,
                unpacked: block.min(length.saturating_sub(start)),
                offset: offset.saturating_add(before),
                packed,
            };
            before = before.saturating_add(packed);
            number = number.saturating_add(1);
            Some((at, found))
        })
    }
}

/// The sizes, one after the other.
enum Sizes<'a> {
    Packed { run: &'a [u8], at: usize },
    Spread(Box<dyn Iterator<Item = u32> + Send + 'a>),
}

impl Sizes<'_> {
    /// A size, and where it stands.
    #[inline]
    fn next(&mut self) -> Option<(usize, u64)> {
        match self {
            Self::Packed { run, at } => {
                let place = *at;
                let (value, end) = varint::read(run, place).ok()?;
                *at = end;
                Some((place, u64::from(low(value))))
            }
            Self::Spread(sizes) => sizes.next().map(|size| (0, u64::from(size))),
        }
    }
}
