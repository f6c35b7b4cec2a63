//! Raw bytes that belong to the object before: `BLOB { 1 offset fixed64, 2 data bytes }`.

use crate::wire::v2::{Broken, Problem};
use crate::wire::varint;

/// Bytes of a record, at most.
pub const LENGTH: usize = 1 << 20;

const OFFSET_TAG: u8 = 0x09;
const DATA_TAG: u8 = 0x12;

/// A piece of raw bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blob<'a> {
    /// Where it begins in what it is a piece of, in bytes.
    pub offset: u64,
    /// The bytes.
    pub data: &'a [u8],
}

impl<'a> Blob<'a> {
    /// What the payload of a BLOB says.
    ///
    /// Errors: it has other fields, or is cut.
    pub fn read(payload: &'a [u8]) -> Result<Self, Broken> {
        let wrong = |offset, what| Broken { offset, problem: Problem::Blob(what) };
        let offset = payload.split_first_chunk::<9>().map(|(field, _)| *field);
        let Some([OFFSET_TAG, a, b, c, d, e, f, g, h]) = offset else { return Err(wrong(0, "no offset")) };
        let offset = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        if payload.get(9) != Some(&DATA_TAG) {
            return Err(wrong(9, "no data"));
        }
        let (length, start) = varint::read(payload, 10).map_err(|_| wrong(10, "data that are cut"))?;
        let data = payload.get(start..).unwrap_or_default();
        if data.len() as u64 != length || offset.checked_add(length).is_none() {
            return Err(wrong(10, "data of another length"));
        }
        Ok(Self { offset, data })
    }
}

/// Writes a BLOB behind `out`.
pub fn write(offset: u64, data: &[u8], out: &mut Vec<u8>) {
    out.push(OFFSET_TAG);
    out.extend(offset.to_le_bytes());
    out.push(DATA_TAG);
    varint::write(out, data.len() as u64);
    out.extend_from_slice(data);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for length in [0, 1, 127, 128, 70_000] {
            let data = vec![7; length];
            let mut payload = Vec::new();
            write(5, &data, &mut payload);
            assert_eq!(Blob::read(&payload), Ok(Blob { offset: 5, data: &data }));
            for cut in 0..payload.len() {
                assert!(Blob::read(&payload[..cut]).is_err());
            }
            payload.push(0);
            assert!(Blob::read(&payload).is_err());
        }
    }
}
