//! Strings as Python's json writes them: everything beyond printable ASCII escaped.

use crate::object::json::base64;
use crate::object::json::out::Out;

/// `bytes` as a JSON string, or as `{"@bytes": base64}` where they are not UTF-8.
pub(crate) fn string(out: &mut Out<'_>, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => escaped(out, text),
        Err(_) => wrapped(out, bytes),
    }
}

/// Bytes that no string can stand for.
pub(crate) fn wrapped(out: &mut Out<'_>, bytes: &[u8]) {
    out.open(b'{');
    out.key(true, "@bytes");
    base64::plain(out, bytes);
    out.close(b'}', false);
}

/// `text` in quotes.
pub(crate) fn escaped(out: &mut Out<'_>, text: &str) {
    out.raw(b"\"");
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| !(b' '..=b'~').contains(&byte) || byte == b'"' || byte == b'\\') {
        let (plain, behind) = rest.split_at_checked(at).unwrap_or((rest, ""));
        out.raw(plain.as_bytes());
        let mut characters = behind.chars();
        match characters.next() {
            Some('"') => out.raw(b"\\\""),
            Some('\\') => out.raw(b"\\\\"),
            Some('\n') => out.raw(b"\\n"),
            Some('\r') => out.raw(b"\\r"),
            Some('\t') => out.raw(b"\\t"),
            Some('\u{8}') => out.raw(b"\\b"),
            Some('\u{c}') => out.raw(b"\\f"),
            Some(character) => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    out.raw(format!("\\u{unit:04x}").as_bytes());
                }
            }
            None => {}
        }
        rest = characters.as_str();
        out.relieve();
    }
    out.raw(rest.as_bytes());
    out.raw(b"\"");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(bytes: &[u8]) -> String {
        let mut out = Out::part(Vec::new(), false, 0);
        string(&mut out, bytes);
        String::from_utf8(out.buffer).unwrap()
    }

    #[test]
    fn as_python_escapes() {
        assert_eq!(written("a\"\\\n\t\r\u{8}\u{c}\u{1}\u{7f}~".as_bytes()), r#""a\"\\\n\t\r\b\f\u0001\u007f~""#);
        assert_eq!(written("é😀".as_bytes()), r#""\u00e9\ud83d\ude00""#);
        assert_eq!(written(b"caf\xe9"), r#"{"@bytes": "Y2Fm6Q=="}"#);
    }
}
