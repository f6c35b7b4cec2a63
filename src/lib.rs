//! icecore reads CRIU checkpoint images zero-copy from memory maps.
#![cfg_attr(test, allow(clippy::cast_possible_truncation, clippy::arithmetic_side_effects))]

pub mod base;
pub mod checkpoint;
pub mod image;
pub mod memory;
pub mod object;
pub mod source;
pub mod wire;

pub use base::{Error, ErrorKind, Limits, Result};
pub use checkpoint::Checkpoint;
pub use image::{Entry, Image, Kind};
pub use object::v1;
