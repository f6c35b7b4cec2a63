//! Version 1 of the format to version 2 and back: a directory of images, a bundle, a directory of `.criu` files, a
//! stream.

mod down;
mod listing;
mod number;
pub mod pages;
mod report;
mod target;
mod up;

use std::collections::BTreeSet;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::base::report::{Cancel, Progress, Silent};
use crate::base::sink::Sink;
use crate::base::{Error, Result};
use crate::checkpoint::{Checkpoint, Options};
use crate::object::upgrade::container::{self, CheckpointHead, Parent};
use crate::object::upgrade::source::is_images;
use crate::source::bundle::Writer;
use crate::wire::v2::types;
use listing::{Listing, What};
use pages::PageOptions;
pub use report::{Converted, Counts};
use target::Output;

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
    is_images(path)
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
    let dump = Checkpoint::open_with(source, options.read)?;
    let mut counts = Counts::default();
    convert_open(&dump, source, target, options, (progress, cancel), &mut counts)?;
    let shown = |path: &Path| path.to_string_lossy().into_owned();
    let (target, format) = match target {
        Target::Bundle(path) => (shown(path), "version 2, a bundle"),
        Target::Images(path) => (shown(path), "version 2, a file for each image"),
        Target::Stream => ("standard output".to_owned(), "version 2, a stream"),
        Target::V1(path) => (shown(path), "version 1"),
    };
    Ok(Converted { source: shown(source), target, format, counts })
}

fn convert_open(
    dump: &Checkpoint,
    source: &Path,
    target: Target<'_>,
    options: &Convert,
    (progress, cancel): (&dyn Progress, &Cancel),
    counts: &mut Counts,
) -> Result<()> {
    // from where the way to a base is told
    let folder = match target {
        Target::Bundle(path) => path.parent().unwrap_or(path),
        Target::Images(path) | Target::V1(path) => path,
        Target::Stream => Path::new(""),
    };
    let output = match target {
        Target::V1(path) => return to_v1(dump, path, (progress, cancel), counts),
        Target::Bundle(path) => Output::bundle(path)?,
        Target::Images(path) => Output::images(path)?,
        Target::Stream => Output::stream(),
    };
    if dump.v1_files().is_none() {
        return to_v2(dump, source, (output, folder), options, (progress, cancel), counts);
    }
    // by way of version 1: what is written depends on what the dump was, not on how it was stored
    let beside = match target {
        Target::Bundle(path) | Target::Images(path) | Target::V1(path) => path.parent().filter(|p| p.is_dir()),
        Target::Stream => None,
    };
    let way = Scratch::make(beside.unwrap_or(&std::env::temp_dir()))?;
    to_v1(dump, &way.path, (&Silent, cancel), &mut Counts::default())?;
    let plain = Checkpoint::open_with(&way.path, options.read)?;
    to_v2(&plain, &way.path, (output, folder), options, (progress, cancel), counts)
}

/// Writes a checkpoint of version 2 as a directory of version 1.
fn to_v1(
    dump: &Checkpoint,
    target: &Path,
    (progress, cancel): (&dyn Progress, &Cancel),
    counts: &mut Counts,
) -> Result<()> {
    let Some(files) = dump.v1_files() else {
        return Err(Error::usage("is version 1 already").in_image(dump.source().name().to_owned()));
    };
    let pages = |name: &[u8], sink: &mut Sink| match files.pages_of(name) {
        Some(of) => pages::pages_file(dump.parents(), of, files.page_size(), sink, cancel).map(drop),
        None => Ok(()),
    };
    down::write(files, target, pages, (progress, cancel), counts)
}

/// Writes a dump of version 1 as version 2.
fn to_v2(
    dump: &Checkpoint,
    source: &Path,
    (output, folder): (Output, &Path),
    options: &Convert,
    (progress, cancel): (&dyn Progress, &Cancel),
    counts: &mut Counts,
) -> Result<()> {
    let listing = &Listing::of_directory(source, options.read.access, &options.read.limits)?;
    let survey = pages::survey(dump)?;
    let elsewhere: BTreeSet<Vec<u8>> = survey.files.iter().map(|name| name.clone().into_bytes()).collect();
    let is_pages = |name: &[u8]| name.starts_with(b"pages-") && elsewhere.contains(name);
    let number = number::number(listing, is_pages)?;
    let is_files = matches!(output, Output::Images(_));
    let mut writer = match is_files {
        true => Writer::of_files(output, number, Output::turn),
        false => Writer::new(output, number),
    };
    let link = listing.items.iter().find_map(|item| match &item.what {
        What::Link(target) if item.name == b"parent" => Some(target.clone()),
        _ => None,
    });
    let base = options.pages.parent.as_deref();
    let base = base.map(|path| pages::BaseBundle::open(path, folder, options.read)).transpose()?;
    let parents = match (&base, link) {
        (Some(base), link) => Some(Parent { link, ..base.said.clone() }),
        (None, Some(link)) => Some(Parent { link: Some(link), ..Parent::default() }),
        (None, None) => None,
    };
    let head = CheckpointHead {
        page_size: Some(survey.page_size),
        writer: Some(concat!("icecore ", env!("CARGO_PKG_VERSION")).to_owned()),
        parents: parents.into_iter().collect(),
    };
    writer.image(types::KIND_CHECKPOINT, 0)?;
    writer.record(types::CHECKPOINT, 1, &container::encode_head(&head))?;
    writer.stop()?;
    let up = up::Up { listing, limits: &options.read.limits, progress, cancel, elsewhere: &elsewhere };
    let left = up.images(&mut writer, counts)?;
    up.files(&mut writer, &left, counts)?;
    let base = base.as_ref().map(|base| &base.parents);
    counts.pages = pages::write(dump, &survey, base, &mut writer, &options.pages, (progress, cancel))?;
    counts.kept = counts.kept.saturating_add(counts.pages.noted);
    let (output, _) = if is_files { writer.finish_image()? } else { writer.finish(&[])? };
    counts.bytes_in = listing.bytes();
    counts.bytes_out = output.finish()?;
    Ok(())
}

/// A directory that goes again with all that is in it.
struct Scratch {
    path: PathBuf,
}

impl Scratch {
    fn make(beside: &Path) -> Result<Self> {
        let failed = |error| Error::io("cannot make a temporary directory", error).in_image(beside.to_string_lossy());
        for number in 0..1000u32 {
            let path = beside.join(format!(".icecore-convert.{}.{number}.tmp", std::process::id()));
            match std::fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self { path }),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Err(failed(std::io::ErrorKind::AlreadyExists.into()))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
