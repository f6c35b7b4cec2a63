//! The rows about memory: how pages differ by task, mapping and segment, and where.

use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::base::report::{Cell, Column, Row};
use crate::base::{Address, Name};
use crate::view::diff::counts::Counts;

/// How the pages of a task, of one of its mappings, or of a segment differ.
#[derive(Clone, Debug, Serialize)]
pub struct MemoryDiff {
    /// What is counted.
    pub scope: Scope,
    /// The task in the first dump; of a segment, the first that maps it.
    pub pid: u32,
    /// The task in the second.
    pub pid_b: u32,
    /// Its command.
    pub comm: Name,
    /// First address of the mapping.
    pub start: Option<Address>,
    /// The address behind its last.
    pub end: Option<Address>,
    /// What is mapped, in one line; `None` for a task.
    pub what: Option<String>,
    /// Of a segment: the tasks of the first dump that map it.
    pub mapped_by: Vec<u32>,
    /// What became of its pages.
    pub counts: Counts,
}

/// What pages are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// All of a task, without what it shares.
    Task,
    /// One of its mappings.
    Mapping,
    /// Shared memory, whoever maps it.
    Segment,
}

impl Row for MemoryDiff {
    const COLUMNS: &'static [Column] = &[
        Column::text("MEMORY OF", 0),
        Column::number("PID", 0),
        Column::number("START", 1),
        Column::number("SAME", 2),
        Column::number("CHANGED", 0),
        Column::number("ADDED", 0),
        Column::number("GONE", 0),
        Column::long("WHAT", 0),
        Column::long("PAGES", 1),
    ];

    fn cells(&self) -> Vec<Cell> {
        let what = match (self.scope, &self.what) {
            (Scope::Task, _) => Cell::text(&self.comm),
            (Scope::Segment, Some(what)) if self.mapped_by.len() > 1 => {
                Cell::text(format_args!("{what} of {} tasks", self.mapped_by.len()))
            }
            (_, what) => Cell::maybe(what.as_ref()),
        };
        vec![
            Cell::text(match self.scope {
                Scope::Task => "task",
                Scope::Mapping => "  mapping",
                Scope::Segment => "segment",
            }),
            Cell::text(self.pid),
            Cell::maybe(self.start.map(|start| format!("{:x}", start.0))),
            Cell::text(self.counts.same),
            Cell::text(self.counts.changed),
            Cell::text(self.counts.added),
            Cell::text(self.counts.gone),
            what,
            Cell::text(self.counts.remarks().join(", ")),
        ]
    }
}

/// Consecutive changed pages of one mapping or segment.
#[derive(Clone, Debug, Serialize)]
pub struct PageRun {
    /// The task in the first dump; of a segment, the first that maps it.
    pub pid: u32,
    /// The task in the second.
    pub pid_b: u32,
    /// Address of the first page; in a segment, its offset.
    pub address: Address,
    /// How many pages.
    pub pages: u64,
    /// Bytes of them that differ.
    pub bytes_changed: u64,
    /// Whether they are a segment's.
    pub segment: bool,
    /// What is mapped, in one line.
    #[serde(serialize_with = "shared_text")]
    pub what: Arc<str>,
}

fn shared_text<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

impl Row for PageRun {
    const COLUMNS: &'static [Column] = &[
        Column::number("PID", 0),
        Column::number("ADDRESS", 0),
        Column::number("PAGES", 0),
        Column::number("BYTES CHANGED", 0),
        Column::long("WHAT", 0),
    ];

    fn cells(&self) -> Vec<Cell> {
        let address = self.address.0;
        vec![
            Cell::text(self.pid),
            if self.segment {
                Cell::text(format_args!("+{address:x}"))
            } else {
                Cell::text(format_args!("{address:x}"))
            },
            Cell::text(self.pages),
            Cell::text(self.bytes_changed),
            Cell::text(&self.what),
        ]
    }
}
