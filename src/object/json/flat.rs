//! Messages of plain numbers in the compact form, by the shortest way: pagemaps are made of nothing else. Anything
//! else is left to what writes all messages.

use crate::object::json::integer::Number;
use crate::object::schema::{Message, Type};
use crate::wire::varint;

/// Room for a key and a number, both copied as whole arrays.
const FIELD: usize = 32 + 20;
/// Put together here, then copied at once.
const LINE: usize = 4 * FIELD + 1;

/// Appends `bytes` as a JSON object if they are a `message` of numbers that stand once, in ascending order, with keys
/// of one byte, and none that is required is missing. Else appends nothing and says so.
#[inline]
pub(crate) fn object(out: &mut Vec<u8>, message: &'static Message, bytes: &[u8]) -> bool {
    let mark = out.len();
    let is_whole = members(out, message, bytes).is_some();
    if !is_whole {
        out.truncate(mark);
    }
    is_whole
}

#[inline]
fn members(out: &mut Vec<u8>, message: &'static Message, bytes: &[u8]) -> Option<()> {
    let mut line = [0; LINE];
    // the first key has a comma and a space before it as well: the bracket takes the place of the space
    let mut start = 1usize;
    let mut filled = 0usize;
    let mut fields = message.fields;
    let mut seen = 0u64;
    let mut at = 0usize;
    while let Some(&tag) = bytes.get(at) {
        // 0 is no key, and the tag of what cannot go this way
        let skipped = fields.iter().position(|field| field.tag == tag && tag != 0)?;
        let (field, rest) = fields.get(skipped..)?.split_first()?;
        seen |= 1 << message.fields.len().wrapping_sub(fields.len()).wrapping_add(skipped);
        fields = rest;
        let (raw, end) = varint::read(bytes, at.wrapping_add(1)).ok()?;
        at = end;
        if filled >= LINE - FIELD {
            bracket(&mut line, start);
            out.extend_from_slice(line.get(start..filled)?);
            (start, filled) = (0, 0);
        }
        *line.get_mut(filled..)?.first_chunk_mut()? = field.short_key;
        filled = filled.wrapping_add(field.next_key.len());
        let (negative, value) = match field.ty {
            Type::Uint64 => (false, raw),
            ty => match Number::from_wire(ty, raw) {
                Number::Unsigned(value) => (false, value),
                Number::Signed(value) => (value < 0, value.unsigned_abs()),
            },
        };
        if negative {
            *line.get_mut(filled)? = b'-';
            filled = filled.wrapping_add(1);
        }
        filled = filled.wrapping_add(decimal(line.get_mut(filled..)?.first_chunk_mut()?, value));
    }
    if seen == 0 || message.required & !seen != 0 {
        return None;
    }
    bracket(&mut line, start);
    *line.get_mut(filled)? = b'}';
    out.extend_from_slice(line.get(start..filled.wrapping_add(1))?);
    Some(())
}

#[inline]
fn bracket(line: &mut [u8; LINE], start: usize) {
    if start == 1 {
        line[1] = b'{';
    }
}

/// Writes `value` at the start of `place` and gives its length.
#[inline]
fn decimal(place: &mut [u8; 20], value: u64) -> usize {
    let length = value.checked_ilog10().map_or(1, |log| log as usize + 1);
    let mut rest = value;
    let mut end = length;
    while let [.., tens, ones] = place.get_mut(..end).unwrap_or_default() {
        let pair = PAIRS.get((rest % 100) as usize).copied().unwrap_or_default();
        [*tens, *ones] = pair;
        rest /= 100;
        end = end.wrapping_sub(2);
    }
    if let [one] = place.get_mut(..end).unwrap_or_default() {
        *one = b'0' | (rest % 10) as u8;
    }
    length
}

/// `00` to `99`.
#[allow(clippy::indexing_slicing, clippy::cast_possible_truncation)]
static PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut value = 0;
    while value < 100 {
        pairs[value] = [b'0' + value as u8 / 10, b'0' + value as u8 % 10];
        value += 1;
    }
    pairs
};

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
            let mut place = [0; 20];
            let length = decimal(&mut place, value);
            prop_assert_eq!(std::str::from_utf8(&place[..length]).unwrap(), value.to_string());
        }
    }
}
