//! The walk over an image's entries: where each begins and ends, and what is wrong where one does not.

use crate::base::{Error, Result};
use crate::image::index::{Index, STRIDE};
use crate::image::kinds::Shape;
use crate::image::payload::{Payload, PayloadError};
use crate::image::v1::Image;
use crate::wire::v1;

/// Where an entry is in its image.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    /// Its size word.
    pub(super) start: usize,
    pub(super) message: usize,
    pub(super) payload: usize,
    pub(super) end: usize,
}

impl Image {
    pub(super) fn walk(&self) -> Index {
        let mut index = Index { end: self.body, ..Index::default() };
        match self.kind.row().shape {
            Shape::Plugin => self.walk_plugin(&mut index),
            shape if shape.is_framed() => match self.kind.row().payload {
                Payload::Nothing => self.walk_plain(&mut index),
                _ => self.walk_payloads(&mut index),
            },
            _ => {}
        }
        index
    }

    /// The common case: nothing but size words decides where the next entry is.
    fn walk_plain(&self, index: &mut Index) {
        let bytes = &self.bytes[..];
        let mut at = self.body;
        let mut len = 0usize;
        'walk: while at < bytes.len() {
            index.starts.push(at);
            for _ in 0..STRIDE {
                let Some(next) = v1::word(bytes, at)
                    .map(|size| at.wrapping_add(4).wrapping_add(size as usize))
                    .filter(|&next| next <= bytes.len() && next > at)
                else {
                    break 'walk;
                };
                at = next;
                len = len.wrapping_add(1);
                if at == bytes.len() {
                    break 'walk;
                }
            }
        }
        self.ended(index, at, len);
    }

    fn walk_payloads(&self, index: &mut Index) {
        let mut at = self.body;
        let mut len = 0usize;
        while at < self.bytes.len() {
            let Ok(span) = self.span(at, len) else { break };
            if len.is_multiple_of(STRIDE) {
                index.starts.push(at);
            }
            at = span.end;
            len = len.wrapping_add(1);
        }
        self.ended(index, at, len);
    }

    fn walk_plugin(&self, index: &mut Index) {
        index.starts.push(self.body);
        match self.span(self.body, 0) {
            Ok(span) => {
                index.len = 1;
                index.end = span.end;
            }
            Err(error) => index.fault = Some(error),
        }
    }

    fn ended(&self, index: &mut Index, at: usize, len: usize) {
        index.len = len;
        index.end = at;
        index.starts.truncate(len.div_ceil(STRIDE));
        if at < self.bytes.len() {
            index.fault = self.span(at, len).err();
        }
    }

    /// The entry that begins at `at`, which is number `index`.
    #[inline]
    pub(super) fn span(&self, at: usize, index: usize) -> Result<Span> {
        let (size, start) = match self.kind.row().shape {
            Shape::Plugin => (v1::long_word(&self.bytes, 0), 8),
            _ => (v1::word(&self.bytes, at).map(u64::from), at.wrapping_add(4)),
        };
        let Some(size) = size else {
            return Err(self.cut_size(at, index));
        };
        let rest = self.bytes.get(start..).unwrap_or_default();
        let Some((message, rest)) = usize::try_from(size).ok().and_then(|size| rest.split_at_checked(size)) else {
            return Err(self.cut_message(start, index, size, rest.len()));
        };
        let payload = start.wrapping_add(message.len());
        let rule = self.kind.row().payload;
        let length = if rule == Payload::Nothing {
            0
        } else {
            rule.length(index as u64, message, rest)
                .map_err(|error| self.payload_error(error, start, payload, index))?
        };
        Ok(Span { start: at, message: start, payload, end: payload.wrapping_add(length) })
    }

    /// [`span`](Self::span), out of the way of the loop over entries without payloads.
    #[inline(never)]
    pub(super) fn span_of_any(&self, at: usize, index: usize) -> Result<Span> {
        self.span(at, index)
    }

    #[cold]
    fn cut_size(&self, at: usize, index: usize) -> Error {
        let (at, width) = self.size_word(at);
        let found = self.bytes.len().saturating_sub(at);
        let error = Error::format(format!("expected the size of an entry, {width} bytes, found {found}"));
        self.place(error, at, index).hint("the file is cut short")
    }

    /// Where the size of an entry is and how many bytes it has, for an entry thought to begin at `at`.
    fn size_word(&self, at: usize) -> (usize, usize) {
        if self.kind.row().shape == Shape::Plugin { (0, 8) } else { (at, 4) }
    }

    #[cold]
    fn cut_message(&self, at: usize, index: usize, size: u64, found: usize) -> Error {
        let error = Error::format(format!("expected an entry of {size} bytes, found {found} to the end of the file"));
        self.place(error, self.size_word(at.saturating_sub(4)).0, index)
            .hint("the file is cut short, or the size before the entry is wrong")
    }

    #[cold]
    pub(super) fn payload_error(&self, error: PayloadError, message: usize, payload: usize, index: usize) -> Error {
        let (error, at) = match error {
            PayloadError::Message(error) => (Error::format(error.to_string()), message.wrapping_add(error.offset)),
            PayloadError::Inner(error) => (Error::format(error.to_string()), payload.wrapping_add(error.offset)),
            PayloadError::Cut { needed, found } => (
                Error::format(format!("expected {needed} bytes of payload behind the entry, found {found}"))
                    .hint("the file is cut short, or the length in the entry is wrong"),
                payload,
            ),
            PayloadError::Overflow => {
                (Error::format("expected a payload that fits a file, found lengths that overflow"), message)
            }
        };
        self.place(error, at, index)
    }

    pub(super) fn place(&self, error: Error, at: usize, index: usize) -> Error {
        error.at_offset(at as u64).at_entry(index as u64).in_image(self.name.clone())
    }
}
