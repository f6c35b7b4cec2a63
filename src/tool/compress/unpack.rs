//! Blocks to plain pages.

use std::cell::RefCell;
use std::fs::File;
use std::sync::Arc;

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use crate::base::report::{Cancel, Progress};
use crate::base::{Error, Result};
use crate::memory::pagemap::PE_PRESENT;
use crate::memory::{Compressed, PagemapEntry};
use crate::tool::compress::entries::{size_word, start, without_blocks};
use crate::tool::compress::files::Files;
use crate::tool::compress::piece::{PIECE, Targets, read, turn_bytes};
use crate::tool::compress::survey::{Map, Survey};
use crate::tool::compress::{Counts, go_on};
use crate::wire::v2::Codec;

/// Unpacks all pages, and writes the pagemaps that say so.
///
/// Errors: a block is broken; a file cannot be read, or changed since; the system refused; the work was asked to end.
pub(super) fn pages(
    survey: &Survey<'_>,
    files: &mut Files<'_>,
    (progress, cancel): (&dyn Progress, &Cancel),
) -> Result<Vec<Counts>> {
    let mut work = Work {
        survey,
        files,
        control: (progress, cancel),
        targets: Targets::new(),
        pieces: Vec::new(),
        bytes: 0,
        done: 0,
    };
    for map in &survey.maps {
        work.map(map)?;
    }
    work.turn()?;
    Ok(work.targets.counts())
}

/// Blocks that lie together in their file, and whose pages do so in the new one.
struct Piece<'p> {
    target: usize,
    source: Arc<File>,
    map: &'p Map,
    /// Where the first of them is.
    from: u64,
    /// How many bytes they take.
    stored: u64,
    to: u64,
    /// Bytes of their pages.
    length: u64,
    items: Vec<Item>,
}

/// A block, or plain pages.
struct Item {
    entry: u64,
    /// Behind where the piece begins.
    at: u64,
    /// Bytes that are stored; as many as the pages have where they are plain.
    packed: u64,
    unpacked: u64,
}

/// What one thread works with.
#[derive(Default)]
struct Buffers {
    stored: Vec<u8>,
    plain: Vec<u8>,
}

thread_local! {
    static BUFFERS: RefCell<Buffers> = RefCell::default();
}

impl Piece<'_> {
    /// Unpacks the pages, and writes them.
    fn unpack(&self, targets: &Targets<'_>) -> Result<()> {
        let sink = &targets.get(self.target)?.pages;
        let usize_of = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        BUFFERS.with_borrow_mut(|Buffers { stored, plain }| {
            let (length, size) = (usize_of(self.stored), usize_of(self.length));
            if stored.len() < length {
                stored.resize(length, 0);
            }
            if plain.len() < size {
                plain.resize(size, 0);
            }
            let stored = stored.get_mut(..length).unwrap_or_default();
            let plain = plain.get_mut(..size).unwrap_or_default();
            read(&self.source, &self.map.pages_file, self.from, stored)?;
            let mut rest = &mut *plain;
            for item in &self.items {
                let Some((pages, behind)) = std::mem::take(&mut rest).split_at_mut_checked(usize_of(item.unpacked))
                else {
                    break;
                };
                rest = behind;
                let from = usize_of(item.at);
                let packed = stored.get(from..from.saturating_add(usize_of(item.packed))).unwrap_or_default();
                let codec = if item.packed == item.unpacked { Codec::Raw } else { Codec::Lz4 };
                if packed.is_empty() {
                    pages.fill(0);
                } else {
                    crate::memory::unpack(codec, packed, pages).map_err(|what| self.broken(item, what))?;
                }
            }
            sink.write_all_at(plain, self.to)
        })
    }

    #[cold]
    fn broken(&self, item: &Item, what: String) -> Error {
        let error = Error::format(format!("a block of {}: {what}", self.map.name.file));
        error.in_image(self.map.pages_file.as_str()).at_entry(item.entry).at_offset(self.from.saturating_add(item.at))
    }
}

