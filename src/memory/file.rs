//! The file that has stored bytes, for who maps it or reads it himself.

use std::fmt;
use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;

use crate::base::{Error, Result};
use crate::memory::run::Stored;
use crate::source::Source;
use crate::source::bundle::Bundle;

/// A file with pages: a pages file of version 1, or a file of version 2.
#[derive(Clone)]
pub struct PagesFile {
    /// What errors call it.
    name: Arc<str>,
    place: Place,
}

#[derive(Clone)]
enum Place {
    V1(Arc<dyn Source>, Arc<str>),
    V2(Arc<Bundle>, usize),
}

impl PagesFile {
    pub(crate) fn v1(name: &str, source: &Arc<dyn Source>, file: &str) -> Self {
        Self { name: name.into(), place: Place::V1(source.clone(), file.into()) }
    }

    /// The file of a bundle that has these bytes.
    pub(crate) fn of(bundle: &Arc<Bundle>, stored: &Stored<'_>) -> Self {
        Self::v2(bundle, stored.part)
    }

    pub(crate) fn v2(bundle: &Arc<Bundle>, part: usize) -> Self {
        Self { name: bundle.part_name(part).into(), place: Place::V2(bundle.clone(), part) }
    }

    /// What errors call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The open file; `None` where there is none, as in an archive.
    ///
    /// Errors: it is not there or cannot be opened.
    pub fn open(&self) -> Result<Option<File>> {
        match &self.place {
            Place::V1(source, file) => source.file(file).map_err(|error| error.renamed(&*self.name)),
            Place::V2(bundle, part) => {
                let failed = |error| Error::io("cannot open", error).in_image(self.name.clone());
                bundle.file(*part).map(|file| file.try_clone().map_err(failed)).transpose()
            }
        }
    }

    /// Its content.
    ///
    /// Errors: it is not there or cannot be read.
    pub fn content(&self) -> Result<Bytes> {
        match &self.place {
            Place::V1(source, file) => source.open(file).map_err(|error| error.renamed(&*self.name)),
            Place::V2(bundle, part) => Ok(bundle.bytes(*part).cloned().unwrap_or_default()),
        }
    }

    /// What tells it from every other file on this machine: device and inode. `None` where nothing does.
    pub fn identity(&self) -> Option<(u64, u64)> {
        match &self.place {
            Place::V1(source, file) => source.identity(file),
            Place::V2(bundle, part) => {
                let stat = rustix::fs::fstat(bundle.file(*part)?).ok()?;
                Some((stat.st_dev, stat.st_ino))
            }
        }
    }
}

impl fmt::Debug for PagesFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PagesFile").field(&self.name).finish()
    }
}
