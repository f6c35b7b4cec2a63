//! What of an address space a core file holds: its runs by what a reader of the file is told of them, neighbours of one
//! mapping joined.
//!
//! Whatever is in a `PT_LOAD` is true by the rule of ELF: its bytes, and zeros behind them. So what the dump does not
//! have is in none: gdb would read a `PT_LOAD` without bytes as zeros. Such ranges are listed as `PT_NULL`, which says
//! where they are and how they are protected, and is passed over by those who look for memory.

use crate::base::{Error, Result};
use crate::checkpoint::AddressSpace;
use crate::checkpoint::mm::{Backing, Mapping};
use crate::memory::{Content, Missing, Run};
use crate::tool::coredump::elf::Format;
use crate::tool::coredump::write::Watch;

/// What a core file says of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// Its bytes; zeros are holes.
    Bytes,
    /// That it is all zeros, and no bytes: ranges that were reserved and never touched may be longer than any file.
    Zeros,
    /// That it was there.
    Nothing,
}

/// Zeros from this length on are not given room in the file.
const RESERVED: u64 = 1 << 30;
/// The same where offsets have 32 bits.
const RESERVED_32: u64 = 1 << 24;

/// A run and what is said of it.
pub(super) struct Piece<'a> {
    pub(super) run: Run<'a>,
    pub(super) said: Said,
    pub(super) mapping: Option<&'a Mapping>,
}

/// A range that gets one program header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment<'a> {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) said: Said,
    pub(super) mapping: Option<&'a Mapping>,
}

/// How many bytes are what.
#[derive(Clone, Debug, Default)]
pub(super) struct Count {
    /// Program headers for memory, and of these those that say something of it.
    pub(super) headers: u64,
    pub(super) loads: u64,
    /// Bytes that the dump has stored.
    pub(super) stored: u64,
    /// Zeros.
    pub(super) zero: u64,
    /// Bytes that only mapped files have.
    pub(super) in_files: u64,
    /// Bytes that should be in the dump and are not, and why the first of them are not.
    pub(super) missing: u64,
    pub(super) why: Option<Error>,
    /// Bytes at addresses that the file's format does not have.
    pub(super) beyond: u64,
}

/// An address space, looked through.
pub(super) struct Plan<'a> {
    space: &'a AddressSpace,
    format: Format,
    /// Ranges in blocks that cannot be unpacked, ascending.
    broken: Vec<(u64, u64)>,
    pub(super) count: Count,
}

impl<'a> Plan<'a> {
    /// Looks through an address space; compressed blocks are unpacked to see whether they can be.
    ///
    /// Errors: asked to end.
    pub(super) fn new(space: &'a AddressSpace, format: Format, watch: &Watch<'_>) -> Result<Self> {
        let mut this = Self { space, format, broken: Vec::new(), count: Count::default() };
        let mut count = Count::default();
        let mut broken = Vec::new();
        let mut scratch = Vec::new();
        for run in space.runs(0..u64::MAX).flat_map(Run::sound) {
            if let Content::Stored(stored) = &run.content
                && !stored.is_plain()
            {
                watch.stop()?;
                if let Err(error) = stored.bytes(&mut scratch) {
                    count.lose(&run, || error);
                    broken.push((run.start, run.end));
                }
            }
        }
        this.broken = broken;
        for piece in this.pieces() {
            count.piece(&piece);
        }
        for segment in this.segments() {
            count.headers = count.headers.saturating_add(1);
            count.loads = count.loads.saturating_add(u64::from(segment.said != Said::Nothing));
        }
        if let Some(end) = format.end() {
            let beyond = space.runs(end..u64::MAX).filter(|run| !matches!(run.content, Content::Missing(_)));
            count.beyond = beyond.fold(0, |sum, run| sum.saturating_add(run.len()));
        }
        this.count = count;
        Ok(this)
    }

    /// For which machine.
    pub(super) fn format(&self) -> Format {
        self.format
    }

