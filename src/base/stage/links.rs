//! A directory with the files of another one, as further names of the same files.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

use super::is_mount;
use super::seen::Seen;
use crate::base::alike::Likeness;
use crate::base::left;

/// Gives all that `from` holds a name in `to`. Directories are made anew.
pub(super) fn fill(from: &Path, to: &Path, all: &[Seen]) -> io::Result<()> {
    // sorted: a directory comes before what is in it
    for seen in all {
        let (old, new) = (from.join(&seen.name), to.join(&seen.name));
        if seen.is_directory {
            // another directory would not have what is mounted there
            if is_mount(&old) {
                return Err(io::ErrorKind::Unsupported.into());
            }
            fs::DirBuilder::new().mode(0o700).create(&new)?;
            alike(&left::open_directory(&old)?, &left::open_directory(&new)?)?;
            continue;
        }
        // of a symbolic link this is a further name of the link
        match fs::hard_link(&old, &new) {
            Err(error) if fs::symlink_metadata(&old).is_ok_and(|meta| meta.is_symlink()) => {
                // not everybody may link what belongs to somebody else; a link is as good as its copy
                let target = fs::read_link(&old).map_err(|_| error)?;
                std::os::unix::fs::symlink(target, &new)?;
            }
            linked => linked?,
        }
    }
    Ok(())
}

/// Makes a directory like another one.
pub(super) fn alike(old: &File, new: &File) -> io::Result<()> {
    let name = Path::new("the new directory");
    // what the system said matters here: another way may be open
    Likeness::of(old, name).and_then(|like| like.give(new, name)).map_err(|error| error.into_io())?;
    let (old, new) = (old.metadata()?, new.metadata()?);
    let belongs = |meta: &Metadata| (meta.uid(), meta.gid(), meta.mode());
    // one of somebody else cannot be replaced, only changed
    if belongs(&old) == belongs(&new) { Ok(()) } else { Err(io::ErrorKind::Unsupported.into()) }
}
