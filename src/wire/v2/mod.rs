//! Version 2 on the wire: headers and arrays as structs that lie over the bytes, checksums, walking over records.
//!
//! Every byte belongs to a protobuf message of `proto/v2/`. Headers and the elements of arrays have only fixed fields,
//! all of them, once, in the order of their numbers: so they have one form, one size, and need no decoding. What has
//! another form is refused; a protobuf decoder would accept it and then find the next header elsewhere.

pub mod array;
pub mod blob;
pub mod block;
pub mod crc;
pub mod fixed;
pub mod header;
pub mod record;
pub mod types;

use std::fmt;

pub use array::{BlockRow, DirectoryRow, PageRun};
pub use blob::Blob;
pub use block::{Codec, PageBlock};
pub use header::{End, ImageHeader, ObjectHeader};
pub use record::{Item, Record, Walk};

/// What is wrong with bytes of version 2, and at which offset of the slice that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Offset in the slice, in bytes.
    pub offset: usize,
    /// What is wrong there.
    pub problem: Problem,
}

/// What can be wrong with bytes of version 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// There is no header: its tags are others.
    NoHeader,
    /// The end comes within a header or a payload.
    Cut {
        /// Bytes that there should be.
        needed: u64,
        /// Bytes that are there.
        found: u64,
    },
    /// The magic, or the version, is another.
    Version {
        /// What stands there.
        found: u32,
    },
    /// The checksum is another.
    Checksum {
        /// What stands there.
        stored: u32,
        /// That of the bytes.
        computed: u32,
    },
    /// A payload is longer than its type may be.
    TooLong(u64),
    /// A payload has not the size that its type has.
    Size {
        /// Bytes that there should be.
        expected: u64,
        /// Bytes that it says.
        found: u64,
    },
    /// The elements of an array do not fill it, or are too short.
    Stride {
        /// Bytes of the array.
        size: u64,
        /// Elements that it says.
        count: u32,
    },
    /// The tags of an element of an array are others.
    Element,
    /// Elements of an array do not ascend.
    Order,
    /// A block of pages is not made as it should be.
    Block(&'static str),
    /// A BLOB is not made as it should be.
    Blob(&'static str),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problem {
            Problem::NoHeader => write!(f, "expected a header of version 2, found other bytes"),
            Problem::Cut { needed, found } => write!(f, "expected {needed} bytes, found {found}"),
            Problem::Version { found } => write!(f, "expected version 2 of the format, found {found}"),
            Problem::Checksum { stored, computed } => {
                write!(f, "expected the checksum {computed:#010x} of these bytes, found {stored:#010x}")
            }
            Problem::TooLong(size) => write!(f, "expected a payload that its type may have, found {size} bytes"),
            Problem::Size { expected, found } => write!(f, "expected a payload of {expected} bytes, found {found}"),
            Problem::Stride { size, count } => {
                write!(f, "expected elements of one size that fill {size} bytes, found {count}")
            }
            Problem::Element => write!(f, "expected an element of an array, found other tags"),
            Problem::Order => write!(f, "expected elements that ascend, found others"),
            Problem::Block(what) => write!(f, "expected a block of pages, found one with {what}"),
            Problem::Blob(what) => write!(f, "expected a piece of raw bytes, found one with {what}"),
        }
    }
}
