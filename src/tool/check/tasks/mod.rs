//! Tasks: the tree they form, the images that each must have, what is in those.

mod backing;
mod descriptors;
mod images;
mod mm;
mod seccomp;
mod tree;
mod vitals;

use std::collections::HashMap;

use rayon::prelude::*;

use crate::base::{Error, Listing, Result};
use crate::checkpoint::ImageName;
use crate::checkpoint::seccomp::SeccompFilter;
use crate::checkpoint::task::Task;
use crate::checkpoint::vitals::Vitals;
use crate::image::Kind;
use crate::object::references::Class;
use crate::tool::check::findings::Findings;
use crate::tool::check::references::classes;
use crate::tool::check::{Checked, Finding, Subject};

/// So many tasks are looked at before what was found is told.
const WINDOW: usize = 256;

/// So many findings of one task are kept.
const KEPT: usize = 1000;

/// Where findings of one task wait.
#[derive(Default)]
struct Told {
    findings: Vec<Finding>,
    errors: Vec<Error>,
}

impl Told {
    fn add(&mut self, finding: Finding) {
        if self.findings.len() < KEPT {
            self.findings.push(finding);
        }
    }

    /// The value; `None` where it cannot be read.
    fn ok<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.errors.push(error)).ok()
    }
}

/// What is looked at for all tasks alike.
struct Look<'s> {
    subject: &'s Subject<'s>,
    /// The task that has a thread: an image that many name is read once.
    owners: HashMap<u32, usize>,
    /// Whether tables of descriptors have numbers of their own; `None` where nobody says.
    fdinfo_per_id: Option<bool>,
    /// Whether all files that the dump has are known.
    knows_files: bool,
    /// `None` where they cannot be read.
    filters: Option<Vec<SeccompFilter>>,
}

