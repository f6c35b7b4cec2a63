//! What differs between two tasks: state, threads, kin, credentials, program, command line.

use serde::Serialize;

use crate::base::report::{Cell, Column, Row, Rows};
use crate::base::{Name, Result};
use crate::checkpoint::Checkpoint;
use crate::checkpoint::task::Task;
use crate::image::Kind;
use crate::memory::{Content, Pages};
use crate::view::diff::change::{Change, Facts, Field, text};
use crate::view::diff::of;
use crate::view::diff::pairs::{Pairs, comm};
use crate::view::diff::summary::Tally;

/// A task that differs.
#[derive(Clone, Debug, Serialize)]
pub struct TaskDiff {
    /// What became of it.
    pub change: Change,
    /// Its number in the first dump.
    pub pid: Option<u32>,
    /// Its number in the second.
    pub pid_b: Option<u32>,
    /// Its command, in the first dump that has it.
    pub comm: Name,
    /// What differs.
    pub fields: Vec<Field>,
}

impl Row for TaskDiff {
    const COLUMNS: &'static [Column] = &[
        Column::text("TASK", 0),
        Column::number("PID", 0),
        Column::number("NOW", 1),
        Column::long("COMMAND", 1),
        Column::long("WHAT", 0),
    ];

    fn cells(&self) -> Vec<Cell> {
        vec![
            Cell::text(self.change.name()),
            Cell::maybe(self.pid.or(self.pid_b)),
            Cell::maybe(self.pid_b.filter(|pid| self.pid.is_some_and(|of_a| of_a != *pid))),
            Cell::text(&self.comm),
            Cell::text(text(&self.fields)),
        ]
    }
}

/// Compares the tasks.
pub(super) fn tasks<R>(
    dumps: (&Checkpoint, &Checkpoint),
    pairs: &Pairs<'_>,
    out: &mut impl Rows<R>,
    mut each: impl FnMut(TaskDiff),
) -> Result<Tally> {
    let mut tally = Tally::default();
    for (a, b) in &pairs.both {
        // a pre-dump knows nothing but memory
        let fields = if a.is_known() && b.is_known() {
            let is_one_number = a.pid() == b.pid();
            let translate = |pid: u32| pairs.number(pid);
            let these = facts(dumps.0, a, translate, is_one_number, out)?;
            let those = facts(dumps.1, b, |pid| pid, is_one_number, out)?;
            let mut fields = these.against(those);
            // what one side could not say is not known to differ
            fields.retain(|field| field.name != "cmdline" || !(field.a.is_null() || field.b.is_null()));
            fields
        } else {
            Vec::new()
        };
        if tally.changed_if(!fields.is_empty()) {
            let comm = comm(a).or_else(|| comm(b)).unwrap_or_default();
            let (pid, pid_b) = (Some(a.pid()), Some(b.pid()));
            each(TaskDiff { change: Change::Changed, pid, pid_b, comm, fields });
        }
    }
    let mut one = |change: Change, task: &Task<'_>| {
        let number = |wanted: Change| (change == wanted).then_some(task.pid());
        let (pid, pid_b) = (number(Change::Gone), number(Change::Added));
        tally.count(change);
        each(TaskDiff { change, pid, pid_b, comm: comm(task).unwrap_or_default(), fields: Vec::new() });
    };
    pairs.gone.iter().for_each(|task| one(Change::Gone, task));
    pairs.added.iter().for_each(|task| one(Change::Added, task));
    Ok(tally)
}

fn facts<R>(
    dump: &Checkpoint,
    task: &Task<'_>,
    translate: impl Fn(u32) -> u32,
    has_numbers: bool,
    out: &mut impl Rows<R>,
) -> Result<Facts> {
    let mut facts = Facts::default();
    for (name, pid) in [("parent", task.ppid()), ("group", task.pgid()), ("session", task.sid())] {
        facts.add_as(name, pid, translate(pid));
    }
    // threads of a task with another number have other numbers too
    match has_numbers {
        true => facts.add("threads", task.tids()),
        false => facts.add("threads", task.tids().len()),
    }
    if let Some(core) = out.ok(of(dump, task.core()))?.flatten() {
        facts.add("comm", &core.process.comm);
        facts.add("state", core.process.state);
        facts.add("exit_code", core.process.exit_code);
        facts.add("stop_signal", core.process.stop_signal);
        if let Some(credentials) = &core.leader.credentials {
            facts.add_all(credentials, &|_, value| Some(value));
        }
    }
    facts.add("exe", out.ok(of(dump, task.exe()))?.flatten());
    if let Some(fs) = out.ok(of(dump, task.fs()))?.flatten() {
        for (name, id) in [("cwd", fs.cwd_id), ("root", fs.root_id)] {
            facts.add(name, out.ok(of(dump, dump.path(id)))?.flatten());
        }
        facts.add("umask", fs.umask.map(|umask| format!("{umask:04o}")));
    }
    facts.add("cmdline", cmdline(dump, task));
    Ok(facts)
}

/// A longer command line is not compared.
const LONGEST: u64 = 128 << 10;

/// The command line; `None` where the dump does not have it.
fn cmdline(dump: &Checkpoint, task: &Task<'_>) -> Option<Vec<Name>> {
    let (start, end) = task.mm().ok()??.arg;
    if end.0.checked_sub(start.0)? > LONGEST {
        return None;
    }
    let id = u64::from(task.pid());
    let pages = Pages::open(dump.parents(), Kind::Pagemap, id, Some(dump.page_size()), dump.limits()).ok()??;
    let (mut at, mut bytes, mut scratch) = (start.0, Vec::new(), Vec::new());
    for run in pages.runs(start.0..end.0) {
        let Content::Stored(stored) = &run.content else { return None };
        if run.start != at {
            return None;
        }
        bytes.extend_from_slice(stored.bytes(&mut scratch).ok()?);
        at = run.end;
    }
    (at == end.0).then(|| {
        let bytes = bytes::Bytes::from(bytes.strip_suffix(b"\0").unwrap_or(&bytes).to_vec());
        bytes.split(|byte| *byte == 0).map(|word| Name::from(bytes.slice_ref(word))).collect()
    })
}
