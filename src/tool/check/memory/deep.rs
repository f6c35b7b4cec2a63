//! Reading every page, and unpacking every block: in pieces of a few megabytes, on all cores.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use rayon::prelude::*;

use crate::base::{Error, ErrorKind, Result};
use crate::memory::{Block, Level, Origin, Pages, Span, unpack};
use crate::tool::check::findings::Findings;
use crate::tool::check::memory::few::Few;
use crate::tool::check::memory::packed;
use crate::tool::check::memory::pagemap::Described;
use crate::tool::check::{Finding, Severity, Subject};
use crate::wire::v2::Codec;

/// Bytes of a piece of work, of pages as they are.
const PIECE: u64 = 2 << 20;
/// Pieces that are made before they are done.
const WINDOW: usize = 64;
/// Bytes that are read at once: they stay in the processor's cache.
const CHUNK: usize = 128 << 10;

/// The pages file of one dump of a chain.
enum Reader {
    /// And its length.
    File(File, u64),
    Bytes(Bytes),
    /// It cannot be opened, which was told.
    Nothing,
}

/// A piece of work on one pages file.
struct Job {
    level: usize,
    /// What of the file is read.
    from: u64,
    to: u64,
    /// Address of its first page.
    address: u64,
    what: Work,
}

enum Work {
    /// Pages as they are.
    Plain,
    /// Blocks, their places from the entry's first page on; the address of that page.
    Blocks(Vec<Block>, u64),
    /// What fills up to the next multiple of the page size.
    Padding,
    /// Pages of an ancestor of version 2, up to this address.
    Placed(u64),
}

/// Reads all pages that a dump has and needs.
pub(super) fn look(
    subject: &Subject<'_>,
    described: &[Described],
    page_size: u64,
    findings: &mut Findings<'_>,
) -> Result<()> {
    let dump = subject.dump;
    if let Some(bundle) = dump.source().bundle().filter(|_| !subject.is_salvaged) {
        packed::look(subject, bundle, page_size, findings)?;
    }
    let pages = |one: &Described| one.count.stored.saturating_add(one.count.parent);
    let total = described.iter().map(pages).fold(0, u64::saturating_add).saturating_mul(page_size);
    let done = AtomicU64::new(0);
    for one in described {
        subject.go_on()?;
        let open = || Pages::open(dump.parents(), one.kind, one.id, Some(page_size), dump.limits());
        let Ok(Some(pages)) = open() else { continue };
        let deep = Deep { subject, pages: &pages, readers: readers(&pages), done: &done, total };
        let mut few = Few::default();
        let mut jobs = deep.jobs(page_size).peekable();
        while jobs.peek().is_some() {
            subject.go_on()?;
            let window: Vec<Job> = jobs.by_ref().take(WINDOW).collect();
            let found: Vec<Few> = window.par_iter().map_init(Room::default, |room, job| deep.run(job, room)).collect();
            found.into_iter().for_each(|found| few.extend(found));
        }
        few.tell(&one.name, findings)?;
    }
    Ok(())
}

fn readers(pages: &Pages) -> Vec<Reader> {
    let reader = |level: &Level| {
        let Some(file) = level.file(0).filter(|_| level.blocks().is_none()) else { return Reader::Nothing };
        match file.open() {
            Ok(Some(file)) => {
                let length = file.metadata().map_or(0, |meta| meta.len());
                Reader::File(file, length)
            }
            Ok(None) => file.content().map_or(Reader::Nothing, Reader::Bytes),
            Err(_) => Reader::Nothing,
        }
    };
    pages.levels.iter().map(reader).collect()
}

/// Buffers of one thread.
#[derive(Default)]
struct Room {
    read: Vec<u8>,
    unpacked: Vec<u8>,
}

struct Deep<'d> {
    subject: &'d Subject<'d>,
    pages: &'d Pages,
    readers: Vec<Reader>,
    done: &'d AtomicU64,
    total: u64,
}

