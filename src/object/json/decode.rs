//! A whole image as JSON: in parallel where its entries are small, flat in memory always.

use std::io::Write;
use std::ops::Range;

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use crate::base::{Error, Result};
use crate::image::payload::Payload;
use crate::image::{Entry, FirstWord, Image, Kind};
use crate::object::json::extra::place;
use crate::object::json::message::Writer;
use crate::object::json::out::Out;
use crate::object::json::{Form, flat};
use crate::object::schema::Message;

/// Bytes of the image that one task turns into JSON (five times as many).
const PART: usize = 64 << 10;
/// A part larger than this is written directly instead of being put together first.
const LARGE: usize = 256 << 10;

/// Writes `image` as crit's JSON, without a newline at the end.
///
/// An entry that cannot be shown is left out and told to `warn`, where the form is strict; else it is an error, but
/// for a missing required field, which is told to `warn` while the entry is written without it, as crit does.
///
/// Errors: an entry is broken (not strict), the image has no entries by its kind, the destination refuses.
pub fn decode(image: &Image, form: &Form, out: &mut dyn Write, warn: &mut dyn FnMut(Error)) -> Result<()> {
    if image.kind().row().messages.is_empty() {
        return Err(Error::usage(format!("{} images are raw bytes, expected one with entries", image.kind().name()))
            .in_image(image.name()));
    }
    let mut text = Out::to(out, form.pretty, 0);
    text.open(b'{');
    text.key(true, "magic");
    text.raw(format!("\"{}\"", image.kind().magic_name()).as_bytes());
    if let Some(word) = unusual_first_word(image) {
        text.key(false, "@first_word");
        text.raw(format!("\"{word}\"").as_bytes());
    }
    text.key(false, "entries");
    text.open(b'[');
    text.flush().map_err(refused)?;

    let mut any = false;
    let mut problems = Vec::new();
    let mut batch: Vec<Range<usize>> = Vec::new();
    let mut written: Vec<Part> = Vec::new();
    if image.bytes().len() <= PART {
        // not worth waking threads for
        entries(image, form, &mut text, 0..image.len(), &mut any, &mut problems, true);
        tell(&mut problems, form, warn)?;
        return end(image, form, text, any, warn);
    }
    let full = rayon::current_num_threads().saturating_mul(4);
    for (range, bytes) in image.parts(PART) {
        // messages nested in their own kind become hundreds of times as long by their indent
        let large = bytes > LARGE || image.kind() == Kind::Cgroup;
        if !large {
            batch.push(range.clone());
        }
        if large || batch.len() >= full {
            written = turn(image, form, &mut text, written, std::mem::take(&mut batch), &mut any, &mut problems)?;
            tell(&mut problems, form, warn)?;
        }
        if large {
            turn(image, form, &mut text, std::mem::take(&mut written), Vec::new(), &mut any, &mut problems)?;
            tell(&mut problems, form, warn)?;
            entries(image, form, &mut text, range, &mut any, &mut problems, true);
            tell(&mut problems, form, warn)?;
        }
        if text.has_failed() {
            break;
        }
    }
    written = turn(image, form, &mut text, written, batch, &mut any, &mut problems)?;
    turn(image, form, &mut text, written, Vec::new(), &mut any, &mut problems)?;
    tell(&mut problems, form, warn)?;
    end(image, form, text, any, warn)
}

fn end(image: &Image, form: &Form, mut text: Out<'_>, any: bool, warn: &mut dyn FnMut(Error)) -> Result<()> {
    if let Some(fault) = image.fault() {
        if !form.strict {
            return Err(fault.clone());
        }
        warn(fault.clone());
    }
    text.close(b']', !any);
    text.close(b'}', false);
    text.flush().map_err(refused)
}

fn refused(error: std::io::Error) -> Error {
    Error::io("cannot write JSON", error)
}

/// One entry as a JSON object, appended to `out`.
///
/// Errors: as [`decode`]; what was appended is then incomplete.
pub fn entry(entry: &Entry<'_>, form: &Form, out: &mut Vec<u8>) -> Result<()> {
    let mut text = Out::part(std::mem::take(out), form.pretty, 0);
    let mut problems = Vec::new();
    let result = entry.schema().and_then(|schema| object(entry, schema, form, &mut text, &mut problems));
    *out = text.buffer;
    result
}

struct Problem {
    error: Error,
    /// Ends the work where the form is not strict.
    fatal: bool,
}

/// The JSON of some entries.
struct Part {
    text: Vec<u8>,
    any: bool,
    problems: Vec<Problem>,
}

/// Writes what was put together before while the next batch is put together.
fn turn(
    image: &Image,
    form: &Form,
    text: &mut Out<'_>,
    done: Vec<Part>,
    next: Vec<Range<usize>>,
    any: &mut bool,
    problems: &mut Vec<Problem>,
) -> Result<Vec<Part>> {
    // the destination need not be Sync, so this thread writes while the others put together
    let mut parts = Vec::new();
    rayon::in_place_scope(|scope| {
        if !next.is_empty() {
            scope.spawn(|_| parts = next.par_iter().map(|range| part(image, form, range.clone())).collect());
        }
        for part in done {
            if part.any {
                if std::mem::replace(any, true) {
                    text.raw(if form.pretty { b"," } else { b", " });
                }
                text.raw(&part.text);
                text.relieve();
            }
            problems.extend(part.problems);
        }
    });
    Ok(parts)
}

fn part(image: &Image, form: &Form, range: Range<usize>) -> Part {
    let mut out = Out::part(Vec::with_capacity(PART.saturating_mul(5)), form.pretty, 2);
    let mut any = false;
    let mut problems = Vec::new();
    entries(image, form, &mut out, range, &mut any, &mut problems, false);
    Part { text: out.buffer, any, problems }
}

/// Writes the entries in `range`. Where they are streamed, what is written may be passed on at once and cannot be
/// taken back; so a strict form checks an entry before writing it.
fn entries(
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

fn object(
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

fn tell(problems: &mut Vec<Problem>, form: &Form, warn: &mut dyn FnMut(Error)) -> Result<()> {
    for problem in problems.drain(..) {
        if problem.fatal && !form.strict {
            return Err(problem.error);
        }
        warn(problem.error);
    }
    Ok(())
}

/// The first word, where it is not the one that encoding would write.
fn unusual_first_word(image: &Image) -> Option<&'static str> {
    if image.first_word() == image.kind().row().first_word {
        return None;
    }
    Some(match image.first_word() {
        FirstWord::Absent => "none",
        FirstWord::Common => "common",
        FirstWord::Service => "service",
    })
}
