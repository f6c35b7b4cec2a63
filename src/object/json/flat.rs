//! Messages of plain numbers in the compact form, by the shortest way: pagemaps are made of nothing else. Anything
//! else is left to what writes all messages.

use crate::object::json::integer::{self, Number};
use crate::object::schema::{Message, Type};
use crate::wire::varint;

/// Room for a key, a number and what is between fields, all copied as whole arrays.
const FIELD: usize = 32 + 24 + 2;

/// Bytes that [`write()`] needs for this message.
#[inline]
pub(crate) fn room(bytes: &[u8]) -> usize {
    // a key and a value take two bytes, and keys of one byte are at most fifteen
    (bytes.len() / 2).min(15).wrapping_mul(FIELD).wrapping_add(2)
}

/// Appends `bytes` as a JSON object if they are a `message` of numbers that stand once, in ascending order, with keys
/// of one byte, and none that is required is missing. Else appends nothing and says so.
#[inline]
pub(crate) fn object(out: &mut Vec<u8>, message: &'static Message, bytes: &[u8]) -> bool {
    let mark = out.len();
    out.resize(mark.saturating_add(room(bytes)), 0);
    let written = out.get_mut(mark..).and_then(|place| write(place, message, bytes));
    out.truncate(mark.saturating_add(written.unwrap_or(0)));
    written.is_some()
}

/// What [`object`] appends, written to the start of `place`, which has [`room`]; gives its length. The text is written
/// where it stays: what was just stored in small pieces is slow to copy.
#[inline]
pub(crate) fn write(place: &mut [u8], message: &'static Message, bytes: &[u8]) -> Option<usize> {
    *place.first_mut()? = b'{';
    let mut filled = 1usize;
    let mut fields = message.fields;
    let mut seen = 0u64;
    let mut at = 0usize;
    while let Some(&tag) = bytes.get(at) {
        // 0 is no key, and the tag of what cannot go this way
        let skipped = fields.iter().position(|field| field.tag == tag && tag != 0)?;
        let (field, rest) = fields.get(skipped..)?.split_first()?;
        seen |= 1 << message.fields.len().wrapping_sub(fields.len()).wrapping_add(skipped);
        fields = rest;
        let (raw, end) = value(bytes, at.wrapping_add(1))?;
        at = end;
        let room: &mut [u8; FIELD] = place.get_mut(filled..)?.first_chunk_mut()?;
        *room.first_chunk_mut::<30>()? = *field.short_key.last_chunk()?;
        let length = field.next_key.len().wrapping_sub(2);
        let room: &mut [u8; 26] = room.get_mut(length..)?.first_chunk_mut()?;
        let number = match field.ty {
            Type::Uint64 => decimal(room, raw),
            Type::Uint32 => decimal(room, u64::from(integer::low(raw))),
            ty => match Number::from_wire(ty, raw) {
                Number::Unsigned(value) => decimal(room, value),
                Number::Signed(value @ 0..) => decimal(room, value.unsigned_abs()),
                Number::Signed(value) => {
                    room[0] = b'-';
                    decimal(room.last_chunk_mut::<25>()?, value.unsigned_abs()).wrapping_add(1)
                }
            },
        };
        *room.get_mut(number..)?.first_chunk_mut()? = *b", ";
        filled = filled.wrapping_add(length).wrapping_add(number).wrapping_add(2);
    }
    if seen == 0 || message.required & !seen != 0 {
        return None;
    }
    *place.get_mut(filled.wrapping_sub(2))? = b'}';
    Some(filled.wrapping_sub(1))
}

#[inline(always)]
fn value(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    match bytes.get(at..)? {
        [byte @ 0..0x80, ..] => Some((u64::from(*byte), at.wrapping_add(1))),
        rest => match rest.first_chunk().and_then(varint::read_word) {
            Some((value, length)) => Some((value, at.wrapping_add(length))),
            None => varint::read(bytes, at).ok(),
        },
    }
}

