//! A V1 image: framing, entries, payloads.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::base::{Error, Limits, Result};
use crate::image::index::{Index, STRIDE};
use crate::image::kinds::{FirstWord, Kind, Shape};
use crate::image::payload::{Payload, PayloadError, Record, Records};
use crate::wire::v1;

/// One image of version 1: framed (entries with a size before each) or raw.
///
/// Opening looks at the first words only. The first call that needs to know where entries are walks the size words
/// and keeps a sparse index.
///
/// ```
/// use icecore::{Image, Kind};
/// let bytes = [0x19, 0x43, 0x56, 0x54, 0x12, 0x39, 0x40, 0x51, 6, 0, 0, 0, 8, 16, 16, 17, 24, 18];
/// let image = Image::open("fs-1.img", bytes.to_vec().into(), Default::default())?;
/// assert_eq!((image.kind(), image.id(), image.len()), (Kind::Fs, 1, 1));
/// assert_eq!(image.get(0)?.message(), [8, 16, 16, 17, 24, 18]);
/// # Ok::<(), icecore::Error>(())
/// ```
pub struct Image {
    name: Arc<str>,
    kind: Kind,
    id: u64,
    first_word: FirstWord,
    body: usize,
    bytes: Bytes,
    limits: Limits,
    index: OnceLock<Index>,
}

impl Image {
    /// Opens an image by the name of its file and its content. The kind comes from both, and they must agree; where
    /// the name says nothing, the magic decides.
    ///
    /// Errors: no magic that is known, another than the name says, a big-endian image, an empty framed image.
    pub fn open(name: &str, bytes: Bytes, limits: Limits) -> Result<Self> {
        let base = name.rsplit('/').next().unwrap_or(name);
        match Kind::from_file_name(base) {
            Some((kind, id)) => Self::of_kind(name, kind, id, bytes, limits),
            None => Self::by_magic(name, bytes, limits),
        }
    }

    /// Opens a framed image by its magic alone, as crit does, whatever it is called.
    pub fn by_magic(name: &str, bytes: Bytes, limits: Limits) -> Result<Self> {
        let (kind, first_word, body) = detect(&bytes).map_err(|error| error.in_image(name))?;
        Ok(Self::new(name, kind, 0, first_word, body, bytes, limits))
    }

    /// Opens an image that is known to be of `kind`.
    pub fn of_kind(name: &str, kind: Kind, id: u64, bytes: Bytes, limits: Limits) -> Result<Self> {
        let row = kind.row();
        if !row.shape.is_framed() {
            let kind = match kind {
                Kind::Pages if is_old_pages(&bytes) => Kind::PagesOld,
                other => other,
            };
            let body = match kind.row().shape {
                Shape::OldPages => 4,
                Shape::Plugin | Shape::PluginPages => 8,
                _ => 0,
            };
            return Ok(Self::new(name, kind, id, FirstWord::Absent, body.min(bytes.len()), bytes, limits));
        }
        let (found, first_word, body) = detect(&bytes).map_err(|error| error.in_image(name))?;
        if found.row().magic != row.magic {
            return Err(Error::format(format!(
                "expected the magic of {} ({:#010x}), found that of {} ({:#010x})",
                row.name,
                row.magic,
                found.name(),
                found.row().magic
            ))
            .at_offset(body.saturating_sub(4) as u64)
            .in_image(name));
        }
        Ok(Self::new(name, kind, id, first_word, body, bytes, limits))
    }

    fn new(name: &str, kind: Kind, id: u64, first_word: FirstWord, body: usize, bytes: Bytes, limits: Limits) -> Self {
        Self { name: name.into(), kind, id, first_word, body, bytes, limits, index: OnceLock::new() }
    }

    /// Its name, as errors call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The number in its name: a pid, a namespace, what [`Row::id`](crate::image::kinds::Row::id) says.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The word before its magic; absent in inventories and images of v1.0.
    pub fn first_word(&self) -> FirstWord {
        self.first_word
    }

    /// The whole file.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// What comes behind the magic, or behind the length word of a plugin's image: all of a raw image.
    pub fn body(&self) -> &[u8] {
        self.bytes.get(self.body..).unwrap_or_default()
    }

