//! Blocks of pages, made from what is stored of a window: cut into units, summed and packed, in parallel.

use bytes::Bytes;
use rayon::iter::{IndexedParallelIterator, IntoParallelIterator, IntoParallelRefIterator, ParallelIterator};

use crate::memory::{Compression, pack};
use crate::tool::convert::pages::number::Stored;
use crate::tool::convert::pages::window::{Content, Window};
use crate::wire::v2::Codec;
use crate::wire::v2::block::Prefix;
use crate::wire::v2::crc::crc32c;

/// How blocks are made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) page_size: u64,
    pub(super) compression: Compression,
    /// Pages of a unit.
    pub(super) unit: u32,
    /// Pages of a block.
    pub(super) block: u64,
}

/// A block, all but written.
pub(super) struct Block {
    first: u64,
    pages: u32,
    codec: Codec,
    unit: u32,
    sizes: Vec<u32>,
    sums: Vec<u32>,
    /// Its data, in pieces.
    pub(super) data: Vec<Bytes>,
    /// Bytes of all pieces.
    pub(super) length: u64,
}

impl Block {
    /// What stands before its data.
    pub(super) fn prefix(&self) -> Prefix<'_> {
        Prefix {
            first: self.first,
            pages: self.pages,
            codec: self.codec,
            unit: self.unit,
            sizes: &self.sizes,
            sums: &self.sums,
            length: self.length,
        }
    }

    /// The multiple at which its data begins: small ones are not worth the padding, and packed ones are never mapped.
    pub(super) fn align(&self, page_size: u64) -> u64 {
        if self.codec == Codec::Raw && self.length >= ALIGNED { page_size } else { 1 }
    }
}

/// From how many bytes on a block is aligned.
const ALIGNED: u64 = 64 << 10;

/// Pieces of plain pages that become one block.
#[derive(Default)]
struct Plain {
    first: u64,
    pages: u64,
    pieces: Vec<Bytes>,
}

/// The blocks of what is stored of a window.
pub(super) fn blocks(window: &Window, stored: &[Stored], shape: &Shape) -> Vec<Block> {
    let mut made = Vec::new();
    let mut plain = Plain::default();
    let mut units = Units::default();
    for piece in stored {
        match window.spans.get(piece.span).map(|span| &span.content) {
            Some(Content::Plain { bytes, .. }) => {
                made.extend(units.finish());
                let (mut first, mut from, mut pages) = (piece.first, piece.from, piece.pages);
                while pages > 0 {
                    if plain.pages >= shape.block {
                        made.push(std::mem::take(&mut plain).finish(shape));
                    }
                    if plain.pages == 0 {
                        plain.first = first;
                    }
                    let some = pages.min(shape.block.saturating_sub(plain.pages));
                    let place = |page: u64| {
                        usize::try_from(page.saturating_mul(shape.page_size)).unwrap_or(usize::MAX).min(bytes.len())
                    };
                    plain.pieces.push(bytes.slice(place(from)..place(from.saturating_add(some))));
                    plain.pages = plain.pages.saturating_add(some);
                    first = first.saturating_add(some);
                    from = from.saturating_add(some);
                    pages = pages.saturating_sub(some);
                }
            }
            Some(Content::Units { bytes, per_block, sizes }) => {
                if plain.pages > 0 {
                    made.push(std::mem::take(&mut plain).finish(shape));
                }
                if !units.takes(*per_block, piece.pages) {
                    made.extend(units.finish());
                }
                units.add(piece, bytes, *per_block, sizes);
            }
            _ => {}
        }
    }
    if plain.pages > 0 {
        made.push(plain.finish(shape));
    }
    made.extend(units.finish());
    made
}

