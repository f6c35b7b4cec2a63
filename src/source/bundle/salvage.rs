//! What is whole in a file that is not: after damage a walk goes on at the next header that can be trusted.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use memchr::memmem::Finder;
use rayon::prelude::*;

use crate::base::map::{self, Access};
use crate::base::report::{Cancel, Progress};
use crate::base::{Error, Limits, Result};
use crate::source::bundle::directory::{Directory, Tail};
use crate::source::bundle::frames::{Found, State};
use crate::source::bundle::job::units;
use crate::source::bundle::survey::Survey;
use crate::source::bundle::verify::Control;
use crate::source::bundle::{BlockAt, Blocks, Bundle, Part, Section};
use crate::wire::v2::array::{Array, BlockRow};
use crate::wire::v2::crc::crc32c;
use crate::wire::v2::{ImageHeader, Record, types};

/// What was got out of a file.
pub struct Salvage {
    /// It holds the images that are whole, and no others. Of the image of pages it has all blocks that are sound, also
    /// where it is not whole.
    pub bundle: Bundle,
    /// Images that are whole.
    pub whole: Vec<Saved>,
    /// Images that are not, of which something was seen or that a directory lists, and why.
    pub lost: Vec<Error>,
    /// Their kinds, by the registry's numbers, and numbers.
    pub lost_images: Vec<(u32, u64)>,
    /// What is wrong in the file, by place: [`lost`](Self::lost) comes of it.
    pub problems: Vec<Error>,
    /// Pages in blocks that are sound, whose bytes are not what they were: ranges of their numbers, with how many.
    pub pages: Vec<(u64, u64)>,
    /// The numbers of all dumps that were seen, the last one first.
    pub dumps: Vec<u64>,
}

/// An image that is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saved {
    /// Kind of the image, by the registry's number.
    pub kind: u32,
    /// Number of the image.
    pub id: u64,
    /// How many sections it has.
    pub sections: usize,
    /// Their bytes.
    pub size: u64,
}

/// Where headers are that can be trusted, whatever is around them. Memory of a process may hold anything, also
/// headers: an image's are believed where they have the number of a dump that the file holds.
#[derive(Default)]
pub(super) struct Anchors {
    dumps: BTreeSet<u64>,
    /// Sections and ENDs that directories tell of.
    places: Vec<usize>,
    /// Blocks of pages that tables tell of: their places and their dumps.
    blocks: Vec<(usize, u64)>,
    /// Images that directories list.
    listed: Vec<(u64, u32, u64)>,
}

/// Where a walk goes on.
pub(super) enum Next {
    /// At a header.
    Header(usize),
    /// At a block of pages of a dump, in the middle of a section.
    Block(usize, u64),
}

/// The first bytes of each header of an image, and the tag behind them.
const NEEDLE: [u8; 6] = [0x0d, b'C', b'R', b'I', b'U', 0x15];

impl Anchors {
    pub(super) fn of(bytes: &Bytes, limits: &Limits) -> Self {
        let mut this = Self::default();
        let first = ImageHeader::read(bytes).ok().map(ImageHeader::dump);
        this.dumps.extend(first);
        let tail = Tail::find(bytes, limits.scan);
        let tail = tail.filter(|tail| first.is_none_or(|first| tail.is_proven(bytes, first)));
        for tail in tail.into_iter().flat_map(|tail| tail.chain(bytes)) {
            this.places.extend(usize::try_from(tail.offset));
            this.dumps.extend(tail.dump(bytes));
            if let Some(directory) = Some(tail).filter(|tail| tail.directory != 0)
                && let Ok(directory) = Directory::read(bytes, &directory, 0, limits)
            {
                this.add(bytes, &directory);
            }
        }
        if this.dumps.is_empty() {
            // the first header is lost, and nothing tells of it
            let finder = Finder::new(&NEEDLE);
            let mut headers = finder.find_iter(bytes).filter_map(|at| bytes.get(at..));
            this.dumps.extend(headers.find_map(|rest| ImageHeader::read(rest).ok()).map(ImageHeader::dump));
        }
        this.places.sort_unstable();
        this.blocks.sort_unstable();
        this
    }

    fn add(&mut self, bytes: &[u8], directory: &Directory) {
        self.places.extend(directory.sections.iter().map(|section| section.offset));
        self.listed.extend(directory.sections.iter().map(|section| (directory.dump, section.kind, section.id)));
        for table in &directory.tables {
            let Ok(record) = Record::read(bytes, *table) else { continue };
            if record.check().is_err() {
                continue;
            }
            let Ok(rows) = Array::<BlockRow>::new(record.header, record.payload) else { continue };
            let place = |row: &BlockRow| usize::try_from(row.offset()).ok().map(|at| (at, directory.dump));
            self.blocks.extend(rows.iter().filter_map(place));
        }
    }

