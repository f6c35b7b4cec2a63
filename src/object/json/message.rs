//! One message from the wire to JSON, field by field, in one pass where its fields ascend (as CRIU writes them).

use std::borrow::Cow;

use crate::base::Limits;
use crate::object::check::{Broken, fits, is_packable, missing, too_deep, wrong_wire_type};
use crate::object::json::integer::{self, Number, low};
use crate::object::json::order::{ascending, is_ordered};
use crate::object::json::out::Out;
use crate::object::json::{Form, address, base64, flat, quopri, text};
use crate::object::schema::{Field, Label, Message, Show, Type};
use crate::wire::field::{Field as WireField, Fields, Value};
use crate::wire::varint;

/// A message larger than this is looked through before it is written, instead of being taken back when its fields
/// turn out not to ascend; so that what is written can be passed on.
const LARGE: usize = 64 << 10;

/// Of one entry so many missing fields are told; there may be one for each two bytes of it.
const WARNINGS: usize = 100;

/// Where the fields are that the schema does not know, as ranges of the message.
pub(crate) type Unknown = Vec<(usize, usize)>;

pub(crate) struct Writer<'w, 'o> {
    pub(crate) out: &'w mut Out<'o>,
    pub(crate) form: Form,
    pub(crate) limits: &'w Limits,
    pub(crate) budget: u64,
    /// Required fields that were not there, where the form is not strict.
    pub(crate) warnings: Vec<Broken>,
    /// A message of this entry was not in order: the others are looked through before they are written. Else one in
    /// the other, each written in vain and then again, would take time that doubles with every level.
    pub(crate) wary: bool,
}

/// Where a message is: what it is part of.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// Offset in the entry's message.
    pub(super) base: usize,
    pub(super) depth: u32,
    /// Everything below is shown in hex.
    pub(super) hex: bool,
}

/// Why a pass over a message ended.
pub(super) enum End {
    /// The fields do not ascend, or one that stands once stands twice.
    Unordered,
    Broken(Broken),
}

impl From<Broken> for End {
    fn from(broken: Broken) -> Self {
        End::Broken(broken)
    }
}

/// What one pass knows of a message.
#[derive(Default)]
pub(super) struct Pass {
    /// Position behind that of the last field.
    next: usize,
    /// Bit k is set if `fields[k]` was there.
    pub(super) seen: u64,
    unknown: Unknown,
    /// An array is being written.
    open: bool,
    /// Words of an address, which are written together.
    words: Vec<u32>,
    /// They were too many, and are written as numbers as they come.
    spilled: bool,
    /// Something was written.
    pub(super) any: bool,
}

impl Writer<'_, '_> {
    /// The members of an entry's message, without the brackets, and which of its fields are unknown. `any` tells
    /// whether something was written.
    pub(crate) fn members(
        &mut self,
        message: &'static Message,
        bytes: &[u8],
        any: &mut bool,
    ) -> Result<Unknown, Broken> {
        self.members_at(message, bytes, any, Place { base: 0, depth: self.limits.depth, hex: false })
    }

    /// A whole message with its brackets and unknown fields.
    pub(crate) fn object(&mut self, message: &'static Message, bytes: &[u8]) -> Result<(), Broken> {
        self.object_at(message, bytes, Place { base: 0, depth: self.limits.depth, hex: false })
    }

    fn object_at(&mut self, message: &'static Message, bytes: &[u8], place: Place) -> Result<(), Broken> {
        if !self.form.pretty && place.depth > 0 && flat::object(&mut self.out.buffer, message, bytes) {
            return Ok(());
        }
        self.out.open(b'{');
        let mut any = false;
        let unknown = self.members_at(message, bytes, &mut any, place)?;
        self.unknown(bytes, &unknown, &mut any);
        self.out.close(b'}', !any);
        Ok(())
    }

    /// The fields that the schema does not know, as the last key.
    pub(crate) fn unknown(&mut self, bytes: &[u8], unknown: &Unknown, any: &mut bool) {
        if unknown.is_empty() {
            return;
        }
        self.out.key(!std::mem::replace(any, true), "@unknown");
        let wire = |&(start, end): &(usize, usize)| bytes.get(start..end).unwrap_or_default();
        let all = match unknown.as_slice() {
            [one] => Cow::Borrowed(wire(one)),
            parts => Cow::Owned(parts.iter().flat_map(wire).copied().collect::<Vec<u8>>()),
        };
        // as encode writes them, so that the same fields are always the same JSON
        base64::plain(self.out, &ascending(all));
    }

