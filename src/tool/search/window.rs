//! The bytes of a part as slices that can be searched one by one: of the map where a run is long, of a buffer where
//! runs meet, where they are short, and of unpacked blocks.

use std::ops::{ControlFlow, Range};

use super::batch::Part;
use super::grain::Grain;
use super::piece::{Piece, What};
use crate::base::{Error, Result};
use crate::memory::Stored;

/// How many bytes decide about a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Bytes behind a match's first: those of the longest match, and those that it looks at.
    pub(super) reach: usize,
    /// Bytes before its first.
    pub(super) behind: usize,
    /// So many untouched zeros beside stored bytes count.
    pub(super) zeros: u64,
}

/// A slice, and where in it matches may begin.
pub(super) struct Window<'w> {
    /// Address of its first byte.
    pub(super) base: u64,
    pub(super) bytes: &'w [u8],
    pub(super) own: Range<usize>,
}

/// Buffers that are used again and again.
#[derive(Default)]
pub(super) struct Scratch {
    unpacked: Vec<u8>,
    block: Vec<u8>,
    joined: Vec<u8>,
    /// Addresses of blocks that are broken, and how.
    pub(super) broken: Vec<(Range<u64>, Error)>,
}

struct Slice<'a> {
    start: u64,
    end: u64,
    bytes: Bytes<'a>,
}

enum Bytes<'a> {
    Map(&'a [u8]),
    /// From this offset on in the buffer of unpacked blocks.
    Unpacked(usize),
    Zero,
}

/// Hands the windows of a part to `visit`, in ascending order, each address that is part of it in one window's `own`.
pub(super) fn windows(
    pieces: &[Piece<'_>],
    part: &Part,
    (shape, grain): (Shape, Grain),
    scratch: &mut Scratch,
    mut visit: impl FnMut(&Window<'_>) -> ControlFlow<()>,
) {
    let slices = slices(pieces, part, shape, scratch);
    let mut rest = slices.as_slice();
    while !rest.is_empty() {
        let adjacent = rest.windows(2).take_while(|pair| matches!(pair, [a, b] if a.end == b.start)).count();
        let Some((slices, more)) = rest.split_at_checked(adjacent.saturating_add(1)) else { return };
        rest = more;
        let stretch = Stretch { slices, unpacked: &scratch.unpacked, shape, grain };
        if stretch.windows(&part.range, &mut scratch.joined, &mut visit).is_break() {
            return;
        }
    }
}

/// What the part consists of and what its matches reach into, blocks unpacked.
fn slices<'a>(pieces: &[Piece<'a>], part: &Part, shape: Shape, scratch: &mut Scratch) -> Vec<Slice<'a>> {
    let Scratch { unpacked, block, broken, .. } = scratch;
    unpacked.clear();
    let low = part.range.start.saturating_sub(shape.behind as u64);
    let high = part.range.end.saturating_add(shape.reach as u64);
    let before = pieces.get(..part.first).unwrap_or_default().iter().rev().take_while(|piece| piece.end > low).count();
    let from = part.first.saturating_sub(before);
    let mut slices: Vec<Slice<'a>> = Vec::new();
    // the block that was unpacked last
    let mut last: Option<&Stored<'_>> = None;
    for piece in pieces.get(from..).unwrap_or_default().iter().take_while(|piece| piece.start < high) {
        let (start, end) = (piece.start.max(low), piece.end.min(high));
        let [from, to] = [start, end].map(|at| low_usize(at.saturating_sub(piece.start)));
        let bytes = match &piece.what {
            What::Map(stored) => {
                let mut at = from;
                while at < to {
                    let (behind, result) = stored.sound(at, to);
                    let behind = behind.max(at.saturating_add(1));
                    let [start, end] = [at, behind].map(|at| piece.start.saturating_add(at as u64));
                    match result.map(|()| stored.part(at..behind).map()) {
                        Ok(bytes) => slices.push(Slice { start, end, bytes: Bytes::Map(bytes.unwrap_or_default()) }),
                        Err(error) => {
                            let own = start.max(part.range.start)..end.min(part.range.end);
                            if !own.is_empty() {
                                broken.push((own, error));
                            }
                        }
                    }
                    at = behind;
                }
                continue;
            }
            What::Zero => Bytes::Zero,
            What::Block(stored) => match again(stored, last, block) {
                Ok(bytes) => {
                    last = Some(stored);
                    let at = unpacked.len();
                    unpacked.extend_from_slice(bytes.get(from..to).unwrap_or_default());
                    match slices.last_mut() {
                        Some(last) if last.end == start && matches!(last.bytes, Bytes::Unpacked(_)) => {
                            last.end = end;
                            continue;
                        }
                        _ => Bytes::Unpacked(at),
                    }
                }
                Err(error) => {
                    last = None;
                    let own = start.max(part.range.start)..end.min(part.range.end);
                    if !own.is_empty() {
                        broken.push((own, error));
                    }
                    continue;
                }
            },
        };
        slices.push(Slice { start, end, bytes });
    }
    slices
}