    /// Where to go on behind an offset at which something is wrong.
    pub(super) fn next(&self, bytes: &[u8], at: usize) -> Option<Next> {
        let from = at.saturating_add(1);
        let place = self.places.partition_point(|place| *place < from);
        let place = self.places.get(place).copied();
        let block = self.blocks.partition_point(|(place, _)| *place < from);
        let block = self.blocks.get(block).copied();
        let trusted = place.into_iter().chain(block.map(|(at, _)| at)).min().unwrap_or(bytes.len()).min(bytes.len());
        let is_header = |at: &usize| {
            let header = ImageHeader::read(bytes.get(*at..).unwrap_or_default());
            header.is_ok_and(|header| self.dumps.contains(&header.dump()))
        };
        // nothing that is looked for begins before a place that is known and ends behind it
        let range = bytes.get(from..trusted.saturating_add(NEEDLE.len()).min(bytes.len())).unwrap_or_default();
        let finder = Finder::new(&NEEDLE);
        let mut headers = finder.find_iter(range).map(|at| from.saturating_add(at));
        match (headers.find(is_header), place, block) {
            (Some(header), ..) => Some(Next::Header(header)),
            (None, _, Some((block, dump))) if block == trusted => Some(Next::Block(block, dump)),
            (None, Some(place), _) if place == trusted => Some(Next::Header(place)),
            _ => None,
        }
    }

    /// Tells the survey where it goes on; the offset.
    pub(super) fn enter(&self, survey: &mut Survey<'_>, next: Next) -> usize {
        match next {
            Next::Header(at) => at,
            Next::Block(at, dump) => {
                survey.frames.resume(dump, types::KIND_PAGES, 0);
                at
            }
        }
    }
}

impl Bundle {
    /// Gets out of a file what is whole: see [`salvage`](Self::salvage).
    ///
    /// Errors: it cannot be read; it holds nothing whole; it was cancelled.
    pub fn salvage_file(
        path: &Path,
        access: Access,
        limits: Limits,
        control: (&dyn Progress, &Cancel),
    ) -> Result<Salvage> {
        let name = path.to_string_lossy().into_owned();
        let file = File::open(path).map_err(|error| Error::io("cannot open", error).in_image(name.clone()))?;
        let bytes = map::content(&file, path, access)?;
        salvage(Part::new(name, bytes, Some((path.to_path_buf(), file))), None, limits, control)
    }

    /// Gets out of bytes what is whole of a dump; of the last one, if none is asked for. Everything that is given out has
    /// been compared with its checksums.
    ///
    /// Errors: they hold nothing whole; it was cancelled.
    pub fn salvage(
        name: &str,
        bytes: Bytes,
        dump: Option<u64>,
        limits: Limits,
        control: (&dyn Progress, &Cancel),
    ) -> Result<Salvage> {
        salvage(Part::new(name.to_owned(), bytes, None), dump, limits, control)
    }
}

