//! A buffer that is filled from several files with few calls, and written with one.

use std::collections::HashMap;
use std::fs::File;
use std::io::IoSliceMut;
use std::sync::Arc;

use bytes::Bytes;
use rustix::io::Errno;

use crate::base::{Error, Result};
use crate::memory::PagesFile;
use crate::tool::flatten::writer::shorter;

/// Bytes that are written with one call. Few enough to stay in a core's cache between reading and writing.
pub(super) const ROOM: usize = 256 << 10;
/// Bytes between two wanted stretches that are read along: that costs less than a further call.
const GAP: u64 = 4 << 10;
/// Bytes that are read along with one call, at most.
const WASTE: usize = 128 << 10;

/// Which of the files that are read: of which dump of the chain, and which of its files.
pub(super) type Key = (usize, usize);

/// A file that content comes from.
#[derive(Clone)]
pub(super) enum From {
    File(Arc<File>),
    /// There is none, as in an archive.
    Memory(Bytes),
}

impl From {
    /// Errors: the file is not there or cannot be opened.
    pub(super) fn open(pages: &PagesFile) -> Result<Self> {
        Ok(match pages.open()? {
            Some(file) => Self::File(Arc::new(file)),
            None => Self::Memory(pages.content()?),
        })
    }
}

/// What is gathered for one call.
pub(super) struct Filling {
    buffer: Vec<u8>,
    used: usize,
    wanted: Vec<Wanted>,
    waste: Vec<u8>,
}

/// Bytes of a file, and where in the buffer they go.
struct Wanted {
    key: Key,
    offset: u64,
    at: usize,
    length: usize,
}

/// The same, with its place at hand.
struct Part<'b> {
    key: Key,
    offset: u64,
    into: &'b mut [u8],
}

impl Part<'_> {
    fn end(&self) -> u64 {
        self.offset.saturating_add(self.into.len() as u64)
    }
}

impl Filling {
    pub(super) fn new() -> Self {
        Self { buffer: vec![0; ROOM], used: 0, wanted: Vec::new(), waste: Vec::new() }
    }

    /// Bytes that are gathered, and for how many there is room.
    pub(super) fn used(&self) -> usize {
        self.used
    }

    pub(super) fn room(&self) -> usize {
        self.buffer.len().saturating_sub(self.used)
    }

    /// Asks for bytes of a file, at most as many as there is [room](Self::room) for.
    pub(super) fn want(&mut self, key: Key, offset: u64, length: usize) {
        self.wanted.push(Wanted { key, offset, at: self.used, length });
        self.used = self.used.saturating_add(length);
    }

    /// Takes bytes, as far as there is room. Gives how many.
    pub(super) fn put(&mut self, bytes: &[u8]) -> usize {
        let some = bytes.len().min(self.room());
        let place = self.buffer.get_mut(self.used..self.used.saturating_add(some));
        if let (Some(place), Some(bytes)) = (place, bytes.get(..some)) {
            place.copy_from_slice(bytes);
        }
        self.used = self.used.saturating_add(some);
        some
    }

    /// Reads what was asked for.
    ///
    /// Errors: a file cannot be read, or is shorter than it was.
    pub(super) fn fill(&mut self, files: &HashMap<Key, From>) -> Result<()> {
        let mut parts = Vec::with_capacity(self.wanted.len());
        let (mut rest, mut behind) = (self.buffer.as_mut_slice(), 0usize);
        for wanted in self.wanted.drain(..) {
            let skip = wanted.at.saturating_sub(behind);
            let Some((_, tail)) = rest.split_at_mut_checked(skip) else { break };
            let Some((into, tail)) = tail.split_at_mut_checked(wanted.length) else { break };
            parts.push(Part { key: wanted.key, offset: wanted.offset, into });
            (rest, behind) = (tail, wanted.at.saturating_add(wanted.length));
        }
        parts.sort_unstable_by_key(|part| (part.key, part.offset));
        let mut parts = parts.into_iter().peekable();
        while let Some(first) = parts.next() {
            let (key, offset, mut end) = (first.key, first.offset, first.end());
            let file = match files.get(&key) {
                Some(From::File(file)) => file,
                Some(From::Memory(content)) => {
                    copy(content, first)?;
                    continue;
                }
                None => continue,
            };
            self.waste.resize(WASTE, 0);
            let mut waste = self.waste.as_mut_slice();
            let mut slices = vec![IoSliceMut::new(first.into)];
            // what comes soon behind it in the file is read with the same call
            while let Some(next) = parts.next_if(|next| {
                let gap = next.offset.checked_sub(end);
                next.key == key && gap.is_some_and(|gap| gap <= GAP && gap <= waste.len() as u64)
            }) {
                let gap = usize::try_from(next.offset.saturating_sub(end)).unwrap_or(0);
                if gap > 0
                    && let Some((along, left)) = std::mem::take(&mut waste).split_at_mut_checked(gap)
                {
                    slices.push(IoSliceMut::new(along));
                    waste = left;
                }
                end = next.end();
                slices.push(IoSliceMut::new(next.into));
            }
            read(file, &mut slices, offset)?;
        }
        Ok(())
    }

    /// Gives all that was gathered, the first so many bytes of a buffer; another takes its place.
    pub(super) fn swap(&mut self, buffer: Vec<u8>) -> (Vec<u8>, usize) {
        (std::mem::replace(&mut self.buffer, buffer), std::mem::take(&mut self.used))
    }
}

/// What is in memory only.
fn copy(content: &[u8], part: Part<'_>) -> Result<()> {
    let from = usize::try_from(part.offset).unwrap_or(usize::MAX);
    let bytes = content.get(from..from.saturating_add(part.into.len())).ok_or_else(shorter)?;
    part.into.copy_from_slice(bytes);
    Ok(())
}

fn read(file: &File, mut slices: &mut [IoSliceMut<'_>], mut offset: u64) -> Result<()> {
    while !slices.is_empty() {
        match rustix::io::preadv(file, slices, offset) {
            Ok(0) => return Err(shorter()),
            Ok(some) => {
                offset = offset.saturating_add(some as u64);
                IoSliceMut::advance_slices(&mut slices, some);
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(Error::io("cannot read pages", error)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn each_part_is_where_it_was_asked_for() {
        let content: Vec<u8> = (0..400_000u32).flat_map(|number| number.to_le_bytes()).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&content).unwrap();
        let memory = From::Memory(content.clone().into());
        let files = HashMap::from([((0, 0), From::File(Arc::new(file))), ((1, 0), memory)]);
        let mut filling = Filling::new();
        let mut expected: Vec<u8> = Vec::new();
        // ascending with gaps of all sizes, descending, the same twice, next to each other, and from memory
        let places = [(0, 5), (7, 4096), (20_000, 1), (300_000, 4096), (304_096, 4096), (100, 50), (100, 50), (0, 7)];
        for (number, (offset, length)) in places.into_iter().enumerate() {
            filling.want((number % 3 / 2, 0), offset, length);
            let offset = usize::try_from(offset).unwrap();
            expected.extend(&content[offset..offset + length]);
            assert_eq!(filling.put(b"own"), 3);
            expected.extend(b"own");
        }
        filling.fill(&files).unwrap();
        let (bytes, used) = filling.swap(vec![0; ROOM]);
        assert_eq!(&bytes[..used], expected);
        assert_eq!((filling.used(), filling.room()), (0, ROOM));
        for key in [(0, 0), (1, 0)] {
            filling.want(key, content.len() as u64 - 5, 6);
            assert!(filling.fill(&files).unwrap_err().to_string().contains("shorter"));
            filling.swap(vec![0; ROOM]);
        }
    }
}
