//! Walking over the headers of version 2 in a slice, and checking records.

use crate::wire::v2::block::{self, PageBlock};
use crate::wire::v2::crc::crc32c;
use crate::wire::v2::header::{IMAGE_TAG, OBJECT_TAG};
use crate::wire::v2::{Broken, End, ImageHeader, ObjectHeader, Problem, types};

/// A header and its payload.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Offset of its header in the slice, in bytes.
    pub offset: usize,
    /// The header.
    pub header: &'a ObjectHeader,
    /// The payload.
    pub payload: &'a [u8],
}

/// What stands at an offset.
#[derive(Clone, Copy, Debug)]
pub enum Item<'a> {
    /// A section of an image begins.
    Image(usize, &'a ImageHeader),
    /// A record.
    Record(Record<'a>),
}

impl<'a> Record<'a> {
    /// The record at an offset of `bytes`. Its checksum is not looked at.
    ///
    /// Errors: there is none, it is cut, or longer than its type may be.
    pub fn read(bytes: &'a [u8], offset: usize) -> Result<Self, Broken> {
        let rest = bytes.get(offset..).unwrap_or_default();
        let header = ObjectHeader::read(rest).map_err(|broken| broken.at(offset))?;
        let most = match header.object_type() {
            types::PAGE_BLOCK => types::BLOCK_DATA.saturating_add(types::PAYLOAD),
            _ => types::PAYLOAD,
        };
        if header.size() > most {
            return Err(Broken { offset, problem: Problem::TooLong(header.size()) });
        }
        Self { offset, header, payload: &[] }.check_size()?;
        let body = rest.get(size_of::<ObjectHeader>()..).unwrap_or_default();
        let payload = usize::try_from(header.size()).ok().and_then(|size| body.get(..size));
        let Some(payload) = payload else {
            let problem = Problem::Cut { needed: header.size(), found: body.len() as u64 };
            return Err(Broken { offset, problem });
        };
        Ok(Self { offset, header, payload })
    }

    /// Whether its header says a size that its type may have.
    ///
    /// Errors: it is another.
    pub fn check_size(&self) -> Result<(), Broken> {
        let expected = match self.header.object_type() {
            types::START | types::STOP => 0,
            types::END => size_of::<End>() as u64,
            _ => return Ok(()),
        };
        let (offset, found) = (self.offset, self.header.size());
        if expected == found { Ok(()) } else { Err(Broken { offset, problem: Problem::Size { expected, found } }) }
    }

    /// Where the record behind it begins, in the slice.
    #[must_use]
    pub fn end(&self) -> usize {
        self.offset.saturating_add(size_of::<ObjectHeader>()).saturating_add(self.payload.len())
    }

    /// Compares its checksum with that of its bytes; of a block of pages those before the data. That of a STOP is of
    /// its image's headers: who walks the image compares it.
    ///
    /// Errors: they differ; or the block is made otherwise.
    pub fn check(&self) -> Result<(), Broken> {
        let computed = match self.header.object_type() {
            types::STOP => return Ok(()),
            types::PAGE_BLOCK => {
                let payload = self.offset.saturating_add(size_of::<ObjectHeader>());
                let block = PageBlock::read(self.payload).map_err(|broken| broken.at(payload))?;
                block::checksum(self.header, self.payload, block.data_at)
            }
            _ => crc32c(crc32c(0, self.header.head()), self.payload),
        };
        let stored = self.header.checksum();
        if stored == computed {
            return Ok(());
        }
        Err(Broken { offset: self.offset, problem: Problem::Checksum { stored, computed } })
    }
}

impl Broken {
    /// The same, `base` bytes further on.
    #[must_use]
    pub fn at(self, base: usize) -> Self {
        Self { offset: self.offset.saturating_add(base), ..self }
    }
}

/// Walks from header to header; payloads are not read. Ends behind the first error.
#[derive(Clone, Copy, Debug)]
pub struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Walk<'a> {
    /// A walk that begins at an offset of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    /// Where it is.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.at
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = Result<Item<'a>, Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        let at = self.at;
        let item = match *self.bytes.get(at)? {
            IMAGE_TAG => {
                let header = ImageHeader::read(self.bytes.get(at..).unwrap_or_default());
                header.map(|header| Item::Image(at, header)).map_err(|broken| broken.at(at))
            }
            OBJECT_TAG => Record::read(self.bytes, at).map(Item::Record),
            _ => Err(Broken { offset: at, problem: Problem::NoHeader }),
        };
        self.at = match &item {
            Ok(Item::Image(..)) => at.saturating_add(size_of::<ImageHeader>()),
            Ok(Item::Record(record)) => record.end(),
            Err(_) => self.bytes.len(),
        };
        Some(item)
    }
}
