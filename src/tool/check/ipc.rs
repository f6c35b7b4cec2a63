//! System V IPC: numbers and keys that are one object's, and content that the kernel takes.

use std::collections::{HashMap, HashSet};

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
    let limits = limits(subject, findings)?;
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
                    Kind::IpcnsShm => {
                        content(subject, spot, &look, id, findings)?;
                        segment(spot, &look, findings)
                    }
                    Kind::IpcnsMsg => queue(spot, &look, entry, limits.get(&name.id).copied(), findings),
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

/// The pages of a segment, where they are not behind its entry.
fn content(subject: &Subject<'_>, spot: Spot<'_>, look: &Look<'_>, id: u32, findings: &mut Findings<'_>) -> Result<()> {
    if look.flag("in_pagemaps") && !subject.dump.has(Kind::PagemapShmem, u64::from(id)) {
        let name = Kind::PagemapShmem.file_name(u64::from(id)).unwrap_or_default();
        let what = format!("expected its content in {name}, found no such image");
        let finding = Finding::error("ipc-content", what).advice("CRIU refuses the dump: the content is lost");
        findings.add(spot.field("in_pagemaps", finding))?;
    }
    Ok(())
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

/// Of each namespace, how many bytes a new queue has room for.
fn limits(subject: &Subject<'_>, findings: &mut Findings<'_>) -> Result<HashMap<u64, u64>> {
    let mut limits = HashMap::new();
    for name in subject.dump.images_of(Kind::IpcVar) {
        let Some(image) = findings.ok("entry", subject.dump.open_image(name))? else { continue };
        spot::each(&image, |_, look, _| {
            limits.extend(look.number("msg_ctlmnb").map(|most| (name.id, most)));
            Ok(())
        })?;
    }
    Ok(limits)
}

/// `limit` is what CRIU makes a queue with; it does not set the queue's own.
fn queue(
    spot: Spot<'_>,
    look: &Look<'_>,
    entry: &Entry<'_>,
    limit: Option<u64>,
    findings: &mut Findings<'_>,
) -> Result<()> {
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
    if let Some(limit) = limit.filter(|limit| bytes > *limit) {
        let what = format!("expected at most {limit} bytes of messages, as the namespace allows, found {bytes}");
        let advice = "CRIU does not restore a queue's own limit, and cannot send all of them: raise kernel.msgmnb before \
                      the dump";
        findings.add(spot.field("qbytes", Finding::error("ipc-overfull", what).advice(advice)))
    } else if bytes > room {
        let what = format!("expected at most {room} bytes of messages, which the queue has room for, found {bytes}");
        findings.add(spot.field("qbytes", Finding::warning("ipc-overfull", what)))
    } else {
        Ok(())
    }
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
