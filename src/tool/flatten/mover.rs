//! Moves content into the file that is written: long stretches from file to file, so that they pass through no buffer
//! and file systems that can share them do; short ones in one call for many, straight from the map.

use std::collections::HashMap;
use std::fs::File;
use std::io::IoSlice;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rustix::fs::Advice;
use rustix::io::Errno;

use crate::base::{Error, Result};
use crate::tool::flatten::work::Work;

/// From here on a stretch is moved from file to file: that costs a call for each, and less for each byte.
const LONG: u64 = 64 << 10;
/// Bytes that are moved between two looks at the clock.
const STEP: usize = 8 << 20;
/// Bytes that are handed to the disk together.
const BEGUN: u64 = 8 << 20;
/// Bytes and pieces that are written with one call.
const GATHERED: usize = 1 << 20;
const PIECES: usize = 512;
/// So many files are kept open.
const OPEN: usize = 64;

/// Which of the files that are read: of which dump of the chain, and which of its files.
pub(super) type Key = (usize, usize);

/// A file that content comes from.
#[derive(Clone)]
pub(super) struct From {
    pub(super) content: Bytes,
    /// Where there is one.
    pub(super) file: Option<std::sync::Arc<File>>,
}

/// Writes one file.
pub(super) struct Mover<'w> {
    out: File,
    path: PathBuf,
    work: &'w Work<'w>,
    files: HashMap<Key, From>,
    /// A stretch that may go on.
    stretch: Option<Stretch>,
    /// What is to be written in front of `at`.
    pieces: Vec<Gathered>,
    own: Vec<u8>,
    bytes: usize,
    at: u64,
    /// Bytes that were moved from file to file, and those that were written.
    pub(super) moved: u64,
    pub(super) written: u64,
    /// Up to where the disk has begun to take what was written.
    begun: u64,
}

struct Stretch {
    key: Key,
    offset: u64,
    at: u64,
    length: u64,
}

/// Bytes to write: of a file that is mapped, or of `own`.
enum Gathered {
    Of(Bytes),
    Own(usize, usize),
}

impl<'w> Mover<'w> {
    pub(super) fn new(out: File, path: &Path, work: &'w Work<'w>) -> Self {
        Self {
            out,
            path: path.to_path_buf(),
            work,
            files: HashMap::new(),
            stretch: None,
            pieces: Vec::new(),
            own: Vec::new(),
            bytes: 0,
            at: 0,
            moved: 0,
            written: 0,
            begun: 0,
        }
    }

    /// Puts `length` bytes of a file at `at`; `open` opens it where it is not open yet.
    pub(super) fn take(
        &mut self,
        key: Key,
        (offset, length): (u64, u64),
        at: u64,
        open: impl FnOnce() -> Result<From>,
    ) -> Result<()> {
        if length == 0 {
            return Ok(());
        }
        if let Some(stretch) = &mut self.stretch
            && stretch.key == key
            && stretch.offset.saturating_add(stretch.length) == offset
            && stretch.at.saturating_add(stretch.length) == at
        {
            stretch.length = stretch.length.saturating_add(length);
            return Ok(());
        }
        self.end_stretch()?;
        if !self.files.contains_key(&key) {
            if self.files.len() >= OPEN {
                self.files.clear();
            }
            self.files.insert(key, open()?);
        }
        self.stretch = Some(Stretch { key, offset, at, length });
        Ok(())
    }

    /// Puts bytes that are in no file at `at`.
    pub(super) fn put(&mut self, bytes: &[u8], at: u64) -> Result<()> {
        self.end_stretch()?;
        self.room(at, bytes.len())?;
        let from = self.own.len();
        self.own.extend_from_slice(bytes);
        self.gather(Gathered::Own(from, self.own.len()), bytes.len());
        Ok(())
    }

    /// Writes what is left and makes the file as long as this. What nobody wrote is a hole.
    pub(super) fn finish(&mut self, length: u64) -> Result<()> {
        self.end_stretch()?;
        self.flush()?;
        self.out.set_len(length).map_err(|error| self.failed("cannot make the file as long as it has to be", error))
    }

    fn failed(&self, what: &'static str, error: impl Into<std::io::Error>) -> Error {
        Error::io(what, error).in_image(self.path.to_string_lossy())
    }

