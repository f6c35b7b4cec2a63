//! The way back: the pages file of version 1 that a pagemap describes, made from its runs and the stores that have the
//! pages.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator};

use crate::base::report::Cancel;
use crate::base::sink::Sink;
use crate::base::{Error, Result};
use crate::image::Kind;
use crate::memory::pagemap::PE_PAYLOAD_ALIGNED;
use crate::memory::{Parents, unpack};
use crate::object::upgrade::pagemap::{self, Runs};
use crate::source::bundle::Bundle;
use crate::tool::convert::pages::stores::{Stores, Sum, bundles};
use crate::wire::v2::array::{BLOCKS, CONT, HOLE, NOWHERE, ZERO};
use crate::wire::v2::crc::crc32c;
use crate::wire::v2::{Codec, PageRun};

/// Bytes of pages that are made ready together, and how many of those have to be unpacked.
const WINDOW: u64 = 16 << 20;
const PACKED: usize = 8 << 20;
/// Pieces that are made ready together.
const PIECES: usize = 1 << 16;
/// What is gathered before it is written, and what is long enough to be written alone.
const BUFFER: usize = 1 << 20;
const LARGE: usize = 64 << 10;

/// Writes the pages file that the pagemap `id` of `kind` describes. The first of `parents` is the checkpoint that has
/// it; pages that ancestors have are taken from there. Gives how many bytes it has.
///
/// Errors: an image is broken, a page is not there, a checksum is another; the sink cannot be written; the work was
/// asked to end.
pub fn pages_file(
    parents: &Parents,
    (kind, id): (Kind, u64),
    page_size: u64,
    sink: &mut Sink,
    cancel: &Cancel,
) -> Result<u64> {
    let bundles = bundles(parents)?;
    let Some(bundle) = bundles.first() else {
        return Err(Error::usage("expected a checkpoint of version 2"));
    };
    let (facts, _) = pagemap::beside(bundle, kind, id)?;
    let mut back = Back { stores: Stores::new(&bundles, page_size), page_size, at: 0, window: Window::default() };
    let out = Out { sink, buffer: Vec::with_capacity(BUFFER), at: 0 };
    let mut turn = Turn { bundles: &bundles, out, ready: None, cancel };
    for run in Runs::new(bundle, kind, id, page_size) {
        back.run(&run?, &mut turn)?;
    }
    turn.window(std::mem::take(&mut back.window))?;
    let Turn { mut out, ready, .. } = turn;
    if let Some(last) = ready {
        out.window(last)?;
    }
    out.bytes(&facts.tail, back.at)?;
    out.flush()?;
    let length = back.at.saturating_add(facts.tail.len() as u64);
    out.sink.set_length(length)?;
    Ok(length)
}

/// Takes windows: one is written while the next is made ready.
struct Turn<'a, 's> {
    bundles: &'a [Arc<Bundle>],
    out: Out<'s>,
    ready: Option<Ready<'a>>,
    cancel: &'s Cancel,
}

impl<'a> Turn<'a, '_> {
    fn window(&mut self, window: Window<'a>) -> Result<()> {
        if self.cancel.is_cancelled() {
            return Err(Error::cancelled("interrupted; what was being written is not there"));
        }
        let make = || window.make(self.bundles);
        let (written, made) = match self.ready.take() {
            Some(before) => rayon::join(|| self.out.window(before), make),
            None => (Ok(()), make()),
        };
        written?;
        self.ready = Some(made?);
        Ok(())
    }
}

/// What one window writes.
#[derive(Default)]
struct Window<'a> {
    pieces: Vec<Piece<'a>>,
    sums: Vec<Sum<'a>>,
    packed: Vec<Packed<'a>>,
    /// Which of `packed` a unit is: of which block of which bundle, and its number there.
    places: HashMap<(usize, usize, usize), usize>,
    /// Bytes of pages.
    bytes: u64,
    /// Those that have to be unpacked.
    unpacked: usize,
}

/// Bytes of the pages file, and where they go.
struct Piece<'a> {
    at: u64,
    content: Content<'a>,
}

enum Content<'a> {
    Zeros(u64),
    Plain(&'a [u8]),
    /// A part of what is unpacked.
    Part(usize, Range<usize>),
}

/// A unit that has to be unpacked.
struct Packed<'a> {
    codec: Codec,
    stored: &'a [u8],
    length: usize,
    level: usize,
    part: usize,
    offset: u64,
}

