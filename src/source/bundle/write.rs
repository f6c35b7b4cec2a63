//! Writing version 2: sections, records, directory and END, to a file or a pipe.

use std::collections::BTreeMap;
use std::io::Write;

use zerocopy::IntoBytes;

use crate::base::{Error, Result};
use crate::wire::v2::array::Array;
use crate::wire::v2::block::Prefix;
use crate::wire::v2::crc::crc32c;
use crate::wire::v2::header::CONTINUES;
use crate::wire::v2::{BlockRow, DirectoryRow, End, ImageHeader, ObjectHeader, PageRun, blob, types};
use crate::wire::varint;

/// Writes images one record after the other. Images may take turns; each section is framed, counted and listed.
pub struct Writer<W> {
    pub(super) out: W,
    /// Where the next byte goes, from the first of the file.
    pub(super) at: u64,
    pub(super) dump: u64,
    /// The image whose section is open: kind, id, offset of the section.
    pub(super) open: Option<(u32, u64, u64)>,
    pub(super) images: BTreeMap<(u32, u64), State>,
    pub(super) rows: Vec<DirectoryRow>,
    pub(super) blocks: Vec<BlockRow>,
    pub(super) scratch: Vec<u8>,
    pub(super) turn: Option<TurnTo<W>>,
    /// What is there already and stays, by image.
    pub(super) kept: BTreeMap<(u32, u64), Vec<DirectoryRow>>,
    /// Offset of the END before; 0: there is none.
    pub(super) previous: u64,
    /// The first image that was begun.
    pub(super) first: Option<u32>,
    /// Writing failed half way: nothing good can follow.
    pub(super) is_broken: bool,
}

/// What is told where each image has a file of its own; gives where that file stands.
pub type TurnTo<W> = fn(&mut W, Turn) -> Result<Option<u64>>;

/// Which image comes, or is complete: its kind and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// What comes next belongs to it.
    To(u32, u64),
    /// Nothing more of it comes.
    From(u32, u64),
}

/// What is known of an image that was begun.
#[derive(Default)]
pub(super) struct State {
    sections: u32,
    headers: u32,
    checksum: u32,
    pub(super) is_complete: bool,
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Bytes in all.
    pub length: u64,
    /// The checksum of the END, if there is one.
    pub end: Option<u32>,
}

impl<W: Write> Writer<W> {
    /// A writer of images of one dump; `out` stands at its first byte.
    pub fn new(out: W, dump: u64) -> Self {
        Self {
            out,
            at: 0,
            dump,
            open: None,
            images: BTreeMap::new(),
            rows: Vec::new(),
            blocks: Vec::new(),
            scratch: Vec::new(),
            turn: None,
            kept: BTreeMap::new(),
            previous: 0,
            first: None,
            is_broken: false,
        }
    }

    /// A writer of images that have a file each: `turn` tells `out` which one comes.
    pub fn of_files(out: W, dump: u64, turn: TurnTo<W>) -> Self {
        Self { turn: Some(turn), ..Self::new(out, dump) }
    }

    /// Where the next byte goes, from the first of the file.
    pub fn offset(&self) -> u64 {
        self.at
    }

