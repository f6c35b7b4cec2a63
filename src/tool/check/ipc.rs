//! System V IPC: numbers and keys that are one object's, and content that the kernel takes.

use std::collections::HashSet;

use crate::Entry;
use crate::base::Result;
use crate::image::Kind;
use crate::object::Look;
use crate::object::schema::Message;
use crate::tool::check::findings::Findings;
use crate::tool::check::spot::{self, Spot};
use crate::tool::check::{Checked, Finding, Subject};

/// Bytes of the longest message that CRIU restores.
const MESSAGE: u64 = 8192;
/// The highest value of a semaphore.
const SEMAPHORE: u16 = 32767;

pub(super) fn look(subject: &Subject<'_>, findings: &mut Findings<'_>, _: &mut Checked) -> Result<()> {
    for kind in [Kind::IpcnsShm, Kind::IpcnsMsg, Kind::IpcnsSem] {
        for name in subject.dump.images_of(kind) {
            let Some(image) = findings.ok("entry", subject.dump.open_image(name))? else { continue };
            let (mut ids, mut keys) = (HashSet::new(), HashSet::new());
            spot::each(&image, |spot, look, entry| {
                subject.go_on()?;
                let Some(desc) = look.inner("desc") else { return Ok(()) };
                let (id, key) = (desc.word("id").unwrap_or(0), desc.word("key").unwrap_or(0));
                if !ids.insert(id) {
                    let what = format!("expected each object once, found number {id} again");
                    twice(spot, "desc.id", what, findings)?;
                }
                if key != 0 && !keys.insert(key) {
                    let what = format!("expected each key once, found {key:#x} again");
                    twice(spot, "desc.key", what, findings)?;
                }
                match kind {
                    Kind::IpcnsShm => segment(spot, &look, findings),
                    Kind::IpcnsMsg => queue(spot, &look, entry, findings),
                    _ => semaphores(spot, &look, entry, findings),
                }
            })?;
        }
    }
    Ok(())
}

fn twice(spot: Spot<'_>, field: &str, what: String, findings: &mut Findings<'_>) -> Result<()> {
    findings.add(spot.field(field, Finding::error("ipc-twice", what).advice("the kernel refuses to make the second")))
}

fn segment(spot: Spot<'_>, look: &Look<'_>, findings: &mut Findings<'_>) -> Result<()> {
    match look.number("size") {
        Some(size) if size == 0 || size > i64::MAX.unsigned_abs() => {
            let what = format!("expected a size of at least one byte, found {size}");
            let finding = Finding::error("ipc-size", what).advice("the kernel makes no such segment");
            findings.add(spot.field("size", finding))
        }
        _ => Ok(()),
    }
}

fn queue(spot: Spot<'_>, look: &Look<'_>, entry: &Entry<'_>, findings: &mut Findings<'_>) -> Result<()> {
    let Some(schema) = Message::by_name("ipc_msg") else { return Ok(()) };
    let room = look.number("qbytes").unwrap_or(0);
    let mut bytes = 0u64;
    for (position, record) in entry.records().enumerate() {
        let Ok(record) = record else { return Ok(()) };
        let message = Look::new(schema, record.message);
        let size = message.number("msize").unwrap_or(0);
        bytes = bytes.saturating_add(size);
        if size > MESSAGE {
            let what = format!("expected messages of at most {MESSAGE} bytes, found message {position} of {size}");
            let finding = Finding::error("ipc-message", what).advice("CRIU restores no longer ones");
            findings.add(spot.mark(finding))?;
        }
        if let Some(kind) = message.signed("mtype").filter(|kind| *kind <= 0) {
            let what = format!("expected a type above 0, found {kind} of message {position}");
            let finding = Finding::error("ipc-message", what).advice("the kernel sends no such message");
            findings.add(spot.mark(finding))?;
        }
    }
    if bytes > room {
        let what = format!("expected at most {room} bytes of messages, which the queue has room for, found {bytes}");
        let finding = Finding::error("ipc-overfull", what).advice("CRIU cannot send them all again");
        findings.add(spot.field("qbytes", finding))?;
    }
    Ok(())
}

fn semaphores(spot: Spot<'_>, look: &Look<'_>, entry: &Entry<'_>, findings: &mut Findings<'_>) -> Result<()> {
    let count = look.number("nsems").unwrap_or(0);
    if count == 0 {
        let what = "expected at least one semaphore in a set, found none";
        let finding = Finding::error("ipc-size", what).advice("the kernel makes no empty set");
        findings.add(spot.field("nsems", finding))?;
    }
    let (values, _) = entry.payload().as_chunks::<2>();
    let values = values.iter().take(usize::try_from(count).unwrap_or(usize::MAX));
    for (position, value) in values.map(|value| u16::from_le_bytes(*value)).enumerate() {
        if value > SEMAPHORE {
            let what = format!("expected values of at most {SEMAPHORE}, found {value} of semaphore {position}");
            let finding = Finding::error("ipc-value", what).advice("the kernel refuses to set the values of the set");
            return findings.add(spot.mark(finding));
        }
    }
    Ok(())
}
