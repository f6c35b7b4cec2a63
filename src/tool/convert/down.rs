//! A checkpoint of version 2 to a directory of files of version 1.

use std::ffi::OsStr;
use std::io::{BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use crate::base::report::{Cancel, Progress};
use crate::base::sink::Sink;
use crate::base::{Error, ErrorKind, Result, stage};
use crate::object::upgrade::V1Files;
use crate::object::upgrade::source::Entry;
use crate::tool::convert::{Counts, stop};

/// Bytes that are gathered before they are written.
const BUFFER: usize = 256 << 10;
/// Files that are made at once.
const WINDOW: usize = 256;

/// Writes all files of version 1 into a directory that nobody sees yet. With `lost`, a file that cannot be made is told
/// there, and left out.
///
/// Errors: an image is broken; the directory cannot be written.
pub(super) fn write(
    files: &V1Files,
    directory: &Path,
    pages: impl Fn(&[u8], &mut Sink) -> Result<()> + Sync,
    (progress, cancel): (&dyn Progress, &Cancel),
    mut lost: Option<&mut Vec<Error>>,
    counts: &mut Counts,
) -> Result<()> {
    for entry in files.entries().iter().filter(|entry| entry.is_directory) {
        let path = place(directory, &entry.name)?;
        std::fs::create_dir_all(&path)
            .map_err(|error| Error::io("cannot make the directory", error).in_image(path.to_string_lossy()))?;
    }
    // nothing is written through one: no name goes on behind the name of a link
    for entry in files.entries() {
        if let Some(link) = &entry.link {
            let path = place(directory, &entry.name)?;
            symlink(OsStr::from_bytes(link), &path)
                .map_err(|error| Error::io("cannot make the link", error).in_image(path.to_string_lossy()))?;
        }
    }
    let total = files.entries().len() as u64;
    let plain: Vec<&Entry> =
        files.entries().iter().filter(|entry| entry.link.is_none() && !entry.is_directory).collect();
    for window in plain.chunks(WINDOW) {
        stop(cancel)?;
        let written: Vec<Result<u64>> = window
            .par_iter()
            .map(|entry| {
                let path = place(directory, &entry.name)?;
                let mut sink = Sink::inside(path.clone())?;
                sink.only_for_owner()?;
                if files.pages_of(&entry.name).is_some() {
                    let shown = || String::from_utf8_lossy(&entry.name).into_owned();
                    pages(&entry.name, &mut sink).map_err(|error| error.in_image(shown()))?;
                } else {
                    let failed = |error| Error::io("cannot write", error).in_image(path.to_string_lossy());
                    let mut out = BufWriter::with_capacity(BUFFER, &mut sink);
                    files.write(&entry.name, &mut out)?;
                    out.flush().map_err(failed)?;
                }
                let length = sink.length();
                sink.finish()?;
                Ok(length)
            })
            .collect();
        for (entry, written) in window.iter().zip(written) {
            let length = match (written, &mut lost) {
                (Err(error), Some(lost)) if error.kind() != ErrorKind::Cancelled => {
                    lost.push(error.in_image(String::from_utf8_lossy(&entry.name).into_owned()));
                    continue;
                }
                (written, _) => written?,
            };
            counts.bytes_out = counts.bytes_out.saturating_add(length);
            counts.files = counts.files.saturating_add(1);
        }
        progress.advance(counts.files, total);
    }
    stop(cancel)?;
    counts.images = files.images() as u64;
    counts.files = counts.files.saturating_sub(counts.images);
    counts.bytes_in = files.container().size();
    Ok(())
}

fn place(directory: &Path, name: &[u8]) -> Result<PathBuf> {
    stage::place(directory, Path::new(OsStr::from_bytes(name.strip_suffix(b"/").unwrap_or(name))))
}
