//! What else a file has than its content: owner, mode, times, extended attributes. Who writes a file anew keeps them.

use std::ffi::CString;
use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::Path;

use rustix::fs::{Timespec, Timestamps, XattrFlags};
use rustix::io::Errno;

use crate::base::{Error, Result};

/// What a file was like. Taken before it is read, since reading changes its times.
#[derive(Clone, Debug)]
pub struct Likeness {
    owner: (u32, u32),
    mode: u32,
    times: Timestamps,
    attributes: Vec<(CString, Vec<u8>)>,
}

impl Likeness {
    /// Looks at a file that is open; `path` is what errors call it.
    ///
    /// Errors: the system refused.
    pub fn of(file: &File, path: &Path) -> Result<Self> {
        let failed = |error: io::Error| Error::io("cannot ask what it is like", error).in_image(path.to_string_lossy());
        let meta = file.metadata().map_err(failed)?;
        Ok(Self {
            owner: (meta.uid(), meta.gid()),
            mode: meta.mode() & 0o7777,
            times: Timestamps {
                last_access: Timespec { tv_sec: meta.atime(), tv_nsec: meta.atime_nsec() },
                last_modification: Timespec { tv_sec: meta.mtime(), tv_nsec: meta.mtime_nsec() },
            },
            attributes: attributes(file).map_err(|error| failed(error.into()))?,
        })
    }

    /// Makes another file like it, as far as this process may. Its content has to be complete: writing changes times, and
    /// takes rights away. Where the group cannot be kept, another one gets
    /// the rights of everybody.
    ///
    /// Errors: the system refused; but for the owner, whom only root may change, and attributes that are not for everybody.
    pub fn give(&self, file: &File, path: &Path) -> Result<()> {
        let failed = |what: &'static str, error: io::Error| Error::io(what, error).in_image(path.to_string_lossy());
        let (user, group) = self.owner;
        let mode = if fchown(file, Some(user), Some(group)).is_ok() {
            self.mode
        } else if fchown(file, None, Some(group)).is_ok() {
            // rights to run as its owner go only to the owner
            self.mode & 0o2777
        } else {
            (self.mode & 0o707) | ((self.mode & 0o007) << 3)
        };
        for (name, value) in &self.attributes {
            match rustix::fs::fsetxattr(file, name, value, XattrFlags::empty()) {
                Ok(()) | Err(Errno::PERM | Errno::ACCESS | Errno::OPNOTSUPP) => {}
                Err(error) => return Err(failed("cannot keep its extended attributes", error.into())),
            }
        }
        // behind owner and attributes, which change it
        file.set_permissions(Permissions::from_mode(mode)).map_err(|error| failed("cannot keep its mode", error))?;
        rustix::fs::futimens(file, &self.times).map_err(|error| failed("cannot keep its times", error.into()))
    }
}

/// The extended attributes; none where the file system has none.
fn attributes(file: &File) -> Result<Vec<(CString, Vec<u8>)>, Errno> {
    let names = match sized(|buffer| rustix::fs::flistxattr(file, buffer)) {
        Ok(names) => names,
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut all = Vec::new();
    for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let Ok(name) = CString::new(name) else { continue };
        match sized(|buffer| rustix::fs::fgetxattr(file, &name, buffer)) {
            Ok(value) => all.push((name, value)),
            // gone since, or not for us
            Err(Errno::NODATA | Errno::PERM | Errno::ACCESS | Errno::OPNOTSUPP) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

/// The kernel's limit on a value and on the list of names.
const LARGEST: usize = 64 << 10;

fn sized(read: impl Fn(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut buffer = vec![0; 1 << 10];
    loop {
        match read(&mut buffer) {
            Ok(length) => {
                buffer.truncate(length);
                return Ok(buffer);
            }
            Err(Errno::RANGE) if buffer.len() < LARGEST => buffer.resize(LARGEST, 0),
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_it_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let open = |name: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, "x").unwrap();
            (File::options().write(true).open(&path).unwrap(), path)
        };
        let (old, path) = open("old");
        let has_attributes = rustix::fs::fsetxattr(&old, c"user.note", &[7; 3000], XattrFlags::empty()).is_ok();
        old.set_permissions(Permissions::from_mode(0o4751)).unwrap();
        let then = |tv_sec| Timespec { tv_sec, tv_nsec: 123_456_789 };
        rustix::fs::futimens(&old, &Timestamps { last_access: then(1), last_modification: then(1_000_000_000) })
            .unwrap();
        let _ = std::os::unix::fs::fchown(&old, Some(12), Some(34));
        let like = Likeness::of(&old, &path).unwrap();
        let (new, path) = open("new");
        like.give(&new, &path).unwrap();
        let (a, b) = (old.metadata().unwrap(), new.metadata().unwrap());
        let said = |meta: &std::fs::Metadata| {
            (meta.uid(), meta.gid(), meta.mode(), meta.mtime(), meta.mtime_nsec(), meta.atime())
        };
        assert_eq!(said(&a), said(&b));
        assert_eq!(attributes(&new).unwrap().len(), usize::from(has_attributes));
        assert_eq!(attributes(&new).unwrap(), attributes(&old).unwrap());
    }
}
