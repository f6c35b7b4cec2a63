//! The files of the dump that are not its memory: copied byte for byte.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{BufWriter, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, SeekFrom, seek};
use rustix::io::Errno;

use crate::base::{Error, Result};
use crate::object::upgrade::V1Files;
use crate::tool::flatten::work::Work;

/// Rights that nobody gets who is neither owner nor in the group.
const RIGHTS: u32 = 0o770;
/// Bytes gathered before they are written.
const BUFFER: usize = 256 << 10;

/// A name of the dump.
pub(super) struct Named {
    pub(super) name: Vec<u8>,
    pub(super) size: u64,
}

/// Where the files of the dump are.
pub(super) enum Place<'p> {
    Directory(&'p Path),
    V2(&'p V1Files),
}

impl Place<'_> {
    /// The files of the dump, ascending by name, and what is not among them.
    ///
    /// Errors: the directory cannot be listed, or has more files than `most`.
    pub(super) fn list(&self, most: usize, notes: &mut Vec<String>) -> Result<Vec<Named>> {
        let mut left_out = |name: &[u8], what: &str| {
            notes.push(format!("{}: {what}, and is left out", String::from_utf8_lossy(name)));
        };
        let mut found = Vec::new();
        match self {
            Self::V2(files) => {
                for entry in files.entries().iter().filter(|entry| entry.name != b"parent") {
                    if entry.link.is_some() || entry.is_directory || entry.name.contains(&b'/') {
                        left_out(&entry.name, "is no file of the dump itself");
                    } else {
                        found.push(Named { name: entry.name.clone(), size: 0 });
                    }
                }
            }
            Self::Directory(path) => {
                let failed = |error| Error::io("cannot list", error).in_image(path.to_string_lossy());
                for entry in fs::read_dir(path).map_err(failed)? {
                    let name = entry.map_err(failed)?.file_name().into_vec();
                    if found.len() >= most {
                        return Err(Error::limit(format!("the directory holds more than {most} files"))
                            .in_image(path.to_string_lossy())
                            .hint("Limits::files, or --max-files, raises it"));
                    }
                    if name == b"parent" {
                        continue;
                    }
                    // a link that leads to a file is as good as one
                    match fs::metadata(path.join(OsStr::from_bytes(&name))) {
                        Ok(meta) if meta.is_file() => found.push(Named { name, size: meta.len() }),
                        Ok(_) => left_out(&name, "is no file"),
                        Err(error) if leads_nowhere(path, &name, &error) => left_out(&name, "leads nowhere"),
                        Err(error) => {
                            let name = String::from_utf8_lossy(&name).into_owned();
                            return Err(Error::io("cannot look at", error).in_image(name));
                        }
                    }
                }
            }
        }
        found.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// The rights that a file made of this one gets.
    pub(super) fn rights(&self, name: &[u8]) -> u32 {
        match self {
            Self::V2(_) => 0o600,
            Self::Directory(path) => rights(&path.join(OsStr::from_bytes(name))).unwrap_or(0o600),
        }
    }

    /// Copies a file. Gives its length.
    ///
    /// Errors: it cannot be read or written; asked to end.
    pub(super) fn copy(&self, named: &Named, target: &Path, work: &Work<'_>) -> Result<u64> {
        let (path, mut out) = create(target, &named.name, self.rights(&named.name))?;
        let failed = |error| Error::io("cannot write", error).in_image(path.to_string_lossy());
        match self {
            Self::V2(files) => {
                let mut buffered = BufWriter::with_capacity(BUFFER, &mut out);
                files.write(&named.name, &mut buffered)?;
                buffered.flush().map_err(failed)?;
                drop(buffered);
            }
            Self::Directory(from) => {
                let from = from.join(OsStr::from_bytes(&named.name));
                copy(&open(&from)?, &out, work).map_err(|error| error.in_image(from.to_string_lossy()))?;
            }
        }
        Ok(out.metadata().map_err(failed)?.len())
    }
}

/// Whether a name is that of a link to what is not there, and that is why it cannot be looked at.
fn leads_nowhere(path: &Path, name: &[u8], error: &std::io::Error) -> bool {
    let number = error.raw_os_error().map(Errno::from_raw_os_error);
    let is_link = || fs::symlink_metadata(path.join(OsStr::from_bytes(name))).is_ok_and(|meta| meta.is_symlink());
    matches!(number, Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP)) && is_link()
}

/// The rights of what is at a path, without those of others.
pub(super) fn rights(path: &Path) -> Option<u32> {
    fs::metadata(path).ok().map(|meta| meta.permissions().mode() & RIGHTS)
}

/// Makes a file that nobody may read before it is known who may.
pub(super) fn create(target: &Path, name: &[u8], rights: u32) -> Result<(PathBuf, File)> {
    let path = target.join(OsStr::from_bytes(name));
    let failed = |error| Error::io("cannot create", error).in_image(path.to_string_lossy());
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
    file.set_permissions(Permissions::from_mode(rights | 0o400)).map_err(failed)?;
    Ok((path, file))
}

/// Opens a file, and nothing but a file.
fn open(path: &Path) -> Result<File> {
    let failed = |error| Error::io("cannot open", error).in_image(path.to_string_lossy());
    // NONBLOCK: what was put there since it was listed may be a pipe
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(failed)?;
    match file.metadata() {
        Ok(meta) if meta.is_file() => Ok(file),
        Ok(_) => Err(Error::usage("is no file").in_image(path.to_string_lossy())),
        Err(error) => Err(failed(error)),
    }
}

/// Copies what is data; holes stay holes.
fn copy(from: &File, to: &File, work: &Work<'_>) -> Result<()> {
    let length = from.metadata().map_err(|error| Error::io("cannot ask for its size", error))?.len();
    let mut at = 0;
    while at < length {
        work.go_on()?;
        at = match seek(from, SeekFrom::Data(at)) {
            Ok(data) => data,
            Err(Errno::NXIO) => break,
            // a file system that knows no holes
            Err(_) => at,
        };
        let end = seek(from, SeekFrom::Hole(at)).unwrap_or(length).min(length);
        at = stretch(from, to, at, end, work)?;
    }
    to.set_len(length).map_err(|error| Error::io("cannot make the file as long as it has to be", error))?;
    Ok(())
}

/// Copies a stretch.
fn stretch(from: &File, to: &File, mut at: u64, end: u64, work: &Work<'_>) -> Result<u64> {
    const STEP: usize = 32 << 20;
    let mut buffer = Vec::new();
    while at < end {
        work.go_on()?;
        let some = usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX).min(STEP);
        let (mut source, mut target) = (at, at);
        let done = match rustix::fs::copy_file_range(from, Some(&mut source), to, Some(&mut target), some) {
            Ok(done) => done,
            Err(Errno::INTR) => continue,
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::BADF | Errno::PERM) => {
                use std::os::unix::fs::FileExt;
                buffer.resize(some.min(1 << 20), 0);
                let read = from.read_at(&mut buffer, at).map_err(|error| Error::io("cannot read", error))?;
                let bytes = buffer.get(..read).unwrap_or_default();
                to.write_all_at(bytes, at).map_err(|error| Error::io("cannot write", error))?;
                read
            }
            Err(error) => return Err(Error::io("cannot copy", error)),
        };
        if done == 0 {
            return Err(Error::fault("the file became shorter while it was copied").hint("flatten a copy of the chain"));
        }
        at = at.saturating_add(done as u64);
        work.did(done as u64);
    }
    Ok(at)
}
