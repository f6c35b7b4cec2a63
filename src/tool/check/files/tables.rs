//! Tables of descriptors, as rules need them: which task has which file open under which number.

use std::collections::HashMap;

use crate::base::Result;
use crate::checkpoint::file::FileType;
use crate::checkpoint::task::Task;
use crate::image::Kind;
use crate::tool::check::Subject;
use crate::tool::check::findings::Findings;
use crate::tool::check::spot;

/// The type of an epoll.
const EPOLL: i32 = 7;

/// A descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Held {
    pub(super) fd: u32,
    /// Its entry in the image of the table.
    pub(super) entry: u64,
    pub(super) file_type: FileType,
    pub(super) id: u32,
}

/// A table, which several tasks may share.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// Its image.
    pub(super) image: String,
    /// The tasks, in the order of the dump.
    pub(super) pids: Vec<u32>,
    /// By number.
    pub(super) held: Vec<Held>,
    /// How many the first of the tasks may open; `None` where it says nothing.
    pub(super) limit: Option<u64>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) tables: Vec<Table>,
    by_pid: HashMap<u32, usize>,
    /// For each epoll that is open: the lowest task that has it, who restores it, and the table.
    epolls: HashMap<u32, (u32, usize)>,
    /// Which kind of namespace each number stands for, as tasks say.
    pub(super) namespaces: HashMap<u32, &'static str>,
}

impl Table {
    /// The descriptor with this number.
    pub(super) fn get(&self, fd: u32) -> Option<&Held> {
        let held = self.held.get(self.held.partition_point(|held| held.fd < fd))?;
        (held.fd == fd).then_some(held)
    }
}

impl Tables {
    /// The table of a task.
    pub(super) fn of(&self, pid: u32) -> Option<&Table> {
        self.tables.get(*self.by_pid.get(&pid)?)
    }

    /// The task that restores an epoll, and its table.
    pub(super) fn of_epoll(&self, id: u32) -> Option<(u32, &Table)> {
        let (pid, table) = self.epolls.get(&id)?;
        Some((*pid, self.tables.get(*table)?))
    }

    pub(super) fn read(subject: &Subject<'_>, findings: &mut Findings<'_>) -> Result<Self> {
        let dump = subject.dump;
        let mut tables = Self::default();
        let Some(tasks) = findings.ok("entry", dump.tasks())? else { return Ok(tables) };
        // before v0.4 tables were numbered by task
        let per_id = dump.inventory().map_or(true, |inventory| inventory.fdinfo_per_id);
        let mut by_id: HashMap<u64, usize> = HashMap::new();
        for task in &tasks {
            let ids = task.ids().ok().flatten();
            if let Some(ids) = &ids {
                tables.namespaces.extend(ids.namespaces.iter().map(|(kind, id)| (*id, kind.name())));
            }
            let id = match ids {
                Some(ids) if per_id => ids.files_id,
                None if per_id => continue,
                _ => task.pid(),
            };
            let id = u64::from(id);
            let position = match by_id.get(&id) {
                Some(&position) => position,
                None => {
                    subject.go_on()?;
                    by_id.insert(id, tables.tables.len());
                    tables.tables.push(Table { limit: limit(task), ..Table::read(subject, id, findings)? });
                    tables.tables.len().saturating_sub(1)
                }
            };
            let Some(table) = tables.tables.get_mut(position) else { continue };
            table.pids.push(task.pid());
            tables.by_pid.insert(task.pid(), position);
            for held in table.held.iter().filter(|held| held.file_type.0 == EPOLL) {
                let first = tables.epolls.entry(held.id).or_insert((task.pid(), position));
                *first = (*first).min((task.pid(), position));
            }
        }
        Ok(tables)
    }
}

/// How many descriptors a task may open.
fn limit(task: &Task<'_>) -> Option<u64> {
    let core = task.core().ok()??;
    core.process.limits.iter().find(|limit| limit.name == "nofile")?.cur
}

impl Table {
    fn read(subject: &Subject<'_>, id: u64, findings: &mut Findings<'_>) -> Result<Self> {
        let mut table = Self::default();
        let Some(image) = spot::image(subject.dump, Kind::Fdinfo, id, findings)? else { return Ok(table) };
        image.name().clone_into(&mut table.image);
        spot::each(&image, |_, look, entry| {
            if let (Some(fd), Some(file_type), Some(id)) = (look.word("fd"), look.signed("type"), look.word("id")) {
                let file_type = FileType(i32::try_from(file_type).unwrap_or(0));
                table.held.push(Held { fd, entry: entry.index() as u64, file_type, id });
            }
            Ok(())
        })?;
        table.held.sort_unstable();
        Ok(table)
    }
}
