//! The value of one field, from JSON to the wire: what crit's encode accepts for it, and icecore's additions.

use crate::base::{Limits, Result};
use crate::object::json::encode::{found, message};
use crate::object::json::escape::unescape;
use crate::object::json::integer::{self, Number};
use crate::object::json::lexer::{Lexer, Token};
use crate::object::json::{address, base64, quopri};
use crate::object::schema::{Field, Label, Show, Type};
use crate::wire::field::write_key;
use crate::wire::varint;

/// Reads the value of a field; false if that is no value (an empty array).
pub(crate) fn value(
    lexer: &mut Lexer<'_>,
    field: &'static Field,
    out: &mut Vec<u8>,
    limits: &Limits,
    depth: u32,
) -> Result<bool> {
    if !matches!(field.label, Label::Repeated | Label::Packed) {
        element(lexer, field, out, limits, depth)?;
        return Ok(true);
    }
    lexer.begin(Token::Array)?;
    let start = out.len();
    let mut first = true;
    if field.label == Label::Packed {
        while lexer.more(Token::Array, std::mem::take(&mut first))? {
            packed(lexer, field, out)?;
        }
        if out.len() == start {
            return Ok(false);
        }
        let run = out.split_off(start);
        write_key(out, field.number, 2);
        varint::write(out, run.len() as u64);
        out.extend_from_slice(&run);
        return Ok(true);
    }
    while lexer.more(Token::Array, first)? {
        if std::mem::take(&mut first) && field.show == Show::Address && lexer.token()? == Token::String {
            // crit takes an address for the whole array
            let text = lexer.string()?;
            let words = std::str::from_utf8(&text).ok().and_then(address::words);
            let Some(words) = words else {
                return Err(lexer.error("expected an IPv4 or IPv6 address"));
            };
            for word in words {
                write_key(out, field.number, 0);
                varint::write(out, u64::from(word));
            }
        } else {
            element(lexer, field, out, limits, depth)?;
        }
    }
    Ok(out.len() > start)
}

fn packed(lexer: &mut Lexer<'_>, field: &'static Field, out: &mut Vec<u8>) -> Result<()> {
    let raw = number(lexer, field)?;
    match field.ty.wire_type() {
        1 => out.extend_from_slice(&raw.to_le_bytes()),
        5 => out.extend_from_slice(&integer::low(raw).to_le_bytes()),
        _ => varint::write(out, raw),
    }
    Ok(())
}

#[inline]
fn element(lexer: &mut Lexer<'_>, field: &'static Field, out: &mut Vec<u8>, limits: &Limits, depth: u32) -> Result<()> {
    let wire_type = field.ty.wire_type();
    write_key(out, field.number, wire_type);
    match field.ty {
        Type::Message(inner) => prefixed(out, |out| message(lexer, inner, out, limits, depth, None)),
        Type::String | Type::Bytes => prefixed(out, |out| bytes(lexer, field, out)),
        _ => packed(lexer, field, out),
    }
}

/// Appends what `write` appends, with its length before it.
fn prefixed(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<()> {
    out.push(0);
    let start = out.len();
    write(out)?;
    let length = out.len().saturating_sub(start);
    let place = start.saturating_sub(1);
    match u8::try_from(length) {
        Ok(length @ 0..0x80) => {
            if let Some(byte) = out.get_mut(place) {
                *byte = length;
            }
        }
        _ => {
            let mut prefix = Vec::new();
            varint::write(&mut prefix, length as u64);
            out.splice(place..start, prefix);
        }
    }
    Ok(())
}

fn number(lexer: &mut Lexer<'_>, field: &'static Field) -> Result<u64> {
    let value = match (lexer.token()?, field.ty) {
        (Token::Number, _) => lexer.number()?,
        (Token::True, Type::Bool) => {
            lexer.word("true")?;
            1
        }
        (Token::False, Type::Bool) => {
            lexer.word("false")?;
            0
        }
        (Token::String, ty) => {
            let text = lexer.string()?;
            let value = match ty {
                Type::Enum(values) => values.number_of(&text).map(i128::from),
                Type::Bool => None,
                _ => std::str::from_utf8(&text).ok().and_then(|text| from_text(text, field.show)),
            };
            match value {
                Some(value) => value,
                None => {
                    return Err(lexer.error(format!("expected {}, found {}", wanted(field), found(&text))));
                }
            }
        }
        _ => return Err(lexer.error(format!("expected {}", wanted(field)))),
    };
    Number::to_wire(field.ty, value).ok_or_else(|| lexer.error(format!("expected {}, found {value}", wanted(field))))
}

/// Hex is accepted whatever the field's own presentation is: everything in a message shown in hex is hex.
fn from_text(text: &str, show: Show) -> Option<i128> {
    integer::from_text(text, show).or_else(|| integer::from_text(text, Show::Hex))
}

#[cold]
fn wanted(field: &Field) -> &'static str {
    match (field.ty, field.show) {
        (Type::Enum(_), _) => "a name of the enum",
        (Type::Bool, _) => "true or false",
        (_, Show::Device | Show::OldDevice) => "a number or major:minor",
        (_, Show::Flags(_)) => "a number or names of flags with | between them",
        (Type::Uint32 | Type::Fixed32, _) => "a number from 0 to 2^32 - 1",
        (Type::Int32 | Type::Sint32, _) => "a number from -2^31 to 2^31 - 1",
        (Type::Int64 | Type::Sint64, _) => "a number from -2^63 to 2^63 - 1",
        _ => "a number from 0 to 2^64 - 1",
    }
}

fn bytes(lexer: &mut Lexer<'_>, field: &'static Field, out: &mut Vec<u8>) -> Result<()> {
    if lexer.token()? == Token::Object {
        lexer.begin(Token::Object)?;
        if !lexer.more(Token::Object, true)? || &lexer.key()?[..] != b"@bytes" {
            return Err(lexer.error("expected a string or {\"@bytes\": base64}"));
        }
        base64_string(lexer, &mut |bytes| {
            out.extend_from_slice(bytes);
            Ok(())
        })?;
        return match lexer.more(Token::Object, false)? {
            true => Err(lexer.error("expected nothing behind \"@bytes\"")),
            false => Ok(()),
        };
    }
    match (field.ty, field.show) {
        (Type::String, _) => out.extend_from_slice(&lexer.string()?),
        (_, Show::UnixName) => out.extend_from_slice(&quopri::decode(&lexer.string()?)),
        _ => base64_string(lexer, &mut |bytes| {
            out.extend_from_slice(bytes);
            Ok(())
        })?,
    }
    Ok(())
}

/// Decodes a string of base64, handing on piece by piece.
pub(crate) fn base64_string(lexer: &mut Lexer<'_>, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let (content, plain) = lexer.raw_string()?;
    if plain {
        return base64::decode(content, take).map_err(|error| error.at_offset(lexer.position() as u64));
    }
    let mut decoder = base64::Decoder::new();
    let mut failed = Ok(());
    unescape(content, |piece| {
        if failed.is_ok() {
            failed = decoder.push(piece, take);
        }
    })
    .map_err(|what| lexer.error(what))?;
    failed.and_then(|()| decoder.finish(take)).map_err(|error| error.at_offset(lexer.position() as u64))
}
