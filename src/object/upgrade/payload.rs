//! Complaint: "one message, then raw bytes; an array, raw bytes after each". What follows a V1 entry is in the object,
//! where it is short, and in BLOBs behind it where it is long. Padding is written again.

use std::borrow::Cow;

use crate::base::{Error, Result};
use crate::image::payload::{Payload, PayloadError};
use crate::object::upgrade::edit::{self, filled};
use crate::object::upgrade::{queues, write};
use crate::wire::field::Value;

/// Payloads up to so many bytes are in the object.
const INSIDE: usize = 4096;

/// What an object's BLOBs are to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// How many bytes; none: as many as there are.
    pub(super) needed: Option<u64>,
    /// What follows them.
    pub(super) padding: Vec<u8>,
}

/// A V1 entry whose payload is split.
pub(super) struct Parts<'a> {
    /// The message, with fields that code fills.
    pub(super) message: Cow<'a, [u8]>,
    /// What goes into BLOBs.
    pub(super) blobs: &'a [u8],
}

/// Puts the payload of an entry into its message, or leaves it for BLOBs.
///
/// Errors: the message or its payload is not as the kind has it.
pub(super) fn up<'a>(rule: Payload, message: Cow<'a, [u8]>, payload: &'a [u8]) -> Result<Parts<'a>> {
    let mut message = message;
    let (content, padding, first) = match rule {
        Payload::Nothing => return Ok(Parts { message, blobs: payload }),
        Payload::Messages { .. } => {
            return Ok(Parts { message: queues::up(&message, payload)?.into(), blobs: &[] });
        }
        Payload::Fields([first, ..]) => {
            let first = edit::last_number(&message, *first)?.unwrap_or(0) & u64::from(u32::MAX);
            (payload, &[][..], usize::try_from(first).unwrap_or(usize::MAX))
        }
        Payload::Fields([]) | Payload::Ghost { .. } => (payload, &[][..], payload.len()),
        Payload::Array { .. } => {
            let length = usize::try_from(unpadded(rule, &message)?).unwrap_or(usize::MAX);
            let (content, padding) = payload.split_at_checked(length).unwrap_or((payload, &[]));
            (content, padding, content.len())
        }
    };
    let is_padded = padding.iter().any(|byte| *byte != 0);
    let blobs = if content.len() > INSIDE {
        content
    } else {
        let (first, second) = content.split_at_checked(first).unwrap_or((content, &[]));
        for (number, part) in [(1, first), (2, second)] {
            if !part.is_empty() {
                write::bytes(message.to_mut(), filled(number), part);
            }
        }
        &[]
    };
    if is_padded {
        write::bytes(message.to_mut(), filled(2), padding);
    }
    Ok(Parts { message, blobs })
}

/// Message and payload of an entry, and what its BLOBs add to the payload.
///
/// Errors: it has not as many bytes as it says.
pub(super) fn down(rule: Payload, is_first: bool, message: &[u8]) -> Result<(Vec<u8>, Vec<u8>, Option<Wanted>)> {
    if let Payload::Messages { .. } = rule {
        let (message, payload) = queues::down(message)?;
        return Ok((message, payload, None));
    }
    let (bare, filled) = edit::split(message)?;
    let part = |wanted| {
        filled.iter().rev().find_map(|(number, value)| match value {
            Value::Bytes(value) if *number == wanted => Some(*value),
            _ => None,
        })
    };
    let (first, second) = (part(1), part(2));
    let mut payload = first.unwrap_or_default().to_vec();
    let mut padding = Vec::new();
    let needed = match rule {
        Payload::Nothing => return Ok((bare, Vec::new(), None)),
        Payload::Ghost { chunks, .. } if is_first && edit::last_number(&bare, chunks)?.unwrap_or(0) == 0 => None,
        Payload::Array { pad, .. } => {
            let needed = unpadded(rule, &bare)?;
            queues::pad(needed, pad, second, &mut padding)?;
            Some(needed)
        }
        _ => {
            payload.extend_from_slice(second.unwrap_or_default());
            Some(length(rule, u64::from(!is_first), &bare)?)
        }
    };
    let found = payload.len() as u64;
    if payload.is_empty() {
        return Ok((bare, payload, Some(Wanted { needed, padding })));
    }
    if let Some(needed) = needed.filter(|needed| *needed != found) {
        return Err(Error::format(format!("expected {needed} bytes behind the entry, found {found}")).in_field("data"));
    }
    payload.append(&mut padding);
    Ok((bare, payload, None))
}

/// Bytes behind an entry without what pads them.
fn unpadded(rule: Payload, message: &[u8]) -> Result<u64> {
    let rule = match rule {
        Payload::Array { count, bits, unit, unless, .. } => Payload::Array { count, bits, unit, pad: 1, unless },
        other => other,
    };
    length(rule, 0, message)
}

/// Bytes behind an entry, by its message alone.
fn length(rule: Payload, index: u64, message: &[u8]) -> Result<u64> {
    match rule.length(index, message, &[]) {
        Ok(_) => Ok(0),
        Err(PayloadError::Cut { needed, .. }) => Ok(needed),
        Err(PayloadError::Message(error) | PayloadError::Inner(error)) => Err(edit::wire(error)),
        Err(PayloadError::Overflow) => {
            Err(Error::format("expected a payload that fits a file, found lengths that overflow"))
        }
    }
}
