//! Where each field of version 1 is in version 2, by the tables: for who compares what both take.

use crate::object::schema::{Label, MESSAGES, Message as V1Message, Type};
use crate::object::upgrade::number;
use crate::object::upgrade::schema::{self, Field, Message, Place};
use crate::wire::field::Value;

/// What becomes of a field.
#[derive(Clone, Copy, Debug)]
enum To {
    /// Nothing: it always has this value.
    Gone(u64),
    /// This field of this message.
    Field(&'static str, &'static Field),
    /// What is in it stands where it stood itself.
    Inside,
}

/// Where each field of version 1 is, by message and position; a message may become several.
#[derive(Debug)]
pub struct Places(Vec<Vec<Vec<To>>>);

/// Messages are nested so deep in the tables.
const DEPTH: u32 = 16;

impl Places {
    /// Reads the tables.
    pub fn new() -> Self {
        let mut places = Self(MESSAGES.iter().map(|message| vec![Vec::new(); message.fields.len()]).collect());
        for table in Message::all() {
            places.table(table);
            let others = table.choice.map(|choice| choice.tables).unwrap_or_default();
            others.iter().for_each(|(_, table)| places.table(table));
        }
        places
    }

    fn table(&mut self, table: &'static Message) {
        if let Some(v1) = V1Message::by_name(table.v1) {
            self.node(table, 0, v1, DEPTH);
        }
    }

    fn node(&mut self, table: &'static Message, node: usize, v1: &'static V1Message, depth: u32) {
        let (Some(node), Some(depth)) = (table.nodes.get(node), depth.checked_sub(1)) else { return };
        for row in node.rows {
            let Some(position) = v1.position(row.number, 0) else { continue };
            let to = match row.place {
                Place::Constant(value) => To::Gone(value),
                Place::Field(at) => match table.fields.get(usize::from(at)) {
                    Some(field) => To::Field(table.name, field),
                    None => continue,
                },
                Place::Node(inner) => {
                    if let Some(Type::Message(of)) = v1.fields.get(position).map(|field| field.ty) {
                        self.node(table, usize::from(inner), of, depth);
                    }
                    To::Inside
                }
            };
            if let Some(places) = self.0.get_mut(v1.index).and_then(|fields| fields.get_mut(position)) {
                places.push(to);
            }
        }
    }

    fn of(&self, message: &V1Message, position: usize) -> &[To] {
        self.0.get(message.index).and_then(|fields| fields.get(position)).map_or(&[], Vec::as_slice)
    }

    /// Bytes that version 2 takes for a value, its key included: as many as before, where no table says.
    pub fn bytes(&self, message: &V1Message, position: usize, value: &Value<'_>, before: usize) -> u64 {
        let before = before as u64;
        match self.of(message, position).first() {
            None => before,
            // counted where it stands
            Some(To::Inside) => 0,
            Some(To::Gone(always)) => {
                if *value == Value::Varint(*always) {
                    0
                } else {
                    before
                }
            }
            Some(To::Field(_, field)) => {
                let is_constant = field.constant.is_some_and(|constant| *value == Value::Varint(constant));
                let is_packed = message.fields.get(position).is_some_and(|field| field.label == Label::Packed);
                match (is_constant, is_packed) {
                    (true, _) => 0,
                    (_, true) => before,
                    _ => bytes(field, value).unwrap_or(before),
                }
            }
        }
    }

    /// The fields of version 2 that a field of version 1 becomes: message and number.
    pub fn fields(&self, message: &str, field: &str) -> Vec<(&'static str, u32)> {
        let Some(message) = V1Message::by_name(message) else { return Vec::new() };
        let Some(position) = message.fields.iter().position(|known| known.name == field) else { return Vec::new() };
        let fields = self.of(message, position).iter().filter_map(|to| match to {
            To::Field(message, field) => Some((*message, field.number)),
            To::Gone(_) | To::Inside => None,
        });
        fields.collect()
    }

