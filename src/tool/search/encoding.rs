//! How the characters of strings are stored, and where one begins.

use serde::Serialize;

/// How characters are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// A byte each: blank to `~`, and tab.
    Ascii,
    /// ASCII, and all of Unicode from U+00A0 on.
    #[serde(rename = "utf-8")]
    Utf8,
    /// Two bytes each, at even and odd addresses: ASCII and Latin-1, as U+00A0 to U+00FF.
    #[serde(rename = "utf-16le")]
    Utf16Le,
}

impl Encoding {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ascii => "ascii",
            Self::Utf8 => "utf-8",
            Self::Utf16Le => "utf-16le",
        }
    }

    /// Bytes of the character that begins here; 0 where none does. Where one begins, none begins in the middle of it:
    /// so where strings are does not depend on where one begins to look.
    #[inline]
    pub(super) fn length(self, bytes: &[u8]) -> usize {
        let is_plain = |byte: u8| matches!(byte, b' '..=b'~' | b'\t');
        match (self, bytes) {
            (_, []) => 0,
            (Self::Ascii, [byte, ..]) => usize::from(is_plain(*byte)),
            (Self::Utf8, [byte, ..]) if *byte < 0x80 => usize::from(is_plain(*byte)),
            (Self::Utf8, _) => wide(bytes),
            (Self::Utf16Le, [byte, 0, ..]) if is_plain(*byte) || *byte >= 0xa0 => 2,
            (Self::Utf16Le, _) => 0,
        }
    }

    pub(super) fn text(self, bytes: &[u8]) -> String {
        match self {
            Self::Ascii | Self::Utf8 => String::from_utf8_lossy(bytes).into_owned(),
            Self::Utf16Le => bytes.iter().step_by(2).map(|byte| char::from(*byte)).collect(),
        }
    }
}

/// Bytes of a character of UTF-8 beyond ASCII that can be printed.
fn wide(bytes: &[u8]) -> usize {
    let Some(chunk) = bytes.get(..bytes.len().min(4)).and_then(|bytes| bytes.utf8_chunks().next()) else { return 0 };
    match chunk.valid().chars().next() {
        Some(c) if c >= '\u{a0}' => c.len_utf8(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters() {
        for (encoding, bytes, want) in [
            (Encoding::Ascii, &b"a"[..], 1),
            (Encoding::Ascii, b"\n", 0),
            (Encoding::Ascii, b"\xc3\xa9", 0),
            (Encoding::Utf8, "\u{e9}".as_bytes(), 2),
            (Encoding::Utf8, "\u{1f9ca}".as_bytes(), 4),
            (Encoding::Utf8, "\u{85}".as_bytes(), 0),
            (Encoding::Utf8, b"\xa9a", 0),
            (Encoding::Utf8, b"\xc3", 0),
            (Encoding::Utf8, b"\xc0\x80", 0),
            (Encoding::Utf16Le, b"a\0", 2),
            (Encoding::Utf16Le, b"\xe9\0", 2),
            (Encoding::Utf16Le, b"\x85\0", 0),
            (Encoding::Utf16Le, b"a", 0),
            (Encoding::Utf16Le, b"ab", 0),
        ] {
            assert_eq!(encoding.length(bytes), want, "{encoding:?} {bytes:x?}");
        }
        assert_eq!(Encoding::Utf16Le.text(b"\xe9\0t\0"), "\u{e9}t");
    }
}
