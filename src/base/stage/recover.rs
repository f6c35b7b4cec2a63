//! What a killed program left in a directory, and beside it.

use std::fs;
use std::io;
use std::path::Path;

use super::journal::Journal;
use super::{JOURNAL_NEW, OWN, STAGED, Stage, failed};
use crate::base::left::{self, Held, Lock};
use crate::base::{Error, Result};

/// What [`Stage::recover`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovered {
    /// Nothing was left by anybody.
    Nothing,
    /// A change that was not made yet; it was taken back.
    Undone,
    /// A change that was made, but not finished; it was finished.
    Finished,
}

impl Stage {
    /// Finishes, or takes back, what a killed program left in the directory `target` and beside it. Whoever writes into
    /// a directory that is there calls this first.
    ///
    /// Errors: another process writes there; the system refused.
    pub fn recover(target: &Path) -> Result<Recovered> {
        let there = match fs::canonicalize(target) {
            Ok(there) => there,
            // beside what is not there something may be left too
            Err(error) if error.kind() == io::ErrorKind::NotFound => target.to_path_buf(),
            Err(error) => return Err(failed(target, "cannot open", error)),
        };
        left::sweep(&there);
        if !OWN.iter().any(|own| fs::symlink_metadata(there.join(own)).is_ok()) {
            return Ok(Recovered::Nothing);
        }
        let _lock = hold(&there)?;
        finish(&there)
    }
}

/// Takes the lock of a directory: two that write into it would each replace what the other one wrote.
pub(super) fn hold(target: &Path) -> Result<Held> {
    let file = left::open_directory(target).map_err(|error| failed(target, "cannot open", error))?;
    match left::lock(&file) {
        // it may have been replaced while the lock was taken
        Lock::Ours | Lock::Unknown if left::is_at(&file, target) => Ok(file.into()),
        _ => Err(Error::usage("is being written by another process")
            .in_image(target.to_string_lossy())
            .hint("try again when that is done")),
    }
}

/// Finishes or takes back what was left in a directory whose lock is held.
pub(super) fn finish(target: &Path) -> Result<Recovered> {
    let told = |error| {
        failed(target, "cannot finish an interrupted change", error)
            .hint("the files .icecore-* in it say what was to be done")
    };
    let staged = target.join(STAGED);
    let mut recovered = Recovered::Nothing;
    let is_link = fs::symlink_metadata(&staged).is_ok_and(|meta| !meta.is_dir());
    if let Some(journal) = Journal::read(target).map_err(told)? {
        if is_link {
            return Err(told(io::Error::other(".icecore-stage is no directory")));
        }
        journal.carry_out(target).map_err(told)?;
        recovered = Recovered::Finished;
    }
    for name in [JOURNAL_NEW, STAGED] {
        let path = target.join(name);
        let removed = match fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_dir() => fs::remove_dir_all(&path),
            Ok(_) => fs::remove_file(&path),
            Err(_) => continue,
        };
        removed.map_err(told)?;
        if recovered == Recovered::Nothing {
            recovered = Recovered::Undone;
        }
    }
    Ok(recovered)
}