    fn end_stretch(&mut self) -> Result<()> {
        let Some(stretch) = self.stretch.take() else { return Ok(()) };
        let Some(from) = self.files.get(&stretch.key).cloned() else { return Ok(()) };
        let mut stretch = stretch;
        if let Some(file) = from.file.as_deref().filter(|_| stretch.length >= LONG) {
            self.flush()?;
            self.copy(file, &mut stretch)?;
        }
        let place = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
        while stretch.length > 0 {
            let some = place(stretch.length).min(GATHERED);
            let (start, end) = (place(stretch.offset), place(stretch.offset).saturating_add(some));
            if end > from.content.len() {
                return Err(shorter());
            }
            self.room(stretch.at, some)?;
            self.gather(Gathered::Of(from.content.slice(start..end)), some);
            stretch.forward(some as u64);
        }
        Ok(())
    }

    /// Moves from file to file, as far as the system can.
    fn copy(&mut self, file: &File, stretch: &mut Stretch) -> Result<()> {
        while stretch.length > 0 {
            self.work.go_on()?;
            let some = usize::try_from(stretch.length).unwrap_or(usize::MAX).min(STEP);
            let (mut from, mut to) = (stretch.offset, stretch.at);
            match rustix::fs::copy_file_range(file, Some(&mut from), &self.out, Some(&mut to), some) {
                Ok(0) => return Err(shorter()),
                Ok(moved) => {
                    stretch.forward(moved as u64);
                    self.moved = self.moved.saturating_add(moved as u64);
                    self.work.did(moved as u64);
                    self.begin(stretch.at);
                }
                Err(Errno::INTR) => {}
                // other file systems, or one that cannot: from the map
                Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::BADF | Errno::PERM) => break,
                Err(error) => return Err(self.failed("cannot copy pages", error)),
            }
        }
        Ok(())
    }

    /// Lets the disk begin with what is written up to `end`: syncing at the end then waits for the rest only.
    fn begin(&mut self, end: u64) {
        let length = end.saturating_sub(self.begun);
        if length >= BEGUN {
            // pages that are dirty are not dropped, their way to the disk begins
            let _ = rustix::fs::fadvise(&self.out, self.begun, NonZeroU64::new(length), Advice::DontNeed);
            self.begun = end;
        }
    }

    /// Makes room for bytes at `at`.
    fn room(&mut self, at: u64, bytes: usize) -> Result<()> {
        if at != self.at || self.bytes.saturating_add(bytes) > GATHERED || self.pieces.len() >= PIECES {
            self.flush()?;
            self.at = at;
        }
        Ok(())
    }

    fn gather(&mut self, piece: Gathered, bytes: usize) {
        self.pieces.push(piece);
        self.bytes = self.bytes.saturating_add(bytes);
        self.at = self.at.saturating_add(bytes as u64);
    }

    fn flush(&mut self) -> Result<()> {
        if self.pieces.is_empty() {
            return Ok(());
        }
        self.work.go_on()?;
        let mut slices: Vec<IoSlice<'_>> = Vec::with_capacity(self.pieces.len());
        for piece in &self.pieces {
            slices.push(IoSlice::new(match piece {
                Gathered::Of(bytes) => bytes,
                Gathered::Own(from, to) => self.own.get(*from..*to).unwrap_or_default(),
            }));
        }
        let mut left = slices.as_mut_slice();
        let mut at = self.at.saturating_sub(self.bytes as u64);
        while !left.is_empty() {
            match rustix::io::pwritev(&self.out, left, at) {
                Ok(0) => return Err(self.failed("cannot write", std::io::ErrorKind::WriteZero)),
                Ok(written) => {
                    at = at.saturating_add(written as u64);
                    IoSlice::advance_slices(&mut left, written);
                }
                Err(Errno::INTR) => {}
                Err(Errno::FAULT) => return Err(shorter()),
                Err(error) => return Err(self.failed("cannot write", error)),
            }
        }
        self.written = self.written.saturating_add(self.bytes as u64);
        self.work.did(self.bytes as u64);
        self.begin(self.at);
        self.pieces.clear();
        self.own.clear();
        self.bytes = 0;
        Ok(())
    }
}

impl Stretch {
    fn forward(&mut self, bytes: u64) {
        self.offset = self.offset.saturating_add(bytes);
        self.at = self.at.saturating_add(bytes);
        self.length = self.length.saturating_sub(bytes);
    }
}

#[cold]
fn shorter() -> Error {
    Error::fault("a file with pages became shorter while it was read").hint("flatten a copy of the chain")
}
