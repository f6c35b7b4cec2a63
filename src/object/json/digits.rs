//! Decimal digits, eight at once: addresses have fifteen.

/// The decimal digits at the start of `text`: their value (which wraps beyond 19 of them), and how many there are.
#[inline]
pub(crate) fn digits(text: &[u8]) -> (u64, usize) {
    let mut value = 0u64;
    let mut rest = text;
    while let Some((eight, behind)) = rest.split_first_chunk::<8>() {
        // each byte as a digit, and the top bit of those that are none
        let word = u64::from_le_bytes(*eight) ^ 0x3030_3030_3030_3030;
        let others =
            ((word & 0x7f7f_7f7f_7f7f_7f7f).wrapping_add(0x7676_7676_7676_7676) | word) & 0x8080_8080_8080_8080;
        if others == 0 {
            value = value.wrapping_mul(100_000_000).wrapping_add(joined(word));
            rest = behind;
            continue;
        }
        let count = (others.trailing_zeros() >> 3) as usize;
        if let Some(power) = POWERS.get(count).filter(|_| count > 0) {
            // zeros go in front
            let word = word << 8usize.wrapping_sub(count).wrapping_mul(8);
            value = value.wrapping_mul(*power).wrapping_add(joined(word));
        }
        return (value, text.len().wrapping_sub(rest.len()).wrapping_add(count));
    }
    while let Some((byte @ b'0'..=b'9', behind)) = rest.split_first() {
        value = value.wrapping_mul(10).wrapping_add(u64::from(byte & 0xf));
        rest = behind;
    }
    (value, text.len().wrapping_sub(rest.len()))
}

const POWERS: [u64; 8] = [1, 10, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000];

/// The number that eight digits are: neighbours are joined to two digits, then four, then eight, all in one word.
#[inline]
fn joined(ones: u64) -> u64 {
    let twos = (ones.wrapping_mul(2561) >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (twos.wrapping_mul(6_553_601) >> 16) & 0x0000_ffff_0000_ffff;
    fours.wrapping_mul(42_949_672_960_001) >> 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn digits_as_the_standard_library_reads_them(value: u64, behind in "[^0-9]?.{0,9}") {
            let text = format!("{value}{}", if behind.starts_with(|c: char| c.is_ascii_digit()) { "" } else { &behind });
            prop_assert_eq!(digits(text.as_bytes()), (value, value.to_string().len()));
        }
    }
}
