//! Some entries as JSON.

use std::ops::Range;

use crate::base::{Error, Result};
use crate::image::payload::Payload;
use crate::image::{Entry, Image};
use crate::object::json::extra::place;
use crate::object::json::message::Writer;
use crate::object::json::out::Out;
use crate::object::json::{Form, flat};
use crate::object::schema::Message;

/// Bytes of the image that one task turns into JSON (five times as many).
pub(crate) const PART: usize = 64 << 10;
/// How much a buffer grows by when it is full.
const GROW: usize = 16 << 10;
/// How many entries are written in the general way before the short one is tried again.
const STRIDE: usize = 64;

/// What is wrong with an entry.
pub(crate) struct Problem {
    pub(crate) error: Error,
    /// Ends the work where the form is not strict.
    pub(crate) fatal: bool,
}

/// The JSON of some entries: the first `length` bytes of `text`.
#[derive(Default)]
pub(crate) struct Part {
    pub(crate) text: Vec<u8>,
    pub(crate) length: usize,
    pub(crate) any: bool,
    pub(crate) problems: Vec<Problem>,
}

/// A buffer that takes most parts as it is: numbers take five times their room on the wire, and twice that if pretty.
pub(crate) fn buffer(form: &Form) -> Vec<u8> {
    Vec::with_capacity(PART.saturating_mul(if form.pretty { 10 } else { 5 }))
}

/// Puts entries together in `text`, which may hold anything.
pub(crate) fn part(image: &Image, form: &Form, mut range: Range<usize>, mut text: Vec<u8>) -> Part {
    let mut part = Part::default();
    let schema = Message::by_name(image.kind().message_name(1))
        .filter(|_| !form.pretty && image.kind().row().payload == Payload::Nothing);
    while !range.is_empty() {
        if let Some(schema) = schema {
            let numbers = numbers(image, schema, range.clone(), &mut text, &mut part.length);
            part.any |= numbers > 0;
            range.start = range.start.saturating_add(numbers);
        }
        // what is left to the general way are some entries, or all
        let end = if schema.is_some() { range.start.saturating_add(STRIDE).min(range.end) } else { range.end };
        if range.start < end {
            text.truncate(part.length);
            let mut out = Out::part(std::mem::take(&mut text), form.pretty, 2);
            entries(image, form, &mut out, range.start..end, &mut part.any, &mut part.problems, false);
            text = out.buffer;
            part.length = text.len();
            if !form.strict && part.problems.last().is_some_and(|problem| problem.fatal) {
                break;
            }
        }
        range.start = end;
    }
    Part { text, ..part }
}

/// Writes the entries in `range` behind the first `length` bytes of `text`, up to one that is not only numbers. Gives
/// how many.
fn numbers(
    image: &Image,
    schema: &'static Message,
    range: Range<usize>,
    text: &mut Vec<u8>,
    length: &mut usize,
) -> usize {
    if range.start == 0 {
        return 0;
    }
    let mut count = 0usize;
    for found in image.range(range, false) {
        let Ok(found) = found else { break };
        let message = found.message();
        let room = length.saturating_add(flat::room(message)).saturating_add(2);
        if text.len() < room {
            text.resize(room.saturating_add(GROW), 0);
        }
        let mut at = *length;
        if at > 0 {
            let Some(place) = text.get_mut(at..).and_then(|text| text.first_chunk_mut()) else { break };
            *place = *b", ";
            at = at.wrapping_add(2);
        }
        let Some(written) = text.get_mut(at..).and_then(|place| flat::write(place, schema, message)) else { break };
        *length = at.wrapping_add(written);
        count = count.wrapping_add(1);
    }
    count
}

/// Writes the entries in `range`. Where they are streamed, what is written may be passed on at once and cannot be
/// taken back; so a strict form checks an entry before writing it.
pub(crate) fn entries(
    image: &Image,
    form: &Form,
    out: &mut Out<'_>,
    range: Range<usize>,
    any: &mut bool,
    problems: &mut Vec<Problem>,
    streamed: bool,
) {
    let rest = Message::by_name(image.kind().message_name(1));
    for found in image.range(range, false) {
        let found =
            found.and_then(|found| if streamed && form.strict { found.check().map(|()| found) } else { Ok(found) });
        let mark = (!streamed).then(|| out.hold());
        let result = found.and_then(|found| {
            out.separate(!*any);
            let schema = match (found.index(), rest) {
                (1.., Some(schema)) => schema,
                _ => found.schema()?,
            };
            object(&found, schema, form, out, problems)
        });
        if let Some(mark) = mark {
            if result.is_err() {
                out.rewind(mark);
            }
            out.release();
        }
        match result {
            Ok(()) => *any = true,
            Err(error) => {
                problems.push(Problem { error, fatal: true });
                if !form.strict {
                    return;
                }
            }
        }
        out.relieve();
    }
}

/// One entry.
pub(crate) fn object(
    found: &Entry<'_>,
    schema: &'static Message,
    form: &Form,
    out: &mut Out<'_>,
    problems: &mut Vec<Problem>,
) -> Result<()> {
    let limits = found.image().limits();
    let is_bare = found.image().kind().row().payload == Payload::Nothing;
    if !form.pretty && is_bare && flat::object(&mut out.buffer, schema, found.message()) {
        return Ok(());
    }
    out.open(b'{');
    let mut writer = Writer { out, form: *form, limits, budget: limits.memory, warnings: Vec::new(), wary: false };
    let mut any = false;
    let unknown = writer.members(schema, found.message(), &mut any).map_err(|broken| place(found, broken))?;
    writer.extra(found, &mut any)?;
    writer.unknown(found.message(), &unknown, &mut any);
    for warning in writer.warnings {
        problems.push(Problem { error: place(found, warning), fatal: false });
    }
    out.close(b'}', !any);
    Ok(())
}
