//! The END of a bundle and its directory: how a file is opened without walking over it.

use bytes::Bytes;
use zerocopy::{FromBytes, IntoBytes};

use crate::base::{Error, Limits, Result};
use crate::source::bundle::Section;
use crate::source::bundle::frames::is_stop_of;
use crate::wire::v2::array::{Array, Element};
use crate::wire::v2::crc::crc32c;
use crate::wire::v2::header::{END, MUST_FLAGS, OBJECT_TAG};
use crate::wire::v2::{Broken, DirectoryRow, End, ImageHeader, Item, Record, Walk, types};

/// An END whose `length` is its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tail {
    /// Offset of its header.
    pub(crate) offset: u64,
    /// Where it ends: the length of the bundle.
    pub(crate) length: u64,
    /// Offset of its directory; 0: there is none.
    pub(crate) directory: u64,
    /// Offset of the END before; 0: there is none.
    pub(crate) previous: u64,
    /// Images that are complete since then.
    pub(crate) images: u32,
    /// The checksum of its record.
    pub(crate) checksum: u32,
}

impl Tail {
    /// What the record says, if it is an END in its place.
    pub(super) fn of(record: &Record<'_>) -> Option<Self> {
        if record.header.object_type() != types::END || record.header.count() != 1 {
            return None;
        }
        record.check().ok()?;
        let end = End::read_from_bytes(record.payload).ok().filter(End::has_tags)?;
        let (offset, length) = (record.offset as u64, record.end() as u64);
        // a directory lies between two ENDs, so that each is read once, however many there are
        let is_ahead = end.previous() < offset
            && end.directory() < offset
            && (end.directory() == 0 || end.directory() >= end.previous());
        (end.length() == length && is_ahead).then_some(Self {
            offset,
            length,
            directory: end.directory(),
            previous: end.previous(),
            images: end.images(),
            checksum: record.header.checksum(),
        })
    }

    /// The END whose header is at an offset.
    fn at(bytes: &[u8], offset: usize) -> Option<Self> {
        if bytes.get(offset) != Some(&OBJECT_TAG) {
            return None;
        }
        Self::of(&Record::read(bytes, offset).ok()?)
    }

    /// The last one of a file, at most `scan` bytes before its end.
    pub(super) fn find(bytes: &[u8], scan: usize) -> Option<Self> {
        let last = bytes.len().checked_sub(END)?;
        let lowest = last.saturating_sub(scan);
        if let Some(tail) = Self::at(bytes, last) {
            return Some(tail);
        }
        let range = bytes.get(lowest..=last)?;
        memchr::memrchr_iter(OBJECT_TAG, range).find_map(|at| Self::at(bytes, lowest.saturating_add(at)))
    }

    /// This one and those before it.
    pub(super) fn chain(self, bytes: &[u8]) -> impl Iterator<Item = Self> + use<'_> {
        std::iter::successors(Some(self), move |tail| {
            let before = usize::try_from(tail.previous).ok().filter(|before| *before != 0)?;
            Self::at(bytes, before)
        })
    }

    /// The dump that its directory is about.
    pub(super) fn dump(&self, bytes: &[u8]) -> Option<u64> {
        let at = usize::try_from(self.directory).ok().filter(|at| *at != 0)?;
        let header = ImageHeader::read(bytes.get(at..)?).ok()?;
        (header.kind() == types::KIND_DIRECTORY).then(|| header.dump())
    }

    /// Whether the chain leads to an END whose directory is of the dump that the file begins with. Memory of a process
    /// may hold an END and a directory, and be the last thing in a file that was cut; what it cannot hold is the number
    /// of a dump that is made of the dump.
    pub(super) fn is_proven(self, bytes: &[u8], first: u64) -> bool {
        if self.dump(bytes) == Some(first) {
            return true;
        }
        let base = self.chain(bytes).last();
        base.is_some_and(|base| base.previous == 0 && base.dump(bytes) == Some(first))
    }
}

/// What a directory says.
pub(super) struct Directory {
    pub(super) dump: u64,
    /// Sections of its dump, by kind, id and place; itself is not among them.
    pub(super) sections: Vec<Section>,
    /// Offsets of block tables.
    pub(super) tables: Vec<usize>,
    /// Where it is itself.
    pub(super) own: Section,
}

