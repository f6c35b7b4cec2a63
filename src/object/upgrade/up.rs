//! A V1 message as a V2 message, wire to wire, by the tables.

use crate::base::Limits;
use crate::object::check::{Broken, too_deep, too_large};
use crate::object::upgrade::schema::{Field, From, Message, Node, Place, RAW, REST, To};
use crate::object::upgrade::{number, write};
use crate::wire::field::{self, Fields, Value};
use crate::wire::varint;

/// A V2 field's value, before it is written.
#[derive(Clone, Copy)]
struct Found<'a> {
    /// Position of the field in its message.
    field: u16,
    content: Content<'a>,
}

#[derive(Clone, Copy)]
enum Content<'a> {
    /// As V2 has it on the wire.
    Number(u64),
    /// Bytes, or a V1 message.
    Bytes(&'a [u8]),
}

/// What is done with what no V2 field says.
#[derive(Clone, Copy)]
pub(crate) enum Beyond<'a> {
    /// It is kept in `v1_rest`.
    Kept,
    /// It is in these bytes, the whole V1 message, which become `v1_raw`.
    In(&'a [u8]),
    /// It is in the `v1_raw` of a message around this one.
    Elsewhere,
}

pub(crate) struct Up<'l> {
    pub(crate) limits: &'l Limits,
}

