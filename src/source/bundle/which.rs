//! Whether something is of version 2: by its first bytes; of a directory, by the files in it.

use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

/// The first bytes of every file of version 2: the key of a header's first field, and its magic.
const FIRST: [u8; 5] = *b"\x0dCRIU";

/// Whether bytes are the beginning of a file of version 2.
pub fn is_version_2(bytes: &[u8]) -> bool {
    bytes.starts_with(&FIRST)
}

/// Whether a path is a directory of `.criu` files. A dump of version 1 stays one, whatever else lies in it.
pub fn is_directory(path: &Path) -> bool {
    if !path.is_dir() || path.join("inventory.img").exists() {
        return false;
    }
    match begins(&path.join("checkpoint.criu")) {
        Ok(true) => return true,
        // who opens it is told why it cannot be read
        Err(error) if error.kind() != io::ErrorKind::NotFound => return true,
        _ => {}
    }
    // it may have lost that one
    let Ok(entries) = fs::read_dir(path) else { return false };
    let mut is_found = false;
    for entry in entries.flatten() {
        match entry.path().extension().and_then(|extension| extension.to_str()) {
            Some("img") => return false,
            Some("criu") => is_found = is_found || begins(&entry.path()).unwrap_or(false),
            _ => {}
        }
    }
    is_found
}

/// Whether a file begins as those of version 2 do.
fn begins(path: &Path) -> io::Result<bool> {
    // NONBLOCK: opening a pipe would wait for who writes into it
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Ok(false);
    }
    let mut first = Vec::with_capacity(FIRST.len());
    file.take(FIRST.len() as u64).read_to_end(&mut first)?;
    Ok(is_version_2(&first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_by_what_is_in_them() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
        let is = || is_directory(folder.path());
        assert!(!is(), "an empty directory");
        put("notes.txt", b"x");
        put("checkpoint.criu", b"of somebody else");
        assert!(!is(), "no file of version 2");
        put("core-1.criu", b"\x0dCRIU and more");
        assert!(is(), "whatever else is in it");
        put("core-1.img", b"x");
        assert!(!is(), "an image of version 1");
        put("checkpoint.criu", b"\x0dCRIU and more");
        assert!(is(), "the checkpoint says so");
        put("inventory.img", b"x");
        assert!(!is(), "a dump in which bundles lie");
        assert!(!is_directory(&folder.path().join("core-1.criu")), "a file");
    }
}
