//! Version 1 of the format to version 2 and back: a directory of images, a bundle, a directory of `.criu` files, a
//! stream.

mod down;
mod guard;
mod number;
pub mod pages;
mod report;
mod scratch;
mod target;
mod up;
mod write;

use std::os::fd::AsFd;
use std::path::Path;

use crate::base::report::{Cancel, Progress, Silent};
use crate::base::sink::Sink;
use crate::base::stage::Stage;
use crate::base::{Error, Result};
use crate::checkpoint::{Checkpoint, Options};
use crate::object::upgrade::V1Files;
use crate::source::bundle::{Bundle, is_directory};
use crate::source::spool;
use pages::PageOptions;
pub use report::{Converted, Counts};
use scratch::Scratch;
use target::Output;
use write::to_v2;

/// How a checkpoint is converted.
#[derive(Clone, Debug, Default)]
pub struct Convert {
    /// How images are read.
    pub read: Options,
    /// What is done with pages.
    pub pages: PageOptions,
    /// Takes what is whole of a damaged bundle.
    pub salvage: bool,
}

/// Where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// A bundle: one file.
    Bundle(&'a Path),
    /// A directory of `.criu` files, one for each image.
    Images(&'a Path),
    /// Standard output.
    Stream,
    /// A directory of images of version 1.
    V1(&'a Path),
}

/// An error if the work was asked to end.
fn stop(cancel: &Cancel) -> Result<()> {
    match cancel.is_cancelled() {
        true => Err(Error::cancelled("interrupted; nothing was written")),
        false => Ok(()),
    }
}

/// Whether a path is a directory with images of version 1.
pub fn is_version_1(path: &Path) -> bool {
    path.is_dir() && !is_directory(path)
}

/// Converts the checkpoint at `source`, or on standard input if that is `-`.
///
/// Errors: it cannot be read, or the target not be written; there is then nothing new.
pub fn convert(
    source: &Path,
    target: Target<'_>,
    options: &Convert,
    (progress, cancel): (&dyn Progress, &Cancel),
) -> Result<Converted> {
    guard::check(source, target, options)?;
    let mut lost = Vec::new();
    let dump = open(source, options, (progress, cancel), &mut lost)?;
    let mut counts = Counts::default();
    let keep = options.salvage.then_some(&mut lost);
    convert_open(&dump, source, target, options, (progress, cancel), keep, &mut counts)
        .map_err(|error| told(error, source, target))?;
    let shown = |path: &Path| path.to_string_lossy().into_owned();
    let (target, format) = match target {
        Target::Bundle(path) => (shown(path), "version 2, a bundle"),
        Target::Images(path) => (shown(path), "version 2, a file for each image"),
        Target::Stream => ("standard output".to_owned(), "version 2, a stream"),
        Target::V1(path) => (shown(path), "version 1"),
    };
    let lost = lost.into_iter().collect();
    Ok(Converted { source: shown(source), target, format, counts, lost })
}

/// Bad address: what a writer is told whose bytes are in a map that has become shorter.
const EFAULT: i32 = 14;

/// What writing met, said so that it can be understood.
fn told(error: Error, source: &Path, target: Target<'_>) -> Error {
    let system = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<std::io::Error>());
    match system.map(|system| (system.kind(), system.raw_os_error())) {
        // a reader of a table may leave early; one of a checkpoint has not got it then
        Some((std::io::ErrorKind::BrokenPipe, _)) => Error::fault("who reads the checkpoint left before its end"),
        Some((_, Some(EFAULT))) => Error::fault("a file became shorter while it was converted")
            .in_image(source.to_string_lossy())
            .hint("convert a copy of it"),
        Some(_) => match target {
            Target::Bundle(path) | Target::Images(path) | Target::V1(path) => error.in_image(path.to_string_lossy()),
            Target::Stream => error.in_image("standard output"),
        },
        None => error,
    }
}

fn convert_open(
    dump: &Checkpoint,
    source: &Path,
    target: Target<'_>,
    options: &Convert,
    (progress, cancel): (&dyn Progress, &Cancel),
    lost: Option<&mut Vec<Error>>,
    counts: &mut Counts,
) -> Result<()> {
    let temporary = std::env::temp_dir();
    let beside = match target {
        Target::Bundle(path) | Target::Images(path) | Target::V1(path) => match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        },
        Target::Stream => &temporary,
    };
    // also where the target turns out to be complete
    scratch::sweep(beside);
    let output = match target {
        Target::V1(path) => return to_v1(dump, path, (progress, cancel), lost, counts),
        Target::Bundle(path) => Output::bundle(path)?,
        Target::Images(path) => Output::images(path)?,
        Target::Stream => Output::stream(),
    };
    let near = match target {
        Target::Bundle(path) => path.parent().unwrap_or(Path::new("")),
        Target::Images(path) | Target::V1(path) => path,
        Target::Stream => Path::new("."),
    };
    if dump.v1_files().is_none() {
        return to_v2(dump, source, (output, near), options, (progress, cancel), counts);
    }
    // by way of version 1: what is written depends on what the dump was, not on how it was stored
    let way = Scratch::make(beside)?;
    fill(dump, &way.path, (&Silent, cancel), lost, &mut Counts::default())?;
    let plain = Checkpoint::open_with(&way.path, options.read)?;
    to_v2(&plain, &way.path, (output, near), options, (progress, cancel), counts)
}