fn salvage(part: Part, dump: Option<u64>, limits: Limits, control: (&dyn Progress, &Cancel)) -> Result<Salvage> {
    let (bytes, name) = (part.bytes.clone(), part.name.clone());
    let anchors = Anchors::of(&bytes, &limits);
    let mut survey = Survey::new(&bytes, 0, &limits).checked();
    let mut at = 0;
    while let Some(damage) = survey.walk(at, &mut |_| {}) {
        if control.1.is_cancelled() {
            return Err(Error::cancelled("interrupted"));
        }
        match anchors.next(&bytes, damage) {
            Some(next) => at = anchors.enter(&mut survey, next),
            None => break,
        }
    }
    let frames = survey.frames;
    frames.check().map_err(|error| error.in_image(name.as_str()))?;
    let images = || frames.images.iter().filter(|image| image.kind != types::KIND_DIRECTORY);
    let mut known = BTreeSet::new();
    let whole = images().rev().filter(|image| image.state == State::Whole);
    let dumps: Vec<u64> = whole.map(|image| image.dump).filter(|dump| known.insert(*dump)).collect();
    let Some(dump) = dump.or_else(|| dumps.first().copied()) else {
        return Err(Error::format("expected a whole image of version 2, found none").in_image(name));
    };
    let mut lost = BTreeMap::new();
    let (mut saved, mut sections) = (Vec::new(), Vec::new());
    for ((_, kind, id), index) in frames.latest.range((dump, 0, 0)..=(dump, u32::MAX, u64::MAX)) {
        let Some(image) = frames.images.get(*index).filter(|_| *kind != types::KIND_DIRECTORY) else { continue };
        let size = image.sections.iter().fold(0u64, |sum, section| sum.saturating_add(section.size as u64));
        match image.state {
            State::Whole => {
                saved.push(Saved { kind: *kind, id: *id, sections: image.sections.len(), size });
                sections.extend_from_slice(&image.sections);
            }
            State::Open => {
                lost.insert((*kind, *id), ("its STOP is not there", first(image)));
            }
            State::Broken => {
                lost.insert((*kind, *id), ("something of it is missing or not what it was", first(image)));
            }
        }
    }
    for (_, kind, id) in anchors.listed.iter().filter(|(of, kind, _)| *of == dump && *kind != types::KIND_DIRECTORY) {
        if !frames.latest.contains_key(&(dump, *kind, *id)) {
            lost.insert((*kind, *id), ("nothing of it is there", None));
        }
    }
    let blocks = sound(&frames.images, dump);
    let pages = broken(&bytes, &blocks, control)?;
    if !pages.is_empty() {
        let pages = (types::KIND_PAGES, 0);
        saved.retain(|image: &Saved| (image.kind, image.id) != pages);
        sections.retain(|section: &Section| (section.kind, section.id) != pages);
        lost.entry(pages).or_insert(("some of its pages are not what they were", None));
    }
    let lost_images = lost.keys().copied().collect();
    let lost = lost.into_iter().map(|((kind, id), (why, at))| {
        let error = Error::format(format!("image {kind} {id} is lost: {why}")).in_image(name.as_str());
        at.into_iter().fold(error, |error, at| error.at_offset(at as u64))
    });
    let lost = lost.collect();
    let mut problems: Vec<Error> =
        frames.problems.list.into_iter().map(|error| error.in_image(name.as_str())).collect();
    problems.sort_by_key(Error::offset);
    sections.sort_unstable();
    let bundle = Bundle {
        name,
        parts: vec![part],
        sections,
        dump,
        limits,
        blocks: OnceLock::from(Ok(Blocks::of_found(blocks))),
        warnings: Vec::new(),
        is_several: false,
    };
    Ok(Salvage { bundle, whole: saved, lost, lost_images, problems, pages, dumps })
}

fn first(image: &Found) -> Option<usize> {
    image.sections.first().map(|section: &Section| section.offset)
}

/// The blocks of pages of a dump that are sound: those of its last image of pages, or of what is left of it.
fn sound(images: &[Found], dump: u64) -> Vec<BlockAt> {
    let pages = || images.iter().filter(|image| (image.dump, image.kind, image.id) == (dump, types::KIND_PAGES, 0));
    let last = pages().map(|image| image.segment).max();
    let mut blocks: Vec<BlockAt> =
        pages().filter(|image| Some(image.segment) == last).flat_map(|image| image.blocks.iter().copied()).collect();
    blocks.sort_unstable();
    // a page that is there twice, as where a block was written twice, is taken once
    let mut end = 0;
    blocks.retain(|block| {
        let is_new = block.first >= end;
        if is_new {
            end = block.first.saturating_add(block.pages);
        }
        is_new
    });
    blocks
}

/// Ranges of pages whose bytes are not what they were.
fn broken(bytes: &[u8], blocks: &[BlockAt], (progress, cancel): (&dyn Progress, &Cancel)) -> Result<Vec<(u64, u64)>> {
    let control = Control { progress, cancel, done: AtomicU64::new(0), total: bytes.len() as u64 };
    let check = |block: &BlockAt| {
        let at = usize::try_from(block.offset).unwrap_or(usize::MAX);
        let (mut found, mut done) = (Vec::new(), 0u64);
        for unit in units(bytes, at, 0, usize::MAX).into_iter().flatten() {
            done = done.saturating_add(unit.data.len() as u64);
            if unit.sum.is_some_and(|sum| sum != crc32c(0, unit.data)) {
                found.push((unit.first, unit.pages));
            }
        }
        control.advance(done).map(|()| found)
    };
    let found: Result<Vec<Vec<(u64, u64)>>> = blocks.par_iter().map(check).collect();
    Ok(found?.into_iter().flatten().collect())
}
