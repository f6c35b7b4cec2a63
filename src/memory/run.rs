//! What a lookup and an iteration give: runs of pages with their content, as slices of the map.

use std::ops::Range;
use std::sync::Arc;

use crate::base::{Error, Name, Result};
use crate::memory::codec;
use crate::memory::missing::Missing;
use crate::memory::v2::Seal;
use crate::wire::v2::Codec;

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
    /// Which of the files with pages of that dump; version 1 has one.
    pub(crate) part: usize,
    pub(crate) offset: u64,
    pub(crate) data: Data<'a>,
    /// What has to be compared with its checksum before bytes are handed out.
    pub(crate) seal: Option<Seal<'a>>,
    /// What errors call the pages file.
    pub(crate) file: &'a str,
}

#[derive(Clone, Debug)]
pub(crate) enum Data<'a> {
    Map(&'a [u8]),
    /// In a box: a run is smaller so, and most are no blocks.
    Block(Box<Packed<'a>>),
}

/// A part of a compressed block.
#[derive(Clone, Debug)]
pub(crate) struct Packed<'a> {
    /// How it is packed.
    pub(crate) codec: Codec,
    /// The block as it is stored.
    pub(crate) bytes: &'a [u8],
    /// How many bytes it unpacks to.
    pub(crate) length: usize,
    /// Which of these are meant.
    pub(crate) part: Range<usize>,
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

    /// The bytes where they are in the map as they are; `None` if they have to be unpacked, or are not what their
    /// checksum says: [`bytes`](Self::bytes) tells.
    #[inline]
    pub fn map(&self) -> Option<&'a [u8]> {
        match self.data {
            Data::Map(bytes) if self.check().is_ok() => Some(bytes),
            _ => None,
        }
    }

    /// Whether the bytes are in the file as they are, and need not be unpacked.
    #[inline]
    pub fn is_plain(&self) -> bool {
        matches!(self.data, Data::Map(_))
    }

    /// Compares the stored bytes with their checksum, where they have one and nobody has yet.
    ///
    /// Errors: it is another.
    #[inline]
    pub fn check(&self) -> Result<()> {
        self.seal.as_ref().map_or(Ok(()), Seal::check)
    }

    /// The bytes; `scratch` holds them if they have to be unpacked.
    ///
    /// Errors: the block is broken, or a checksum is another.
    pub fn bytes<'s>(&self, scratch: &'s mut Vec<u8>) -> Result<&'s [u8]>
    where
        'a: 's,
    {
        match &self.data {
            Data::Map(bytes) => {
                self.check()?;
                Ok(bytes)
            }
            Data::Block(packed) => {
                scratch.resize(packed.length, 0);
                self.unpack(packed, scratch)?;
                Ok(scratch.get(packed.part.clone()).unwrap_or_default())
            }
        }
    }

    /// Where they have to be unpacked: the block they are in.
    pub(crate) fn packed(&self) -> Option<&Packed<'a>> {
        match &self.data {
            Data::Map(_) => None,
            Data::Block(packed) => Some(packed),
        }
    }

    /// Fills `into`, which is as long as [`len`](Self::len) says; a whole block is unpacked straight there, and for a
    /// part of one `scratch` holds the rest.
    ///
    /// Errors: the block is broken, or a checksum is another.
    pub fn read_into(&self, into: &mut [u8], scratch: &mut Vec<u8>) -> Result<()> {
        match &self.data {
            Data::Block(packed) if packed.length == into.len() && packed.part.len() == packed.length => {
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

    /// How far the bytes `from` bytes behind the first on are all right, at most up to `to`; or how far they are not,
    /// and why. What has to be unpacked is not looked at.
    pub(crate) fn sound(&self, from: usize, to: usize) -> (usize, Result<()>) {
        let (Some(seal), Data::Map(_)) = (&self.seal, &self.data) else { return (to, Ok(())) };
        let offset = |behind: usize| self.offset.saturating_add(behind as u64);
        let (end, result) = seal.sound(offset(from), offset(to));
        (usize::try_from(end.saturating_sub(self.offset)).unwrap_or(to).min(to), result)
    }

    /// Whether both are parts of one block, in one address space.
    pub(crate) fn shares_block(&self, other: &Stored<'_>) -> bool {
        let is_block = self.packed().is_some() && other.packed().is_some();
        let place = |stored: &Stored<'_>| (stored.level, stored.part, stored.offset);
        is_block && place(self) == place(other) && std::ptr::eq(self.file, other.file)
    }

    pub(crate) fn unpack(&self, packed: &Packed<'_>, into: &mut [u8]) -> Result<()> {
        self.check()?;
        codec::unpack(packed.codec, packed.bytes, into)
            .map_err(|what| Error::format(what).at_offset(self.offset).in_image(self.file))
    }

    /// How many bytes they are.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        match &self.data {
            Data::Map(bytes) => bytes.len(),
            Data::Block(packed) => packed.part.len(),
        }
    }

    /// A part of them.
    pub(crate) fn part(&self, part: Range<usize>) -> Stored<'a> {
        let mut this = self.clone();
        match &mut this.data {
            Data::Map(bytes) => {
                *bytes = bytes.get(part.clone()).unwrap_or_default();
                this.offset = this.offset.saturating_add(part.start as u64);
                this.seal = this.seal.map(|seal| seal.part(this.offset, bytes.len() as u64));
            }
            Data::Block(packed) => {
                let all = &mut packed.part;
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

    /// Compares its stored bytes with their checksums, where they have some and nobody has yet.
    ///
    /// Errors: one is another.
    pub fn check(&self) -> Result<()> {
        match &self.content {
            Content::Stored(stored) => stored.check(),
            _ => Ok(()),
        }
    }

    /// The run in parts: those whose checksums are right, and between them what is broken; none that has checksums over
    /// the end of a piece. What has to be unpacked is not looked at.
    pub(crate) fn sound(self) -> impl Iterator<Item = Run<'a>> {
        self.sound_if(true)
    }

    /// The same, or the run as it is.
    pub(crate) fn sound_if(self, checked: bool) -> impl Iterator<Item = Run<'a>> {
        let mut at = self.start;
        std::iter::from_fn(move || {
            let rest = self.within(at..self.end)?;
            if !checked {
                at = self.end;
                return Some(rest);
            }
            let Content::Stored(stored) = &rest.content else {
                at = self.end;
                return Some(rest);
            };
            // what is compared with its checksum is used next, while the processor's cache has it
            let most = if stored.seal.is_some() && stored.is_plain() { PIECE - rest.start % PIECE } else { u64::MAX };
            let most = usize::try_from(most).unwrap_or(usize::MAX).min(stored.len());
            let (length, result) = stored.sound(0, most);
            let end = rest.start.saturating_add((length as u64).max(1)).min(rest.end);
            at = end;
            match result {
                Ok(()) => rest.within(rest.start..end),
                Err(error) => Some(Run { start: rest.start, end, content: Content::Missing(Missing::Broken(error)) }),
            }
        })
    }

    /// The same run at other addresses.
    pub(crate) fn moved(mut self, from: u64, to: u64) -> Self {
        self.start = self.start.wrapping_sub(from).wrapping_add(to);
        self.end = self.end.wrapping_sub(from).wrapping_add(to);
        self
    }
}

/// Bytes that are compared with their checksums before any of them is handed out.
const PIECE: u64 = 1 << 20;

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
