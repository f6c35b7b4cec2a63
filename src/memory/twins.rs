//! Pages with equal content: a table of bounded size proposes them, comparing bytes decides.

use std::collections::HashMap;

use bytes::Bytes;

use crate::memory::codec;
use crate::memory::low;
use crate::memory::pages::Pages;
use crate::memory::run::{Data, Stored};
use crate::wire::v2::Codec;

/// Places of so many pages are kept at most, 32 bytes each.
const MOST: u64 = 1 << 20;
/// So many places one after the other are looked through for a page.
const WAYS: usize = 8;
/// So many pages files are kept open. Pages of those beyond are compared with those before, and not remembered.
const FILES: usize = 1 << 14;

/// A page that was met, and where its bytes are.
#[derive(Clone, Copy, Default)]
struct Slot {
    hash: u64,
    place: Place,
}

/// Where the bytes of a page are: in a pages file as they are, or in a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place {
    /// Offset in the file; of a block, where that begins.
    offset: u64,
    /// Number of the file, from 1; 0 for a slot that is free.
    file: u32,
    /// Bytes of the block in the file, and [`ZSTD`] for zstd frames; 0 for pages that are as they are.
    packed: u32,
    /// Bytes that the block unpacks to.
    unpacked: u32,
    /// Where the page is among these.
    at: u32,
}

/// A bit that no length has: the largest block has 4 MiB.
const ZSTD: u32 = 1 << 31;

/// The pages met so far, as far as a table of at most 32 MiB remembers them: of a dump with up to half a million
/// different pages nearly all, beyond that the later ones. What it says of a page is always right: that its content was
/// met before has been seen by comparing all its bytes. What it misses makes the number of equal pages too small.
pub struct Twins {
    page_size: usize,
    slots: Vec<Slot>,
    /// Pages files, as many as there may be.
    files: Vec<Bytes>,
    /// Their numbers, by where they are in memory.
    numbers: HashMap<(usize, usize), u32>,
    /// The last blocks that were unpacked: of pages that are asked about, of pages met before.
    blocks: [Block; 2],
}

#[derive(Default)]
struct Block {
    file: u32,
    offset: u64,
    bytes: Vec<u8>,
}

impl Twins {
    /// A table for about `pages` pages of `page_size` bytes.
    pub fn new(pages: u64, page_size: u64) -> Self {
        let slots = pages.saturating_mul(2).clamp(1024, MOST).next_power_of_two();
        Self {
            page_size: usize::try_from(page_size).unwrap_or(usize::MAX),
            slots: vec![Slot::default(); usize::try_from(slots).unwrap_or(0)],
            files: Vec::new(),
            numbers: HashMap::new(),
            blocks: Default::default(),
        }
    }

    /// The number under which [`met`](Self::met) knows the file with these bytes; `None` if there is no such file, or
    /// there are too many.
    pub fn file(&mut self, pages: &Pages, stored: &Stored<'_>) -> Option<u32> {
        let content = pages.content(stored.level, stored.part)?;
        let place = (content.as_ptr().addr(), content.len());
        if let Some(number) = self.numbers.get(&place) {
            return Some(*number);
        }
        if self.files.len() >= FILES {
            return None;
        }
        self.files.push(content.clone());
        let number = u32::try_from(self.files.len()).ok()?;
        self.numbers.insert(place, number);
        Some(number)
    }

