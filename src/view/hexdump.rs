//! Bytes of memory line by line, and in their place why others are not there.

use std::fmt::{self, Write};
use std::ops::Range;

use serde::{Serialize, Serializer};

use crate::base::name::harmless;
use crate::base::report::{Cell, Column, Row, Rows};
use crate::base::{Address, Name, Result};
use crate::checkpoint::AddressSpace;
use crate::memory::{Content, Missing, Run};

/// Bytes of a line.
pub const LINE: u64 = 16;

/// What is known of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum State {
    /// It has a byte in the dump, or in one before it.
    Stored,
    /// It is zero, which takes no place in the dump.
    Zero,
    /// A file that is mapped has its byte; the dump does not.
    File,
    /// It is not known what was there.
    Missing,
    /// Nothing is mapped there.
    Unmapped,
}

/// A range of addresses: a line of bytes, which may stand there several times over, or addresses without bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Piece {
    /// First address; in a segment, the offset.
    pub address: Address,
    /// The address behind the last.
    pub end: Address,
    /// What is known of them.
    pub state: State,
    /// Up to 16 bytes, which are repeated up to `end`; in JSON two digits each. `None` where there are none.
    #[serde(serialize_with = "digits")]
    pub bytes: Option<Vec<u8>>,
    /// Of a file: its path, if the dump has it.
    pub name: Option<Name>,
    /// Of a file: where the first of these bytes is in it.
    pub offset: Option<Address>,
    /// Why there are no bytes, in words.
    pub why: Option<String>,
}

fn digits<S: Serializer>(bytes: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
    let Some(bytes) = bytes else { return serializer.serialize_none() };
    serializer.collect_str(&Digits(bytes))
}

struct Digits<'b>(&'b [u8]);

impl fmt::Display for Digits<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Piece {
    fn without_bytes(range: Range<u64>, state: State) -> Self {
        let (address, end) = (Address(range.start), Address(range.end));
        Self { address, end, state, bytes: None, name: None, offset: None, why: None }
    }

    fn line(address: u64, state: State, bytes: &[u8]) -> Self {
        let end = address.saturating_add(bytes.len() as u64);
        Self { bytes: Some(bytes.to_vec()), ..Self::without_bytes(address..end, state) }
    }

    /// Its addresses.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> u64 {
        self.end.0.saturating_sub(self.address.0)
    }

    /// Makes it longer by `next`, which says the same of what is right behind; or gives that back.
    fn join(&mut self, next: Self) -> Option<Self> {
        let is_same = self.end == next.address && self.state == next.state && self.name == next.name;
        let is_one = match (&self.bytes, &next.bytes) {
            (Some(line), Some(more)) => {
                line == more && line.len() as u64 == LINE && self.address.0.is_multiple_of(LINE)
            }
            (None, None) => match (self.offset, next.offset) {
                (Some(this), Some(other)) => this.0.checked_add(self.len()) == Some(other.0),
                (None, None) => self.why == next.why,
                _ => false,
            },
            _ => false,
        };
        if !(is_same && is_one) {
            return Some(next);
        }
        self.end = next.end;
        None
    }

    /// Why there are no bytes, as a sentence, names escaped.
    fn reason(&self) -> String {
        let number = self.len();
        match (self.state, &self.name, &self.offset, &self.why) {
            (State::File, Some(name), Some(offset), _) => {
                format!("{number} bytes not in the dump: the file {name} has them at {offset}")
            }
            (State::File, ..) => {
                format!("{number} bytes not in the dump: a file has them whose path is not there either")
            }
            (State::Unmapped, .., None) => format!("{number} bytes: nothing is mapped there"),
            (State::Unmapped, .., Some(why)) => format!("{number} bytes: {}", harmless(why)),
            (.., why) => {
                format!("{number} bytes not in the dump: {}", harmless(why.as_deref().unwrap_or("it is not known why")))
            }
        }
    }

    /// As one or two lines of text, addresses `width` digits wide: bytes in base 16 and as characters, and how many
    /// more of the same follow; or why there are none.
    pub fn text(&self, width: usize, out: &mut impl Write) -> fmt::Result {
        let Some(bytes) = &self.bytes else {
            return writeln!(out, "{:0width$x}-{:x}: {}", self.address.0, self.end.0, self.reason());
        };
        write!(out, "{:0width$x} ", self.address.0)?;
        // a byte is always in the column of the last digit of its address
        let first = usize::from(self.address.0.to_le_bytes().first().copied().unwrap_or(0) & 0xf);
        let columns = std::iter::repeat_n(None, first).chain(bytes.iter().map(Some)).chain(std::iter::repeat(None));
        for (position, byte) in columns.clone().take(16).enumerate() {
            out.write_str(if position == 8 { "  " } else { " " })?;
            match byte {
                Some(byte) => [byte >> 4, byte & 0xf].into_iter().try_for_each(|half| out.write_char(digit(half)))?,
                None => out.write_str("  ")?,
            }
        }
        out.write_str("  |")?;
        for byte in columns.take(first.saturating_add(bytes.len())) {
            out.write_char(match byte {
                Some(byte @ 0x20..=0x7e) => char::from(*byte),
                Some(_) => '.',
                None => ' ',
            })?;
        }
        writeln!(out, "|{}", if self.state == State::Zero { " not stored" } else { "" })?;
        match self.len().saturating_sub(bytes.len() as u64) {
            0 => Ok(()),
            more => writeln!(out, "{:width$}  {more} bytes more like these, to {:x}", "*", self.end.0),
        }
    }
}

