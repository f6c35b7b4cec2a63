//! Names beside a target, for what will take its place.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

pub(super) static COUNTER: AtomicU64 = AtomicU64::new(0);

/// The directory that a path is in.
pub(super) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Makes something under a temporary name beside `target`. A name may be taken: process numbers come again, and one
/// that was killed may have left its files.
pub(super) fn beside<T>(target: &Path, make: impl Fn(&Path) -> io::Result<T>) -> io::Result<(PathBuf, T)> {
    let mut tries = 0;
    loop {
        let name = temporary(target);
        match make(&name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tries < TRIES => tries += 1,
            made => return made.map(|made| (name, made)),
        }
    }
}

const TRIES: u32 = 10_000;

/// Of the target's name this much is in the temporary one, which must not be longer than a name may be.
const RECOGNISED: usize = 128;

/// What of a name is in the temporary one.
pub(super) fn recognised(name: &[u8]) -> &[u8] {
    name.get(..RECOGNISED).unwrap_or(name)
}

pub(super) fn temporary(target: &Path) -> PathBuf {
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let name = target.file_name().unwrap_or_default().as_bytes();
    let mut own = std::ffi::OsString::from(".");
    own.push(std::ffi::OsStr::from_bytes(recognised(name)));
    own.push(format!(".{}.{number}.tmp", std::process::id()));
    target.with_file_name(own)
}
