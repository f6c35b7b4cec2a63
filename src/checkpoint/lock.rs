//! Locks on files.

use serde::Serialize;

use crate::base::listing::keep;
use crate::base::{Listing, Result};
use crate::checkpoint::Checkpoint;
use crate::image::Kind;
use crate::object::v1;

/// A lock on a file, held through a descriptor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FileLock {
    /// The task that holds it.
    pub pid: i32,
    /// Its descriptor.
    pub fd: i32,
    /// `posix`, `flock`, `ofd`, `lease`.
    pub kind: &'static str,
    /// `read`, `write`, `unlock`.
    #[serde(rename = "type")]
    pub lock_type: &'static str,
    /// First byte that is locked.
    pub start: i64,
    /// How many; 0 is all to the end.
    pub len: i64,
}

impl FileLock {
    fn new(entry: &v1::FileLockEntry) -> Self {
        Self {
            pid: entry.pid,
            fd: entry.fd,
            kind: match entry.flag {
                1 => "posix",
                2 => "flock",
                4 => "ofd",
                8 => "lease",
                _ => "unknown",
            },
            lock_type: match entry.r#type & 3 {
                0 => "read",
                1 => "write",
                2 => "unlock",
                _ => "unknown",
            },
            start: entry.start,
            len: entry.len,
        }
    }
}

impl Checkpoint {
    /// The locks that tasks hold.
    ///
    /// Errors: their image cannot be opened.
    pub fn locks(&self) -> Result<Listing<FileLock>> {
        let mut listing = self.entries_of::<v1::FileLockEntry>(Kind::FileLocks, 0)?;
        for name in self.images_of(Kind::FileLocksPid) {
            let old = self.entries_of::<v1::FileLockEntry>(Kind::FileLocksPid, name.id)?;
            listing.items.extend(old.items);
            keep(&mut listing.problems, old.problems);
        }
        Ok(Listing { items: listing.items.iter().map(FileLock::new).collect(), problems: listing.problems })
    }
}
