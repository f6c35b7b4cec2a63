//! Complaint: "flock's flag and type are too much". Together they hold a kind, a mode, whether a lease is being broken
//! and the bits of a mandatory lock; a range is there only where the lock does not cover the whole file.

use crate::base::{Error, Result};
use crate::object::upgrade::edit::{self, Change, filled, last_bytes, last_number};

// file_lock_entry
const TYPE: u32 = 2;
const START: u32 = 5;
const LEN: u32 = 6;
const MODE: u32 = filled(1);
const IS_BREAKING: u32 = filled(2);
const MANDATORY: u32 = filled(3);
const RANGE: u32 = filled(4);

/// Bits of `type`.
const MODES: u64 = 0x3;
const BREAKING: u64 = 0x4;
/// `LOCK_MAND`, `LOCK_READ`, `LOCK_WRITE`.
const MANDATORY_BITS: u64 = 0xe0;

pub(super) fn up(message: &[u8]) -> Result<Vec<u8>> {
    let mut changes = Vec::new();
    let mut added = Vec::new();
    if let Some(value) = last_number(message, TYPE)?
        && value & !(MODES | BREAKING | MANDATORY_BITS) == 0
    {
        changes.push(Change::drop(TYPE));
        added.push(Change::number(MODE, value & MODES));
        if value & BREAKING != 0 {
            added.push(Change::number(IS_BREAKING, 1));
        }
        if value & MANDATORY_BITS != 0 {
            added.push(Change::number(MANDATORY, value & MANDATORY_BITS));
        }
    }
    if let (Some(start), Some(len)) = (last_number(message, START)?, last_number(message, LEN)?) {
        changes.push(Change::drop(START));
        changes.push(Change::drop(LEN));
        if (start, len) != (0, 0) {
            let range = edit::patch(&[], &[Change::number(START, start), Change::number(LEN, len)])?;
            added.push(Change::bytes(RANGE, &range));
        }
    }
    changes.append(&mut added);
    edit::patch(message, &changes)
}

pub(super) fn down(message: &[u8]) -> Result<Vec<u8>> {
    let mut changes = Vec::new();
    if let (None, Some(mode)) = (last_number(message, TYPE)?, last_number(message, MODE)?) {
        let breaking = if last_number(message, IS_BREAKING)? == Some(1) { BREAKING } else { 0 };
        let mandatory = last_number(message, MANDATORY)?.unwrap_or(0);
        if mode & !MODES != 0 {
            return Err(Error::format(format!("expected a mode from 0 to {MODES}, found {mode}")).in_field("mode"));
        }
        if mandatory & !MANDATORY_BITS != 0 {
            let what = format!("expected bits of {MANDATORY_BITS:#x}, found {mandatory:#x}");
            return Err(Error::format(what).in_field("mandatory"));
        }
        changes.push(Change::number(TYPE, mode | breaking | mandatory));
    }
    let has_none = last_number(message, START)?.is_none() && last_number(message, LEN)?.is_none();
    let range = match last_bytes(message, RANGE)? {
        Some(range) => (last_number(range, START)?, last_number(range, LEN)?),
        None if has_none => (Some(0), Some(0)),
        None => (None, None),
    };
    for (number, value) in [(START, range.0), (LEN, range.1)] {
        if let Some(value) = value {
            changes.push(Change::number(number, value));
        }
    }
    changes.extend([MODE, IS_BREAKING, MANDATORY, RANGE].map(Change::drop));
    edit::patch(message, &changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_v1_has_no_bits_for_is_told() {
        let of = |mode, mandatory| down(&edit::patch(&[], &[Change::number(MODE, mode), mandatory]).unwrap());
        assert_eq!(of(1, Change::number(MANDATORY, 0x60)).unwrap(), [0x10, 0x61, 0x28, 0, 0x30, 0]);
        for (mode, mandatory) in [(4, 0), (u64::MAX, 0), (0, 1), (0, 0x100)] {
            let error = of(mode, Change::number(MANDATORY, mandatory)).unwrap_err();
            assert!(error.field().is_some(), "{error}");
        }
    }
}
