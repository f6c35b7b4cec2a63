//! Addresses, lengths and ranges of addresses, as every verb reads them.

use std::ops::Range;

use super::args::bytes;

/// A number in base 10, or 16 behind 0x.
pub(super) fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => address(digits),
        None => text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?,
    }
}

/// A number in base 16, with 0x or without.
pub(super) fn address(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    // from_str_radix would take a sign
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u64::from_str_radix(digits, 16).ok())?
}

/// What [`end`] and [`range`] expect.
pub(super) const EXPECTED: &str = "expected ADDRESS, ADDRESS+LENGTH or ADDRESS-END, such as 7f00+4K";

/// How a range goes on behind its first address.
pub(super) enum Rest<'t> {
    Length(&'t str),
    End(&'t str),
    Nothing,
}

/// A range, taken apart.
pub(super) fn parts(text: &str) -> (&str, Rest<'_>) {
    if let Some((start, length)) = text.split_once('+') {
        return (start, Rest::Length(length));
    }
    text.split_once('-').map_or((text, Rest::Nothing), |(start, end)| (start, Rest::End(end)))
}

/// The address behind the last of a range; `None` where it does not say. Errors: what is wrong.
pub(super) fn end(text: &str, start: u64, rest: &Rest<'_>) -> Result<Option<u64>, String> {
    let end = match *rest {
        Rest::Length(length) => {
            let length = number(length).or_else(|| bytes(length).ok());
            let length = length.ok_or_else(|| format!("{text}: what is behind + is no length"))?;
            start.checked_add(length).ok_or_else(|| format!("{text} goes past the last address"))?
        }
        Rest::End(end) => address(end).ok_or_else(|| format!("{text}: {end} is no address"))?,
        Rest::Nothing => return Ok(None),
    };
    if start < end { Ok(Some(end)) } else { Err(format!("{text} has no address in it")) }
}

/// A range of addresses with an end or a length.
pub(super) fn range(text: &str) -> Result<Range<u64>, String> {
    let wrong = |what: String| format!("{what} (such as 7f0000001000-7f0000002000 or 7f00+4K)");
    let (start, rest) = parts(text);
    let start = address(start).ok_or_else(|| wrong(format!("{start} is no address")))?;
    match end(text, start, &rest).map_err(wrong)? {
        Some(end) => Ok(start..end),
        None => Err(wrong(format!("{text} has no end"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!((number("17"), number("0x1F"), number("1f"), number("+1")), (Some(17), Some(31), None, None));
        assert_eq!(
            (address("17"), address("0x1F"), address("1f"), address("+1")),
            (Some(23), Some(31), Some(31), None)
        );
        assert_eq!((address(""), address("0x"), address("10000000000000000")), (None, None, None));
    }

    #[test]
    fn ranges() {
        assert_eq!(range("1000-2000"), Ok(0x1000..0x2000));
        // addresses have base 16, lengths base 10, for all verbs
        assert_eq!(range("0x1000+10"), Ok(0x1000..0x100a));
        assert_eq!((range("1000+0x10"), range("1000+4K")), (Ok(0x1000..0x1010), Ok(0x1000..0x2000)));
        for wrong in ["", "1000", "2000-1000", "1-", "x-y", "1-+2", "-5-6", "1+", "ffffffffffffffff+2"] {
            assert!(range(wrong).is_err(), "{wrong}");
        }
    }
}
