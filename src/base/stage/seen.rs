//! What a directory holds: whether it is still the same when another one takes its place.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::OWN;

/// Directories in directories are followed so deep.
const DEPTH: u32 = 32;

/// What a name was like.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Seen {
    /// From the directory on.
    pub(super) name: PathBuf,
    pub(super) is_directory: bool,
    pub(super) inode: (u64, u64),
    size: u64,
    modified: (i64, i64),
}

impl Seen {
    /// Whether it is the same but for its number.
    pub(super) fn is_as(&self, other: &Self) -> bool {
        (&self.name, self.is_directory, self.size, self.modified)
            == (&other.name, other.is_directory, other.size, other.modified)
    }
}

/// All that a directory holds, sorted by name, without what a [`Stage`](super::Stage) keeps there.
pub(super) fn seen(directory: &Path) -> io::Result<Vec<Seen>> {
    let mut all = Vec::new();
    walk(directory, Path::new(""), DEPTH, &mut all)?;
    all.sort_unstable();
    Ok(all)
}

fn walk(directory: &Path, prefix: &Path, depth: u32, all: &mut Vec<Seen>) -> io::Result<()> {
    let depth = depth.checked_sub(1).ok_or_else(|| io::Error::other("directories are nested too deep"))?;
    for entry in fs::read_dir(directory.join(prefix))? {
        let entry = entry?;
        let is_own = |own: &&str| own.as_bytes() == entry.file_name().as_bytes();
        if prefix.as_os_str().is_empty() && OWN.iter().any(is_own) {
            continue;
        }
        let name = prefix.join(entry.file_name());
        let meta = entry.metadata()?;
        let seen = Seen {
            name,
            is_directory: meta.is_dir(),
            inode: (meta.dev(), meta.ino()),
            size: meta.len(),
            modified: (meta.mtime(), meta.mtime_nsec()),
        };
        if seen.is_directory {
            walk(directory, &seen.name, depth, all)?;
        }
        all.push(seen);
    }
    Ok(())
}
