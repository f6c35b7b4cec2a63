//! A message on the wire, its fields asked for by name: for whoever needs a few fields of many entries.
//!
//! Nothing is decoded, nothing allocated. A field that is missing, or behind a place where the message is broken, is
//! not there; [`Entry::check`](crate::Entry::check) says what is wrong.

use crate::base::Result;
use crate::image::Entry;
use crate::object::schema::{Field, Message, Type};
use crate::wire::field::{Fields, Value};
use crate::wire::varint;

/// A message and its schema.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    schema: &'static Message,
    bytes: &'a [u8],
}

impl<'a> Look<'a> {
    /// The message of this schema that fills `bytes`.
    pub fn new(schema: &'static Message, bytes: &'a [u8]) -> Self {
        Self { schema, bytes }
    }

    /// Name of the message.
    pub fn name(&self) -> &'static str {
        self.schema.name
    }

    fn field(&self, name: &str) -> Option<&'static Field> {
        let field = self.schema.field(name);
        debug_assert!(field.is_some(), "{} has no field {name}", self.schema.name);
        field
    }

    /// The values of one field, in their order.
    fn values(self, number: u32) -> impl Iterator<Item = Value<'a>> {
        let fields = Fields::new(self.bytes).map_while(Result::ok);
        fields.filter(move |field| field.number == number).map(|field| field.value)
    }

    /// The last value, as protobuf merges.
    fn last(&self, name: &str) -> Option<(Type, Value<'a>)> {
        let field = self.field(name)?;
        Some((field.ty, self.values(field.number).last()?))
    }

    /// Names of the fields that are there and known, in their order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<'a> {
        let schema = self.schema;
        let fields = Fields::new(self.bytes).map_while(Result::ok);
        fields.filter_map(move |field| Some(schema.fields.get(schema.position(field.number, 0)?)?.name))
    }

    /// Whether the field is there.
    pub fn has(&self, name: &str) -> bool {
        self.last(name).is_some()
    }

    /// A number, cut to the bits of its field; one below zero has its upper bits set.
    pub fn number(&self, name: &str) -> Option<u64> {
        let (ty, value) = self.last(name)?;
        number(ty, value)
    }

    /// A number of a field that fits 32 bits.
    pub fn word(&self, name: &str) -> Option<u32> {
        Some(low(self.number(name)?))
    }

    /// A number that may be below zero.
    pub fn signed(&self, name: &str) -> Option<i64> {
        self.number(name).map(u64::cast_signed)
    }

    /// Whether the field is there and true.
    pub fn flag(&self, name: &str) -> bool {
        self.number(name).is_some_and(|value| value != 0)
    }

    /// A string, or bytes.
    pub fn bytes(&self, name: &str) -> Option<&'a [u8]> {
        match self.last(name)?.1 {
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// A message inside; of several the last.
    pub fn inner(&self, name: &str) -> Option<Look<'a>> {
        match self.last(name)? {
            (Type::Message(schema), Value::Bytes(bytes)) => Some(Self { schema, bytes }),
            _ => None,
        }
    }

    /// All messages in a field that repeats.
    pub fn inners(&self, name: &str) -> impl Iterator<Item = Look<'a>> + use<'a> {
        let field = self.field(name).and_then(|field| match field.ty {
            Type::Message(schema) => Some((field.number, schema)),
            _ => None,
        });
        let look = *self;
        field.into_iter().flat_map(move |(number, schema)| {
            look.values(number).filter_map(move |value| match value {
                Value::Bytes(bytes) => Some(Self { schema, bytes }),
                _ => None,
            })
        })
    }

    /// All strings, or bytes, in a field that repeats.
    pub fn texts(&self, name: &str) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let look = *self;
        self.field(name).into_iter().flat_map(move |field| {
            look.values(field.number).filter_map(|value| match value {
                Value::Bytes(bytes) => Some(bytes),
                _ => None,
            })
        })
    }

    /// All numbers in a field that repeats, packed or not.
    pub fn numbers(&self, name: &str) -> impl Iterator<Item = u64> + use<'a> {
        let look = *self;
        self.field(name).into_iter().flat_map(move |field| {
            let ty = field.ty;
            look.values(field.number).flat_map(move |value| {
                let (packed, one) = match value {
                    Value::Bytes(bytes) if ty.wire_type() == 0 => (bytes, None),
                    value => (&[][..], number(ty, value)),
                };
                one.into_iter().chain(packed_numbers(ty, packed))
            })
        })
    }
}

