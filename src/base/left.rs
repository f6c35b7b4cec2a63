//! What a program that was killed leaves beside its target, and how it is known that nobody works on it any more: who
//! writes holds a lock, which the kernel takes back with the process.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;

use crate::base::temporary::{beside, parent, recognised};

/// Whose a file or directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lock {
    /// Ours now, until the file is closed.
    Ours,
    /// A living process has it.
    Busy,
    /// The file system cannot say.
    Unknown,
}

/// Tries to take the lock of an open file or directory.
pub(crate) fn lock(file: &File) -> Lock {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Lock::Ours,
        Err(Errno::WOULDBLOCK) => Lock::Busy,
        Err(_) => Lock::Unknown,
    }
}

/// A directory whose lock is held as long as this is there.
///
/// The lock is given back by name, not left to closing: a process that is being started by another thread has the
/// file open too, until it executes its program.
#[derive(Debug)]
pub(crate) struct Held(File);

impl From<File> for Held {
    fn from(file: File) -> Self {
        Self(file)
    }
}

impl std::ops::Deref for Held {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = rustix::fs::flock(&self.0, FlockOperation::Unlock);
    }
}

/// Opens a directory, which no link may lead to.
pub(crate) fn open_directory(path: &Path) -> io::Result<File> {
    open(path, OFlags::DIRECTORY)
}

/// Opens what is there for reading; a link is not followed, a pipe not waited for.
pub(crate) fn open(path: &Path, flags: OFlags) -> io::Result<File> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    OpenOptions::new().read(true).custom_flags(i32::try_from(flags.bits()).unwrap_or(0)).open(path)
}

/// Whether a path still leads to an open file.
pub(crate) fn is_at(file: &File, path: &Path) -> bool {
    let both = file.metadata().and_then(|open| Ok((open, fs::symlink_metadata(path)?)));
    both.is_ok_and(|(open, there)| (open.dev(), open.ino()) == (there.dev(), there.ino()))
}

/// Makes a directory under a temporary name beside `target`, and takes its lock.
pub(crate) fn directory_beside(target: &Path, mode: u32) -> io::Result<(PathBuf, Held)> {
    let (path, file) = beside(target, |name| {
        DirBuilder::new().mode(mode).create(name)?;
        // between these two steps somebody may take it for one that was left
        let file = open_directory(name).map_err(gone)?;
        match lock(&file) != Lock::Busy && is_at(&file, name) {
            true => Ok(file),
            false => Err(io::ErrorKind::AlreadyExists.into()),
        }
    })?;
    Ok((path, Held(file)))
}

/// What is gone is tried again under another name.
fn gone(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::NotFound => io::ErrorKind::AlreadyExists.into(),
        _ => error,
    }
}

/// Removes what killed programs left beside `target` while they wrote it.
pub(crate) fn sweep(target: &Path) {
    let Some(own) = target.file_name().map(OsStr::as_bytes) else { return };
    sweep_all(parent(target), |name| name == recognised(own));
}

/// Removes what killed programs left in a directory while they wrote files whose names, as far as they are recognised,
/// are `theirs`. What a living process writes stays, and so does what cannot be removed.
pub(crate) fn sweep_all(directory: &Path, theirs: impl Fn(&[u8]) -> bool) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if !target_of(name.as_bytes()).is_some_and(&theirs) {
            continue;
        }
        let path = directory.join(&name);
        // a file that is neither is no file of ours
        let Ok(file) = open(&path, OFlags::empty()) else { continue };
        let Ok(meta) = file.metadata() else { continue };
        if lock(&file) != Lock::Ours {
            continue;
        }
        let file = Held(file);
        if !is_at(&file, &path) {
            continue;
        }
        let _ = match (meta.is_dir(), meta.is_file()) {
            (true, _) => fs::remove_dir_all(&path),
            (_, true) => fs::remove_file(&path),
            _ => Ok(()),
        };
    }
}

/// What was written under a temporary name: `.TARGET.PROCESS.NUMBER.tmp`.
fn target_of(name: &[u8]) -> Option<&[u8]> {
    let name = name.strip_prefix(b".")?.strip_suffix(b".tmp")?;
    let (name, number) = split_last(name)?;
    let (name, process) = split_last(name)?;
    let is_number = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    (is_number(number) && is_number(process)).then_some(name)
}

fn split_last(name: &[u8]) -> Option<(&[u8], &[u8])> {
    let (front, behind) = name.split_at_checked(name.iter().rposition(|byte| *byte == b'.')?)?;
    Some((front, behind.get(1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::sink::tests::names;

    #[test]
    fn what_the_dead_left_goes() {
        let around = tempfile::tempdir().unwrap();
        let at = |name: &str| around.path().join(name);
        for left in [".dump.1.0.tmp", ".dump.12.345.tmp"] {
            fs::create_dir(at(left)).unwrap();
            fs::write(at(left).join("pages-1.img"), "half").unwrap();
        }
        fs::write(at(".dump.7.8.tmp"), "a file").unwrap();
        let stay = [".dump.x.0.tmp", ".dump.1.tmp", ".other.1.0.tmp", "dump.1.0.tmp", ".dump.1.0.tmp.bak", "dump"];
        stay.iter().for_each(|name| fs::create_dir(at(name)).unwrap());
        std::os::unix::fs::symlink("dump", at(".dump.3.3.tmp")).unwrap();
        let (living, held) = directory_beside(&at("dump"), 0o700).unwrap();
        sweep(&at("dump"));
        let mut expected: Vec<String> = stay.iter().map(|name| (*name).to_owned()).collect();
        expected.push(".dump.3.3.tmp".to_owned());
        expected.push(living.file_name().unwrap().to_str().unwrap().to_owned());
        expected.sort();
        assert_eq!(names(around.path()), expected);
        drop(held);
        sweep(&at("dump"));
        assert!(!living.exists());
    }

    #[test]
    fn long_names_are_recognised() {
        let around = tempfile::tempdir().unwrap();
        let target = around.path().join("n".repeat(255));
        let (left, _) = directory_beside(&target, 0o700).unwrap();
        sweep(&target);
        assert!(!left.exists());
    }
}