    /// Whether version 2 has nothing in its place.
    pub fn is_gone(&self, message: &str, field: &str) -> bool {
        let Some(message) = V1Message::by_name(message) else { return false };
        let position = message.fields.iter().position(|known| known.name == field);
        let places = position.map(|position| self.of(message, position)).unwrap_or_default();
        !places.is_empty() && places.iter().all(|to| matches!(to, To::Gone(_)))
    }

    /// Whether a field is an id, of the one space of them that version 2 has.
    pub fn is_id(&self, message: &V1Message, position: usize) -> bool {
        let is_id = |to: &To| matches!(to, To::Field(_, field) if field.class != 0 || field.class_by.is_some());
        self.of(message, position).iter().any(is_id)
    }

    /// Bytes each number of a field has in version 2, where it is as wide as its type; 0 where its width follows from
    /// its value.
    pub fn width(&self, message: &V1Message, position: usize) -> u64 {
        match self.of(message, position).first() {
            Some(To::Field(_, field)) => match field.to {
                schema::To::Fixed32 => 4,
                schema::To::Fixed64 => 8,
                schema::To::Bytes => u64::from(field.width),
                _ => 0,
            },
            _ => 0,
        }
    }
}

impl Default for Places {
    fn default() -> Self {
        Self::new()
    }
}

fn varint(value: u64) -> u64 {
    u64::from(70u32.saturating_sub(value.leading_zeros()).div_euclid(7)).max(1)
}

/// Bytes of a field in version 2, its key included. Of repeated numbers the key is that of the first: not counted.
fn bytes(field: &Field, value: &Value<'_>) -> Option<u64> {
    let is_array =
        field.width > 0 || (field.is_repeated && !matches!(field.to, schema::To::Bytes | schema::To::Message));
    let key = if is_array { 0 } else { varint(u64::from(field.number) << 3) };
    let content = match value {
        // a message's fields are counted where they stand
        Value::Bytes(bytes) if field.message.is_some() => varint(bytes.len() as u64),
        Value::Bytes(bytes) => varint(bytes.len() as u64).saturating_add(bytes.len() as u64),
        _ => {
            let number = number::up(field, value)?;
            let number = if field.class_by.is_some() { number::with_class(number, 1)? } else { number };
            match field.to {
                schema::To::Fixed32 => 4,
                schema::To::Fixed64 => 8,
                schema::To::Bytes => u64::from(field.width),
                _ => varint(number),
            }
        }
    };
    Some(key.saturating_add(content))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_tables_say() {
        let places = Places::new();
        assert!(places.is_gone("vma_entry", "fd") && places.is_gone("eventpoll_tfd_entry", "id"));
        assert!(!places.is_gone("vma_entry", "start"));
        assert_eq!(places.fields("vma_entry", "start").first().map(|(message, _)| *message), Some("Vma"));
        let pipe = V1Message::by_name("pipe_entry").unwrap();
        let position = |name: &str| pipe.fields.iter().position(|field| field.name == name).unwrap();
        assert!(places.is_id(pipe, position("id")) && !places.is_id(pipe, position("flags")));
        // 3 as an id of a class is 3 * 64 and a bit: two bytes instead of one
        assert_eq!(places.bytes(pipe, position("id"), &Value::Varint(3), 2), 3);
        let vma = V1Message::by_name("vma_entry").unwrap();
        let fd = vma.fields.iter().position(|field| field.name == "fd").unwrap();
        assert_eq!(places.bytes(vma, fd, &Value::Varint(1), 2), 0);
        assert_eq!(places.bytes(vma, fd, &Value::Varint(4), 2), 2);
        for (value, length) in [(0, 1), (127, 1), (128, 2), (u64::from(u32::MAX), 5), (u64::MAX, 10)] {
            assert_eq!(varint(value), length, "{value}");
        }
    }
}
