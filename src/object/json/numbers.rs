//! Objects of plain numbers as crit writes them, to the wire by the shortest way: pagemaps are made of nothing else.
//! Anything else is left to what reads all JSON.

use crate::object::json::digits::digits;
use crate::object::json::integer::Number;
use crate::object::schema::{Field, Message, Type};
use crate::wire::varint;

/// Bytes that [`read`] needs for a message.
#[inline]
pub(crate) fn room(message: &Message) -> usize {
    // a key of one byte, of which there are fifteen, and a number of ten
    message.fields.len().min(15).wrapping_mul(11)
}

/// Reads an object at the start of `text` to the start of `place`, which has [`room`]: a `message` of numbers that
/// stand once, keys in ascending order, none that is required missing. Gives the length of both.
#[inline]
pub(crate) fn read(text: &[u8], message: &'static Message, place: &mut [u8]) -> Option<(usize, usize)> {
    let [b'{', ..] = text else { return None };
    let mut at = 1usize;
    let mut filled = 0usize;
    let mut fields = message.fields;
    let mut seen = 0u64;
    loop {
        let rest = text.get(at..)?;
        let skipped = fields.iter().position(|field| field.tag != 0 && begins(rest, field))?;
        let (field, behind) = fields.get(skipped..)?.split_first()?;
        seen |= 1 << message.fields.len().wrapping_sub(fields.len()).wrapping_add(skipped);
        fields = behind;
        let number = rest.get(field.key().len()..)?;
        let (value, length) = match number {
            [one @ b'0'..=b'9', b',' | b'}', ..] => (u64::from(one & 0xf), 1),
            _ => digits(number),
        };
        // zeros in front are no number of JSON's, and twenty digits may be more than fit
        if !(1..=19).contains(&length) || (length > 1 && number.first() == Some(&b'0')) {
            return None;
        }
        let raw = match field.ty {
            Type::Uint64 => value,
            Type::Uint32 => u64::from(u32::try_from(value).ok()?),
            ty => Number::to_wire(ty, i128::from(value))?,
        };
        let (tag, rest) = place.get_mut(filled..)?.split_first_mut()?;
        *tag = field.tag;
        filled = filled.wrapping_add(1).wrapping_add(varint::write_word(rest.first_chunk_mut()?, raw));
        at = at.wrapping_add(field.key().len()).wrapping_add(length);
        match text.get(at..)? {
            [b',', b' ', ..] => at = at.wrapping_add(2),
            [b'}', ..] => break,
            _ => return None,
        }
    }
    (message.required & !seen == 0).then_some((at.wrapping_add(1), filled))
}

/// Whether the text begins with the field's key. Sixteen bytes are compared together: a call would cost more.
#[inline(always)]
fn begins(text: &[u8], field: &Field) -> bool {
    let length = field.key().len();
    let (Some(start), Some(key)) = (text.first_chunk(), field.short_key.get(2..18).and_then(|key| key.first_chunk()))
    else {
        return text.starts_with(field.key());
    };
    let differ = u128::from_le_bytes(*start) ^ u128::from_le_bytes(*key);
    let same = (differ.trailing_zeros() >> 3) as usize;
    same >= length || (same == 16 && text.starts_with(field.key()))
}
