//! The frame around encoded messages: words, sizes, payloads.

use std::io::Write;

use crate::base::{Error, Limits, Result};
use crate::image::payload::Payload;
use crate::image::{FirstWord, Kind, Shape};
use crate::object::json::encode::{Others, message};
use crate::object::json::extra::INNER;
use crate::object::json::lexer::{Lexer, Token};
use crate::object::json::numbers;
use crate::object::json::value::base64_string;
use crate::object::schema::Message;
use crate::wire::field::last_varint;
use crate::wire::v1;

/// The buffer is passed on when it holds this much.
const FULL: usize = 256 << 10;

pub(crate) struct ImageWriter<'a> {
    pub(crate) kind: Kind,
    /// Schemas of the first entry and of the others.
    schemas: [Option<&'static Message>; 2],
    pub(crate) limits: &'a Limits,
    out: &'a mut dyn Write,
    buffer: Vec<u8>,
    /// The first entry of a ghost file said that its content comes in chunks.
    chunked: bool,
}

impl<'a> ImageWriter<'a> {
    pub(crate) fn new(kind: Kind, limits: &'a Limits, out: &'a mut dyn Write, mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        let schemas = [0, 1].map(|index| Message::by_name(kind.message_name(index)));
        Self { kind, schemas, limits, out, buffer, chunked: false }
    }

    /// Passes on entries that another wrote.
    pub(crate) fn entries(&mut self, entries: &[u8]) -> Result<()> {
        self.pass_on()?;
        self.out.write_all(entries).map_err(refused)
    }

    /// The words at the start.
    pub(crate) fn head(&mut self, first_word: FirstWord) {
        if self.kind.row().shape == Shape::Plugin {
            return;
        }
        if let Some(word) = first_word.value() {
            self.buffer.extend_from_slice(&word.to_le_bytes());
        }
        self.buffer.extend_from_slice(&self.kind.row().magic.to_le_bytes());
    }

    /// One entry with its size and what follows it.
    pub(crate) fn entry(&mut self, lexer: &mut Lexer<'_>, index: u64) -> Result<()> {
        let [first, others] = self.schemas;
        let Some(schema) = (if index == 0 { first } else { others }) else {
            return Err(lexer.error("images of this kind have no entries"));
        };
        if self.numbers(lexer, schema) {
            return self.relieve();
        }
        let begin = *lexer;
        let size_bytes = if self.kind.row().shape == Shape::Plugin { 8 } else { 4usize };
        let place = self.buffer.len();
        self.buffer.resize(place.saturating_add(size_bytes), 0);
        let start = self.buffer.len();
        let mut others = Others::default();
        message(lexer, schema, &mut self.buffer, self.limits, self.limits.depth, Some(&mut others))?;
        let size = self.buffer.len().saturating_sub(start);
        let size = u32::try_from(size)
            .map_err(|_| begin.error(format!("expected an entry below 4 GiB, found one of {size} bytes")))?;
        let size = u64::from(size).to_le_bytes();
        if let (Some(place), Some(size)) = (self.buffer.get_mut(place..start), size.get(..size_bytes)) {
            place.copy_from_slice(size);
        }
        self.payload(begin, others.extra, start, index)?;
        self.relieve()
    }

    /// An entry of plain numbers, by the shortest way.
    #[inline]
    fn numbers(&mut self, lexer: &mut Lexer<'_>, schema: &'static Message) -> bool {
        if !self.kind.row().shape.is_framed() || self.kind.row().payload != Payload::Nothing {
            return false;
        }
        let start = self.buffer.len();
        self.buffer.resize(start.saturating_add(4).saturating_add(numbers::room(schema)), 0);
        let mut end = start;
        if let Some((size, place)) = self.buffer.get_mut(start..).and_then(|buffer| buffer.split_first_chunk_mut())
            && let Some((text, wire)) = numbers::read(lexer.rest(), schema, place)
            && let Ok(wire) = u32::try_from(wire)
        {
            *size = wire.to_le_bytes();
            end = start.saturating_add(4).saturating_add(wire as usize);
            lexer.advance(text);
        }
        self.buffer.truncate(end);
        end > start
    }

    /// What was not passed on yet.
    pub(crate) fn into_buffer(self) -> Vec<u8> {
        self.buffer
    }

    pub(crate) fn finish(mut self) -> Result<()> {
        self.pass_on()
    }

    #[inline]
    fn relieve(&mut self) -> Result<()> {
        if self.buffer.len() >= FULL { self.pass_on() } else { Ok(()) }
    }

    fn pass_on(&mut self) -> Result<()> {
        self.out.write_all(&self.buffer).map_err(refused)?;
        self.buffer.clear();
        Ok(())
    }

    /// What the message that begins at `start` of the buffer says in a field.
    fn number(&self, start: usize, field: u32) -> u64 {
        last_varint(self.buffer.get(start..).unwrap_or_default(), field).ok().flatten().unwrap_or(0)
    }

    fn payload(&mut self, entry: Lexer<'_>, extra: Option<Lexer<'_>>, start: usize, index: u64) -> Result<()> {
        let needed = match self.kind.row().payload {
            Payload::Nothing => return Ok(()),
            Payload::Fields(fields) => {
                fields.iter().fold(0, |sum: u64, &field| sum.saturating_add(self.number(start, field)))
            }
            Payload::Array { count, unit, pad, unless, .. } => {
                if unless != 0 && self.number(start, unless) != 0 {
                    0
                } else {
                    let count = self.number(start, count);
                    let Some(needed) = count.checked_mul(unit).filter(|&needed| v1::padded(needed, pad).is_some())
                    else {
                        return Err(entry.error("expected a payload that fits a file, found lengths that overflow"));
                    };
                    return self.padded(entry, extra, needed, pad);
                }
            }
            Payload::Messages { count, length, pad } => {
                return self.records(entry, extra, self.number(start, count), length, pad);
            }
            Payload::Ghost { chunks, .. } if index == 0 => {
                self.chunked = self.number(start, chunks) != 0;
                if self.chunked {
                    0
                } else {
                    // the content of a small ghost file is all that follows: nothing says how long it is
                    return self.bytes(extra).map(|_| ());
                }
            }
            Payload::Ghost { length, .. } => {
                if !self.chunked {
                    return Err(entry.error("expected one entry, found more: the first does not say chunks"));
                }
                self.number(start, length)
            }
        };
        self.exactly(entry, extra, needed)
    }

