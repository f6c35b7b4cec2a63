//! Quoted-printable as Python's `quopri` writes and reads it: crit's form of unix socket names.
//!
//! Its line ends are not lossless: all become like the first one. [`encode`] says when that happened, and the name is
//! then written in another way.

/// Lines have at most this many characters, the `=` of a soft line break included.
const LINE: usize = 76;

/// `bytes` as quoted-printable text; `None` if reading it would not give the same bytes.
pub(crate) fn encode(bytes: &[u8]) -> Option<Vec<u8>> {
    let first = bytes.iter().position(|&byte| byte == b'\n');
    let crlf = first.is_some_and(|at| at.checked_sub(1).and_then(|at| bytes.get(at)) == Some(&b'\r'));
    let end: &[u8] = if crlf { b"\r\n" } else { b"\n" };
    let mut text = Vec::with_capacity(bytes.len().saturating_add(8));
    let mut line = 0usize;
    let mut rest = bytes;
    while let Some((&byte, behind)) = rest.split_first() {
        let next = behind.first().copied();
        if must_quote(byte, next, line) {
            if line.saturating_add(3) >= LINE {
                soft_break(&mut text, end);
                line = 0;
            }
            quote(&mut text, byte);
            line = line.saturating_add(3);
            rest = behind;
        } else if byte == b'\n' || (byte == b'\r' && next == Some(b'\n')) {
            if let Some(&space @ (b' ' | b'\t')) = text.last() {
                text.pop();
                quote(&mut text, space);
            }
            text.extend_from_slice(end);
            line = 0;
            rest = if byte == b'\r' { behind.get(1..).unwrap_or_default() } else { behind };
        } else {
            if next.is_some_and(|next| next != b'\n') && line.saturating_add(1) >= LINE {
                soft_break(&mut text, end);
                line = 0;
            }
            text.push(byte);
            line = line.saturating_add(1);
            rest = behind;
        }
    }
    (decode(&text) == bytes).then_some(text)
}

fn must_quote(byte: u8, next: Option<u8>, line: usize) -> bool {
    match byte {
        127.. | b'=' => true,
        b'.' => line == 0 && matches!(next, None | Some(b'\n' | b'\r' | 0)),
        b'\t' | b' ' => next.is_none(),
        b'\r' | b'\n' => false,
        0..=32 => true,
        _ => false,
    }
}

fn soft_break(text: &mut Vec<u8>, end: &[u8]) {
    text.push(b'=');
    text.extend_from_slice(end);
}

fn quote(text: &mut Vec<u8>, byte: u8) {
    text.extend_from_slice(format!("={byte:02X}").as_bytes());
}

/// The bytes that `text` stands for. An `=` that begins nothing is taken as it is, as Python does.
pub(crate) fn decode(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        if byte != b'=' {
            bytes.push(byte);
            continue;
        }
        match behind {
            [] => break,
            [b'\n', behind @ ..] => rest = behind,
            [b'\r', behind @ ..] => {
                let end = behind.iter().position(|&byte| byte == b'\n').map_or(behind.len(), |at| at.saturating_add(1));
                rest = behind.get(end..).unwrap_or_default();
            }
            [b'=', behind @ ..] => {
                bytes.push(b'=');
                rest = behind;
            }
            [high, low, behind @ ..] => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    bytes.push(high << 4 | low);
                    rest = behind;
                }
                _ => bytes.push(b'='),
            },
            [_] => bytes.push(b'='),
        }
    }
    bytes
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_crit_writes_it() {
        let encoded = |bytes: &[u8]| encode(bytes).map(|text| String::from_utf8(text).unwrap());
        let cases: [(&[u8], &str); 8] = [
            (b"named.sock\0", "named.sock=00"),
            (b"\0abs=\xc3\xa9 tail\0x ", "=00abs=3D=C3=A9 tail=00x=20"),
            (b"", ""),
            (b".", "=2E"),
            (b".x", ".x"),
            (b"a \nb", "a=20\nb"),
            (b"a\r\nb\r\n", "a\r\nb\r\n"),
            (b"a\rb", "a\rb"),
        ];
        for (bytes, text) in cases {
            assert_eq!(encoded(bytes).as_deref(), Some(text));
            assert_eq!(decode(text.as_bytes()), bytes);
        }
        assert_eq!(encoded(&[b'x'; 100]), Some(format!("{}=\n{}", "x".repeat(75), "x".repeat(25))));
        assert_eq!(encoded(b"a\r\nb\n"), None);
        assert_eq!(encoded(b"a\nb\r\n"), None);
    }
}
