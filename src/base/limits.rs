//! What hostile input may cost. Checked before allocating; each refusal names the limit.

/// Bounds on what reading one checkpoint may cost.
///
/// The defaults let every dump pass that CRIU can write on a usual machine; raise them for unusual ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that decoding one entry into structs or sorting its fields may allocate.
    pub memory: u64,
    /// Depth to which messages (and JSON) may be nested.
    pub depth: u32,
    /// Files that one directory of images may hold.
    pub files: usize,
    /// Bytes read from a pipe into memory before it is spooled to an unlinked file.
    pub spool: usize,
    /// Bytes before the end of a bundle in which its END is looked for, where it is not the last thing.
    pub scan: usize,
    /// Ancestors that a chain of incremental dumps may have.
    pub parents: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory: 256 << 20, depth: 100, files: 10_000_000, spool: 8 << 20, scan: 64 << 10, parents: 1024 }
    }
}
