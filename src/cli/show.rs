//! `show`: the images of a dump, or one image, entry by entry.

use super::Outcome;
use super::args::ShowImages;
use super::images::{Input, stdout};
use super::problems::Problems;
use crate::base::{Error, Result};
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
    match Input::open(Some(&options.source), read)? {
        Input::Dump(dump) => {
            let names = choose(&dump, &options.images)?;
            let images = names.into_iter().map(|name| Shown { name: name.file.clone(), image: dump.open_image(name) });
            write(images, layout, !options.nopl, &mut out, &mut warn)?;
        }
        Input::Image(name, bytes) => {
            if let Some(image) = options.images.first() {
                let error = Error::usage("the source is one image, expected no names behind it");
                return Err(error.in_image(image.clone()));
            }
            let image = crit::open(&name, bytes, read.limits)?;
            write([Shown { name, image: Ok(image) }], layout, !options.nopl, &mut out, &mut warn)?;
        }
    }
    Ok(problems.finish())
}
