//! A V2 message as the V1 message it was made from, wire to wire, by the tables.

use std::collections::BTreeSet;
use std::iter::Peekable;
use std::slice::Iter;

use crate::base::{Error, Limits};
use crate::object::check::{Broken, too_deep, too_large};
use crate::object::upgrade::number::{self, Misfit};
use crate::object::upgrade::schema::{CLASSES, Field, From, Message, Place, RAW, REST, To};
use crate::object::upgrade::write;
use crate::wire::field::{self, Fields, Value};
use crate::wire::varint;

/// A V2 field's value, and where V1 has it.
struct Found<'a> {
    rank: u16,
    content: Content<'a>,
    /// Bytes from the start of the outermost message.
    offset: usize,
}

#[derive(Clone, Copy)]
enum Content<'a> {
    /// As V1 has it on the wire.
    Number(u64),
    /// Bytes, or a V2 message.
    Bytes(&'a [u8]),
    /// Many numbers, as V2 has them.
    Run(&'a [u8]),
}

pub(crate) struct Down<'l> {
    pub(crate) limits: &'l Limits,
    /// Fields that the tables do not know: V1 has no place for them.
    pub(crate) unknown: u64,
}

impl Down<'_> {
    /// Appends the V1 message of a V2 message that is `base` bytes behind the start of the outermost one.
    pub(crate) fn message(
        &mut self,
        message: &'static Message,
        v2: &[u8],
        base: usize,
        depth: u32,
        out: &mut Vec<u8>,
    ) -> Result<(), Broken> {
        let Some(depth) = depth.checked_sub(1) else { return Err(too_deep(self.limits, base)) };
        let message = chosen(message, v2, base)?;
        let mut found = Vec::new();
        let mut rest: &[u8] = &[];
        let mut rest_at = 0usize;
        let mut raw = None;
        let mut problem = None;
        let mut hint = 0usize;
        for read in Fields::new(v2) {
            let read = read.map_err(|error| Broken::wire(error, base))?;
            match read.value {
                Value::Bytes(value) if read.number == REST => (rest, rest_at) = (value, read.body),
                Value::Bytes(value) if read.number == RAW => raw = Some(value),
                _ => match message.position(read.number, hint) {
                    Some(position) => {
                        hint = position.saturating_add(1);
                        let Some(field) = message.fields.get(position) else { continue };
                        match content(field, &read.value, base.saturating_add(read.start)) {
                            Ok(_) if field.from == From::Always => {}
                            Ok(content) => {
                                self.afford(&found, base)?;
                                let offset = base.saturating_add(read.body);
                                found.push(Found { rank: field.rank, content, offset });
                            }
                            Err(broken) => problem = problem.or(Some(broken.around(field.name))),
                        }
                    }
                    None => self.unknown = self.unknown.saturating_add(1),
                },
            }
        }
        // the original counts, whatever stands beside it
        if let Some(raw) = raw {
            out.extend_from_slice(raw);
            return Ok(());
        }
        if let Some(broken) = problem {
            return Err(broken);
        }
        // stable: the elements of a field keep their order
        found.sort_by_key(|found| found.rank);
        let mut values = found.iter().peekable();
        self.node(message, 0, &mut values, rest, base.saturating_add(rest_at), depth, out)
    }

    /// Whether there is room for one more.
    fn afford<T>(&self, list: &[T], base: usize) -> Result<(), Broken> {
        let bytes = (list.len() as u64).saturating_mul(size_of::<T>() as u64);
        if bytes < self.limits.memory { Ok(()) } else { Err(too_large(self.limits, base)) }
    }

    /// Appends the V1 message of one node: fields in ascending order, those of `rest` between them.
    #[expect(clippy::too_many_arguments)]
    fn node(
        &mut self,
        message: &'static Message,
        node: usize,
        values: &mut Peekable<Iter<'_, Found<'_>>>,
        rest: &[u8],
        rest_base: usize,
        depth: u32,
        out: &mut Vec<u8>,
    ) -> Result<(), Broken> {
        let Some(table) = message.nodes.get(node) else { return Ok(()) };
        let mut extra = Vec::new();
        for read in Fields::new(rest) {
            let read = read.map_err(|error| Broken::wire(error, rest_base).around("v1_rest"))?;
            self.afford(&extra, rest_base)?;
            extra.push(read);
        }
        extra.sort_by_key(|read| read.number);
        let copy = |out: &mut Vec<u8>, read: &field::Field<'_>| {
            out.extend_from_slice(rest.get(read.start..read.end).unwrap_or_default());
        };
        let mut extra = extra.iter().peekable();
        for row in table.rows {
            while let Some(read) = extra.next_if(|read| read.number < row.number) {
                copy(out, read);
            }
            let is_in_rest = extra.peek().is_some_and(|read| read.number == row.number);
            match row.place {
                Place::Constant(value) if !is_in_rest => {
                    write::key(out, row.number, 0);
                    varint::write(out, value);
                }
                Place::Constant(_) => {}
                Place::Field(position) => {
                    let Some(field) = message.fields.get(usize::from(position)) else { continue };
                    let is_there = self.field(field, values, depth, out).map_err(|broken| broken.around(field.name))?;
                    if let Some(constant) = field.constant
                        && !is_there
                        && !is_in_rest
                    {
                        write::key(out, row.number, 0);
                        varint::write(out, constant);
                    }
                }
                Place::Node(inner) => {
                    let inner = usize::from(inner);
                    let end = message.nodes.get(inner).map_or(0, |node| node.ranks.end);
                    let is_there = values.peek().is_some_and(|found| found.rank < end);
                    let partial = extra.next_if(|read| read.number == row.number && read.value.wire_type() == 2);
                    let (inner_rest, at) = match partial {
                        Some(field::Field { value: Value::Bytes(value), body, .. }) => (*value, *body),
                        _ => (&[][..], 0),
                    };
                    if is_there || partial.is_some() {
                        write::key(out, row.number, 2);
                        let at = rest_base.saturating_add(at);
                        write::sized(out, |out| self.node(message, inner, values, inner_rest, at, depth, out))?;
                    }
                }
            }
            while let Some(read) = extra.next_if(|read| read.number == row.number) {
                copy(out, read);
            }
        }
        extra.for_each(|read| copy(out, read));
        Ok(())
    }

    /// Appends all values of one field; whether there were any.
    fn field(
        &mut self,
        field: &'static Field,
        values: &mut Peekable<Iter<'_, Found<'_>>>,
        depth: u32,
        out: &mut Vec<u8>,
    ) -> Result<bool, Broken> {
        let Some(first) = values.next_if(|found| found.rank == field.rank) else { return Ok(false) };
        let mut last = first;
        let mut parts: Option<Vec<u8>> = None;
        loop {
            let next = values.next_if(|found| found.rank == field.rank);
            if field.is_repeated {
                self.value(field, last, None, depth, out)?;
            } else if let (Some(next), Some(_)) = (next, field.message) {
                // parts of one message, which protobuf merges
                let parts = parts.get_or_insert_with(|| last.bytes().to_vec());
                parts.extend_from_slice(next.bytes());
            }
            match next {
                Some(next) => last = next,
                None => break,
            }
        }
        if !field.is_repeated {
            self.value(field, last, parts.as_deref(), depth, out)?;
        }
        Ok(true)
    }

    fn value(
        &mut self,
        field: &'static Field,
        found: &Found<'_>,
        whole: Option<&[u8]>,
        depth: u32,
        out: &mut Vec<u8>,
    ) -> Result<(), Broken> {
        let wire = field.from.wire_type();
        match (found.content, field.message) {
            (Content::Number(value), _) => {
                write::key(out, field.v1, wire);
                write::number(out, wire, value);
                Ok(())
            }
            (Content::Run(run), _) => elements(field, run, found.offset, |value| {
                write::key(out, field.v1, wire);
                write::number(out, wire, value);
            }),
            (Content::Bytes(value), Some(inner)) => {
                write::key(out, field.v1, 2);
                let value = whole.unwrap_or(value);
                write::sized(out, |out| self.message(inner, value, found.offset, depth, out))
            }
            (Content::Bytes(value), None) => {
                write::bytes(out, field.v1, value);
                Ok(())
            }
        }
    }
}

