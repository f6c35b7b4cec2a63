//! Names of version 1 that may be written into a directory.

use std::collections::HashMap;

use crate::base::{Error, Result};
use crate::object::upgrade::source::Entry;

/// So long a path can be, in bytes.
const PATH: usize = 4095;

/// A name that stays in its directory.
pub(super) fn safe(name: Vec<u8>) -> Result<Vec<u8>> {
    if name.len() > PATH {
        let what = format!("expected a name of at most {PATH} bytes, found one of {}", name.len());
        return Err(Error::format(what));
    }
    let mut parts = name.strip_suffix(b"/").unwrap_or(&name).split(|byte| *byte == b'/');
    let is_safe = parts.all(|part| !part.is_empty() && part != b"." && part != b"..") && !name.contains(&0);
    if is_safe {
        return Ok(name);
    }
    let shown = String::from_utf8_lossy(&name).into_owned();
    Err(Error::format(format!("expected a name that stays in the directory, found {shown:?}")))
}

/// Whether names can be beside each other in one directory: each is there once, and none goes on behind the name of a
/// link or a file, which would lead elsewhere.
pub(super) fn fit(entries: &[Entry]) -> Result<()> {
    let mut known: HashMap<&[u8], bool> = HashMap::with_capacity(entries.len());
    for entry in entries {
        let name = entry.name.strip_suffix(b"/").unwrap_or(&entry.name);
        if known.insert(name, entry.is_directory).is_some() {
            let shown = String::from_utf8_lossy(name);
            return Err(Error::format(format!("expected one file of the name {shown:?}, found two")));
        }
    }
    for entry in entries {
        let name = entry.name.strip_suffix(b"/").unwrap_or(&entry.name);
        let ends = memchr::memchr_iter(b'/', name).filter_map(|end| name.get(..end));
        if let Some(before) = ends.into_iter().find(|before| known.get(before) == Some(&false)) {
            let (shown, before) = (String::from_utf8_lossy(name), String::from_utf8_lossy(before));
            return Err(Error::format(format!(
                "expected the directory {before:?} of {shown:?}, found a file or a link"
            )));
        }
    }
    Ok(())
}
