//! Base64 as Python's MIME form has it: a newline after each 76 characters and at the end. Reading takes any
//! whitespace, so icecore's own form without newlines too.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::base::{Error, Result};
use crate::object::json::out::Out;

const LINE: usize = 57;

/// `bytes` in quotes, with `\n` for each newline. Passed on as it grows.
pub(crate) fn mime(out: &mut Out<'_>, bytes: &[u8]) {
    out.raw(b"\"");
    for line in bytes.chunks(LINE) {
        let mut text = [0; 76];
        if let Ok(length) = STANDARD.encode_slice(line, &mut text) {
            out.raw(text.get(..length).unwrap_or_default());
        }
        out.raw(b"\\n");
        out.relieve();
    }
    out.raw(b"\"");
}

/// `bytes` in quotes, in one line: icecore's own additions.
pub(crate) fn plain(out: &mut Out<'_>, bytes: &[u8]) {
    out.raw(b"\"");
    for part in bytes.chunks(3 * 1024) {
        out.raw(STANDARD.encode(part).as_bytes());
        out.relieve();
    }
    out.raw(b"\"");
}

/// Decodes base64 that comes in pieces.
pub(crate) struct Decoder {
    group: [u8; 4 * 1024],
    filled: usize,
    /// Padding was there: nothing may follow.
    ended: bool,
}

impl Decoder {
    pub(crate) fn new() -> Self {
        Self { group: [0; 4 * 1024], filled: 0, ended: false }
    }

    /// Takes the next piece of text and hands on what it decodes to.
    ///
    /// Errors: a character that base64 does not have, padding before the end.
    pub(crate) fn push(&mut self, text: &[u8], take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        for &byte in text {
            if byte.is_ascii_whitespace() {
                continue;
            }
            if self.filled == self.group.len() {
                self.flush(take)?;
            }
            if let Some(place) = self.group.get_mut(self.filled) {
                *place = byte;
            }
            self.filled = self.filled.saturating_add(1);
        }
        Ok(())
    }

    /// The rest.
    ///
    /// Errors: as [`push`](Self::push), and a length that cannot be.
    pub(crate) fn finish(mut self, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        self.flush(take)
    }

    fn flush(&mut self, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let group = self.group.get(..self.filled).unwrap_or_default();
        if group.is_empty() {
            return Ok(());
        }
        let mut bytes = [0; 3 * 1024];
        let length = STANDARD
            .decode_slice(group, &mut bytes)
            .map_err(|error| Error::format(format!("expected base64, found: {error}")))?;
        if self.ended {
            return Err(Error::format("expected base64, found padding before its end"));
        }
        self.ended = group.ends_with(b"=");
        self.filled = 0;
        take(bytes.get(..length).unwrap_or_default())
    }
}

/// Decodes `text` and hands the bytes on, piece by piece.
///
/// Errors: as [`Decoder::push`] and [`Decoder::finish`].
pub(crate) fn decode(text: &[u8], take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut decoder = Decoder::new();
    decoder.push(text, take)?;
    decoder.finish(take)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(write: impl Fn(&mut Out<'_>)) -> String {
        let mut out = Out::part(Vec::new(), false, 0);
        write(&mut out);
        String::from_utf8(out.buffer).unwrap()
    }

    #[test]
    fn as_python_writes_it() {
        assert_eq!(written(|out| mime(out, b"")), "\"\"");
        let data: Vec<u8> = (0..60).collect();
        assert_eq!(
            written(|out| mime(out, &data)),
            "\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4\\nOTo7\\n\""
        );
    }

    #[test]
    fn refuses_what_is_none() {
        for text in ["A", "AB", "ABC", "A===", "AAAA=", "AA*A", "AA==AAAA"] {
            assert!(decode(text.as_bytes(), &mut |_| Ok(())).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn there_and_back(data in proptest::collection::vec(any::<u8>(), 0..9000)) {
            for write in [mime, plain] {
                let text = written(|out| write(out, &data)).replace("\\n", "\n");
                let mut back = Vec::new();
                decode(&text.as_bytes()[1..text.len() - 1], &mut |bytes| {
                    back.extend_from_slice(bytes);
                    Ok(())
                })
                .unwrap();
                prop_assert_eq!(&back, &data);
            }
        }
    }
}
