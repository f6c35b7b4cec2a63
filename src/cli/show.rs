//! `show`: the images of a dump, or one image, entry by entry.

use std::path::Path;

use super::Outcome;
use super::args::ShowImages;
use super::images::{input, named, stdout};
use super::problems::Problems;
use crate::base::{Error, Result};
use crate::checkpoint::Checkpoint;
use crate::tool::crit;
use crate::tool::show::{Layout, Shown, choose, show as write};

pub(super) fn show(options: &ShowImages) -> Result<Outcome> {
    let layout = match (options.show.json, options.show.ndjson) {
        (true, _) => Layout::Json,
        (_, true) => Layout::Lines,
        _ => Layout::Text,
    };
    let read = options.read.options();
    let mut problems = Problems::default();
    let mut warn = |error: Error| problems.tell(&error);
    let mut out = stdout()?;
    let source: Option<&Path> = named(Some(&options.source));
    if let Some(directory) = source.filter(|path| path.is_dir()) {
        let dump = Checkpoint::open_with(directory, read)?;
        let names = choose(&dump, &options.images)?;
        let images = names.into_iter().map(|name| Shown { name: name.file.clone(), image: dump.open_image(name) });
        write(images, layout, !options.nopl, &mut out, &mut warn)?;
    } else {
        if let Some(image) = options.images.first() {
            return Err(Error::usage("the source is one image, expected no names behind it").in_image(image.clone()));
        }
        let (name, bytes) = input(source, read)?;
        let image = crit::open(&name, bytes, read.limits)?;
        write([Shown { name, image: Ok(image) }], layout, !options.nopl, &mut out, &mut warn)?;
    }
    Ok(problems.finish())
}
