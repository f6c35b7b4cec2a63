//! What is odd about a message that is sound: fields and values that this version does not know, numbers too long for
//! their fields, fields that stand twice.

use crate::image::Entry;
use crate::object::references::Path;
use crate::object::schema::{Label, Message, Type};
use crate::wire::field::{Fields, Value};

/// Something odd.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Oddity {
    /// A field with this number, which the message does not have.
    UnknownField(u32),
    /// A number that its enum has no name for.
    UnknownValue(i64),
    /// A number that its field has no room for; what does not fit is dropped.
    TooLong(u64),
    /// A field that stands once, and is there again: the last one counts.
    Again,
}

impl Entry<'_> {
    /// Hands out what is odd about its message: what it is, in which message, in which field ([`None`] for one that is
    /// not known at the top). What is broken ends it: [`check`](Self::check) says what.
    pub fn oddities(&self, visit: &mut dyn FnMut(Oddity, &'static Message, Option<&Path<'_>>)) {
        if let Ok(schema) = self.schema() {
            walk(schema, self.message(), self.image().limits().depth, None, visit);
        }
    }
}

fn walk(
    message: &'static Message,
    bytes: &[u8],
    depth: u32,
    outer: Option<&Path<'_>>,
    visit: &mut dyn FnMut(Oddity, &'static Message, Option<&Path<'_>>),
) {
    let Some(depth) = depth.checked_sub(1) else { return };
    let (mut seen, mut hint) = (0u64, 0usize);
    for found in Fields::new(bytes) {
        let Ok(found) = found else { return };
        let known = message.position(found.number, hint);
        let Some((position, field)) = known.and_then(|at| Some((at, message.fields.get(at)?))) else {
            visit(Oddity::UnknownField(found.number), message, outer);
            continue;
        };
        let once = matches!(field.label, Label::Required | Label::Optional);
        hint = if once { position.wrapping_add(1) } else { position };
        let bit = 1u64 << (position & 63);
        if once && seen & bit != 0 {
            visit(Oddity::Again, message, Some(&Path::of(outer, field)));
        }
        seen |= bit;
        match (field.ty, found.value) {
            (Type::Message(inner), Value::Bytes(value)) => {
                walk(inner, value, depth, Some(&Path::of(outer, field)), visit);
            }
            (ty, Value::Varint(value)) => {
                if let Some(oddity) = number(ty, value) {
                    visit(oddity, message, Some(&Path::of(outer, field)));
                }
            }
            _ => {}
        }
    }
}

#[inline]
fn number(ty: Type, value: u64) -> Option<Oddity> {
    let signed = value.cast_signed();
    match ty {
        Type::Uint32 | Type::Sint32 => u32::try_from(value).is_err().then_some(Oddity::TooLong(value)),
        // CRIU writes negative ones with all 64 bits
        Type::Int32 => i32::try_from(signed).is_err().then_some(Oddity::TooLong(value)),
        Type::Enum(known) => match i32::try_from(signed) {
            Ok(number) if known.name_of(number).is_some() => None,
            _ => Some(Oddity::UnknownValue(signed)),
        },
        _ => None,
    }
}
