//! How the work is cut.

/// How the work is cut. What is found does not depend on it, except for matches of more than 32 KiB of expressions
/// without an upper bound; speed and memory do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grain {
    /// Bytes that a core searches at a time.
    pub part: u64,
    /// Bytes that are put together at a time, where runs are shorter than [`short`](Self::short): what fits the cache
    /// of a core.
    pub joined: usize,
    /// Runs of less are put together with their neighbours; the others are searched where they are.
    pub short: u64,
    /// So many matches of a part are kept at a time.
    pub kept: usize,
}

impl Default for Grain {
    fn default() -> Self {
        Self { part: 2 << 20, joined: 128 << 10, short: 1024, kept: 4096 }
    }
}
