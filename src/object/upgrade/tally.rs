//! What the fields of version 2 take in a bundle: the records of its images, field by field.

use std::collections::HashMap;

use crate::base::Result;
use crate::object::upgrade::schema::{Layout, Message, Type};
use crate::source::bundle::{Bundle, In};
use crate::wire::field::{self, Fields, Value};
use crate::wire::v2::ObjectHeader;

/// What was counted.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// By message and number of the field: how often it stands there, and its bytes, keys included.
    fields: HashMap<(&'static str, u32), (u64, u64)>,
    /// Bytes of headers of images and records.
    pub headers: u64,
    /// Records.
    pub records: u64,
    /// Objects, by the name of their message.
    objects: HashMap<&'static str, u64>,
}

/// Messages are nested so deep.
const DEPTH: u32 = 64;

impl Tally {
    /// Counts the records of one image.
    ///
    /// Errors: one of them is broken.
    pub fn image(&mut self, bundle: &Bundle, kind: u32, id: u64) -> Result<()> {
        for record in bundle.records(kind, id).unchecked() {
            self.record(&record?);
        }
        Ok(())
    }

    fn record(&mut self, record: &In<'_>) {
        let header = record.record.header;
        self.headers = self.headers.saturating_add(size_of::<ObjectHeader>() as u64);
        self.records = self.records.saturating_add(1);
        let Some((row, message)) = Type::by_number(header.object_type()).and_then(|row| Some((row, row.message?)))
        else {
            return;
        };
        let payload = record.record.payload;
        match row.layout {
            Layout::Single => self.object(message, payload),
            Layout::List => {
                for item in Fields::new(payload).map_while(|item| item.ok()) {
                    if let Value::Bytes(item) = item.value {
                        self.object(message, item);
                    }
                }
            }
            Layout::Array => {
                let size = payload.len().checked_div(usize::try_from(header.count()).unwrap_or(0)).unwrap_or(0);
                payload.chunks(size.max(1)).for_each(|item| self.object(message, item));
            }
            Layout::Empty => {}
        }
    }

    fn object(&mut self, message: &'static Message, bytes: &[u8]) {
        let count = self.objects.entry(message.name).or_default();
        *count = count.saturating_add(1);
        self.message(message, bytes, DEPTH);
    }

    fn message(&mut self, message: &'static Message, bytes: &[u8], depth: u32) {
        let Some(depth) = depth.checked_sub(1) else { return };
        let message = chosen(message, bytes);
        let mut hint = 0;
        for found in Fields::new(bytes).map_while(|found| found.ok()) {
            let position = message.position(found.number, hint);
            hint = position.map_or(hint, |position| position.saturating_add(1));
            let length = found.end.saturating_sub(found.start) as u64;
            let (count, total) = self.fields.entry((message.name, found.number)).or_default();
            (*count, *total) = (count.saturating_add(1), total.saturating_add(length));
            let field = position.and_then(|position| message.fields.get(position));
            if let (Some(inner), Value::Bytes(value)) = (field.and_then(|field| field.message), found.value) {
                self.message(inner, value, depth);
            }
        }
    }

    /// Adds what another one counted.
    #[must_use]
    pub fn join(mut self, other: Self) -> Self {
        for (field, (count, bytes)) in other.fields {
            let own = self.fields.entry(field).or_default();
            *own = (own.0.saturating_add(count), own.1.saturating_add(bytes));
        }
        for (name, count) in other.objects {
            let own = self.objects.entry(name).or_default();
            *own = own.saturating_add(count);
        }
        self.headers = self.headers.saturating_add(other.headers);
        self.records = self.records.saturating_add(other.records);
        self
    }

    /// How often a field stands there, and its bytes, by the name of its message and its number.
    pub fn of(&self, message: &str, number: u32) -> (u64, u64) {
        let found = self.fields.iter().find(|((name, known), _)| *name == message && *known == number);
        found.map_or((0, 0), |(_, counted)| *counted)
    }

    /// The same by the name of the field.
    pub fn named(&self, message: &str, field: &str) -> (u64, u64) {
        let field =
            Message::by_name(message).and_then(|message| message.fields.iter().find(|known| known.name == field));
        field.map_or((0, 0), |field| self.of(message, field.number))
    }

    /// How many objects of a message stand in records.
    pub fn objects(&self, message: &str) -> u64 {
        self.objects.get(message).copied().unwrap_or(0)
    }
}

fn chosen(message: &'static Message, bytes: &[u8]) -> &'static Message {
    let Some(choice) = message.choice else { return message };
    let value = field::last_varint(bytes, choice.v2).ok().flatten();
    let table = choice.tables.iter().find(|(known, _)| Some(*known) == value);
    table.map_or(message, |(_, table)| table)
}
