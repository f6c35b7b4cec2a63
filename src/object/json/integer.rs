//! Integers: from the wire, to JSON in both forms, and back from every form crit accepts.

use crate::object::flags::Names;
use crate::object::json::out::Out;
use crate::object::schema::{Show, Type};
use crate::wire::varint;

/// A field's number, wide enough for every type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Number {
    Unsigned(u64),
    Signed(i64),
}

impl Number {
    /// What `raw` (the varint, or the fixed value) is as a `ty`. Bits beyond the type's width are dropped, as
    /// protobuf does.
    #[inline]
    pub(crate) fn from_wire(ty: Type, raw: u64) -> Self {
        let low = low(raw);
        match ty {
            Type::Uint32 | Type::Fixed32 => Number::Unsigned(u64::from(low)),
            Type::Int32 | Type::Enum(_) => Number::Signed(i64::from(low.cast_signed())),
            Type::Int64 => Number::Signed(raw.cast_signed()),
            Type::Sint32 => Number::Signed(varint::unzigzag(u64::from(low))),
            Type::Sint64 => Number::Signed(varint::unzigzag(raw)),
            _ => Number::Unsigned(raw),
        }
    }

    /// The varint or fixed value of a number as a `ty`; `None` if the type cannot hold it.
    #[inline]
    pub(crate) fn to_wire(ty: Type, value: i128) -> Option<u64> {
        match ty {
            Type::Uint32 | Type::Fixed32 => u32::try_from(value).ok().map(u64::from),
            Type::Uint64 | Type::Fixed64 => u64::try_from(value).ok(),
            Type::Int32 | Type::Enum(_) => i32::try_from(value).ok().map(|value| i64::from(value).cast_unsigned()),
            Type::Int64 => i64::try_from(value).ok().map(i64::cast_unsigned),
            Type::Sint32 => i32::try_from(value).ok().map(|value| varint::zigzag(i64::from(value))),
            Type::Sint64 => i64::try_from(value).ok().map(varint::zigzag),
            Type::Bool => u64::try_from(value).ok().filter(|&value| value < 2),
            Type::String | Type::Bytes | Type::Message(_) => None,
        }
    }

    /// The bits, as Python's `&` and `>>` on it would see them.
    fn bits(self) -> u64 {
        match self {
            Number::Unsigned(value) => value,
            Number::Signed(value) => value.cast_unsigned(),
        }
    }
}

#[inline]
pub(crate) fn low(raw: u64) -> u32 {
    (raw & 0xffff_ffff) as u32
}

/// A plain number.
#[inline]
pub(crate) fn plain(out: &mut Out<'_>, number: Number) {
    let mut buffer = itoa::Buffer::new();
    let text = match number {
        Number::Unsigned(value) => buffer.format(value),
        Number::Signed(value) => buffer.format(value),
    };
    out.raw(text.as_bytes());
}

/// A number of the pretty form.
pub(crate) fn shown(out: &mut Out<'_>, number: Number, show: Show) {
    match show {
        Show::Hex => hex(out, number),
        Show::Device => {
            let bits = number.bits();
            out.raw(format!("\"{}:{}\"", bits >> 20, bits & 0xf_ffff).as_bytes());
        }
        Show::OldDevice => {
            let (major, minor) = old_device(number.bits());
            out.raw(format!("\"{major}:{minor}\"").as_bytes());
        }
        Show::Flags(names) => flags(out, number.bits(), names),
        Show::Dict(names) => match names.iter().find(|(_, value)| *value == number.bits()) {
            Some((name, _)) => {
                out.raw(b"\"");
                out.raw(name.as_bytes());
                out.raw(b"\"");
            }
            None => plain(out, number),
        },
        Show::Plain | Show::Address | Show::UnixName => plain(out, number),
    }
}

fn hex(out: &mut Out<'_>, number: Number) {
    let text = match number {
        // Python puts the sign behind the prefix
        Number::Signed(value) if value < 0 => format!("\"0x-{:x}\"", value.unsigned_abs()),
        number => format!("\"{:#x}\"", number.bits()),
    };
    out.raw(text.as_bytes());
}

fn flags(out: &mut Out<'_>, value: u64, names: Names) {
    out.raw(b"\"");
    let mut first = true;
    let mut rest = value;
    for (name, bits) in names {
        if value & bits != 0 {
            if !std::mem::take(&mut first) {
                out.raw(b" | ");
            }
            out.raw(name.as_bytes());
        }
        rest &= !bits;
    }
    if rest != 0 {
        if !first {
            out.raw(b" | ");
        }
        out.raw(format!("{rest:#x}").as_bytes());
    }
    out.raw(b"\"");
}

/// Major and minor number of the C library's encoding.
fn old_device(value: u64) -> (u64, u64) {
    let major = value >> 8 & 0xfff | value >> 32 & !0xfff;
    let minor = value & 0xff | value >> 12 & 0xffff_ff00;
    (major & 0xffff_ffff, minor)
}

