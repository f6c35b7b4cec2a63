//! The sparse offset index of a framed image: built by one walk over the size words, every 64th offset is kept.

use crate::base::Error;

/// Every how many entries an offset is kept. 64 costs an eighth of a byte an entry and 63 hops at most for `get`.
pub(crate) const STRIDE: usize = 64;

/// Where entries begin. Offsets only, never references.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// Offset of the size word of entries 0, 64, 128...
    pub(crate) starts: Vec<usize>,
    /// Sound entries.
    pub(crate) len: usize,
    /// Where the last sound entry (with its payload) ends.
    pub(crate) end: usize,
    /// Why the walk ended before the end of the file.
    pub(crate) fault: Option<Error>,
}