    /// What it writes to.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.out
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        if self.is_broken {
            return Err(Error::usage("expected no more to be written after an error"));
        }
        if let Err(error) = self.out.write_all(bytes) {
            self.is_broken = true;
            return Err(Error::io("cannot write", error));
        }
        self.at = self.at.saturating_add(bytes.len() as u64);
        Ok(())
    }

    fn state(&mut self) -> Result<&mut State> {
        if self.is_broken {
            return Err(Error::usage("expected no more to be written after an error"));
        }
        let image = self.open.map(|(kind, id, _)| (kind, id));
        let state = image.and_then(|image| self.images.get_mut(&image));
        state.ok_or_else(|| Error::usage("expected an image before its records"))
    }

    fn header(&mut self, header: &ObjectHeader) -> Result<()> {
        let state = self.state()?;
        let headers = state.headers.checked_add(1);
        state.headers = headers.ok_or_else(|| Error::usage("expected at most 4294967295 records in an image"))?;
        state.checksum = crc32c(state.checksum, header.as_bytes());
        self.put(header.as_bytes())
    }

    /// What comes next belongs to this image, which may have been begun before.
    ///
    /// Errors: writing failed, the image is complete, or it is the directory, which [`finish`](Self::finish) writes.
    pub fn image(&mut self, kind: u32, id: u64) -> Result<()> {
        if kind == types::KIND_DIRECTORY {
            return Err(Error::usage("expected an image that is not the directory"));
        }
        self.section(kind, id)
    }

    fn section(&mut self, kind: u32, id: u64) -> Result<()> {
        if self.open.is_some_and(|(open, number, _)| (open, number) == (kind, id)) {
            return Ok(());
        }
        if self.is_broken {
            return Err(Error::usage("expected no more to be written after an error"));
        }
        self.close();
        if let Some(turn) = self.turn
            && let Some(at) = turn(&mut self.out, Turn::To(kind, id))?
        {
            self.at = at;
        }
        let state = self.images.entry((kind, id)).or_default();
        if state.is_complete {
            return Err(Error::usage(format!("image {kind} {id} is complete, and more of it comes")));
        }
        let number = state.sections;
        state.sections = number.saturating_add(1);
        self.first.get_or_insert(kind);
        if number == 0 && self.kept.remove(&(kind, id)).is_some() && (kind, id) == (types::KIND_PAGES, 0) {
            // replaced, with what it held
            self.blocks.clear();
        }
        self.open = Some((kind, id, self.at));
        let flags = if number == 0 { 0 } else { CONTINUES };
        let header = ImageHeader::of(kind, flags, id, self.dump);
        self.put(header.as_bytes())?;
        self.header(&ObjectHeader::of(types::START, number, 0, &[]))
    }

    /// Ends the section that is open: the next record begins another.
    pub(super) fn close(&mut self) {
        if let Some((kind, id, offset)) = self.open.take() {
            self.rows.push(DirectoryRow::new(kind, id, offset, self.at.saturating_sub(offset)));
        }
    }

    /// A record of the image: `count` objects in `payload`.
    ///
    /// Errors: writing failed; the payload is longer than it may be; there is no image; the type is one that frames
    /// images, or has pages, which is written in another way.
    pub fn record(&mut self, object_type: u32, count: u32, payload: &[u8]) -> Result<()> {
        use types::{BLOCK_TABLE, DIRECTORY, END, NAMES, PAGE_BLOCK, PAGE_RUN, START, STOP};
        if matches!(object_type, START | STOP | DIRECTORY | END | PAGE_BLOCK | BLOCK_TABLE | NAMES) {
            return Err(Error::usage(format!("expected an object, found type {object_type}, which frames them")));
        }
        if object_type == PAGE_RUN {
            let header = ObjectHeader::new(object_type, count, payload.len() as u64, 0);
            let runs = Array::<PageRun>::new(&header, payload).and_then(|runs| runs.check());
            runs.map_err(|broken| Error::usage(broken.to_string()))?;
        }
        self.put_record(object_type, count, payload)
    }

    /// Bytes without meaning, of which `length` are zero.
    ///
    /// Errors: as [`record`](Self::record).
    pub fn pad(&mut self, length: usize) -> Result<()> {
        let mut payload = vec![PAD_TAG];
        varint::write(&mut payload, length as u64);
        payload.resize(payload.len().saturating_add(length.min(PAD_LENGTH)), 0);
        if length > PAD_LENGTH {
            return Err(Error::usage(format!("expected at most {PAD_LENGTH} bytes of padding")));
        }
        self.put_record(types::PAD, 1, &payload)
    }

    /// Raw bytes that belong to the object before, as many records as they need; `offset` is where they begin in what
    /// they are a part of.
    ///
    /// Errors: as [`record`](Self::record).
    pub fn blobs(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        let mut at = offset;
        for data in bytes.chunks(blob::LENGTH) {
            let mut payload = std::mem::take(&mut self.scratch);
            payload.clear();
            blob::write(at, data, &mut payload);
            let written = self.put_record(types::BLOB, 1, &payload);
            self.scratch = payload;
            written?;
            at = at.saturating_add(data.len() as u64);
        }
        Ok(())
    }

    fn put_record(&mut self, object_type: u32, count: u32, payload: &[u8]) -> Result<()> {
        if payload.len() as u64 > types::PAYLOAD {
            return Err(Error::usage(format!("expected at most {} bytes in a record", types::PAYLOAD)));
        }
        self.header(&ObjectHeader::of(object_type, count, payload.len() as u64, payload))?;
        self.put(payload)
    }

    /// A block of pages, of which `data` are the pieces, one behind the other; it begins at a multiple of `align`. The
    /// checksums of its units are taken as they are.
    ///
    /// Errors: writing failed; another image than that of pages is open; the pieces are not as long as the prefix says,
    /// or what it says does not fit together.
    pub fn block<'d>(
        &mut self,
        prefix: &Prefix<'_>,
        align: u64,
        data: impl IntoIterator<Item = &'d [u8]>,
    ) -> Result<()> {
        let data: Vec<&[u8]> = data.into_iter().collect();
        let length = data.iter().fold(0u64, |sum, piece| sum.saturating_add(piece.len() as u64));
        prefix.check().map_err(Error::usage)?;
        if length != prefix.length || !align.is_power_of_two() {
            let what = format!("expected {} bytes of pages at a power of two, found {length}", prefix.length);
            return Err(Error::usage(what));
        }
        if self.open.is_none_or(|(kind, id, _)| (kind, id) != (types::KIND_PAGES, 0)) {
            return Err(Error::usage("expected pages in the image of pages"));
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        prefix.write(&mut scratch, self.at, align);
        let row = BlockRow::new(
            prefix.first,
            u64::from(prefix.pages),
            self.at,
            u32::try_from(scratch.len()).unwrap_or(u32::MAX),
        );
        let (header, rest) = scratch.split_at_checked(size_of::<ObjectHeader>()).unwrap_or_default();
        let counted = ObjectHeader::read(header).copied().map_err(|broken| Error::usage(broken.to_string()));
        counted.and_then(|header| self.header(&header))?;
        self.put(rest)?;
        self.scratch = scratch;
        self.blocks.push(row);
        data.into_iter().try_for_each(|piece| self.put(piece))
    }

    /// The image that is open is complete.
    ///
    /// Errors: writing failed; there is no image.
    pub fn stop(&mut self) -> Result<()> {
        let state = self.state()?;
        let header = ObjectHeader::stop(state.headers, state.checksum);
        state.is_complete = true;
        self.put(header.as_bytes())?;
        let image = self.open;
        self.close();
        if let (Some(turn), Some((kind, id, _))) = (self.turn, image) {
            turn(&mut self.out, Turn::From(kind, id))?;
        }
        Ok(())
    }

    /// The end of a bundle: directory, table of blocks and `names`, which are payloads of NAMES records with how many
    /// names each has; then END.
    ///
    /// Errors: writing failed; an image is not complete; two blocks have the same page; each image has a file of its
    /// own.
    pub fn finish(mut self, names: &[(u32, Vec<u8>)]) -> Result<(W, Summary)> {
        self.complete(true)?;
        let mut rows = std::mem::take(&mut self.rows);
        rows.extend(std::mem::take(&mut self.kept).into_values().flatten());
        rows.sort_unstable_by_key(|row| (row.kind(), row.id(), row.offset()));
        let blocks = std::mem::take(&mut self.blocks);
        let directory = self.at;
        self.section(types::KIND_DIRECTORY, 0)?;
        for rows in rows.chunks(ROWS) {
            self.put_record(types::DIRECTORY, u32::try_from(rows.len()).unwrap_or(0), rows.as_bytes())?;
        }
        for rows in blocks.chunks(ROWS) {
            self.put_record(types::BLOCK_TABLE, u32::try_from(rows.len()).unwrap_or(0), rows.as_bytes())?;
        }
        for (count, names) in names {
            self.put_record(types::NAMES, *count, names)?;
        }
        self.stop()?;
        self.end(directory)
    }

    /// The end of a stream: END without a directory.
    ///
    /// Errors: as [`finish`](Self::finish); what it was appended to has a directory, which this would hide.
    pub fn finish_stream(mut self) -> Result<(W, Summary)> {
        self.complete(true)?;
        if self.previous != 0 {
            return Err(Error::usage("expected a directory behind a bundle"));
        }
        self.end(0)
    }

    /// The end of files that hold an image each and are no bundle.
    ///
    /// Errors: an image is not complete, or there are several in one file.
    pub fn finish_image(mut self) -> Result<(W, Summary)> {
        self.complete(false)?;
        if self.turn.is_none() && (self.images.len() > 1 || self.previous != 0) {
            return Err(Error::usage("expected one image in a file without an END"));
        }
        Ok((self.out, Summary { length: self.at, end: None }))
    }

    fn end(mut self, directory: u64) -> Result<(W, Summary)> {
        let length = self.at.saturating_add(crate::wire::v2::header::END as u64);
        let images = self.images.values().filter(|state| state.is_complete).count();
        let end = End::new(directory, length, self.previous, u32::try_from(images).unwrap_or(u32::MAX));
        let header = ObjectHeader::of(types::END, 1, size_of::<End>() as u64, end.as_bytes());
        self.put(header.as_bytes())?;
        self.put(end.as_bytes())?;
        Ok((self.out, Summary { length, end: Some(header.checksum()) }))
    }
}

/// Rows of a record: 64 MiB of them.
const ROWS: usize = 2 << 20;
/// The key of the only field of PAD.
const PAD_TAG: u8 = 0x0a;
/// Zeros of a PAD at most: 1 MiB.
const PAD_LENGTH: usize = 1 << 20;
