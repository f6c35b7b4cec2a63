//! One V1 entry as an object, and back. Each is converted, converted back and compared; where that differs its bytes
//! are kept as they are.

use crate::base::{Error, Result};
use crate::image::{Kind, Shape};
use crate::object::upgrade as engine;
use crate::object::upgrade::context::Context;
use crate::object::upgrade::payload::{self, Wanted};
use crate::object::upgrade::schema::{Message, RAW, Type};
use crate::object::upgrade::{files, fsnotify, leader, locks, mqueue, tree, write};
use crate::wire::field::{Fields, Value};

/// Which image an entry is in.
#[derive(Clone, Copy)]
pub(super) struct Of<'a> {
    pub(super) kind: Kind,
    pub(super) id: u64,
    pub(super) context: &'a Context<'a>,
}

/// A V1 entry.
#[derive(Clone, Copy)]
pub(super) struct Given<'a> {
    pub(super) is_first: bool,
    pub(super) message: &'a [u8],
    pub(super) payload: &'a [u8],
}

/// An object of V2.
pub(super) struct Object<'a> {
    pub(super) ty: &'static Type,
    pub(super) message: Vec<u8>,
    pub(super) blobs: &'a [u8],
    /// Whether it keeps its original bytes.
    pub(super) is_raw: bool,
}

/// An object as a V1 entry, and what its BLOBs are to be.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) bytes: Vec<u8>,
    pub(super) wanted: Option<Wanted>,
}

/// A V1 entry as an object.
///
/// Errors: its kind has no objects.
pub(super) fn up<'a>(of: Of<'_>, given: Given<'a>) -> Result<Object<'a>> {
    let found = usual(of, given).and_then(|object| {
        let piece = down(of, given.is_first, object.ty, &object.message)?;
        Ok(is_same(of.kind, &piece, object.blobs, given).then_some(object))
    });
    match found {
        Ok(Some(object)) => Ok(object),
        _ => raw(of, given),
    }
}

fn is_same(kind: Kind, piece: &Piece, blobs: &[u8], given: Given<'_>) -> bool {
    let Ok(size) = size_word(kind, given.message.len()) else { return false };
    let padding = piece.wanted.as_ref().map_or(&[][..], |wanted| &wanted.padding);
    if piece.wanted.is_none() && !blobs.is_empty() {
        return false;
    }
    if piece.wanted.as_ref().and_then(|wanted| wanted.needed).is_some_and(|needed| needed != blobs.len() as u64) {
        return false;
    }
    let mut rest = &piece.bytes[..];
    let mut eat = |part: &[u8]| rest.strip_prefix(part).map(|behind| rest = behind).is_some();
    let middle = given.payload.get(..given.payload.len().saturating_sub(blobs.len().saturating_add(padding.len())));
    let (Some(middle), true) = (middle, eat(&size) && eat(given.message)) else { return false };
    eat(middle)
        && rest.is_empty()
        && given
            .payload
            .get(middle.len()..)
            .is_some_and(|behind| behind.strip_prefix(blobs).is_some_and(|behind| behind == padding))
}

/// As V2 fields.
fn usual<'a>(of: Of<'_>, given: Given<'a>) -> Result<Object<'a>> {
    let (name, message) = changed(of, given)?;
    let parts = payload::up(of.kind.row().payload, &message, given.payload)?;
    let (table, ty) = table(name)?;
    let mut out = Vec::new();
    engine::up(table, &parts.message, &of.context.limits, &mut out)?;
    Ok(Object { ty, message: out, blobs: parts.blobs, is_raw: false })
}

/// As the V2 fields that can be said, and the V1 message beside them; its payload as it is.
fn raw<'a>(of: Of<'_>, given: Given<'a>) -> Result<Object<'a>> {
    let (table, ty) = match of.kind {
        Kind::Files => files::unknown().ok_or_else(no_table)?,
        _ => table(of.kind.message_name(u64::from(!given.is_first)))?,
    };
    let mut out = Vec::new();
    let said = match changed(of, given) {
        Ok((_, message)) if of.kind != Kind::Files => {
            engine::raw_up(table, &message, given.message, &of.context.limits, &mut out)
        }
        _ => engine::raw_up(table, given.message, given.message, &of.context.limits, &mut out),
    };
    if !said {
        // what is needed elsewhere must be here even of a message that cannot be read
        if of.kind == Kind::Core
            && let Some(session) = of.context.session(of.id)?
        {
            out = leader::only_session(session)?;
        }
        write::bytes(&mut out, RAW, given.message);
    }
    Ok(Object { ty, message: out, blobs: given.payload, is_raw: true })
}

