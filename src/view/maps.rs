//! The mappings of tasks.

use serde::Serialize;

use crate::base::report::{Cell, Column, Row, Rows};
use crate::base::{Listing, Result};
use crate::checkpoint::Checkpoint;
use crate::checkpoint::mm::Mapping;

/// A mapping of a task.
#[derive(Clone, Debug, Serialize)]
pub struct Map {
    /// The task.
    pub pid: u32,
    /// Its bytes.
    pub size: u64,
    /// Flags and advice in words, such as `locked`, `dontdump`.
    pub vm_flags: Vec<String>,
    /// The mapping.
    #[serde(flatten)]
    pub mapping: Mapping,
}

impl Map {
    fn what(&self) -> Cell {
        let text = self.mapping.what().into();
        if self.mapping.is_lost() { Cell::Odd(text) } else { Cell::Text(text) }
    }
}

impl Row for Map {
    const COLUMNS: &'static [Column] = &[
        Column::number("PID", 1),
        Column::number("START", 0),
        Column::number("END", 0),
        Column::number("SIZE", 1),
        Column::text("PROT", 0),
        Column::number("OFFSET", 3),
        Column::long("WHAT", 0),
        Column::text("FLAGS", 4),
    ];

    fn cells(&self) -> Vec<Cell> {
        let mapping = &self.mapping;
        // what it is says these two
        let flags = self.vm_flags.iter().map(String::as_str).filter(|word| !["growsdown", "hugetlb"].contains(word));
        let shared = if mapping.flags.is_shared() { "s" } else { "p" };
        vec![
            Cell::text(self.pid),
            Cell::text(format_args!("{:x}", mapping.start.0)),
            Cell::text(format_args!("{:x}", mapping.end.0)),
            Cell::Size(self.size),
            Cell::text(format_args!("{}{shared}", mapping.prot)),
            if mapping.pgoff == 0 { Cell::Empty } else { Cell::text(format_args!("{:x}", mapping.pgoff)) },
            self.what(),
            Cell::text(flags.collect::<Vec<_>>().join(",")),
        ]
    }
}

/// The mappings of one task, or of all.
///
/// Errors: the tasks cannot be listed, there is no such task, or `out` ends the question.
pub fn maps(dump: &Checkpoint, pid: Option<u32>, out: &mut impl Rows<Map>) -> Result<()> {
    let Listing { items: tasks, problems } = dump.tasks_or_one(pid)?;
    out.problems(problems)?;
    let mut is_empty = true;
    for task in &tasks {
        let Some(Listing { items, problems }) = out.ok(task.mappings())? else { continue };
        is_empty &= items.is_empty();
        for mapping in items {
            out.row(Map { pid: task.pid(), size: mapping.size(), vm_flags: mapping.vm_flags(), mapping })?;
        }
        out.problems(problems)?;
    }
    if is_empty { out.note(&dump.why_none("mappings", pid)) } else { Ok(()) }
}
