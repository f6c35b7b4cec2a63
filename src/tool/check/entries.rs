//! Framing, and the schema: every entry of every image is there whole, with all its required fields.

use rayon::prelude::*;

use crate::base::Error;
use crate::base::Result;
use crate::checkpoint::ImageName;
use crate::tool::check::findings::Findings;
use crate::tool::check::{Checked, Subject};

/// Errors of one image that are kept before they are told.
const WINDOW: usize = 64;

/// What one image is like.
#[derive(Default)]
struct Looked {
    entries: u64,
    broken: Vec<Error>,
}

pub(super) fn look(subject: &Subject<'_>, findings: &mut Findings<'_>, checked: &mut Checked) -> Result<()> {
    for window in subject.dump.images().chunks(WINDOW) {
        subject.go_on()?;
        let looked: Vec<Looked> = window.par_iter().map(|name| image(subject, name)).collect();
        for one in looked {
            checked.images = checked.images.saturating_add(1);
            checked.entries = checked.entries.saturating_add(one.entries);
            for error in &one.broken {
                findings.broken("entry", error)?;
            }
        }
    }
    Ok(())
}

fn image(subject: &Subject<'_>, name: &ImageName) -> Looked {
    let mut looked = Looked::default();
    let image = match subject.dump.open_image(name) {
        Ok(image) => image,
        Err(error) => {
            looked.broken.push(error.in_image(name.file.clone()));
            return looked;
        }
    };
    if !image.kind().row().shape.is_framed() {
        return looked;
    }
    for entry in &image {
        looked.entries = looked.entries.saturating_add(1);
        if let Err(error) = entry.and_then(|entry| entry.check()) {
            looked.broken.push(error);
        }
    }
    looked
}
