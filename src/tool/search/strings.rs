//! Printable strings, as strings(1) finds them in files.

use std::collections::VecDeque;
use std::ops::{ControlFlow, Range};

use serde::Serialize;

use super::Unsearched;
use super::drive::{Process, View, Work, drive};
use super::encoding::Encoding;
use super::excerpt::{Place, Reader};
use super::filter::Filter;
use super::grain::Grain;
use super::window::{Scratch, Shape, Window, windows};
use crate::base::name::escape;
use crate::base::report::{Cancel, Cell, Column, Progress, Row, Rows};
use crate::base::{Address, Error, Result};
use crate::checkpoint::Checkpoint;

/// What counts as a string, and where.
#[derive(Clone, Debug)]
pub struct Strings {
    /// Where.
    pub filter: Filter,
    /// Characters that it has at least.
    pub least: u64,
    /// How its characters are stored: one of these. Those of one encoding don't overlap.
    pub encodings: Vec<Encoding>,
    /// How the work is cut.
    pub grain: Grain,
}

impl Default for Strings {
    fn default() -> Self {
        Self { filter: Filter::default(), least: 4, encodings: vec![Encoding::Ascii], grain: Grain::default() }
    }
}

/// A string. One of more than 64 KiB comes in several rows.
#[derive(Clone, Debug, Serialize)]
pub struct Text {
    /// The process.
    pub pid: u32,
    /// Where it begins.
    pub address: Address,
    /// Its bytes.
    pub length: u64,
    /// How it is stored.
    pub encoding: Encoding,
    /// Where that is.
    #[serde(flatten)]
    pub place: Place,
    /// Bytes from where the mapping begins.
    pub offset: Option<u64>,
    /// The string.
    pub text: String,
}

impl Row for Text {
    const COLUMNS: &'static [Column] = &[
        Column::number("PID", 1),
        Column::number("ADDRESS", 0),
        Column::text("ENCODING", 4),
        Column::long("WHERE", 2),
        Column::long("TEXT", 0),
    ];

    fn cells(&self) -> Vec<Cell> {
        let mut shown = String::with_capacity(self.text.len());
        // writing to a string cannot fail
        let _ = escape(self.text.as_bytes(), &mut shown);
        vec![
            Cell::text(self.pid),
            Cell::text(format_args!("{:x}", self.address.0)),
            Cell::text(self.encoding.name()),
            Cell::text(self.place.shown(self.address.0)),
            Cell::Text(shown.into()),
        ]
    }
}

/// Every string, by process and address.
///
/// Errors: as [`search`](super::search), or `least` is 0.
pub fn strings(
    dump: &Checkpoint,
    strings: &Strings,
    control: (&dyn Progress, &Cancel),
    out: &mut impl Rows<Text>,
) -> Result<Unsearched> {
    if strings.least == 0 {
        return Err(Error::usage("expected strings of at least one character, found none"));
    }
    let mut encodings = strings.encodings.clone();
    encodings.sort_unstable();
    encodings.dedup();
    let mut work =
        Finder { least: strings.least, grain: strings.grain, encodings, waiting: VecDeque::new(), place: None };
    drive(dump, &strings.filter, &mut work, control, out)
}

/// A row has at most so many bytes of a string.
const LONGEST: u64 = 64 << 10;
/// The longest character.
const CHARACTER: usize = 4;
/// Bytes that are looked through in one encoding before the next.
const STEP: usize = 4096;

/// What decides about a character. Of zeros one counts: it ends a character of UTF-16.
const SHAPE: Shape = Shape { reach: CHARACTER - 1, behind: 0, zeros: 1 };

/// Characters one behind the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chain {
    start: u64,
    end: u64,
    characters: u64,
    /// Which of the encodings.
    encoding: usize,
}

/// What a part has: its chains, those that reach from one window into the next in pieces.
pub(super) struct Chains {
    list: Vec<Chain>,
    /// Where to go on, if there are more.
    next: Option<u64>,
}

struct Finder {
    least: u64,
    grain: Grain,
    encodings: Vec<Encoding>,
    /// Those that may go on, and those that begin behind one that may; ascending.
    waiting: VecDeque<Chain>,
    place: Option<(u32, Place)>,
}

