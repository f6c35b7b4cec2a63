//! What a dump holds, counted without decoding it: what `info` tells of dumps of any size at once.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use crate::base::listing::keep;
use crate::base::{Error, Name, Result};
use crate::checkpoint::file::FileType;
use crate::checkpoint::task::Task;
use crate::checkpoint::{Checkpoint, old_files};
use crate::image::{Entry, Kind};
use crate::object::v1;
use crate::wire::field::last_varint;

/// The open files of a dump by type.
#[derive(Clone, Debug, Default)]
pub struct Census {
    /// How many of each type.
    pub by_type: BTreeMap<FileType, usize>,
    /// What could not be read.
    pub problems: Vec<Error>,
}

/// Numbers of fields in the messages.
mod field {
    pub(super) const FILE_TYPE: u32 = 1;
    pub(super) const FILE_ID: u32 = 2;
    pub(super) const EXE_FILE_ID: u32 = 12;
}

fn varint(entry: &Entry<'_>, number: u32) -> Result<Option<u64>> {
    last_varint(entry.message(), number).map_err(|error| entry.locate(Error::format(error.to_string()), error.offset))
}

/// So many paths are looked for one by one.
const SEARCHES: u32 = 16;

impl Checkpoint {
    /// Counts the open files.
    ///
    /// Errors: the image of files cannot be opened.
    pub fn census(&self) -> Result<Census> {
        let mut census = Census::default();
        match self.find(Kind::Files, 0)? {
            Some(image) => {
                for entry in &image {
                    match entry.and_then(|entry| varint(&entry, field::FILE_TYPE)) {
                        Ok(found) => {
                            let number = found.and_then(|number| i32::try_from(number).ok()).unwrap_or(0);
                            let count = census.by_type.entry(FileType(number)).or_default();
                            *count = count.saturating_add(1);
                        }
                        Err(error) => keep(&mut census.problems, [error]),
                    }
                }
            }
            None => {
                for (kind, file_type) in old_files::KINDS {
                    if let Some(image) = self.find(*kind, 0)? {
                        census.by_type.insert(FileType(i32::from(*file_type)), image.len());
                        census.problems.extend(image.fault().cloned());
                    }
                }
            }
        }
        Ok(census)
    }

    /// The path of the file with a path that has this number, found without decoding the others.
    fn path_alone(&self, id: u64) -> Result<Option<Name>> {
        let Some(image) = self.find(Kind::Files, 0)? else {
            return self.path(u32::try_from(id).unwrap_or(u32::MAX));
        };
        for entry in &image {
            let entry = entry?;
            if varint(&entry, field::FILE_ID)? == Some(id)
                && let Some(reg) = entry.decode::<v1::FileEntry>()?.reg
            {
                return Ok(Some(reg.name.into()));
            }
        }
        Ok(None)
    }
}

impl Task<'_> {
    /// Path of the program it runs; `None` where the dump does not say. Reads neither its mappings nor the other
    /// files.
    ///
    /// Errors: its image, or that of files, is broken.
    pub fn exe(&self) -> Result<Option<Name>> {
        let Some(image) = self.dump.find(Kind::Mm, u64::from(self.pid()))? else { return Ok(None) };
        let Some(id) = varint(&image.get(0)?, field::EXE_FILE_ID)? else { return Ok(None) };
        // a few are found sooner than all files are read; many would each go through all of them
        let is_first = || self.dump.cache.searches.fetch_add(1, Ordering::Relaxed) < SEARCHES;
        match self.dump.cache.files.get() {
            None if is_first() => self.dump.path_alone(id),
            _ => self.dump.path(u32::try_from(id).unwrap_or(u32::MAX)),
        }
    }
}
