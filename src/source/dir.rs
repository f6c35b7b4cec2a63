//! A directory of images, as criu dump leaves it.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use rustix::fs::{AtFlags, CWD, Mode, OFlags};

use crate::base::map::{self, Access};
use crate::base::{Error, Limits, Result};
use crate::source::Source;

/// A directory of images. Its names are read once, when it is opened; files are opened beneath it when used.
pub struct Dir {
    path: PathBuf,
    name: String,
    fd: OwnedFd,
    files: Vec<String>,
    /// Those of `files` that the directory does not call regular, sorted: links, devices, pipes.
    others: Vec<String>,
    access: Access,
    limits: Limits,
    /// Device and inode of the dumps that this one is an ancestor of, and its own.
    chain: Vec<(u64, u64)>,
}

/// The link that CRIU makes to the dump before.
const PARENT: &str = "parent";

impl Dir {
    /// Opens a directory and lists its files.
    ///
    /// Errors: it is not there, is no directory, or holds more files than the limits allow.
    pub fn open(path: &Path, access: Access, limits: Limits) -> Result<Self> {
        Self::beneath(path, access, limits, Vec::new())
    }

    fn beneath(path: &Path, access: Access, limits: Limits, mut chain: Vec<(u64, u64)>) -> Result<Self> {
        let name = path.to_string_lossy().into_owned();
        let failed = |what: &'static str, error: rustix::io::Errno| Error::io(what, error).in_image(name.clone());
        let fd = rustix::fs::openat(CWD, path, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|error| failed("cannot open the directory of images", error))?;
        let stat = rustix::fs::fstat(&fd).map_err(|error| failed("cannot list", error))?;
        if chain.contains(&(stat.st_dev, stat.st_ino)) {
            return Err(Error::limit("the links to parent dumps form a circle").in_image(name));
        }
        chain.push((stat.st_dev, stat.st_ino));
        let mut files = Vec::new();
        let mut others = Vec::new();
        let listing = rustix::fs::Dir::read_from(&fd).map_err(|error| failed("cannot list", error))?;
        for entry in listing {
            let entry = entry.map_err(|error| failed("cannot list", error))?;
            let file = entry.file_name().to_bytes();
            if file == b"." || file == b".." || entry.file_type() == rustix::fs::FileType::Directory {
                continue;
            }
            if files.len() >= limits.files {
                return Err(Error::limit(format!("the directory holds more than {} files", limits.files))
                    .in_image(name)
                    .hint("Limits::files, or --max-files, raises it"));
            }
            // a name that is not UTF-8 is no image's; it is listed as well as it can be
            files.push(String::from_utf8_lossy(file).into_owned());
            if entry.file_type() != rustix::fs::FileType::RegularFile {
                others.extend(files.last().cloned());
            }
        }
        others.sort_unstable();
        Ok(Self { path: path.to_path_buf(), name, fd, files, others, access, limits, chain })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens one of its files.
    fn plain(&self, file: &str) -> Result<File> {
        // opening a pipe may hang and opening a device may do anything
        if self.others.binary_search_by(|other| other.as_str().cmp(file)).is_ok() {
            let stat = rustix::fs::statat(&self.fd, file, AtFlags::empty())
                .map_err(|error| Error::io("cannot open", error).in_image(file.to_owned()))?;
            if rustix::fs::FileType::from_raw_mode(stat.st_mode) != rustix::fs::FileType::RegularFile {
                return Err(Error::usage("is no file, expected an image").in_image(file.to_owned()));
            }
        }
        // NONBLOCK: nor if it was put there since
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let fd = rustix::fs::openat(&self.fd, file, flags, Mode::empty())
            .map_err(|error| Error::io("cannot open", error).in_image(file.to_owned()))?;
        Ok(File::from(fd))
    }
}

impl Source for Dir {
    fn name(&self) -> &str {
        &self.name
    }

    fn files(&self) -> &[String] {
        &self.files
    }

    fn open(&self, file: &str) -> Result<Bytes> {
        map::content(&self.plain(file)?, Path::new(file), self.access)
    }

    fn file(&self, file: &str) -> Result<Option<File>> {
        let file = self.plain(file)?;
        // what was put there since it was listed may be anything
        Ok(file.metadata().is_ok_and(|meta| meta.is_file()).then_some(file))
    }

    fn size(&self, file: &str) -> Result<u64> {
        let stat = rustix::fs::statat(&self.fd, file, AtFlags::empty())
            .map_err(|error| Error::io("cannot ask for its size", error).in_image(file.to_owned()))?;
        Ok(u64::try_from(stat.st_size).unwrap_or(0))
    }

    fn identity(&self, file: &str) -> Option<(u64, u64)> {
        let stat = rustix::fs::statat(&self.fd, file, AtFlags::empty()).ok()?;
        Some((stat.st_dev, stat.st_ino))
    }