impl Plain {
    fn finish(self, shape: &Shape) -> Block {
        let unit = usize::try_from(u64::from(shape.unit).saturating_mul(shape.page_size)).unwrap_or(usize::MAX);
        // where each unit begins: which piece, and where in it
        let mut units: Vec<(usize, usize)> = Vec::new();
        let mut rest = 0usize;
        for (index, piece) in self.pieces.iter().enumerate() {
            let mut at = rest;
            while at < piece.len() {
                units.push((index, at));
                at = at.saturating_add(unit);
            }
            rest = at.saturating_sub(piece.len());
        }
        // the parts of pieces that a unit is made of
        let ranges = |(index, at): (usize, usize)| {
            let mut left = unit;
            (index..).zip(self.pieces.get(index..).unwrap_or_default()).map_while(move |(number, piece)| {
                let from = if number == index { at } else { 0 };
                let some = left.min(piece.len().saturating_sub(from));
                left = left.saturating_sub(some);
                (some > 0).then(|| (piece, from..from.saturating_add(some)))
            })
        };
        let codec = shape.compression.codec();
        let pages = u32::try_from(self.pages).unwrap_or(u32::MAX);
        let length = self.pages.saturating_mul(shape.page_size);
        if codec == Codec::Raw {
            let sum = |unit: &(usize, usize)| {
                ranges(*unit).fold(0, |sum, (piece, range)| crc32c(sum, piece.get(range).unwrap_or_default()))
            };
            let sums = units.par_iter().with_min_len(4).map(sum).collect();
            let sizes = Vec::new();
            return Block { first: self.first, pages, codec, unit: shape.unit, sizes, sums, data: self.pieces, length };
        }
        let packed: Vec<(u32, u32, Vec<Bytes>)> = units
            .into_par_iter()
            .map_init(Vec::new, |scratch, unit| {
                let pieces: Vec<Bytes> = ranges(unit).map(|(piece, range)| piece.slice(range)).collect();
                let whole = match pieces.as_slice() {
                    [piece] => &piece[..],
                    _ => {
                        scratch.clear();
                        pieces.iter().for_each(|piece| scratch.extend_from_slice(piece));
                        scratch.as_slice()
                    }
                };
                let (sum, length, data) = match pack(shape.compression, whole) {
                    Some(packed) => (crc32c(0, &packed), packed.len(), vec![Bytes::from(packed)]),
                    None => (crc32c(0, whole), whole.len(), pieces),
                };
                (u32::try_from(length).unwrap_or(u32::MAX), sum, data)
            })
            .collect();
        let sizes: Vec<u32> = packed.iter().map(|(size, ..)| *size).collect();
        let sums = packed.iter().map(|(_, sum, _)| *sum).collect();
        let length = sizes.iter().fold(0, |all: u64, size| all.saturating_add(u64::from(*size)));
        let data = packed.into_iter().flat_map(|(.., data)| data).collect();
        Block { first: self.first, pages, codec, unit: shape.unit, sizes, sums, data, length }
    }
}

/// Blocks of version 1 that are kept, and become units of one block.
#[derive(Default)]
struct Units {
    first: u64,
    pages: u64,
    per_block: u32,
    sizes: Vec<u32>,
    data: Vec<Bytes>,
    length: u64,
}

/// Bytes and units of a block of units at most.
const UNITS: usize = 1 << 18;
const UNITS_LENGTH: u64 = 16 << 20;

impl Units {
    /// Whether units of so many pages may go on here: all before are whole.
    fn takes(&self, per_block: u32, pages: u64) -> bool {
        let most = u64::from(u32::MAX);
        self.pages == 0
            || (self.per_block == per_block
                && self.pages.is_multiple_of(u64::from(per_block).max(1))
                && self.sizes.len() < UNITS
                && self.length < UNITS_LENGTH
                && self.pages.saturating_add(pages) < most)
    }

    fn add(&mut self, piece: &Stored, bytes: &Bytes, per_block: u32, sizes: &[u32]) {
        if self.pages == 0 {
            (self.first, self.per_block) = (piece.first, per_block);
        }
        self.pages = self.pages.saturating_add(piece.pages);
        self.sizes.extend_from_slice(sizes);
        self.length = self.length.saturating_add(bytes.len() as u64);
        self.data.push(bytes.clone());
    }

    fn finish(&mut self) -> Option<Block> {
        let this = std::mem::take(self);
        if this.pages == 0 {
            return None;
        }
        // units never cross the pieces
        let mut units = Vec::with_capacity(this.sizes.len());
        let mut sizes = this.sizes.iter();
        for piece in &this.data {
            let mut at = 0usize;
            while at < piece.len() {
                let Some(size) = sizes.next() else { break };
                let end = at.saturating_add(usize::try_from(*size).unwrap_or(usize::MAX)).min(piece.len());
                units.push(piece.get(at..end).unwrap_or_default());
                at = end;
            }
            // zeros at the end take no bytes
            while sizes.as_slice().first() == Some(&0) {
                sizes.next();
                units.push(&[]);
            }
        }
        let sums = units.par_iter().with_min_len(256).map(|unit| crc32c(0, unit)).collect();
        let pages = u32::try_from(this.pages).unwrap_or(u32::MAX);
        let (unit, length) = (this.per_block, this.length);
        let (first, codec) = (this.first, Codec::Lz4);
        Some(Block { first, pages, codec, unit, sizes: this.sizes, sums, data: this.data, length })
    }
}
