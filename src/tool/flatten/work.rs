//! How far the work has come, and whether it was asked to end.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::base::report::{Cancel, Progress};
use crate::base::{Error, Result};

/// The work, in bytes.
pub(super) struct Work<'w> {
    progress: &'w dyn Progress,
    cancel: &'w Cancel,
    done: AtomicU64,
    total: u64,
}

impl<'w> Work<'w> {
    pub(super) fn new((progress, cancel): (&'w dyn Progress, &'w Cancel), total: u64) -> Self {
        Self { progress, cancel, done: AtomicU64::new(0), total }
    }

    /// Errors: it was asked to end.
    pub(super) fn go_on(&self) -> Result<()> {
        match self.cancel.is_cancelled() {
            true => Err(Error::cancelled("interrupted; nothing was written")),
            false => Ok(()),
        }
    }

    /// So many bytes more are done.
    pub(super) fn did(&self, bytes: u64) {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        self.progress.advance(done.min(self.total), self.total);
    }
}
