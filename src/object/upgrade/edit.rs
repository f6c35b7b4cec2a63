//! Small changes of V1 messages on the wire: fields taken out, put in, replaced. All other bytes stay as they are.

use crate::base::{Error, Result};
use crate::object::upgrade::schema::FILLED_BY_CODE;
use crate::object::upgrade::write;
use crate::wire::WireError;
use crate::wire::field::{Fields, Value};
use crate::wire::varint;

/// What becomes of the fields with one number: these bytes stand where they were.
pub(crate) struct Change {
    pub(super) number: u32,
    bytes: Vec<u8>,
}

impl Change {
    /// The field is gone.
    pub(crate) fn drop(number: u32) -> Self {
        Self { number, bytes: Vec::new() }
    }

    /// A number on the wire, wherever a field with this number belongs.
    pub(crate) fn number(number: u32, value: u64) -> Self {
        let mut bytes = Vec::new();
        write::key(&mut bytes, number, 0);
        varint::write(&mut bytes, value);
        Self { number, bytes }
    }

    /// Bytes or a message.
    pub(crate) fn bytes(number: u32, value: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(value.len().saturating_add(12));
        write::bytes(&mut bytes, number, value);
        Self { number, bytes }
    }
}

/// The message with some fields changed; `changes` ascend by number, and each goes where it would stand in a message
/// whose fields ascend.
///
/// Errors: it is no protobuf message.
pub(crate) fn patch(message: &[u8], changes: &[Change]) -> Result<Vec<u8>> {
    let more: usize = changes.iter().map(|change| change.bytes.len()).sum();
    let mut out = Vec::with_capacity(message.len().saturating_add(more));
    let mut left = changes.iter().peekable();
    for field in Fields::new(message) {
        let field = field.map_err(wire)?;
        while let Some(change) = left.next_if(|change| change.number <= field.number) {
            out.extend_from_slice(&change.bytes);
        }
        if !changes.iter().any(|change| change.number == field.number) {
            out.extend_from_slice(message.get(field.start..field.end).unwrap_or_default());
        }
    }
    left.for_each(|change| out.extend_from_slice(&change.bytes));
    Ok(out)
}

/// The last value of a field of bytes or of a message.
///
/// Errors: it is no protobuf message.
pub(super) fn last_bytes(message: &[u8], number: u32) -> Result<Option<&[u8]>> {
    let mut found = None;
    for field in Fields::new(message) {
        let field = field.map_err(wire)?;
        if let (true, Value::Bytes(value)) = (field.number == number, field.value) {
            found = Some(value);
        }
    }
    Ok(found)
}

/// The last value of a field that is a varint.
///
/// Errors: it is no protobuf message.
pub(super) fn last_number(message: &[u8], number: u32) -> Result<Option<u64>> {
    crate::wire::field::last_varint(message, number).map_err(wire)
}

/// Fields that code fills, by the numbers behind `#`.
pub(super) type Filled<'a> = Vec<(u32, Value<'a>)>;

/// The fields that code fills, by the numbers behind `#`, and the message without them.
///
/// Errors: it is no protobuf message.
pub(super) fn split(message: &[u8]) -> Result<(Vec<u8>, Filled<'_>)> {
    let mut bare = Vec::with_capacity(message.len());
    let mut filled = Vec::new();
    for field in Fields::new(message) {
        let field = field.map_err(wire)?;
        match field.number.checked_sub(FILLED_BY_CODE) {
            Some(number) if number > 0 => filled.push((number, field.value)),
            _ => bare.extend_from_slice(message.get(field.start..field.end).unwrap_or_default()),
        }
    }
    Ok((bare, filled))
}

/// The number of the field that a path `#number` stands for.
pub(super) const fn filled(number: u32) -> u32 {
    FILLED_BY_CODE.saturating_add(number)
}

#[cold]
pub(super) fn wire(error: WireError) -> Error {
    Error::format(error.to_string()).at_offset(error.offset as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_go_where_they_belong() {
        let message = [0x08, 1, 0x18, 3, 0x18, 4, 0x28, 5];
        let changed = patch(&message, &[Change::number(2, 9), Change::drop(3), Change::bytes(6, b"x")]).unwrap();
        assert_eq!(changed, [0x08, 1, 0x10, 9, 0x28, 5, 0x32, 1, b'x']);
        let with = patch(&changed, &[Change::number(filled(2), 7)]).unwrap();
        assert_eq!(split(&with).unwrap(), (changed, vec![(2, Value::Varint(7))]));
        assert!(patch(&[0x08], &[]).is_err());
    }
}