impl<'a> Found<'a> {
    fn bytes(&self) -> &'a [u8] {
        match self.content {
            Content::Bytes(value) | Content::Run(value) => value,
            Content::Number(_) => &[],
        }
    }
}

/// The table that this message needs.
fn chosen(message: &'static Message, v2: &[u8], base: usize) -> Result<&'static Message, Broken> {
    let Some(choice) = message.choice else { return Ok(message) };
    let value = field::last_varint(v2, choice.v2).map_err(|error| Broken::wire(error, base))?;
    let table = choice.tables.iter().find(|(known, _)| Some(*known) == value);
    Ok(table.map_or(message, |(_, table)| table))
}

fn content<'a>(field: &Field, value: &Value<'a>, offset: usize) -> Result<Content<'a>, Broken> {
    let raw = match (value, field.to) {
        (Value::Bytes(value), To::Bytes) if field.width == 0 => return Ok(Content::Bytes(value)),
        (Value::Bytes(value), To::Message) => return Ok(Content::Bytes(value)),
        (Value::Bytes(value), _) if field.is_repeated => return Ok(Content::Run(value)),
        (Value::Varint(raw), to) if to.wire_type() == 0 => *raw,
        (Value::Fixed32(raw), To::Fixed32) => u64::from(*raw),
        (Value::Fixed64(raw), To::Fixed64) => *raw,
        _ => {
            let what = format!("expected wire type {}, found {}", field.to.wire_type(), value.wire_type());
            return Err(Broken::new(Error::format(what), offset));
        }
    };
    if field.from == From::Always {
        return match raw == field.always {
            true => Ok(Content::Number(raw)),
            false => Err(Broken::new(Error::format(format!("expected {}, found {raw}", field.always)), offset)),
        };
    }
    number::down(field, raw).map(Content::Number).map_err(|misfit| refused(field, misfit, offset))
}

