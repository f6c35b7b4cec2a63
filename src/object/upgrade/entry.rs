//! One V1 entry as an object, and back. Each is converted, converted back and compared; where that differs its bytes
//! are kept as they are.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use crate::base::{Error, Result};
use crate::image::payload::Payload;
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

/// What an entry became; its message is in [`Room::object`].
pub(super) struct Object<'a> {
    pub(super) ty: &'static Type,
    pub(super) blobs: &'a [u8],
    /// What those are to be.
    pub(super) wanted: Option<Wanted>,
    /// Whether it keeps its original bytes.
    pub(super) is_raw: bool,
}

/// Where entries are converted, one after the other.
#[derive(Default)]
pub(super) struct Room {
    pub(super) object: Vec<u8>,
    /// The object as an entry again.
    pub(super) back: Vec<u8>,
}

/// A V1 entry as an object.
///
/// Errors: its kind has no objects.
pub(super) fn up<'a>(of: Of<'_>, given: Given<'a>, room: &mut Room) -> Result<Object<'a>> {
    let usual = usual(of, given, room).and_then(|object| turned_back(of, given, object, room));
    match usual {
        Ok(object) if is_same(of.kind, &room.back, &object, given) => Ok(object),
        _ => raw(of, given, room).and_then(|object| turned_back(of, given, object, room)),
    }
}

fn turned_back<'a>(of: Of<'_>, given: Given<'_>, object: Object<'a>, room: &mut Room) -> Result<Object<'a>> {
    room.back.clear();
    let wanted = down(of, given.is_first, object.ty, &room.object, &mut room.back)?;
    Ok(Object { wanted, ..object })
}

fn is_same(kind: Kind, back: &[u8], object: &Object<'_>, given: Given<'_>) -> bool {
    let (size, width) = size_word(kind, given.message.len());
    let blobs = object.blobs;
    let (padding, needed) = match &object.wanted {
        Some(wanted) => (&wanted.padding[..], wanted.needed.unwrap_or(blobs.len() as u64)),
        None => (&[][..], 0),
    };
    let Some(inside) = given.payload.len().checked_sub(blobs.len().saturating_add(padding.len())) else { return false };
    let (inside, behind) = given.payload.split_at_checked(inside).unwrap_or_default();
    needed == blobs.len() as u64
        && back
            .strip_prefix(size.get(..width).unwrap_or_default())
            .and_then(|rest| rest.strip_prefix(given.message))
            .is_some_and(|rest| rest == inside)
        && behind.strip_prefix(blobs) == Some(padding)
}

/// As V2 fields.
fn usual<'a>(of: Of<'_>, given: Given<'a>, room: &mut Room) -> Result<Object<'a>> {
    let (name, message) = changed(of, given)?;
    let parts = payload::up(of.kind.row().payload, message, given.payload)?;
    let (table, ty) = table(name)?;
    room.object.clear();
    engine::up(table, &parts.message, &of.context.limits, &mut room.object)?;
    Ok(Object { ty, blobs: parts.blobs, wanted: None, is_raw: false })
}

/// As the V2 fields that can be said, and the V1 message beside them; its payload as it is.
pub(super) fn raw<'a>(of: Of<'_>, given: Given<'a>, room: &mut Room) -> Result<Object<'a>> {
    let name = if of.kind == Kind::Files { files::UNION } else { of.kind.message_name(u64::from(!given.is_first)) };
    let (table, ty) = table(name)?;
    let message = match changed(of, given) {
        Ok((changed, message)) if changed == name => message,
        _ => Cow::Borrowed(given.message),
    };
    room.object.clear();
    if !engine::raw_up(table, &message, given.message, &of.context.limits, &mut room.object) {
        // what is needed elsewhere must be here even of a message that cannot be read
        if of.kind == Kind::Core
            && let Some(session) = of.context.session(of.id)?
        {
            room.object = leader::only_session(session)?;
        }
        write::bytes(&mut room.object, RAW, given.message);
    }
    Ok(Object { ty, blobs: given.payload, wanted: None, is_raw: true })
}

