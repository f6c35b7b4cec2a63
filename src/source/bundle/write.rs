//! Writing version 2: sections, records, directory and END, to a file or a pipe.

use std::collections::BTreeMap;
use std::io::Write;

use zerocopy::IntoBytes;

use crate::base::{Error, Result};
use crate::wire::v2::block::Prefix;
use crate::wire::v2::crc::crc32c;
use crate::wire::v2::header::CONTINUES;
use crate::wire::v2::{BlockRow, DirectoryRow, End, ImageHeader, ObjectHeader, types};

/// Writes images one record after the other. Images may take turns; each section is framed, counted and listed.
pub struct Writer<W> {
    out: W,
    /// Where the next byte goes, from the first of the file.
    at: u64,
    dump: u64,
    /// The image whose section is open: kind, id, offset of the section.
    open: Option<(u32, u64, u64)>,
    images: BTreeMap<(u32, u64), State>,
    rows: Vec<DirectoryRow>,
    blocks: Vec<BlockRow>,
    scratch: Vec<u8>,
    turn: Option<TurnTo<W>>,
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
struct State {
    sections: u32,
    headers: u32,
    checksum: u32,
    is_complete: bool,
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
        self.out.write_all(bytes).map_err(|error| Error::io("cannot write", error))?;
        self.at = self.at.saturating_add(bytes.len() as u64);
        Ok(())
    }

    fn state(&mut self) -> Result<&mut State> {
        let image = self.open.map(|(kind, id, _)| (kind, id));
        let state = image.and_then(|image| self.images.get_mut(&image));
        state.ok_or_else(|| Error::usage("expected an image before its records"))
    }

    fn header(&mut self, header: &ObjectHeader) -> Result<()> {
        let state = self.state()?;
        state.headers = state.headers.saturating_add(1);
        state.checksum = crc32c(state.checksum, header.as_bytes());
        self.put(header.as_bytes())
    }

    /// What comes next belongs to this image, which may have been begun before.
    ///
    /// Errors: writing failed, or the image is complete.
    pub fn image(&mut self, kind: u32, id: u64) -> Result<()> {
        if self.open.is_some_and(|(open, number, _)| (open, number) == (kind, id)) {
            return Ok(());
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
        self.open = Some((kind, id, self.at));
        let flags = if number == 0 { 0 } else { CONTINUES };
        let header = ImageHeader::of(kind, flags, id, self.dump);
        self.put(header.as_bytes())?;
        self.header(&ObjectHeader::of(types::START, number, 0, &[]))
    }

    /// Ends the section that is open: the next record begins another.
    fn close(&mut self) {
        if let Some((kind, id, offset)) = self.open.take() {
            self.rows.push(DirectoryRow::new(kind, id, offset, self.at.saturating_sub(offset)));
        }
    }

    /// A record of the image: `count` objects in `payload`.
    ///
    /// Errors: writing failed; the payload is longer than it may be; there is no image.
    pub fn record(&mut self, object_type: u32, count: u32, payload: &[u8]) -> Result<()> {
        if payload.len() as u64 > types::PAYLOAD {
            return Err(Error::usage(format!("expected at most {} bytes in a record", types::PAYLOAD)));
        }
        self.header(&ObjectHeader::of(object_type, count, payload.len() as u64, payload))?;
        self.put(payload)
    }

    /// A block of pages, of which `data` are the pieces, one behind the other; it begins at a multiple of `align`.
    ///
    /// Errors: writing failed; there is no image.
    pub fn block<'d>(
        &mut self,
        prefix: &Prefix<'_>,
        align: u64,
        data: impl IntoIterator<Item = &'d [u8]>,
    ) -> Result<()> {
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
    /// Errors: writing failed.
    pub fn finish(mut self, names: &[(u32, Vec<u8>)]) -> Result<(W, Summary)> {
        self.close();
        let mut rows = std::mem::take(&mut self.rows);
        rows.sort_unstable_by_key(|row| (row.kind(), row.id(), row.offset()));
        let mut blocks = std::mem::take(&mut self.blocks);
        blocks.sort_unstable_by_key(BlockRow::first);
        let directory = self.at;
        self.image(types::KIND_DIRECTORY, 0)?;
        for rows in rows.chunks(ROWS) {
            self.record(types::DIRECTORY, u32::try_from(rows.len()).unwrap_or(0), rows.as_bytes())?;
        }
        for rows in blocks.chunks(ROWS) {
            self.record(types::BLOCK_TABLE, u32::try_from(rows.len()).unwrap_or(0), rows.as_bytes())?;
        }
        for (count, names) in names {
            self.record(types::NAMES, *count, names)?;
        }
        self.stop()?;
        self.end(directory)
    }

    /// The end of a stream: END without a directory.
    ///
    /// Errors: writing failed.
    pub fn finish_stream(mut self) -> Result<(W, Summary)> {
        self.close();
        self.end(0)
    }

    /// The end of files that hold an image each and are no bundle.
    pub fn finish_image(mut self) -> (W, Summary) {
        self.close();
        let length = self.at;
        (self.out, Summary { length, end: None })
    }

    fn end(mut self, directory: u64) -> Result<(W, Summary)> {
        let length = self.at.saturating_add(crate::wire::v2::header::END as u64);
        let images = self.images.values().filter(|state| state.is_complete).count();
        let end = End::new(directory, length, 0, u32::try_from(images).unwrap_or(u32::MAX));
        let header = ObjectHeader::of(types::END, 1, size_of::<End>() as u64, end.as_bytes());
        self.put(header.as_bytes())?;
        self.put(end.as_bytes())?;
        Ok((self.out, Summary { length, end: Some(header.checksum()) }))
    }
}

/// Rows of a record: 64 MiB of them.
const ROWS: usize = 2 << 20;
