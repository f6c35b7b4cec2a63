//! The pages of a checkpoint: those of version 1 into one store of version 2, and back.
//!
//! Pages are looked at in windows: which are zero, which are equal to one met before or to one of an ancestor. What is
//! left gets numbers and goes into blocks; the runs of all pagemaps say where. While one window is written, the next is
//! looked at, on all cores. What comes out depends on the dump and the options, never on threads.

mod back;
mod base;
mod blocks;
mod gather;
mod holes;
mod judge;
mod known;
mod loc;
mod number;
mod places;
mod stores;
mod survey;
mod walk;
mod window;
mod work;

use std::path::PathBuf;

use serde::Serialize;

pub use crate::memory::Compression;
pub use back::pages_file;
pub use survey::{Survey, survey};
pub use work::write;

/// What is done with pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageOptions {
    /// How they are packed.
    pub compression: Compression,
    /// Bytes of pages that have a checksum together, and are packed together; what is best if it is not said.
    pub unit: Option<u64>,
    /// Whether equal pages are stored once. It makes more and shorter runs.
    pub share: bool,
    /// Whether blocks of CRIU are unpacked; without it they are kept as they are.
    pub decompress: bool,
    /// The bundle whose pages need not be stored again.
    pub parent: Option<PathBuf>,
    /// Bytes of a block of pages as they are, at most. A cut stream loses the block that it is in; a block of a file can
    /// be mapped with one call.
    pub block: u64,
}

impl Default for PageOptions {
    fn default() -> Self {
        Self { compression: Compression::None, unit: None, share: true, decompress: false, parent: None, block: BLOCK }
    }
}

/// A block of pages in a file.
const BLOCK: u64 = 64 << 20;
/// And in a stream.
const STREAM_BLOCK: u64 = 1 << 20;

impl PageOptions {
    /// The same for what goes through a pipe.
    #[must_use]
    pub fn for_stream(mut self) -> Self {
        self.block = self.block.min(STREAM_BLOCK);
        self
    }
}

/// What was counted of pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PageCounts {
    /// Pages that the dump has, of all processes and segments.
    pub pages: u64,
    /// Those that are zero, which are not stored.
    pub zero: u64,
    /// Those that are equal to one before, and stored with it.
    pub shared: u64,
    /// Those that an ancestor has.
    pub inherited: u64,
    /// Those that are stored.
    pub stored: u64,
    /// Bytes that those take.
    pub stored_bytes: u64,
    /// Entries of pagemaps.
    pub pagemap_entries: u64,
    /// Runs that say the same.
    pub runs: u64,
    /// Entries that keep their original bytes beside their runs.
    pub noted: u64,
}
