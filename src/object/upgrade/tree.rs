//! Complaint: "pstree's sid and pgid should be in core". They are in the process's core; in the tree only where there
//! is no such core. And the first thread of a zombie, which CRIU does not set, is the process itself: what stood there
//! is a field of its own.

use crate::base::{Error, Result};
use crate::object::upgrade::context::{Context, Session};
use crate::object::upgrade::edit::{self, Change, filled};
use crate::object::upgrade::write;
use crate::wire::field::{Fields, Value};
use crate::wire::varint;

// pstree_entry
const PID: u32 = 1;
const PGID: u32 = 3;
const SID: u32 = 4;
const THREADS: u32 = 5;
const THREAD0: u32 = filled(1);

/// Process and session that a V1 entry is about, if it says all of them.
pub(super) fn session(message: &[u8]) -> Result<Option<(u64, Session)>> {
    let number = |field| edit::last_number(message, field);
    let (Some(pid), Some(pgid), Some(sid)) = (number(PID)?, number(PGID)?, number(SID)?) else { return Ok(None) };
    Ok(Some((pid, Session { sid, pgid })))
}

pub(super) fn up(message: &[u8], context: &Context<'_>) -> Result<Vec<u8>> {
    let mut out = message.to_vec();
    let Some(pid) = edit::last_number(message, PID)? else { return Ok(out) };
    if let Some((_, session)) = session(message)?
        && context.session(pid)? == Some(session)
    {
        out = edit::patch(&out, &[Change::drop(PGID), Change::drop(SID)])?;
    }
    match first_thread(&out)? {
        Some(thread) if thread != pid => {
            let out = with_first_thread(&out, pid)?;
            edit::patch(&out, &[Change::number(THREAD0, thread)])
        }
        _ => Ok(out),
    }
}

pub(super) fn down(message: &[u8], context: &Context<'_>) -> Result<Vec<u8>> {
    let mut out = match edit::last_number(message, THREAD0)? {
        Some(thread) => with_first_thread(&edit::patch(message, &[Change::drop(THREAD0)])?, thread)?,
        None => message.to_vec(),
    };
    let is_missing = edit::last_number(&out, PGID)?.is_none() && edit::last_number(&out, SID)?.is_none();
    if is_missing && let Some(pid) = edit::last_number(&out, PID)? {
        let session = match context.session(pid) {
            Err(_) if context.is_partial => return Ok(out),
            found => found?,
        };
        let Some(session) = session else {
            if context.is_partial {
                return Ok(out);
            }
            let what = format!("expected the session of process {pid} in its core, found none");
            return Err(Error::format(what).in_field("sid"));
        };
        for (value, field) in [(session.pgid, "pgid"), (session.sid, "sid")] {
            if u32::try_from(value).is_err() {
                let what = format!("process {pid}: expected a number of 32 bits, found {value}");
                return Err(Error::format(what).in_field(field));
            }
        }
        out = edit::patch(&out, &[Change::number(PGID, session.pgid), Change::number(SID, session.sid)])?;
    }
    Ok(out)
}

fn first_thread(message: &[u8]) -> Result<Option<u64>> {
    for field in Fields::new(message) {
        let field = field.map_err(edit::wire)?;
        if let (THREADS, Value::Varint(thread)) = (field.number, field.value) {
            return Ok(Some(thread));
        }
    }
    Ok(None)
}

fn with_first_thread(message: &[u8], thread: u64) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(message.len().saturating_add(10));
    let mut is_done = false;
    for field in Fields::new(message) {
        let field = field.map_err(edit::wire)?;
        if field.number == THREADS && !is_done {
            is_done = true;
            write::key(&mut out, THREADS, 0);
            varint::write(&mut out, thread);
        } else {
            out.extend_from_slice(message.get(field.start..field.end).unwrap_or_default());
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Limits;

    #[test]
    fn a_session_that_v1_has_no_room_for_is_told() {
        let of = |sid| Context::of(Limits::default(), move |_| Ok(Some(Session { sid, pgid: 2 })));
        assert_eq!(down(&[0x08, 1], &of(3)).unwrap(), [0x08, 1, 0x18, 2, 0x20, 3]);
        let error = down(&[0x08, 1], &of(1 << 32)).unwrap_err();
        assert_eq!(error.field(), Some("sid"), "{error}");
        // one of both is there: the other was not in V1
        assert_eq!(down(&[0x08, 1, 0x18, 9], &of(3)).unwrap(), [0x08, 1, 0x18, 9]);
    }
}