    /// Whether a page with the same content was met before; if not, it is kept. `hash` is that of its content, by
    /// [`fingerprint`]; it is `at` bytes behind the beginning of what is stored, in the file with this number. Without
    /// a number it is not kept.
    pub fn met(&mut self, stored: &Stored<'_>, file: Option<u32>, at: usize, hash: u64) -> bool {
        let place = match &stored.data {
            Data::Map(_) => Place { offset: stored.offset.saturating_add(at as u64), ..Place::default() },
            Data::Block(packed) => Place {
                offset: stored.offset,
                packed: low(packed.bytes.len() as u64) | if packed.codec == Codec::Zstd { ZSTD } else { 0 },
                unpacked: low(packed.length as u64),
                at: low(packed.part.start.saturating_add(at) as u64),
                ..Place::default()
            },
        };
        let place = Place { file: file.unwrap_or(0), ..place };
        let mask = self.slots.len().saturating_sub(1);
        let first = usize::try_from(hash).unwrap_or(usize::MAX) & mask & !(WAYS - 1);
        let mut free = None;
        for position in first..first.saturating_add(WAYS) {
            match self.slots.get(position) {
                Some(slot) if slot.place.file == 0 => {
                    free = Some(position);
                    break;
                }
                Some(slot) if slot.hash == hash => {
                    let other = slot.place;
                    if self.is_equal(stored, at, place, other) {
                        return true;
                    }
                }
                _ => {}
            }
        }
        // where all are taken, which one goes is left to the hash: the same for the same dump
        let goes = first.saturating_add(usize::try_from(hash >> 56).unwrap_or(0) % WAYS);
        if let Some(slot) = self.slots.get_mut(free.unwrap_or(goes)).filter(|_| file.is_some()) {
            *slot = Slot { hash, place };
        }
        false
    }

    fn is_equal(&mut self, stored: &Stored<'_>, at: usize, place: Place, other: Place) -> bool {
        let [own, met] = &mut self.blocks;
        let page = match &stored.data {
            Data::Map(bytes) => bytes.get(at..at.saturating_add(self.page_size)),
            Data::Block(packed) => own.page(packed.bytes, place, self.page_size),
        };
        let file = usize::try_from(other.file).ok().and_then(|file| self.files.get(file.checked_sub(1)?));
        let other = file.and_then(|file| {
            let from = usize::try_from(other.offset).ok()?;
            match other.packed {
                0 => file.get(from..from.checked_add(self.page_size)?),
                packed => {
                    let packed = file.get(from..from.checked_add(usize::try_from(packed & !ZSTD).ok()?)?)?;
                    met.page(packed, other, self.page_size)
                }
            }
        });
        page.is_some() && page == other
    }
}

impl Block {
    /// The bytes of a page, all of them or none.
    fn page(&mut self, packed: &[u8], place: Place, page_size: usize) -> Option<&[u8]> {
        if place.file == 0 || (self.file, self.offset) != (place.file, place.offset) {
            self.file = 0;
            self.bytes.resize(usize::try_from(place.unpacked).ok()?, 0);
            let codec = if place.packed & ZSTD == 0 { Codec::Lz4 } else { Codec::Zstd };
            codec::unpack(codec, packed, &mut self.bytes).ok()?;
            (self.file, self.offset) = (place.file, place.offset);
        }
        let from = usize::try_from(place.at).ok()?;
        self.bytes.get(from..from.checked_add(page_size)?)
    }
}

/// 64 bits that are the same for equal bytes, and nearly always others for others. Whoever knows how they are made can
/// make bytes that have the same: they propose, and decide nothing.
pub fn fingerprint(bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    // both halves of the product: the upper bits of a word must not stay among themselves
    let mix = |state: u64, word: u64| {
        let (low, high) = (state ^ word).carrying_mul(FACTOR, 0);
        low ^ high
    };
    let (lines, rest) = bytes.as_chunks::<32>();
    // four at once: one multiplication need not wait for another
    let mut states = [1u64, 2, 3, 4];
    for line in lines {
        let (words, _) = line.as_chunks::<8>();
        for (state, word) in states.iter_mut().zip(words) {
            *state = mix(*state, u64::from_le_bytes(*word));
        }
    }
    let rest = rest.iter().fold(bytes.len() as u64, |state, byte| mix(state, u64::from(*byte)));
    let all = states.into_iter().fold(rest, mix);
    let all = (all ^ all >> 32).wrapping_mul(FACTOR);
    all ^ all >> 29
}
