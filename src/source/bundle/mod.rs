//! Files of version 2: which images they hold, where their sections are, and where pages are.
//!
//! A [`Bundle`] is what one file holds, a whole checkpoint, or what a directory of `.criu` files holds. Messages are
//! none of its business: it knows kinds by their numbers and hands out records as slices of the map.

mod append;
mod blocks;
mod compare;
mod directory;
mod frames;
mod job;
mod list;
mod many;
mod open;
mod receive;
mod records;
mod salvage;
mod survey;
mod verify;
mod which;
mod write;

use std::fs::File;
use std::path::PathBuf;

use bytes::Bytes;

use crate::base::{Error, Limits};
use crate::wire::v2::types;

pub use blocks::{BlockAt, Blocks};
pub use list::{LIST, Lists};
pub use receive::receive;
pub use records::{In, Records};
pub use salvage::{Salvage, Saved};
pub use verify::{Fault, Verified};
pub use which::{is_directory, is_version_2};
pub use write::{Summary, Turn, TurnTo, Writer};

/// What files of version 2 hold, as opened: its directory was read and nothing else.
pub struct Bundle {
    pub(super) name: String,
    pub(super) parts: Vec<Part>,
    /// Sections of all images, by kind, id and place.
    pub(super) sections: Vec<Section>,
    pub(super) dump: u64,
    pub(super) limits: Limits,
    pub(super) blocks: std::sync::OnceLock<crate::base::Result<Blocks>>,
    /// What is odd about it, and did not keep it from being read.
    pub(super) warnings: Vec<Error>,
    /// Whether it is a directory of images, or shards.
    pub(super) is_several: bool,
}

/// One file.
pub(crate) struct Part {
    /// What errors call it.
    pub(crate) name: String,
    pub(crate) bytes: Bytes,
    /// Where it is; none if it came from a pipe.
    pub(crate) path: Option<PathBuf>,
    pub(crate) file: Option<File>,
    /// Whether it is one of a directory's.
    pub(crate) is_beside: bool,
    /// The checksum of the END of the dump.
    pub(crate) end: Option<u32>,
    /// The last END of the file.
    pub(crate) tail: Option<directory::Tail>,
    /// Where its block table is, if its directory has one: offsets of the records' headers.
    pub(crate) tables: Vec<usize>,
}

/// Where a part of an image is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Section {
    /// Kind of the image, by the registry's number.
    pub kind: u32,
    /// Number of the image.
    pub id: u64,
    /// Which file.
    pub part: usize,
    /// Offset of its header in the file.
    pub offset: usize,
    /// Its bytes.
    pub size: usize,
}

impl Bundle {
    /// What to call it in messages: a path.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number that all images of the checkpoint have.
    pub fn dump(&self) -> u64 {
        self.dump
    }

    /// The limits it was opened with.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What is odd about it, and did not keep it from being read: bytes behind its END, files of a directory that are
    /// no images of it.
    pub fn warnings(&self) -> &[Error] {
        &self.warnings
    }

    /// The checksum of the record that ends it, by which a child knows its parent; none of a directory of images and of
    /// what has no end.
    pub fn end(&self) -> Option<u32> {
        match self.parts.as_slice() {
            [part] => part.end,
            _ => None,
        }
    }

    /// Bytes up to the last END, behind which more can be appended; none of what has no END.
    pub fn length(&self) -> Option<u64> {
        match self.parts.as_slice() {
            [part] => part.tail.map(|tail| tail.length),
            _ => None,
        }
    }

    /// The sections of all images but the directory.
    pub(super) fn all_sections(&self) -> impl Iterator<Item = &Section> {
        self.sections.iter().filter(|section| section.kind != types::KIND_DIRECTORY)
    }

    /// Kind and number of all images but the directory, ascending.
    pub fn images(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        let mut last = None;
        self.sections.iter().filter_map(move |section| {
            let image = (section.kind, section.id);
            (last.replace(image) != Some(image) && section.kind != types::KIND_DIRECTORY).then_some(image)
        })
    }

    /// The sections of an image, in the order of its records; none if there is no such image.
    pub fn sections(&self, kind: u32, id: u64) -> &[Section] {
        let start = self.sections.partition_point(|section| (section.kind, section.id) < (kind, id));
        let rest = self.sections.get(start..).unwrap_or_default();
        let end = rest.partition_point(|section| (section.kind, section.id) == (kind, id));
        rest.get(..end).unwrap_or_default()
    }

    /// Whether there is such an image.
    pub fn has(&self, kind: u32, id: u64) -> bool {
        !self.sections(kind, id).is_empty()
    }

    /// The records of an image, without what only frames them.
    pub fn records(&self, kind: u32, id: u64) -> Records<'_> {
        Records::of(self, self.sections(kind, id))
    }

    /// Bytes of all files that it is made of.
    pub fn size(&self) -> u64 {
        self.parts.iter().fold(0, |sum, part| sum.saturating_add(part.bytes.len() as u64))
    }

    /// The content of a file that it is made of; blocks and sections say which.
    pub fn bytes(&self, part: usize) -> Option<&Bytes> {
        self.parts.get(part).map(|part| &part.bytes)
    }

    /// What errors call that file.
    pub fn part_name(&self, part: usize) -> &str {
        self.parts.get(part).map_or(&self.name, |part| &part.name)
    }

    /// That file, open; none if it came from a pipe.
    pub fn file(&self, part: usize) -> Option<&File> {
        self.parts.get(part)?.file.as_ref()
    }

    /// Where its directory or the first of its files is, from which links to parents lead; none if it came from a pipe.
    pub fn path(&self) -> Option<&std::path::Path> {
        let first = self.parts.first()?;
        let path = first.path.as_deref()?;
        if first.is_beside { path.parent() } else { Some(path) }
    }

    /// Where blocks of pages are.
    ///
    /// Errors: the table is broken.
    pub fn blocks(&self) -> Result<&Blocks, &Error> {
        self.blocks.get_or_init(|| Blocks::of(self)).as_ref()
    }
}
