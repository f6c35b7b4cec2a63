//! What every writer writes through: a nameless temporary file beside the target, synced, then renamed over it. An
//! interrupted run leaves the old file or none; several files change together or not at all.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;

use crate::base::alike::Likeness;
use crate::base::batch::Batch;
use crate::base::left::{self, Lock};
use crate::base::temporary::{beside, parent};
use crate::base::{Error, Result};

/// A file being written. Nothing is at its path before [`finish`](Self::finish); dropping it leaves no trace.
pub struct Sink {
    /// Open until the content is complete.
    pub(super) file: Option<File>,
    pub(super) target: PathBuf,
    pub(super) stage: Stage,
}

pub(super) enum Stage {
    /// Not a regular file (a device, a pipe): written directly.
    Direct,
    /// O_TMPFILE: the kernel forgets it if nobody links it.
    Nameless,
    /// Where the file system has no O_TMPFILE.
    Named(PathBuf),
    /// At its own name, in a directory that nobody sees yet.
    Inside,
    /// Linked or renamed: nothing left to undo.
    Done,
}

impl Sink {
    /// Begins to write what will replace or create `path`. A symbolic link is followed; an existing file's permissions
    /// are kept, and its owner where that is allowed; a device or pipe is written directly.
    ///
    /// Errors: the directory does not exist or cannot be written.
    pub fn create(path: &Path) -> Result<Self> {
        let failed = |error: io::Error| Error::io("cannot create", error).in_image(path.to_string_lossy());
        let target = resolved(path);
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
        let (file, stage) = match nameless(parent(&target)) {
            Ok(file) => (file, Stage::Nameless),
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {
                let (name, file) = beside(&target, named).map_err(failed)?;
                (file, Stage::Named(name))
            }
            Err(error) => return Err(failed(error.into())),
        };
        if let Some(meta) = existing {
            // only root may give a file away; for others it becomes their own
            let _ = std::os::unix::fs::fchown(&file, Some(meta.uid()), Some(meta.gid()));
            let mode = meta.permissions().mode() & 0o777;
            file.set_permissions(Permissions::from_mode(mode)).map_err(failed)?;
        }
        Ok(Self { file: Some(file), target, stage })
    }

    /// Begins to write a file in a directory that nobody sees yet: at its own name, to be synced with all of the
    /// directory. What has the name is removed first; it may be a further name of a file that others read.
    ///
    /// Errors: the directory cannot be written.
    pub(crate) fn inside(path: PathBuf) -> Result<Self> {
        let failed = |error: io::Error| Error::io("cannot create", error).in_image(path.to_string_lossy());
        let open = || OpenOptions::new().write(true).create_new(true).mode(0o666).open(&path);
        let file = match open() {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::remove_file(&path).map_err(failed)?;
                open()
            }
            opened => opened,
        };
        Ok(Self { file: Some(file.map_err(failed)?), target: path, stage: Stage::Inside })
    }

    /// The file itself, for what the system can do with it and a [`Write`] cannot: ranges of other files, holes. None
    /// once it is complete.
    pub fn as_file(&self) -> Option<&File> {
        self.file.as_ref()
    }

    /// Lets nobody but its owner read or write the file: for what may hold secrets. A device or pipe stays as it is.
    ///
    /// Errors: the system refused.
    pub fn only_for_owner(&self) -> Result<()> {
        match (&self.file, &self.stage) {
            (None, _) | (_, Stage::Direct) => Ok(()),
            (Some(file), _) => {
                let failed = |error| self.error("cannot keep the file from others", error);
                file.set_permissions(Permissions::from_mode(0o600)).map_err(failed)
            }
        }
    }

    /// Writes all of `bytes` at an offset, apart from what [`Write`] writes: what nobody writes stays a hole, which reads
    /// as zeros. Of a device or pipe only a device that can seek takes it.
    ///
    /// Errors: the system refused.
    pub fn write_all_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        let written = match &self.file {
            Some(file) => file.write_all_at(bytes, offset),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        };
        written.map_err(|error| self.error("cannot write", error))
    }

    /// Makes the file as long as this, with a hole at its end if it was shorter.
    ///
    /// Errors: the system refused, as file systems do beyond the longest file that they can hold.
    pub fn set_length(&mut self, length: u64) -> Result<()> {
        let done = self.file.as_ref().map_or(Ok(()), |file| file.set_len(length));
        done.map_err(|error| self.error("cannot make the file as long as it has to be", error))
    }

    /// Makes the file like another one; its content has to be complete. A device or pipe stays as it is.
    ///
    /// Errors: the system refused.
    pub fn resemble(&self, like: &Likeness) -> Result<()> {
        match (&self.file, &self.stage) {
            (None, _) | (_, Stage::Direct) => Ok(()),
            (Some(file), _) => like.give(file, &self.target),
        }
    }

    /// How long the file is, in bytes; 0 for a device or pipe.
    pub fn length(&self) -> u64 {
        self.file.as_ref().and_then(|file| file.metadata().ok()).map_or(0, |meta| meta.len())
    }

    /// Syncs the content and puts it in place. Errors leave what was there before.
    pub fn finish(self) -> Result<()> {
        let mut sink = self;
        if matches!(sink.stage, Stage::Inside) {
            // it is synced with all of its directory
            return sink.stage();
        }
        if let (Some(file), false) = (&sink.file, matches!(sink.stage, Stage::Direct)) {
            file.sync_all().map_err(|error| sink.error("cannot sync", error))?;
        }
        sink.stage()?;
        Batch::from(sink).replace()
    }

    pub(super) fn error(&self, what: &'static str, error: impl Into<io::Error>) -> Error {
        Error::io(what, error).in_image(self.target.to_string_lossy())
    }

    /// Gives the content a name beside the target; from here on only renaming is left to do. It stays open, and with
    /// that locked, until it is renamed.
    pub(super) fn stage(&mut self) -> Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        if matches!(self.stage, Stage::Inside) {
            self.stage = Stage::Done;
            self.file = None;
            return Ok(());
        }
        if matches!(self.stage, Stage::Nameless) {
            let own = own_name(file);
            let link = |name: &Path| Ok(rustix::fs::linkat(CWD, own.as_str(), CWD, name, AtFlags::SYMLINK_FOLLOW)?);
            let (name, ()) =
                beside(&self.target, link).map_err(|error| self.error("cannot give the written file a name", error))?;
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
        let name = match &self.stage {
            Stage::Named(name) => name,
            Stage::Inside => &self.target,
            _ => return,
        };
        let _ = fs::remove_file(name);
    }
}

