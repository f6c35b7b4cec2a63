//! The two headers, and what stands last in a bundle.

use zerocopy::{FromBytes, IntoBytes};

use crate::wire::v2::crc::crc32c;
use crate::wire::v2::fixed::fixed_message;
use crate::wire::v2::{Broken, Problem, types};

/// `CRIU`: the first field of a file, whose bytes begin 0d 43 52 49 55.
pub const MAGIC: u32 = u32::from_le_bytes(*b"CRIU");
/// The version of the format.
pub const VERSION: u32 = 2;
/// `flags` of an image: it goes on in this section.
pub const CONTINUES: u32 = 1;
/// `flags` that must be understood, and none is defined.
pub const MUST_FLAGS: u32 = 0xffff_0000;
/// The first byte of an [`ImageHeader`].
pub const IMAGE_TAG: u8 = 0x0d;
/// The first byte of an [`ObjectHeader`].
pub const OBJECT_TAG: u8 = 0x5d;

fixed_message! {
    /// What begins a section of an image.
    ImageHeader[48] {
        /// [`MAGIC`].
        magic = 1: Fixed32 u32,
        /// [`VERSION`].
        version = 2: Fixed32 u32,
        /// The registry's number of its kind.
        kind = 3: Fixed32 u32,
        /// [`CONTINUES`]; the upper half must be understood.
        flags = 4: Fixed32 u32,
        /// Which process, which namespace...
        id = 5: Fixed64 u64,
        /// The same number in every image of one checkpoint.
        dump = 6: Fixed64 u64,
        /// Revision of the messages, for people.
        schema = 7: Fixed32 u32,
        /// CRC-32C of the 44 bytes before it.
        checksum = 8: Fixed32 u32,
    }
}

fixed_message! {
    /// What begins a record.
    ObjectHeader[24] {
        /// What follows: a number of [`types`].
        object_type = 11: Fixed32 u32,
        /// How many objects.
        count = 12: Fixed32 u32,
        /// Bytes of payload that follow.
        size = 13: Fixed64 u64,
        /// CRC-32C of the 20 bytes before it and the payload; of a block of pages up to its data, of a STOP see there.
        checksum = 14: Fixed32 u32,
    }
}

fixed_message! {
    /// The payload of the record that ends a bundle.
    End[32] {
        /// Offset of the directory's [`ImageHeader`]; 0: there is none.
        directory = 1: Fixed64 u64,
        /// From the first byte of the file to the last of this.
        length = 2: Fixed64 u64,
        /// Offset of the END before; 0: there is none.
        previous = 3: Fixed64 u64,
        /// Images that are complete since the END before, the directory included.
        images = 4: Fixed32 u32,
    }
}

/// Bytes of an END with its header.
pub const END: usize = size_of::<ObjectHeader>() + size_of::<End>();

impl ImageHeader {
    /// A header with its checksum.
    #[must_use]
    pub fn of(kind: u32, flags: u32, id: u64, dump: u64) -> Self {
        let this = Self::new(MAGIC, VERSION, kind, flags, id, dump, SCHEMA, 0);
        let checksum = this.computed();
        Self::new(MAGIC, VERSION, kind, flags, id, dump, SCHEMA, checksum)
    }

    /// The header at the start of `bytes`, checked.
    ///
    /// Errors: it is cut, none, of another version, or its checksum is another. The offset is 0.
    pub fn read(bytes: &[u8]) -> Result<&Self, Broken> {
        let wrong = |problem| Broken { offset: 0, problem };
        let Ok((this, _)) = Self::ref_from_prefix(bytes) else {
            return Err(wrong(Problem::Cut { needed: size_of::<Self>() as u64, found: bytes.len() as u64 }));
        };
        if !this.has_tags() || this.magic() != MAGIC {
            return Err(wrong(Problem::NoHeader));
        }
        let (stored, computed) = (this.checksum(), this.computed());
        if stored != computed {
            return Err(wrong(Problem::Checksum { stored, computed }));
        }
        if this.version() != VERSION {
            return Err(wrong(Problem::Version { found: this.version() }));
        }
        Ok(this)
    }

    /// The checksum that it should have.
    #[must_use]
    pub fn computed(&self) -> u32 {
        let bytes = self.as_bytes();
        crc32c(0, bytes.get(..bytes.len().saturating_sub(4)).unwrap_or_default())
    }
}

/// Revision of the messages that this library writes.
pub const SCHEMA: u32 = 1;

impl ObjectHeader {
    /// A header with its checksum; `payload` is what the checksum is of besides the header.
    #[must_use]
    pub fn of(object_type: u32, count: u32, size: u64, payload: &[u8]) -> Self {
        let this = Self::new(object_type, count, size, 0);
        Self::new(object_type, count, size, crc32c(crc32c(0, this.head()), payload))
    }

    /// A STOP: its checksum is that of `headers`, those of its image before it, and its own first bytes.
    #[must_use]
    pub fn stop(count: u32, headers: u32) -> Self {
        let this = Self::new(types::STOP, count, 0, 0);
        Self::new(types::STOP, count, 0, crc32c(headers, this.head()))
    }

    /// The bytes that its checksum is of: all but the last four.
    #[must_use]
    pub fn head(&self) -> &[u8] {
        let bytes = self.as_bytes();
        bytes.get(..bytes.len().saturating_sub(4)).unwrap_or_default()
    }

    /// The header at the start of `bytes`. Only its tags are checked: the checksum is that of the payload too.
    ///
    /// Errors: it is cut or none. The offset is 0.
    pub fn read(bytes: &[u8]) -> Result<&Self, Broken> {
        let wrong = |problem| Broken { offset: 0, problem };
        let Ok((this, _)) = Self::ref_from_prefix(bytes) else {
            return Err(wrong(Problem::Cut { needed: size_of::<Self>() as u64, found: bytes.len() as u64 }));
        };
        if this.has_tags() { Ok(this) } else { Err(wrong(Problem::NoHeader)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_headers() {
        let image = ImageHeader::of(3, 0, 17, 0x0102_0304_0506_0708);
        assert_eq!(image.as_bytes()[..12], [0x0d, 0x43, 0x52, 0x49, 0x55, 0x15, 2, 0, 0, 0, 0x1d, 3]);
        let tags: Vec<u8> = [0, 5, 10, 15, 20, 29, 38, 43].map(|at: usize| image.as_bytes()[at]).to_vec();
        assert_eq!(tags, [0x0d, 0x15, 0x1d, 0x25, 0x29, 0x31, 0x3d, 0x45]);
        assert_eq!(ImageHeader::read(image.as_bytes()), Ok(&image));
        let object = ObjectHeader::of(80, 1, 3, b"abc");
        let tags: Vec<u8> = [0, 5, 10, 19].map(|at: usize| object.as_bytes()[at]).to_vec();
        assert_eq!(tags, [0x5d, 0x65, 0x69, 0x75]);
    }

    #[test]
    fn each_flipped_bit_is_found() {
        let image = ImageHeader::of(3, 0, 17, 9);
        for bit in 0..48 * 8 {
            let mut bytes = image.as_bytes().to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(ImageHeader::read(&bytes).is_err(), "{bit}");
        }
    }
}
