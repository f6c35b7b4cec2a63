//! Version 1 of the format to version 2 and back: a directory of images, a bundle, a directory of `.criu` files, a
//! stream.

mod down;
mod listing;
mod number;
pub mod pages;
mod report;
mod target;
mod up;

use std::path::Path;

use crate::base::report::{Cancel, Progress};
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
    let files = dump.v1_files().cloned();
    if let Target::V1(path) = target {
        let files = match files {
            Some(files) => files,
            None => return Err(Error::usage("is version 1 already").in_image(source.to_string_lossy())),
        };
        return down::write(&files, path, |_, _| Ok(()), (progress, cancel), counts);
    }
    let listing = match &files {
        Some(files) => Listing::of_files(files.clone())?,
        None => Listing::of_directory(source, options.read.access, &options.read.limits)?,
    };
    let output = match target {
        Target::Bundle(path) => Output::bundle(path)?,
        Target::Images(path) | Target::V1(path) => Output::images(path)?,
        Target::Stream => Output::stream(),
    };
    write(dump, &listing, output, options, (progress, cancel), counts)
}

/// Writes a checkpoint as version 2.
fn write(
    dump: &Checkpoint,
    listing: &Listing,
    output: Output,
    options: &Convert,
    (progress, cancel): (&dyn Progress, &Cancel),
    counts: &mut Counts,
) -> Result<()> {
    let elsewhere = std::collections::BTreeSet::new();
    let number = number::number(listing, |name| elsewhere.contains(name))?;
    let is_files = matches!(output, Output::Images(_));
    let mut writer = match is_files {
        true => Writer::of_files(output, number, Output::turn),
        false => Writer::new(output, number),
    };
    let link = listing.items.iter().find_map(|item| match &item.what {
        What::Link(target) if item.name == b"parent" => Some(target.clone()),
        _ => None,
    });
    let parents = link.map(|link| Parent { link: Some(link), ..Parent::default() });
    let head = CheckpointHead {
        page_size: Some(dump.page_size()),
        writer: Some(concat!("icecore ", env!("CARGO_PKG_VERSION")).to_owned()),
        parents: parents.into_iter().collect(),
    };
    writer.image(types::KIND_CHECKPOINT, 0)?;
    writer.record(types::CHECKPOINT, 1, &container::encode_head(&head))?;
    writer.stop()?;
    let up = up::Up { listing, limits: &options.read.limits, progress, cancel, elsewhere: &elsewhere };
    let left = up.images(&mut writer, counts)?;
    up.files(&mut writer, &left, counts)?;
    let (output, summary) = if is_files { writer.finish_image()? } else { writer.finish(&[])? };
    counts.bytes_out = summary.length;
    output.finish()
}