    fn members_at(
        &mut self,
        message: &'static Message,
        bytes: &[u8],
        any: &mut bool,
        place: Place,
    ) -> Result<Unknown, Broken> {
        let Some(depth) = place.depth.checked_sub(1) else {
            return Err(too_deep(self.limits, place.base));
        };
        let place = Place { depth, ..place };
        let ended = if self.wary || bytes.len() > LARGE {
            if is_ordered(message, bytes) { self.pass(message, bytes, place) } else { Err(End::Unordered) }
        } else {
            let mark = self.out.hold();
            let warnings = self.warnings.len();
            let ended = self.pass(message, bytes, place);
            if matches!(ended, Err(End::Unordered)) {
                self.out.rewind(mark);
                self.warnings.truncate(warnings);
            }
            self.out.release();
            ended
        };
        let pass = match ended {
            Ok(pass) => pass,
            Err(End::Unordered) => {
                self.wary = true;
                return self.sorted(message, bytes, any, place);
            }
            Err(End::Broken(broken)) => return Err(broken),
        };
        *any = pass.any;
        if let Some(field) = message.missing(pass.seen) {
            let broken = missing(message, field, place.base);
            self.warn(broken)?;
        }
        Ok(pass.unknown)
    }

    /// A required field that was not there: an error where the form is strict.
    pub(super) fn warn(&mut self, broken: Broken) -> Result<(), Broken> {
        if self.form.strict {
            return Err(broken);
        }
        if self.warnings.len() < WARNINGS {
            self.warnings.push(broken);
        }
        Ok(())
    }

    pub(super) fn pass(&mut self, message: &'static Message, bytes: &[u8], place: Place) -> Result<Pass, End> {
        let mut pass = Pass::default();
        for found in Fields::new(bytes) {
            let found = found.map_err(|error| Broken::wire(error, place.base))?;
            self.field(&mut pass, message, &found, place)?;
        }
        if pass.open {
            self.end_array(&mut pass, message);
        }
        Ok(pass)
    }

    #[inline]
    fn field(
        &mut self,
        pass: &mut Pass,
        message: &'static Message,
        found: &WireField<'_>,
        place: Place,
    ) -> Result<(), End> {
        // an element of the array being written is looked for first, then the field behind the last one
        let hint = if pass.open { pass.next.saturating_sub(1) } else { pass.next };
        let Some((position, field)) =
            message.position(found.number, hint).and_then(|position| Some((position, message.fields.get(position)?)))
        else {
            match pass.unknown.last_mut() {
                Some((_, end)) if *end == found.start => *end = found.end,
                _ => {
                    self.spend(size_of::<(usize, usize)>() as u64, place)?;
                    pass.unknown.push((found.start, found.end));
                }
            }
            return Ok(());
        };
        if !fits(field, &found.value) {
            return Err(wrong_wire_type(message, field, found, place.base).into());
        }
        let again = position.saturating_add(1) == pass.next;
        if position < pass.next && !(again && matches!(field.label, Label::Repeated | Label::Packed)) {
            return Err(End::Unordered);
        }
        pass.seen |= 1 << position;
        let is_array = matches!(field.label, Label::Repeated | Label::Packed);
        if !(again && pass.open) {
            if pass.open {
                self.end_array(pass, message);
            }
            pass.next = position.saturating_add(1);
            if is_array && matches!(found.value, Value::Bytes([])) && is_packable(field) {
                // an empty packed run has no elements, and an array without elements no key
                return Ok(());
            }
            self.out.separate(!std::mem::replace(&mut pass.any, true));
            self.out.raw(field.key());
            if is_array {
                pass.open = true;
                self.out.open(b'[');
                self.element(pass, field, &found.value, found, place, true)?;
                return Ok(());
            }
            return Ok(self.value(field, &found.value, found, place)?);
        }
        Ok(self.element(pass, field, &found.value, found, place, false)?)
    }

