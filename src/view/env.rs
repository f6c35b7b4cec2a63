//! The environments of tasks, read from their memory.

use serde::Serialize;

use crate::base::report::{Cell, Column, Row, Rows};
use crate::base::{Listing, Name, Result};
use crate::checkpoint::Checkpoint;
use crate::checkpoint::arguments::Variable;

/// A variable of a task's environment.
#[derive(Clone, Debug, Serialize)]
pub struct Env {
    /// The task.
    pub pid: u32,
    /// What is before the first `=`; all, if there is none.
    pub name: Name,
    /// What is behind it; `None` if there is none.
    pub value: Option<Name>,
}

impl Row for Env {
    const COLUMNS: &'static [Column] = &[Column::number("PID", 0), Column::long("VARIABLE", 0)];

    fn cells(&self) -> Vec<Cell> {
        vec![Cell::text(self.pid), Cell::text(self)]
    }
}

/// `NAME=value`, escaped.
impl std::fmt::Display for Env {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}={value}", self.name),
            None => write!(f, "{}", self.name),
        }
    }
}

/// The environment of one task, or those of all, variable by variable: what each was started with.
///
/// Errors: the tasks cannot be listed, there is no such task, or `out` ends the question.
pub fn env(dump: &Checkpoint, pid: Option<u32>, out: &mut impl Rows<Env>) -> Result<()> {
    let Listing { items: tasks, problems } = dump.tasks_or_one(pid)?;
    out.problems(problems)?;
    let (mut is_empty, mut is_there) = (true, false);
    for task in &tasks {
        match out.ok(task.environment())? {
            Some(Some(environment)) => {
                is_there = true;
                for Variable { name, value } in environment.variables() {
                    is_empty = false;
                    out.row(Env { pid: task.pid(), name, value })?;
                }
            }
            Some(None) => {}
            None => is_empty = false,
        }
    }
    match (is_empty, is_there, pid) {
        (false, ..) => Ok(()),
        (_, true, Some(pid)) => out.note(&format!("task {pid} was started with an empty environment")),
        (_, true, None) => out.note("the tasks were started with empty environments"),
        _ => out.note(&dump.why_none("environment", pid)),
    }
}
