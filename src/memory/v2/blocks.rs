//! The blocks of pages of one dump: found by the numbers of their pages, opened when somebody asks for them. All
//! address spaces of a checkpoint share them, so that nothing is checked twice.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crate::base::{Error, Result};
use crate::memory::v2::block::Block;
use crate::memory::v2::seal::Seal;
use crate::source::bundle::{BlockAt, Blocks, Bundle};
use crate::wire::v2::Codec;

/// Blocks whose state is kept together; made when the first of them is used.
const GROUP: usize = 256;

type Group = Box<[OnceLock<Result<Box<Block>>>]>;

/// The blocks of pages of one dump of version 2.
pub(crate) struct PageBlocks {
    bundle: Arc<Bundle>,
    groups: OnceLock<Box<[OnceLock<Group>]>>,
    /// Pages that were used and have no checksum.
    unchecked: AtomicU64,
}

/// Consecutive pages that are stored in one way.
pub(crate) struct Located<'a> {
    /// How many there are, from the page that was asked for on.
    pub(crate) pages: u64,
    /// Which file has them.
    pub(crate) part: usize,
    pub(crate) what: What<'a>,
}

/// How pages are stored.
pub(crate) enum What<'a> {
    /// As they are, at this offset.
    Plain { offset: u64, bytes: &'a [u8], seal: Seal<'a> },
    /// As nothing.
    Zero,
    /// In a packed unit at this offset, which unpacks to `length` bytes; the first is `skip` bytes behind its start.
    Packed { codec: Codec, offset: u64, bytes: &'a [u8], length: usize, skip: usize, seal: Seal<'a> },
}

impl PageBlocks {
    pub(crate) fn new(bundle: Arc<Bundle>) -> Self {
        Self { bundle, groups: OnceLock::new(), unchecked: AtomicU64::new(0) }
    }

    pub(crate) fn bundle(&self) -> &Arc<Bundle> {
        &self.bundle
    }

    /// How many pages were handed out so far for which there is no checksum.
    pub(crate) fn unchecked(&self) -> u64 {
        self.unchecked.load(Ordering::Relaxed)
    }

    fn block(&self, index: usize, at: &BlockAt) -> Result<&Block, &Error> {
        static NONE: OnceLock<Error> = OnceLock::new();
        let count = || self.bundle.blocks().map_or(0, |blocks| blocks.len());
        let groups = self.groups.get_or_init(|| (0..count().div_ceil(GROUP)).map(|_| OnceLock::new()).collect());
        let group = groups.get(index / GROUP);
        let group = group.map(|group| group.get_or_init(|| (0..GROUP).map(|_| OnceLock::new()).collect()));
        match group.and_then(|group| group.get(index % GROUP)) {
            Some(block) => {
                block.get_or_init(|| Block::open(&self.bundle, at).map(Box::new)).as_ref().map(|block| &**block)
            }
            None => Err(NONE.get_or_init(|| Error::format("expected a block of pages, found none"))),
        }
    }

    /// Bytes of a page, as a block of pages that are as they are shows; `None` if none of the first ones does.
    pub(crate) fn page_size(&self) -> Option<u64> {
        let blocks = self.bundle.blocks().ok()?;
        let all = (0..blocks.len().min(64)).filter_map(|index| self.block(index, &blocks.get(index)?).ok());
        let mut sizes =
            all.filter(|block| block.codec == Codec::Raw).filter_map(|block| block.length.checked_div(block.pages));
        sizes.find(|size| size.is_power_of_two())
    }

    /// How many bytes all its pages have.
    pub(crate) fn bytes(&self, page_size: u64) -> u64 {
        let Ok(blocks) = self.bundle.blocks() else { return 0 };
        let pages = (0..blocks.len()).filter_map(|index| blocks.get(index)).map(|block| block.pages);
        pages.fold(0, u64::saturating_add).saturating_mul(page_size)
    }