    fn parent(&self) -> Result<Option<Arc<dyn Source>>> {
        let link = self.path.join(PARENT);
        match std::fs::symlink_metadata(&link) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(Error::io("cannot look for a parent dump", error).in_image(self.name.clone()));
            }
        }
        let ancestors = self.chain.len().saturating_sub(1);
        if u32::try_from(ancestors).is_ok_and(|ancestors| ancestors >= self.limits.parents) {
            return Err(Error::limit(format!("more than {} dumps in the chain of parents", self.limits.parents))
                .in_image(self.name.clone())
                .hint("Limits::parents, or --max-parents, raises the limit"));
        }
        // resolved, so that a long chain does not make names of ever more links
        let path = std::fs::canonicalize(&link).map_err(|error| {
            Error::io("cannot follow the link to the parent dump", error).in_image(self.name.clone())
        })?;
        Ok(Some(Arc::new(Self::beneath(&path, self.access, self.limits, self.chain.clone())?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ErrorKind;

    #[test]
    fn lists_and_opens() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("pstree.img"), "abc").unwrap();
        std::fs::create_dir(directory.path().join("sub")).unwrap();
        let dir = Dir::open(directory.path(), Access::Map, Limits::default()).unwrap();
        assert_eq!(dir.files(), ["pstree.img"]);
        assert_eq!(dir.open("pstree.img").unwrap(), "abc");
        assert_eq!(dir.size("pstree.img").unwrap(), 3);
        std::fs::hard_link(directory.path().join("pstree.img"), directory.path().join("sub/other")).unwrap();
        let sub = Dir::open(&directory.path().join("sub"), Access::Map, Limits::default()).unwrap();
        assert!(dir.identity("pstree.img").is_some() && dir.identity("pstree.img") == sub.identity("other"));
        assert_eq!(dir.identity("core-1.img"), None);
        let file = dir.file("pstree.img").unwrap().unwrap();
        assert_eq!(std::io::read_to_string(file).unwrap(), "abc");
        assert!(dir.file("core-1.img").is_err() && dir.file("sub").unwrap().is_none());
        let error = dir.open("core-1.img").unwrap_err();
        assert_eq!(error.io_kind(), Some(std::io::ErrorKind::NotFound));
        assert_eq!(error.image(), Some("core-1.img"));
        assert!(dir.parent().unwrap().is_none());
    }

    #[test]
    fn a_circle_of_parents_ends() {
        let directory = tempfile::tempdir().unwrap();
        for (at, next) in [(0, 1), (1, 2), (2, 0)] {
            let dump = directory.path().join(at.to_string());
            std::fs::create_dir(&dump).unwrap();
            std::os::unix::fs::symlink(format!("../{next}"), dump.join("parent")).unwrap();
        }
        for (parents, steps, what) in [(5, 2, "circle"), (1, 1, "more than 1 dumps")] {
            let limits = Limits { parents, ..Limits::default() };
            let first = Dir::open(&directory.path().join("0"), Access::Map, limits).unwrap();
            let mut source: Arc<dyn Source> = Arc::new(first);
            for _ in 0..steps {
                source = source.parent().unwrap().unwrap();
            }
            let error = source.parent().map(|_| ()).unwrap_err();
            assert!(error.kind() == ErrorKind::Limit && error.what().contains(what), "{error}");
        }
    }

    #[test]
    fn too_many_files() {
        let directory = tempfile::tempdir().unwrap();
        for number in 0..3 {
            std::fs::write(directory.path().join(format!("core-{number}.img")), "").unwrap();
        }
        let open = |files| Dir::open(directory.path(), Access::Map, Limits { files, ..Limits::default() });
        assert_eq!(open(3).unwrap().files().len(), 3);
        let error = open(2).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Limit);
        assert!(error.to_string().ends_with("more than 2 files (Limits::files, or --max-files, raises it)"), "{error}");
    }

    #[test]
    fn a_pipe_does_not_hang() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mm-1.img");
        rustix::fs::mknodat(CWD, &path, rustix::fs::FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        let dir = Dir::open(directory.path(), Access::Map, Limits::default()).unwrap();
        assert_eq!(dir.open("mm-1.img").unwrap_err().to_string(), "mm-1.img: is no file, expected an image");
        // links are followed, to files alone
        std::os::unix::fs::symlink("/dev/zero", directory.path().join("mm-2.img")).unwrap();
        std::fs::write(directory.path().join("file"), "abc").unwrap();
        std::os::unix::fs::symlink("file", directory.path().join("mm-3.img")).unwrap();
        let dir = Dir::open(directory.path(), Access::Map, Limits::default()).unwrap();
        assert_eq!(dir.open("mm-2.img").unwrap_err().to_string(), "mm-2.img: is no file, expected an image");
        assert_eq!(dir.open("mm-3.img").unwrap(), "abc");
    }
}
