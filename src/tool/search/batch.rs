//! Pieces cut into parts of even size, for all cores: a batch of parts at a time, so that memory stays flat.

use std::ops::Range;

use super::piece::{Piece, Pieces, What};
use super::window::Shape;

/// Addresses that one core searches: all matches that begin there.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) range: Range<u64>,
    /// Which of the pieces it begins with.
    pub(super) first: usize,
    /// Bytes to search.
    pub(super) bytes: u64,
}

/// Parts that follow each other, and their pieces with those that matches reach into.
pub(super) struct Batch<'a> {
    pub(super) pieces: Vec<Piece<'a>>,
    pub(super) parts: Vec<Part>,
}

/// Cuts pieces into batches.
pub(super) struct Batches<'a> {
    pub(super) pieces: Pieces<'a>,
    shape: Shape,
    /// Parts of a batch.
    parts: usize,
    /// Bytes of a part.
    size: u64,
    /// Pieces read already: those that end the batch before, and those that begin the next.
    held: Vec<Piece<'a>>,
    /// Where the next batch begins.
    at: u64,
}

impl<'a> Batches<'a> {
    pub(super) fn new(pieces: Pieces<'a>, shape: Shape, parts: usize, size: u64) -> Self {
        Self { pieces, shape, parts, size: size.max(1), held: Vec::new(), at: 0 }
    }

    /// The piece with this number, read if need be.
    fn get(&mut self, index: usize) -> Option<&Piece<'a>> {
        if index >= self.held.len() {
            self.held.push(self.pieces.next()?);
        }
        self.held.get(index)
    }

    /// The next parts; `None` at the end.
    pub(super) fn next(&mut self) -> Option<Batch<'a>> {
        let mut parts: Vec<Part> = Vec::with_capacity(self.parts);
        let mut index = self.held.partition_point(|piece| piece.end <= self.at);
        let mut part: Option<Part> = None;
        let (mut at, size) = (self.at, self.size);
        while parts.len() < self.parts {
            let Some(piece) = self.get(index) else { break };
            let start = piece.start.max(at);
            let mut part_now = part.take().unwrap_or(Part { range: start..start, first: index, bytes: 0 });
            let room = size.saturating_sub(part_now.bytes);
            let left = piece.end.saturating_sub(start);
            // a block is unpacked as a whole
            let take = if matches!(piece.what, What::Block(_)) { left } else { left.min(room) };
            at = start.saturating_add(take);
            if at >= piece.end {
                index = index.saturating_add(1);
            }
            part_now.range.end = at;
            part_now.bytes = part_now.bytes.saturating_add(take);
            match part_now.bytes >= size {
                true => parts.push(part_now),
                false => part = Some(part_now),
            }
        }
        parts.extend(part);
        if parts.is_empty() {
            return None;
        }
        // what matches that begin in the last part reach into
        let ahead = at.saturating_add(self.shape.reach as u64);
        let mut end = at;
        while end < ahead {
            match self.get(index) {
                Some(piece) if piece.start <= end => end = piece.end,
                _ => break,
            }
            index = index.saturating_add(1);
        }
        self.at = at;
        let behind = at.saturating_sub(self.shape.behind as u64);
        let done = self.held.partition_point(|piece| piece.end <= behind);
        let pieces = std::mem::take(&mut self.held);
        self.held = pieces.get(done..).unwrap_or_default().to_vec();
        Some(Batch { pieces, parts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_small() {
        assert!(size_of::<Piece<'_>>() <= 112, "{}", size_of::<Piece<'_>>());
    }
}
