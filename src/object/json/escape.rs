//! The escapes in JSON's strings.

/// Hands on the content of a string, piece by piece, with its escapes resolved.
pub(crate) fn unescape(content: &[u8], mut take: impl FnMut(&[u8])) -> Result<(), &'static str> {
    let mut rest = content;
    while let Some(at) = rest.iter().position(|&byte| byte == b'\\') {
        let (plain, behind) = rest.split_at_checked(at).unwrap_or((rest, &[]));
        take(plain);
        let escape = behind.get(1).copied().ok_or("expected an escape behind `\\`")?;
        rest = behind.get(2..).unwrap_or_default();
        match escape {
            b'"' | b'\\' | b'/' => take(&[escape]),
            b'n' => take(b"\n"),
            b't' => take(b"\t"),
            b'r' => take(b"\r"),
            b'b' => take(b"\x08"),
            b'f' => take(b"\x0c"),
            b'u' => {
                let high = unit(rest)?;
                rest = rest.get(4..).unwrap_or_default();
                let code = match high {
                    0xd800..=0xdbff => {
                        let low = rest.strip_prefix(b"\\u").ok_or("expected the second half of a surrogate pair")?;
                        let low = match unit(low)? {
                            low @ 0xdc00..=0xdfff => low,
                            _ => return Err("expected the second half of a surrogate pair"),
                        };
                        rest = rest.get(6..).unwrap_or_default();
                        0x10000 + ((high & 0x3ff) << 10 | low & 0x3ff)
                    }
                    code => code,
                };
                let character = char::from_u32(code).ok_or("expected a character, found half a surrogate pair")?;
                take(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
            _ => return Err("expected one of the escapes of JSON behind `\\`"),
        }
    }
    take(rest);
    Ok(())
}

/// Four hexadecimal digits.
fn unit(text: &[u8]) -> Result<u32, &'static str> {
    text.get(..4)
        .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .and_then(|digits| u32::from_str_radix(digits, 16).ok())
        .ok_or("expected four hexadecimal digits behind `\\u`")
}