/// A window, unpacked.
struct Ready<'a> {
    pieces: Vec<Piece<'a>>,
    unpacked: Vec<Vec<u8>>,
}

impl<'a> Window<'a> {
    fn is_full(&self) -> bool {
        self.bytes >= WINDOW || self.unpacked >= PACKED || self.pieces.len() >= PIECES
    }

    /// Compares the checksums and unpacks what is packed.
    fn make(self, bundles: &[Arc<Bundle>]) -> Result<Ready<'a>> {
        let wrong = |level: usize, part: usize, offset: u64, what: String| {
            let name = bundles.get(level).map_or("", |bundle| bundle.part_name(part));
            Error::format(what).at_offset(offset).in_image(name)
        };
        self.sums.par_iter().with_min_len(4).try_for_each(|sum| {
            let found = crc32c(0, sum.bytes);
            if found == sum.sum {
                return Ok(());
            }
            let what = format!("expected pages with the checksum {:#010x}, found {found:#010x}", sum.sum);
            Err(wrong(sum.level, sum.part, sum.offset, what))
        })?;
        let unpacked = self.packed.par_iter().map(|packed| {
            let mut plain = vec![0; packed.length];
            unpack(packed.codec, packed.stored, &mut plain)
                .map(|()| plain)
                .map_err(|what| wrong(packed.level, packed.part, packed.offset, what))
        });
        Ok(Ready { unpacked: unpacked.collect::<Result<_>>()?, pieces: self.pieces })
    }
}

/// Follows the runs.
struct Back<'a> {
    stores: Stores<'a>,
    page_size: u64,
    /// Where the next page goes.
    at: u64,
    window: Window<'a>,
}

impl<'a> Back<'a> {
    fn push(&mut self, length: u64, content: Content<'a>) {
        self.window.pieces.push(Piece { at: self.at, content });
        self.window.bytes = self.window.bytes.saturating_add(length);
        self.at = self.at.saturating_add(length);
    }

    fn run(&mut self, run: &PageRun, turn: &mut Turn<'a, '_>) -> Result<()> {
        if !pagemap::is_present(run) {
            return Ok(());
        }
        let flags = run.flags();
        if flags & CONT == 0 && flags & PE_PAYLOAD_ALIGNED != 0 {
            self.at = self.at.next_multiple_of(self.page_size.max(1));
        }
        let too_long = || Error::format(format!("expected pages that fit a file, found {}", run.pages()));
        let length = run.pages().checked_mul(self.page_size).ok_or_else(too_long)?;
        self.at.checked_add(length).filter(|end| *end < 1 << 63).ok_or_else(too_long)?;
        if run.page() == NOWHERE {
            if flags & HOLE != 0 {
                self.at = self.at.saturating_add(length);
            } else if flags & ZERO != 0 {
                match length > WINDOW {
                    // a few bytes can say so many zeros that no disk takes them
                    true => self.at = self.at.saturating_add(length),
                    false => self.push(length, Content::Zeros(length)),
                }
            }
            // else there was no pages file
            return Ok(());
        }
        let level = usize::try_from(run.ancestor()).unwrap_or(usize::MAX);
        let (mut page, mut left) = (run.page(), run.pages());
        while left > 0 {
            let room = WINDOW.saturating_sub(self.window.bytes) / self.page_size.max(1);
            let some = match flags & BLOCKS {
                0 => self.pages(level, page, left.min(room.max(1)))?,
                _ => self.blocks(level, page, left)?,
            };
            page = page.saturating_add(some);
            left = left.saturating_sub(some);
            if self.window.is_full() {
                turn.window(std::mem::take(&mut self.window))?;
            }
        }
        Ok(())
    }