/// A V1 message in the form that the tables take, and its name.
fn changed<'a>(of: Of<'_>, given: Given<'a>) -> Result<(&'static str, Cow<'a, [u8]>)> {
    let message = given.message;
    let name = of.kind.message_name(u64::from(!given.is_first));
    Ok(match of.kind {
        Kind::Pstree => (name, tree::up(message, of.context)?.into()),
        Kind::Core => (name, leader::up(message, of.id, of.context)?.into()),
        Kind::Files => {
            let (name, message) = files::up(message)?;
            (name, message.into())
        }
        Kind::FileLocks | Kind::FileLocksPid => (name, locks::up(message)?.into()),
        Kind::IpcVar => (name, mqueue::up(message)?.into()),
        _ => (name, message.into()),
    })
}

/// Appends an object of V2 as a V1 entry: size, message, and the payload that is in the object. Gives what its BLOBs
/// are to be.
///
/// Errors: it is no object of this kind, or V1 cannot say it.
pub(super) fn down(
    of: Of<'_>,
    is_first: bool,
    ty: &'static Type,
    object: &[u8],
    out: &mut Vec<u8>,
) -> Result<Option<Wanted>> {
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
        match of.kind {
            Kind::Files => entry(of.kind, &files::down(name, raw)?, &[], out)?,
            _ => entry(of.kind, raw, &[], out)?,
        }
        return Ok(Some(Wanted { needed: None, padding: Vec::new() }));
    }
    let rule = of.kind.row().payload;
    let is_changed = matches!(
        of.kind,
        Kind::Pstree | Kind::Core | Kind::Files | Kind::FileLocks | Kind::FileLocksPid | Kind::IpcVar
    );
    if rule == Payload::Nothing && !is_changed {
        let start = out.len();
        entry(of.kind, &[], &[], out)?;
        let body = out.len();
        engine::down(table, object, &of.context.limits, out)?;
        let (size, width) = size_word(of.kind, out.len().saturating_sub(body));
        let place = out.iter_mut().skip(start).zip(size.iter().take(width));
        place.for_each(|(to, from)| *to = *from);
        return fits_word(of.kind, out.len().saturating_sub(body)).map(|()| None);
    }
    let mut message = Vec::with_capacity(object.len().saturating_add(64));
    engine::down(table, object, &of.context.limits, &mut message)?;
    let message = match of.kind {
        Kind::Pstree => tree::down(&message, of.context)?,
        Kind::Core => leader::down(&message)?,
        Kind::Files => files::down(name, &message)?,
        Kind::FileLocks | Kind::FileLocksPid => locks::down(&message)?,
        Kind::IpcVar => mqueue::down(&message)?,
        _ => message,
    };
    if rule == Payload::Nothing {
        return entry(of.kind, &message, &[], out).map(|()| None);
    }
    let (message, payload, wanted) = payload::down(rule, is_first, &message)?;
    entry(of.kind, &message, &payload, out)?;
    Ok(wanted)
}

fn entry(kind: Kind, message: &[u8], payload: &[u8], out: &mut Vec<u8>) -> Result<()> {
    fits_word(kind, message.len())?;
    let (size, width) = size_word(kind, message.len());
    out.extend(size.iter().take(width));
    out.extend_from_slice(message);
    out.extend_from_slice(payload);
    Ok(())
}

/// The word before an entry, and how many bytes it has.
fn size_word(kind: Kind, size: usize) -> ([u8; 8], usize) {
    let width = if kind.row().shape == Shape::Plugin { 8 } else { 4 };
    ((size as u64).to_le_bytes(), width)
}

fn fits_word(kind: Kind, size: usize) -> Result<()> {
    if kind.row().shape != Shape::Plugin && u32::try_from(size).is_err() {
        return Err(Error::format("expected a message below 4 GiB, as V1 has them"));
    }
    Ok(())
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

/// Table and type of objects for each V1 message.
static TABLES: LazyLock<HashMap<&'static str, (&'static Message, &'static Type)>> = LazyLock::new(|| {
    let rows = Message::all().filter_map(|message| Some((message.v1, (message, Type::of(message)?))));
    rows.collect()
});

fn table(name: &str) -> Result<(&'static Message, &'static Type)> {
    TABLES.get(name).copied().ok_or_else(no_table)
}

#[cold]
fn no_table() -> Error {
    Error::usage("expected a kind that has objects")
}

#[cold]
fn stranger(kind: Kind, ty: &Type) -> Error {
    Error::format(format!("expected an object of {}, found {}", kind.name(), ty.name))
}
