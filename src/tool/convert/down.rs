//! A checkpoint of version 2 to a directory of files of version 1.

use std::ffi::OsStr;
use std::io::{BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use crate::base::batch::Batch;
use crate::base::made::Made;
use crate::base::report::{Cancel, Progress};
use crate::base::sink::Sink;
use crate::base::{Error, ErrorKind, Result};
use crate::object::upgrade::V1Files;
use crate::object::upgrade::source::Entry;
use crate::tool::convert::{Counts, stop};

/// Bytes that are gathered before they are written.
const BUFFER: usize = 256 << 10;
/// Files that are made at once.
const WINDOW: usize = 256;

/// Makes the directory `target` and writes all files of version 1 into it. They appear together. With `lost`, a file
/// that cannot be made is told there, and left out.
///
/// Errors: `target` is there and not empty; an image is broken; the target cannot be written. Nothing is then left.
pub(super) fn write(
    files: &V1Files,
    target: &Path,
    pages: impl Fn(&[u8], &mut Sink) -> Result<()> + Sync,
    (progress, cancel): (&dyn Progress, &Cancel),
    mut lost: Option<&mut Vec<Error>>,
    counts: &mut Counts,
) -> Result<()> {
    let made = Made::make(target)?;
    let mut others = std::fs::read_dir(target)
        .map_err(|error| Error::io("cannot list", error).in_image(target.to_string_lossy()))?;
    if others.next().is_some() {
        return Err(Error::usage("is not empty, expected a directory to write into").in_image(target.to_string_lossy()));
    }
    let mut directories = Vec::new();
    for entry in files.entries().iter().filter(|entry| entry.is_directory) {
        let path = place(target, &entry.name);
        directories.push(Made::make(&path)?);
    }
    // nothing is written through one: no name goes on behind the name of a link
    let mut links = Links::default();
    for entry in files.entries() {
        if let Some(link) = &entry.link {
            links.make(link, place(target, &entry.name))?;
        }
    }
    let total = files.entries().len() as u64;
    let mut batch = Batch::default();
    let plain: Vec<&Entry> =
        files.entries().iter().filter(|entry| entry.link.is_none() && !entry.is_directory).collect();
    for window in plain.chunks(WINDOW) {
        stop(cancel)?;
        let sinks: Vec<Result<Sink>> = window
            .par_iter()
            .map(|entry| {
                let path = place(target, &entry.name);
                let mut sink = Sink::create(&path)?;
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
                Ok(sink)
            })
            .collect();
        for (entry, sink) in window.iter().zip(sinks) {
            let sink = match (sink, &mut lost) {
                (Err(error), Some(lost)) if error.kind() != ErrorKind::Cancelled => {
                    lost.push(error.in_image(String::from_utf8_lossy(&entry.name).into_owned()));
                    continue;
                }
                (sink, _) => sink?,
            };
            counts.bytes_out = counts.bytes_out.saturating_add(sink.length());
            batch.add(sink)?;
            counts.files = counts.files.saturating_add(1);
        }
        progress.advance(counts.files, total);
    }
    batch.commit()?;
    counts.images = files.images() as u64;
    counts.files = counts.files.saturating_sub(counts.images);
    counts.bytes_in = files.container().size();
    links.keep();
    directories.into_iter().for_each(Made::keep);
    made.keep();
    Ok(())
}

/// Symbolic links that were made. They go again if the rest was not written.
#[derive(Default)]
struct Links(Vec<PathBuf>);

impl Links {
    fn make(&mut self, link: &[u8], path: PathBuf) -> Result<()> {
        std::os::unix::fs::symlink(OsStr::from_bytes(link), &path)
            .map_err(|error| Error::io("cannot make the link", error).in_image(path.to_string_lossy()))?;
        self.0.push(path);
        Ok(())
    }

    fn keep(mut self) {
        self.0.clear();
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        for path in &self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}

fn place(target: &Path, name: &[u8]) -> PathBuf {
    target.join(OsStr::from_bytes(name.strip_suffix(b"/").unwrap_or(name)))
}
