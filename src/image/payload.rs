//! How many raw bytes follow an entry: data of the kind's row, evaluated on the wire, so that walking an image needs
//! no messages. Source: the writers and readers of CRIU, kind by kind.

use crate::wire::field::{Fields, Value, last_varint};
use crate::wire::{WireError, v1};

/// The payload rule of a kind. Numbers are field numbers of the entry's message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Nothing follows.
    Nothing,
    /// As many bytes as these fields say, one part after the other.
    Fields(&'static [u32]),
    /// `count` values of `unit` bytes, padded to `pad`; nothing where field `unless` is true (0: no such field).
    Array {
        /// Field with the number of values.
        count: u32,
        /// Bits of that field; higher ones are dropped, as protobuf does.
        bits: u32,
        /// Bytes of one value.
        unit: u64,
        /// The payload is padded with zeros to a multiple of this.
        pad: u64,
        /// Field that says the content is elsewhere.
        unless: u32,
    },
    /// `count` records: a size word, a message, as many bytes as the message's field `length` says, padded to `pad`.
    Messages {
        /// Field with the number of records.
        count: u32,
        /// Field of the inner message with the bytes that follow it.
        length: u32,
        /// The bytes are padded with zeros to a multiple of this.
        pad: u64,
    },
    /// The first entry says in field `chunks` whether the rest of the file is its payload, or each further entry has
    /// as many bytes as its field `length` says.
    Ghost {
        /// Field of the first message.
        chunks: u32,
        /// Field of the further ones.
        length: u32,
    },
}

/// What is wrong with a payload. Offsets are from the start of the message, or of the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PayloadError {
    /// The message cannot be read.
    Message(WireError),
    /// A message inside the payload cannot be read.
    Inner(WireError),
    /// The payload should have this many bytes, and the file ends before.
    Cut { needed: u64, found: u64 },
    /// The lengths add up to more than 64 bits.
    Overflow,
}

impl Payload {
    /// Bytes of payload behind entry `index`, whose message is `message` and behind which lies `rest`.
    #[inline]
    pub(crate) fn length(self, index: u64, message: &[u8], rest: &[u8]) -> Result<usize, PayloadError> {
        let needed = match self {
            Payload::Nothing => return Ok(0),
            Payload::Fields(numbers) => sum(message, numbers)?,
            Payload::Array { count, bits, unit, pad, unless } => {
                if unless != 0 && number(message, unless)? != 0 {
                    0
                } else {
                    let values = number(message, count)? & u64::MAX.unbounded_shr(64u32.saturating_sub(bits));
                    values.checked_mul(unit).and_then(|bytes| v1::padded(bytes, pad)).ok_or(PayloadError::Overflow)?
                }
            }
            Payload::Messages { count, length, pad } => {
                let count = number(message, count)? & u64::from(u32::MAX);
                let mut records = Records::new(rest, length, pad);
                for _ in 0..count {
                    match records.next() {
                        Some(record) => {
                            record?;
                        }
                        None => return Err(PayloadError::Cut { needed: 4, found: 0 }),
                    }
                }
                return Ok(records.at);
            }
            Payload::Ghost { chunks, .. } if index == 0 => {
                if number(message, chunks)? != 0 {
                    0
                } else {
                    rest.len() as u64
                }
            }
            Payload::Ghost { length, .. } => number(message, length)?,
        };
        match usize::try_from(needed) {
            Ok(needed) if needed <= rest.len() => Ok(needed),
            _ => Err(PayloadError::Cut { needed, found: rest.len() as u64 }),
        }
    }
}

fn number(message: &[u8], field: u32) -> Result<u64, PayloadError> {
    // a missing one reads as 0; that it is missing is found where required fields are checked
    Ok(last_varint(message, field).map_err(PayloadError::Message)?.unwrap_or(0))
}

fn sum(message: &[u8], numbers: &[u32]) -> Result<u64, PayloadError> {
    let mut total = 0u64;
    for &field in numbers {
        let bytes = number(message, field)? & u64::from(u32::MAX);
        total = total.checked_add(bytes).ok_or(PayloadError::Overflow)?;
    }
    Ok(total)
}

/// One message of a System V queue.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The inner message.
    pub message: &'a [u8],
    /// Its bytes, without padding.
    pub data: &'a [u8],
}

/// The records of [`Payload::Messages`].
#[derive(Debug)]
pub(crate) struct Records<'a> {
    payload: &'a [u8],
    length: u32,
    pad: u64,
    at: usize,
}