    /// Bytes of base64 that must be as many as the entry says; nothing where there is no payload.
    fn exactly(&mut self, entry: Lexer<'_>, extra: Option<Lexer<'_>>, needed: u64) -> Result<()> {
        let written = match self.kind {
            Kind::TcpStream => self.queues(extra)?,
            _ => self.bytes(extra)?,
        };
        if written != needed {
            return Err(mismatch(entry, needed, written));
        }
        Ok(())
    }

    fn padded(&mut self, entry: Lexer<'_>, extra: Option<Lexer<'_>>, needed: u64, pad: u64) -> Result<()> {
        let written = match self.kind {
            Kind::IpcnsSem => self.semaphores(extra)?,
            _ => self.bytes(extra)?,
        };
        if written != needed {
            return Err(mismatch(entry, needed, written));
        }
        self.pad(written, pad);
        Ok(())
    }

    fn pad(&mut self, written: u64, pad: u64) {
        let padding = v1::padded(written, pad).and_then(|padded| usize::try_from(padded.saturating_sub(written)).ok());
        let length = self.buffer.len().saturating_add(padding.unwrap_or(0));
        self.buffer.resize(length, 0);
    }

    /// A string of base64, passed on as it is decoded.
    fn bytes(&mut self, extra: Option<Lexer<'_>>) -> Result<u64> {
        let Some(mut lexer) = extra else { return Ok(0) };
        let mut written = 0u64;
        base64_string(&mut lexer, &mut |bytes| {
            written = written.saturating_add(bytes.len() as u64);
            self.buffer.extend_from_slice(bytes);
            self.relieve()
        })
        .map_err(|error| error.in_field("extra"))?;
        Ok(written)
    }

    fn queues(&mut self, extra: Option<Lexer<'_>>) -> Result<u64> {
        let Some(mut lexer) = extra else { return Ok(0) };
        let (mut received, mut sent) = (None, None);
        lexer.begin(Token::Object).map_err(|error| error.in_field("extra"))?;
        let mut first = true;
        while lexer.more(Token::Object, std::mem::take(&mut first))? {
            let key = lexer.key()?;
            lexer.token()?;
            match &key[..] {
                b"inq" => received = Some(lexer),
                b"outq" => sent = Some(lexer),
                _ => {}
            }
            lexer.skip(self.limits.depth)?;
        }
        let mut written = 0u64;
        for part in [received, sent] {
            written = written.saturating_add(self.bytes(part)?);
        }
        Ok(written)
    }

    fn semaphores(&mut self, extra: Option<Lexer<'_>>) -> Result<u64> {
        let Some(mut lexer) = extra else { return Ok(0) };
        let mut written = 0u64;
        lexer.begin(Token::Array).map_err(|error| error.in_field("extra"))?;
        while lexer.more(Token::Array, written == 0)? {
            lexer.token()?;
            let value = lexer.number()?;
            let value = u16::try_from(value).map_err(|_| {
                lexer.error(format!("expected a number from 0 to 65535, found {value}")).in_field("extra")
            })?;
            self.buffer.extend_from_slice(&value.to_le_bytes());
            written = written.saturating_add(2);
            self.relieve()?;
        }
        Ok(written)
    }

    /// Messages and their bytes in turn, as many as the queue's entry says.
    fn records(&mut self, entry: Lexer<'_>, extra: Option<Lexer<'_>>, count: u64, length: u32, pad: u64) -> Result<()> {
        let Some(inner) = Message::by_name(INNER) else { return Ok(()) };
        let Some(mut lexer) = extra else {
            return if count == 0 { Ok(()) } else { Err(mismatch(entry, count, 0)) };
        };
        let mut found = 0u64;
        lexer.begin(Token::Array).map_err(|error| error.in_field("extra"))?;
        while lexer.more(Token::Array, found == 0)? {
            let begin = lexer;
            let mut wire = Vec::new();
            message(&mut lexer, inner, &mut wire, self.limits, self.limits.depth, None)?;
            let needed = last_varint(&wire, length).ok().flatten().unwrap_or(0);
            let size = u32::try_from(wire.len()).map_err(|_| begin.error("expected a message below 4 GiB"))?;
            self.buffer.extend_from_slice(&size.to_le_bytes());
            self.buffer.extend_from_slice(&wire);
            if !lexer.more(Token::Array, false)? {
                return Err(lexer.error("expected the bytes of a message behind it").in_field("extra"));
            }
            let written = self.bytes(Some(lexer))?;
            lexer.skip(self.limits.depth)?;
            if written != needed {
                return Err(mismatch(begin, needed, written));
            }
            self.pad(written, pad);
            found = found.saturating_add(1);
        }
        if found != count {
            return Err(mismatch(entry, count, found));
        }
        Ok(())
    }
}

#[cold]
fn refused(error: std::io::Error) -> Error {
    Error::io("cannot write the image", error)
}

#[cold]
fn mismatch(entry: Lexer<'_>, needed: u64, found: u64) -> Error {
    entry.error(format!("expected {needed} as the entry says, found {found}")).in_field("extra")
}
