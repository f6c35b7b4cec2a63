//! Complaint: "too many magic values, two first words": V2 has one header. What a V1 file had in front of its entries
//! follows from its kind; where it does not, and for what lies behind the last entry, there is a V1_IMAGE.

use bytes::Bytes;
use prost::Message;

use crate::base::{Error, Result};
use crate::image::{FirstWord, Image, Kind, Shape};
use crate::object::upgrade::v2::{V1FirstWord, V1Image};

/// Bytes behind the last entry that an image may have and still be objects.
const TAIL: usize = 1 << 20;

/// Where the entries of an image end that are to be objects, and how many they are.
pub(super) struct Entries {
    pub(super) count: usize,
    end: usize,
}

impl Entries {
    /// Those of an image: of one with a single entry no more than that, as CRIU reads it.
    pub(super) fn of(image: &Image) -> Self {
        let index = image.index();
        match image.kind().row().shape {
            Shape::Single if index.len > 1 => {
                let end = image.get(1).map_or(index.end, |entry| usize::try_from(entry.offset()).unwrap_or(index.end));
                Self { count: 1, end }
            }
            Shape::Plugin if index.len == 0 => Self { count: 0, end: 0 },
            _ => Self { count: index.len, end: index.end },
        }
    }
}

/// The V1_IMAGE that an image needs, if it needs one.
///
/// Errors: too much lies behind its last entry.
pub(super) fn up(image: &Image, entries: &Entries) -> Result<Option<Vec<u8>>> {
    let row = image.kind().row();
    let tail = image.bytes().get(entries.end..).unwrap_or_default();
    if tail.len() > TAIL {
        return Err(Error::limit(format!("expected at most {TAIL} bytes behind the last entry, found {}", tail.len())));
    }
    let mut framing = V1Image::default();
    if row.shape.is_framed() && image.first_word() != row.first_word {
        framing.set_first_word(match image.first_word() {
            FirstWord::Absent => V1FirstWord::Absent,
            FirstWord::Common => V1FirstWord::Common,
            FirstWord::Service => V1FirstWord::Service,
        });
    }
    if !tail.is_empty() {
        framing.tail = Some(image.bytes().slice(entries.end..));
    }
    Ok((framing != V1Image::default()).then(|| framing.encode_to_vec()))
}

/// The V1_IMAGE of a framed image without a single byte.
pub(super) fn empty() -> Vec<u8> {
    V1Image { empty: Some(true), ..V1Image::default() }.encode_to_vec()
}

/// What only the V1 file had.
///
/// Errors: it is no V1_IMAGE.
pub(super) fn read(payload: &[u8]) -> Result<V1Image> {
    V1Image::decode(payload).map_err(|error| Error::format(format!("expected a V1_IMAGE: {error}")))
}

/// What a V1 file begins with.
///
/// Errors: it would begin with what V1 does not have.
pub(super) fn head(kind: Kind, framing: &V1Image) -> Result<Vec<u8>> {
    let row = kind.row();
    let mut head = Vec::new();
    if !row.shape.is_framed() || framing.empty == Some(true) {
        return Ok(head);
    }
    let first_word = match framing.first_word.map(V1FirstWord::try_from) {
        None => row.first_word,
        Some(Ok(V1FirstWord::Absent)) => FirstWord::Absent,
        Some(Ok(V1FirstWord::Common)) => FirstWord::Common,
        Some(Ok(V1FirstWord::Service)) => FirstWord::Service,
        Some(Err(_)) => return Err(Error::format("expected a first word that V1 has").in_field("first_word")),
    };
    let magic = match framing.magic {
        None => row.magic,
        Some(magic) => u32::try_from(magic)
            .map_err(|_| Error::format(format!("expected a magic of 32 bits, found {magic:#x}")).in_field("magic"))?,
    };
    head.extend(first_word.value().into_iter().chain([magic]).flat_map(u32::to_le_bytes));
    Ok(head)
}

/// What lies behind the last entry.
pub(super) fn tail(framing: &V1Image) -> &[u8] {
    framing.tail.as_ref().map_or(&[], Bytes::as_ref)
}
