//! BLAKE3 of a file: in pieces, so that it can be cancelled and somebody can watch.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::base::report::{Cancel, Progress};
use crate::base::{Error, Result};

/// Bytes between two looks at whether to go on: a power of two, as a whole tree of blocks.
const PIECE: usize = 128 << 20;

/// How far the work has come.
pub(super) struct Count<'p> {
    done: AtomicU64,
    total: u64,
    progress: &'p dyn Progress,
    cancel: &'p Cancel,
}

impl<'p> Count<'p> {
    pub(super) fn new(total: u64, progress: &'p dyn Progress, cancel: &'p Cancel) -> Self {
        Self { done: AtomicU64::new(0), total, progress, cancel }
    }

    fn add(&self, bytes: usize) -> Result<()> {
        let done = self.done.fetch_add(bytes as u64, Ordering::Relaxed).saturating_add(bytes as u64);
        self.progress.advance(done.min(self.total), self.total);
        match self.cancel.is_cancelled() {
            true => Err(Error::cancelled("interrupted before all files were digested")),
            false => Ok(()),
        }
    }
}

/// BLAKE3 of bytes, by all cores if `together`.
///
/// Errors: it was cancelled.
pub(super) fn hash(bytes: &[u8], count: &Count<'_>, together: bool) -> Result<[u8; 32]> {
    let mut hasher = blake3::Hasher::new();
    for piece in bytes.chunks(PIECE) {
        match together {
            true => hasher.update_rayon(piece),
            false => hasher.update(piece),
        };
        count.add(piece.len())?;
    }
    Ok(*hasher.finalize().as_bytes())
}