/// The numbers of a packed run, or of bytes that stand for numbers, as V1 has them on the wire.
fn elements(field: &Field, run: &[u8], offset: usize, mut each: impl FnMut(u64)) -> Result<(), Broken> {
    let width = match field.to {
        To::Fixed32 => 4,
        To::Fixed64 => 8,
        To::Bytes => usize::from(field.width),
        _ => 0,
    };
    let mut one = |raw: u64| {
        each(number::down(field, raw).map_err(|misfit| refused(field, misfit, offset))?);
        Ok(())
    };
    if width > 0 {
        let mut chunks = run.chunks_exact(width);
        for chunk in chunks.by_ref() {
            one(chunk.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))?;
        }
        return match chunks.remainder().len() {
            0 => Ok(()),
            _ => {
                let what = format!("expected a multiple of {width} bytes, found {}", run.len());
                Err(Broken::new(Error::format(what), offset))
            }
        };
    }
    let mut at = 0;
    while at < run.len() {
        let (raw, next) = varint::read(run, at).map_err(|error| Broken::wire(error, offset))?;
        one(raw)?;
        at = next;
    }
    Ok(())
}

#[cold]
fn refused(field: &Field, misfit: Misfit, offset: usize) -> Broken {
    let what = match misfit {
        Misfit::NotOfItsType => "expected a value of the field's type, found one that it has not".to_owned(),
        Misfit::Class(class) => {
            let of = match field.class_by {
                Some(by) => by.cases.iter().map(|(_, class)| *class).collect::<BTreeSet<_>>(),
                None => BTreeSet::from([field.class]),
            };
            let of: Vec<String> = of.into_iter().map(|class| class_name(u64::from(class))).collect();
            format!("expected an id of class {}, found one of class {}", of.join(" or "), class_name(class))
        }
        Misfit::TooLarge(number) => format!("version 1 has no room for {number} ({number:#x}) in this field"),
    };
    Broken::new(Error::format(what), offset)
}

fn class_name(class: u64) -> String {
    match CLASSES.iter().find(|(number, _)| u64::from(*number) == class) {
        Some((_, name)) => format!("{class} ({name})"),
        None => class.to_string(),
    }
}

impl From {
    /// The wire type of one element.
    fn wire_type(self) -> u8 {
        match self {
            From::Fixed32 => 5,
            From::Fixed64 => 1,
            From::Bytes | From::Message => 2,
            _ => 0,
        }
    }
}
