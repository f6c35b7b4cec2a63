//! Goes through the entries of all images once, and notes which rows of a table of fields are met, and where first.

use std::collections::BTreeMap;

use rayon::prelude::*;

use crate::base::Result;
use crate::checkpoint::ImageName;
use crate::image::{Entry, Kind, Status};
use crate::object::schema::{MESSAGES, Message};
use crate::object::visit::{Found, visit};
use crate::tool::check::Subject;
use crate::tool::check::needs::table::{Row, When};
use crate::wire::field::{Fields, Value};

/// So many texts of one row are told apart.
const TEXTS: usize = 256;
/// A text is told as far as this, in bytes: it may be as long as an entry.
const LONGEST: usize = 256;
/// Images that are looked at beside each other.
const WINDOW: usize = 64;
/// An image with more entries is looked at by several cores.
const MANY: usize = 4096;

/// Where a row was met first.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Which of the dump's images.
    pub(super) image: usize,
    pub(super) entry: u64,
    pub(super) field: String,
}

/// Where, and how often.
#[derive(Clone, Debug, Default)]
pub(super) struct Hit {
    pub(super) first: Option<Place>,
    pub(super) times: u64,
}

/// What was met of each row, by the text that its need is named after; that is empty for most.
#[derive(Clone, Debug, Default)]
pub(super) struct Hits(pub(super) BTreeMap<usize, BTreeMap<String, Hit>>);

impl Hits {
    fn add(&mut self, row: usize, text: String, place: impl FnOnce() -> Place) {
        let texts = self.0.entry(row).or_default();
        if texts.len() >= TEXTS && !texts.contains_key(&text) {
            return;
        }
        let hit = texts.entry(text).or_default();
        hit.times = hit.times.saturating_add(1);
        if hit.first.is_none() {
            hit.first = Some(place());
        }
    }

    fn join(mut self, other: Self) -> Self {
        for (row, texts) in other.0 {
            let own = self.0.entry(row).or_default();
            for (text, hit) in texts {
                if own.len() >= TEXTS && !own.contains_key(&text) {
                    continue;
                }
                let known = own.entry(text).or_default();
                known.times = known.times.saturating_add(hit.times);
                known.first = [known.first.take(), hit.first].into_iter().flatten().min();
            }
        }
        self
    }
}

/// The rows by message and field.
pub(super) struct Watch<'t> {
    rows: &'t [Row],
    /// For each message, for each field of it, which rows.
    by_field: Vec<Vec<Vec<usize>>>,
}

impl<'t> Watch<'t> {
    pub(super) fn new(rows: &'t [Row]) -> Self {
        let mut by_field: Vec<Vec<Vec<usize>>> = vec![Vec::new(); MESSAGES.len()];
        for (number, row) in rows.iter().enumerate() {
            let Some((message, position)) = place(row) else { continue };
            let Some(fields) = by_field.get_mut(message.index) else { continue };
            fields.resize(message.fields.len(), Vec::new());
            if let Some(rows) = fields.get_mut(position) {
                rows.push(number);
            }
        }
        Self { rows, by_field }
    }

    fn of(&self, found: &Found<'_, '_>) -> &[usize] {
        let fields = self.by_field.get(found.message.index);
        fields.zip(found.position).and_then(|(fields, position)| fields.get(position)).map_or(&[], Vec::as_slice)
    }

    /// Looks at all images but those of pages and where they are.
    ///
    /// Errors: it was cancelled.
    pub(super) fn look(&self, subject: &Subject<'_>) -> Result<Hits> {
        let images: Vec<(usize, &ImageName)> = subject.dump.images().iter().enumerate().collect();
        let mut hits = Hits::default();
        for window in images.chunks(WINDOW) {
            subject.go_on()?;
            let found: Vec<Hits> = window.par_iter().map(|(number, name)| self.image(subject, *number, name)).collect();
            hits = found.into_iter().fold(hits, Hits::join);
        }
        Ok(hits)
    }

    fn image(&self, subject: &Subject<'_>, number: usize, name: &ImageName) -> Hits {
        let row = name.kind.row();
        let is_asked = row.shape.is_framed()
            && !matches!(name.kind, Kind::Pagemap | Kind::PagemapShmem | Kind::Stats | Kind::IrmapCache)
            && row.status != Status::Plugin;
        if !is_asked {
            return Hits::default();
        }
        // what cannot be opened is told where entries are checked
        let Ok(image) = subject.dump.open_image(name) else { return Hits::default() };
        let depth = subject.dump.limits().depth;
        let look = |mut hits: Hits, entry: Result<Entry<'_>>| {
            if let Ok(entry) = entry {
                self.entry(number, &entry, depth, &mut hits);
            }
            hits
        };
        match image.len() > MANY {
            true => image.par_iter().fold(Hits::default, look).reduce(Hits::default, Hits::join),
            false => image.iter().fold(Hits::default(), look),
        }
    }

    fn entry(&self, image: usize, entry: &Entry<'_>, depth: u32, hits: &mut Hits) {
        let Ok(schema) = entry.schema() else { return };
        visit(schema, entry.message(), depth, &mut |found| {
            for &number in self.of(found) {
                let Some(row) = self.rows.get(number) else { continue };
                if is_met(row.when, found) {
                    let text = row.named_by().map(|field| text(found, field)).unwrap_or_default();
                    hits.add(number, text, || Place { image, entry: entry.index() as u64, field: found.name() });
                }
            }
        });
    }
}

/// The message and the position of the field that a row is about.
pub(super) fn place(row: &Row) -> Option<(&'static Message, usize)> {
    let message = Message::by_name(row.message)?;
    Some((message, message.fields.iter().position(|field| field.name == row.field)?))
}

fn is_met(when: When, found: &Found<'_, '_>) -> bool {
    let number = match found.value {
        Value::Varint(value) | Value::Fixed64(value) => value,
        Value::Fixed32(value) => u64::from(value),
        Value::Bytes(bytes) => bytes.len() as u64,
    };
    match when {
        When::Set => number != 0,
        When::Is(value) => number == value,
        When::Bits(bits) => number & bits != 0,
        When::SetBut(usual) => number != 0 && number != usual,
        When::Named => matches!(found.value, Value::Bytes(name) if !name.is_empty() && !name.starts_with(b"CRIU:")),
        When::Called(text) => matches!(found.value, Value::Bytes(name) if name == text.as_bytes()),
    }
}

/// Another field of the message that a field is in.
fn bytes_of<'a>(found: &Found<'_, 'a>, field: &str) -> Option<Value<'a>> {
    let number = found.message.field(field)?.number;
    let values = Fields::new(found.within).filter_map(Result::ok);
    values.filter(|field| field.number == number).last().map(|field| field.value)
}

fn text(found: &Found<'_, '_>, field: &str) -> String {
    // of one that repeats, this one
    let own = found.field().filter(|own| own.name == field).map(|_| found.value);
    match own.or_else(|| bytes_of(found, field)) {
        Some(Value::Bytes(bytes)) => {
            let bytes = bytes.get(..LONGEST).unwrap_or(bytes);
            String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned()
        }
        Some(Value::Varint(value)) => value.to_string(),
        _ => String::new(),
    }
}
