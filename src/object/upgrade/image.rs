//! Whole images, V1 as V2 and back.
//!
//! A V1 image becomes records: what only its file had (V1_IMAGE), lists of objects of about 64 KiB, BLOBs behind an
//! object whose bytes are many. Pagemaps and pages are not converted here.

use std::io;
use std::ops::Range;

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use crate::base::{Error, Result};
use crate::image::{Image, Kind, Shape};
use crate::object::upgrade::back::{Back, Piece};
use crate::object::upgrade::entry::{self, Given, Of, Room};
use crate::object::upgrade::framing::{self, Entries};
use crate::object::upgrade::parts::Parts;
use crate::object::upgrade::payload::Wanted;
use crate::object::upgrade::schema::{Layout, Message, Type};
use crate::object::upgrade::verify::Check;
use crate::object::upgrade::{container, leader, write};
use crate::wire::field::{Fields, Value};
use crate::wire::v2::types;

/// Bytes of V1 that are converted together, and about how many a list has.
pub(super) use crate::source::bundle::LIST;

pub use crate::object::upgrade::context::{Context, Session, takes_session};

/// How many such parts are converted at a time, and about how many bytes.
pub(super) const PARTS: usize = 32;
pub(super) const WINDOW: usize = 8 << 20;
/// A longer message is no object: it might not fit into a record.
pub(super) const LARGEST: usize = 24 << 20;

/// Takes records.
pub trait Put {
    /// `count` objects of a type.
    ///
    /// Errors: it cannot be taken.
    fn record(&mut self, object_type: u32, count: u32, payload: &[u8]) -> Result<()>;
}

/// What became of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Converted {
    /// Entries that are objects now.
    pub objects: u64,
    /// Those of them that keep their original bytes.
    pub raw: u64,
}

/// A record of an image.
#[derive(Clone, Copy, Debug)]
pub struct Rec<'a> {
    /// What the payload is.
    pub object_type: u32,
    /// How many objects are in it.
    pub count: u32,
    /// The bytes behind its header.
    pub payload: &'a [u8],
    /// Where it is, for errors.
    pub offset: u64,
}

/// A record that is to be put.
pub(super) enum Out<'a> {
    /// With what its objects were as entries when they were converted back, one by one.
    Record {
        object_type: u32,
        count: u32,
        payload: Vec<u8>,
        back: Option<Piece>,
    },
    Blobs(&'a [u8]),
}

/// Turns a V1 image into records. `None`, and nothing was put: it cannot be said in objects, or would not come back as
/// it is. It is converted in parallel; the records are the same however many threads there are.
///
/// Errors: `put`'s.
pub fn up_image(image: &Image, context: &Context<'_>, put: &mut dyn Put) -> Result<Option<Converted>> {
    let row = image.kind().row();
    match row.shape {
        _ if matches!(image.kind(), Kind::Pagemap | Kind::PagemapShmem | Kind::Pages) => return Ok(None),
        Shape::Raw | Shape::OldPages | Shape::PluginPages => {
            container::put_blobs(image.bytes(), |payload| put.record(types::BLOB, 1, payload))?;
            return Ok(Some(Converted::default()));
        }
        _ => {}
    }
    let entries = Entries::of(image);
    let Ok(framing) = framing::up(image, &entries) else { return Ok(None) };
    if image.range(0..entries.count, false).any(|entry| entry.is_ok_and(|entry| entry.message().len() > LARGEST)) {
        return Ok(None);
    }
    let mut up = Up { image, check: Check::new(image, context), held: Vec::new(), has_put: false, put };
    let mut converted = Converted::default();
    if let Some(payload) = framing
        && !up.take(vec![Out::Record { object_type: types::V1_IMAGE, count: 1, payload, back: None }])?
    {
        return Ok(None);
    }
    let mut parts = Parts::new(image, entries.count);
    loop {
        let window = parts.window();
        if window.is_empty() {
            break;
        }
        // to hand one part to another thread costs more than to convert it
        let done: Result<Vec<_>> = match &window[..] {
            [range] => part(image, context, range.clone()).map(|part| vec![part]),
            _ => window.par_iter().map(|range| part(image, context, range.clone())).collect(),
        };
        let mut outs = Vec::new();
        let Ok(done) = done else { return up.refused() };
        for (part, counts) in done {
            outs.extend(part);
            converted.objects = converted.objects.saturating_add(counts.objects);
            converted.raw = converted.raw.saturating_add(counts.raw);
        }
        if !up.take(outs)? {
            return Ok(None);
        }
    }
    Ok(up.finish()?.then_some(converted))
}

/// The records of a framed image whose file has no bytes at all.
///
/// Errors: `put`'s.
pub fn up_empty(put: &mut dyn Put) -> Result<()> {
    put.record(types::V1_IMAGE, 1, &framing::empty())
}

/// Writes the V1 image that these records were made from. Records of types that are not known are passed over, unless
/// their type says that they must be understood.
///
/// Errors: `records`' and `out`'s; a record is broken, or not of this kind; V1 cannot say what is in it. A part of the
/// image may be written then.
pub fn down_image<'a>(
    kind: Kind,
    id: u64,
    records: &mut dyn Iterator<Item = Result<Rec<'a>>>,
    context: &Context<'_>,
    out: &mut dyn io::Write,
) -> Result<()> {
    let mut back = Back::new(kind, id, context);
    let mut window = Vec::new();
    let mut bytes = 0usize;
    for record in records {
        let record = record?;
        window.push(record);
        bytes = bytes.saturating_add(record.payload.len());
        if window.len() >= PARTS || bytes >= WINDOW {
            back.records(&window, out)?;
            window.clear();
            bytes = 0;
        }
    }
    back.records(&window, out)?;
    back.finish(out)
}

