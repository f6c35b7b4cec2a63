//! Decimal digits, eight at once where there are so many: addresses have fifteen.

/// The decimal digits at the start of `text`: their value (which wraps beyond 19 of them), and how many there are.
#[inline]
pub(crate) fn digits(text: &[u8]) -> (u64, usize) {
    let mut value = 0u64;
    let mut rest = text;
    while let Some((eight, behind)) = rest.split_first_chunk::<8>() {
        let Some(part) = eight_digits(*eight) else { break };
        value = value.wrapping_mul(100_000_000).wrapping_add(part);
        rest = behind;
    }
    while let Some((byte @ b'0'..=b'9', behind)) = rest.split_first() {
        value = value.wrapping_mul(10).wrapping_add(u64::from(byte & 0xf));
        rest = behind;
    }
    (value, text.len().wrapping_sub(rest.len()))
}

/// Eight digits at once: neighbours are joined to two digits, then four, then eight, all in one word.
#[inline]
fn eight_digits(text: [u8; 8]) -> Option<u64> {
    let word = u64::from_le_bytes(text);
    let high = word & 0xf0f0_f0f0_f0f0_f0f0;
    let carry = word.wrapping_add(0x0606_0606_0606_0606) & 0xf0f0_f0f0_f0f0_f0f0;
    if high != 0x3030_3030_3030_3030 || carry != high {
        return None;
    }
    let ones = word & 0x0f0f_0f0f_0f0f_0f0f;
    let twos = (ones.wrapping_mul(2561) >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (twos.wrapping_mul(6_553_601) >> 16) & 0x0000_ffff_0000_ffff;
    Some(fours.wrapping_mul(42_949_672_960_001) >> 32)
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
