//! Opening a bundle: its last 56 bytes, then its directory.

use std::fs::File;
use std::path::Path;

use bytes::Bytes;
use zerocopy::FromBytes;

use crate::base::map::{self, Access};
use crate::base::{Error, Limits, Result};
use crate::source::bundle::{Bundle, Part, Section};
use crate::wire::v2::array::Array;
use crate::wire::v2::header::END;
use crate::wire::v2::{Broken, DirectoryRow, End, ImageHeader, Item, Record, Walk, types};

impl Bundle {
    /// Opens a file.
    ///
    /// Errors: it is not there, cannot be read, or is none of version 2.
    pub fn open(path: &Path, access: Access, limits: Limits) -> Result<Self> {
        let name = path.to_string_lossy().into_owned();
        let failed = |error| Error::io("cannot open", error).in_image(name.clone());
        let file = File::open(path).map_err(failed)?;
        let bytes = map::content(&file, path, access)?;
        let part =
            Part { name, bytes, path: Some(path.to_path_buf()), file: Some(file), end: None, tables: Vec::new() };
        Self::of_part(part, limits)
    }

    /// What bytes hold, such as came from a pipe.
    pub fn from_bytes(name: &str, bytes: Bytes, limits: Limits) -> Result<Self> {
        let part = Part { name: name.to_owned(), bytes, path: None, file: None, end: None, tables: Vec::new() };
        Self::of_part(part, limits)
    }

    fn of_part(mut part: Part, limits: Limits) -> Result<Self> {
        let wrong = |part: &Part, broken: Broken| {
            Error::format(broken.to_string()).at_offset(broken.offset as u64).in_image(part.name.as_str())
        };
        let first = ImageHeader::read(&part.bytes).map_err(|broken| wrong(&part, broken))?;
        let mut dump = first.dump();
        let mut sections = Vec::new();
        match end(&part.bytes) {
            Some((end, checksum)) => {
                part.end = Some(checksum);
                let directory = usize::try_from(end.directory()).unwrap_or(usize::MAX);
                let found = match directory {
                    0 => walk(&part.bytes, 0, &limits),
                    _ => {
                        let found = read(&part.bytes, directory, &limits);
                        found.map(|(of, rows, tables)| {
                            dump = of;
                            part.tables = tables;
                            rows
                        })
                    }
                };
                sections = found.map_err(|broken| wrong(&part, broken))?;
            }
            None => sections.extend(walk(&part.bytes, 0, &limits).map_err(|broken| wrong(&part, broken))?),
        }
        sections.sort_unstable();
        let name = part.name.clone();
        Ok(Self {
            name,
            parts: vec![part],
            sections,
            dump,
            limits,
            blocks: std::sync::OnceLock::new(),
            warnings: Vec::new(),
        })
    }
}

/// What the last bytes say, if they are the END of the file, and its checksum.
fn end(bytes: &[u8]) -> Option<(End, u32)> {
    let at = bytes.len().checked_sub(END)?;
    let record = Record::read(bytes, at).ok().filter(|record| record.header.object_type() == types::END)?;
    record.check().ok()?;
    let end = End::read_from_bytes(record.payload).ok().filter(End::has_tags)?;
    (end.length() == bytes.len() as u64).then_some((end, record.header.checksum()))
}

type Directory = (u64, Vec<Section>, Vec<usize>);

/// The directory at an offset: the number of its dump, the sections, and where block tables are.
fn read(bytes: &[u8], at: usize, limits: &Limits) -> Result<Directory, Broken> {
    let header = ImageHeader::read(bytes.get(at..).unwrap_or_default()).map_err(|broken| broken.at(at))?;
    let (mut sections, mut tables) = (Vec::new(), Vec::new());
    for item in Walk::new(bytes, at.saturating_add(size_of::<ImageHeader>())) {
        let Item::Record(record) = item? else { break };
        match record.header.object_type() {
            types::STOP | types::END => break,
            types::BLOCK_TABLE => tables.push(record.offset),
            types::DIRECTORY => {
                record.check()?;
                let rows =
                    Array::<DirectoryRow>::new(record.header, record.payload).map_err(|b| b.at(record.offset))?;
                rows.check().map_err(|broken| broken.at(record.offset))?;
                for row in rows.iter().take(limits.files.saturating_sub(sections.len())) {
                    let place = |value| usize::try_from(value).unwrap_or(usize::MAX);
                    let (offset, size) = (place(row.offset()), place(row.size()));
                    sections.push(Section { kind: row.kind(), id: row.id(), part: 0, offset, size });
                }
            }
            _ => {}
        }
    }
    Ok((header.dump(), sections, tables))
}

/// The sections of a file that has no directory.
fn walk(bytes: &[u8], part: usize, limits: &Limits) -> Result<Vec<Section>, Broken> {
    let mut sections: Vec<Section> = Vec::new();
    for item in Walk::new(bytes, 0) {
        match item? {
            Item::Image(offset, header) => {
                if sections.len() >= limits.files {
                    break;
                }
                let size = size_of::<ImageHeader>();
                sections.push(Section { kind: header.kind(), id: header.id(), part, offset, size });
            }
            Item::Record(record) if record.header.object_type() == types::END => {}
            Item::Record(record) => {
                if let Some(section) = sections.last_mut() {
                    section.size = record.end().saturating_sub(section.offset);
                }
            }
        }
    }
    Ok(sections)
}
