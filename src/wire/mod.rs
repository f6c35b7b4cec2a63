//! Bytes as they are on the wire, without I/O and without a schema: varints, fields, the words of a V1 image.
//!
//! Everything is checked against the slice it is given; errors say at which offset of that slice.
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

pub mod field;
pub mod v1;
pub mod v2;
pub mod varint;

use std::fmt;

/// What is wrong, and at which offset of the slice that was read. Small and `Copy`: it costs nothing until printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireError {
    /// Offset of the offending value in the slice, in bytes.
    pub offset: usize,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What can be wrong with bytes on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// A varint goes on behind the end.
    VarintCut,
    /// A varint has more than ten bytes.
    VarintEndless,
    /// A field number of zero or above 2^29 - 1.
    FieldNumber(u64),
    /// A wire type that no V1 message uses (groups, 6, 7).
    WireType(u8),
    /// A value should have this many bytes and the end comes before.
    ValueCut {
        /// Bytes that the value should have.
        needed: u64,
        /// Bytes that are there.
        found: u64,
    },
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problem {
            Problem::VarintCut => write!(f, "expected the rest of a varint, found the end"),
            Problem::VarintEndless => write!(f, "expected a varint of at most 10 bytes, found a longer one"),
            Problem::FieldNumber(number) => {
                write!(f, "expected a field number from 1 to 536870911, found {number}")
            }
            Problem::WireType(wire) => write!(f, "expected wire type 0, 1, 2 or 5, found {wire}"),
            Problem::ValueCut { needed, found } => {
                write!(f, "expected a value of {needed} bytes, found {found}")
            }
        }
    }
}
