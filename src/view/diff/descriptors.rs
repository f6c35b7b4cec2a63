//! What differs between the descriptors of two tasks.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::base::report::{Cell, Column, Row, Rows};
use crate::base::{Name, Result};
use crate::checkpoint::fd::Fd;
use crate::checkpoint::task::Task;
use crate::view::diff::change::{Change, Facts, Field, text};
use crate::view::diff::facts::Known;
use crate::view::diff::pairs::{Pairs, comm};
use crate::view::diff::summary::Tally;
use crate::view::diff::{named, of};

/// A descriptor that differs.
#[derive(Clone, Debug, Serialize)]
pub struct DescriptorDiff {
    /// What became of it.
    pub change: Change,
    /// The task in the first dump.
    pub pid: u32,
    /// The task in the second.
    pub pid_b: u32,
    /// Its command.
    pub comm: Name,
    /// The descriptor.
    pub fd: u32,
    /// What it leads to in the first dump, in one line; `None` if it is not there.
    pub what: Option<String>,
    /// What it leads to in the second.
    pub what_b: Option<String>,
    /// What differs, where it leads to a file of the same type.
    pub fields: Vec<Field>,
}

impl Row for DescriptorDiff {
    const COLUMNS: &'static [Column] = &[
        Column::text("DESCRIPTOR", 0),
        Column::number("PID", 0),
        Column::long("COMMAND", 3),
        Column::number("FD", 0),
        Column::long("WHAT", 0),
        Column::long("DIFFERENCE", 0),
    ];

    fn cells(&self) -> Vec<Cell> {
        let difference = match (&self.what_b, self.fields.is_empty()) {
            (Some(now), true) if self.what.is_some() => format!("now {now}"),
            _ => text(&self.fields),
        };
        vec![
            Cell::text(self.change.name()),
            Cell::text(self.pid),
            Cell::text(&self.comm),
            Cell::text(self.fd),
            Cell::maybe(self.what.as_ref().or(self.what_b.as_ref())),
            Cell::text(difference),
        ]
    }
}

/// Compares the descriptors of the tasks that are in both dumps.
pub(super) fn descriptors<R>(
    (a, b): (&mut Known<'_>, &mut Known<'_>),
    pairs: &Pairs<'_>,
    out: &mut impl Rows<R>,
    mut each: impl FnMut(DescriptorDiff),
) -> Result<Tally> {
    for dump in [a.dump, b.dump] {
        let problems = of(dump, dump.files())?.problems.iter().chain(of(dump, dump.fd_problems())?);
        out.problems(problems.chain(dump.queue_problems()).map(|error| named(dump, error.clone())))?;
    }
    let mut tally = Tally::default();
    for (task, other) in pairs.both.iter().filter(|(task, other)| task.is_known() && other.is_known()) {
        let (these, mut those) = (by_number(task)?, by_number(other)?);
        let mut found = Vec::new();
        for (number, fd) in these {
            let (change, other, fields) = match those.remove(&number) {
                None => (Change::Gone, None, Vec::new()),
                Some(other) => match differences((a, &fd), (b, &other))? {
                    Some(fields) => (Change::Changed, Some(other), fields),
                    None => {
                        tally.same = tally.same.saturating_add(1);
                        continue;
                    }
                },
            };
            found.push((number, change, Some(fd), other, fields));
        }
        found.extend(those.into_iter().map(|(number, fd)| (number, Change::Added, None, Some(fd), Vec::new())));
        found.sort_by_key(|(number, ..)| *number);
        let comm = if found.is_empty() { None } else { comm(task).or_else(|| comm(other)) }.unwrap_or_default();
        for (fd, change, this, that, fields) in found {
            tally.count(change);
            each(DescriptorDiff {
                change,
                pid: task.pid(),
                pid_b: other.pid(),
                comm: comm.clone(),
                fd,
                what: this.map(|fd| what(&fd)),
                what_b: that.map(|fd| what(&fd)),
                fields,
            });
        }
    }
    Ok(tally)
}

fn by_number<'d>(task: &Task<'d>) -> Result<BTreeMap<u32, Fd<'d>>> {
    // what is wrong with its table was told with what is wrong with all
    Ok(task.fds()?.items.into_iter().map(|fd| (fd.fd, fd)).collect())
}

fn what(fd: &Fd<'_>) -> String {
    match fd.file {
        Some(file) => file.what.to_string(),
        None => format!("{} {}, which is not in the dump", fd.file_type, fd.id),
    }
}

/// What differs; nothing where they lead to files of two types, `None` where nothing does.
fn differences(
    (a, this): (&mut Known<'_>, &Fd<'_>),
    (b, that): (&mut Known<'_>, &Fd<'_>),
) -> Result<Option<Vec<Field>>> {
    if this.file_type != that.file_type || this.file.is_some() != that.file.is_some() {
        return Ok(Some(Vec::new()));
    }
    let facts = |known: &mut Known<'_>, fd: &Fd<'_>| -> Result<Facts> {
        let mut facts = Facts::default();
        facts.add("cloexec", fd.cloexec);
        if let Some(file) = fd.file {
            known.facts(file, &mut facts)?;
        }
        Ok(facts)
    };
    let fields = facts(a, this)?.against(facts(b, that)?);
    Ok((!fields.is_empty()).then_some(fields))
}