/// The bytes of a part of a block, unpacked unless that was done for the part before: many mappings may share one.
fn again<'s>(stored: &Stored<'_>, last: Option<&Stored<'_>>, block: &'s mut Vec<u8>) -> Result<&'s [u8]> {
    if !last.is_some_and(|last| last.shares_block(stored)) {
        stored.bytes(&mut *block)?;
    }
    Ok(stored.packed().and_then(|packed| block.get(packed.part.clone())).unwrap_or_default())
}

/// Slices whose addresses touch.
struct Stretch<'s> {
    slices: &'s [Slice<'s>],
    unpacked: &'s [u8],
    shape: Shape,
    grain: Grain,
}

impl<'s> Stretch<'s> {
    fn bytes(&self, slice: &Slice<'s>) -> Option<&'s [u8]> {
        match slice.bytes {
            Bytes::Map(bytes) => Some(bytes),
            Bytes::Unpacked(at) => {
                self.unpacked.get(at..at.saturating_add(low_usize(slice.end.saturating_sub(slice.start))))
            }
            Bytes::Zero => None,
        }
    }

    /// Whether it pays to search a slice where it is, from `at` on.
    fn is_long(&self, slice: &Slice<'s>, at: u64) -> bool {
        let length = slice.end.saturating_sub(at);
        !matches!(slice.bytes, Bytes::Zero)
            && length >= self.grain.short.max((self.shape.reach as u64).saturating_mul(4))
    }

    fn windows(
        &self,
        part: &Range<u64>,
        joined: &mut Vec<u8>,
        visit: &mut impl FnMut(&Window<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let Some((first, last)) = self.slices.first().zip(self.slices.last()) else {
            return ControlFlow::Continue(());
        };
        let (low, high) = (first.start, last.end);
        let mut at = part.start.max(low);
        let end = part.end.min(high);
        let (reach, behind) = (self.shape.reach as u64, self.shape.behind as u64);
        // where the stretch ends, matches have no more to reach into
        let own_end = |window: u64| if window >= high { end } else { window.saturating_sub(reach).min(end) };
        let mut index = 0usize;
        while at < end {
            let ahead = self.slices.get(index..).unwrap_or_default();
            index = index.saturating_add(ahead.iter().take_while(|slice| slice.end <= at).count());
            let Some(slice) = self.slices.get(index) else { break };
            let before = at.saturating_sub(behind).max(low);
            let until = own_end(slice.end);
            if (self.is_long(slice, at) || slice.end >= high)
                && until > at
                && before >= slice.start
                && let Some(bytes) = self.bytes(slice)
            {
                let offset = |address: u64| low_usize(address.saturating_sub(slice.start));
                visit(&Window { base: slice.start, bytes, own: offset(at)..offset(until) })?;
                at = until;
                continue;
            }
            let stop = self.join(index, before, joined);
            let until = own_end(stop);
            let offset = |address: u64| low_usize(address.saturating_sub(before));
            visit(&Window { base: before, bytes: joined, own: offset(at)..offset(until) })?;
            // the buffer always reaches farther than a match does
            at = until.max(at.saturating_add(1));
        }
        ControlFlow::Continue(())
    }

    /// Puts bytes together from the address `from` on, which may lie before the slice `index`; where they end.
    fn join(&self, index: usize, from: u64, joined: &mut Vec<u8>) -> u64 {
        joined.clear();
        let around = self.shape.reach.saturating_add(self.shape.behind);
        let enough = self.grain.joined.max(around.saturating_mul(4)).max(1);
        let earlier = self.slices.get(..index).unwrap_or_default().iter().rev().take_while(|s| s.end > from).count();
        let mut at = from;
        for slice in self.slices.get(index.saturating_sub(earlier)..).unwrap_or_default() {
            let room = enough.saturating_sub(joined.len());
            let is_last = slice.start == at && at > from && self.is_long(slice, at);
            // a long slice is searched where it is: only what matches before it reach into is needed
            let room = if is_last { around } else { room };
            let length = low_usize(slice.end.saturating_sub(at)).min(room);
            let skip = low_usize(at.saturating_sub(slice.start));
            match self.bytes(slice) {
                Some(bytes) => {
                    joined.extend_from_slice(bytes.get(skip..skip.saturating_add(length)).unwrap_or_default());
                }
                None => joined.resize(joined.len().saturating_add(length), 0),
            }
            at = at.saturating_add(length as u64);
            if is_last || joined.len() >= enough {
                break;
            }
        }
        at
    }
}

fn low_usize(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}
