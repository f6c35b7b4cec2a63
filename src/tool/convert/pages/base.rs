//! Pages that an ancestor has: at the same address, or anywhere in its store.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use crate::base::{Error, Result};
use crate::checkpoint::Checkpoint;
use crate::image::Kind;
use crate::memory::{PageState, Pages, unpack};
use crate::object::upgrade::pagemap::Runs;
use crate::source::bundle::Bundle;
use crate::tool::convert::pages::judge::Hash;
use crate::tool::convert::pages::known::{Home, Known};
use crate::tool::convert::pages::loc::{Files, Loc, Scratch};
use crate::tool::convert::pages::places::{Places, Where};
use crate::tool::convert::pages::stores::Stores;
use crate::tool::convert::pages::window::{Content, Span, Window};
use crate::wire::v2::Codec;
use crate::wire::v2::crc::crc32c;

/// The stores that pages may be in already: those of the base, its parent, and so on.
pub(super) struct Base<'b> {
    bundles: &'b [Arc<Bundle>],
    stores: Stores<'b>,
    page_size: u64,
    /// Under which number a file is known: of which bundle, which of its files, packed how.
    files: HashMap<(usize, usize, Codec), u32>,
    /// Units whose bytes are not those that their checksum is of: level, block, unit.
    broken: HashSet<(usize, u64, usize)>,
    /// The pagemap that windows are at.
    places: Option<Places<'b>>,
    /// What version 1 has in the parents of the dump, for the same pagemap.
    parent: Option<Pages>,
}

/// A page that may be equal.
pub(super) type Candidate = Option<(Home, Loc)>;

/// A page of the store, its hash, and where its bytes are.
type Found = (u64, u64, Loc);

impl<'b> Base<'b> {
    pub(super) fn new(bundles: &'b [Arc<Bundle>], page_size: u64) -> Self {
        Self {
            bundles,
            stores: Stores::new(bundles, page_size),
            page_size,
            files: HashMap::new(),
            broken: HashSet::new(),
            places: None,
            parent: None,
        }
    }

    /// How many pages its stores have.
    pub(super) fn pages(&self) -> u64 {
        let blocks = self.bundles.iter().filter_map(|bundle| bundle.blocks().ok());
        let blocks = blocks.flat_map(|blocks| (0..blocks.len()).filter_map(|index| blocks.get(index)));
        blocks.fold(0, |sum: u64, block| sum.saturating_add(block.pages))
    }

    /// Looks at all pages of all stores: which content they have, and whether it has its checksum.
    ///
    /// Errors: a block is broken.
    pub(super) fn learn(&mut self, hash: Option<Hash>, known: &mut Known, files: &mut Files) -> Result<()> {
        // the nearest comes last and stays
        for level in (0..self.bundles.len()).rev() {
            let bundle = self.bundles.get(level).cloned();
            let Some(blocks) = bundle.as_ref().and_then(|bundle| bundle.blocks().ok()) else { continue };
            for index in 0..blocks.len() {
                let Some(at) = blocks.get(index) else { break };
                self.learn_block(level, at.first, hash, known, files)?;
            }
        }
        Ok(())
    }