impl Finder {
    fn look(&self, view: &View<'_>, from: u64, scratch: &mut Scratch) -> Chains {
        let mut chains = Chains { list: Vec::new(), next: None };
        windows(view.pieces, view.part, (SHAPE, self.grain), scratch, |window| {
            let mut own = window.own.clone();
            own.start = own.start.max(usize::try_from(from.saturating_sub(window.base)).unwrap_or(usize::MAX));
            while own.start < own.end {
                let step = own.start..own.start.saturating_add(STEP).min(own.end);
                let known = chains.list.len();
                for (number, encoding) in self.encodings.iter().enumerate() {
                    self.chains(window, &step, number, *encoding, &mut chains.list);
                }
                if self.encodings.len() > 1 {
                    chains.list.get_mut(known..).unwrap_or_default().sort_by_key(|chain| chain.start);
                }
                own.start = step.end;
                if chains.list.len() >= self.grain.kept {
                    chains.next = Some(window.base.saturating_add(step.end as u64));
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        });
        chains
    }

    /// The chains of the characters that begin in `own`. Short ones are left out, but not at its ends.
    fn chains(
        &self,
        window: &Window<'_>,
        own: &Range<usize>,
        number: usize,
        encoding: Encoding,
        list: &mut Vec<Chain>,
    ) {
        let mut at = own.start;
        while at < own.end {
            if window.bytes.get(at..at.saturating_add(16)).is_some_and(|bytes| *bytes == [0; 16]) {
                at = at.saturating_add(16);
                continue;
            }
            let start = at;
            let mut characters = 0u64;
            while at < own.end {
                match encoding.length(window.bytes.get(at..).unwrap_or_default()) {
                    0 => break,
                    length => at = at.saturating_add(length),
                }
                characters = characters.saturating_add(1);
            }
            let is_at_end = start < own.start.saturating_add(CHARACTER) || at >= own.end;
            if characters >= self.least || characters > 0 && is_at_end {
                let address = |offset: usize| window.base.saturating_add(offset as u64);
                list.push(Chain { start: address(start), end: address(at), characters, encoding: number });
            }
            at = at.max(start.saturating_add(1));
        }
    }

    fn add(&mut self, chain: Chain) {
        let mut waiting = self.waiting.iter_mut().rev();
        match waiting.find(|other| other.encoding == chain.encoding).filter(|other| other.end == chain.start) {
            Some(other) => {
                other.end = chain.end;
                other.characters = other.characters.saturating_add(chain.characters);
            }
            None => self.waiting.push_back(chain),
        }
    }

    /// Hands out the strings that end before an address.
    fn release(&mut self, process: &Process<'_>, before: u64, out: &mut dyn Rows<Text>) -> Result<()> {
        let mut reader = Reader::new(process.space);
        while let Some(chain) = self.waiting.front().copied().filter(|chain| chain.end < before) {
            self.waiting.pop_front();
            if chain.characters >= self.least {
                self.rows(process, chain, &mut reader, out)?;
            }
        }
        Ok(())
    }

    fn rows(
        &mut self,
        process: &Process<'_>,
        chain: Chain,
        reader: &mut Reader<'_>,
        out: &mut dyn Rows<Text>,
    ) -> Result<()> {
        let Some(encoding) = self.encodings.get(chain.encoding).copied() else { return Ok(()) };
        let mut start = chain.start;
        while start < chain.end {
            let bytes = reader.read(start, chain.end.min(start.saturating_add(LONGEST)), false);
            let cut = match encoding {
                Encoding::Utf8 => std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len),
                _ => bytes.len(),
            };
            let bytes = bytes.get(..cut).unwrap_or_default();
            if bytes.is_empty() {
                // the file changed since
                break;
            }
            let place = match &self.place {
                Some((pid, place)) if *pid == process.pid && place.is_of(process.space, start) => place.clone(),
                _ => Place::of(process.space, start),
            };
            self.place = Some((process.pid, place.clone()));
            let length = bytes.len() as u64;
            let (offset, text) = (place.offset(start), encoding.text(bytes));
            out.row(Text { pid: process.pid, address: Address(start), length, encoding, place, offset, text })?;
            start = start.saturating_add(length);
        }
        Ok(())
    }
}

impl Work<Text> for Finder {
    type Found = Chains;

    fn shape(&self) -> Shape {
        SHAPE
    }

    fn grain(&self) -> Grain {
        self.grain
    }

    fn scan(&self, view: &View<'_>, scratch: &mut Scratch) -> Chains {
        self.look(view, view.part.range.start, scratch)
    }

    fn take(
        &mut self,
        view: &View<'_>,
        mut found: Chains,
        scratch: &mut Scratch,
        out: &mut dyn Rows<Text>,
    ) -> Result<ControlFlow<()>> {
        loop {
            found.list.iter().for_each(|chain| self.add(*chain));
            self.release(view.process, found.next.unwrap_or(view.part.range.end), out)?;
            match found.next {
                Some(next) => found = self.look(view, next, scratch),
                None => return Ok(ControlFlow::Continue(())),
            }
        }
    }

    fn end(&mut self, process: &Process<'_>, out: &mut dyn Rows<Text>) -> Result<ControlFlow<()>> {
        self.release(process, u64::MAX, out)?;
        Ok(ControlFlow::Continue(()))
    }
}
