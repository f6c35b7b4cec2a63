//! Complaint: "blk_sigset of the leader sits in task_core_entry". In V2 every thread has its signal mask and its name;
//! a task has a name of its own only where that differs. Session and process group of the tree come in here too.

use crate::base::Result;
use crate::object::upgrade::context::{Context, Session};
use crate::object::upgrade::edit::{self, Change, filled, last_bytes, last_number};

// core_entry
pub(super) const TASK: u32 = 3;
const THREAD: u32 = 5;
// task_core_entry
const TASK_SIGSET: u32 = 5;
const TASK_COMM: u32 = 6;
const TASK_SIGSET_EXTENDED: u32 = 20;
const SID: u32 = filled(1);
const PGID: u32 = filled(2);
// thread_core_entry
const SIGSET: u32 = 6;
const COMM: u32 = 13;
const SIGSET_EXTENDED: u32 = 14;

/// Control groups, seccomp mode and filter: in the task before v3.18 and v3.10, since then in the thread. Where they are
/// in the task they stay there, in `v1_rest`, and the thread has them too.
const MOVED: [(u32, u32); 3] = [(9, 16), (11, 11), (12, 12)];

/// `pid` is the number of the image: of a leader, its process.
pub(super) fn up(message: &[u8], pid: u64, context: &Context<'_>) -> Result<Vec<u8>> {
    let Some(task) = last_bytes(message, TASK)? else { return Ok(message.to_vec()) };
    let thread = last_bytes(message, THREAD)?;
    let mut of_task = Vec::new();
    let mut of_thread = Vec::new();
    let sigset = last_number(task, TASK_SIGSET)?;
    match (thread, sigset) {
        (Some(thread), Some(sigset)) if last_number(thread, SIGSET)?.is_none() => {
            of_task.push(Change::drop(TASK_SIGSET));
            of_thread.push(Change::number(SIGSET, sigset));
        }
        // a zombie has no thread, and CRIU writes 0
        (None, Some(0)) => of_task.push(Change::drop(TASK_SIGSET)),
        _ => {}
    }
    if let Some(thread) = thread {
        let comm = last_bytes(thread, COMM)?;
        match last_bytes(task, TASK_COMM)? {
            // long ago the task alone had a name
            Some(own) if comm.is_none() => of_thread.push(Change::bytes(COMM, own)),
            own if own == comm => of_task.push(Change::drop(TASK_COMM)),
            _ => {}
        }
        if let (Some(sigset), None) = (last_number(task, TASK_SIGSET_EXTENDED)?, last_number(thread, SIGSET_EXTENDED)?)
        {
            of_task.push(Change::drop(TASK_SIGSET_EXTENDED));
            of_thread.push(Change::number(SIGSET_EXTENDED, sigset));
        }
        for (in_task, in_thread) in MOVED {
            if let (Some(value), None) = (last_number(task, in_task)?, last_number(thread, in_thread)?) {
                of_thread.push(Change::number(in_thread, value));
            }
        }
    }
    if let Some(session) = context.session(pid)? {
        of_task.push(Change::number(SID, session.sid));
        of_task.push(Change::number(PGID, session.pgid));
    }
    put(message, task, &of_task, thread, of_thread)
}

pub(super) fn down(message: &[u8]) -> Result<Vec<u8>> {
    let Some(task) = last_bytes(message, TASK)? else { return Ok(message.to_vec()) };
    let thread = last_bytes(message, THREAD)?;
    let mut of_task = Vec::new();
    let mut of_thread = Vec::new();
    if last_number(task, TASK_SIGSET)?.is_none() {
        let sigset = match thread {
            Some(thread) => last_number(thread, SIGSET)?,
            None => Some(0),
        };
        if let Some(sigset) = sigset {
            of_thread.push(Change::drop(SIGSET));
            of_task.push(Change::number(TASK_SIGSET, sigset));
        }
    }
    if let Some(thread) = thread {
        match (last_bytes(task, TASK_COMM)?, last_bytes(thread, COMM)?) {
            (None, Some(comm)) => of_task.push(Change::bytes(TASK_COMM, comm)),
            (Some(own), Some(comm)) if own == comm => of_thread.push(Change::drop(COMM)),
            _ => {}
        }
        if last_number(task, TASK_SIGSET_EXTENDED)?.is_none()
            && let Some(sigset) = last_number(thread, SIGSET_EXTENDED)?
        {
            of_thread.push(Change::drop(SIGSET_EXTENDED));
            of_task.push(Change::number(TASK_SIGSET_EXTENDED, sigset));
        }
        for (in_task, in_thread) in MOVED {
            let value = last_number(task, in_task)?;
            if value.is_some() && value == last_number(thread, in_thread)? {
                of_thread.push(Change::drop(in_thread));
            }
        }
    }
    of_task.push(Change::drop(SID));
    of_task.push(Change::drop(PGID));
    put(message, task, &of_task, thread, of_thread)
}

fn put(
    message: &[u8],
    task: &[u8],
    of_task: &[Change],
    thread: Option<&[u8]>,
    mut of_thread: Vec<Change>,
) -> Result<Vec<u8>> {
    of_thread.sort_by_key(|change| change.number);
    let mut changes = vec![Change::bytes(TASK, &edit::patch(task, of_task)?)];
    if let Some(thread) = thread.filter(|_| !of_thread.is_empty()) {
        changes.push(Change::bytes(THREAD, &edit::patch(thread, &of_thread)?));
    }
    edit::patch(message, &changes)
}

/// Session and process group in a V2 core.
///
/// Errors: it is no protobuf message.
pub(super) fn session(core: &[u8]) -> Result<Option<Session>> {
    // Core.task, Task.sid, Task.pgid
    let Some(task) = last_bytes(core, 3)? else { return Ok(None) };
    let (sid, pgid) = (last_number(task, 17)?, last_number(task, 18)?);
    Ok(sid.zip(pgid).map(|(sid, pgid)| Session { sid, pgid }))
}

/// A V2 core that says nothing but session and process group.
pub(super) fn only_session(session: Session) -> Result<Vec<u8>> {
    let task = edit::patch(&[], &[Change::number(17, session.sid), Change::number(18, session.pgid)])?;
    edit::patch(&[], &[Change::bytes(3, &task)])
}
