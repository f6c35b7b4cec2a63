//! What an entry of a pagemap says that a run has no room for.

use prost::Message as _;

use crate::object::upgrade::v2;
use crate::wire::field::{Fields, Value};

/// What an entry says that a run has no room for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// Fields that follow those which CRIU writes.
    Rest(Vec<u8>),
    /// The whole message, which is made otherwise.
    Raw(Vec<u8>),
}

impl Note {
    /// What has to be noted of a message so that it can be made again from `usual`, what CRIU would have written.
    pub fn of(message: &[u8], usual: &[u8]) -> Option<Self> {
        let rest = message.strip_prefix(usual);
        match rest {
            Some([]) => None,
            Some(rest) => Some(Self::Rest(rest.to_vec())),
            None => Some(Self::Raw(message.to_vec())),
        }
    }

    /// The payload of its `NOTE` record, for the run with this number in its image.
    pub fn encode(&self, index: u64) -> Vec<u8> {
        let (rest, raw) = match self {
            Self::Rest(rest) => (Some(rest.clone().into()), None),
            Self::Raw(raw) => (None, Some(raw.clone().into())),
        };
        v2::Note { index: Some(index), v1_rest: rest, v1_raw: raw }.encode_to_vec()
    }

    pub(super) fn decode(payload: &[u8]) -> Option<(u64, Self)> {
        let (mut index, mut note) = (0, None);
        for field in Fields::new(payload) {
            let field = field.ok()?;
            match (field.number, field.value) {
                (1, Value::Varint(value)) => index = value,
                (2, Value::Bytes(rest)) => note = Some(Self::Rest(rest.to_vec())),
                (3, Value::Bytes(raw)) => note = Some(Self::Raw(raw.to_vec())),
                _ => {}
            }
        }
        Some((index, note?))
    }
}
