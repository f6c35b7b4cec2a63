//! What is counted once, for all complaints: the fields of all entries, the framing, and of a checkpoint of version 2 the
//! fields of its records.

use std::collections::BTreeSet;

use rayon::prelude::*;

use crate::base::report::{Cancel, Progress};
use crate::base::{Error, Result};
use crate::checkpoint::{Checkpoint, ImageName};
use crate::image::kinds::Shape;
use crate::image::payload::Payload;
use crate::image::{Entry, FirstWord, Image};
use crate::object::tally::{Stat, Tally};
use crate::object::upgrade::places::Places;
use crate::object::upgrade::tally::Tally as Records;
use crate::source::bundle::Bundle;
use crate::wire::v2::ImageHeader;

/// Images that are looked at beside each other.
const WINDOW: usize = 64;
/// An image with more entries is looked at by several cores.
const MANY: usize = 4096;

/// What images of version 1 are framed with.
#[derive(Clone, Debug, Default)]
pub(super) struct Frames {
    /// Files that are images.
    pub(super) images: u64,
    /// Those whose names end in `.img`.
    pub(super) dot_img: u64,
    /// Those that have no magic.
    pub(super) raw: u64,
    /// First words and magics.
    pub(super) magic_bytes: u64,
    /// Sizes before entries.
    pub(super) size_bytes: u64,
    /// Entries.
    pub(super) entries: u64,
    /// The magics, each once; there are fewer than a hundred.
    pub(super) magics: BTreeSet<u32>,
    /// Ways in which images are made up, each once.
    pub(super) shapes: BTreeSet<&'static str>,
}

impl Frames {
    fn join(&mut self, other: Self) {
        for (own, other) in [
            (&mut self.images, other.images),
            (&mut self.dot_img, other.dot_img),
            (&mut self.raw, other.raw),
            (&mut self.magic_bytes, other.magic_bytes),
            (&mut self.size_bytes, other.size_bytes),
            (&mut self.entries, other.entries),
        ] {
            *own = own.saturating_add(other);
        }
        self.magics.extend(other.magics);
        self.shapes.extend(other.shapes);
    }

    fn of(name: &ImageName, image: &Image) -> Self {
        let row = name.kind.row();
        let is_framed = row.shape.is_framed();
        let words = if image.first_word() == FirstWord::Absent { 4 } else { 8 };
        // an old image of pages has a magic too, and no name for it but its layout
        let entries = image.len() as u64;
        Self {
            images: 1,
            dot_img: u64::from(name.file.ends_with(".img")),
            raw: u64::from(row.magic == 0),
            magic_bytes: if is_framed { words } else { 0 },
            size_bytes: if is_framed { entries.saturating_mul(4) } else { 0 },
            entries,
            magics: is_framed.then_some(row.magic).into_iter().collect(),
            shapes: std::iter::once(shape(row.shape, row.payload)).collect(),
        }
    }
}

/// How an image is made up, as a reader has to know it.
fn shape(shape: Shape, payload: Payload) -> &'static str {
    match (shape, payload) {
        (Shape::Single, Payload::Nothing) => "one message",
        (Shape::Single, _) => "one message, then raw bytes",
        (Shape::Array, Payload::Nothing) => "messages",
        (Shape::Array, Payload::Messages { .. }) => "messages, messages with raw bytes behind each",
        (Shape::Array, _) => "messages, raw bytes behind each",
        (Shape::HeadArray, Payload::Nothing) => "a message of one type, then of another",
        (Shape::HeadArray, _) => "a message of one type, then of another with raw bytes",
        (Shape::Raw, _) => "raw bytes",
        (Shape::Plugin | Shape::PluginPages, _) => "a length of 64 bits, then bytes",
        (Shape::OldPages, _) => "addresses with a page each",
    }
}

/// All that was counted.
pub(super) struct Survey<'d> {
    pub(super) dump: &'d Checkpoint,
    pub(super) places: Places,
    pub(super) v1: Tally,
    pub(super) frames: Frames,
    /// Of a checkpoint of version 2: its records.
    pub(super) v2: Option<Records>,
}

