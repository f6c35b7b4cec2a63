//! One image without its messages: what kind it is, where its entries are, what follows them.
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod entry;
mod index;
pub mod kinds;
mod par;
pub mod payload;
pub mod v1;
mod walk;

pub use entry::{Entries, Entry};
pub(crate) use index::STRIDE;
pub use kinds::{FirstWord, KINDS, Kind, Shape, Status};
pub use par::ParEntries;
pub use v1::Image;
