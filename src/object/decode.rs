//! Entries as structs: checked first, then decoded by prost, with bytes and strings as slices of the map.

use std::sync::Arc;

use crate::base::{Error, Result};
use crate::image::Entry;
use crate::object::check::{self, Broken};
use crate::object::schema::{Message, Typed};

/// A struct that an entry can be decoded to: all of [`v1`](crate::object::v1).
pub trait Object: prost::Message + Typed + Default {}

impl<T: prost::Message + Typed + Default> Object for T {}

impl Entry<'_> {
    /// The schema of its message.
    ///
    /// Errors: images of this kind have no messages.
    pub fn schema(&self) -> Result<&'static Message> {
        let name = self.message_name();
        Message::by_name(name).ok_or_else(|| {
            Error::usage(format!("{} images have no messages", self.image().kind().name()))
                .in_image(self.image().name())
        })
    }

    /// Decodes the message. Unknown fields are left out of the struct; strings and bytes share the map.
    ///
    /// ```
    /// use icecore::{Image, v1::FsEntry};
    /// # let bytes = [0x19, 0x43, 0x56, 0x54, 0x12, 0x39, 0x40, 0x51, 6, 0, 0, 0, 8, 16, 16, 17, 24, 18];
    /// # let image = Image::open("fs-1.img", bytes.to_vec().into(), Default::default())?;
    /// let fs = image.get(0)?.decode::<FsEntry>()?;
    /// assert_eq!(fs.umask, Some(0o22));
    /// # Ok::<(), icecore::Error>(())
    /// ```
    ///
    /// Errors: the message is broken, lacks a required field, is nested deeper or larger than the limits allow, or
    /// is not a `T`.
    pub fn decode<T: Object>(&self) -> Result<T> {
        let schema = self.schema()?;
        if !std::ptr::eq(schema, T::schema()) {
            return Err(self
                .locate(Error::usage(format!("the entry is a {}, asked for a {}", schema.name, T::schema().name)), 0));
        }
        self.check()?;
        T::decode(self.message_bytes()).map_err(|error| self.locate(Error::format(error.to_string()), 0))
    }

    /// Checks the message against its schema: every wire type, every required field, the limits. Allocates nothing.
    pub fn check(&self) -> Result<()> {
        check::check(self.schema()?, self.message(), self.image().limits()).map_err(|broken| self.broken(broken))
    }

    /// Checks the messages in a System V queue's payload against theirs; of other kinds there are none.
    ///
    /// Errors: as [`check`](Self::check).
    pub fn check_records(&self) -> Result<()> {
        for record in self.records() {
            let record = record?;
            // both are slices of the one image
            let at = record.message.as_ptr().addr().wrapping_sub(self.message().as_ptr().addr());
            check::check(crate::object::v1::IpcMsg::schema(), record.message, self.image().limits())
                .map_err(|broken| self.locate(broken.error, at.wrapping_add(broken.offset)))?;
        }
        Ok(())
    }

    #[cold]
    pub(crate) fn broken(&self, broken: Broken) -> Error {
        self.locate(broken.error, broken.offset)
    }
}

/// Decodes a message that is not in an image, such as the one inside a System V queue's record.
///
/// Errors: as [`Entry::decode`].
pub fn message<T: Object>(bytes: bytes::Bytes, limits: &crate::Limits, name: &str) -> Result<T> {
    let named = |error: Error| error.in_image(Arc::<str>::from(name));
    check::check(T::schema(), &bytes, limits).map_err(|broken| named(broken.error.at_offset(broken.offset as u64)))?;
    T::decode(bytes).map_err(|error| named(Error::format(error.to_string())))
}