fn packed_numbers(ty: Type, bytes: &[u8]) -> impl Iterator<Item = u64> {
    let mut at = 0;
    std::iter::from_fn(move || {
        if at >= bytes.len() {
            return None;
        }
        let (value, end) = varint::read(bytes, at).ok()?;
        at = end;
        number(ty, Value::Varint(value))
    })
}

/// The low 32 bits.
fn low(value: u64) -> u32 {
    let [a, b, c, d, ..] = value.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

fn number(ty: Type, value: Value<'_>) -> Option<u64> {
    let value = match value {
        Value::Varint(value) | Value::Fixed64(value) => value,
        Value::Fixed32(value) => u64::from(value),
        Value::Bytes(_) => return None,
    };
    Some(match ty {
        Type::Uint32 | Type::Fixed32 => u64::from(low(value)),
        Type::Int32 | Type::Enum(_) => i64::from(low(value).cast_signed()).cast_unsigned(),
        Type::Sint32 => {
            let value = u64::from(low(value));
            (value >> 1) ^ (value & 1).wrapping_neg()
        }
        Type::Sint64 => (value >> 1) ^ (value & 1).wrapping_neg(),
        Type::Bool => u64::from(value != 0),
        _ => value,
    })
}

impl<'a> Entry<'a> {
    /// Its message, to ask for fields by their names.
    ///
    /// Errors: images of this kind have no messages.
    pub fn look(&self) -> Result<Look<'a>> {
        Ok(Look::new(self.schema()?, self.message()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look<'a>(message: &str, bytes: &'a [u8]) -> Look<'a> {
        Look::new(Message::by_name(message).unwrap(), bytes)
    }

    #[test]
    fn fields_by_name() {
        // id 7, mnt_id -1, name "/a", twice pos: the last counts
        let bytes = [0x08, 7, 0x18, 1, 0x18, 2, 0x32, 2, b'/', b'a', 0x38, 1];
        let reg = look("reg_file_entry", &bytes);
        assert_eq!((reg.word("id"), reg.number("pos"), reg.signed("mnt_id")), (Some(7), Some(2), Some(-1)));
        assert_eq!((reg.bytes("name"), reg.has("size"), reg.inner("fown").is_none()), (Some(&b"/a"[..]), false, true));
    }

    #[test]
    fn repeated_and_packed() {
        let scm = [0x08, 1, 0x10, 5, 0x12, 2, 6, 7];
        assert_eq!(look("scm_entry", &scm).numbers("rights").collect::<Vec<_>>(), [5, 6, 7]);
        let file = [0x08, 2, 0x10, 9, 0x92, 0x01, 2, 0x08, 9];
        let pipe = look("file_entry", &file).inner("pipe").unwrap();
        assert_eq!((pipe.name(), pipe.word("id")), ("pipe_entry", Some(9)));
        assert_eq!(look("file_entry", &file).inners("pipe").count(), 1);
    }

    #[test]
    fn broken_ones_end() {
        for cut in 0..12 {
            let bytes = [0x08, 7, 0x18, 1, 0x18, 2, 0x32, 2, b'/', b'a', 0x38, 1];
            let reg = look("reg_file_entry", &bytes[..cut]);
            let _ = (reg.number("id"), reg.bytes("name"), reg.signed("mnt_id"));
        }
    }
}
