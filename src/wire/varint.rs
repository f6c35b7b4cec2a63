//! Varints: seven bits a byte, low bits first, at most ten bytes.

use super::{Problem, WireError};

/// Reads the varint at `at`: its value and the offset behind it. Bits above 64 are dropped, as protobuf does.
///
/// Errors: the slice ends first, or ten bytes do not end it.
#[inline]
pub fn read(bytes: &[u8], at: usize) -> Result<(u64, usize), WireError> {
    match bytes.get(at) {
        Some(&byte) if byte < 0x80 => Ok((u64::from(byte), at.saturating_add(1))),
        _ => read_long(bytes, at),
    }
}

#[inline]
fn read_long(bytes: &[u8], at: usize) -> Result<(u64, usize), WireError> {
    let mut value = 0;
    let mut shift = 0u32;
    for (&byte, next) in bytes.get(at..).unwrap_or_default().iter().zip(at.saturating_add(1)..) {
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok((value, next));
        }
        shift = shift.saturating_add(7);
        if shift > 63 {
            return Err(WireError { offset: at, problem: Problem::VarintEndless });
        }
    }
    Err(WireError { offset: at, problem: Problem::VarintCut })
}

/// Appends `value` in as few bytes as possible.
#[inline]
pub fn write(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7f) as u8);
}

/// How many bytes [`write()`] takes for `value`.
#[inline]
pub fn length(value: u64) -> usize {
    let bits = 64u32.saturating_sub((value | 1).leading_zeros());
    bits.div_ceil(7) as usize
}

/// Zigzag: small negative numbers become small varints.
#[inline]
pub fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// The reverse of [`zigzag`].
#[inline]
pub fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ (value & 1).cast_signed().wrapping_neg()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn there_and_back(value: u64, before in 0usize..4) {
            let mut bytes = vec![0xff; before];
            write(&mut bytes, value);
            prop_assert_eq!(bytes.len() - before, length(value));
            prop_assert_eq!(read(&bytes, before), Ok((value, bytes.len())));
            for cut in before..bytes.len() {
                prop_assert_eq!(
                    read(&bytes[..cut], before),
                    Err(WireError { offset: before, problem: Problem::VarintCut })
                );
            }
        }

        #[test]
        fn zigzag_there_and_back(value: i64) {
            prop_assert_eq!(unzigzag(zigzag(value)), value);
        }
    }

    #[test]
    fn endless() {
        assert_eq!(read(&[0x80; 11], 0), Err(WireError { offset: 0, problem: Problem::VarintEndless }));
        let all_ones = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(read(&all_ones, 0), Ok((u64::MAX, 10)));
    }
}
