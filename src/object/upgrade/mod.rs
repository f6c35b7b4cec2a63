//! V1 messages as V2 messages and back, wire to wire, driven by tables that `build/v2` makes out of the options in
//! `proto/v2`.
//!
//! Nothing is lost: what no V2 field says stays in `v1_rest`, and a message that would not come back byte for byte is
//! kept whole in `v1_raw`. That is a property of [`checked_up`], not of a list of oddities: it converts, converts back
//! and compares.
//!
//! What moves between messages or images (a leader's signal mask, the members of `file_entry`) is not for the tables;
//! code does that, on V1 messages before [`up()`] and behind [`down()`], in fields numbered from
//! [`FILLED_BY_CODE`](schema::FILLED_BY_CODE), for which V2 has fields with a path like `#1`.

mod back;
pub mod container;
mod context;
mod down;
pub(crate) mod edit;
mod entry;
mod files;
mod framing;
mod fsnotify;
pub mod image;
mod kept;
mod leader;
mod locks;
mod mqueue;
mod names;
mod number;
pub mod pagemap;
mod parts;
mod payload;
pub mod places;
mod queues;
pub mod schema;
pub mod source;
pub mod tally;
mod tree;
mod up;
mod verify;
mod write;

pub use schema::{KindRow, Layout, Message, Type};
pub use source::V1Files;

use crate::base::{Limits, Result};
use crate::object::check::Broken;
use up::Beyond;

/// The messages of the container itself as structs, one per message of `proto/v2/container.proto`.
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub mod v2 {
    include!(concat!(env!("OUT_DIR"), "/v2_structs.rs"));
}

/// How a V1 message was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// As V2 fields, and `v1_rest` if there was more.
    Fields,
    /// As it was, in `v1_raw`, beside what V2 fields can say of it.
    Raw,
}

/// Appends a V1 message as a V2 message. What V2 fields do not say goes into `v1_rest`; whether all of it comes back
/// is not checked: see [`checked_up`].
///
/// Errors, with offsets from the start of `v1`: it is no protobuf message, or more than the limits allow.
pub fn up(message: &'static Message, v1: &[u8], limits: &Limits, out: &mut Vec<u8>) -> Result<()> {
    let up = up::Up { limits };
    up.message(message, v1, 0, limits.depth, Beyond::Kept, out).map_err(located)
}

/// Appends a V2 message as the V1 message it was made from. Gives how many of its fields the tables do not know, which
/// V1 has no place for.
///
/// Errors, with offsets from the start of `v2`: it is no protobuf message, V1 has no room for a value, an id is of
/// another class than its field has, or more than the limits allow.
pub fn down(message: &'static Message, v2: &[u8], limits: &Limits, out: &mut Vec<u8>) -> Result<u64> {
    let mut down = down::Down { limits, unknown: 0 };
    down.message(message, v2, 0, limits.depth, out).map_err(located)?;
    Ok(down.unknown)
}

/// Appends a V1 message, whatever its bytes are, as a V2 message that [`down()`] makes the same bytes of.
pub fn checked_up(message: &'static Message, v1: &[u8], limits: &Limits, out: &mut Vec<u8>) -> Kept {
    let start = out.len();
    if up(message, v1, limits, out).is_ok() {
        let mut back = Vec::with_capacity(v1.len());
        let v2 = out.get(start..).unwrap_or_default();
        if down(message, v2, limits, &mut back).is_ok_and(|unknown| unknown == 0) && back == v1 {
            return Kept::Fields;
        }
    }
    out.truncate(start);
    let up = up::Up { limits };
    if up.message(message, v1, 0, limits.depth, Beyond::In(v1), out).is_err() {
        out.truncate(start);
        write::bytes(out, schema::RAW, v1);
    }
    Kept::Raw
}

/// Appends what V2 fields can say of `v1`, and `raw` as its `v1_raw`. False, and nothing is appended, if they can say
/// nothing.
pub(crate) fn raw_up(message: &'static Message, v1: &[u8], raw: &[u8], limits: &Limits, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    let up = up::Up { limits };
    let is_said = up.message(message, v1, 0, limits.depth, Beyond::In(raw), out).is_ok();
    if !is_said {
        out.truncate(start);
    }
    is_said
}

#[cold]
fn located(broken: Broken) -> crate::Error {
    broken.error.at_offset(broken.offset as u64)
}
