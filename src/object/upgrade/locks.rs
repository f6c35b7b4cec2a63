//! Complaint: "flock's flag and type are too much". Together they hold a kind, a mode, whether a lease is being broken
//! and the bits of a mandatory lock; a range is there only where the lock does not cover the whole file.

use crate::base::Result;
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
