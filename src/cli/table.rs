//! Tables whose columns line up. On a terminal they fit its width: cells are shortened, then columns left out.

use std::io::{self, Write};

use anstyle::{AnsiColor, Effects};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::out::text;
use crate::base::report::{Align, Cell, Column};

/// How text is to look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    /// Whether to use colour.
    pub(super) colour: bool,
    /// Columns of the terminal; `None` where there is none, and nothing is shortened.
    pub(super) width: Option<usize>,
}

impl Style {
    fn paint(self, text: &str, style: anstyle::Style) -> String {
        if self.colour && !text.trim().is_empty() { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    /// A heading.
    pub(super) fn heading(self, text: &str) -> String {
        self.paint(text, anstyle::Style::new().effects(Effects::BOLD))
    }

    /// What asks for attention.
    pub(super) fn odd(self, text: &str) -> String {
        self.paint(text, AnsiColor::Yellow.on_default())
    }

    fn cell(self, cell: &Cell, text: &str) -> String {
        match cell {
            Cell::Empty => self.paint(text, anstyle::Style::new().effects(Effects::DIMMED)),
            Cell::Odd(_) => self.odd(text),
            Cell::Text(_) | Cell::Size(_) => text.to_owned(),
        }
    }

    /// The text of a cell in lines that fit the terminal behind `indent` columns.
    pub(super) fn wrapped(self, cell: &Cell, indent: usize) -> Vec<String> {
        let whole = text(cell);
        let room = self.width.map_or(usize::MAX, |width| width.saturating_sub(indent).max(20));
        let mut lines = Vec::new();
        let mut line = String::new();
        for word in whole.split(' ') {
            if !line.is_empty() && line.width().saturating_add(1).saturating_add(word.width()) > room {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
        lines.iter().map(|line| self.cell(cell, line)).collect()
    }
}

/// A table being written. The first rows decide how wide its columns are, so that any number of rows costs no memory.
pub(super) struct Table {
    style: Style,
    columns: &'static [Column],
    waiting: Vec<Vec<Cell>>,
    /// The width of each column, once known; `None` for those left out.
    layout: Option<Vec<Option<usize>>>,
}

/// So many rows are looked at before the first is written.
const SAMPLE: usize = 1000;

/// Between two columns.
const GAP: usize = 2;

/// Columns that may shrink keep this much, if they had it.
const LEAST: usize = 14;

/// Columns of this priority and above are left out before one that may shrink has less than [`EASY`].
const SPARE: u8 = 3;

/// What reads easily.
const EASY: usize = 32;

impl Table {
    pub(super) fn new(style: Style) -> Self {
        Self { style, columns: &[], waiting: Vec::new(), layout: None }
    }

    /// Adds a row.
    pub(super) fn row(&mut self, out: &mut impl Write, columns: &'static [Column], cells: Vec<Cell>) -> io::Result<()> {
        self.columns = columns;
        match &self.layout {
            Some(layout) => self.line(out, layout, &cells),
            None => {
                self.waiting.push(cells);
                if self.waiting.len() >= SAMPLE { self.release(out, false) } else { Ok(()) }
            }
        }
    }

    /// Writes what is left.
    pub(super) fn finish(&mut self, out: &mut impl Write) -> io::Result<()> {
        if self.layout.is_none() && !self.waiting.is_empty() { self.release(out, true) } else { Ok(()) }
    }

    fn release(&mut self, out: &mut impl Write, is_all: bool) -> io::Result<()> {
        let rows = std::mem::take(&mut self.waiting);
        let layout = layout(self.columns, &rows, self.style.width, is_all);
        let heading: Vec<Cell> = self.columns.iter().map(|column| Cell::Text(column.name.into())).collect();
        let mut line = Vec::new();
        self.line(&mut line, &layout, &heading)?;
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        writeln!(out, "{}", self.style.heading(&line))?;
        for row in rows {
            self.line(out, &layout, &row)?;
        }
        self.layout = Some(layout);
        Ok(())
    }

    fn line(&self, out: &mut impl Write, layout: &[Option<usize>], cells: &[Cell]) -> io::Result<()> {
        let shown = self
            .columns
            .iter()
            .zip(layout)
            .zip(cells)
            .filter_map(|((column, width), cell)| width.map(|width| (column, width, cell)));
        let mut line = String::new();
        // spaces are written when something follows them
        let mut pending = 0usize;
        for (position, (column, width, cell)) in shown.enumerate() {
            let whole = text(cell);
            let limit = if self.style.width.is_some() && column.shrinks { width } else { usize::MAX };
            let text = shortened(&whole, limit);
            let room = width.saturating_sub(text.width());
            if position > 0 {
                pending = pending.saturating_add(GAP);
            }
            let (before, behind) = match column.align {
                Align::Left => (0, room),
                Align::Right => (room, 0),
            };
            line.push_str(&" ".repeat(pending.saturating_add(before)));
            line.push_str(&self.style.cell(cell, &text));
            pending = behind;
        }
        writeln!(out, "{line}")
    }
}

/// The width of each column for these rows.
fn layout(columns: &[Column], rows: &[Vec<Cell>], limit: Option<usize>, is_all: bool) -> Vec<Option<usize>> {
    let mut widths: Vec<Option<usize>> = Vec::with_capacity(columns.len());
    for (position, column) in columns.iter().enumerate() {
        let cells = || rows.iter().filter_map(|row| row.get(position));
        let is_empty = is_all && cells().all(|cell| text(cell) == "-");
        let widest = cells().map(|cell| text(cell).width()).max().unwrap_or(0);
        widths.push((!is_empty).then_some(widest.max(column.name.width())));
    }
    let Some(limit) = limit else { return widths };
    for (floor, spare) in [(EASY, SPARE), (LEAST, 1)] {
        let least = |column: &Column, width: usize| if column.shrinks { width.min(floor) } else { width };
        loop {
            let columns = || columns.iter().zip(&widths);
            if total(columns().map(|(column, width)| width.map(|width| least(column, width)))) <= limit {
                break;
            }
            let shown =
                columns().enumerate().filter(|(_, (column, width))| column.priority >= spare && width.is_some());
            let last = shown.max_by_key(|(position, (column, _))| (column.priority, *position));
            match last.map(|(position, _)| position).and_then(|position| widths.get_mut(position)) {
                Some(width) => *width = None,
                None => break,
            }
        }
    }
    // the widest gives first
    let mut excess = total(widths.iter().copied()).saturating_sub(limit);
    while excess > 0 {
        let shrinkable = |(position, column): (usize, &Column)| {
            let width = widths.get(position).copied().flatten()?;
            (column.shrinks && width > LEAST).then_some((width, position))
        };
        let Some((widest, position)) = columns.iter().enumerate().filter_map(shrinkable).max() else { break };
        if let Some(Some(width)) = widths.get_mut(position) {
            *width = widest.saturating_sub(1);
        }
        excess = excess.saturating_sub(1);
    }
    widths
}

fn total(widths: impl Iterator<Item = Option<usize>>) -> usize {
    let sum = widths.flatten().fold(0, |sum: usize, width| sum.saturating_add(width).saturating_add(GAP));
    sum.saturating_sub(GAP)
}

/// `text`, or its start and its end around an ellipsis, in at most `width` columns. Of a path the end says most.
fn shortened(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let room = width.saturating_sub(1);
    let head = room / 3;
    let mut used = 0usize;
    let mut start = String::new();
    for c in text.chars() {
        used = used.saturating_add(c.width().unwrap_or(0));
        if used > head {
            break;
        }
        start.push(c);
    }
    used = start.width();
    let mut end = Vec::new();
    for c in text.chars().rev() {
        used = used.saturating_add(c.width().unwrap_or(0));
        if used > room {
            break;
        }
        end.push(c);
    }
    start.push('…');
    start.extend(end.into_iter().rev());
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] =
        &[Column::number("PID", 0), Column::long("NAME", 0), Column::text("NOTE", 2), Column::text("NEVER", 1)];

    fn table(width: Option<usize>, rows: &[(&str, &'static str, &'static str)]) -> String {
        let mut out = Vec::new();
        let mut table = Table::new(Style { colour: false, width });
        for (pid, name, note) in rows {
            let cells = vec![Cell::text(pid), Cell::text(name), Cell::text(note), Cell::Empty];
            table.row(&mut out, COLUMNS, cells).unwrap();
        }
        table.finish(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_line_up() {
        let text = table(None, &[("1", "é", "x"), ("1234", "longer", "")]);
        assert_eq!(text, " PID  NAME    NOTE\n   1  é       x\n1234  longer  -\n");
        assert_eq!(table(None, &[]), "");
    }

    #[test]
    fn a_terminal_is_not_exceeded() {
        let long = "/usr/lib/x86_64-linux-gnu/libc.so.6";
        let whole = table(Some(100), &[("1", long, "a note")]);
        assert!(whole.contains(long));
        for width in [22, 24, 30, 40] {
            let text = table(Some(width), &[("1", long, "a note"), ("22", "short", "b")]);
            assert!(text.lines().all(|line| line.width() <= width), "{width}\n{text}");
            assert!(text.contains(".so.6") && text.contains('…'), "{text}");
            assert_eq!(text.contains("NOTE"), width > 26, "{width}\n{text}");
        }
    }

    #[test]
    fn shortened_in_the_middle() {
        assert_eq!(shortened("abcdefghij", 10), "abcdefghij");
        assert_eq!(shortened("abcdefghij", 7), "ab…ghij");
        assert_eq!(shortened("漢字漢字漢字", 7).width(), 7);
    }
}
