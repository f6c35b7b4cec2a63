//! Which images a task must have; and those that are of no task.

use std::collections::{BTreeMap, HashSet};

use crate::base::Result;
use crate::checkpoint::task::Task;
use crate::image::Kind;
use crate::tool::check::findings::Findings;
use crate::tool::check::tasks::{Look, Seen, is_of};
use crate::tool::check::{Finding, Subject};

/// Whether the dump has an image.
pub(super) fn has(subject: &Subject<'_>, kind: Kind, id: u64) -> bool {
    subject.dump.images_of(kind).binary_search_by_key(&id, |image| image.id).is_ok()
}

/// What a live task must have, and what becomes of it without.
const NEEDED: [(Kind, &str, &str); 3] = [
    (Kind::Mm, "mm-missing", "CRIU does not know its mappings, and dies"),
    (Kind::Fs, "fs-missing", "CRIU does not know its working directory and root, and dies"),
    (Kind::Pagemap, "pagemap-missing", "CRIU does not know its memory, and stops"),
];

/// Says which images of a task are missing.
pub(super) fn look(look: &Look<'_>, task: &Task<'_>, seen: &mut Seen) {
    let pid = u64::from(task.pid());
    // of a zombie there is nothing but its core image
    if seen.is_live != Some(true) {
        return;
    }
    for (kind, rule, why) in NEEDED {
        if !has(look.subject, kind, pid) {
            seen.told.add(missing(rule, kind, pid, task).advice(why));
        }
    }
    match task.ids() {
        Ok(Some(ids)) => {
            let number = match look.fdinfo_per_id {
                Some(true) => Some(u64::from(ids.files_id)),
                Some(false) => Some(pid),
                None => None,
            };
            seen.table = number;
        }
        Ok(None) => {
            let why = "CRIU does not know what it shares with others, and stops";
            seen.told.add(missing("ids-missing", Kind::Ids, pid, task).advice(why));
        }
        Err(error) => seen.told.errors.push(error),
    }
}

fn missing(rule: &'static str, kind: Kind, id: u64, task: &Task<'_>) -> Finding {
    let name = kind.file_name(id).unwrap_or_default();
    Finding::error(rule, format!("expected the image of task {}, which is alive, found none", task.pid()))
        .in_image(name)
}

/// Which numbers tasks have, and whose images are therefore somebody's.
#[derive(Default)]
pub(super) struct Used {
    tids: HashSet<u64>,
    /// Those of which nobody knows that they are zombies.
    pids: HashSet<u64>,
    /// Tables of descriptors, with a task that has each.
    tables: BTreeMap<u64, u32>,
    /// Whether some task's table is not known.
    lacks_tables: bool,
}

impl Used {
    pub(super) fn add(&mut self, task: &Task<'_>, seen: &Seen) {
        self.tids.extend(task.tids().iter().map(|tid| u64::from(*tid)));
        if seen.is_live != Some(false) {
            self.pids.insert(u64::from(task.pid()));
        }
        match seen.table {
            Some(table) => {
                self.tables.entry(table).or_insert(task.pid());
            }
            None if seen.is_live != Some(false) => self.lacks_tables = true,
            None => {}
        }
    }

    /// Tables of descriptors that have no image: each once, however many tasks share it.
    pub(super) fn lost_tables(&self, subject: &Subject<'_>) -> Vec<(u64, u32)> {
        let tables = self.tables.iter().map(|(&table, &pid)| (table, pid));
        tables.filter(|(table, _)| !has(subject, Kind::Fdinfo, *table)).collect()
    }

    /// Images that are numbered by task, thread or table, of one that the dump does not have.
    pub(super) fn unused(&self, subject: &Subject<'_>, findings: &mut Findings<'_>) -> Result<()> {
        if findings.is_broken("pstree.img") {
            return Ok(());
        }
        for name in subject.dump.images() {
            let (is_used, what) = match name.kind {
                Kind::Fdinfo if self.lacks_tables => continue,
                Kind::Fdinfo => (self.tables.contains_key(&name.id), "no task has this table of descriptors"),
                kind if is_of(kind, "tid") => (self.tids.contains(&name.id), "no task has a thread of this number"),
                kind if is_of(kind, "pid") => (self.pids.contains(&name.id), "no live task has this number"),
                _ => continue,
            };
            if !is_used {
                let finding = Finding::warning("image-unused", format!("expected the image of a task: {what}"));
                findings.add(
                    finding.in_image(name.file.clone()).advice("it is left from another dump, or the task was lost"),
                )?;
            }
        }
        Ok(())
    }
}
