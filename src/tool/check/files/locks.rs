//! Locks on files: each is taken again by its task, through its descriptor.

use std::collections::HashSet;

use crate::base::Result;
use crate::image::Kind;
use crate::object::Look;
use crate::tool::check::Finding;
use crate::tool::check::files::Context;
use crate::tool::check::findings::Findings;
use crate::tool::check::spot::{self, Spot};

/// Kinds of lock, a bit each.
const POSIX: u64 = 1;
const FLOCK: u64 = 2;
const OFD: u64 = 4;
const LEASE: u64 = 8;

/// A mandatory flock, whose other bits say what it allows.
const MANDATORY: u64 = 32;
/// A lease that is being broken.
const BREAKING: u64 = 4;

pub(super) fn look(context: &Context<'_>, findings: &mut Findings<'_>) -> Result<()> {
    let dump = context.subject.dump;
    let Some(image) = spot::image(dump, Kind::FileLocks, 0, findings)? else { return Ok(()) };
    let tasks = dump.tasks().map(|tasks| tasks.items).unwrap_or_default();
    let pids: HashSet<u32> = tasks.iter().map(crate::checkpoint::task::Task::pid).collect();
    spot::each(&image, |spot, look, _| {
        kind(spot, &look, findings)?;
        let (Some(pid), Some(fd)) = (look.signed("pid"), look.signed("fd")) else { return Ok(()) };
        let pid = u32::try_from(pid).ok().filter(|pid| pids.contains(pid));
        // that there is no such task is told where references are looked at
        let Some(table) = pid.and_then(|pid| context.tables.of(pid)) else { return Ok(()) };
        if u32::try_from(fd).ok().and_then(|fd| table.get(fd)).is_none() {
            let what = format!("expected task {} to have descriptor {fd}, found none", pid.unwrap_or(0));
            let finding = Finding::error("lock-fd", what).advice("CRIU cannot take the lock and gives up");
            findings.add(spot.field("fd", finding))?;
        }
        Ok(())
    })
}

fn kind(spot: Spot<'_>, look: &Look<'_>, findings: &mut Findings<'_>) -> Result<()> {
    let (Some(flag), Some(kind)) = (look.number("flag"), look.number("type")) else { return Ok(()) };
    if flag & (POSIX | FLOCK | OFD | LEASE) == 0 {
        let what = format!("expected a lock of kind 1, 2, 4 or 8, found {flag}");
        let finding = Finding::error("lock-kind", what).advice("CRIU refuses to take it");
        findings.add(spot.field("flag", finding))?;
    }
    let is_known = match flag {
        _ if flag & FLOCK != 0 => kind <= 2 || kind & MANDATORY != 0,
        _ if flag & LEASE != 0 => kind & !BREAKING <= 2,
        _ => kind <= 2,
    };
    if !is_known {
        let what = format!("expected a lock for reading (0), for writing (1), or none (2), found {kind}");
        let finding = Finding::error("lock-type", what).advice("the kernel refuses such a lock");
        findings.add(spot.field("type", finding))?;
    }
    let (start, len) = (look.signed("start").unwrap_or(0), look.signed("len").unwrap_or(0));
    if start < 0 || start.checked_add(len).is_none_or(|end| end < 0) {
        let what = format!("expected a range inside a file, found {len} bytes from {start}");
        let finding = Finding::error("lock-range", what).advice("the kernel refuses such a lock");
        findings.add(spot.field("start", finding))?;
    }
    Ok(())
}
