//! A stream is stored as it comes, and becomes a bundle: what is appended says where everything is.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};

use crate::base::{Error, Limits, Result};
use crate::source::bundle::directory::Tail;
use crate::source::bundle::frames::{Content, Frames, State};
use crate::source::bundle::{BlockAt, Summary, Writer};
use crate::wire::v2::crc::crc32c;
use crate::wire::v2::header::{END, IMAGE_TAG, OBJECT_TAG};
use crate::wire::v2::{BlockRow, Broken, Codec, DirectoryRow, ImageHeader, ObjectHeader, PageBlock, Problem, Record};
use crate::wire::v2::{block, types};

/// Stores a stream: every byte of it goes to `out` as it comes, is compared with its checksums, and behind its END come
/// a directory, a table of blocks and a second END. What comes with a directory is stored as it is. Memory is bounded
/// by the longest record, but blocks of pages pass through in pieces. Zeros behind the END are left out.
///
/// Errors: reading or writing failed; there are more sections than the limits allow; the stream is not whole. Then `out` got all bytes before what is wrong, from which
/// [`salvage`](super::Bundle::salvage) recovers.
pub fn receive<W: Write>(input: impl Read, out: W, limits: &Limits) -> Result<(W, Summary)> {
    let mut tee = Tee { input: BufReader::with_capacity(PIECE, input), out, at: 0, buffer: vec![0; PIECE] };
    let mut frames = Frames::new(0, limits);
    loop {
        let at = tee.at;
        let Some(tag) = tee.tag()? else { break };
        match tag {
            IMAGE_TAG => {
                let bytes = tee.rest::<{ size_of::<ImageHeader>() }>(tag)?;
                let header = ImageHeader::read(&bytes).map_err(|broken| tee.error(at, broken))?;
                frames.section(place(at), header);
            }
            OBJECT_TAG => {
                let bytes = tee.rest::<{ size_of::<ObjectHeader>() }>(tag)?;
                let header = ObjectHeader::read(&bytes).map_err(|broken| tee.error(at, broken))?;
                let content = tee.record(at, header)?;
                frames.record(place(at), place(tee.at), header, content);
            }
            // what a device has behind a file
            0 if frames.tails.last().is_some_and(|tail| tail.length == at) && tee.are_zeros()? => break,
            _ => return Err(tee.error(at, Broken { offset: 0, problem: Problem::NoHeader })),
        }
        frames.check()?;
        if let Some(error) = frames.problems.list.pop() {
            return Err(error);
        }
    }
    let Some(tail) = frames.tails.last().filter(|tail| tail.length == tee.at) else {
        return Err(Error::format("expected the END of a stream, found the end")
            .at_offset(tee.at)
            .hint("it was cut; icecore convert --salvage gets out of it what is whole"));
    };
    if tail.directory != 0 {
        return Ok((tee.out, Summary { length: tail.length, end: Some(tail.checksum) }));
    }
    index(&frames, *tail, tee.out)
}

/// Writes what says where everything is: a directory for each dump, the last one last.
fn index<W: Write>(frames: &Frames, tail: Tail, mut out: W) -> Result<(W, Summary)> {
    let mut summary = Summary { length: tail.length, end: Some(tail.checksum) };
    let mut previous = tail.offset;
    let mut dumps: Vec<u64> = Vec::new();
    let mut known = BTreeSet::new();
    // the one that was written last comes last
    dumps.extend(frames.images.iter().rev().map(|image| image.dump).filter(|dump| known.insert(*dump)));
    for dump in dumps.into_iter().rev() {
        let mut writer = Writer { at: summary.length, previous, ..Writer::new(out, dump) };
        let images = frames.latest.range((dump, 0, 0)..=(dump, u32::MAX, u64::MAX));
        let images = images.filter_map(|(_, image)| frames.images.get(*image));
        for image in images.filter(|image| image.state == State::Whole && image.kind != types::KIND_DIRECTORY) {
            let row = |at: &super::Section| DirectoryRow::new(at.kind, at.id, at.offset as u64, at.size as u64);
            writer.kept.insert((image.kind, image.id), image.sections.iter().map(row).collect());
            let rows = image.blocks.iter().map(|at| BlockRow::new(at.first, at.pages, at.offset, at.data));
            writer.blocks.extend(rows);
        }
        (out, summary) = writer.finish(&[])?;
        previous = summary.length.saturating_sub(END as u64);
    }
    Ok((out, summary))
}

/// What is read is written, too.
struct Tee<R, W> {
    input: R,
    out: W,
    at: u64,
    buffer: Vec<u8>,
}

/// Bytes that pass through at once: 256 KiB.
const PIECE: usize = 256 << 10;

fn place(at: u64) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

impl<R: BufRead, W: Write> Tee<R, W> {
    fn error(&self, base: u64, broken: Broken) -> Error {
        Error::format(broken.to_string()).at_offset(base.saturating_add(broken.offset as u64))
    }

