//! Pages of ancestors that lie in holes of their files: zeros of the process, or what somebody punched out for another
//! dump. Nothing in the images tells.

use std::collections::HashMap;
use std::fs::File;

use rustix::fs::{SeekFrom, seek};

use crate::memory::{Pages, Stored};

/// So many files are kept open.
const OPEN: usize = 64;

/// Looks for holes under pages, file by file.
#[derive(Default)]
pub(super) struct Holes {
    /// The files of ancestors, and which bytes of each are known to be no hole.
    files: HashMap<usize, Option<(File, u64, u64)>>,
}

impl Holes {
    /// Whether pages that are stored as they are begin in a hole of an ancestor's pages file.
    pub(super) fn has(&mut self, pages: &Pages, stored: &Stored<'_>) -> bool {
        let (level, offset) = (stored.level(), stored.offset());
        if level == 0 || stored.seal.is_some() {
            return false;
        }
        if !self.files.contains_key(&level) {
            if self.files.len() >= OPEN {
                self.files.clear();
            }
            let file = pages.file(stored).and_then(|file| file.open().ok()?);
            self.files.insert(level, file.map(|file| (file, 0, 0)));
        }
        let Some(Some((file, from, to))) = self.files.get_mut(&level) else { return false };
        if (*from..*to).contains(&offset) {
            return false;
        }
        match seek(&*file, SeekFrom::Data(offset)) {
            Ok(data) if data == offset => {
                (*from, *to) = (offset, seek(&*file, SeekFrom::Hole(offset)).unwrap_or(u64::MAX));
                false
            }
            Ok(_) | Err(rustix::io::Errno::NXIO) => true,
            // a file system that knows no holes
            Err(_) => false,
        }
    }
}
