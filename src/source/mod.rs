//! Where images come from: names to bytes, and the parent of an incremental dump.

pub mod bundle;
pub mod dir;
pub(crate) mod listing;
pub mod spool;

use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;

use crate::base::Result;

/// A set of named files that belong to one dump. Nothing is opened before it is asked for.
pub trait Source: Send + Sync {
    /// What to call it in messages: the path of a directory.
    fn name(&self) -> &str;

    /// Names of all files, in no particular order.
    fn files(&self) -> &[String];

    /// The content of a file.
    ///
    /// Errors: it is not there or cannot be read.
    fn open(&self, file: &str) -> Result<Bytes>;

    /// The open file whose bytes, from the first on, are the content of a file; `None` where there is no such file, as
    /// in an archive. Who restores memory maps it privately or reads it straight to where the bytes belong.
    ///
    /// Errors: it is not there or cannot be opened.
    fn file(&self, _file: &str) -> Result<Option<File>> {
        Ok(None)
    }

    /// Length of a file in bytes, without opening it.
    fn size(&self, file: &str) -> Result<u64>;

    /// What tells a file from every other one on this machine, whatever it is called: its device and inode. `None`
    /// where nothing does.
    fn identity(&self, _file: &str) -> Option<(u64, u64)> {
        None
    }

    /// What the dump is an increment of; `None` if it is whole.
    ///
    /// Errors: it names a parent that is not there, or a chain of them that has no end.
    fn parent(&self) -> Result<Option<Arc<dyn Source>>>;

    /// The files of version 2 that the images are in, where they are: memory is read from there as it lies.
    fn bundle(&self) -> Option<&Arc<bundle::Bundle>> {
        None
    }
}
