//! What is digested: the files of a directory, or one file, or what comes through a pipe.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use bytes::Bytes;

use crate::base::{Error, Result, map};
use crate::checkpoint::Options;
use crate::source::listing::{Listing, What};
use crate::source::spool;
use crate::tool::check::digest::hash::{Count, hash};
use crate::tool::check::digest::line::{FileDigest, ItemKind, escaped};

/// Something with a name.
pub(super) struct Item {
    name: Vec<u8>,
    what: What,
    /// As it was when it was listed.
    pub(super) size: u64,
}

/// All that is digested, in the order of the names as they are written.
pub(super) struct Files {
    pub(super) items: Vec<Item>,
    from: From,
}

enum From {
    Directory(Listing),
    One(Bytes),
}

impl Files {
    /// Errors: it is not there, or cannot be listed or opened.
    pub(super) fn list(source: &Path, options: &Options) -> Result<Self> {
        let name = source.file_name().unwrap_or(source.as_os_str()).as_bytes().to_vec();
        let one = |name: Vec<u8>, bytes: Bytes| {
            let size = bytes.len() as u64;
            Self { items: vec![Item { name, what: What::File, size }], from: From::One(bytes) }
        };
        if source == Path::new("-") {
            return Ok(one(name, spool::stdin(options.access, &options.limits)?));
        }
        let failed = |error| Error::io("cannot open", error).in_image(source.to_string_lossy());
        let meta = source.metadata().map_err(failed)?;
        if !meta.is_dir() {
            let file = File::open(source).map_err(failed)?;
            let bytes = match meta.is_file() {
                true => map::content(&file, source, options.access)?,
                false => spool::read(file.as_fd(), &source.to_string_lossy(), options.access, &options.limits)?,
            };
            return Ok(one(name, bytes));
        }
        let listing = Listing::of_directory(source, options.access, &options.limits)?;
        let mut items: Vec<(String, Item)> = listing
            .items
            .iter()
            .map(|item| {
                // a directory's slash is not part of its name
                let name = item.name.strip_suffix(b"/").unwrap_or(&item.name).to_vec();
                let size = if item.what == What::File { listing.size(&item.name) } else { 0 };
                (escaped(&name), Item { name, what: item.what.clone(), size })
            })
            .collect();
        items.sort_by(|(a, _), (b, _)| a.cmp(b));
        let items = items.into_iter().map(|(_, item)| item).collect();
        Ok(Self { items, from: From::Directory(listing) })
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.items.iter().fold(0, |sum: u64, item| sum.saturating_add(item.size))
    }

    /// Digests one of them; by all cores if `together`.
    ///
    /// Errors: it cannot be read; it was cancelled.
    pub(super) fn digest(&self, item: &Item, count: &Count<'_>, together: bool) -> Result<FileDigest> {
        let name = escaped(&item.name);
        let (kind, bytes) = match &item.what {
            What::File => (ItemKind::File, self.content(item)?),
            What::Link(target) => (ItemKind::Link, Bytes::copy_from_slice(target)),
            What::Directory => (ItemKind::Directory, Bytes::new()),
        };
        let size = if kind == ItemKind::File { bytes.len() as u64 } else { 0 };
        Ok(FileDigest { name, kind, size, hash: hash(&bytes, count, together)? })
    }

    fn content(&self, item: &Item) -> Result<Bytes> {
        match &self.from {
            From::Directory(listing) => listing.content(&item.name),
            From::One(bytes) => Ok(bytes.clone()),
        }
    }
}
