//! Complaint: "IPC mqueue sysctls are required". They are one optional message: absent where all are 0, which CRIU
//! writes where the kernel has none.

use crate::base::Result;
use crate::object::upgrade::edit::{self, Change, filled, last_bytes, last_number};

/// `mq_queues_max` to `mq_msgsize_default` of `ipc_var_entry`.
const LIMITS: [u32; 5] = [10, 11, 12, 13, 14];
const MQUEUE: u32 = filled(1);

pub(super) fn up(message: &[u8]) -> Result<Vec<u8>> {
    let mut inner = Vec::new();
    let mut is_zero = true;
    for number in LIMITS {
        let value = last_number(message, number)?;
        is_zero &= value == Some(0);
        inner.extend(value.map(|value| Change::number(number, value)));
    }
    let mut changes: Vec<Change> = LIMITS.into_iter().map(Change::drop).collect();
    if !is_zero {
        changes.push(Change::bytes(MQUEUE, &edit::patch(&[], &inner)?));
    }
    edit::patch(message, &changes)
}

pub(super) fn down(message: &[u8]) -> Result<Vec<u8>> {
    let mqueue = last_bytes(message, MQUEUE)?;
    let mut changes = Vec::new();
    for number in LIMITS {
        let own = last_number(message, number)?;
        let value = match mqueue {
            Some(mqueue) => own.or(last_number(mqueue, number)?),
            None => own.or(Some(0)),
        };
        changes.extend(value.map(|value| Change::number(number, value)));
    }
    changes.push(Change::drop(MQUEUE));
    edit::patch(message, &changes)
}
