//! JSON as crit writes and reads it, straight from and to the wire, driven by the schema.
//!
//! crit's output is the contract, byte for byte. What crit cannot express is added: unknown fields as `"@unknown"`
//! (base64 of their wire bytes), a first word that is not the kind's as `"@first_word"`, an enum number without a
//! name as a number, bytes that are no text as `{"@bytes": base64}`. `docs/crit.md` lists where icecore differs.

mod address;
mod base64;
mod decode;
mod digits;
mod encode;
mod escape;
mod extra;
mod flat;
mod image;
mod integer;
mod lexer;
mod message;
mod numbers;
mod order;
mod out;
mod part;
mod quopri;
mod spread;
mod text;
mod token;
mod value;

pub use decode::{decode, entry};
pub use encode::encode;
pub(crate) use quopri::encode as quoted_printable;

/// The forms of JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// Indented, with flags, devices and addresses as text; else one line with plain numbers.
    pub pretty: bool,
    /// With payloads; else only their sizes (crit's `--nopl`).
    pub payloads: bool,
    /// An entry that lacks a required field is an error; else it is written as it is, as crit does.
    pub strict: bool,
}

impl Form {
    /// `crit decode`: one line.
    pub const COMPACT: Form = Form { pretty: false, payloads: true, strict: false };

    /// `crit decode --pretty` and `crit show`.
    pub const PRETTY: Form = Form { pretty: true, payloads: true, strict: false };

    /// [`COMPACT`](Self::COMPACT).
    pub fn compact() -> Self {
        Self::COMPACT
    }

    /// [`PRETTY`](Self::PRETTY).
    pub fn pretty() -> Self {
        Self::PRETTY
    }

    /// The same form, strict about required fields.
    #[must_use]
    pub fn strict(self) -> Self {
        Self { strict: true, ..self }
    }
}