/// Writes `value` at the start of `place` and gives its length.
#[inline]
fn decimal<const N: usize>(place: &mut [u8; N], value: u64) -> usize {
    const EIGHT: u64 = 100_000_000;
    if value < 10 {
        if let Some(place) = place.first_mut() {
            *place = b'0' | (value & 0xf) as u8;
        }
        return 1;
    }
    if value < EIGHT {
        return leading(place, value);
    }
    let (high, low) = (value / EIGHT, value % EIGHT);
    let length = if high < EIGHT {
        leading(place, high)
    } else {
        let length = leading(place, high / EIGHT);
        following(place, length, high % EIGHT)
    };
    following(place, length, low)
}

/// At most eight digits, without zeros in front. No branch depends on how many: nothing would foretell it.
#[inline]
fn leading<const N: usize>(place: &mut [u8; N], value: u64) -> usize {
    let digits = eight_digits(value);
    let zeros = (digits | 1 << 56).trailing_zeros() & !7;
    if let Some(place) = place.first_chunk_mut() {
        *place = ((digits | ZEROS) >> zeros).to_le_bytes();
    }
    8usize.wrapping_sub((zeros >> 3) as usize)
}

/// Eight more digits.
#[inline]
fn following<const N: usize>(place: &mut [u8; N], at: usize, value: u64) -> usize {
    if let Some(place) = place.get_mut(at..).and_then(|place| place.first_chunk_mut()) {
        *place = (eight_digits(value) | ZEROS).to_le_bytes();
    }
    at.wrapping_add(8)
}

const ZEROS: u64 = u64::from_le_bytes(*b"00000000");

/// The eight digits of a number below 10^8, the first in the lowest byte: cut in halves, quarters and single ones, all
/// in one word.
#[inline]
fn eight_digits(value: u64) -> u64 {
    let halves = (value / 10_000) | ((value % 10_000) << 32);
    let hundreds = (halves.wrapping_mul(10_486) >> 20) & 0x0000_007f_0000_007f;
    let quarters = hundreds | (halves.wrapping_sub(hundreds.wrapping_mul(100)) << 16);
    let tens = (quarters.wrapping_mul(103) >> 10) & 0x000f_000f_000f_000f;
    tens | (quarters.wrapping_sub(tens.wrapping_mul(10)) << 8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_only() {
        let pagemap = Message::by_name("pagemap_entry").unwrap();
        let text = |bytes: &[u8]| {
            let mut out = b"before".to_vec();
            let whole = object(&mut out, pagemap, bytes);
            whole.then(|| String::from_utf8(out.split_off(6)).unwrap()).ok_or(out)
        };
        assert_eq!(
            text(&[8, 16, 16, 0, 32, 4]).as_deref(),
            Ok("{\"vaddr\": 16, \"compat_nr_pages\": 0, \"flags\": 4}")
        );
        let left: [&[u8]; 8] = [
            &[],
            &[8, 16, 16, 0, 0, 1],
            &[8, 16],
            &[8, 16, 16],
            &[16, 0, 8, 16],
            &[8, 16, 16, 0, 24, 1],
            &[8, 1, 8, 1],
            &[8, 1, 16, 0, 56, 1],
        ];
        for bytes in left {
            assert_eq!(text(bytes), Err(b"before".to_vec()), "{bytes:?}");
        }
        // more than one line, negative numbers
        let autofs = Message::by_name("autofs_entry").unwrap();
        let minus = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        let bytes: Vec<u8> = (1..=9).flat_map(|number| [&[number << 3][..], &minus].concat()).collect();
        let mut out = Vec::new();
        assert!(object(&mut out, autofs, &bytes));
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(value.as_object().unwrap().len(), 9);
        assert!(value.as_object().unwrap().values().all(|value| *value == -1), "{value}");
    }

    proptest! {
        #[test]
        fn decimals(value: u64, shift in 0u32..64) {
            let value = value >> shift;
            let mut place = [0; 24];
            let length = decimal(&mut place, value);
            prop_assert_eq!(std::str::from_utf8(&place[..length]).unwrap(), value.to_string());
        }
    }
}
