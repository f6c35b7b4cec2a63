//! Appends fields to a message on the wire.

use crate::wire::varint;

/// The key of a field.
pub(crate) fn key(out: &mut Vec<u8>, number: u32, wire: u8) {
    varint::write(out, u64::from(number) << 3 | u64::from(wire));
}

/// A field that is bytes.
pub(crate) fn bytes(out: &mut Vec<u8>, number: u32, value: &[u8]) {
    key(out, number, 2);
    varint::write(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// A number as its wire type has it.
pub(crate) fn number(out: &mut Vec<u8>, wire: u8, value: u64) {
    match wire {
        1 => out.extend_from_slice(&value.to_le_bytes()),
        5 => out.extend(value.to_le_bytes().iter().take(4)),
        _ => varint::write(out, value),
    }
}

/// What `write` appends, with its length in front.
///
/// Errors: those of `write`.
pub(crate) fn sized<E>(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
    let at = out.len();
    // most are shorter than 128 bytes: their length is one byte
    out.push(0);
    write(out)?;
    let length = out.len().saturating_sub(at).saturating_sub(1);
    let mut place = [0; 10];
    let size = varint::write_word(&mut place, length as u64);
    if size > 1 {
        let from = at.saturating_add(1);
        out.resize(out.len().saturating_add(size).saturating_sub(1), 0);
        out.copy_within(from..from.saturating_add(length), at.saturating_add(size));
    }
    for (to, from) in out.iter_mut().skip(at).zip(place.iter().take(size)) {
        *to = *from;
    }
    Ok(())
}
