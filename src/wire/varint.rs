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

fn read_long(bytes: &[u8], at: usize) -> Result<(u64, usize), WireError> {
    let word = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>());
    match word.and_then(read_word) {
        Some((value, length)) => Ok((value, at.wrapping_add(length))),
        None => read_bytewise(bytes, at),
    }
}

/// Reads a varint at the start of eight bytes, all of them together: its value and its length in bytes; `None` if it
/// is longer. For addresses, which have six or seven.
#[inline(always)]
pub fn read_word(bytes: &[u8; 8]) -> Option<(u64, usize)> {
    let word = u64::from_le_bytes(*bytes);
    let stops = !word & 0x8080_8080_8080_8080;
    if stops == 0 {
        return None;
    }
    // the bytes up to the first without its top bit, and of each the seven bits that count, moved together
    let value = word & (stops ^ stops.wrapping_sub(1)) & 0x7f7f_7f7f_7f7f_7f7f;
    let value = value & 0x007f_007f_007f_007f | (value & 0x7f00_7f00_7f00_7f00) >> 1;
    let value = value & 0x0000_3fff_0000_3fff | (value & 0x3fff_0000_3fff_0000) >> 2;
    let value = value & 0x0000_0000_0fff_ffff | (value & 0x0fff_ffff_0000_0000) >> 4;
    let length = (stops.trailing_zeros() >> 3).wrapping_add(1);
    Some((value, length as usize))
}

#[inline]
fn read_bytewise(bytes: &[u8], at: usize) -> Result<(u64, usize), WireError> {
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

/// Writes `value` at the start of `place`, eight bytes together where they are enough, and gives its length.
#[inline(always)]
pub fn write_word(place: &mut [u8; 10], value: u64) -> usize {
    if value < 0x80 {
        place[0] = (value & 0x7f) as u8;
        return 1;
    }
    if value >> 56 != 0 {
        return write_bytewise(place, value);
    }
    // seven bits for each byte, moved apart
    let word = value & 0x0000_0000_0fff_ffff | (value & 0x00ff_ffff_f000_0000) << 4;
    let word = word & 0x0000_3fff_0000_3fff | (word & 0x0fff_c000_0fff_c000) << 2;
    let word = word & 0x007f_007f_007f_007f | (word & 0x3f80_3f80_3f80_3f80) << 1;
    let unused = word.leading_zeros() & !7;
    let more = 0x0080_8080_8080_8080 >> unused;
    if let Some(place) = place.first_chunk_mut() {
        *place = (word | more).to_le_bytes();
    }
    8usize.wrapping_sub((unused >> 3) as usize)
}

fn write_bytewise(place: &mut [u8; 10], value: u64) -> usize {
    let length = length(value);
    let mut rest = value;
    for byte in place.iter_mut().take(length) {
        *byte = (rest & 0x7f) as u8 | 0x80;
        rest >>= 7;
    }
    if let Some(last) = place.get_mut(length.wrapping_sub(1)) {
        *last &= 0x7f;
    }
    length
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
        fn there_and_back(value: u64, shift in 0u32..64, before in 0usize..4, behind: [u8; 9]) {
            let value = value >> shift;
            let mut bytes = vec![0xff; before];
            write(&mut bytes, value);
            prop_assert_eq!(bytes.len() - before, length(value));
            prop_assert_eq!(read(&bytes, before), Ok((value, bytes.len())));
            let mut place = [0; 10];
            let length = write_word(&mut place, value);
            prop_assert_eq!(&place[..length], &bytes[before..]);
            for cut in before..bytes.len() {
                prop_assert_eq!(
                    read(&bytes[..cut], before),
                    Err(WireError { offset: before, problem: Problem::VarintCut })
                );
            }
            // with bytes behind it, which are another's
            let end = bytes.len();
            bytes.extend(behind);
            prop_assert_eq!(read(&bytes, before), Ok((value, end)));
        }

        #[test]
        fn zigzag_there_and_back(value: i64) {
            prop_assert_eq!(unzigzag(zigzag(value)), value);
        }
    }

    proptest! {
        #[test]
        fn eight_bytes_together_are_what_they_are_one_by_one(bytes: [u8; 12], last in 0usize..12) {
            let mut bytes = bytes.map(|byte| byte | 0x80);
            bytes[last] &= 0x7f;
            prop_assert_eq!(read(&bytes, 0), read_bytewise(&bytes, 0));
        }
    }

    #[test]
    fn endless() {
        assert_eq!(read(&[0x80; 11], 0), Err(WireError { offset: 0, problem: Problem::VarintEndless }));
        let all_ones = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(read(&all_ones, 0), Ok((u64::MAX, 10)));
    }
}
