//! Plain pages to blocks.

use std::cell::RefCell;
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use rayon::iter::{IntoParallelRefIterator, IntoParallelRefMutIterator, ParallelIterator};

use crate::base::report::{Cancel, Progress};
use crate::base::{Error, Result};
use crate::checkpoint::plain::PlainRanges;
use crate::memory::pagemap::PE_PRESENT;
use crate::memory::{PagemapEntry, pack_block};
use crate::tool::compress::entries::{Sizes, size_word, with_blocks};
use crate::tool::compress::files::Files;
use crate::tool::compress::piece::{PIECE, Targets, read, turn_bytes};
use crate::tool::compress::survey::Survey;
use crate::tool::compress::{Compress, Counts, go_on};
use crate::wire::varint;

/// Entries, or parts of them, in a piece: each of a page of its own, or none.
const SPANS: usize = 1 << 12;

/// Packs all pages, and writes the pagemaps that say so.
///
/// Errors: a file cannot be read, or changed since; the system refused; the work was asked to end.
pub(super) fn pages(
    survey: &Survey<'_>,
    plain: &PlainRanges,
    block: u64,
    options: &Compress,
    files: &mut Files<'_>,
    (progress, cancel): (&dyn Progress, &Cancel),
) -> Result<Vec<Counts>> {
    let shape = Shape { page_size: survey.page_size, block, acceleration: options.acceleration };
    let mut work = Work {
        shape,
        survey,
        files,
        control: (progress, cancel),
        targets: Targets::new(),
        pieces: Vec::new(),
        free: Vec::new(),
        bytes: 0,
        done: 0,
        entry: Entry::default(),
        most: usize::try_from(survey.dump.limits().memory).unwrap_or(usize::MAX),
    };
    for map in &survey.maps {
        let image = survey.image(map)?;
        let source = Arc::new(survey.file(&map.pages_file)?);
        let target = work.targets.begin(map, &image, work.files)?;
        let ranges = plain.of(map.name.kind, map.name.id);
        let begin = |at: u64| Piece::new(target, &source, &map.pages_file, ranges, at);
        let mut piece = begin(0);
        for entry in image.range(1..image.len(), true) {
            let entry = entry?;
            let decoded = PagemapEntry::decode(&entry)?;
            let mut left = match decoded.pe_flags() & PE_PRESENT {
                0 => 0,
                _ => decoded.pages().saturating_mul(shape.page_size),
            };
            let (mut message, mut vaddr) = (Some(entry.message_bytes()), decoded.vaddr);
            loop {
                let room = PIECE.saturating_sub(piece.length);
                let is_full = room < block.min(left) && piece.length > 0;
                if is_full || piece.spans.len() >= SPANS {
                    let at = piece.at.saturating_add(piece.length);
                    work.add(std::mem::replace(&mut piece, begin(at)))?;
                    continue;
                }
                let length = left.min((room / block).max(1).saturating_mul(block));
                left = left.saturating_sub(length);
                piece.spans.push(Span { message: message.take(), vaddr, length, ends: left == 0 });
                piece.length = piece.length.saturating_add(length);
                vaddr = vaddr.saturating_add(length);
                if left == 0 {
                    break;
                }
            }
        }
        piece.ends = true;
        work.add(piece)?;
    }
    work.turn()?;
    Ok(work.targets.counts())
}

/// How pages are packed.
#[derive(Clone, Copy)]
struct Shape {
    page_size: u64,
    block: u64,
    acceleration: u32,
}

/// Pages that lie together in their file, and what becomes of them.
struct Piece<'p> {
    target: usize,
    source: Arc<File>,
    name: &'p str,
    /// Addresses whose pages stay plain.
    ranges: &'p [Range<u64>],
    at: u64,
    length: u64,
    spans: Vec<Span>,
    /// Whether the pagemap ends with it.
    ends: bool,
    out: Out,
    /// Where that goes.
    put_at: u64,
    /// Where zeros go in between, so that what follows begins at a page: in front of which byte, and how many.
    cuts: Vec<(usize, usize)>,
}

/// An entry, or whole blocks of it.
struct Span {
    /// The entry, where it begins.
    message: Option<Bytes>,
    vaddr: u64,
    /// Bytes of its pages here; 0 where they are not in this dump.
    length: u64,
    ends: bool,
}

/// Packed pages.
#[derive(Default)]
struct Out {
    bytes: Vec<u8>,
    /// The sizes of all blocks on the wire.
    wire: Vec<u8>,
    said: Vec<Said>,
}

