//! What both ways share: pages files that are written piece by piece, several at a time.

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::base::sink::Sink;
use crate::base::{Error, Result};
use crate::image::Image;
use crate::tool::compress::Counts;
use crate::tool::compress::files::{Entries, Files};
use crate::tool::compress::survey::Map;

/// Bytes of pages that are read, or written, at a time by one thread.
pub(super) const PIECE: u64 = 256 << 10;
/// Pieces of a turn for each thread: what is held in memory.
const PIECES: u64 = 4;
/// And pagemaps: each has three open files.
pub(super) const TARGETS: usize = 32;

/// Bytes of pages that are worked on together.
pub(super) fn turn_bytes() -> u64 {
    PIECE.saturating_mul(PIECES).saturating_mul(rayon::current_num_threads() as u64)
}

/// A pagemap that is written, with its pages.
pub(super) struct Target<'m> {
    map: &'m Map,
    pub(super) pages: Sink,
    pub(super) entries: Entries,
    /// Where the next page goes.
    pub(super) at: u64,
    /// Whether its last piece is known.
    pub(super) is_complete: bool,
}

/// Those that are not complete yet, in order.
pub(super) struct Targets<'m> {
    open: VecDeque<Target<'m>>,
    /// How many were finished.
    done: usize,
    counts: Vec<Counts>,
}

impl<'m> Targets<'m> {
    pub(super) fn new() -> Self {
        Self { open: VecDeque::new(), done: 0, counts: Vec::new() }
    }

    /// Begins one, and gives its number.
    ///
    /// Errors: the system refused.
    pub(super) fn begin(&mut self, map: &'m Map, image: &Image, files: &Files<'_>) -> Result<usize> {
        let first = match image.len() {
            0 | 1 => image.bytes().len(),
            _ => usize::try_from(image.get(1)?.offset()).unwrap_or(0),
        };
        let head = image.bytes().get(..first).unwrap_or_default();
        let pages = files.begin(&map.pages_file)?;
        let entries = Entries::begin(files.begin(&map.name.file)?, &map.name.file, head)?;
        self.open.push_back(Target { map, pages, entries, at: 0, is_complete: false });
        Ok(self.done.saturating_add(self.open.len()).saturating_sub(1))
    }

    pub(super) fn are_many(&self) -> bool {
        self.open.len() >= TARGETS
    }

    pub(super) fn get(&self, number: usize) -> Result<&Target<'m>> {
        self.open.get(number.wrapping_sub(self.done)).ok_or_else(lost)
    }

    pub(super) fn get_mut(&mut self, number: usize) -> Result<&mut Target<'m>> {
        self.open.get_mut(number.wrapping_sub(self.done)).ok_or_else(lost)
    }

    /// Hands over the files that are complete.
    ///
    /// Errors: the system refused.
    pub(super) fn finish(&mut self, files: &mut Files<'_>) -> Result<()> {
        while self.open.front().is_some_and(|target| target.is_complete) {
            let Some(Target { map, pages, entries, at, .. }) = self.open.pop_front() else { break };
            self.done = self.done.saturating_add(1);
            files.end(pages, &map.pages_like)?;
            files.end(entries.end()?, &map.like)?;
            self.counts.push(Counts {
                file: map.name.file.clone(),
                pages: map.sums.pages,
                before: map.sums.payload,
                after: at,
            });
        }
        Ok(())
    }

    pub(super) fn counts(self) -> Vec<Counts> {
        self.counts
    }
}

#[cold]
fn lost() -> Error {
    Error::usage("a file was finished before its pages were")
}

/// Fills a buffer from a file of pages.
///
/// Errors: the file has become shorter; the system refused.
pub(super) fn read(file: &File, name: &str, at: u64, into: &mut [u8]) -> Result<()> {
    file.read_exact_at(into, at).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => {
            Error::usage("became shorter while it was read").in_image(name).at_offset(at)
        }
        _ => Error::io("cannot read", error).in_image(name).at_offset(at),
    })
}
