//! What views and tools are handed to report to: typed rows go one by one to whoever asked, nothing is printed here.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use crate::base::{Error, Result};

/// Takes rows one by one. An error ends the question that asked.
pub trait Rows<R> {
    /// Takes one row.
    fn row(&mut self, row: R) -> Result<()>;

    /// Takes an error that concerns one object; the question goes on with the next.
    fn problem(&mut self, error: Error) -> Result<()>;

    /// Is told in a sentence why there are no rows, where that is no error. Passed over unless the taker wants it.
    fn note(&mut self, _why: &str) -> Result<()> {
        Ok(())
    }

    /// The value, or `None` after the error was taken.
    fn ok<T>(&mut self, result: Result<T>) -> Result<Option<T>>
    where
        Self: Sized,
    {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) => self.problem(error).map(|()| None),
        }
    }

    /// Takes several errors.
    fn problems(&mut self, errors: impl IntoIterator<Item = Error>) -> Result<()>
    where
        Self: Sized,
    {
        errors.into_iter().try_for_each(|error| self.problem(error))
    }
}

/// Rows in memory: for tests, and for library users who want all of them.
#[derive(Debug)]
pub struct Collect<R> {
    /// The rows.
    pub rows: Vec<R>,
    /// The errors that concern one object each.
    pub problems: Vec<Error>,
    /// Why there are no rows.
    pub notes: Vec<String>,
}

impl<R> Default for Collect<R> {
    fn default() -> Self {
        Self { rows: Vec::new(), problems: Vec::new(), notes: Vec::new() }
    }
}

impl<R> Rows<R> for Collect<R> {
    fn row(&mut self, row: R) -> Result<()> {
        self.rows.push(row);
        Ok(())
    }

    fn problem(&mut self, error: Error) -> Result<()> {
        self.problems.push(error);
        Ok(())
    }

    fn note(&mut self, why: &str) -> Result<()> {
        self.notes.push(why.to_owned());
        Ok(())
    }
}

/// Passes an error on once: several parts of an answer may need the one image that is broken.
#[derive(Debug)]
pub struct Once<'o, O> {
    out: &'o mut O,
    told: HashSet<String>,
}

impl<'o, O> Once<'o, O> {
    /// Passes on to `out`.
    pub fn new(out: &'o mut O) -> Self {
        Self { out, told: HashSet::new() }
    }
}

impl<R, O: Rows<R>> Rows<R> for Once<'_, O> {
    fn row(&mut self, row: R) -> Result<()> {
        self.out.row(row)
    }

    fn problem(&mut self, error: Error) -> Result<()> {
        let text = error.to_string();
        if self.told.contains(&text) {
            return Ok(());
        }
        // an image may have more errors than are worth remembering
        if self.told.len() < REMEMBERED {
            self.told.insert(text);
        }
        self.out.problem(error)
    }

    fn note(&mut self, why: &str) -> Result<()> {
        self.out.note(why)
    }
}

/// So many errors are remembered, not to be told again.
const REMEMBERED: usize = 1000;

/// A row of a table. As JSON it is what `Serialize` says; as text it has a cell for each column.
pub trait Row: Serialize {
    /// The columns, from left to right.
    const COLUMNS: &'static [Column];

    /// A cell for each of [`COLUMNS`](Self::COLUMNS).
    fn cells(&self) -> Vec<Cell>;
}

/// One answer that is not a table: named values, one below the other.
pub trait Card: Serialize {
    /// The names and values, in order.
    fn facts(&self) -> Vec<Fact>;
}

/// A line, or a few, of a [`Card`].
#[derive(Clone, Debug)]
pub struct Fact {
    /// What it is.
    pub name: &'static str,
    /// Its values, one below the other.
    pub values: Vec<Cell>,
}

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its heading.
    pub name: &'static str,
    /// On which side its cells are flush.
    pub align: Align,
    /// Columns that do not fit are left out, those with the highest number first. 0 is never left out.
    pub priority: u8,
    /// Whether its cells may be shortened where the line is too narrow.
    pub shrinks: bool,
}

impl Column {
    /// A column of text.
    pub const fn text(name: &'static str, priority: u8) -> Self {
        Self { name, align: Align::Left, priority, shrinks: false }
    }

    /// A column of numbers.
    pub const fn number(name: &'static str, priority: u8) -> Self {
        Self { name, align: Align::Right, priority, shrinks: false }
    }

    /// A column of text that may be shortened.
    pub const fn long(name: &'static str, priority: u8) -> Self {
        Self { name, align: Align::Left, priority, shrinks: true }
    }
}

/// Where a column's cells are flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Left: text.
    Left,
    /// Right: numbers.
    Right,
}

/// The text of one cell, fit for a terminal: names in it are escaped, as their `Display` does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// There is no such value.
    Empty,
    /// Text.
    Text(Cow<'static, str>),
    /// A count of bytes, shown in units that people read.
    Size(u64),
    /// Text that asks for attention: a zombie, a reference that leads nowhere.
    Odd(Cow<'static, str>),
}

impl Cell {
    /// Text made from what can be printed.
    pub fn text(value: impl std::fmt::Display) -> Self {
        Self::Text(Cow::Owned(value.to_string()))
    }

    /// Text, or nothing.
    pub fn maybe(value: Option<impl std::fmt::Display>) -> Self {
        value.map_or(Self::Empty, Self::text)
    }
}

/// How far long work has come.
pub trait Progress: Sync {
    /// `done` of `total` units are done. Called often; costs little.
    fn advance(&self, done: u64, total: u64);
}

/// Nobody watches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn advance(&self, _done: u64, _total: u64) {}
}

/// Asks long work to end early; checked between pieces of it.
#[derive(Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Asks the work to end.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// What a signal handler sets.
    pub fn flag(&self) -> Arc<AtomicBool> {
        self.0.clone()
    }

    /// Whether the work was asked to end.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_is_enough() {
        let mut rows: Collect<u8> = Collect::default();
        let mut once = Once::new(&mut rows);
        for what in ["a", "b", "a"] {
            Rows::<u8>::problem(&mut once, Error::format(what)).unwrap();
        }
        once.row(7u8).unwrap();
        let told: Vec<_> = rows.problems.iter().map(Error::what).collect();
        assert_eq!((told, rows.rows), (vec!["a", "b"], vec![7]));
    }
}