impl Directory {
    /// The directory that an END leads to.
    ///
    /// Errors: it is broken or is no directory; it has more sections than the limits allow.
    pub(super) fn read(bytes: &Bytes, tail: &Tail, part: usize, limits: &Limits) -> Result<Self> {
        let wrong = |broken: Broken| Error::format(broken.to_string()).at_offset(broken.offset as u64);
        let odd = |offset: usize, what: &'static str| Error::format(what).at_offset(offset as u64);
        let at = usize::try_from(tail.directory).unwrap_or(usize::MAX);
        let end = usize::try_from(tail.offset).unwrap_or(usize::MAX);
        let bytes = bytes.get(..end).unwrap_or_default();
        let header = ImageHeader::read(bytes.get(at..).unwrap_or_default()).map_err(|broken| wrong(broken.at(at)))?;
        if header.kind() != types::KIND_DIRECTORY || header.flags() & MUST_FLAGS != 0 {
            return Err(odd(at, "expected a directory, found another image"));
        }
        let place = |value| usize::try_from(value).unwrap_or(usize::MAX);
        let (mut sections, mut tables, mut last) = (Vec::new(), Vec::new(), None::<DirectoryRow>);
        let (mut headers, mut checksum, mut stop) = (0u32, 0, None);
        for item in Walk::new(bytes, at.saturating_add(size_of::<ImageHeader>())) {
            let Item::Record(record) = item.map_err(wrong)? else {
                return Err(odd(at, "expected a directory in one section, found another image in it"));
            };
            let (object_type, offset) = (record.header.object_type(), record.offset);
            if object_type != types::BLOCK_TABLE {
                record.check().map_err(wrong)?;
            }
            if stop.is_some() && object_type != types::PAD {
                return Err(odd(offset, "expected END behind a directory, found another record"));
            }
            if (headers == 0) != (object_type == types::START) {
                return Err(odd(offset, "expected one START of a directory at its beginning"));
            }
            match object_type {
                types::BLOCK_TABLE => tables.push(offset),
                types::STOP => {
                    if !is_stop_of(record.header, headers, checksum) {
                        return Err(odd(offset, "expected the STOP of these records, found another"));
                    }
                    stop = Some(record.end());
                }
                types::DIRECTORY => {
                    let payload = offset.saturating_add(size_of_val(record.header));
                    let rows = Array::<DirectoryRow>::new(record.header, record.payload);
                    let rows = rows.and_then(|rows| rows.check().map(|()| rows));
                    let rows = rows.map_err(|broken| wrong(broken.at(payload)))?;
                    if sections.len().saturating_add(rows.len()) > limits.files {
                        return Err(Error::limit(format!("more than {} sections of images", limits.files))
                            .at_offset(offset as u64)
                            .hint("Limits::files, or --max-files, raises it"));
                    }
                    if let (Some(last), Some(first)) = (last, rows.get(0))
                        && !first.follows(&last)
                    {
                        return Err(odd(offset, "expected sections that ascend, found others"));
                    }
                    last = rows.len().checked_sub(1).and_then(|index| rows.get(index)).copied();
                    sections.reserve(rows.len());
                    for row in rows.iter() {
                        let (kind, id) = (row.kind(), row.id());
                        sections.push(Section { kind, id, part, offset: place(row.offset()), size: place(row.size()) });
                    }
                }
                other if other & types::MUST != 0 => {
                    return Err(odd(
                        offset,
                        "expected a type of record that this version knows, found one that it must know",
                    ));
                }
                _ => {}
            }
            headers = headers.saturating_add(1);
            checksum = crc32c(checksum, record.header.as_bytes());
        }
        let Some(stop) = stop else { return Err(odd(at, "expected the STOP of a directory, found the end")) };
        let size = stop.saturating_sub(at);
        let own = Section { kind: types::KIND_DIRECTORY, id: header.id(), part, offset: at, size };
        Ok(Self { dump: header.dump(), sections, tables, own })
    }
}
