//! Pipes and fifos: their ends, and what is in them.

use serde::Serialize;

use crate::base::Name;
use crate::checkpoint::file::Remap;
use crate::object::v1;

/// One end of a pipe; both ends have the same `pipe_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PipeEnd {
    /// The pipe.
    pub pipe_id: u32,
}

/// An open fifo.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Fifo {
    /// The pipe behind it.
    pub pipe_id: u32,
    /// Where it was opened; `None` if the dump lacks that file.
    pub path: Option<Name>,
    /// What is restored in its place, if the path no longer leads to it.
    pub remap: Option<Remap>,
}

/// What is in a pipe or fifo.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PipeData {
    /// Bytes in it.
    pub bytes: u32,
    /// Bytes it can hold, where the dump says so.
    pub size: Option<u32>,
}

impl PipeData {
    pub(crate) fn new(entry: &v1::PipeDataEntry) -> Self {
        Self { bytes: entry.bytes, size: entry.size }
    }
}
