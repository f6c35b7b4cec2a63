//! One entry of an image, and iterating over them.

use bytes::Bytes;

use crate::base::{Error, Result};
use crate::image::payload::{Payload, Record, Records};
use crate::image::v1::Image;
use crate::image::walk::Span;

/// One entry: where it is in its image, its message and its payload, as slices of the map.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    pub(super) image: &'a Image,
    pub(super) index: usize,
    pub(super) span: Span,
}

impl<'a> Entry<'a> {
    /// The image it is in.
    pub fn image(&self) -> &'a Image {
        self.image
    }

    /// Its number in the image, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Name of its message, such as `pagemap_head` for the first entry of a pagemap.
    pub fn message_name(&self) -> &'static str {
        self.image.kind.message_name(self.index as u64)
    }

    /// Offset of its size word in the file, in bytes.
    pub fn offset(&self) -> u64 {
        self.span.start as u64
    }

    /// Offset of its message in the file, in bytes.
    pub fn message_offset(&self) -> u64 {
        self.span.message as u64
    }

    /// Offset of its payload in the file, in bytes.
    pub fn payload_offset(&self) -> u64 {
        self.span.payload as u64
    }

    /// Its message on the wire.
    #[inline]
    pub fn message(&self) -> &'a [u8] {
        self.image.bytes.get(self.span.message..self.span.payload).unwrap_or_default()
    }

    /// The raw bytes behind its message, padding included; empty for most kinds.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.image.bytes.get(self.span.payload..self.span.end).unwrap_or_default()
    }

    /// Its message, sharing the map.
    pub fn message_bytes(&self) -> Bytes {
        self.image.bytes.slice(self.span.message..self.span.payload)
    }

    /// Its payload, sharing the map.
    pub fn payload_bytes(&self) -> Bytes {
        self.image.bytes.slice(self.span.payload..self.span.end)
    }

    /// The messages in a System V queue's payload; none for other kinds.
    pub fn records(&self) -> impl Iterator<Item = Result<Record<'a>>> + use<'a> {
        let (payload, length, pad) = match self.image.kind.row().payload {
            Payload::Messages { length, pad, .. } => (self.payload(), length, pad),
            _ => (&[][..], 0, 1),
        };
        let entry = *self;
        Records::new(payload, length, pad).map(move |record| {
            record
                .map_err(|error| entry.image.payload_error(error, entry.span.message, entry.span.payload, entry.index))
        })
    }

    /// Adds to an error where this entry is; `offset` is counted from the start of its message.
    #[must_use]
    pub fn locate(&self, error: Error, offset: usize) -> Error {
        self.image.place(error, self.span.message.wrapping_add(offset), self.index)
    }
}

/// The entries of an image, in order. Made by [`Image::iter`].
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    pub(super) image: &'a Image,
    /// The file if entries follow each other without payloads, else nothing.
    pub(super) plain: &'a [u8],
    pub(super) next: usize,
    /// Where entry `next` begins.
    pub(super) at: usize,
    pub(super) end: usize,
    /// Whether the image's error is still to come.
    pub(super) fault: bool,
}

impl<'a> Entries<'a> {
    /// The span of the next entry where there is no payload and nothing is wrong.
    #[inline]
    fn plain(&self) -> Option<Span> {
        let (size, rest) = self.plain.get(self.at..)?.split_first_chunk::<4>()?;
        let size = u32::from_le_bytes(*size) as usize;
        let message = self.at.wrapping_add(4);
        let end = message.wrapping_add(size);
        (size <= rest.len()).then_some(Span { start: self.at, message, payload: end, end })
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.end {
            return if std::mem::take(&mut self.fault) { self.image.fault().cloned().map(Err) } else { None };
        }
        let span = match self.plain() {
            Some(span) => span,
            None => match self.image.span_of_any(self.at, self.next) {
                Ok(span) => span,
                // only possible where the file changes under the map: the index found this entry sound
                Err(error) => {
                    self.end = self.next;
                    self.fault = false;
                    return Some(Err(error));
                }
            },
        };
        let index = self.next;
        self.next = index.wrapping_add(1);
        self.at = span.end;
        Some(Ok(Entry { image: self.image, index, span }))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let rest = self.end.saturating_sub(self.next).saturating_add(usize::from(self.fault));
        (rest, Some(rest))
    }
}

impl DoubleEndedIterator for Entries<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        if std::mem::take(&mut self.fault) {
            return self.image.fault().cloned().map(Err);
        }
        if self.next >= self.end {
            return None;
        }
        self.end = self.end.wrapping_sub(1);
        Some(self.image.get(self.end))
    }
}

impl ExactSizeIterator for Entries<'_> {}
