//! A V1 image: what it is, by its name and its first words.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::base::{Error, Limits, Result};
use crate::image::entry::{Entries, Entry};
use crate::image::index::{Index, STRIDE};
use crate::image::kinds::{FirstWord, Kind, Shape};
use crate::image::payload::Payload;
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
    pub(super) name: Arc<str>,
    pub(super) kind: Kind,
    pub(super) id: u64,
    pub(super) first_word: FirstWord,
    pub(super) body: usize,
    pub(super) bytes: Bytes,
    pub(super) limits: Limits,
    pub(super) index: OnceLock<Index>,
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
