//! Objects: the messages in the entries, as structs, as checked wire bytes, as JSON.

mod check;
mod decode;
pub mod flags;
pub mod json;
mod look;
pub mod oddities;
pub mod references;
pub mod schema;
pub mod tally;
pub mod upgrade;
pub mod visit;

/// The V1 messages as structs, one per message of `proto/v1`. Strings and bytes are slices of the map.
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/v1_structs.rs"));
}

pub use decode::{Object, message};
pub use look::Look;
