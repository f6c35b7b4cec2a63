//! Owner, mode, extended attributes and times of a file, given to another one.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};

use rustix::fs::{Timespec, Timestamps, XattrFlags};
use rustix::io::Errno;

/// So much the kernel gives of one list or attribute at most.
const LONGEST: usize = 64 << 10;

/// Gives `to` the owner, the mode and the extended attributes of `from`, those that this process may give. Where the
/// group cannot be kept, the group's rights are not given to another one.
pub(crate) fn copy(from: &File, to: &File) -> io::Result<()> {
    let meta = from.metadata()?;
    let mut mode = meta.permissions().mode() & 0o7777;
    let owned = fchown(to, Some(meta.uid()), Some(meta.gid())).is_ok();
    if !owned && fchown(to, None, Some(meta.gid())).is_err() {
        mode &= !0o6070;
    } else if !owned {
        mode &= !0o4000;
    }
    attributes(from, to)?;
    // behind the owner, whose change takes bits of the mode away
    to.set_permissions(Permissions::from_mode(mode))
}

/// When a file was read and written last.
pub(crate) fn times(of: &File) -> io::Result<Timestamps> {
    let meta = of.metadata()?;
    let time = |seconds, nanoseconds| Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    Ok(Timestamps {
        last_access: time(meta.atime(), meta.atime_nsec()),
        last_modification: time(meta.mtime(), meta.mtime_nsec()),
    })
}

fn attributes(from: &File, to: &File) -> io::Result<()> {
    let mut names = vec![0u8; LONGEST];
    let length = match rustix::fs::flistxattr(from, &mut names[..]) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let mut value = Vec::new();
    for name in names.get(..length).unwrap_or_default().split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        value.resize(LONGEST, 0);
        let length = match rustix::fs::fgetxattr(from, name, &mut value[..]) {
            Ok(length) => length,
            // nobody may read it, or it went meanwhile
            Err(Errno::PERM | Errno::ACCESS | Errno::NODATA | Errno::OPNOTSUPP) => continue,
            Err(error) => return Err(error.into()),
        };
        match rustix::fs::fsetxattr(to, name, value.get(..length).unwrap_or_default(), XattrFlags::empty()) {
            Ok(()) | Err(Errno::PERM | Errno::ACCESS | Errno::OPNOTSUPP) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mode_owner_attributes_times() {
        let around = tempfile::tempdir().unwrap();
        let (old, new) = (around.path().join("old"), around.path().join("new"));
        let (old, new) = (File::create(old).unwrap(), File::create(new).unwrap());
        old.set_permissions(Permissions::from_mode(0o4751)).unwrap();
        // file systems without them are passed over
        let has = rustix::fs::fsetxattr(&old, "user.why", b"because", XattrFlags::empty()).is_ok();
        let moment = Timespec { tv_sec: 1_000_000_000, tv_nsec: 123_456_789 };
        rustix::fs::futimens(&old, &Timestamps { last_access: moment, last_modification: moment }).unwrap();
        copy(&old, &new).unwrap();
        rustix::fs::futimens(&new, &times(&old).unwrap()).unwrap();
        let (old, meta) = (old.metadata().unwrap(), new.metadata().unwrap());
        assert_eq!(meta.permissions().mode(), old.permissions().mode());
        assert_eq!((meta.uid(), meta.gid()), (old.uid(), old.gid()));
        assert_eq!((meta.mtime(), meta.mtime_nsec()), (1_000_000_000, 123_456_789));
        let mut value = [0; 16];
        let length = rustix::fs::fgetxattr(&new, "user.why", &mut value[..]).unwrap_or(0);
        assert_eq!(&value[..length], if has { &b"because"[..] } else { b"" });
    }
}