    /// The first byte of a header; none at the end.
    fn tag(&mut self) -> Result<Option<u8>> {
        let mut tag = [0; 1];
        loop {
            match self.input.read(&mut tag) {
                Ok(0) => return Ok(None),
                Ok(_) => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io("cannot read", error)),
            }
        }
        Ok(tag.first().copied())
    }

    /// Whether all that still comes is zero; nobody gets it.
    fn are_zeros(&mut self) -> Result<bool> {
        loop {
            let piece = match self.input.fill_buf() {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                piece => piece.map_err(|error| Error::io("cannot read", error))?,
            };
            if piece.iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            let length = piece.len();
            if length == 0 {
                return Ok(true);
            }
            self.input.consume(length);
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(|error| Error::io("cannot write", error))?;
        self.at = self.at.saturating_add(bytes.len() as u64);
        Ok(())
    }

    /// A header whose first byte was read.
    fn rest<const N: usize>(&mut self, tag: u8) -> Result<[u8; N]> {
        let mut bytes = Vec::with_capacity(N);
        bytes.push(tag);
        self.write(&bytes)?;
        self.append(&mut bytes, (N as u64).saturating_sub(1))?;
        bytes.try_into().map_err(|_| Error::usage("expected a header"))
    }

    /// Reads so many bytes behind those in `bytes`; memory grows with what comes, not with what a header says.
    fn append(&mut self, bytes: &mut Vec<u8>, length: u64) -> Result<()> {
        let start = bytes.len();
        let read = (&mut self.input).take(length).read_to_end(bytes);
        let written = self.out.write_all(bytes.get(start..).unwrap_or_default());
        written.map_err(|error| Error::io("cannot write", error))?;
        let found = bytes.len().saturating_sub(start) as u64;
        self.at = self.at.saturating_add(found);
        read.map_err(|error| Error::io("cannot read", error))?;
        if found == length {
            return Ok(());
        }
        Err(self.error(self.at, Broken { offset: 0, problem: Problem::Cut { needed: length, found } }))
    }

    /// Passes so many bytes on; their checksum.
    fn pass(&mut self, length: u64) -> Result<u32> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let (mut left, mut sum) = (length, 0);
        while left > 0 {
            let piece = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let Some(piece) = buffer.get_mut(..piece) else { break };
            let found = match self.input.read(piece) {
                Ok(0) => {
                    let found = length.saturating_sub(left);
                    return Err(
                        self.error(self.at, Broken { offset: 0, problem: Problem::Cut { needed: length, found } })
                    );
                }
                Ok(found) => found,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(Error::io("cannot read", error)),
            };
            let piece = piece.get(..found).unwrap_or_default();
            sum = crc32c(sum, piece);
            self.write(piece)?;
            left = left.saturating_sub(found as u64);
        }
        self.buffer = buffer;
        Ok(sum)
    }

    /// The payload of a record.
    fn record(&mut self, at: u64, header: &ObjectHeader) -> Result<Content> {
        if header.object_type() == types::PAGE_BLOCK {
            return self.block(at, header);
        }
        if header.size() > types::PAYLOAD {
            return Err(self.error(at, Broken { offset: 0, problem: Problem::TooLong(header.size()) }));
        }
        let mut payload = Vec::new();
        self.append(&mut payload, header.size())?;
        // as it will be found where it is stored
        let record = Record { offset: place(at), header, payload: &payload };
        record.check_size().and_then(|()| record.check()).map_err(|broken| self.error(0, broken))?;
        Ok(match header.object_type() {
            types::END => Content::End(Tail::of(&record)),
            _ => Content::Other,
        })
    }

    /// A block of pages: what stands before its data is kept, the data passes.
    fn block(&mut self, at: u64, header: &ObjectHeader) -> Result<Content> {
        let payload = self.at;
        let wrong = |offset: usize, what| Broken { offset, problem: Problem::Block(what) };
        if header.size() > types::PAYLOAD.saturating_add(types::BLOCK_DATA) {
            return Err(self.error(at, Broken { offset: 0, problem: Problem::TooLong(header.size()) }));
        }
        let mut prefix = Vec::new();
        self.append(&mut prefix, FIXED.min(header.size()))?;
        loop {
            let field = prefix.len();
            self.append(&mut prefix, 1)?;
            let tag = prefix.last().copied();
            let mut length = 0u64;
            for shift in (0..35).step_by(7) {
                self.append(&mut prefix, 1)?;
                let byte = prefix.last().copied().unwrap_or_default();
                length |= u64::from(byte & 0x7f) << shift;
                if byte & 0x80 == 0 {
                    break;
                }
            }
            match tag {
                Some(0x42) => break,
                Some(0x2a | 0x32 | 0x3a) => {}
                _ => return Err(self.error(payload, wrong(field, "no data"))),
            }
            let there = prefix.len() as u64;
            if there.saturating_add(length) > types::PAYLOAD.min(header.size()) {
                return Err(self.error(payload, wrong(field, "a field that is too long")));
            }
            self.append(&mut prefix, length)?;
        }
        let read = PageBlock::read_prefix(&prefix, header.size());
        let found = read.map_err(|broken| self.error(payload, broken))?;
        let (stored, computed) = (header.checksum(), block::checksum(header, &prefix, found.data_at));
        if stored != computed {
            return Err(self.error(at, Broken { offset: 0, problem: Problem::Checksum { stored, computed } }));
        }
        let mut left = header.size().saturating_sub(found.data_at as u64);
        let page = left.checked_div(u64::from(found.pages)).unwrap_or(0);
        for unit in 0..found.sums.len() {
            let length = match found.codec {
                Codec::Raw => page.saturating_mul(u64::from(found.unit)).min(left),
                _ => u64::from(found.sizes.get(unit).map_or(0, |size| size.get())),
            };
            let (from, computed) = (self.at, self.pass(length)?);
            left = left.saturating_sub(length);
            let stored = found.sums.get(unit).map_or(0, |sum| sum.get());
            if stored != computed {
                return Err(self.error(from, Broken { offset: 0, problem: Problem::Checksum { stored, computed } }));
            }
        }
        self.pass(left)?;
        Ok(Content::Block(Ok(BlockAt::of(&found, 0, place(at)))))
    }
}

/// Bytes of the first four fields of a block, all of them fixed.
const FIXED: u64 = 24;
