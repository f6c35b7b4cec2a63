//! Several files that are written together: all of them appear, or none.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::base::sink::{Sink, Stage};
use crate::base::temporary::{beside, parent};
use crate::base::{Error, Result};

/// Files that change together: all of them, or none.
#[derive(Default)]
pub struct Batch {
    sinks: Vec<Sink>,
}

impl Batch {
    /// Adds a written file. It stays nameless, so that nothing is left of it wherever the program ends, as long as
    /// half of the files that a process may have open allow; beyond that it gets a temporary name and is closed.
    ///
    /// Errors: the directory takes no more files.
    pub fn add(&mut self, mut sink: Sink) -> Result<()> {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let room = usize::try_from(limit.unwrap_or(u64::MAX)).unwrap_or(usize::MAX) / 2;
        if matches!(sink.stage, Stage::Inside) {
            // it is where it belongs, and its directory is synced as a whole
            return sink.stage();
        }
        if self.sinks.len() >= room {
            sink.stage()?;
            sink.file = None;
        }
        self.sinks.push(sink);
        Ok(())
    }

    /// Syncs all contents, then puts the files in place. If one cannot be, those before it are put back as they were.
    ///
    /// Errors: the first thing that failed; all targets are then as before.
    pub fn commit(self) -> Result<()> {
        for directory in self.directories() {
            // once for the file system, not once for each of perhaps thousands of files
            let failed = |error: io::Error| Error::io("cannot sync", error).in_image(directory.to_string_lossy());
            let open = File::open(directory).map_err(failed)?;
            rustix::fs::syncfs(&open).map_err(|error| failed(error.into()))?;
        }
        self.replace()
    }

    fn directories(&self) -> Vec<&Path> {
        let staged = self.sinks.iter().filter(|sink| !matches!(sink.stage, Stage::Direct));
        let mut directories: Vec<&Path> = staged.map(|sink| parent(&sink.target)).collect();
        directories.sort();
        directories.dedup();
        directories
    }

    /// Puts the files in place, which are synced.
    pub(super) fn replace(mut self) -> Result<()> {
        for sink in &mut self.sinks {
            sink.stage()?;
        }
        let mut undo: Vec<(PathBuf, Option<PathBuf>)> = Vec::new();
        let mut failure = None;
        let alone = self.sinks.len() == 1;
        for sink in &mut self.sinks {
            let Stage::Named(name) = &sink.stage else { continue };
            // one file is replaced by renaming alone, also where there are no hard links
            let keep = |kept: &Path| match alone {
                true => Err(io::ErrorKind::NotFound.into()),
                false => fs::hard_link(&sink.target, kept),
            };
            let kept = match beside(&sink.target, keep) {
                Ok((kept, ())) => Some(kept),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => {
                    failure = Some(sink.error("cannot keep the old file aside", error));
                    break;
                }
            };
            if let Err(error) = fs::rename(name, &sink.target) {
                if let Some(kept) = kept {
                    let _ = fs::remove_file(kept);
                }
                failure = Some(sink.error("cannot put the written file in place", error));
                break;
            }
            undo.push((sink.target.clone(), kept));
            sink.stage = Stage::Done;
            sink.file = None;
        }
        for (target, kept) in undo.into_iter().rev() {
            let _ = match (kept, failure.is_some()) {
                (Some(kept), true) => fs::rename(kept, target),
                (Some(kept), false) => fs::remove_file(kept),
                (None, true) => fs::remove_file(target),
                (None, false) => Ok(()),
            };
        }
        if let Some(error) = failure {
            return Err(error);
        }
        for directory in self.directories() {
            // A directory that cannot be synced (some network file systems) is not a reason to fail: the file is.
            let _ = File::open(directory).and_then(|directory| directory.sync_all());
        }
        Ok(())
    }
}

impl From<Sink> for Batch {
    fn from(sink: Sink) -> Self {
        Self { sinks: vec![sink] }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::base::sink::tests::names;

    #[test]
    fn a_batch_changes_all_or_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let one = directory.path().join("one");
        let two = directory.path().join("sub/two");
        fs::write(&one, "old").unwrap();
        fs::create_dir(directory.path().join("sub")).unwrap();
        let mut batch = Batch::default();
        for path in [&one, &two] {
            let mut sink = Sink::create(path).unwrap();
            sink.write_all(b"new").unwrap();
            batch.add(sink).unwrap();
        }
        // something that rename cannot replace appears where the second file should go
        fs::create_dir(&two).unwrap();
        fs::write(two.join("x"), "").unwrap();
        assert!(batch.commit().is_err());
        assert_eq!(fs::read(&one).unwrap(), b"old");
        assert_eq!(names(directory.path()), ["one", "sub"]);
        assert_eq!(names(&directory.path().join("sub")), ["two"]);
    }

    #[test]
    fn nothing_is_there_before_commit() {
        let directory = tempfile::tempdir().unwrap();
        let mut batch = Batch::default();
        for name in ["one", "two"] {
            let mut sink = Sink::create(&directory.path().join(name)).unwrap();
            sink.write_all(b"new").unwrap();
            batch.add(sink).unwrap();
        }
        assert!(names(directory.path()).is_empty());
        batch.commit().unwrap();
        assert_eq!(names(directory.path()), ["one", "two"]);
    }
}