    fn learn_block(
        &mut self,
        level: usize,
        first: u64,
        hash: Option<Hash>,
        known: &mut Known,
        files: &mut Files,
    ) -> Result<()> {
        let page_size = self.page_size;
        let (plain, packed) = self.numbers(level, first, files)?;
        let block = self.stores.block(level, first)?;
        let (codec, pages) = (block.inner.codec, u64::from(block.inner.unit));
        let count = usize::try_from(block.inner.units()).unwrap_or(0);
        let units: Vec<_> = (0..count)
            .filter_map(|index| {
                let unit = block.unit(index, page_size)?;
                Some((index, unit, block.sum(index, &unit)))
            })
            .collect();
        let found: Vec<(usize, Option<Vec<Found>>)> = units
            .into_par_iter()
            .map_init(Vec::new, |scratch, (index, unit, sum)| {
                if sum.is_some_and(|sum| crc32c(0, sum.bytes) != sum.sum) {
                    return (index, None);
                }
                let Some(hash) = hash else { return (index, Some(Vec::new())) };
                let is_plain = codec == Codec::Raw || unit.stored.len() == unit.length;
                let bytes = match (is_plain, unit.stored.is_empty()) {
                    (true, _) => unit.stored,
                    (false, true) => return (index, Some(Vec::new())),
                    (false, false) => {
                        scratch.resize(unit.length, 0);
                        if unpack(codec, unit.stored, scratch).is_err() {
                            return (index, None);
                        }
                        scratch.as_slice()
                    }
                };
                let start = Loc { offset: unit.offset, file: plain, ..Loc::default() };
                let start = if is_plain { start } else { packed_loc(packed, unit.offset, unit.stored, unit.length) };
                let first = first.saturating_add(pages.saturating_mul(index as u64));
                let chunks = bytes.chunks_exact(usize::try_from(page_size).unwrap_or(usize::MAX));
                let found = (0u64..).zip(chunks).map(|(number, page)| {
                    let loc = start.further(number.saturating_mul(page_size));
                    (first.saturating_add(number), hash(page).max(1), loc)
                });
                (index, Some(found.collect()))
            })
            .collect();
        let ancestor = u32::try_from(level.saturating_add(1)).unwrap_or(u32::MAX);
        for (index, found) in found {
            match found {
                Some(found) => found
                    .into_iter()
                    .for_each(|(page, hash, loc)| known.keep(hash, Home::Store { ancestor, page }, loc)),
                None => drop(self.broken.insert((level, first, index))),
            }
        }
        Ok(())
    }

    /// The numbers of the file that has a block, for pages as they are and for packed ones.
    fn numbers(&mut self, level: usize, page: u64, files: &mut Files) -> Result<(u32, u32)> {
        let block = self.stores.block(level, page)?;
        let (part, codec) = (block.part, block.inner.codec);
        let Some(bytes) = self.bundles.get(level).and_then(|bundle| bundle.bytes(part)) else { return Ok((0, 0)) };
        let mut number = |codec| *self.files.entry((level, part, codec)).or_insert_with(|| files.add(bytes, codec));
        let plain = number(Codec::Raw);
        Ok((plain, if codec == Codec::Raw { plain } else { number(codec) }))
    }

    /// Where the bytes of a page are; `None` if they are zero, broken or not there.
    fn loc(&mut self, ancestor: u32, page: u64, files: &mut Files) -> Option<Loc> {
        let level = usize::try_from(ancestor).ok()?.checked_sub(1)?;
        let (plain, packed) = self.numbers(level, page, files).ok()?;
        let page_size = self.page_size;
        let block = self.stores.block(level, page).ok()?;
        let (first, codec, pages) = (block.inner.first, block.inner.codec, u64::from(block.inner.unit));
        let behind = page.checked_sub(first)?;
        let index = usize::try_from(behind.checked_div(pages)?).ok()?;
        let unit = block.unit(index, page_size)?;
        if unit.stored.is_empty() || self.broken.contains(&(level, first, index)) {
            return None;
        }
        let start = match codec == Codec::Raw || unit.stored.len() == unit.length {
            true => Loc { offset: unit.offset, file: plain, ..Loc::default() },
            false => packed_loc(packed, unit.offset, unit.stored, unit.length),
        };
        Some(start.further((behind % pages).saturating_mul(page_size)))
    }

    /// What comes next are pages of this pagemap.
    fn begin(&mut self, kind: Kind, id: u64, dump: &Checkpoint) {
        let runs = |bundle: &'b Arc<Bundle>| Runs::new(bundle, kind, id, self.page_size);
        self.places = Some(Places::new(self.bundles.iter().map(runs).collect(), self.page_size));
        let readable = dump.parents().get(1).ok().flatten().is_some();
        let pages = || Pages::open(dump.parents(), kind, id, Some(self.page_size), dump.limits()).ok().flatten();
        self.parent = readable.then(pages).flatten();
    }

