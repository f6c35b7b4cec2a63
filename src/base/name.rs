//! Names as a dump has them: bytes, usually UTF-8, chosen by whoever owned the process.

use std::borrow::Cow;
use std::fmt::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// A name from a dump: a path, a command, the address of a socket. Any bytes, shared with the map.
///
/// Printed, it is escaped, so that nothing in it reaches a terminal as a command: control characters, characters that
/// change the direction of text, and bytes that are not UTF-8 become `\x1b`, `\u{202e}`, `\xff`; a backslash is
/// doubled. In JSON it is a string as it is, or `{"@bytes": base64}` if it is not UTF-8.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Bytes);

impl Name {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Bytes> for Name {
    fn from(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl From<&'static str> for Name {
    fn from(text: &'static str) -> Self {
        Self(Bytes::from_static(text.as_bytes()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        escape(&self.0, f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("@bytes", &STANDARD.encode(&self.0))?;
                map.end()
            }
        }
    }
}

/// Writes bytes as [`Name`] is printed.
pub fn escape(bytes: &[u8], out: &mut impl Write) -> fmt::Result {
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => out.write_str("\\\\")?,
                c => character(c, out)?,
            }
        }
        for byte in chunk.invalid() {
            write!(out, "\\x{byte:02x}")?;
        }
    }
    Ok(())
}

/// A text in which names may occur, fit for a terminal: as [`escape`], but backslashes stay and lines may end.
pub fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let _ = match c {
            '\n' => out.write_char(c),
            c => character(c, &mut out),
        };
    }
    out
}

/// JSON whose strings may have names in them, fit for a terminal: what [`escape`] would escape and JSON lets stand is
/// written as `\\u202e`, which means the same.
pub fn harmless_json(json: &str) -> Cow<'_, str> {
    let is_shown = |c: char| c == '\u{7f}' || is_hidden(c);
    // all of them but one have bytes that are not ASCII
    if json.bytes().all(|byte| byte < 0x7f) || !json.contains(is_shown) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len().saturating_add(16));
    for c in json.chars() {
        if is_shown(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

fn character(c: char, out: &mut impl Write) -> fmt::Result {
    match c {
        '\t' => out.write_str("\\t"),
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        '\0'..='\x1f' | '\x7f' => write!(out, "\\x{:02x}", u32::from(c)),
        c if is_hidden(c) => write!(out, "\\u{{{:x}}}", u32::from(c)),
        c => out.write_char(c),
    }
}

/// Characters that a terminal acts on, or that hide or reorder what stands beside them.
fn is_hidden(c: char) -> bool {
    matches!(
        c,
        '\u{80}'..='\u{9f}'
            | '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(bytes: &[u8]) -> Name {
        Name::from(Bytes::copy_from_slice(bytes))
    }

    #[test]
    fn nothing_reaches_a_terminal() {
        assert_eq!(name(b"caf\xe9 \xc3\xa9").to_string(), "caf\\xe9 \u{e9}");
        assert_eq!(name(b"\x1b]0;x\x07\x7f\n\\").to_string(), "\\x1b]0;x\\x07\\x7f\\n\\\\");
        assert_eq!(name("a\u{202e}b\u{9b}c".as_bytes()).to_string(), "a\\u{202e}b\\u{9b}c");
        for c in (0..=0x10_ffff).filter_map(char::from_u32).filter(|c| c.is_control()) {
            let text = name(c.to_string().as_bytes()).to_string();
            assert!(text.starts_with('\\') && !text.contains(char::is_control), "{text:?}");
        }
        assert_eq!(harmless("a\\b\n\x1b[1m"), "a\\b\n\\x1b[1m");
    }

    #[test]
    fn json_keeps_what_is_text() {
        let json = |bytes: &[u8]| serde_json::to_string(&name(bytes)).unwrap();
        assert_eq!(json("a\\b\u{e9}".as_bytes()), "\"a\\\\b\u{e9}\"");
        assert_eq!(json(b"\x1b"), "\"\\u001b\"");
        assert_eq!(json(b"a\xff"), "{\"@bytes\":\"Yf8=\"}");
        let hidden = "[\"\u{9b}31m\u{7f}\u{202e}\u{e0041}é\"]";
        let shown = harmless_json(hidden);
        assert_eq!(shown, "[\"\\u009b31m\\u007f\\u202e\\udb40\\udc41é\"]");
        let read = |json: &str| serde_json::from_str::<serde_json::Value>(json).unwrap();
        assert_eq!(read(&shown), read(hidden));
    }
}