    /// Where page `page` is and those behind it, up to `most`. `hint` is the number of the block that was found last.
    ///
    /// Errors: no block has it, or the block is broken. Then also how many pages that is true of.
    pub(crate) fn locate(
        &self,
        page: u64,
        most: u64,
        page_size: u64,
        hint: &mut usize,
    ) -> Result<Located<'_>, (Error, u64)> {
        let blocks = self.bundle.blocks().map_err(|error| (error.clone(), most))?;
        let is_in = |at: &BlockAt| page.wrapping_sub(at.first) < at.pages;
        let index = Some(*hint).filter(|hint| blocks.get(*hint).is_some_and(|at| is_in(&at)));
        let Some((index, at)) = index.or_else(|| blocks.find(page)).and_then(|index| Some((index, blocks.get(index)?)))
        else {
            // up to where the next block begins
            let pages = next(blocks, page).map_or(most, |next| next.saturating_sub(page)).min(most);
            let what = format!("expected a block with page {page}, found none");
            return Err((Error::format(what).in_image(self.bundle.name()), pages));
        };
        *hint = index;
        let behind = page.saturating_sub(at.first);
        let pages = at.pages.saturating_sub(behind).min(most);
        let block = self.block(index, &at).map_err(|error| (error.clone(), pages))?;
        let wrong = |what: String| {
            let error = Error::format(what).at_offset(at.offset).in_image(self.bundle.part_name(at.part));
            (error, pages)
        };
        block.fits(page_size).map_err(wrong)?;
        let file = block.bytes(&self.bundle);
        let get = |offset: u64, length: u64| {
            let from = usize::try_from(offset).ok()?;
            file.get(from..from.checked_add(usize::try_from(length).ok()?)?)
        };
        let seal = |units| Seal { blocks: self, block, units };
        let part = at.part;
        let unit = behind / block.unit.max(1);
        if block.codec == Codec::Raw {
            let offset = block.data.saturating_add(behind.saturating_mul(page_size));
            let bytes = get(offset, pages.saturating_mul(page_size));
            let bytes = bytes.ok_or_else(|| wrong("expected pages, found the end of the file".to_owned()))?;
            let last = behind.saturating_add(pages).div_ceil(block.unit.max(1));
            return Ok(Located { pages, part, what: What::Plain { offset, bytes, seal: seal((unit, last)) } });
        }
        let skipped = behind.saturating_sub(unit.saturating_mul(block.unit));
        let own = block.pages_of(unit);
        let pages = own.saturating_sub(skipped).min(pages);
        let length = own.saturating_mul(page_size);
        let skip = skipped.saturating_mul(page_size);
        let found = block.place(file, unit).and_then(|(offset, size)| Some((offset, get(offset, size)?)));
        let (offset, bytes) =
            found.ok_or_else(|| wrong(format!("expected unit {unit} of a block of pages, found none")))?;
        let units = (unit, unit.saturating_add(1));
        let size = bytes.len() as u64;
        let what = if size == 0 {
            What::Zero
        } else if size == length {
            let end = skip.saturating_add(pages.saturating_mul(page_size));
            let [from, to] = [skip, end].map(|at| usize::try_from(at).unwrap_or(usize::MAX));
            let bytes = bytes.get(from..to).unwrap_or_default();
            What::Plain { offset: offset.saturating_add(skip), bytes, seal: seal(units) }
        } else if size < length {
            let [length, skip] = [length, skip].map(|size| usize::try_from(size).unwrap_or(usize::MAX));
            What::Packed { codec: block.codec, offset, bytes, length, skip, seal: seal(units) }
        } else {
            return Err((
                Error::format(format!("expected a unit of at most {length} bytes, found {size}"))
                    .at_offset(offset)
                    .in_image(self.bundle.part_name(part)),
                pages,
            ));
        };
        Ok(Located { pages, part, what })
    }

    pub(super) fn check(&self, block: &Block, units: (u64, u64)) -> Result<()> {
        for unit in units.0..units.1 {
            let unchecked = block.check(&self.bundle, unit)?;
            if unchecked > 0 {
                self.unchecked.fetch_add(unchecked, Ordering::Relaxed);
            }
        }
        Ok(())
    }
}

/// The number of the first page of the block behind a page that is in none.
#[cold]
fn next(blocks: &Blocks, page: u64) -> Option<u64> {
    let (mut low, mut high) = (0, blocks.len());
    while low < high {
        let middle = low.midpoint(high);
        if blocks.get(middle)?.first <= page { low = middle.saturating_add(1) } else { high = middle }
    }
    blocks.get(low).map(|at| at.first)
}
