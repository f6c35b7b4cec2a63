//! Every field of a message, however deep, by the schema: for questions that are tables of fields.

use crate::object::schema::{Field, Message, Type};
use crate::wire::field::{Fields, Value};

/// A field as it stands in a message.
#[derive(Clone, Copy, Debug)]
pub struct Found<'v, 'a> {
    /// The message it is in.
    pub message: &'static Message,
    /// All bytes of that message.
    pub within: &'a [u8],
    /// Its number.
    pub number: u32,
    /// Its position among the fields of the message; `None` if the schema does not know it.
    pub position: Option<usize>,
    /// Its value.
    pub value: Value<'a>,
    /// Bytes of its key, and of the length where it has one.
    pub key: usize,
    /// Bytes it takes, the key included.
    pub bytes: usize,
    /// The fields that lead to the message, from the outermost.
    pub path: &'v [&'static Field],
}

impl Found<'_, '_> {
    /// What the schema knows of it.
    pub fn field(&self) -> Option<&'static Field> {
        self.message.fields.get(self.position?)
    }

    /// Its name behind those that lead to it: `reg.mnt_id`.
    pub fn name(&self) -> String {
        let mut name = String::new();
        for field in self.path {
            name.push_str(field.name);
            name.push('.');
        }
        match self.field() {
            Some(field) => name.push_str(field.name),
            None => name.push_str(&self.number.to_string()),
        }
        name
    }
}

/// Hands out every field of a message and, behind it, the fields of the message in it; as they stand. Ends without an
/// error where the bytes are broken or messages are nested more than `depth` deep: checking tells that.
pub fn visit<'a>(message: &'static Message, bytes: &'a [u8], depth: u32, each: &mut impl FnMut(&Found<'_, 'a>)) {
    walk(message, bytes, depth, &mut Vec::new(), each);
}

fn walk<'a>(
    message: &'static Message,
    within: &'a [u8],
    depth: u32,
    path: &mut Vec<&'static Field>,
    each: &mut impl FnMut(&Found<'_, 'a>),
) {
    let Some(depth) = depth.checked_sub(1) else { return };
    let mut hint = 0;
    for field in Fields::new(within) {
        let Ok(found) = field else { return };
        let position = message.position(found.number, hint);
        hint = position.map_or(hint, |position| position.wrapping_add(1));
        let key = found.body.saturating_sub(found.start);
        let bytes = found.end.saturating_sub(found.start);
        each(&Found { message, within, number: found.number, position, value: found.value, key, bytes, path });
        let known = position.and_then(|position| message.fields.get(position));
        if let (Some(field), Value::Bytes(inner)) = (known, found.value)
            && let Type::Message(of) = field.ty
        {
            path.push(field);
            walk(of, inner, depth, path, each);
            path.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_into_messages() {
        let message = Message::by_name("file_entry").unwrap();
        // type 1, id 2, reg (3) { id 5, mnt_id (7) -1 }, and a field that nobody knows
        let bytes = [8, 1, 16, 2, 26, 4, 8, 5, 56, 1, 0xf8, 0x3f, 9];
        let mut seen = Vec::new();
        visit(message, &bytes, 10, &mut |found| seen.push((found.name(), found.key, found.bytes)));
        let seen: Vec<_> = seen.iter().map(|(name, key, bytes)| (name.as_str(), *key, *bytes)).collect();
        assert_eq!(
            seen,
            [("type", 1, 2), ("id", 1, 2), ("reg", 2, 6), ("reg.id", 1, 2), ("reg.mnt_id", 1, 2), ("1023", 2, 3)]
        );
        let mut shallow = 0;
        visit(message, &bytes, 1, &mut |_| shallow += 1);
        assert_eq!(shallow, 4);
        let mut cut = 0;
        visit(message, &bytes[..7], 10, &mut |_| cut += 1);
        assert_eq!(cut, 2);
    }
}