impl Up<'_> {
    /// Appends the V2 message of a V1 message that is `base` bytes behind the start of the outermost one.
    pub(crate) fn message(
        &self,
        message: &'static Message,
        v1: &[u8],
        base: usize,
        depth: u32,
        beyond: Beyond<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Broken> {
        let Some(depth) = depth.checked_sub(1) else { return Err(too_deep(self.limits, base)) };
        let message = chosen(message, v1, base)?;
        let mut found = Vec::new();
        let mut rest = Vec::new();
        if message.is_special {
            for (field, position) in message.fields.iter().zip(0u16..) {
                if field.from == From::Always {
                    found.push(Found { field: position, content: Content::Number(field.always) });
                }
            }
        }
        self.gather(message, 0, v1, base, &mut found, &mut rest)?;
        if message.is_special {
            add_classes(message, &mut found, &mut rest);
        }
        // stable: the elements of a field keep their order
        found.sort_by_key(|found| found.field);

        let mut left = &found[..];
        let mut is_rest_written = false;
        while let Some(first) = left.first() {
            let count = left.iter().take_while(|found| found.field == first.field).count();
            let Some((group, behind)) = left.split_at_checked(count) else { break };
            left = behind;
            let Some(field) = message.fields.get(usize::from(first.field)) else { break };
            if field.number > REST && !is_rest_written {
                is_rest_written = true;
                write_beyond(&rest, beyond, out);
            }
            self.write(field, group, v1, base, depth, beyond, out).map_err(|broken| broken.around(field.name))?;
        }
        if !is_rest_written {
            write_beyond(&rest, beyond, out);
        }
        Ok(())
    }

    /// Sorts the fields of a V1 message into those that V2 has and the rest.
    fn gather<'a>(
        &self,
        message: &'static Message,
        node: usize,
        v1: &'a [u8],
        base: usize,
        found: &mut Vec<Found<'a>>,
        rest: &mut Vec<u8>,
    ) -> Result<(), Broken> {
        let Some(table) = message.nodes.get(node) else { return Ok(()) };
        let mut hint = 0usize;
        for read in Fields::new(v1) {
            let read = read.map_err(|error| Broken::wire(error, base))?;
            let place = place(table, read.number, &mut hint);
            let content = match place {
                Some(Place::Field(position)) => {
                    let Some(field) = message.fields.get(usize::from(position)) else { continue };
                    let is_constant = field.constant.is_some_and(|constant| read.value == Value::Varint(constant));
                    if is_constant {
                        continue;
                    }
                    content(field, &read.value).map(|content| Found { field: position, content })
                }
                Some(Place::Constant(value)) if read.value == Value::Varint(value) => continue,
                Some(Place::Node(inner)) if let Value::Bytes(value) = read.value => {
                    let before = found.len();
                    let mut inner_rest = Vec::new();
                    let base = base.saturating_add(read.body);
                    self.gather(message, usize::from(inner), value, base, found, &mut inner_rest)?;
                    // where nothing of it is a field here, that it was there is to be kept
                    if found.len() == before || !inner_rest.is_empty() {
                        write::bytes(rest, read.number, &inner_rest);
                    }
                    continue;
                }
                _ => None,
            };
            match content {
                Some(content) => {
                    let bytes = (found.len() as u64).saturating_mul(size_of::<Found<'_>>() as u64);
                    if bytes > self.limits.memory {
                        return Err(too_large(self.limits, base));
                    }
                    found.push(content);
                }
                None => rest.extend_from_slice(v1.get(read.start..read.end).unwrap_or_default()),
            }
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments)]
    fn write(
        &self,
        field: &'static Field,
        group: &[Found<'_>],
        v1: &[u8],
        base: usize,
        depth: u32,
        beyond: Beyond<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Broken> {
        if let Some(inner) = field.message {
            let beyond = match beyond {
                Beyond::Kept => Beyond::Kept,
                _ => Beyond::Elsewhere,
            };
            let mut one = |value: &[u8]| {
                let base = base.saturating_add(offset(v1, value));
                write::key(out, field.number, 2);
                write::sized(out, |out| self.message(inner, value, base, depth, beyond, out))
            };
            return match group {
                [Found { content: Content::Bytes(value), .. }] => one(value),
                _ if field.is_repeated => bytes_of(group).try_for_each(one),
                // parts of one message, which protobuf merges
                _ => one(&bytes_of(group).flatten().copied().collect::<Vec<u8>>()),
            };
        }
        let wire = field.to.wire_type();
        // of a field that stands twice the last counts
        let group = if field.is_repeated { group } else { group.last().map_or(&[][..], std::slice::from_ref) };
        if field.is_repeated && wire != 2 {
            write::key(out, field.number, 2);
            return write::sized(out, |out| {
                numbers_of(group).for_each(|value| write::number(out, wire, value));
                Ok(())
            });
        }
        if field.width > 0 {
            let width = usize::from(field.width);
            write::key(out, field.number, 2);
            varint::write(out, group.len().saturating_mul(width) as u64);
            for value in numbers_of(group) {
                out.extend(value.to_le_bytes().iter().take(width));
            }
            return Ok(());
        }
        for found in group {
            match found.content {
                Content::Bytes(value) => write::bytes(out, field.number, value),
                Content::Number(value) => {
                    write::key(out, field.number, wire);
                    write::number(out, wire, value);
                }
            }
        }
        Ok(())
    }
}

/// The table that this message needs.
fn chosen(message: &'static Message, v1: &[u8], base: usize) -> Result<&'static Message, Broken> {
    let Some(choice) = message.choice.filter(|choice| choice.v1 != 0) else { return Ok(message) };
    let value = field::last_varint(v1, choice.v1).map_err(|error| Broken::wire(error, base))?;
    let table = choice.tables.iter().find(|(known, _)| Some(*known) == value);
    Ok(table.map_or(message, |(_, table)| table))
}

/// Makes ids of numbers whose class another field decides; what is too large for one stays as it was.
fn add_classes(message: &'static Message, found: &mut Vec<Found<'_>>, rest: &mut Vec<u8>) {
    for (field, position) in message.fields.iter().zip(0u16..) {
        let Some(by) = field.class_by else { continue };
        let decides = found.iter().rfind(|found| found.field == by.field).and_then(|found| match found.content {
            Content::Number(value) => Some(value),
            Content::Bytes(_) => None,
        });
        let class = number::class_by(by, decides);
        found.retain_mut(|found| match &mut found.content {
            Content::Number(value) if found.field == position => match number::with_class(*value, class) {
                Some(id) => {
                    *value = id;
                    true
                }
                None => {
                    write::key(rest, field.v1, 0);
                    varint::write(rest, *value);
                    false
                }
            },
            _ => true,
        });
    }
}

fn place(table: &Node, number: u32, hint: &mut usize) -> Option<Place> {
    let position = table.position(number, *hint)?;
    *hint = position.saturating_add(1);
    table.rows.get(position).map(|row| row.place)
}

/// `None` if the value is not one of the field's, or not written as CRIU writes it.
fn content<'a>(field: &Field, value: &Value<'a>) -> Option<Content<'a>> {
    match (field.from, value) {
        (From::Bytes | From::Message, Value::Bytes(value)) => Some(Content::Bytes(value)),
        (From::Bytes | From::Message, _) => None,
        _ => number::up(field, value).map(Content::Number),
    }
}

fn bytes_of<'a>(group: &[Found<'a>]) -> impl Iterator<Item = &'a [u8]> {
    group.iter().filter_map(|found| match found.content {
        Content::Bytes(value) => Some(value),
        Content::Number(_) => None,
    })
}

fn numbers_of(group: &[Found<'_>]) -> impl Iterator<Item = u64> {
    group.iter().filter_map(|found| match found.content {
        Content::Number(value) => Some(value),
        Content::Bytes(_) => None,
    })
}

/// Where `inner`, a part of `outer`, begins in it; only errors need it.
fn offset(outer: &[u8], inner: &[u8]) -> usize {
    let at = inner.as_ptr().addr().wrapping_sub(outer.as_ptr().addr());
    if at <= outer.len() { at } else { 0 }
}

fn write_beyond(rest: &[u8], beyond: Beyond<'_>, out: &mut Vec<u8>) {
    match beyond {
        Beyond::Kept if !rest.is_empty() => write::bytes(out, REST, rest),
        Beyond::In(raw) => write::bytes(out, RAW, raw),
        Beyond::Kept | Beyond::Elsewhere => {}
    }
}

impl To {
    /// The wire type of one element.
    pub(crate) fn wire_type(self) -> u8 {
        match self {
            To::Fixed32 => 5,
            To::Fixed64 => 1,
            To::Bytes | To::Message => 2,
            To::Uint | To::Sint | To::Bool | To::Enum => 0,
        }
    }
}
