//! A pipe as bytes: small ones in memory, larger ones in an unlinked file that is then mapped, so that private memory
//! stays flat. A regular file handed in as a stream is mapped where it is.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use bytes::Bytes;
use rustix::fs::{CWD, Mode, OFlags};

use crate::base::map::{self, Access};
use crate::base::{Error, Limits, Result};

/// Everything that comes from an open descriptor, such as standard input, from its current position.
///
/// Errors: it cannot be read, or the temporary directory cannot hold it.
pub fn read(fd: BorrowedFd<'_>, name: &str, access: Access, limits: &Limits) -> Result<Bytes> {
    let failed = |what: &'static str, error: std::io::Error| Error::io(what, error).in_image(name.to_owned());
    let owned = fd.try_clone_to_owned().map_err(|error| failed("cannot read", error))?;
    let mut file = File::from(owned);
    let is_file = file.metadata().is_ok_and(|meta| meta.is_file());
    if is_file && let Ok(position) = file.stream_position() {
        let bytes = map::content(&file, Path::new(name), access)?;
        let position = usize::try_from(position).unwrap_or(usize::MAX).min(bytes.len());
        return Ok(bytes.slice(position..));
    }
    let mut head = Vec::new();
    let limit = limits.spool as u64;
    (&mut file).take(limit).read_to_end(&mut head).map_err(|error| failed("cannot read", error))?;
    if (head.len() as u64) < limit {
        return Ok(head.into());
    }
    let mut spool = unlinked().map_err(|error| failed("cannot make a temporary file for it", error))?;
    spool
        .write_all(&head)
        .and_then(|()| std::io::copy(&mut file, &mut spool))
        .map_err(|error| failed("cannot copy it to a temporary file", error))?;
    drop(head);
    map::content(&spool, Path::new(name), Access::Map)
}

/// A file without a name, in the directory for temporary files.
fn unlinked() -> std::io::Result<File> {
    let directory = std::env::temp_dir();
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    match rustix::fs::openat(CWD, &directory, flags, Mode::from_raw_mode(0o600)) {
        Ok(fd) => Ok(File::from(fd)),
        Err(_) => {
            let path = directory.join(format!(".icecore-spool.{}", std::process::id()));
            let mut options = File::options();
            let file = options.read(true).write(true).create_new(true).mode(0o600).open(&path)?;
            std::fs::remove_file(&path)?;
            Ok(file)
        }
    }
}

/// Standard input.
pub fn stdin(access: Access, limits: &Limits) -> Result<Bytes> {
    read(std::io::stdin().as_fd(), "standard input", access, limits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_beyond_the_limit_is_spooled() {
        for length in [0usize, 10, 100, 5000] {
            let (reader, mut writer) = std::io::pipe().unwrap();
            let data: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            writer.write_all(&data).unwrap();
            drop(writer);
            let limits = Limits { spool: 100, ..Limits::default() };
            assert_eq!(read(reader.as_fd(), "a pipe", Access::Map, &limits).unwrap(), data);
        }
    }

    #[test]
    fn a_file_is_read_from_its_position() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        file.seek(std::io::SeekFrom::Start(4)).unwrap();
        let bytes = read(file.as_fd(), "a file", Access::Map, &Limits::default()).unwrap();
        assert_eq!(bytes, "456789");
    }
}