impl<'d> Survey<'d> {
    /// Errors: it was cancelled; the records of a checkpoint of version 2 are broken.
    pub(super) fn take(dump: &'d Checkpoint, (progress, cancel): (&dyn Progress, &Cancel)) -> Result<Self> {
        let places = Places::new();
        let (mut v1, mut frames) = (Tally::default(), Frames::default());
        let images = dump.images();
        for (number, window) in images.chunks(WINDOW).enumerate() {
            go_on(cancel)?;
            progress.advance(number.saturating_mul(WINDOW) as u64, images.len() as u64);
            let parts: Vec<(Tally, Frames)> = window.par_iter().filter_map(|name| one(dump, &places, name)).collect();
            for (tally, frame) in parts {
                v1 = v1.join(&tally);
                frames.join(frame);
            }
        }
        let v2 = dump.source().bundle().map(|bundle| records(bundle, cancel)).transpose()?;
        Ok(Self { dump, places, v1, frames, v2 })
    }

    /// What fields of version 1 come to together.
    pub(super) fn sum(&self, fields: &[(&str, &str)]) -> Stat {
        fields.iter().fold(Stat::default(), |mut sum, (message, field)| {
            sum.add(&self.v1.of(message, field));
            sum
        })
    }

    /// Bytes that stand in their place in version 2, with those of `more` fields of version 2.
    pub(super) fn in_v2(&self, fields: &[(&str, &str)], more: &[(&str, &str)]) -> u64 {
        let Some(records) = &self.v2 else {
            // pagemaps become arrays of runs, which no table of fields leads to
            let fields: Vec<_> = fields.iter().copied().filter(|(message, _)| *message != "pagemap_entry").collect();
            return self.sum(&fields).v2;
        };
        let mapped: BTreeSet<(&str, u32)> =
            fields.iter().flat_map(|(message, field)| self.places.fields(message, field)).collect();
        let mapped = mapped.into_iter().map(|(message, number)| records.of(message, number).1);
        let more = more.iter().map(|(message, field)| records.named(message, field).1);
        mapped.chain(more).fold(0, u64::saturating_add)
    }
}

pub(super) fn go_on(cancel: &Cancel) -> Result<()> {
    match cancel.is_cancelled() {
        true => Err(Error::cancelled("interrupted before all was measured")),
        false => Ok(()),
    }
}

/// The fields and the framing of one image; what cannot be opened has none.
fn one(dump: &Checkpoint, places: &Places, name: &ImageName) -> Option<(Tally, Frames)> {
    // pages are as large as memory, and have no fields
    if !name.kind.row().shape.is_framed() {
        let shapes = std::iter::once(shape(name.kind.row().shape, name.kind.row().payload)).collect();
        let dot_img = u64::from(name.file.ends_with(".img"));
        return Some((Tally::default(), Frames { images: 1, raw: 1, dot_img, shapes, ..Frames::default() }));
    }
    let image = dump.open_image(name).ok()?;
    let depth = dump.limits().depth;
    let look = |mut tally: Tally, entry: Result<Entry<'_>>| {
        if let Ok(entry) = entry
            && let Ok(schema) = entry.schema()
        {
            tally.message(places, schema, entry.message(), depth);
        }
        tally
    };
    let tally = match image.len() > MANY {
        true => image.par_iter().fold(Tally::default, look).reduce(Tally::default, |a, b| a.join(&b)),
        false => image.iter().fold(Tally::default(), look),
    };
    Some((tally, Frames::of(name, &image)))
}

fn records(bundle: &Bundle, cancel: &Cancel) -> Result<Records> {
    let images: Vec<(u32, u64)> = bundle.images().collect();
    let mut all = Records::default();
    for window in images.chunks(WINDOW) {
        go_on(cancel)?;
        let parts: Vec<Result<Records>> = window
            .par_iter()
            .map(|(kind, id)| {
                let mut records = Records::default();
                let sections = bundle.sections(*kind, *id).len() as u64;
                records.headers = sections.saturating_mul(size_of::<ImageHeader>() as u64);
                records.image(bundle, *kind, *id).map(|()| records)
            })
            .collect();
        for part in parts {
            all = all.join(part?);
        }
    }
    Ok(all)
}