    /// The runs, ascending.
    pub(super) fn pieces(&self) -> impl Iterator<Item = Piece<'a>> + '_ {
        let reserved = if self.format.is_64 { RESERVED } else { RESERVED_32 };
        let mut mapping: Option<&'a Mapping> = None;
        self.space.runs(0..self.format.end().unwrap_or(u64::MAX)).flat_map(Run::sound).map(move |run| {
            if mapping.is_none_or(|mapping| run.start < mapping.start.0 || run.end > mapping.end.0) {
                mapping = self.space.mapping_at(run.start);
            }
            let said = match &run.content {
                Content::Stored(stored) if !stored.is_plain() && self.is_broken(run.start) => Said::Nothing,
                Content::Stored(_) => Said::Bytes,
                Content::Zero if run.len() < reserved => Said::Bytes,
                Content::Zero => Said::Zeros,
                _ => Said::Nothing,
            };
            Piece { run, said, mapping }
        })
    }

    fn is_broken(&self, address: u64) -> bool {
        let behind = self.broken.partition_point(|(start, _)| *start <= address);
        let before = behind.checked_sub(1).and_then(|at| self.broken.get(at));
        before.is_some_and(|(_, end)| address < *end)
    }

    /// What gets a program header each, ascending.
    pub(super) fn segments(&self) -> impl Iterator<Item = Segment<'a>> + '_ {
        joined(self.pieces().map(|piece| Segment {
            start: piece.run.start,
            end: piece.run.end,
            said: piece.said,
            mapping: piece.mapping,
        }))
    }

    /// The ranges where a file is mapped, without those whose own pages are missing: who looks into the file for those
    /// would find what the process did not have.
    pub(super) fn files(&self) -> impl Iterator<Item = Segment<'a>> + '_ {
        let of_file = |mapping: &Mapping| matches!(mapping.backing, Backing::File(Some(_)));
        let pieces = self.pieces().filter(move |piece| {
            piece.mapping.is_some_and(of_file)
                && (piece.said == Said::Bytes || matches!(piece.run.content, Content::File { .. }))
        });
        joined(pieces.map(|piece| Segment {
            start: piece.run.start,
            end: piece.run.end,
            said: Said::Bytes,
            mapping: piece.mapping,
        }))
    }
}

/// Neighbours of one mapping of which the same is said, as one.
fn joined<'a>(parts: impl Iterator<Item = Segment<'a>>) -> impl Iterator<Item = Segment<'a>> {
    let mut parts = parts.peekable();
    std::iter::from_fn(move || {
        let mut segment = parts.next()?;
        let start = segment.mapping.map(|mapping| mapping.start);
        while let Some(next) = parts.next_if(|next| {
            next.start == segment.end && next.said == segment.said && next.mapping.map(|mapping| mapping.start) == start
        }) {
            segment.end = next.end;
        }
        Some(segment)
    })
}

impl Count {
    fn piece(&mut self, piece: &Piece<'_>) {
        let length = piece.run.len();
        let add = |sum: &mut u64| *sum = sum.saturating_add(length);
        match &piece.run.content {
            // a broken block was counted when it was found
            Content::Stored(_) if piece.said == Said::Nothing => {}
            Content::Stored(_) => add(&mut self.stored),
            Content::Zero => add(&mut self.zero),
            Content::File { .. } => add(&mut self.in_files),
            // there never was anything that a dump could have
            Content::Missing(Missing::Kernel | Missing::Device | Missing::BeyondEnd) => {}
            Content::Missing(missing) => self.lose(&piece.run, || missing.fault(piece.run.start)),
        }
    }

    fn lose(&mut self, run: &Run<'_>, why: impl FnOnce() -> Error) {
        self.missing = self.missing.saturating_add(run.len());
        self.why.get_or_insert_with(why);
    }
}

impl Segment<'_> {
    /// Its bytes in memory.
    pub(super) fn length(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// 1 execute, 2 write, 4 read: mmap counts from the other end. What is stored and not mapped can be read.
    pub(super) fn flags(&self) -> u32 {
        let Some(mapping) = self.mapping else { return 4 };
        let prot = mapping.prot.0;
        prot & 2 | (prot & 1) << 2 | prot >> 2 & 1
    }
}
