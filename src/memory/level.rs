//! What one dump of a chain has of an object: a pagemap with its pages file, or runs and blocks of version 2.

use std::sync::Arc;

use bytes::Bytes;

use crate::base::{Error, Result};
use crate::image::Kind;
use crate::memory::cursor::{Cursor, Item};
use crate::memory::file::PagesFile;
use crate::memory::store::Store;
use crate::memory::v2::{PageBlocks, PageRuns, RunCursor};

/// One dump of a chain.
pub(crate) enum Level {
    /// Images of version 1.
    V1(Box<Store>),
    /// A bundle: runs, if it knows of the object, and pages that runs of later dumps may mean too.
    V2 {
        /// Of the object.
        runs: Option<PageRuns>,
        /// Of all objects.
        blocks: Arc<PageBlocks>,
    },
}

impl Level {
    /// What a dump of version 2 has of an object; without a page size, what its blocks say.
    pub(crate) fn v2(blocks: Arc<PageBlocks>, kind: Kind, id: u64, page_size: u64) -> Result<Self> {
        Ok(Self::V2 { runs: PageRuns::open(blocks.bundle(), kind, id, page_size)?, blocks })
    }

    /// Whether it knows of the object.
    pub(crate) fn is_known(&self) -> bool {
        !matches!(self, Self::V2 { runs: None, .. })
    }

    /// Whether pages may be in the dump before.
    pub(crate) fn goes_on(&self) -> bool {
        match self {
            Self::V1(store) => store.has_parent,
            Self::V2 { .. } => true,
        }
    }

    /// What is wrong behind its last sound entry.
    pub(crate) fn fault(&self) -> Option<&Error> {
        match self {
            Self::V1(store) => store.fault.as_ref(),
            // that is in its items
            Self::V2 { .. } => None,
        }
    }

    /// Its blocks of pages, in version 2.
    pub(crate) fn blocks(&self) -> Option<&PageBlocks> {
        match self {
            Self::V1(_) => None,
            Self::V2 { blocks, .. } => Some(blocks),
        }
    }

    /// All of a file with its pages.
    pub(crate) fn content(&self, part: usize) -> Option<&Bytes> {
        match self {
            Self::V1(store) => store.pages().ok().filter(|_| part == 0),
            Self::V2 { blocks, .. } => blocks.bundle().bytes(part),
        }
    }

    /// A file with its pages.
    pub(crate) fn file(&self, part: usize) -> Option<PagesFile> {
        match self {
            Self::V1(store) => {
                let (source, file) = store.pages_file();
                (part == 0).then(|| PagesFile::v1(store.pages_name(), source, file))
            }
            Self::V2 { blocks, .. } => {
                let bundle = blocks.bundle();
                bundle.bytes(part).map(|_| PagesFile::v2(bundle, part))
            }
        }
    }

    /// What errors call that file.
    pub(crate) fn file_name(&self, part: usize) -> &str {
        match self {
            Self::V1(store) => store.pages_name(),
            Self::V2 { blocks, .. } => blocks.bundle().part_name(part),
        }
    }
}

/// Walks the entries or runs of one dump.
pub(crate) enum Walker<'a> {
    V1(Cursor<'a>),
    V2(RunCursor<'a>),
    /// The dump does not know of the object.
    Nothing,
}

impl<'a> Walker<'a> {
    /// One before the first entry.
    pub(crate) fn new(level: &'a Level) -> Self {
        match level {
            Level::V1(store) => Self::V1(Cursor::new(store)),
            Level::V2 { runs: Some(runs), .. } => Self::V2(RunCursor::new(runs)),
            Level::V2 { runs: None, .. } => Self::Nothing,
        }
    }

    /// The first item that ends behind `address`. Addresses must not descend from call to call.
    #[inline]
    pub(crate) fn seek(&mut self, address: u64) -> Option<Item> {
        match self {
            Self::V1(cursor) => cursor.seek(address),
            Self::V2(cursor) => cursor.seek(address),
            Self::Nothing => None,
        }
    }
}