/// A V1 message in the form that the tables take, and its name.
fn changed(of: Of<'_>, given: Given<'_>) -> Result<(&'static str, Vec<u8>)> {
    let message = given.message;
    let name = of.kind.message_name(u64::from(!given.is_first));
    Ok(match of.kind {
        Kind::Pstree => (name, tree::up(message, of.context)?),
        Kind::Core => (name, leader::up(message, of.id, of.context)?),
        Kind::Files => {
            let (name, message) = files::up(message)?;
            (name, message.to_vec())
        }
        Kind::FileLocks | Kind::FileLocksPid => (name, locks::up(message)?),
        Kind::IpcVar => (name, mqueue::up(message)?),
        _ => (name, message.to_vec()),
    })
}

/// An object of V2 as a V1 entry: size, message, and the payload that is in the object.
///
/// Errors: it is no object of this kind, or V1 cannot say it.
pub(super) fn down(of: Of<'_>, is_first: bool, ty: &'static Type, object: &[u8]) -> Result<Piece> {
    let Some(table) = ty.message else { return Err(stranger(of.kind, ty)) };
    let raw = raw_of(object)?;
    let name = match raw {
        Some(_) => fsnotify::v1_name(table, object).unwrap_or(table.v1),
        None => fsnotify::v1_name(table, object)?,
    };
    let expected = of.kind.message_name(u64::from(!is_first));
    let fits = match of.kind {
        Kind::Files => files::is_file(name),
        // the original bytes do not say which of several V1 messages they are
        _ => {
            name == expected
                || (raw.is_some() && Message::by_v1(expected).is_some_and(|known| known.name == table.name))
        }
    };
    if !fits {
        return Err(stranger(of.kind, ty));
    }
    if let Some(raw) = raw {
        let message = if of.kind == Kind::Files { files::down(name, raw)? } else { raw.to_vec() };
        let wanted = Wanted { needed: None, padding: Vec::new() };
        return Ok(Piece { bytes: entry(of.kind, &message, &[])?, wanted: Some(wanted) });
    }
    let mut message = Vec::with_capacity(object.len());
    engine::down(table, object, &of.context.limits, &mut message)?;
    let message = match of.kind {
        Kind::Pstree => tree::down(&message, of.context)?,
        Kind::Core => leader::down(&message)?,
        Kind::Files => files::down(name, &message)?,
        Kind::FileLocks | Kind::FileLocksPid => locks::down(&message)?,
        Kind::IpcVar => mqueue::down(&message)?,
        _ => message,
    };
    let (message, payload, wanted) = payload::down(of.kind.row().payload, is_first, &message)?;
    Ok(Piece { bytes: entry(of.kind, &message, &payload)?, wanted })
}

fn entry(kind: Kind, message: &[u8], payload: &[u8]) -> Result<Vec<u8>> {
    let mut bytes = size_word(kind, message.len())?;
    bytes.reserve_exact(message.len().saturating_add(payload.len()));
    bytes.extend_from_slice(message);
    bytes.extend_from_slice(payload);
    Ok(bytes)
}

fn size_word(kind: Kind, size: usize) -> Result<Vec<u8>> {
    if kind.row().shape == Shape::Plugin {
        return Ok((size as u64).to_le_bytes().to_vec());
    }
    let size = u32::try_from(size).map_err(|_| Error::format("expected a message below 4 GiB, as V1 has them"))?;
    Ok(size.to_le_bytes().to_vec())
}

/// The original bytes in an object.
pub(super) fn raw_of(object: &[u8]) -> Result<Option<&[u8]>> {
    let mut raw = None;
    for field in Fields::new(object) {
        let field = field.map_err(super::edit::wire)?;
        if let (RAW, Value::Bytes(value)) = (field.number, field.value) {
            raw = Some(value);
        }
    }
    Ok(raw)
}

fn table(name: &str) -> Result<(&'static Message, &'static Type)> {
    let table = Message::by_v1(name).ok_or_else(no_table)?;
    Ok((table, Type::of(table).ok_or_else(no_table)?))
}

#[cold]
fn no_table() -> Error {
    Error::usage("expected a kind that has objects")
}

#[cold]
fn stranger(kind: Kind, ty: &Type) -> Error {
    Error::format(format!("expected an object of {}, found {}", kind.name(), ty.name))
}
