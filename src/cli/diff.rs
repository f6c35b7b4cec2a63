//! `diff`: what differs between two dumps. A table for each subject, or one JSON document with a key for each.

use std::path::Path;

use serde::Serialize;

use super::args::{DiffOf, Show, Subject as Said};
use super::out::{Format, Out, failed};
use super::progress::Bar;
use super::table::Table;
use super::{Outcome, interrupt};
use crate::base::name::harmless;
use crate::base::report::{Cancel, Row, Rows};
use crate::base::{Error, Result};
use crate::checkpoint::Checkpoint;
use crate::view::diff::{self, Difference, Options, Subject, Summary};

pub(super) fn diff(of: &DiffOf) -> Result<Outcome> {
    let open = |path: &Path| {
        let dump = Checkpoint::open_with(path, of.read.options())?;
        // the wrong directory, most likely: that all is gone would be no answer
        match dump.images() {
            [] => Err(Error::usage("the directory has no images of a dump").in_image(path.to_string_lossy())),
            _ => Ok(dump),
        }
    };
    let (a, b) = (open(&of.a)?, open(&of.b)?);
    let options = Options {
        what: of.what.iter().copied().map(subject).collect(),
        pids: of.pid.clone(),
        map_pids: of.map_pid.clone(),
        summary: of.summary,
        page_runs: of.pages,
    };
    let (bar, cancel) = (Bar::new(), Cancel::default());
    interrupt::listen(&cancel)?;
    let mut sections = Sections::new(of.show);
    let is_different = diff::diff(&a, &b, &options, (&bar, &cancel), &mut sections)?;
    drop(bar);
    let outcome = sections.finish()?;
    Ok(if outcome == Outcome::Done && is_different { Outcome::Found } else { outcome })
}

fn subject(said: Said) -> Subject {
    match said {
        Said::Tasks => Subject::Tasks,
        Said::Fds => Subject::Descriptors,
        Said::Sockets => Subject::Sockets,
        Said::Maps => Subject::Mappings,
        Said::Pages => Subject::Pages,
    }
}

/// The keys of the document behind the summary, in the order of the rows.
const KEYS: [&str; 6] = ["tasks", "descriptors", "sockets", "mappings", "memory", "pages"];

/// Writes rows subject by subject.
struct Sections {
    out: Out,
    table: Table,
    /// How many of [`KEYS`] were begun, and how many rows the last has.
    begun: usize,
    rows: u64,
}

impl Sections {
    fn new(show: Show) -> Self {
        let out = Out::new(show);
        Self { table: Table::new(out.style), out, begun: 0, rows: 0 }
    }

    fn summary(&mut self, summary: &Summary) -> Result<()> {
        self.out.raw(&format!("A  {}\nB  {}\n", harmless(&summary.a), harmless(&summary.b)))?;
        if summary.matched == diff::Matched::Command {
            self.out.raw("no task has the same number in both: they are matched by command, in order\n")?;
        }
        self.out.raw("\n")?;
        for line in summary.lines() {
            self.line(&line)?;
        }
        self.table.finish(&mut self.out.stdout).map_err(failed)
    }

    fn line<R: Row>(&mut self, row: &R) -> Result<()> {
        self.table.row(&mut self.out.stdout, R::COLUMNS, row.cells()).map_err(failed)
    }

    /// Begins sections up to the one with this number, counted from 1.
    fn begin(&mut self, section: usize) -> Result<()> {
        if self.begun >= section {
            return Ok(());
        }
        match self.out.format {
            Format::Text => {
                self.table.finish(&mut self.out.stdout).map_err(failed)?;
                self.table = Table::new(self.out.style);
                self.out.raw("\n")?;
            }
            Format::Json => {
                while self.begun < section {
                    self.end()?;
                    let key = KEYS.get(self.begun).copied().unwrap_or_default();
                    self.out.raw(&format!(",\n\"{key}\": ["))?;
                    self.begun = self.begun.saturating_add(1);
                }
            }
            Format::Ndjson => {}
        }
        self.begun = section;
        Ok(())
    }

    /// Ends the array that was begun last.
    fn end(&mut self) -> Result<()> {
        let has_rows = std::mem::take(&mut self.rows) > 0;
        match self.begun {
            0 => Ok(()),
            _ => self.out.raw(if has_rows { "\n]" } else { "]" }),
        }
    }

    fn add<R: Row>(&mut self, section: usize, row: &R, whole: &impl Serialize) -> Result<()> {
        self.begin(section)?;
        match self.out.format {
            Format::Text => self.line(row),
            Format::Json => {
                self.out.raw(if self.rows == 0 { "\n" } else { ",\n" })?;
                self.rows = self.rows.saturating_add(1);
                self.out.json(whole)
            }
            Format::Ndjson => {
                self.out.json(whole)?;
                self.out.raw("\n")
            }
        }
    }

    fn finish(mut self) -> Result<Outcome> {
        match self.out.format {
            Format::Text => self.table.finish(&mut self.out.stdout).map_err(failed)?,
            Format::Json => {
                self.begin(KEYS.len())?;
                self.end()?;
                self.out.raw("\n}\n")?;
            }
            Format::Ndjson => {}
        }
        self.out.finish()
    }
}

impl Rows<Difference> for Sections {
    fn row(&mut self, row: Difference) -> Result<()> {
        match &row {
            Difference::Summary(summary) => match self.out.format {
                Format::Text => self.summary(summary),
                Format::Json => {
                    self.out.raw("{\n\"summary\": ")?;
                    self.out.json(&row)
                }
                Format::Ndjson => {
                    self.out.json(&row)?;
                    self.out.raw("\n")
                }
            },
            Difference::Task(task) => self.add(1, task, &row),
            Difference::Descriptor(descriptor) => self.add(2, descriptor, &row),
            Difference::Socket(socket) => self.add(3, socket, &row),
            Difference::Mapping(mapping) => self.add(4, mapping, &row),
            Difference::Memory(memory) => self.add(5, &**memory, &row),
            Difference::Pages(run) => self.add(6, run, &row),
            _ => Ok(()),
        }
    }

    fn problem(&mut self, error: Error) -> Result<()> {
        self.out.problem(&error)
    }

    fn note(&mut self, why: &str) -> Result<()> {
        self.out.note(why)
    }
}