/// Several times as fast as `{:x}`, and there may be millions.
fn digit(half: u8) -> char {
    char::from(if half < 10 { b'0'.saturating_add(half) } else { b'a'.saturating_sub(10).saturating_add(half) })
}

impl Row for Piece {
    const COLUMNS: &'static [Column] = &[
        Column::number("START", 0),
        Column::number("END", 0),
        Column::text("STATE", 1),
        Column::text("BYTES", 0),
        Column::long("WHY", 0),
    ];

    fn cells(&self) -> Vec<Cell> {
        vec![
            Cell::text(format_args!("{:x}", self.address.0)),
            Cell::text(format_args!("{:x}", self.end.0)),
            Cell::text(match self.state {
                State::Stored => "stored",
                State::Zero => "zero",
                State::File => "file",
                State::Missing => "missing",
                State::Unmapped => "unmapped",
            }),
            Cell::maybe(self.bytes.as_deref().map(Digits)),
            if self.bytes.is_some() { Cell::Empty } else { Cell::Text(self.reason().into()) },
        ]
    }
}

/// How many addresses were shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// With their bytes.
    pub bytes: u64,
    /// Without.
    pub without: u64,
}

/// What is in a range of addresses, whole: every address of it is in one piece. Equal lines right behind each other
/// are one piece, unless `all` asks for each.
///
/// Errors: `out` ends the question.
pub fn hexdump(space: &AddressSpace, range: Range<u64>, all: bool, out: &mut impl Rows<Piece>) -> Result<Shown> {
    let mut pieces = Pieces { out, all, pending: None, shown: Shown::default() };
    let mut scratch = Vec::new();
    let mut at = range.start;
    for run in space.runs(range.clone()).flat_map(Run::sound) {
        pieces.gap(space, at..run.start)?;
        at = run.end;
        let here = run.start..run.end;
        match &run.content {
            Content::Stored(stored) => match stored.bytes(&mut scratch) {
                Ok(bytes) => pieces.bytes(run.start, bytes)?,
                Err(error) => pieces.missing(here, &error)?,
            },
            Content::Zero => pieces.zeros(here)?,
            Content::File { name, offset } => {
                let offset = Some(Address(*offset));
                let name = name.cloned();
                pieces.push(Piece { name, offset, ..Piece::without_bytes(here, State::File) })?;
            }
            Content::Missing(why) => pieces.missing(here, why)?,
        }
    }
    pieces.gap(space, at..range.end)?;
    pieces.finish()
}

/// Lines and reasons on their way out; the last waits whether the next goes on with it.
struct Pieces<'o, O> {
    out: &'o mut O,
    all: bool,
    pending: Option<Piece>,
    shown: Shown,
}

impl<O: Rows<Piece>> Pieces<'_, O> {
    fn push(&mut self, piece: Piece) -> Result<()> {
        let count = if piece.bytes.is_some() { &mut self.shown.bytes } else { &mut self.shown.without };
        *count = count.saturating_add(piece.len());
        let is_apart = self.all && piece.bytes.is_some();
        let next = match &mut self.pending {
            Some(pending) if !is_apart => pending.join(piece),
            _ => Some(piece),
        };
        let Some(next) = next else { return Ok(()) };
        match self.pending.replace(next) {
            Some(done) => self.out.row(done),
            None => Ok(()),
        }
    }

    fn bytes(&mut self, start: u64, bytes: &[u8]) -> Result<()> {
        let (mut at, mut rest) = (start, bytes);
        while !rest.is_empty() {
            let room = usize::try_from(LINE.saturating_sub(at % LINE)).unwrap_or(0);
            let (line, behind) = rest.split_at_checked(room).unwrap_or((rest, &[]));
            rest = behind;
            let end = at.saturating_add(line.len() as u64);
            match &mut self.pending {
                // most lines of most dumps: no need to make a piece of each
                Some(Piece { end: before, bytes: Some(same), state: State::Stored, address, .. })
                    if !self.all && before.0 == at && same == line && line.len() == 16 && address.0 % LINE == 0 =>
                {
                    *before = Address(end);
                    self.shown.bytes = self.shown.bytes.saturating_add(LINE);
                }
                _ => self.push(Piece::line(at, State::Stored, line))?,
            }
            at = end;
        }
        Ok(())
    }

    /// However many there are, at once.
    fn zeros(&mut self, range: Range<u64>) -> Result<()> {
        let mut at = range.start;
        while at < range.end {
            let line_end = (at | LINE.wrapping_sub(1)).saturating_add(1).min(range.end);
            let length = usize::try_from(line_end.saturating_sub(at)).unwrap_or(0);
            let mut piece = Piece::line(at, State::Zero, [0; 16].get(..length).unwrap_or_default());
            if length == 16 && !self.all {
                piece.end = Address(range.end & !LINE.wrapping_sub(1));
            }
            at = piece.end.0;
            self.push(piece)?;
        }
        Ok(())
    }

    fn missing(&mut self, range: Range<u64>, why: &impl fmt::Display) -> Result<()> {
        let why = Some(why.to_string());
        self.push(Piece { why, ..Piece::without_bytes(range, State::Missing) })
    }

    /// Addresses that are in no run.
    fn gap(&mut self, space: &AddressSpace, range: Range<u64>) -> Result<()> {
        if range.start >= range.end {
            return Ok(());
        }
        if !space.is_known() {
            return self.missing(range, &Missing::Unknown);
        }
        let why = space.own().is_none().then(|| "the segment ends before".to_owned());
        self.push(Piece { why, ..Piece::without_bytes(range, State::Unmapped) })
    }

    fn finish(self) -> Result<Shown> {
        if let Some(piece) = self.pending {
            self.out.row(piece)?;
        }
        Ok(self.shown)
    }
}
