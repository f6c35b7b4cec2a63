//! Whether two dumps have a page from the very same bytes of the very same file, as dumps with a common parent do.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::checkpoint::Checkpoint;
use crate::image::Kind;
use crate::memory::{PagesFile, Stored};

/// Device and inode of a file.
pub(super) type Identity = (u64, u64);

/// The files that a dump's pages are in.
pub(super) struct Origins<'d> {
    pub(super) dump: &'d Checkpoint,
    known: Mutex<HashMap<(usize, String), Option<Identity>>>,
}

impl<'d> Origins<'d> {
    pub(super) fn new(dump: &'d Checkpoint) -> Self {
        Self { dump, known: Mutex::default() }
    }

    /// Which file has these bytes; `None` where that cannot be told, or their offset does not count from its start.
    fn find(&self, stored: &Stored<'_>) -> Option<Identity> {
        let (level, shown) = (stored.level(), stored.file);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        *known.entry((level, shown.to_owned())).or_insert_with(|| {
            let source = self.dump.parents().get(level).ok()??;
            if let Some(bundle) = source.bundle() {
                return PagesFile::of(bundle, stored).identity();
            }
            let file = shown.rsplit('/').next()?;
            Kind::from_file_name(file).filter(|(kind, _)| *kind == Kind::Pages)?;
            source.identity(file)
        })
    }
}

/// Asks [`Origins`] once for the many runs that come from one file.
pub(super) struct Asked<'o, 'd> {
    origins: &'o Origins<'d>,
    last: Option<(usize, *const u8, Option<Identity>)>,
}

impl<'o, 'd> Asked<'o, 'd> {
    pub(super) fn new(origins: &'o Origins<'d>) -> Self {
        Self { origins, last: None }
    }

    pub(super) fn identity(&mut self, stored: &Stored<'_>) -> Option<Identity> {
        let key = (stored.level(), stored.file.as_ptr());
        match self.last {
            Some((level, name, identity)) if (level, name) == key => identity,
            _ => {
                let identity = self.origins.find(stored);
                self.last = Some((key.0, key.1, identity));
                identity
            }
        }
    }
}
