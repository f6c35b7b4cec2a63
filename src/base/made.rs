//! Directories that are made for what is written into them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::base::{Error, Result};

/// Directories that were made for what is to be written, the outermost first. They go again if it was not written.
pub(crate) struct Made(Vec<PathBuf>);

impl Made {
    /// Makes a directory and those around it, where they are not there.
    ///
    /// Errors: the system refused; none of them is then left.
    pub(crate) fn make(target: &Path) -> Result<Self> {
        let failed = |error| Error::io("cannot make the directory", error).in_image(target.to_string_lossy());
        let missing = target.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists());
        let mut made = Self(missing.map(Path::to_path_buf).collect());
        made.0.reverse();
        // dropped where this fails half way
        fs::create_dir_all(target).map_err(failed)?;
        Ok(made)
    }

    /// They stay: something was written.
    pub(crate) fn keep(mut self) {
        self.0.clear();
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for path in self.0.iter().rev() {
            // one that somebody else has put something into stays
            if fs::remove_dir(path).is_err() {
                break;
            }
        }
    }
}
