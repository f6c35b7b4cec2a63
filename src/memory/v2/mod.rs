//! Memory of version 2: arrays of runs and blocks of pages, read where they lie in the map.
//!
//! A run says where its pages are by the number of the first one; blocks say where pages are by their numbers. So a
//! lookup is two searches, whoever has the pages: this dump, or one before it.

mod batch;
mod block;
mod blocks;
mod cursor;
mod runs;
mod seal;
mod stretch;

pub(crate) use blocks::{Located, PageBlocks, What};
pub(crate) use cursor::RunCursor;
pub use runs::PageRuns;
pub(crate) use seal::Seal;
pub(crate) use stretch::Stretch;
