//! What every writer writes through: a nameless temporary file beside the target, synced, then renamed over it. An
//! interrupted run leaves the old file or none; several files change together or not at all.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};

use crate::base::{Error, Result};

/// A file being written. Nothing is at its path before [`finish`](Self::finish); dropping it leaves no trace.
pub struct Sink {
    /// Open until the content is complete.
    file: Option<File>,
    target: PathBuf,
    stage: Stage,
}

enum Stage {
    /// Not a regular file (a device, a pipe): written directly.
    Direct,
    /// O_TMPFILE: the kernel forgets it if nobody links it.
    Nameless,
    /// Where the file system has no O_TMPFILE.
    Named(PathBuf),
    /// Linked or renamed: nothing left to undo.
    Done,
}

static COUNTER: AtomicU64 = AtomicU64::new(0);

impl Sink {
    /// Begins to write what will replace or create `path`. A symbolic link is followed; an existing file's mode is
    /// kept; a device or pipe is written directly.
    ///
    /// Errors: the directory does not exist or cannot be written.
    pub fn create(path: &Path) -> Result<Self> {
        let failed = |error: io::Error| Error::io("cannot create", error).in_image(path.to_string_lossy());
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        let existing = fs::metadata(&target).ok();
        if let Some(meta) = &existing {
            let kind = meta.file_type();
            if kind.is_dir() {
                return Err(Error::usage("is a directory, expected a file to write").in_image(path.to_string_lossy()));
            }
            if kind.is_char_device() || kind.is_block_device() || kind.is_fifo() || kind.is_socket() {
                let file = OpenOptions::new().write(true).open(&target).map_err(failed)?;
                return Ok(Self { file: Some(file), target, stage: Stage::Direct });
            }
            // CREAT would fail where the file is not ours to change; say so before the work, not after it
            OpenOptions::new().write(true).open(&target).map_err(failed)?;
        }
        let directory = parent(&target);
        let nameless =
            rustix::fs::open(directory, OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC, Mode::from_raw_mode(0o666));
        let (file, stage) = match nameless {
            Ok(fd) => (File::from(fd), Stage::Nameless),
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::ISDIR | rustix::io::Errno::INVAL) => {
                let name = temporary(&target);
                let file = OpenOptions::new().write(true).create_new(true).mode(0o666).open(&name).map_err(failed)?;
                (file, Stage::Named(name))
            }
            Err(error) => return Err(failed(error.into())),
        };
        if let Some(meta) = existing {
            let mode = meta.permissions().mode();
            file.set_permissions(Permissions::from_mode(mode)).map_err(failed)?;
        }
        Ok(Self { file: Some(file), target, stage })
    }

    /// Syncs the content and puts it in place. Errors leave what was there before.
    pub fn finish(self) -> Result<()> {
        let mut sink = self;
        if let (Some(file), false) = (&sink.file, matches!(sink.stage, Stage::Direct)) {
            file.sync_all().map_err(|error| sink.error("cannot sync", error))?;
        }
        sink.stage()?;
        Batch { sinks: vec![sink] }.replace()
    }

    fn error(&self, what: &'static str, error: impl Into<io::Error>) -> Error {
        Error::io(what, error).in_image(self.target.to_string_lossy())
    }

    /// Gives the content a name beside the target and closes it; from here on only renaming is left to do.
    fn stage(&mut self) -> Result<()> {
        let Some(file) = self.file.take() else { return Ok(()) };
        if matches!(self.stage, Stage::Direct) {
            return Ok(());
        }
        if matches!(self.stage, Stage::Nameless) {
            let name = temporary(&self.target);
            let own = format!("/proc/self/fd/{}", file.as_raw_fd());
            rustix::fs::linkat(CWD, own.as_str(), CWD, &name, AtFlags::SYMLINK_FOLLOW)
                .map_err(|error| self.error("cannot give the written file a name", error))?;
            self.stage = Stage::Named(name);
        }
        Ok(())
    }
}

impl Write for Sink {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match &mut self.file {
            Some(file) => file.write(buffer),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), File::flush)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if let Stage::Named(name) = &self.stage {
            let _ = fs::remove_file(name);
        }
    }
}

/// Files that change together: all of them, or none.
#[derive(Default)]
pub struct Batch {
    sinks: Vec<Sink>,
}

impl Batch {
    /// Adds a written file: gives it a temporary name and closes it, so that a batch may have more files than a process
    /// may have open.
    ///
    /// Errors: the directory takes no more files.
    pub fn add(&mut self, mut sink: Sink) -> Result<()> {
        sink.stage()?;
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

    fn replace(mut self) -> Result<()> {
        let mut undo: Vec<(PathBuf, Option<PathBuf>)> = Vec::new();
        let mut failure = None;
        let alone = self.sinks.len() == 1;
        for sink in &mut self.sinks {
            let Stage::Named(name) = &sink.stage else { continue };
            let kept = temporary(&sink.target);
            // one file is replaced by renaming alone, also where there are no hard links
            let linked = if alone { Err(io::ErrorKind::NotFound.into()) } else { fs::hard_link(&sink.target, &kept) };
            let kept = match linked {
                Ok(()) => Some(kept),
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

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn temporary(target: &Path) -> PathBuf {
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let mut name = std::ffi::OsString::from(".");
    name.push(target.file_name().unwrap_or_default());
    name.push(format!(".{}.{number}.tmp", std::process::id()));
    target.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn nothing_is_there_before_finish() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out.img");
        let mut sink = Sink::create(&path).unwrap();
        sink.write_all(b"half").unwrap();
        assert!(!path.exists());
        drop(sink);
        assert!(names(directory.path()).is_empty());

        let mut sink = Sink::create(&path).unwrap();
        sink.write_all(b"whole").unwrap();
        sink.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(names(directory.path()), ["out.img"]);
    }

    #[test]
    fn an_abandoned_write_leaves_the_old_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out.img");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let mut sink = Sink::create(&path).unwrap();
        sink.write_all(b"new").unwrap();
        drop(sink);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        let mut sink = Sink::create(&path).unwrap();
        sink.write_all(b"new").unwrap();
        sink.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(names(directory.path()), ["out.img"]);
    }

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
    fn devices_are_written_directly() {
        let mut sink = Sink::create(Path::new("/dev/null")).unwrap();
        sink.write_all(b"gone").unwrap();
        sink.finish().unwrap();
    }
}