    /// Adds pages of one block, at most `most`. Gives how many.
    fn pages(&mut self, level: usize, page: u64, most: u64) -> Result<u64> {
        let page_size = self.page_size;
        let block = self.stores.block(level, page)?;
        let first = page.saturating_sub(block.inner.first);
        let some = most.min(u64::from(block.inner.pages).saturating_sub(first));
        let (codec, part, key, data_at) = (block.inner.codec, block.part, block.key, block.data_at);
        let range = first..first.saturating_add(some);
        let place = |page: u64| usize::try_from(page.saturating_mul(page_size)).unwrap_or(usize::MAX);
        let broken = || Error::format("expected a unit of pages, found none").at_offset(data_at);
        let mut found = Vec::new();
        for index in block.units(range.clone()) {
            let unit = block.unit(index, page_size).ok_or_else(broken)?;
            self.window.sums.extend(block.sum(index, &unit));
            found.push((index, unit));
        }
        if codec == Codec::Raw {
            let bytes = block.inner.data.get(place(range.start)..place(range.end)).ok_or_else(broken)?;
            self.push(bytes.len() as u64, Content::Plain(bytes));
            return Ok(some);
        }
        let unit_pages = u64::from(block.inner.unit);
        for (index, unit) in found {
            let start = unit_pages.saturating_mul(index as u64);
            let from = place(range.start.saturating_sub(start));
            let to = place(range.end.saturating_sub(start)).min(unit.length);
            let length = to.saturating_sub(from) as u64;
            if unit.stored.is_empty() {
                // a hole: what takes no bytes in the bundle takes none here
                self.at = self.at.saturating_add(length);
                continue;
            }
            let content = if unit.stored.len() == unit.length {
                Content::Plain(unit.stored.get(from..to).ok_or_else(broken)?)
            } else {
                let next = self.window.packed.len();
                let slot = *self.window.places.entry((key.0, key.1, index)).or_insert(next);
                if slot == next {
                    let (stored, length, offset) = (unit.stored, unit.length, unit.offset);
                    self.window.packed.push(Packed { codec, stored, length, level, part, offset });
                    self.window.unpacked = self.window.unpacked.saturating_add(length);
                }
                Content::Part(slot, from..to)
            };
            self.push(length, content);
        }
        Ok(some)
    }

    /// Adds the blocks of version 1 that have pages, as they are. Gives how many pages.
    fn blocks(&mut self, level: usize, page: u64, most: u64) -> Result<u64> {
        let page_size = self.page_size;
        let block = self.stores.block(level, page)?;
        let first = page.saturating_sub(block.inner.first);
        let some = most.min(u64::from(block.inner.pages).saturating_sub(first));
        let data_at = block.data_at;
        let broken = || Error::format("expected the blocks of version 1, found others").at_offset(data_at);
        if block.inner.codec != Codec::Lz4 || !first.is_multiple_of(u64::from(block.inner.unit)) {
            return Err(broken());
        }
        let (mut from, mut to) = (None, 0usize);
        for index in block.units(first..first.saturating_add(some)) {
            let unit = block.unit(index, page_size).ok_or_else(broken)?;
            let at = usize::try_from(unit.offset.saturating_sub(data_at)).unwrap_or(usize::MAX);
            from = from.or(Some(at));
            to = at.saturating_add(unit.stored.len());
            self.window.sums.extend(block.sum(index, &unit));
        }
        let bytes = block.inner.data.get(from.unwrap_or(to)..to).ok_or_else(broken)?;
        self.push(bytes.len() as u64, Content::Plain(bytes));
        Ok(some)
    }
}

/// The pages file as it is written; what nobody writes stays a hole.
struct Out<'s> {
    sink: &'s mut Sink,
    /// What is to be written in front of `at`.
    buffer: Vec<u8>,
    at: u64,
}

static ZEROS: [u8; LARGE] = [0; LARGE];

impl Out<'_> {
    fn window(&mut self, ready: Ready<'_>) -> Result<()> {
        for piece in &ready.pieces {
            match &piece.content {
                Content::Plain(bytes) => self.bytes(bytes, piece.at)?,
                Content::Part(slot, range) => {
                    let unit = ready.unpacked.get(*slot).and_then(|unit| unit.get(range.clone()));
                    self.bytes(unit.unwrap_or_default(), piece.at)?;
                }
                Content::Zeros(length) => {
                    let (mut at, end) = (piece.at, piece.at.saturating_add(*length));
                    while at < end {
                        let some = usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX).min(LARGE);
                        self.bytes(ZEROS.get(..some).unwrap_or(&ZEROS), at)?;
                        at = at.saturating_add(some as u64);
                    }
                }
            }
        }
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8], at: u64) -> Result<()> {
        if at != self.at || self.buffer.len().saturating_add(bytes.len()) > BUFFER {
            self.flush()?;
            self.at = at;
        }
        if bytes.len() >= LARGE && self.buffer.is_empty() {
            self.sink.write_all_at(bytes, at)?;
        } else {
            self.buffer.extend_from_slice(bytes);
        }
        self.at = at.saturating_add(bytes.len() as u64);
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        let length = self.buffer.len() as u64;
        if length > 0 {
            self.sink.write_all_at(&self.buffer, self.at.saturating_sub(length))?;
            self.buffer.clear();
        }
        Ok(())
    }
}
