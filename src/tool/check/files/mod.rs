//! Open files: what an entry of a file has to be, type by type, and what belongs to it in other images.
//!
//! # How to add a type
//!
//! A function that takes a [`File`] and the findings, and a row in [`PARTS`].

mod descriptors;
mod entries;
mod epoll;
mod ghosts;
mod locks;
mod memfd;
mod mounts;
mod pipes;
mod regular;
mod remaps;
mod special;
mod tables;
mod tty;
mod watches;

use crate::base::Result;
use crate::checkpoint::file::FileType;
use crate::checkpoint::roll::Roll;
use crate::object::Look;
use crate::tool::check::findings::Findings;
use crate::tool::check::spot::Spot;
use crate::tool::check::{Checked, Subject};
use tables::Tables;

/// What rules of files know.
struct Context<'s> {
    subject: &'s Subject<'s>,
    roll: &'s Roll,
    tables: Tables,
    networks: special::Networks,
    mounts: mounts::Mounts,
    ghosts: ghosts::Ghosts,
}

/// The part of an entry that belongs to its type.
struct File<'f> {
    context: &'f Context<'f>,
    file_type: FileType,
    id: u32,
    spot: Spot<'f>,
    part: Look<'f>,
}

/// Looks at one file.
type Rule = fn(&File<'_>, &mut Findings<'_>) -> Result<()>;

/// Rules for files of one type, by the number of the type.
const PARTS: &[(i32, Rule)] = &[
    (1, regular::look),
    (3, pipes::fifo),
    (5, mounts::unix),
    (7, epoll::look),
    (8, watches::inotify),
    (12, watches::fanotify),
    (14, special::namespace),
    (15, special::tun),
    (17, special::timer),
    (19, special::bpf_map),
];

/// Rules that need more than one file.
const JOINS: &[fn(&Context<'_>, &mut Findings<'_>) -> Result<()>] = &[
    entries::twice,
    descriptors::look,
    remaps::look,
    ghosts::look,
    pipes::data,
    memfd::look,
    tty::look,
    special::bpf_data,
    locks::look,
];

pub(super) fn look(subject: &Subject<'_>, findings: &mut Findings<'_>, _: &mut Checked) -> Result<()> {
    let Some(roll) = findings.ok("entry", subject.dump.roll())? else { return Ok(()) };
    let tables = Tables::read(subject, findings)?;
    let networks = special::Networks::read(subject, findings)?;
    let mounts = mounts::Mounts::read(subject, findings)?;
    let ghosts = ghosts::Ghosts::read(subject, findings)?;
    let context = Context { subject, roll, tables, networks, mounts, ghosts };
    entries::look(&context, findings)?;
    for rule in JOINS {
        subject.go_on()?;
        rule(&context, findings)?;
    }
    Ok(())
}