/// Reads a number from a string, the reverse of [`shown`]: what crit's encode accepts for a field shown as `show`.
pub(crate) fn from_text(text: &str, show: Show) -> Option<i128> {
    match show {
        Show::Device | Show::OldDevice => {
            let (major, minor) = text.split_once(':')?;
            let major: u64 = decimal(major)?;
            let minor: u64 = decimal(minor)?;
            let value = match show {
                Show::Device => major.checked_mul(1 << 20)? | minor,
                _ => (minor & 0xff) | (major & 0xfff) << 8 | (minor & 0xffff_ff00) << 12 | (major & 0xffff_f000) << 32,
            };
            Some(i128::from(value))
        }
        Show::Flags(names) => {
            if text.is_empty() {
                return Some(0);
            }
            text.split('|').try_fold(0i128, |sum, word| {
                let word = word.trim();
                let value = match names.iter().find(|(name, _)| *name == word) {
                    Some((_, value)) => i128::from(*value),
                    None => literal(word)?,
                };
                sum.checked_add(value)
            })
        }
        Show::Dict(names) => match names.iter().find(|(name, _)| *name == text) {
            Some((_, value)) => Some(i128::from(*value)),
            None => literal(text),
        },
        _ => literal(text),
    }
}

fn decimal(text: &str) -> Option<u64> {
    let text = text.trim();
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// A number as Python writes it in source: decimal, `0x`, `0o`, `0b`, single underscores between digits, a sign; and
/// crit's own `0x-1`.
fn literal(text: &str) -> Option<i128> {
    let text = text.trim();
    let (negative, text) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let (radix, digits) = match text.get(..2).map(str::to_ascii_lowercase).as_deref() {
        Some("0x") => (16, text.get(2..)?),
        Some("0o") => (8, text.get(2..)?),
        Some("0b") => (2, text.get(2..)?),
        _ => (10, text),
    };
    let (negative, digits) = match digits.strip_prefix('-') {
        Some(digits) if radix == 16 && !negative => (true, digits),
        _ => (negative, digits),
    };
    let underscores = digits.starts_with('_') && radix == 10 || digits.ends_with('_') || digits.contains("__");
    let zeros =
        radix == 10 && digits.len() > 1 && digits.starts_with('0') && !digits.trim_matches(['0', '_']).is_empty();
    if underscores || zeros {
        return None;
    }
    let digits = digits.replace('_', "");
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    let value = i128::from_str_radix(&digits, radix).ok()?;
    if negative { value.checked_neg() } else { Some(value) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::flags;

    fn pretty(number: Number, show: Show) -> String {
        let mut out = Out::part(Vec::new(), true, 0);
        shown(&mut out, number, show);
        String::from_utf8(out.buffer).unwrap()
    }

    #[test]
    fn as_crit_shows_them() {
        let cases = [
            (Number::Unsigned(139_637_976_731_648), Show::Hex, "\"0x7f0000001000\""),
            (Number::Unsigned(0), Show::Hex, "\"0x0\""),
            (Number::Signed(-1), Show::Hex, "\"0x-1\""),
            (Number::Unsigned(266_338_305), Show::Device, "\"254:1\""),
            (Number::Unsigned(65025), Show::OldDevice, "\"254:1\""),
            (Number::Unsigned(70), Show::Flags(flags::PMAP_FLAGS), "\"PE_LAZY | PE_PRESENT | 0x40\""),
            (Number::Unsigned(0), Show::Flags(flags::SEALS_FLAGS), "\"\""),
            (Number::Unsigned(0x40), Show::Flags(flags::SEALS_FLAGS), "\"0x40\""),
            (Number::Unsigned(10), Show::Dict(flags::SK_STATE), "\"LISTEN\""),
            (Number::Unsigned(77), Show::Dict(flags::SK_STATE), "77"),
            (Number::Signed(-7), Show::Plain, "-7"),
        ];
        for (number, show, text) in cases {
            assert_eq!(pretty(number, show), text);
            let read = from_text(text.trim_matches('"'), show);
            let expected = match number {
                Number::Unsigned(value) => i128::from(value),
                Number::Signed(value) => i128::from(value),
            };
            assert_eq!(read, Some(expected), "{text}");
        }
    }

    #[test]
    fn literals_as_python_reads_them() {
        let good = [
            ("0x10", 16),
            ("17", 17),
            ("0o22", 18),
            ("0b11", 3),
            (" -5 ", -5),
            ("1_000", 1000),
            ("0", 0),
            ("00", 0),
            ("0x_1", 1),
        ];
        for (text, value) in good {
            assert_eq!(literal(text), Some(value), "{text}");
        }
        for text in ["", "017", "1__0", "_1", "1_", "0x", "1.5", "1e3", "--1", "x", "0xg", "é"] {
            assert_eq!(literal(text), None, "{text}");
        }
    }

    #[test]
    fn types_hold_what_they_can() {
        for (ty, value, raw) in [
            (Type::Int32, -1i128, Some(u64::MAX)),
            (Type::Sint32, -1, Some(1)),
            (Type::Sint64, i128::from(i64::MIN), Some(u64::MAX)),
            (Type::Uint64, i128::from(u64::MAX), Some(u64::MAX)),
            (Type::Uint32, 1 << 32, None),
            (Type::Uint32, -1, None),
            (Type::Int64, i128::from(u64::MAX), None),
        ] {
            assert_eq!(Number::to_wire(ty, value), raw);
            if let Some(raw) = raw {
                let back = match Number::from_wire(ty, raw) {
                    Number::Unsigned(value) => i128::from(value),
                    Number::Signed(value) => i128::from(value),
                };
                assert_eq!(back, value);
            }
        }
    }
}
