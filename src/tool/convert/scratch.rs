//! A directory for what is only needed on the way.

use std::path::{Path, PathBuf};

use crate::base::{Error, Result, left};

/// A directory that goes again with all that is in it.
pub(super) struct Scratch {
    pub(super) path: PathBuf,
    /// Says that somebody works in it.
    _lock: left::Held,
}

impl Scratch {
    /// Makes one in a directory; only its owner may look into it.
    ///
    /// Errors: the system refused.
    pub(super) fn make(beside: &Path) -> Result<Self> {
        let failed = |error| Error::io("cannot make a temporary directory", error).in_image(beside.to_string_lossy());
        let (path, lock) = left::directory_beside(&beside.join(NAME), 0o700).map_err(failed)?;
        Ok(Self { path, _lock: lock })
    }
}

/// Removes those that killed programs left in a directory.
pub(super) fn sweep(beside: &Path) {
    left::sweep(&beside.join(NAME));
}

/// `.icecore-convert.PROCESS.NUMBER.tmp`.
const NAME: &str = "icecore-convert";

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
