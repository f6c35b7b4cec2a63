//! Complaint: "ipc_msg and ipc_msg_entry": the entry is the queue, and its messages lie behind it as a nested image. In
//! V2 a queue is an object with its messages in it.

use crate::base::{Error, Result};
use crate::object::upgrade::edit::{self, filled, last_number};
use crate::object::upgrade::write;
use crate::wire::field::Value;
use crate::wire::v1;

// ipc_msg_entry, filled by code
const QNUM: u32 = 3;
const MESSAGE: u32 = filled(1);
// ipc_msg
const MSIZE: u32 = 2;
const DATA: u32 = filled(1);
const PADDING: u32 = filled(2);

const ALIGN: u64 = 8;
/// Queues with more than so many bytes stay as they are: an object must fit into a record.
const LARGEST: usize = 16 << 20;

/// The entry with the records of its payload in it.
pub(super) fn up(message: &[u8], payload: &[u8]) -> Result<Vec<u8>> {
    if payload.len() > LARGEST {
        return Err(Error::limit(format!("expected a queue of at most {LARGEST} bytes, found {}", payload.len())));
    }
    let mut out = message.to_vec();
    let mut rest = payload;
    while !rest.is_empty() {
        let size = v1::word(rest, 0).and_then(|size| usize::try_from(size).ok());
        let body = rest.get(4..).unwrap_or_default();
        let Some((inner, behind)) = size.and_then(|size| body.split_at_checked(size)) else { return Err(cut()) };
        let length = last_number(inner, MSIZE)?.unwrap_or(0) & u64::from(u32::MAX);
        let (length, padded) = (usize::try_from(length).ok(), v1::padded(length, ALIGN));
        let padded = padded.and_then(|padded| usize::try_from(padded).ok());
        let Some((whole, next)) = padded.and_then(|padded| behind.split_at_checked(padded)) else { return Err(cut()) };
        let Some((data, padding)) = length.and_then(|length| whole.split_at_checked(length)) else { return Err(cut()) };
        write::key(&mut out, MESSAGE, 2);
        write::sized::<Error>(&mut out, |out| {
            out.extend_from_slice(inner);
            if !data.is_empty() {
                write::bytes(out, DATA, data);
            }
            if padding.iter().any(|byte| *byte != 0) {
                write::bytes(out, PADDING, padding);
            }
            Ok(())
        })?;
        rest = next;
    }
    Ok(out)
}

#[cold]
fn cut() -> Error {
    Error::format("expected a whole message in the queue, found the end")
}

/// Entry and payload.
pub(super) fn down(message: &[u8]) -> Result<(Vec<u8>, Vec<u8>)> {
    let (bare, filled) = edit::split(message)?;
    let mut payload = Vec::new();
    let mut count = 0u64;
    for (number, value) in filled {
        let (1, Value::Bytes(inner)) = (number, value) else { continue };
        count = count.saturating_add(1);
        let (inner, parts) = edit::split(inner)?;
        let part = |wanted| {
            parts.iter().find_map(|(number, value)| match value {
                Value::Bytes(value) if *number == wanted => Some(*value),
                _ => None,
            })
        };
        let data = part(1).unwrap_or_default();
        let needed = last_number(&inner, MSIZE)?.unwrap_or(0) & u64::from(u32::MAX);
        if needed != data.len() as u64 {
            let what = format!("expected a message of {needed} bytes, found {}", data.len());
            return Err(Error::format(what).in_field("messages.data"));
        }
        let size = u32::try_from(inner.len()).map_err(|_| Error::format("expected a message below 4 GiB"))?;
        payload.extend_from_slice(&size.to_le_bytes());
        payload.extend_from_slice(&inner);
        payload.extend_from_slice(data);
        pad(needed, ALIGN, part(2), &mut payload)?;
    }
    let needed = last_number(&bare, QNUM)?.unwrap_or(0) & u64::from(u32::MAX);
    if needed != count {
        return Err(Error::format(format!("expected {needed} messages, found {count}")).in_field("messages"));
    }
    Ok((bare, payload))
}

/// Appends what pads `length` bytes to a multiple of `align`: these bytes, or zeros.
///
/// Errors: the bytes are not so many.
pub(super) fn pad(length: u64, align: u64, padding: Option<&[u8]>, out: &mut Vec<u8>) -> Result<()> {
    let needed = v1::padded(length, align).unwrap_or(length).saturating_sub(length);
    match padding {
        Some(padding) if padding.len() as u64 == needed => out.extend_from_slice(padding),
        Some(padding) => {
            let what = format!("expected {needed} bytes of padding, found {}", padding.len());
            return Err(Error::format(what).in_field("v1_padding"));
        }
        None => out.extend((0..needed).map(|_| 0)),
    }
    Ok(())
}