/// Where `path` leads; a link may lead to what is not there yet.
fn resolved(path: &Path) -> PathBuf {
    if let Ok(target) = fs::canonicalize(path) {
        return target;
    }
    let mut target = path.to_path_buf();
    // what is there and has no path is a pipe, behind a link in /proc
    for _ in 0..LINKS {
        match fs::read_link(&target) {
            Ok(link) if fs::metadata(&target).is_err() => target = parent(&target).join(link),
            _ => return target,
        }
    }
    path.to_path_buf()
}

/// So many links the kernel follows.
const LINKS: u32 = 40;

/// A file without a name, which can be given one.
fn nameless(directory: &Path) -> Result<File, Errno> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(directory, flags, Mode::from_raw_mode(0o666))?);
    // whoever finds it under a temporary name sees that it is not left
    left::lock(&file);
    // where /proc is not mounted it could never get a name
    rustix::fs::access(own_name(&file), Access::EXISTS).map_err(|_| Errno::OPNOTSUPP)?;
    Ok(file)
}

/// A file with a name, and locked.
fn named(name: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o666).open(name)?;
    match left::lock(&file) != Lock::Busy && left::is_at(&file, name) {
        true => Ok(file),
        // somebody took it for one that was left, and removes it
        false => Err(io::ErrorKind::AlreadyExists.into()),
    }
}

fn own_name(file: &File) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::base::temporary::{COUNTER, temporary};

    pub(in crate::base) fn names(directory: &Path) -> Vec<String> {
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
    fn names_that_are_taken_or_long() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("n".repeat(255));
        let before = COUNTER.load(Ordering::Relaxed);
        let taken = (before..before + 300).map(|number| {
            let name = temporary(&path).into_os_string().into_string().unwrap();
            let (name, _) = name.strip_suffix(".tmp").unwrap().rsplit_once('.').unwrap();
            PathBuf::from(format!("{name}.{number}.tmp"))
        });
        let taken: Vec<PathBuf> = taken.collect();
        taken.iter().for_each(|name| fs::write(name, "an earlier process").unwrap());
        COUNTER.store(before, Ordering::Relaxed);
        for _ in 0..2 {
            let mut sink = Sink::create(&path).unwrap();
            sink.write_all(b"new").unwrap();
            let mut batch = Batch::default();
            batch.add(sink).unwrap();
            batch.add(Sink::create(&directory.path().join("other")).unwrap()).unwrap();
            batch.commit().unwrap();
        }
        taken.iter().for_each(|name| assert_eq!(fs::read(name).unwrap(), b"an earlier process"));
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names(directory.path()).len(), taken.len() + 2);
    }

    #[test]
    fn links_are_followed_to_what_is_not_there_yet() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::os::unix::fs::symlink("second", at("first")).unwrap();
        std::os::unix::fs::symlink("file", at("second")).unwrap();
        std::os::unix::fs::symlink("circle", at("circle")).unwrap();
        let mut sink = Sink::create(&at("first")).unwrap();
        sink.write_all(b"new").unwrap();
        sink.finish().unwrap();
        assert_eq!(fs::read(at("file")).unwrap(), b"new");
        assert!(fs::symlink_metadata(at("first")).unwrap().is_symlink());
        assert_eq!(resolved(&at("circle")), at("circle"));
    }

    #[test]
    fn what_is_not_written_is_a_hole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sparse");
        let mut sink = Sink::create(&path).unwrap();
        sink.only_for_owner().unwrap();
        sink.write_all_at(b"late", 1 << 20).unwrap();
        sink.write_all_at(b"early", 3).unwrap();
        sink.set_length(2 << 20).unwrap();
        sink.finish().unwrap();
        let bytes = fs::read(&path).unwrap();
        assert_eq!(
            (bytes.len(), &bytes[..8], &bytes[1 << 20..(1 << 20) + 5]),
            (2 << 20, &b"\0\0\0early"[..], &b"late\0"[..])
        );
        let meta = fs::metadata(&path).unwrap();
        assert!(meta.blocks() * 512 < 1 << 20);
        assert_eq!(meta.permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn devices_are_written_directly() {
        let mut sink = Sink::create(Path::new("/dev/null")).unwrap();
        sink.write_all(b"gone").unwrap();
        sink.finish().unwrap();
    }
}
