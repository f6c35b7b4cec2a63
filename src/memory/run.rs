//! What a lookup and an iteration give: runs of pages with their content, as slices of the map.

use std::ops::Range;
use std::sync::Arc;

use crate::base::{Error, Name, Result};
use crate::memory::lz4;
use crate::memory::missing::Missing;

/// Consecutive addresses with one source.
#[derive(Clone, Debug)]
pub struct Run<'a> {
    /// First address; in a segment, the offset.
    pub start: u64,
    /// The address behind the last.
    pub end: u64,
    /// What is there.
    pub content: Content<'a>,
}

/// What is at an address that is mapped.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Content<'a> {
    /// Bytes, in the dump or in one before it.
    Stored(Stored<'a>),
    /// Zeros: a page that was never touched, or one stored as nothing.
    Zero,
    /// What the file that is mapped has there; the dump does not.
    File {
        /// The file; `None` if the dump lacks its path.
        name: Option<&'a Name>,
        /// Offset in the file, in bytes.
        offset: u64,
    },
    /// Nothing, and it is not known what was there.
    Missing(Missing),
}

/// Stored bytes: a slice of the map, or a part of a compressed block.
#[derive(Clone, Debug)]
pub struct Stored<'a> {
    pub(crate) level: usize,
    pub(crate) offset: u64,
    pub(crate) data: Data<'a>,
    /// What errors call the pages file.
    pub(crate) file: &'a str,
}

#[derive(Clone, Debug)]
pub(crate) enum Data<'a> {
    Map(&'a [u8]),
    /// The block, the length of what it unpacks to, and which part of that is meant.
    Block(&'a [u8], usize, Range<usize>),
}

impl<'a> Stored<'a> {
    /// How many links to parents lead to the dump that has the bytes: 0 for the dump itself.
    pub fn level(&self) -> usize {
        self.level
    }

    /// Offset in that dump's pages file, in bytes; of a compressed block, where it begins.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The bytes where they are in the map as they are; `None` if they have to be unpacked.
    #[inline]
    pub fn map(&self) -> Option<&'a [u8]> {
        match self.data {
            Data::Map(bytes) => Some(bytes),
            Data::Block(..) => None,
        }
    }

    /// The bytes; `scratch` holds them if they have to be unpacked.
    ///
    /// Errors: the block is broken.
    pub fn bytes<'s>(&self, scratch: &'s mut Vec<u8>) -> Result<&'s [u8]>
    where
        'a: 's,
    {
        match &self.data {
            Data::Map(bytes) => Ok(bytes),
            Data::Block(packed, length, part) => {
                scratch.resize(*length, 0);
                self.unpack(packed, scratch)?;
                Ok(scratch.get(part.clone()).unwrap_or_default())
            }
        }
    }

    /// Where they have to be unpacked: the block, how many bytes it unpacks to, and which of those are meant.
    pub(crate) fn packed(&self) -> Option<(&'a [u8], usize, Range<usize>)> {
        match &self.data {
            Data::Map(_) => None,
            Data::Block(packed, length, part) => Some((packed, *length, part.clone())),
        }
    }

    /// Fills `into`, which is as long as [`len`](Self::len) says; a whole block is unpacked straight there, and for a
    /// part of one `scratch` holds the rest.
    ///
    /// Errors: the block is broken.
    pub fn read_into(&self, into: &mut [u8], scratch: &mut Vec<u8>) -> Result<()> {
        match &self.data {
            Data::Block(packed, length, part) if *length == into.len() && part.len() == *length => {
                self.unpack(packed, into)
            }
            _ => {
                let bytes = self.bytes(scratch)?;
                match bytes.get(..into.len()) {
                    Some(bytes) => into.copy_from_slice(bytes),
                    None => return Err(Error::usage(format!("expected room for {} bytes", bytes.len()))),
                }
                Ok(())
            }
        }
    }

    /// Whether both are parts of one block, in one address space.
    pub(crate) fn shares_block(&self, other: &Stored<'_>) -> bool {
        let is_block = self.packed().is_some() && other.packed().is_some();
        is_block && (self.level, self.offset) == (other.level, other.offset) && std::ptr::eq(self.file, other.file)
    }

    pub(crate) fn unpack(&self, packed: &[u8], into: &mut [u8]) -> Result<()> {
        lz4::unpack(packed, into).map_err(|what| Error::format(what).at_offset(self.offset).in_image(self.file))
    }

    /// How many bytes they are.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        match &self.data {
            Data::Map(bytes) => bytes.len(),
            Data::Block(_, _, part) => part.len(),
        }
    }

    fn part(&self, part: Range<usize>) -> Stored<'a> {
        let mut this = self.clone();
        match &mut this.data {
            Data::Map(bytes) => {
                *bytes = bytes.get(part.clone()).unwrap_or_default();
                this.offset = this.offset.saturating_add(part.start as u64);
            }
            Data::Block(_, _, all) => {
                *all = all.start.saturating_add(part.start)..all.start.saturating_add(part.end).min(all.end);
            }
        }
        this
    }
}

impl<'a> Run<'a> {
    /// Its bytes.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// The part of it that lies in `range`; `None` if none does.
    #[must_use]
    pub fn within(&self, range: Range<u64>) -> Option<Run<'a>> {
        let (start, end) = (self.start.max(range.start), self.end.min(range.end));
        if start >= end {
            return None;
        }
        if (start, end) == (self.start, self.end) {
            return Some(self.clone());
        }
        let behind = start.saturating_sub(self.start);
        let content = match &self.content {
            Content::Stored(stored) => {
                let from = usize::try_from(behind).ok()?;
                let to = usize::try_from(end.saturating_sub(self.start)).ok()?;
                Content::Stored(stored.part(from..to))
            }
            Content::File { name, offset } => Content::File { name: *name, offset: offset.saturating_add(behind) },
            other => other.clone(),
        };
        Some(Run { start, end, content })
    }

    /// The same run at other addresses.
    pub(crate) fn moved(mut self, from: u64, to: u64) -> Self {
        self.start = self.start.wrapping_sub(from).wrapping_add(to);
        self.end = self.end.wrapping_sub(from).wrapping_add(to);
        self
    }
}

/// The bytes of one page.
#[derive(Clone, Debug)]
pub enum PageBytes<'a> {
    /// A slice of the map.
    Map(&'a [u8]),
    /// A part of an unpacked block, which others that look may share.
    Block(Arc<[u8]>, Range<usize>),
    /// Zeros, this many.
    Zero(usize),
}

/// As many zeros as the largest page has bytes.
static ZEROS: [u8; 1 << 16] = [0; 1 << 16];

impl PageBytes<'_> {
    /// The bytes.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Self::Map(bytes) => bytes,
            Self::Block(block, part) => block.get(part.clone()).unwrap_or_default(),
            Self::Zero(length) => ZEROS.get(..*length).unwrap_or(&ZEROS),
        }
    }
}

impl std::ops::Deref for PageBytes<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

/// What is at one page. One of the five states of an address.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Page<'a> {
    /// The dump, or one before it, has it.
    Stored(PageBytes<'a>),
    /// The kernel gives zeros: it was never touched.
    Zero,
    /// What the file that is mapped has there.
    File {
        /// The file; `None` if the dump lacks its path.
        name: Option<&'a Name>,
        /// Offset of the page in the file, in bytes.
        offset: u64,
    },
    /// It is not known what was there.
    Missing(Missing),
    /// Nothing is mapped there.
    Unmapped,
}