impl Deep<'_> {
    /// All work, in the order of addresses, of pages that are stored more than once once.
    fn jobs(&self, page_size: u64) -> impl Iterator<Item = Job> {
        // where what was read of the dump's own file ends
        let mut end = 0u64;
        self.pages.spans(0..u64::MAX).flat_map(move |span| {
            let length = span.end.saturating_sub(span.start);
            let place = match span.origin {
                Origin::Plain { level: 0, offset } => Some((offset, length)),
                Origin::Blocks { level: 0, index, offset, .. } => Some((offset, self.taken(index))),
                _ => None,
            };
            let mut padding = None;
            if let Some((offset, length)) = place {
                let is_gap = offset > end && offset.saturating_sub(end) < page_size;
                padding =
                    is_gap.then_some(Job { level: 0, from: end, to: offset, address: span.start, what: Work::Padding });
                end = offset.saturating_add(length);
            }
            padding.into_iter().chain(self.of_span(span, length))
        })
    }

    /// Bytes that blocks of an entry of the dump's own take.
    fn taken(&self, index: usize) -> u64 {
        match self.pages.levels.first() {
            Some(Level::V1(store)) => store.payload_of_blocks(index).unwrap_or(0),
            _ => 0,
        }
    }

    /// Bytes of a pages file from an offset on.
    fn left(&self, level: usize, offset: u64) -> u64 {
        match self.readers.get(level) {
            Some(Reader::File(_, length)) => length.saturating_sub(offset),
            Some(Reader::Bytes(bytes)) => (bytes.len() as u64).saturating_sub(offset),
            _ => 0,
        }
    }

    fn of_span(&self, span: Span, length: u64) -> Box<dyn Iterator<Item = Job> + '_> {
        match span.origin {
            // what is behind the end of the file was told, and may be any number
            Origin::Plain { level, offset } => {
                Box::new(pieces(length.min(self.left(level, offset))).map(move |(from, to)| Job {
                    level,
                    from: offset.saturating_add(from),
                    to: offset.saturating_add(to),
                    address: span.start.saturating_add(from),
                    what: Work::Plain,
                }))
            }
            Origin::Blocks { level, index, offset, at } => {
                let Some(Level::V1(store)) = self.pages.levels.get(level) else { return Box::new(std::iter::empty()) };
                let blocks = store.blocks_from(index, offset, at).into_iter().flatten();
                let behind = at.saturating_add(length);
                let mut blocks = blocks.take_while(move |block| block.at < behind).peekable();
                let first = span.start.wrapping_sub(at);
                Box::new(std::iter::from_fn(move || {
                    let (mut some, mut sum) = (Vec::new(), 0u64);
                    while sum < PIECE
                        && let Some(block) = blocks.next()
                    {
                        sum = sum.saturating_add(block.unpacked);
                        some.push(block);
                    }
                    let (from, last) = (some.first()?.offset, some.last()?);
                    let to = last.offset.saturating_add(last.packed);
                    let address = first.wrapping_add(some.first()?.at);
                    Some(Job { level, from, to, address, what: Work::Blocks(some, first) })
                }))
            }
            // the dump's own were compared all together
            Origin::Placed { level, .. } if level > 0 => Box::new(pieces(length).map(move |(from, to)| {
                let at = |offset: u64| span.start.saturating_add(offset);
                Job { level, from: 0, to: 0, address: at(from), what: Work::Placed(at(to)) }
            })),
            _ => Box::new(std::iter::empty()),
        }
    }

    fn run(&self, job: &Job, room: &mut Room) -> Few {
        let mut few = Few::default();
        match &job.what {
            Work::Plain => self.read(job, room, &mut few, |_, _| None),
            Work::Padding => self.read(job, room, &mut few, |at, bytes| {
                let odd = bytes.iter().position(|byte| *byte != 0)?;
                let what = "expected zeros up to the next page, found other bytes";
                Some(Finding::warning("pages-padding", what).at_offset(at.saturating_add(odd as u64)))
            }),
            Work::Blocks(blocks, first) => self.blocks(job, blocks, *first, room, &mut few),
            Work::Placed(end) => {
                for run in self.pages.runs(job.address..*end) {
                    if let crate::memory::Content::Stored(stored) = &run.content
                        && let Err(error) = stored.bytes(&mut room.unpacked)
                    {
                        few.add("pages-damaged", Severity::Error, || Finding::from_error("pages-damaged", &error));
                    }
                }
            }
        }
        let length = match &job.what {
            Work::Plain => job.to.saturating_sub(job.from),
            Work::Padding => 0,
            Work::Blocks(blocks, _) => blocks.iter().fold(0u64, |sum, block| sum.saturating_add(block.unpacked)),
            Work::Placed(end) => end.saturating_sub(job.address),
        };
        let done = self.done.fetch_add(length, Ordering::Relaxed).saturating_add(length);
        self.subject.progress.advance(done.min(self.total), self.total);
        few
    }

    /// Reads what a job says, and asks `each` about the bytes at an offset.
    fn read(&self, job: &Job, room: &mut Room, few: &mut Few, each: impl Fn(u64, &[u8]) -> Option<Finding>) {
        let mut at = job.from;
        while at < job.to {
            let length = usize::try_from(job.to.saturating_sub(at)).unwrap_or(CHUNK).min(CHUNK);
            match self.fetch(job.level, at, length, &mut room.read) {
                Ok(bytes) => {
                    if let Some(finding) = each(at, bytes) {
                        let name = self.name(job.level);
                        few.add(finding.rule, finding.severity, || finding.clone().in_image(name));
                    }
                }
                Err(None) => return,
                Err(Some(error)) => return self.unreadable(job, &error, few),
            }
            at = at.saturating_add(length as u64);
        }
    }

    fn blocks(&self, job: &Job, blocks: &[Block], first: u64, room: &mut Room, few: &mut Few) {
        let length = usize::try_from(job.to.saturating_sub(job.from)).unwrap_or(0);
        let Room { read, unpacked } = room;
        let bytes = match self.fetch(job.level, job.from, length, read) {
            Ok(bytes) => bytes,
            Err(None) => return,
            Err(Some(error)) => return self.unreadable(job, &error, few),
        };
        for block in blocks.iter().filter(|block| block.packed > 0 && block.packed < block.unpacked) {
            let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
            let from = number(block.offset.saturating_sub(job.from));
            let stored = bytes.get(from..from.saturating_add(number(block.packed))).unwrap_or_default();
            unpacked.resize(number(block.unpacked), 0);
            if let Err(what) = unpack(Codec::Lz4, stored, unpacked) {
                few.add("block-damaged", Severity::Error, || {
                    let what = format!("the pages at {:#x}: {what}", first.wrapping_add(block.at));
                    let finding = Finding::error("block-damaged", what).in_image(self.name(job.level));
                    finding.at_offset(block.offset).advice("these pages are lost: take the file from a copy")
                });
            }
        }
    }

    /// Bytes of a pages file. An error is none where another rule has told that the file is too short.
    fn fetch<'r>(
        &self,
        level: usize,
        at: u64,
        length: usize,
        room: &'r mut Vec<u8>,
    ) -> Result<&'r [u8], Option<Error>> {
        match self.readers.get(level) {
            Some(Reader::File(file, known)) => {
                if room.len() < length {
                    room.resize(length, 0);
                }
                let into = room.get_mut(..length).unwrap_or_default();
                match file.read_exact_at(into, at) {
                    Ok(()) => Ok(into),
                    Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                        let is_shrunk = at.saturating_add(length as u64) <= *known;
                        Err(is_shrunk.then(|| Error::format("the file shrank while it was read")))
                    }
                    Err(error) => Err(Some(Error::io("cannot read pages", error))),
                }
            }
            Some(Reader::Bytes(bytes)) => {
                let from = usize::try_from(at).unwrap_or(usize::MAX);
                let Some(bytes) = bytes.get(from..from.saturating_add(length)) else { return Err(None) };
                room.clear();
                room.extend_from_slice(bytes);
                Ok(room)
            }
            _ => Err(None),
        }
    }

    fn unreadable(&self, job: &Job, error: &Error, few: &mut Few) {
        debug_assert_ne!(error.kind(), ErrorKind::Cancelled);
        few.add("pages-unreadable", Severity::Error, || {
            let mut finding = Finding::from_error("pages-unreadable", error).in_image(self.name(job.level));
            finding.what = format!("{}, of the page at {:#x} and behind it", finding.what, job.address);
            finding.at_offset(job.from).advice("the disk may be failing: take the file from a copy")
        });
    }

    /// What the pages file of a dump of the chain is called.
    fn name(&self, level: usize) -> String {
        self.pages.levels.get(level).map_or("", |level| level.file_name(0)).to_owned()
    }
}

/// A length in pieces.
fn pieces(length: u64) -> impl Iterator<Item = (u64, u64)> {
    let mut at = 0u64;
    std::iter::from_fn(move || {
        let from = at;
        at = from.saturating_add(PIECE).min(length);
        (from < length).then_some((from, at))
    })
}
