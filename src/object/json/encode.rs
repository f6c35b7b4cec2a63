//! crit's JSON to the wire: a message is written as its keys come, and put in order only where they did not ascend.

use std::io::Write;

use crate::base::{Error, Limits, Result};
use crate::image::payload::Payload;
use crate::image::{FirstWord, Kind, Shape};
use crate::object::json::image::ImageWriter;
use crate::object::json::integer::Number;
use crate::object::json::lexer::{Lexer, Token};
use crate::object::json::spread;
use crate::object::json::value::{base64_string, value};
use crate::object::schema::{Message, Type};
use crate::wire::field::Fields;
use crate::wire::varint;

/// Writes the image that `json` describes, in either form, keys in any order.
///
/// Errors: `json` is not JSON or not an image's, a value does not fit its field, a required field is missing, the
/// destination refuses. Offsets are those of the JSON text.
pub fn encode(json: &[u8], limits: &Limits, out: &mut dyn Write) -> Result<()> {
    let mut lexer = Lexer::new(json);
    let mut head = Head::default();
    let mut entries = None;
    let mut written = false;
    lexer.begin(Token::Object)?;
    let mut first = true;
    while lexer.more(Token::Object, std::mem::take(&mut first))? {
        let begin = lexer;
        let key = lexer.key()?;
        let known = matches!(&key[..], b"magic" | b"@first_word" | b"entries");
        if known && written {
            return Err(
                begin.error(format!("expected the key {:?} once, before the entries", String::from_utf8_lossy(&key)))
            );
        }
        match &key[..] {
            b"magic" => head.magic(&mut lexer)?,
            b"@first_word" => head.first_word(&mut lexer)?,
            // entries are written as they are read; where their kind comes later, they wait
            b"entries" => match head.kind {
                Some(kind) => {
                    write_image(&mut lexer, kind, head, limits, out)?;
                    written = true;
                }
                None => {
                    lexer.token()?;
                    entries = Some(lexer);
                    lexer.skip(limits.depth)?;
                }
            },
            _ => lexer.skip(limits.depth)?,
        }
    }
    lexer.end()?;
    match (head.kind, entries) {
        _ if written => Ok(()),
        (Some(kind), Some(mut entries)) => write_image(&mut entries, kind, head, limits, out),
        (None, _) => Err(lexer.error("expected the key \"magic\", found none")),
        (_, None) => Err(lexer.error("expected the key \"entries\", found none")),
    }
}

/// What the keys beside the entries say.
#[derive(Clone, Copy, Default)]
struct Head {
    kind: Option<Kind>,
    first_word: Option<FirstWord>,
}

impl Head {
    fn magic(&mut self, lexer: &mut Lexer<'_>) -> Result<()> {
        let name = lexer.string()?;
        let kind = std::str::from_utf8(&name).ok().and_then(Kind::from_magic_name);
        self.kind = kind.filter(|kind| !kind.row().messages.is_empty());
        if self.kind.is_none() {
            return Err(lexer.error(format!("expected the name of an image's magic, found {}", found(&name))));
        }
        Ok(())
    }

    fn first_word(&mut self, lexer: &mut Lexer<'_>) -> Result<()> {
        self.first_word = Some(match &lexer.string()?[..] {
            b"none" => FirstWord::Absent,
            b"common" => FirstWord::Common,
            b"service" => FirstWord::Service,
            _ => return Err(lexer.error("expected \"none\", \"common\" or \"service\"")),
        });
        Ok(())
    }
}

fn write_image(lexer: &mut Lexer<'_>, kind: Kind, head: Head, limits: &Limits, out: &mut dyn Write) -> Result<()> {
    let mut writer = ImageWriter::new(kind, limits, out, Vec::new());
    writer.head(head.first_word.unwrap_or(kind.row().first_word));
    lexer.begin(Token::Array)?;
    let mut index = 0u64;
    let mut more = lexer.more(Token::Array, true)?;
    while more {
        if kind.row().shape == Shape::Plugin && index > 0 {
            return Err(lexer.error("expected one entry, found more"));
        }
        writer.entry(lexer, index).map_err(|error| error.at_entry(index))?;
        index = index.saturating_add(1);
        more = lexer.more(Token::Array, false)?;
        if more && index == 1 && kind.row().payload == Payload::Nothing {
            more = spread::entries(&mut writer, lexer, &mut index)?;
        }
    }
    if kind.row().shape == Shape::Plugin && index == 0 {
        return Err(lexer.error("expected one entry, found none"));
    }
    writer.finish()
}