    fn element(
        &mut self,
        pass: &mut Pass,
        field: &'static Field,
        value: &Value<'_>,
        found: &WireField<'_>,
        place: Place,
        mut first: bool,
    ) -> Result<(), Broken> {
        let address = self.form.pretty && field.show == Show::Address;
        match value {
            Value::Bytes(run) if is_packable(field) => {
                let mut at = 0;
                while at < run.len() {
                    let (raw, end) = packed(field, run, at)
                        .map_err(|error| Broken::wire(error, place.base.saturating_add(found.body)).inside(field))?;
                    at = end;
                    if address {
                        self.word(pass, low(raw));
                    } else {
                        self.out.separate(std::mem::take(&mut first));
                        self.number(field, raw, place.hex);
                    }
                    self.out.relieve();
                }
            }
            Value::Varint(raw) | Value::Fixed64(raw) if address => self.word(pass, low(*raw)),
            Value::Fixed32(raw) if address => self.word(pass, *raw),
            value => {
                self.out.separate(first);
                self.value(field, value, found, place)?;
            }
        }
        Ok(())
    }

    /// One more word of an address. No address has more than four.
    fn word(&mut self, pass: &mut Pass, word: u32) {
        pass.words.push(word);
        if pass.spilled || pass.words.len() > 4 {
            let first = !std::mem::replace(&mut pass.spilled, true);
            for (position, word) in pass.words.drain(..).enumerate() {
                self.out.separate(first && position == 0);
                integer::plain(self.out, Number::Unsigned(u64::from(word)));
            }
            self.out.relieve();
        }
    }

    fn end_array(&mut self, pass: &mut Pass, message: &'static Message) {
        pass.open = false;
        pass.spilled = false;
        let words = std::mem::take(&mut pass.words);
        if !words.is_empty() {
            match address::text(&words) {
                Some(address) => {
                    self.out.separate(true);
                    text::escaped(self.out, &address);
                }
                None => {
                    for (position, word) in words.into_iter().enumerate() {
                        self.out.separate(position == 0);
                        integer::plain(self.out, Number::Unsigned(u64::from(word)));
                    }
                }
            }
        }
        debug_assert!(pass.next <= message.fields.len());
        self.out.close(b']', false);
    }

    #[inline]
    fn value(
        &mut self,
        field: &'static Field,
        value: &Value<'_>,
        found: &WireField<'_>,
        place: Place,
    ) -> Result<(), Broken> {
        match (value, field.ty) {
            (Value::Bytes(bytes), Type::Message(inner)) => {
                let place = Place {
                    base: place.base.saturating_add(found.body),
                    hex: place.hex || field.show == Show::Hex,
                    ..place
                };
                self.object_at(inner, bytes, place).map_err(|broken| broken.inside(field))?;
            }
            (Value::Bytes(bytes), Type::String) => text::string(self.out, bytes),
            (Value::Bytes(bytes), _) if field.show == Show::UnixName => match quopri::encode(bytes) {
                Some(name) => text::string(self.out, &name),
                None => text::wrapped(self.out, bytes),
            },
            (Value::Bytes(bytes), _) => base64::mime(self.out, bytes),
            (Value::Varint(raw) | Value::Fixed64(raw), _) => self.number(field, *raw, place.hex),
            (Value::Fixed32(raw), _) => self.number(field, u64::from(*raw), place.hex),
        }
        self.out.relieve();
        Ok(())
    }

    #[inline]
    fn number(&mut self, field: &Field, raw: u64, hex: bool) {
        match field.ty {
            Type::Bool => self.out.raw(if raw == 0 { b"false" } else { b"true" }),
            Type::Enum(values) => match values.name_of(low(raw).cast_signed()) {
                Some(name) => {
                    self.out.raw(b"\"");
                    self.out.raw(name.as_bytes());
                    self.out.raw(b"\"");
                }
                None => integer::plain(self.out, Number::from_wire(field.ty, raw)),
            },
            ty => {
                let number = Number::from_wire(ty, raw);
                match self.form.pretty {
                    true => integer::shown(self.out, number, if hex { Show::Hex } else { field.show }),
                    false => integer::plain(self.out, number),
                }
            }
        }
    }
}

/// The element of a packed run at `at`, and where the next one begins.
pub(crate) fn packed(field: &Field, run: &[u8], at: usize) -> Result<(u64, usize), crate::wire::WireError> {
    let width = match field.ty.wire_type() {
        1 => 8,
        5 => 4,
        _ => return varint::read(run, at),
    };
    let rest = run.get(at..).unwrap_or_default();
    let Some(bytes) = rest.get(..width) else {
        let problem = crate::wire::Problem::ValueCut { needed: width as u64, found: rest.len() as u64 };
        return Err(crate::wire::WireError { offset: at, problem });
    };
    let value = bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte));
    Ok((value, at.saturating_add(width)))
}