impl<'a> Records<'a> {
    pub(crate) fn new(payload: &'a [u8], length: u32, pad: u64) -> Self {
        Self { payload, length, pad, at: 0 }
    }

    fn read(&mut self) -> Result<Record<'a>, PayloadError> {
        let rest = self.payload.get(self.at..).unwrap_or_default();
        let cut = |needed: u64| PayloadError::Cut { needed, found: rest.len() as u64 };
        let size = v1::word(rest, 0).ok_or(cut(4))?;
        let body = rest.get(4..).unwrap_or_default();
        let size = usize::try_from(size).map_err(|_| PayloadError::Overflow)?;
        let (message, data) = body.split_at_checked(size).ok_or(cut(size as u64))?;
        let mut bytes = 0;
        for field in Fields::new(message) {
            let field = field.map_err(PayloadError::Inner)?;
            if let (true, Value::Varint(value)) = (field.number == self.length, field.value) {
                bytes = value & u64::from(u32::MAX);
            }
        }
        let padded = v1::padded(bytes, self.pad)
            .and_then(|padded| usize::try_from(padded).ok())
            .ok_or(PayloadError::Overflow)?;
        let bytes = usize::try_from(bytes).map_err(|_| PayloadError::Overflow)?;
        if data.len() < padded {
            return Err(cut(padded as u64));
        }
        let data = data.get(..bytes).ok_or(cut(bytes as u64))?;
        self.at = self
            .at
            .checked_add(4)
            .and_then(|at| at.checked_add(size)?.checked_add(padded))
            .ok_or(PayloadError::Overflow)?;
        Ok(Record { message, data })
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, PayloadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.payload.len() {
            return None;
        }
        let record = self.read();
        if record.is_err() {
            self.at = self.payload.len();
        }
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules() {
        let message = [0x08, 3, 0x10, 5, 0x18, 1];
        let rest = [0; 16];
        let length = |rule: Payload, index| rule.length(index, &message, &rest);
        assert_eq!(length(Payload::Nothing, 0), Ok(0));
        assert_eq!(length(Payload::Fields(&[1, 2]), 0), Ok(8));
        let array = |unit, pad, unless| Payload::Array { count: 1, bits: 64, unit, pad, unless };
        assert_eq!(length(array(2, 8, 0), 0), Ok(8));
        assert_eq!(length(array(2, 8, 3), 0), Ok(0));
        assert_eq!(length(array(100, 8, 0), 0), Err(PayloadError::Cut { needed: 304, found: 16 }));
        let ghost = |chunks| Payload::Ghost { chunks, length: 1 };
        assert_eq!(length(ghost(9), 0), Ok(16));
        assert_eq!(length(ghost(3), 0), Ok(0));
        assert_eq!(length(ghost(3), 1), Ok(3));
    }

    #[test]
    fn lengths_that_overflow() {
        let mut message = vec![0x08];
        message.extend([0xff; 9]);
        message.push(1);
        let array = |bits| Payload::Array { count: 1, bits, unit: 2, pad: 8, unless: 0 };
        assert_eq!(array(64).length(0, &message, &[]), Err(PayloadError::Overflow));
        let cut = PayloadError::Cut { needed: 8_589_934_592, found: 0 };
        assert_eq!(array(32).length(0, &message, &[]), Err(cut));
        // 2^32 + 3 in a field of 32 bits is 3
        assert_eq!(array(32).length(0, &[0x08, 0x83, 0x80, 0x80, 0x80, 0x10], &[0; 8]), Ok(8));
    }

    #[test]
    fn message_queues() {
        let message = [0x18, 2];
        let rest = [
            4, 0, 0, 0, 0x08, 1, 0x10, 3, b'a', b'b', b'c', 0, 0, 0, 0, 0, //
            4, 0, 0, 0, 0x08, 1, 0x10, 0, //
            99,
        ];
        let rule = Payload::Messages { count: 3, length: 2, pad: 8 };
        assert_eq!(rule.length(0, &message, &rest), Ok(24));
        for cut in 0..24 {
            assert!(rule.length(0, &message, &rest[..cut]).is_err(), "cut at {cut}");
        }
        let records: Vec<_> = Records::new(&rest[..24], 2, 8).map(|record| record.unwrap().data).collect();
        assert_eq!(records, [b"abc".as_slice(), b""]);
    }
}