/// A text that was found where another was expected, in quotes, or its start.
pub(crate) fn found(text: &[u8]) -> String {
    const SHOWN: usize = 80;
    match text.get(..SHOWN) {
        Some(start) if text.len() > SHOWN => {
            format!("{:?} and {} bytes more", String::from_utf8_lossy(start), text.len().saturating_sub(SHOWN))
        }
        _ => format!("{:?}", String::from_utf8_lossy(text)),
    }
}

/// Where the keys are that are not a field's.
#[derive(Default)]
pub(crate) struct Others<'t> {
    /// Where the value of `extra` begins.
    pub(crate) extra: Option<Lexer<'t>>,
}

/// Reads an object as a `message` and appends it to `out`, on the wire.
pub(crate) fn message<'t>(
    lexer: &mut Lexer<'t>,
    schema: &'static Message,
    out: &mut Vec<u8>,
    limits: &Limits,
    depth: u32,
    mut others: Option<&mut Others<'t>>,
) -> Result<()> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(Error::limit(format!("messages are nested more than {} deep", limits.depth))
            .at_offset(lexer.position() as u64)
            .hint("Limits::depth, or --max-depth, raises it"));
    };
    let begin = *lexer;
    let start = out.len();
    let mut next = 0usize;
    let mut seen = 0u64;
    let mut ordered = true;
    // fields whose key came again, and the offset before which what they had is void
    let mut void: Vec<(u32, usize)> = Vec::new();
    lexer.begin(Token::Object)?;
    let mut first = true;
    loop {
        while let Some(position) = plain_number(lexer, schema, next, seen, first, out) {
            first = false;
            seen |= 1 << position;
            next = position.saturating_add(1);
        }
        if !lexer.more(Token::Object, std::mem::take(&mut first))? {
            break;
        }
        let Some(position) = field_position(lexer, schema, next, out, start, limits, &mut others)? else {
            ordered = false;
            continue;
        };
        let Position::Field(position) = position else { continue };
        let Some(field) = schema.fields.get(position) else { continue };
        if seen & 1 << position != 0 {
            // of a key that stands twice the last counts, as in Python
            let until = out.len().saturating_sub(start);
            match void.iter_mut().find(|(number, _)| *number == field.number) {
                Some((_, known)) => *known = until,
                None => void.push((field.number, until)),
            }
        }
        ordered &= position >= next;
        next = position.saturating_add(1);
        if value(lexer, field, out, limits, depth).map_err(|error| error.inside_field(field.name))? {
            seen |= 1 << position;
        }
    }
    if let Some(field) = schema.missing(seen) {
        return Err(begin.error(format!("expected required field {} of {}, found none", field.number, schema.name)))
            .map_err(|error| error.inside_field(field.name));
    }
    if !void.is_empty() {
        without(out, start, &void);
    }
    if !ordered {
        sort(out, start, limits).map_err(|error| error.at_offset(begin.position() as u64))?;
    }
    Ok(())
}

/// What most messages are made of, by the shortest way: the key and the number of one of the next fields, as crit
/// writes them. Gives the position of the field.
#[inline]
fn plain_number(
    lexer: &mut Lexer<'_>,
    schema: &'static Message,
    next: usize,
    seen: u64,
    first: bool,
    out: &mut Vec<u8>,
) -> Option<usize> {
    for (position, field) in schema.fields.iter().enumerate().skip(next).take(3) {
        // a key that stands twice is for what reads all fields: it takes the first one back
        if field.tag == 0 || seen & 1 << position != 0 {
            continue;
        }
        let before = *lexer;
        let Some(value) = lexer.keyed_number(if first { field.key() } else { field.next_key }) else { continue };
        let raw = match field.ty {
            Type::Uint64 => Some(value),
            Type::Uint32 => u32::try_from(value).ok().map(u64::from),
            ty => Number::to_wire(ty, i128::from(value)),
        };
        let Some(raw) = raw else {
            // out of the type's range: what reads all numbers says so
            *lexer = before;
            return None;
        };
        out.push(field.tag);
        varint::write(out, raw);
        return Some(position);
    }
    None
}