    /// Says of all pages of a window where the base has something at the same address: of those that are in the parent
    /// in the window itself, of those that are present in what is given back, page by page.
    ///
    /// Errors: the base is not what the dump was made after.
    pub(super) fn meet(
        &mut self,
        window: &mut Window,
        dump: &Checkpoint,
        files: &mut Files,
        candidates: &mut Vec<Candidate>,
    ) -> Result<()> {
        let mut spans = std::mem::take(&mut window.spans).into_iter();
        let mut at = 0usize;
        for part in &mut window.parts {
            if part.begin.is_some() {
                self.begin(part.kind, part.id, dump);
            }
            let count = part.spans.saturating_sub(at);
            at = part.spans;
            for span in spans.by_ref().take(count) {
                let places = self.places.as_mut().map(|places| places.of(span.vaddr, span.pages)).unwrap_or_default();
                match &span.content {
                    Content::Parent => self.place(span, &places, files, &mut window.spans)?,
                    Content::Plain { .. } => {
                        for (pages, place) in places {
                            for number in 0..pages {
                                candidates.push(self.candidate(place.further(number), files));
                            }
                        }
                        window.spans.push(span);
                    }
                    _ => window.spans.push(span),
                }
            }
            part.spans = window.spans.len();
        }
        Ok(())
    }

    fn candidate(&mut self, place: Where, files: &mut Files) -> Candidate {
        let Where::Stored { ancestor, page } = place else { return None };
        Some((Home::Store { ancestor, page }, self.loc(ancestor, page, files)?))
    }

    /// Cuts a span that is in the parent into those whose places there are known, and those of which they are not.
    fn place(&mut self, mut span: Span, places: &[(u64, Where)], files: &mut Files, out: &mut Vec<Span>) -> Result<()> {
        let mut vaddr = span.vaddr;
        for (pages, place) in places {
            let content = match *place {
                Where::Stored { ancestor, page } => {
                    self.compare(vaddr, *pages, *place, files)?;
                    Content::Placed { ancestor, page }
                }
                Where::Zero => {
                    self.compare(vaddr, *pages, *place, files)?;
                    Content::ParentZero
                }
                Where::Unknown => Content::Parent,
            };
            let (is_first, note) = (std::mem::take(&mut span.is_first), span.note.take());
            out.push(Span { vaddr, pages: *pages, flags: span.flags, is_first, note, content });
            vaddr = vaddr.wrapping_add(pages.saturating_mul(self.page_size));
        }
        Ok(())
    }

    /// Whether what version 1 has in the parents is what the base has.
    fn compare(&mut self, vaddr: u64, pages: u64, place: Where, files: &mut Files) -> Result<()> {
        let Some(parent) = self.parent.take() else { return Ok(()) };
        let mut scratch = Scratch::default();
        for number in 0..pages {
            let address = vaddr.wrapping_add(number.saturating_mul(self.page_size));
            // what cannot be read there cannot be compared
            let Ok(Some(PageState::Stored(bytes))) = parent.page(address) else { continue };
            let is_equal = match self.candidate(place.further(number), files) {
                Some((_, loc)) => files.is_equal(loc, &bytes, &mut scratch),
                None => bytes.iter().all(|byte| *byte == 0),
            };
            if !is_equal {
                let name = self.bundles.first().map_or("", |bundle| bundle.name());
                let what = format!("page {address:#x} is another than in the parent that the dump was made after");
                return Err(Error::usage(what).in_image(name).hint("give the bundle that the parent became"));
            }
        }
        self.parent = Some(parent);
        Ok(())
    }
}

fn packed_loc(file: u32, offset: u64, stored: &[u8], length: usize) -> Loc {
    let size = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    Loc { offset, file, packed: size(stored.len()), unpacked: size(length), at: 0 }
}
