//! Where rows go: a table, one JSON document, or a JSON object a line. Errors about single objects go to standard
//! error and make the exit code 1.

use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

use anstream::ColorChoice;
use serde::Serialize;

use super::args::{Color, Show};
use super::problems::Problems;
use super::table::{Style, Table};
use super::{Outcome, complain, remark};
use crate::base::name::harmless_json;
use crate::base::report::{Card, Cell, Fact, Row, Rows};
use crate::base::{Error, Result};

/// What takes the rows of one question.
pub(super) trait Shown {
    /// Writes what is left to write, and tells how it went.
    fn finish(self) -> Result<Outcome>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    Json,
    Ndjson,
}

/// Takes JSON, in pieces that are text each, and passes it on without what a terminal would act on.
struct Harmless<W>(W);

impl<W: Write> Write for Harmless<W> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(piece) {
            Ok(text) => self.0.write_all(harmless_json(text).as_bytes())?,
            Err(_) => self.0.write_all(piece)?,
        }
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Standard output, buffered, in the format that was asked for.
pub(super) struct Out {
    pub(super) format: Format,
    pub(super) style: Style,
    pub(super) stdout: BufWriter<StdoutLock<'static>>,
    problems: Problems,
    rows: u64,
}

pub(super) fn failed(error: io::Error) -> Error {
    Error::io("cannot write to standard output", error)
}

impl Out {
    pub(super) fn new(show: Show) -> Self {
        let stdout = io::stdout();
        let choice = match show.color {
            Color::Auto => anstream::AutoStream::choice(&stdout),
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        };
        let width = || terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0));
        let style =
            Style { colour: choice != ColorChoice::Never, width: if stdout.is_terminal() { width() } else { None } };
        let format = match (show.json, show.ndjson) {
            (true, _) => Format::Json,
            (_, true) => Format::Ndjson,
            _ => Format::Text,
        };
        Self { format, style, stdout: BufWriter::new(stdout.lock()), problems: Problems::default(), rows: 0 }
    }

    pub(super) fn raw(&mut self, text: &str) -> Result<()> {
        self.stdout.write_all(text.as_bytes()).map_err(failed)
    }

    pub(super) fn json(&mut self, value: &impl Serialize) -> Result<()> {
        serde_json::to_writer(Harmless(&mut self.stdout), value).map_err(|error| failed(error.into()))
    }

    pub(super) fn problem(&mut self, error: &Error) -> Result<()> {
        if self.problems.count() {
            // what was said before it comes before it, where both go to one terminal
            self.stdout.flush().map_err(failed)?;
            complain(error);
        }
        Ok(())
    }

    pub(super) fn note(&mut self, why: &str) -> Result<()> {
        // errors are reason enough
        if self.problems.is_empty() {
            self.stdout.flush().map_err(failed)?;
            remark(why);
        }
        Ok(())
    }

    /// Named values, one below the other.
    pub(super) fn card(&mut self, facts: &[Fact]) -> Result<()> {
        let widest = facts.iter().map(|fact| fact.name.len()).max().unwrap_or(0);
        for fact in facts {
            for (position, value) in fact.values.iter().enumerate() {
                let name = if position == 0 { fact.name } else { "" };
                let indent = widest.saturating_add(2);
                let name = self.style.heading(&format!("{name:indent$}"));
                for (number, line) in self.style.wrapped(value, indent).iter().enumerate() {
                    match number {
                        0 => self.raw(&format!("{name}{line}\n"))?,
                        _ => self.raw(&format!("{:indent$}{line}\n", ""))?,
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<Outcome> {
        self.stdout.flush().map_err(failed)?;
        Ok(self.problems.finish())
    }
}

/// Rows as they come.
pub(super) struct Report {
    out: Out,
    table: Table,
}

impl Report {
    pub(super) fn new(show: Show) -> Self {
        let out = Out::new(show);
        Self { table: Table::new(out.style), out }
    }

    /// Whether it has taken no row yet.
    pub(super) fn is_empty(&self) -> bool {
        self.out.rows == 0
    }
}

impl<R: Row> Rows<R> for Report {
    fn row(&mut self, row: R) -> Result<()> {
        let first = self.out.rows == 0;
        self.out.rows = self.out.rows.saturating_add(1);
        match self.out.format {
            Format::Text => self.table.row(&mut self.out.stdout, R::COLUMNS, row.cells()).map_err(failed),
            Format::Json => {
                self.out.raw(if first { "[\n" } else { ",\n" })?;
                self.out.json(&row)
            }
            Format::Ndjson => {
                self.out.json(&row)?;
                self.out.raw("\n")
            }
        }
    }

    fn problem(&mut self, error: Error) -> Result<()> {
        self.out.problem(&error)
    }

    fn note(&mut self, why: &str) -> Result<()> {
        self.out.note(why)
    }
}

impl Shown for Report {
    fn finish(mut self) -> Result<Outcome> {
        match self.out.format {
            Format::Text => self.table.finish(&mut self.out.stdout).map_err(failed)?,
            Format::Json => self.out.raw(if self.out.rows == 0 { "[]\n" } else { "\n]\n" })?,
            Format::Ndjson => {}
        }
        self.out.finish()
    }
}

/// Answers that are no tables.
pub(super) struct Cards {
    out: Out,
}

impl Cards {
    pub(super) fn new(show: Show) -> Self {
        Self { out: Out::new(show) }
    }
}

impl<C: Card> Rows<C> for Cards {
    fn row(&mut self, card: C) -> Result<()> {
        match self.out.format {
            Format::Text => self.out.card(&card.facts()),
            Format::Json => {
                let out = Harmless(&mut self.out.stdout);
                serde_json::to_writer_pretty(out, &card).map_err(|error| failed(error.into()))?;
                self.out.raw("\n")
            }
            Format::Ndjson => {
                self.out.json(&card)?;
                self.out.raw("\n")
            }
        }
    }

    fn problem(&mut self, error: Error) -> Result<()> {
        self.out.problem(&error)
    }

    fn note(&mut self, why: &str) -> Result<()> {
        self.out.note(why)
    }
}

impl Shown for Cards {
    fn finish(self) -> Result<Outcome> {
        self.out.finish()
    }
}

/// The text of a cell.
pub(super) fn text(cell: &Cell) -> String {
    match cell {
        Cell::Empty => "-".to_owned(),
        Cell::Text(text) | Cell::Odd(text) if text.is_empty() => "-".to_owned(),
        Cell::Text(text) | Cell::Odd(text) => text.to_string(),
        Cell::Size(bytes) => crate::base::Size(*bytes).to_string(),
    }
}
