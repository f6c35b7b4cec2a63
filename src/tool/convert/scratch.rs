//! A directory for what is only needed on the way.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::base::{Error, Result};

/// A directory that goes again with all that is in it.
pub(super) struct Scratch {
    pub(super) path: PathBuf,
}

impl Scratch {
    /// Makes one in a directory; only its owner may look into it.
    ///
    /// Errors: the system refused.
    pub(super) fn make(beside: &Path) -> Result<Self> {
        let failed = |error| Error::io("cannot make a temporary directory", error).in_image(beside.to_string_lossy());
        for number in 0..1000u32 {
            let path = beside.join(format!(".icecore-convert.{}.{number}.tmp", std::process::id()));
            match std::fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self { path }),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Err(failed(std::io::ErrorKind::AlreadyExists.into()))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
