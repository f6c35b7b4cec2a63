//! How much differs: the first thing that is told.

use serde::Serialize;

use crate::base::report::{Cell, Column, Row};
use crate::view::diff::change::Change;
use crate::view::diff::counts::Counts;
use crate::view::diff::pairs::Matched;

/// How much differs between two dumps. What was not asked for is `None`.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Where the first dump is.
    pub a: String,
    /// Where the second is.
    pub b: String,
    /// How tasks were matched.
    pub matched: Matched,
    /// Whether anything differs.
    pub different: bool,
    /// Tasks.
    pub tasks: Option<Tally>,
    /// Descriptors of the tasks that are in both.
    pub descriptors: Option<Tally>,
    /// Sockets.
    pub sockets: Option<Tally>,
    /// Mappings of the tasks that are in both.
    pub mappings: Option<Tally>,
    /// Pages of the tasks that are in both; those of shared memory once.
    pub pages: Option<Counts>,
}

/// How many of what are the same and are not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// In both dumps, and alike.
    pub same: u64,
    /// In both, and not alike.
    pub changed: u64,
    /// Only in the second.
    pub added: u64,
    /// Only in the first.
    pub gone: u64,
}

impl Tally {
    pub(super) fn count(&mut self, change: Change) {
        let count = match change {
            Change::Added => &mut self.added,
            Change::Gone => &mut self.gone,
            Change::Changed => &mut self.changed,
        };
        *count = count.saturating_add(1);
    }

    /// Counts one that is in both; whether it is not alike.
    pub(super) fn changed_if(&mut self, is_changed: bool) -> bool {
        match is_changed {
            true => self.count(Change::Changed),
            false => self.same = self.same.saturating_add(1),
        }
        is_changed
    }

    /// Whether something differs.
    pub fn is_different(&self) -> bool {
        self.changed > 0 || self.added > 0 || self.gone > 0
    }
}

/// A line of the summary as a table.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    what: &'static str,
    counts: Tally,
    remarks: Vec<String>,
}

impl Summary {
    /// Sets whether anything differs.
    pub(super) fn conclude(&mut self) {
        let tallies = [self.tasks, self.descriptors, self.sockets, self.mappings];
        self.different =
            tallies.iter().flatten().any(Tally::is_different) || self.pages.as_ref().is_some_and(Counts::is_different);
    }

    /// As rows of a table.
    pub fn lines(&self) -> Vec<Line> {
        let tallies = [
            ("tasks", self.tasks),
            ("descriptors", self.descriptors),
            ("sockets", self.sockets),
            ("mappings", self.mappings),
        ];
        let line =
            |(what, counts): (&'static str, Option<Tally>)| Some(Line { what, counts: counts?, remarks: Vec::new() });
        let mut lines: Vec<Line> = tallies.into_iter().filter_map(line).collect();
        if let Some(pages) = &self.pages {
            let &Counts { same, changed, added, gone, .. } = pages;
            let counts = Tally { same, changed, added, gone };
            lines.push(Line { what: "pages", counts, remarks: pages.remarks() });
        }
        lines
    }
}

impl Row for Line {
    const COLUMNS: &'static [Column] = &[
        Column::text("SUBJECT", 0),
        Column::number("SAME", 0),
        Column::number("CHANGED", 0),
        Column::number("ADDED", 0),
        Column::number("GONE", 0),
        Column::long("NOTE", 1),
    ];

    fn cells(&self) -> Vec<Cell> {
        let Tally { same, changed, added, gone } = self.counts;
        let number = |count: u64| if count == 0 { Cell::text("0") } else { Cell::Odd(count.to_string().into()) };
        vec![
            Cell::text(self.what),
            Cell::text(same),
            number(changed),
            number(added),
            number(gone),
            Cell::text(self.remarks.join(", ")),
        ]
    }
}
