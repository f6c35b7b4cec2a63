//! A pass over the entries of many images: on all cores, over images and inside large ones; what it gives comes in the
//! order of the dump.

use std::ops::Range;

use rayon::prelude::*;

use crate::base::{Error, Result};
use crate::checkpoint::ImageName;
use crate::image::{Entry, Image};
use crate::tool::check::Subject;

/// Images that are open at a time.
const WINDOW: usize = 64;

/// Bytes of an image that one core looks at before it takes others.
const PART: usize = 256 << 10;

/// Parts that are looked at before what they gave is taken: memory stays flat.
const BATCH: usize = 64;

/// What a pass hands over, in the order of the dump.
pub(super) enum Step<'s, T> {
    /// An image that cannot be opened.
    Closed(&'s ImageName, Error),
    /// What a part of an image gave.
    Part(&'s Image, T),
    /// All parts of an image were handed over; it has none if it has no entries.
    End(&'s ImageName, &'s Image),
}

/// Some entries of an image.
pub(super) struct Part<'i> {
    image: &'i Image,
    range: Range<usize>,
}

impl<'i> Part<'i> {
    /// The entries.
    pub(super) fn entries(&self) -> impl Iterator<Item = Result<Entry<'i>>> + use<'i> {
        self.image.range(self.range.clone(), false)
    }
}

/// Opens `names` and lets `work` look at their entries, part by part.
///
/// Errors: `take` wants no more, or the work was cancelled.
pub(super) fn scan<T: Send>(
    subject: &Subject<'_>,
    names: &[&ImageName],
    work: impl Fn(&Part<'_>) -> T + Sync,
    mut take: impl FnMut(Step<'_, T>) -> Result<()>,
) -> Result<()> {
    for window in names.chunks(WINDOW) {
        subject.go_on()?;
        let open = |name: &&ImageName| {
            subject.dump.open_image(name).inspect(|image| {
                // finds where the entries begin, here and not in the loop below
                image.len();
            })
        };
        let images: Vec<Result<Image>> = window.par_iter().map(open).collect();
        let mut batch: Vec<(usize, Option<Part<'_>>)> = Vec::new();
        for (at, image) in images.iter().enumerate() {
            let parts = image.iter().flat_map(|image| image.parts(PART).map(move |(range, _)| Part { image, range }));
            for part in parts {
                batch.push((at, Some(part)));
                if batch.len() >= BATCH {
                    subject.go_on()?;
                    flush(window, &images, &mut batch, &work, &mut take)?;
                }
            }
            batch.push((at, None));
        }
        flush(window, &images, &mut batch, &work, &mut take)?;
    }
    Ok(())
}

fn flush<T: Send>(
    names: &[&ImageName],
    images: &[Result<Image>],
    batch: &mut Vec<(usize, Option<Part<'_>>)>,
    work: &(impl Fn(&Part<'_>) -> T + Sync),
    take: &mut impl FnMut(Step<'_, T>) -> Result<()>,
) -> Result<()> {
    let done: Vec<(usize, Option<T>)> = batch.par_iter().map(|(at, part)| (*at, part.as_ref().map(work))).collect();
    batch.clear();
    for (at, made) in done {
        let (Some(name), Some(image)) = (names.get(at), images.get(at)) else { continue };
        take(match (image, made) {
            (Err(error), _) => Step::Closed(name, error.clone()),
            (Ok(image), Some(made)) => Step::Part(image, made),
            (Ok(image), None) => Step::End(name, image),
        })?;
    }
    Ok(())
}
