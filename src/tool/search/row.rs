//! Matches as rows, with what is around them; and how many there are.

use std::ops::ControlFlow;

use serde::Serialize;

use super::drive::Process;
use super::excerpt::{Excerpt, Place, Reader};
use super::scan::{Span, Taker};
use crate::base::report::{Cell, Column, Row, Rows};
use crate::base::{Address, Result};

/// So many bytes of a match are shown.
const SHOWN: u64 = 1024;

/// A match.
#[derive(Clone, Debug, Serialize)]
pub struct Match {
    /// The process.
    pub pid: u32,
    /// Where it begins.
    pub address: Address,
    /// Its bytes.
    pub length: u64,
    /// Where that is.
    #[serde(flatten)]
    pub place: Place,
    /// Bytes from where the mapping begins.
    pub offset: Option<u64>,
    /// The bytes before it, as far as they are in the dump.
    pub before: Excerpt,
    /// What matched; of a long match the first 1024 bytes.
    #[serde(rename = "match")]
    pub matched: Excerpt,
    /// The bytes behind it.
    pub after: Excerpt,
}

impl Row for Match {
    const COLUMNS: &'static [Column] = &[
        Column::number("PID", 1),
        Column::number("ADDRESS", 0),
        Column::number("LENGTH", 4),
        Column::long("WHERE", 3),
        Column::number("BEFORE", 2),
        Column::long("MATCH", 0),
        Column::long("AFTER", 2),
    ];

    fn cells(&self) -> Vec<Cell> {
        let cut = if self.length > SHOWN { "..." } else { "" };
        vec![
            Cell::text(self.pid),
            Cell::text(format_args!("{:x}", self.address.0)),
            Cell::text(self.length),
            Cell::text(self.place.shown(self.address.0)),
            Cell::text(&self.before.text),
            Cell::text(format_args!("{}{cut}", self.matched.text)),
            Cell::text(&self.after.text),
        ]
    }
}

/// How many matches begin in a mapping.
#[derive(Clone, Debug, Serialize)]
pub struct Count {
    /// The process.
    pub pid: u32,
    /// The mapping.
    #[serde(flatten)]
    pub place: Place,
    /// How many.
    pub count: u64,
}

impl Row for Count {
    const COLUMNS: &'static [Column] =
        &[Column::number("PID", 1), Column::number("MAPPING", 0), Column::number("COUNT", 0), Column::long("WHAT", 0)];

    fn cells(&self) -> Vec<Cell> {
        vec![
            Cell::text(self.pid),
            Cell::maybe(self.place.mapping.map(|start| format!("{:x}", start.0))),
            Cell::text(self.count),
            Cell::text(&self.place.label),
        ]
    }
}

/// Makes rows of matches.
pub(super) struct Matches {
    context: u64,
    left: u64,
    place: Option<(u32, Place)>,
    pub(super) found: u64,
}

impl Matches {
    pub(super) fn new(context: u64, max: Option<u64>) -> Self {
        Self { context, left: max.unwrap_or(u64::MAX), place: None, found: 0 }
    }
}

impl Taker<Match> for Matches {
    const COUNTS: bool = false;

    fn span(
        &mut self,
        process: &Process<'_>,
        span: Span,
        reader: &mut Reader<'_>,
        out: &mut dyn Rows<Match>,
    ) -> Result<ControlFlow<()>> {
        let (start, end) = span;
        let Some(left) = self.left.checked_sub(1) else { return Ok(ControlFlow::Break(())) };
        let place = match &self.place {
            Some((pid, place)) if *pid == process.pid && place.is_of(process.space, start) => place.clone(),
            _ => Place::of(process.space, start),
        };
        self.place = Some((process.pid, place.clone()));
        let before = Excerpt::new(reader.read(start.saturating_sub(self.context), start, true));
        let matched = Excerpt::new(reader.read(start, end.min(start.saturating_add(SHOWN)), false));
        let after = Excerpt::new(reader.read(end, end.saturating_add(self.context), false));
        let length = end.saturating_sub(start);
        let offset = place.offset(start);
        out.row(Match { pid: process.pid, address: Address(start), length, place, offset, before, matched, after })?;
        (self.left, self.found) = (left, self.found.saturating_add(1));
        Ok(if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    fn count(&mut self, _process: &Process<'_>, _address: u64, _count: u64) {}

    fn end(&mut self, _process: &Process<'_>, _out: &mut dyn Rows<Match>) -> Result<ControlFlow<()>> {
        Ok(ControlFlow::Continue(()))
    }
}

/// Adds up how many there are.
#[derive(Default)]
pub(super) struct Counts {
    last: Option<Count>,
    of_process: Vec<Count>,
    pub(super) found: u64,
}

impl Taker<Count> for Counts {
    const COUNTS: bool = true;

    fn span(
        &mut self,
        _process: &Process<'_>,
        _span: Span,
        _reader: &mut Reader<'_>,
        _out: &mut dyn Rows<Count>,
    ) -> Result<ControlFlow<()>> {
        Ok(ControlFlow::Continue(()))
    }

    fn count(&mut self, process: &Process<'_>, address: u64, count: u64) {
        self.found = self.found.saturating_add(count);
        if let Some(last) = self.last.as_mut().filter(|last| last.place.is_of(process.space, address)) {
            last.count = last.count.saturating_add(count);
            return;
        }
        let new = Count { pid: process.pid, place: Place::of(process.space, address), count };
        self.of_process.extend(self.last.replace(new));
    }

    fn end(&mut self, _process: &Process<'_>, out: &mut dyn Rows<Count>) -> Result<ControlFlow<()>> {
        self.of_process.extend(self.last.take());
        // unmapped pages may lie between mappings: what counts as one mapping comes in several turns
        let mut rows: Vec<Count> = Vec::with_capacity(self.of_process.len());
        let mut unmapped: Option<usize> = None;
        for row in self.of_process.drain(..) {
            match unmapped.and_then(|at| rows.get_mut(at)).filter(|_| row.place.mapping.is_none()) {
                Some(sum) => sum.count = sum.count.saturating_add(row.count),
                None => {
                    if row.place.mapping.is_none() {
                        unmapped = Some(rows.len());
                    }
                    rows.push(row);
                }
            }
        }
        rows.into_iter().try_for_each(|row| out.row(row))?;
        Ok(ControlFlow::Continue(()))
    }
}
