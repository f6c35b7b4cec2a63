//! What is told of each pages file.

use serde::Serialize;

use crate::base::name::harmless;
use crate::base::report::{Cell, Column, Row};

/// A pages file of an ancestor, and what of it nobody in the chain needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Freed {
    /// The dump.
    pub dump: String,
    /// How many links to parents lead there.
    pub level: usize,
    /// The pages file.
    pub file: String,
    /// Pages that a later dump of the chain has itself.
    pub pages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those of them that took room on the disk.
    pub allocated: u64,
    /// Bytes that the file takes less than before; `None` where nothing was changed.
    pub freed: Option<u64>,
}

impl Row for Freed {
    const COLUMNS: &'static [Column] = &[
        Column::long("DUMP", 0),
        Column::text("FILE", 0),
        Column::number("PAGES", 1),
        Column::number("BYTES", 2),
        Column::number("ALLOCATED", 0),
        Column::number("FREED", 0),
    ];

    fn cells(&self) -> Vec<Cell> {
        vec![
            Cell::text(harmless(&self.dump)),
            Cell::text(harmless(&self.file)),
            Cell::text(self.pages),
            Cell::Size(self.bytes),
            Cell::Size(self.allocated),
            self.freed.map_or(Cell::Empty, Cell::Size),
        ]
    }
}