/// Session and process group in the records of a core.
///
/// Errors: `records`'; it is broken.
pub fn session(records: &mut dyn Iterator<Item = Result<Rec<'_>>>) -> Result<Option<Session>> {
    let core = Message::by_name("Core").and_then(Type::of).map(|ty| ty.number);
    for record in records {
        let record = record?;
        if Some(record.object_type) != core {
            continue;
        }
        for object in items(&record)? {
            if let Some(session) = leader::session(object)? {
                return Ok(Some(session));
            }
        }
    }
    Ok(None)
}

/// The objects in a record.
///
/// Errors: it is broken, or has not as many as its header says.
pub fn items<'a>(record: &Rec<'a>) -> Result<Vec<&'a [u8]>> {
    let layout = Type::by_number(record.object_type).map_or(Layout::List, |ty| ty.layout);
    if layout == Layout::Single {
        return Ok(vec![record.payload]);
    }
    let mut items = Vec::new();
    for field in Fields::new(record.payload) {
        let field = field.map_err(|error| super::edit::wire(error).at_offset(record.offset))?;
        if let (1, Value::Bytes(item)) = (field.number, field.value) {
            items.push(item);
        }
    }
    if items.len() as u64 != u64::from(record.count) {
        let what = format!("expected {} objects in a list, found {}", record.count, items.len());
        return Err(Error::format(what).at_offset(record.offset));
    }
    Ok(items)
}

/// One image on its way to records.
struct Up<'a, 'p> {
    image: &'a Image,
    check: Check<'a>,
    /// Records that were checked and wait for those behind them to be checked.
    held: Vec<Out<'a>>,
    has_put: bool,
    put: &'p mut dyn Put,
}

impl<'a> Up<'a, '_> {
    /// Checks records and holds them; those held before are put. False: they do not come back as they are.
    fn take(&mut self, mut outs: Vec<Out<'a>>) -> Result<bool> {
        if !self.check.records(&mut outs) {
            return self.refused();
        }
        let held = std::mem::replace(&mut self.held, outs);
        self.flush(&held)?;
        Ok(true)
    }

    fn finish(mut self) -> Result<bool> {
        if !self.check.finish() {
            return self.refused();
        }
        let held = std::mem::take(&mut self.held);
        self.flush(&held)?;
        Ok(true)
    }

    fn flush(&mut self, outs: &[Out<'a>]) -> Result<()> {
        self.has_put |= !outs.is_empty();
        each(outs, |object_type, count, payload| self.put.record(object_type, count, payload))
    }

    fn refused<T: Default>(&self) -> Result<T> {
        if !self.has_put {
            return Ok(T::default());
        }
        Err(Error::format("its objects would not come back as they are").in_image(self.image.name()))
    }
}

/// The records of some entries of an image.
fn part<'a>(image: &'a Image, context: &Context<'_>, range: Range<usize>) -> Result<(Vec<Out<'a>>, Converted)> {
    let of = Of { kind: image.kind(), id: image.id(), context };
    let mut outs = Vec::new();
    let mut list = List::default();
    let mut room = Room::default();
    let mut converted = Converted::default();
    for entry in image.range(range, false) {
        let entry = entry?;
        let given = Given { is_first: entry.index() == 0, message: entry.message(), payload: entry.payload() };
        let object = entry::up(of, given, &mut room)?;
        converted.objects = converted.objects.saturating_add(1);
        converted.raw = converted.raw.saturating_add(u64::from(object.is_raw));
        list.add(object.ty, &room, &mut outs);
        list.wanted = object.wanted;
        if !object.blobs.is_empty() {
            list.end(&mut outs);
            outs.push(Out::Blobs(object.blobs));
        }
    }
    list.end(&mut outs);
    Ok((outs, converted))
}

/// The list that objects are gathered in.
#[derive(Default)]
struct List {
    object_type: u32,
    count: u32,
    payload: Vec<u8>,
    back: Vec<u8>,
    /// What the last one's BLOBs are to be.
    wanted: Option<Wanted>,
}

impl List {
    fn add(&mut self, ty: &Type, room: &Room, outs: &mut Vec<Out<'_>>) {
        let object = &room.object;
        if self.object_type != ty.number
            || ty.layout == Layout::Single
            || self.payload.len().saturating_add(object.len()) > LIST
        {
            self.end(outs);
        }
        self.object_type = ty.number;
        self.count = self.count.saturating_add(1);
        self.back.extend(self.wanted.take().into_iter().flat_map(|wanted| wanted.padding));
        self.back.extend_from_slice(&room.back);
        if ty.layout == Layout::Single {
            self.payload.extend_from_slice(object);
        } else {
            write::bytes(&mut self.payload, 1, object);
        }
    }

    fn end(&mut self, outs: &mut Vec<Out<'_>>) {
        let List { object_type, count, payload, back, wanted } = std::mem::take(self);
        if count > 0 {
            let back = Some(Piece { bytes: back, wanted });
            outs.push(Out::Record { object_type, count, payload, back });
        }
    }
}

/// Calls `put` with every record.
fn each(outs: &[Out<'_>], mut put: impl FnMut(u32, u32, &[u8]) -> Result<()>) -> Result<()> {
    for out in outs {
        match out {
            Out::Record { object_type, count, payload, .. } => put(*object_type, *count, payload)?,
            Out::Blobs(bytes) => container::put_blobs(bytes, |payload| put(types::BLOB, 1, payload))?,
        }
    }
    Ok(())
}
