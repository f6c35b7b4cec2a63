//! Small objects, which travel in lists: `message List { repeated T item = 1; }`.

use std::io::Write;

use crate::base::Result;
use crate::source::bundle::Writer;
use crate::wire::varint;

/// A record is ended when it has so many bytes: 64 KiB. So headers are a sparse index, and what is worked on at once.
pub const LIST: usize = 64 << 10;

/// The key of the only field of a list.
const ITEM_TAG: u8 = 0x0a;

/// Collects objects of one type and writes them as lists. What it holds is written by [`flush`](Self::flush).
#[derive(Debug)]
pub struct Lists {
    object_type: u32,
    count: u32,
    payload: Vec<u8>,
}

impl Lists {
    /// Lists of objects of this type.
    #[must_use]
    pub fn new(object_type: u32) -> Self {
        Self { object_type, count: 0, payload: Vec::new() }
    }

    /// Adds an object; writes a record when it has become long enough.
    ///
    /// Errors: as [`Writer::record`].
    pub fn push<W: Write>(&mut self, writer: &mut Writer<W>, object: &[u8]) -> Result<()> {
        let length = object.len() as u64;
        let item = varint::length(length).saturating_add(1).saturating_add(object.len());
        if !self.payload.is_empty() && self.payload.len().saturating_add(item) > LIST {
            self.flush(writer)?;
        }
        self.payload.push(ITEM_TAG);
        varint::write(&mut self.payload, length);
        self.payload.extend_from_slice(object);
        self.count = self.count.saturating_add(1);
        Ok(())
    }

    /// Objects of another type come next: writes those that were added, if any.
    ///
    /// Errors: as [`Writer::record`].
    pub fn turn_to<W: Write>(&mut self, writer: &mut Writer<W>, object_type: u32) -> Result<()> {
        if self.object_type != object_type {
            self.flush(writer)?;
            self.object_type = object_type;
        }
        Ok(())
    }

    /// Writes the objects that were added, if any.
    ///
    /// Errors: as [`Writer::record`].
    pub fn flush<W: Write>(&mut self, writer: &mut Writer<W>) -> Result<()> {
        if self.count == 0 {
            return Ok(());
        }
        writer.record(self.object_type, self.count, &self.payload)?;
        self.payload.clear();
        self.count = 0;
        Ok(())
    }
}