/// What became of a span.
#[derive(Clone, Copy)]
struct Said {
    /// Of the bytes, and of the sizes on the wire.
    bytes: usize,
    wire: usize,
    /// Whether all blocks are plain.
    is_plain: bool,
    /// Whether the first block that is not zero is plain.
    first: Option<bool>,
}

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::default();
}

impl<'p> Piece<'p> {
    fn new(target: usize, source: &Arc<File>, name: &'p str, ranges: &'p [Range<u64>], at: u64) -> Self {
        Self {
            target,
            source: source.clone(),
            name,
            ranges,
            at,
            length: 0,
            spans: Vec::new(),
            ends: false,
            out: Out::default(),
            put_at: 0,
            cuts: Vec::new(),
        }
    }

    fn pack(&mut self, shape: &Shape) -> Result<()> {
        let length = usize::try_from(self.length).unwrap_or(usize::MAX);
        let (ranges, out) = (self.ranges, &mut self.out);
        out.bytes.reserve(length);
        BUFFER.with_borrow_mut(|buffer| {
            if buffer.len() < length {
                buffer.resize(length, 0);
            }
            let plain = buffer.get_mut(..length).unwrap_or_default();
            read(&self.source, self.name, self.at, plain)?;
            let mut rest = &plain[..];
            for span in &self.spans {
                let some = usize::try_from(span.length).unwrap_or(usize::MAX);
                let (pages, behind) = rest.split_at_checked(some).unwrap_or_default();
                rest = behind;
                out.said.push(out_of(pages, span.vaddr, ranges, shape, &mut out.bytes, &mut out.wire));
            }
            Ok(())
        })
    }
}

/// Packs the blocks of a span.
fn out_of(
    pages: &[u8],
    vaddr: u64,
    ranges: &[Range<u64>],
    shape: &Shape,
    bytes: &mut Vec<u8>,
    wire: &mut Vec<u8>,
) -> Said {
    let (before, wire_before) = (bytes.len(), wire.len());
    let (mut is_plain, mut first) = (true, None);
    let mut vaddr = vaddr;
    for block in pages.chunks(usize::try_from(shape.block).unwrap_or(usize::MAX)) {
        let length = block.len() as u64;
        let size = if is_zero(block) {
            is_plain = false;
            0
        } else {
            // what saves less than an eighth is not worth the unpacking
            let limit = block.len() / 8 * 7;
            let start = bytes.len();
            let must_be_plain = !ranges.is_empty() && meets(ranges, vaddr, length);
            let is_packed = !must_be_plain && pack_block(block, shape.acceleration, limit, bytes);
            if !is_packed {
                bytes.extend_from_slice(block);
            }
            is_plain &= !is_packed;
            first = first.or(Some(!is_packed));
            bytes.len().saturating_sub(start)
        };
        varint::write(wire, size as u64);
        vaddr = vaddr.wrapping_add(length);
    }
    Said { bytes: bytes.len().saturating_sub(before), wire: wire.len().saturating_sub(wire_before), is_plain, first }
}

fn is_zero(block: &[u8]) -> bool {
    let (head, rest) = block.split_at_checked(64).unwrap_or((block, &[]));
    let all = |bytes: &[u8]| bytes.iter().fold(0, |any, byte| any | byte) == 0;
    // most that are not say so at once
    all(head) && rest.chunks(512).all(all)
}

/// Whether a block lies, if only in part, where pages have to be plain.
fn meets(ranges: &[Range<u64>], vaddr: u64, length: u64) -> bool {
    let meets = |start: u64| {
        let behind = ranges.partition_point(|range| range.end <= start);
        ranges.get(behind).is_some_and(|range| range.start < start.saturating_add(length))
    };
    // of a 32-bit task the sign of an address is extended, that of a mapping is not
    meets(vaddr) || vaddr >> 32 == 0xffff_ffff && meets(vaddr & 0xffff_ffff)
}

/// An entry whose blocks are being counted.
#[derive(Default)]
struct Entry {
    message: Bytes,
    sizes: Sizes,
    is_plain: bool,
    /// Whether its payload begins at a page; nothing before there is any.
    is_aligned: Option<bool>,
}

struct Work<'w, 'd, 's> {
    shape: Shape,
    survey: &'w Survey<'d>,
    files: &'w mut Files<'s>,
    control: (&'w dyn Progress, &'w Cancel),
    targets: Targets<'w>,
    pieces: Vec<Piece<'w>>,
    free: Vec<Out>,
    /// Bytes of pages in the pieces, and of those that are done.
    bytes: u64,
    done: u64,
    entry: Entry,
    /// Bytes that the sizes of an entry may take.
    most: usize,
}