/// Opens a checkpoint; what is whole of it, if that is asked for, and what is not goes to `lost`.
fn open(
    source: &Path,
    options: &Convert,
    control: (&dyn Progress, &Cancel),
    lost: &mut Vec<Error>,
) -> Result<Checkpoint> {
    if !options.salvage || is_version_1(source) {
        return Checkpoint::open_with(source, options.read);
    }
    if source.is_dir() {
        return Err(Error::usage("is a directory of images, of which each is whole or not by itself")
            .in_image(source.to_string_lossy())
            .hint("--salvage is for a bundle or a stream; without it, what is whole here can be read"));
    }
    let (access, limits) = (options.read.access, options.read.limits);
    let salvage = if source == Path::new("-") {
        let bytes = spool::read(std::io::stdin().as_fd(), "standard input", access, &limits)?;
        Bundle::salvage("standard input", bytes, None, limits, control)?
    } else {
        Bundle::salvage_file(source, access, limits, control)?
    };
    lost.extend(salvage.lost);
    Ok(Checkpoint::from_v1_files(V1Files::open(salvage.bundle, access)?))
}

/// Writes a checkpoint of version 2 as a directory of version 1.
fn to_v1(
    dump: &Checkpoint,
    target: &Path,
    control: (&dyn Progress, &Cancel),
    lost: Option<&mut Vec<Error>>,
    counts: &mut Counts,
) -> Result<()> {
    let stage = Stage::create(target)?;
    fill(dump, stage.path(), control, lost, counts)?;
    stage.commit()
}

/// Writes the files of version 1 of a checkpoint of version 2 into a directory that nobody sees yet.
fn fill(
    dump: &Checkpoint,
    directory: &Path,
    (progress, cancel): (&dyn Progress, &Cancel),
    lost: Option<&mut Vec<Error>>,
    counts: &mut Counts,
) -> Result<()> {
    let Some(files) = dump.v1_files() else {
        return Err(Error::usage("is version 1 already").in_image(dump.source().name().to_owned()));
    };
    if let (Some(error), None) = (files.problems().first(), &lost) {
        return Err(error.clone());
    }
    let pages = |name: &[u8], sink: &mut Sink| match files.pages_of(name) {
        Some(of) => pages::pages_file(dump.parents(), of, files.page_size(), sink, cancel).map(drop),
        None => Ok(()),
    };
    down::write(files, directory, pages, (progress, cancel), lost, counts)
}