struct Work<'w, 'd, 's> {
    survey: &'w Survey<'d>,
    files: &'w mut Files<'s>,
    control: (&'w dyn Progress, &'w Cancel),
    targets: Targets<'w>,
    pieces: Vec<Piece<'w>>,
    /// Bytes of pages in the pieces, and of those that are done.
    bytes: u64,
    done: u64,
}

impl<'w> Work<'w, '_, '_> {
    fn map(&mut self, map: &'w Map) -> Result<()> {
        let image = self.survey.image(map)?;
        let source = Arc::new(self.survey.file(&map.pages_file)?);
        let target = self.targets.begin(map, &image, self.files)?;
        let begin = |from: u64, to: u64| Piece {
            target,
            source: source.clone(),
            map,
            from,
            stored: 0,
            to,
            length: 0,
            items: Vec::new(),
        };
        let (mut from, mut to) = (0u64, 0u64);
        let mut piece = begin(from, to);
        for entry in image.range(1..image.len(), true) {
            let entry = entry?;
            let decoded = PagemapEntry::decode(&entry)?;
            let message = without_blocks(entry.message(), &decoded)?;
            let entries = &mut self.targets.get_mut(target)?.entries;
            entries.write(&size_word(&message)?)?;
            entries.write(&message)?;
            if decoded.pe_flags() & PE_PRESENT == 0 {
                continue;
            }
            from = start(from, decoded.pe_flags(), self.survey.page_size).unwrap_or(u64::MAX);
            for (packed, unpacked) in blocks(&decoded, self.survey.page_size) {
                let is_full = piece.length.saturating_add(unpacked) > PIECE;
                if is_full && piece.length > 0 {
                    self.add(std::mem::replace(&mut piece, begin(from, to)))?;
                }
                if piece.items.is_empty() {
                    piece.from = from;
                }
                let at = from.saturating_sub(piece.from);
                piece.items.push(Item { entry: entry.index() as u64, at, packed, unpacked });
                (from, to) = (from.saturating_add(packed), to.saturating_add(unpacked));
                piece.stored = from.saturating_sub(piece.from);
                piece.length = piece.length.saturating_add(unpacked);
            }
        }
        self.targets.get_mut(target)?.at = to;
        self.targets.get_mut(target)?.is_complete = true;
        self.add(piece)?;
        if self.targets.are_many() { self.turn() } else { Ok(()) }
    }

    fn add(&mut self, piece: Piece<'w>) -> Result<()> {
        self.bytes = self.bytes.saturating_add(piece.length);
        self.pieces.push(piece);
        if self.bytes >= turn_bytes() || self.pieces.len() >= 1 << 10 { self.turn() } else { Ok(()) }
    }

    /// Unpacks and writes the pieces there are.
    fn turn(&mut self) -> Result<()> {
        go_on(self.control.1)?;
        let targets = &self.targets;
        self.pieces.par_iter().filter(|piece| piece.length > 0).try_for_each(|piece| piece.unpack(targets))?;
        self.pieces.clear();
        self.targets.finish(self.files)?;
        self.done = self.done.saturating_add(std::mem::take(&mut self.bytes));
        self.control.0.advance(self.done, self.survey.bytes);
        Ok(())
    }
}

/// Bytes that blocks of an entry take, and those of their pages. Plain pages come in blocks of a piece's size.
fn blocks<'a>(decoded: &PagemapEntry<'a>, page_size: u64) -> Box<dyn Iterator<Item = (u64, u64)> + 'a> {
    let length = decoded.pages().saturating_mul(page_size);
    match decoded.blocks {
        Some(blocks) => {
            let blocks = Compressed::new(blocks, length, page_size, 0).blocks_from(0, &[]);
            Box::new(blocks.map(|block| (block.packed, block.unpacked)))
        }
        None => {
            let mut left = length;
            Box::new(std::iter::from_fn(move || {
                let some = left.min(PIECE);
                left = left.saturating_sub(some);
                (some > 0).then_some((some, some))
            }))
        }
    }
}