impl<'w> Work<'w, '_, '_> {
    fn add(&mut self, mut piece: Piece<'w>) -> Result<()> {
        self.bytes = self.bytes.saturating_add(piece.length);
        let ends = piece.ends;
        piece.out = self.free.pop().unwrap_or_default();
        self.pieces.push(piece);
        let is_full = self.bytes >= turn_bytes() || self.pieces.len() >= 1 << 10;
        if is_full || ends && self.targets.are_many() { self.turn() } else { Ok(()) }
    }

    /// Packs and writes the pieces there are.
    fn turn(&mut self) -> Result<()> {
        go_on(self.control.1)?;
        let shape = self.shape;
        self.pieces.par_iter_mut().try_for_each(|piece| piece.pack(&shape))?;
        let mut pieces = std::mem::take(&mut self.pieces);
        for piece in &mut pieces {
            self.place(piece)?;
        }
        let targets = &self.targets;
        pieces.par_iter().try_for_each(|piece| put(piece, targets))?;
        for mut piece in pieces.drain(..) {
            let out = &mut piece.out;
            out.bytes.clear();
            out.wire.clear();
            out.said.clear();
            self.free.push(piece.out);
        }
        self.pieces = pieces;
        self.targets.finish(self.files)?;
        self.done = self.done.saturating_add(std::mem::take(&mut self.bytes));
        self.control.0.advance(self.done, self.survey.bytes);
        Ok(())
    }

    /// Says where the pages of a piece go, and writes the entries that are complete.
    fn place(&mut self, piece: &mut Piece<'_>) -> Result<()> {
        let Self { targets, entry, shape, .. } = self;
        let target = targets.get_mut(piece.target)?;
        piece.put_at = target.at;
        let (mut bytes, mut wire) = (0usize, 0usize);
        for (span, said) in piece.spans.iter().zip(&piece.out.said) {
            if let Some(message) = &span.message {
                let sizes = std::mem::take(&mut entry.sizes);
                *entry = Entry { message: message.clone(), sizes, is_plain: true, is_aligned: None };
                entry.sizes.wire.clear();
                entry.sizes.total = 0;
            }
            if let (None, Some(is_plain)) = (entry.is_aligned, said.first) {
                entry.is_aligned = Some(is_plain);
                let aligned = if is_plain { target.at.next_multiple_of(shape.page_size) } else { target.at };
                let padding = usize::try_from(aligned.saturating_sub(target.at)).unwrap_or(0);
                if padding > 0 {
                    piece.cuts.push((bytes, padding));
                }
                target.at = aligned;
            }
            let sizes = &mut entry.sizes;
            let end = wire.saturating_add(said.wire);
            sizes.wire.extend_from_slice(piece.out.wire.get(wire..end).unwrap_or_default());
            if sizes.wire.len() > self.most {
                return Err(Error::limit(format!("the blocks of an entry need more than {} bytes", self.most))
                    .in_image(piece.name)
                    .hint("larger blocks are fewer: --block"));
            }
            sizes.total = sizes.total.saturating_add(said.bytes as u64);
            target.at = target.at.saturating_add(said.bytes as u64);
            entry.is_plain &= said.is_plain;
            (bytes, wire) = (bytes.saturating_add(said.bytes), end);
            if span.ends {
                let per_block = shape.block / shape.page_size;
                let is_there = !sizes.wire.is_empty();
                let aligned = entry.is_aligned == Some(true);
                let sizes = (is_there && !entry.is_plain).then_some(&*sizes);
                let message = with_blocks(&entry.message, aligned, sizes, per_block)?;
                target.entries.write(&size_word(&message)?)?;
                target.entries.write(&message)?;
            }
        }
        target.is_complete |= piece.ends;
        Ok(())
    }
}

/// Writes the packed pages of a piece.
fn put(piece: &Piece<'_>, targets: &Targets<'_>) -> Result<()> {
    let sink = &targets.get(piece.target)?.pages;
    let bytes = &piece.out.bytes[..];
    if piece.cuts.is_empty() {
        return if bytes.is_empty() { Ok(()) } else { sink.write_all_at(bytes, piece.put_at) };
    }
    BUFFER.with_borrow_mut(|buffer| {
        buffer.clear();
        let mut from = 0usize;
        for (at, padding) in &piece.cuts {
            buffer.extend_from_slice(bytes.get(from..*at).unwrap_or_default());
            buffer.resize(buffer.len().saturating_add(*padding), 0);
            from = *at;
        }
        buffer.extend_from_slice(bytes.get(from..).unwrap_or_default());
        sink.write_all_at(buffer, piece.put_at)
    })
}