/// Which field a key names.
enum Position {
    Field(usize),
    /// `extra` of an entry, or a key of nobody: crit ignores those.
    Other,
}

/// Reads a key. `None` if it was `@unknown`, whose fields are then in `out`.
#[inline]
fn field_position<'t>(
    lexer: &mut Lexer<'t>,
    schema: &'static Message,
    next: usize,
    out: &mut Vec<u8>,
    start: usize,
    limits: &Limits,
    others: &mut Option<&mut Others<'t>>,
) -> Result<Option<Position>> {
    for (position, field) in schema.fields.iter().enumerate().skip(next).take(3) {
        if lexer.skip_key(field.key()) {
            return Ok(Some(Position::Field(position)));
        }
    }
    let key = lexer.key()?;
    if let Some(position) = schema.fields.iter().position(|field| field.name.as_bytes() == &key[..]) {
        return Ok(Some(Position::Field(position)));
    }
    match (&key[..], others) {
        (b"@unknown", _) => {
            unknown(lexer, schema, out, start)?;
            return Ok(None);
        }
        (b"extra", Some(others)) => {
            lexer.token()?;
            others.extra = Some(*lexer);
        }
        _ => {}
    }
    lexer.skip(limits.depth)?;
    Ok(Some(Position::Other))
}

/// Appends the fields that icecore did not know when it decoded.
fn unknown(lexer: &mut Lexer<'_>, schema: &'static Message, out: &mut Vec<u8>, start: usize) -> Result<()> {
    let from = out.len();
    base64_string(lexer, &mut |bytes| {
        out.extend_from_slice(bytes);
        Ok(())
    })?;
    debug_assert!(from >= start);
    for field in Fields::new(out.get(from..).unwrap_or_default()) {
        let field = field.map_err(|error| lexer.error(error.to_string()))?;
        if let Some(known) = schema.position(field.number, 0).and_then(|position| schema.fields.get(position)) {
            return Err(lexer.error(format!("expected fields that {} lacks, found {}", schema.name, known.name)));
        }
    }
    Ok(())
}

/// Puts the fields of the message that begins at `start` in ascending order.
///
/// Errors: that takes more memory than the limits allow.
fn sort(out: &mut Vec<u8>, start: usize, limits: &Limits) -> Result<()> {
    let wire = out.split_off(start.min(out.len()));
    // runs of one field: number, start, end
    let mut fields: Vec<(u32, usize, usize)> = Vec::new();
    for field in Fields::new(&wire).filter_map(|field| field.ok()) {
        match fields.last_mut() {
            Some((number, _, end)) if *number == field.number => *end = field.end,
            _ => fields.push((field.number, field.start, field.end)),
        }
        if size_of_val(fields.as_slice()) as u64 > limits.memory {
            return Err(Error::limit(format!("sorting the fields takes more than {} bytes of memory", limits.memory))
                .hint("Limits::memory, or --max-memory, raises it; keys in crit's order need none"));
        }
    }
    fields.sort_by_key(|field| field.0);
    for (_, start, end) in fields {
        out.extend_from_slice(wire.get(start..end).unwrap_or_default());
    }
    Ok(())
}

/// Takes fields out of the message that begins at `start`: each that begins before the offset given for its number.
fn without(out: &mut Vec<u8>, start: usize, void: &[(u32, usize)]) {
    let wire = out.split_off(start.min(out.len()));
    for field in Fields::new(&wire).filter_map(|field| field.ok()) {
        if !void.iter().any(|&(number, until)| number == field.number && field.start < until) {
            out.extend_from_slice(wire.get(field.start..field.end).unwrap_or_default());
        }
    }
}
