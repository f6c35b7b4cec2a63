//! A directory that is written under a temporary name beside its place, and takes it in one step: at any time there is
//! the old directory or the new one, whatever happens to the program.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::base::sink::beside;
use crate::base::{Error, Result};

/// A directory being written. Dropping it leaves no trace.
pub struct Stage {
    target: PathBuf,
    path: PathBuf,
    /// What the directory it replaces held when it was begun.
    old: Option<Vec<Seen>>,
}

/// What a file was like: whether it is still the same when the new one takes its place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    name: std::ffi::OsString,
    inode: (u64, u64),
    size: u64,
    modified: (i64, i64),
}

impl Stage {
    /// Begins a directory that will be at `target`, where nothing is, or an empty directory.
    ///
    /// Errors: something is there; the directory around it does not exist or cannot be written.
    pub fn create(target: &Path) -> Result<Self> {
        let is_taken = match fs::read_dir(target) {
            Ok(mut entries) => entries.next().is_some(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(Error::io("cannot list", error).in_image(target.to_string_lossy())),
        };
        if is_taken {
            return Err(
                Error::usage("is not empty, expected a directory to write into").in_image(target.to_string_lossy())
            );
        }
        Ok(Self { target: target.to_path_buf(), path: place(target)?, old: None })
    }

    /// Begins a directory that will replace the one at `target`. All its files are in it already, as further names of
    /// the same files: write what changes through a [`Sink`](crate::base::sink::Sink), remove what goes.
    ///
    /// Errors: it is not there; the directory around it cannot be written; the file system has no hard links.
    pub fn replace(target: &Path) -> Result<Self> {
        let failed = |what, error| Error::io(what, error).in_image(target.to_string_lossy());
        let target = fs::canonicalize(target).map_err(|error| failed("cannot open", error))?;
        let stage = Self { path: place(&target)?, old: Some(seen(&target)?), target };
        for file in stage.old.iter().flatten() {
            fs::hard_link(stage.target.join(&file.name), stage.path.join(&file.name))
                .map_err(|error| stage.error("cannot link its files into the new directory", error))?;
        }
        Ok(stage)
    }

    /// Where to write.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Syncs all that was written and puts the directory in its place, in one step.
    ///
    /// Errors: the system refused; what it replaces has changed meanwhile. All is then as before.
    pub fn commit(self) -> Result<()> {
        let directory = File::open(&self.path).map_err(|error| self.error("cannot open", error))?;
        rustix::fs::syncfs(&directory).map_err(|error| self.error("cannot sync", error))?;
        if let Some(old) = &self.old {
            if seen(&self.target)? != *old {
                return Err(Error::usage("was changed by somebody else meanwhile; it is left as it is")
                    .in_image(self.target.to_string_lossy()));
            }
            renameat_with(CWD, &self.path, CWD, &self.target, RenameFlags::EXCHANGE)
                .map_err(|error| self.error("cannot put the new directory in place", error))?;
        } else {
            fs::rename(&self.path, &self.target)
                .map_err(|error| self.error("cannot put the new directory in place", error))?;
        }
        Ok(())
    }

    fn error(&self, what: &'static str, error: impl Into<io::Error>) -> Error {
        Error::io(what, error).in_image(self.target.to_string_lossy())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // after the exchange this is the old directory
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn place(target: &Path) -> Result<PathBuf> {
    let failed = |error| Error::io("cannot make a directory beside it", error).in_image(target.to_string_lossy());
    beside(target, |name| fs::create_dir(name)).map(|(name, ())| name).map_err(failed)
}

fn seen(directory: &Path) -> Result<Vec<Seen>> {
    let failed = |error| Error::io("cannot list", error).in_image(directory.to_string_lossy());
    let mut all = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let meta: Metadata = entry.metadata().map_err(failed)?;
        all.push(Seen {
            name: entry.file_name(),
            inode: (meta.dev(), meta.ino()),
            size: meta.len(),
            modified: (meta.mtime(), meta.mtime_nsec()),
        });
    }
    all.sort();
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_directory_or_the_new_one() {
        let around = tempfile::tempdir().unwrap();
        let target = around.path().join("dump");
        let stage = Stage::create(&target).unwrap();
        fs::write(stage.path().join("a"), "1").unwrap();
        assert!(!target.exists());
        stage.commit().unwrap();
        assert_eq!(fs::read(target.join("a")).unwrap(), b"1");

        let stage = Stage::replace(&target).unwrap();
        fs::remove_file(stage.path().join("a")).unwrap();
        fs::write(stage.path().join("a"), "2").unwrap();
        fs::write(stage.path().join("b"), "3").unwrap();
        drop(stage);
        assert_eq!(fs::read(target.join("a")).unwrap(), b"1");
        let stage = Stage::replace(&target).unwrap();
        fs::remove_file(stage.path().join("a")).unwrap();
        stage.commit().unwrap();
        assert!(!target.join("a").exists());
        assert_eq!(fs::read_dir(around.path()).unwrap().count(), 1);
    }
}
