//! What a directory holds: files, links and directories by their names, which need not be text.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::base::map::{self, Access};
use crate::base::{Error, Limits, Result};

/// One name in a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Item {
    /// The name, from the directory on; directories in it end with a slash.
    pub(crate) name: Vec<u8>,
    pub(crate) what: What,
}

/// What has a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    File,
    /// A symbolic link, and where it leads.
    Link(Vec<u8>),
    Directory,
}

/// All that a checkpoint is made of, as files of version 1.
pub(crate) struct Listing {
    /// Ascending by name.
    pub(crate) items: Vec<Item>,
    root: PathBuf,
    access: Access,
}

/// Directories in directories are followed so deep.
const DEPTH: u32 = 32;

impl Listing {
    /// What a directory of images holds.
    ///
    /// Errors: it cannot be listed; there is something in it that is no file, link or directory; it holds more than the
    /// limits allow.
    pub(crate) fn of_directory(path: &Path, access: Access, limits: &Limits) -> Result<Self> {
        let mut items = Vec::new();
        walk(path, &[], DEPTH, limits.files, &mut items)?;
        items.sort_unstable();
        Ok(Self { items, root: path.to_path_buf(), access })
    }

    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        let files = self.items.iter().filter(|item| item.what == What::File);
        files.map(|item| self.size(&item.name)).fold(0, u64::saturating_add)
    }

    /// Bytes of a file, without opening it; 0 if it is gone.
    pub(crate) fn size(&self, name: &[u8]) -> u64 {
        fs::symlink_metadata(self.root.join(OsStr::from_bytes(name))).map_or(0, |meta| meta.len())
    }

    /// The content of a file.
    ///
    /// Errors: it cannot be read.
    pub(crate) fn content(&self, name: &[u8]) -> Result<Bytes> {
        let path = self.root.join(OsStr::from_bytes(name));
        map::content(&open(&path)?, &path, self.access)
    }
}

/// Opens a file, and nothing but a file.
fn open(path: &Path) -> Result<File> {
    let failed = |error| Error::io("cannot open", error).in_image(path.to_string_lossy());
    // NONBLOCK and NOFOLLOW: it may have been replaced since it was listed
    let flags = i32::try_from((rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOFOLLOW).bits()).unwrap_or(0);
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(failed)?;
    match file.metadata() {
        Ok(meta) if meta.is_file() => Ok(file),
        Ok(_) => Err(Error::usage("is no file").in_image(path.to_string_lossy())),
        Err(error) => Err(failed(error)),
    }
}

fn walk(path: &Path, prefix: &[u8], depth: u32, most: usize, items: &mut Vec<Item>) -> Result<()> {
    let failed = |error| Error::io("cannot list", error).in_image(path.to_string_lossy());
    let Some(depth) = depth.checked_sub(1) else {
        return Err(
            Error::limit(format!("directories are nested more than {DEPTH} deep")).in_image(path.to_string_lossy())
        );
    };
    for entry in fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if items.len() >= most {
            return Err(Error::limit(format!("the directory holds more than {most} files"))
                .in_image(path.to_string_lossy())
                .hint("Limits::files, or --max-files, raises it"));
        }
        let kind = entry.file_type().map_err(failed)?;
        let mut name = prefix.to_vec();
        name.extend(entry.file_name().into_vec());
        let what = if kind.is_symlink() {
            What::Link(fs::read_link(entry.path()).map_err(failed)?.into_os_string().into_vec())
        } else if kind.is_dir() {
            name.push(b'/');
            What::Directory
        } else if kind.is_file() {
            What::File
        } else {
            return Err(Error::usage("is no file, link or directory: nothing else belongs to a checkpoint")
                .in_image(entry.path().to_string_lossy()));
        };
        let is_directory = what == What::Directory;
        items.push(Item { name: name.clone(), what });
        if is_directory {
            walk(&entry.path(), &name, depth, most, items)?;
        }
    }
    Ok(())
}
