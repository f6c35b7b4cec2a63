//! The command lines of tasks, read from their memory.

use serde::Serialize;

use crate::base::report::{Cell, Column, Row, Rows};
use crate::base::{Listing, Name, Result};
use crate::checkpoint::Checkpoint;
use crate::checkpoint::arguments;

/// The command line of a task.
#[derive(Clone, Debug, Serialize)]
pub struct Cmdline {
    /// The task.
    pub pid: u32,
    /// Its arguments, the name it was called by first.
    pub args: Vec<Name>,
    /// Whether the program wrote a title over its arguments; that is then the one argument.
    pub is_title: bool,
}

impl Row for Cmdline {
    const COLUMNS: &'static [Column] = &[Column::number("PID", 0), Column::long("COMMAND LINE", 0)];

    fn cells(&self) -> Vec<Cell> {
        vec![Cell::text(self.pid), Cell::Text(arguments::shown(&self.args, self.is_title).into())]
    }
}

/// The command line of one task, or those of all that have one.
///
/// Errors: the tasks cannot be listed, there is no such task, or `out` ends the question.
pub fn cmdline(dump: &Checkpoint, pid: Option<u32>, out: &mut impl Rows<Cmdline>) -> Result<()> {
    let Listing { items: tasks, problems } = dump.tasks_or_one(pid)?;
    out.problems(problems)?;
    let mut is_empty = true;
    for task in &tasks {
        match out.ok(task.command_line())? {
            Some(Some(line)) => {
                is_empty = false;
                out.row(Cmdline { pid: task.pid(), args: line.arguments(), is_title: line.is_title })?;
            }
            Some(None) => {}
            None => is_empty = false,
        }
    }
    if is_empty { out.note(&dump.why_none("command line", pid)) } else { Ok(()) }
}