/// What one task is like.
struct Seen {
    told: Told,
    /// Whether it has memory and descriptors; `None` where nobody knows.
    is_live: Option<bool>,
    /// The number of its table of descriptors.
    table: Option<u64>,
    /// Of each thread: its number and its architecture.
    archs: Vec<(u32, &'static str)>,
}

pub(super) fn look(subject: &Subject<'_>, findings: &mut Findings<'_>, _checked: &mut Checked) -> Result<()> {
    let dump = subject.dump;
    if dump.images_of(Kind::Inventory).is_empty() {
        let finding = Finding::error("inventory-missing", "expected an inventory, found none: CRIU reads it first");
        findings.add(finding.in_image("inventory.img").advice("is this a directory of images? If so, dump again"))?;
    }
    if dump.images_of(Kind::Pstree).is_empty() {
        return no_tree(subject, findings);
    }
    let Some(Listing { items: tasks, problems }) = findings.ok("entry", dump.tasks())? else { return Ok(()) };
    // the first rule told what is broken; what is left stands twice
    for problem in problems {
        findings.broken("task-twice", &problem)?;
    }
    let owners = tree::look(&tasks, findings)?;
    let broken_files = |name: &ImageName| findings.is_broken(&name.file) && classes(name.kind).contains(&Class::File);
    let look = Look {
        subject,
        owners,
        fdinfo_per_id: dump.inventory().ok().map(|inventory| inventory.fdinfo_per_id),
        knows_files: !dump.images().iter().any(broken_files),
        filters: findings.ok("entry", dump.seccomp_filters())?,
    };
    if let Some(filters) = &look.filters {
        seccomp::look(filters, findings)?;
    }
    let mut used = images::Used::default();
    let mut arch = None;
    for (number, window) in tasks.chunks(WINDOW).enumerate() {
        subject.go_on()?;
        let first = number.saturating_mul(WINDOW);
        let task = |(at, task): (usize, &Task<'_>)| look.task(task, first.saturating_add(at));
        let seen: Vec<Seen> = window.par_iter().enumerate().map(task).collect();
        for (task, seen) in window.iter().zip(seen) {
            used.add(task, &seen);
            for error in &seen.told.errors {
                findings.broken("entry", error)?;
            }
            for finding in seen.told.findings {
                findings.add(finding)?;
            }
            for (tid, found) in seen.archs {
                let first = *arch.get_or_insert(found);
                if found != first {
                    let what =
                        format!("expected the registers of {first}, as of the first thread, found those of {found}");
                    let finding = Finding::error("arch-differs", what).in_image(format!("core-{tid}.img")).at_entry(0);
                    findings
                        .add(finding.advice("images of different machines are in one directory: CRIU refuses them"))?;
                }
            }
        }
    }
    descriptors::look(&look, &tasks, &used.lost_tables(subject), findings)?;
    used.unused(subject, findings)
}

/// A dump without a list of tasks: of memory alone, or one that lost it.
fn no_tree(subject: &Subject<'_>, findings: &mut Findings<'_>) -> Result<()> {
    let has = |kind: Kind| !subject.dump.images_of(kind).is_empty();
    let is_pre_dump = subject.dump.inventory().is_ok_and(|inventory| inventory.img_version == 0);
    if is_pre_dump && subject.dump.images().iter().all(|image| image.kind == Kind::Inventory) {
        let finding = Finding::error("pre-dump-empty", "a pre-dump without any memory: it ended early");
        return findings.add(finding.in_image("inventory.img").advice("dump again"));
    }
    if has(Kind::Core) || has(Kind::Mm) || has(Kind::Files) || !has(Kind::Pagemap) {
        let finding = Finding::error("pstree-missing", "expected the list of tasks, found none: CRIU stops");
        return findings.add(finding.in_image("pstree.img").advice("dump again"));
    }
    let what = "it is a pre-dump: memory alone, which a later dump builds on; nothing can be restored from it";
    findings.add(Finding::note("pre-dump", what))
}

impl Look<'_> {
    fn task(&self, task: &Task<'_>, number: usize) -> Seen {
        let mut seen = Seen { told: Told::default(), is_live: None, table: None, archs: Vec::new() };
        for (position, &tid) in task.tids().iter().enumerate() {
            if position > 0 && self.owners.get(&tid) != Some(&number) {
                continue;
            }
            if let Some(vitals) = self.thread(task, tid, position == 0, &mut seen) {
                if position == 0 {
                    seen.is_live = vitals::is_live(&vitals);
                }
                self.vitals(tid, position == 0, &vitals, &mut seen);
            }
        }
        images::look(self, task, &mut seen);
        if seen.is_live != Some(false) {
            mm::look(self, task, &mut seen.told);
        }
        seen
    }

    /// The core image of a thread; `None` where it is lost or broken.
    fn thread(&self, task: &Task<'_>, tid: u32, is_leader: bool, seen: &mut Seen) -> Option<Vitals> {
        if images::has(self.subject, Kind::Core, u64::from(tid)) {
            return seen.told.ok(self.subject.dump.vitals(tid));
        }
        let what = match is_leader {
            true => format!("expected the core image of task {}, found none", task.pid()),
            false => format!("expected the core image of thread {tid} of task {}, found none", task.pid()),
        };
        let finding = Finding::error("core-missing", what).in_image(format!("core-{tid}.img"));
        seen.told.add(finding.advice("the file was lost: CRIU stops; dump again"));
        None
    }

    fn vitals(&self, tid: u32, is_leader: bool, vitals: &Vitals, seen: &mut Seen) {
        let is_live = seen.is_live == Some(true);
        vitals::look(vitals, is_leader, is_live, tid, &mut seen.told);
        if let Some(filters) = &self.filters {
            seccomp::thread(filters, tid, vitals, &mut seen.told);
        }
        if is_live {
            seen.archs.push((tid, vitals.arch));
        }
    }
}

/// The entry of an image, for those that have one.
fn in_core(finding: Finding, tid: u32) -> Finding {
    finding.in_image(format!("core-{tid}.img")).at_entry(0)
}

/// Whether an image of this kind is numbered by what its name says: a task or a thread.
fn is_of(kind: Kind, what: &str) -> bool {
    kind.row().id == what
}