    /// The limits it was opened with.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// How many sound entries it has. Raw images have none.
    ///
    /// An image that is broken somewhere has the entries before that place; [`fault`](Self::fault) says what is
    /// wrong, and iterating ends with that error.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.index().len
    }

    /// Whether it has no sound entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is wrong behind the last sound entry, if anything is.
    pub fn fault(&self) -> Option<&Error> {
        self.index().fault.as_ref()
    }

    /// Entry `index`, from 0. At most 64 size words are read to find it.
    ///
    /// Errors: there are fewer entries, or the image is broken before it.
    pub fn get(&self, index: usize) -> Result<Entry<'_>> {
        let known = self.index();
        if index >= known.len {
            return Err(match &known.fault {
                Some(fault) => fault.clone(),
                None => Error::usage(format!("expected an entry below {}, asked for {index}", known.len))
                    .in_image(self.name.clone()),
            });
        }
        let mut at = known.starts.get(index / STRIDE).copied().unwrap_or(self.body);
        for skipped in index.saturating_sub(index % STRIDE)..index {
            at = self.span(at, skipped)?.end;
        }
        let span = self.span(at, index)?;
        Ok(Entry { image: self, index, span })
    }

    /// All entries in order; ends with the error if the image is broken.
    pub fn iter(&self) -> Entries<'_> {
        self.range(0..self.len(), true)
    }

    /// The entries in `range`, found without reading those before it; `fault` tells whether an error of the image
    /// comes behind the last entry.
    pub(crate) fn range(&self, range: Range<usize>, fault: bool) -> Entries<'_> {
        let (next, fault) = (range.start, fault && self.fault().is_some());
        let at = match next {
            0 => self.body,
            _ if next < range.end => self.get(next).map_or(usize::MAX, |entry| entry.span.start),
            _ => usize::MAX,
        };
        let is_plain = self.kind.row().shape.is_framed() && self.kind.row().payload == Payload::Nothing;
        let plain = if is_plain { &self.bytes[..] } else { &[] };
        Entries { image: self, plain, next, at, end: range.end, fault }
    }

    pub(crate) fn index(&self) -> &Index {
        self.index.get_or_init(|| self.walk())
    }

    fn walk(&self) -> Index {
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
    fn span(&self, at: usize, index: usize) -> Result<Span> {
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
    fn span_of_any(&self, at: usize, index: usize) -> Result<Span> {
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
    fn payload_error(&self, error: PayloadError, message: usize, payload: usize, index: usize) -> Error {
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

    fn place(&self, error: Error, at: usize, index: usize) -> Error {
        error.at_offset(at as u64).at_entry(index as u64).in_image(self.name.clone())
    }
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Image")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("id", &self.id)
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

impl<'a> IntoIterator for &'a Image {
    type Item = Result<Entry<'a>>;
    type IntoIter = Entries<'a>;

    fn into_iter(self) -> Entries<'a> {
        self.iter()
    }
}

/// The kind by magic, the first word, and where entries begin.
fn detect(bytes: &[u8]) -> Result<(Kind, FirstWord, usize)> {
    let Some(word) = v1::word(bytes, 0) else {
        return Err(Error::format(format!("expected a magic of 4 bytes, found {}", bytes.len())).at_offset(0));
    };
    let first_word = match word {
        v1::COMMON => FirstWord::Common,
        v1::SERVICE => FirstWord::Service,
        _ => FirstWord::Absent,
    };
    let (magic, at) = match first_word {
        FirstWord::Absent => (word, 0),
        _ => match v1::word(bytes, 4) {
            Some(magic) => (magic, 4usize),
            None => {
                let found = bytes.len().saturating_sub(4);
                return Err(Error::format(format!("expected a magic of 4 bytes, found {found}")).at_offset(4));
            }
        },
    };
    match Kind::from_magic(magic) {
        Some(kind) => Ok((kind, first_word, at.saturating_add(4))),
        None => Err(unknown_magic(word, magic, at)),
    }
}

#[cold]
fn unknown_magic(word: u32, magic: u32, at: usize) -> Error {
    let swapped = word.swap_bytes();
    let error = if swapped == v1::COMMON || swapped == v1::SERVICE || Kind::from_magic(swapped).is_some() {
        Error::format("the image was written by a big-endian machine (s390x), which icecore does not read")
    } else if magic == KDAT {
        Error::format("this is CRIU's cache of kernel features (criu.kdat), not an image")
    } else {
        Error::format(format!("expected the magic of an image, found {magic:#010x}"))
            .hint("an image with raw data, such as pages-1.img, has no magic")
    };
    error.at_offset(at as u64)
}

const KDAT: u32 = 0x5702_3458;

/// The pages files of v0.1 to v0.4 begin with a magic and have an address before each page.
fn is_old_pages(bytes: &[u8]) -> bool {
    let records = bytes.len().saturating_sub(4);
    v1::word(bytes, 0) == Some(Kind::PagesOld.row().magic) && records.is_multiple_of(4096 + 8)
}

#[derive(Clone, Copy, Debug)]
struct Span {
    start: usize,
    message: usize,
    payload: usize,
    end: usize,
}

/// One entry: where it is in its image, its message and its payload, as slices of the map.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    image: &'a Image,
    index: usize,
    span: Span,
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
    image: &'a Image,
    /// The file if entries follow each other without payloads, else nothing.
    plain: &'a [u8],
    next: usize,
    /// Where entry `next` begins.
    at: usize,
    end: usize,
    /// Whether the image's error is still to come.
    fault: bool,
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
