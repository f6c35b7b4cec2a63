//! The fields of one message, one after the other, without knowing the message.

use super::{Problem, WireError, varint};

/// A field's value as the wire has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1.
    Fixed64(u64),
    /// Wire type 2: a string, bytes, a message, packed numbers.
    Bytes(&'a [u8]),
    /// Wire type 5.
    Fixed32(u32),
}

impl Value<'_> {
    /// The wire type's number.
    pub fn wire_type(&self) -> u8 {
        match self {
            Value::Varint(_) => 0,
            Value::Fixed64(_) => 1,
            Value::Bytes(_) => 2,
            Value::Fixed32(_) => 5,
        }
    }
}

/// One field of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The field's number.
    pub number: u32,
    /// Its value.
    pub value: Value<'a>,
    /// Where its key begins, in bytes from the start of the message.
    pub start: usize,
    /// Where its value begins: behind the key, and behind the length of [`Value::Bytes`].
    pub body: usize,
    /// Where the next field begins.
    pub end: usize,
}

/// Iterates over the fields of one message; ends after the first error.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    /// The fields of the message that fills `bytes`.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Where the next field begins.
    #[inline]
    pub fn position(&self) -> usize {
        self.at
    }

    #[inline]
    fn read(&mut self) -> Result<Field<'a>, WireError> {
        let start = self.at;
        let (key, at) = varint::read(self.bytes, start)?;
        let number = match u32::try_from(key >> 3) {
            Ok(number @ 1..=0x1fff_ffff) => number,
            _ => return Err(WireError { offset: start, problem: Problem::FieldNumber(key >> 3) }),
        };
        let (value, body, end) = match key & 7 {
            0 => {
                let (value, end) = varint::read(self.bytes, at)?;
                (Value::Varint(value), at, end)
            }
            1 => {
                let (value, end) = self.array::<8>(at)?;
                (Value::Fixed64(u64::from_le_bytes(*value)), at, end)
            }
            2 => {
                let (length, body) = varint::read(self.bytes, at)?;
                let (value, end) = self.slice(body, length)?;
                (Value::Bytes(value), body, end)
            }
            5 => {
                let (value, end) = self.array::<4>(at)?;
                (Value::Fixed32(u32::from_le_bytes(*value)), at, end)
            }
            wire => {
                return Err(WireError { offset: start, problem: Problem::WireType((wire & 7) as u8) });
            }
        };
        self.at = end;
        Ok(Field { number, value, start, body, end })
    }

    #[inline]
    fn slice(&self, at: usize, length: u64) -> Result<(&'a [u8], usize), WireError> {
        let rest = self.bytes.get(at..).unwrap_or_default();
        usize::try_from(length)
            .ok()
            .and_then(|length| Some((rest.get(..length)?, at.checked_add(length)?)))
            .ok_or(WireError { offset: at, problem: Problem::ValueCut { needed: length, found: rest.len() as u64 } })
    }

    #[inline]
    fn array<const N: usize>(&self, at: usize) -> Result<(&'a [u8; N], usize), WireError> {
        let rest = self.bytes.get(at..).unwrap_or_default();
        match rest.first_chunk::<N>() {
            Some(value) => Ok((value, at.saturating_add(N))),
            None => {
                Err(WireError { offset: at, problem: Problem::ValueCut { needed: N as u64, found: rest.len() as u64 } })
            }
        }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, WireError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let field = self.read();
        if field.is_err() {
            self.at = self.bytes.len();
        }
        Some(field)
    }
}

/// The last varint field with this number, as protobuf merges; `None` if there is none.
///
/// Errors: the message is broken.
pub fn last_varint(message: &[u8], number: u32) -> Result<Option<u64>, WireError> {
    let mut found = None;
    for field in Fields::new(message) {
        let field = field?;
        if let (true, Value::Varint(value)) = (field.number == number, field.value) {
            found = Some(value);
        }
    }
    Ok(found)
}

/// Appends the key of a field.
#[inline]
pub fn write_key(out: &mut Vec<u8>, number: u32, wire_type: u8) {
    varint::write(out, u64::from(number) << 3 | u64::from(wire_type));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walks_every_wire_type() {
        let message = [
            0x08, 0x96, 0x01, // 1: 150
            0x11, 1, 0, 0, 0, 0, 0, 0, 0, // 2: fixed64 1
            0x1a, 2, b'h', b'i', // 3: "hi"
            0x25, 7, 0, 0, 0, // 4: fixed32 7
        ];
        let fields: Vec<_> = Fields::new(&message).map(|field| field.unwrap()).collect();
        let values: Vec<_> = fields.iter().map(|field| (field.number, field.value)).collect();
        assert_eq!(
            values,
            [(1, Value::Varint(150)), (2, Value::Fixed64(1)), (3, Value::Bytes(b"hi")), (4, Value::Fixed32(7)),]
        );
        assert_eq!((fields[2].start, fields[2].body, fields[2].end), (12, 14, 16));
        for cut in 1..message.len() {
            let whole = fields.iter().any(|field| field.end == cut);
            let read: Result<Vec<_>, _> = Fields::new(&message[..cut]).collect();
            assert_eq!(read.is_ok(), whole, "cut at {cut}");
        }
    }

    #[test]
    fn refuses_what_no_message_has() {
        let problem = |bytes: &[u8]| Fields::new(bytes).next().unwrap().unwrap_err().problem;
        assert_eq!(problem(&[0x00]), Problem::FieldNumber(0));
        assert_eq!(problem(&[0x0b]), Problem::WireType(3));
        assert_eq!(problem(&[0x0f]), Problem::WireType(7));
        assert_eq!(
            problem(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f, 1]),
            Problem::ValueCut { needed: 0xffff_ffff, found: 1 }
        );
        assert_eq!(last_varint(&[0x08, 1, 0x08, 2, 0x10, 3], 1), Ok(Some(2)));
        assert_eq!(last_varint(&[0x08, 1], 4), Ok(None));
    }
}
