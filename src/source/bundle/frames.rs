//! What frames images, step by step: sections, START, STOP, END. It sees headers only, wherever they come from.

use std::borrow::Cow;
use std::collections::BTreeMap;

use zerocopy::IntoBytes;

use crate::base::{Error, Limits, Result};
use crate::source::bundle::directory::Tail;
use crate::source::bundle::{BlockAt, Section};
use crate::wire::v2::crc::crc32c;
use crate::wire::v2::header::{CONTINUES, MUST_FLAGS};
use crate::wire::v2::{Broken, ImageHeader, ObjectHeader, types};

/// An image as it was found.
pub(super) struct Found {
    pub(super) dump: u64,
    pub(super) kind: u32,
    pub(super) id: u64,
    /// How many ENDs came before it.
    pub(super) segment: usize,
    pub(super) sections: Vec<Section>,
    pub(super) state: State,
    /// Blocks of pages in it that are sound.
    pub(super) blocks: Vec<BlockAt>,
    headers: u32,
    checksum: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Its STOP is still to come.
    Open,
    /// Its STOP came and fits.
    Whole,
    /// Something of it is missing, or is not what it was.
    Broken,
}

/// What was seen so far.
#[derive(Default)]
pub(super) struct Frames {
    pub(super) part: usize,
    /// Sections that there may be, and that there are.
    most: usize,
    sections: usize,
    pub(super) images: Vec<Found>,
    /// The last image with a number of a dump, a kind and an id.
    pub(super) latest: BTreeMap<(u64, u32, u64), usize>,
    pub(super) tails: Vec<Tail>,
    pub(super) problems: Problems,
    /// Images that this version must refuse: nothing is wrong with the others.
    pub(super) refused: Problems,
    pub(super) records: u64,
    current: Option<Current>,
    /// Images that are complete since the last END.
    complete: u32,
    /// Index of the first image since then.
    first: usize,
}

/// What frames need to know of a payload.
pub(super) enum Content {
    /// Where a block of pages is, if its prefix is sound.
    Block(Result<BlockAt, Broken>),
    /// What an END says, if it is in its place.
    End(Option<Tail>),
    /// Nothing.
    Other,
}

/// What is wrong, and where; not more of it than is worth remembering.
#[derive(Default)]
pub(super) struct Problems {
    pub(super) list: Vec<Error>,
    /// How many more there were.
    pub(super) more: u64,
}

/// So many are remembered.
pub(super) const REMEMBERED: usize = 10_000;

impl Problems {
    pub(super) fn push(&mut self, error: Error) {
        if self.list.len() < REMEMBERED {
            self.list.push(error);
        } else {
            self.more = self.more.saturating_add(1);
        }
    }

    pub(super) fn extend(&mut self, other: Self) {
        self.more = self.more.saturating_add(other.more);
        other.list.into_iter().for_each(|error| self.push(error));
    }

    pub(super) fn at(&mut self, offset: usize, what: impl Into<Cow<'static, str>>) {
        self.push(Error::format(what).at_offset(offset as u64));
    }
}

#[derive(Clone, Copy)]
struct Current {
    /// Index of the image.
    image: usize,
    /// The number that its START must have, until it came.
    start: Option<u32>,
}

impl Frames {
    /// Nothing yet, of one of the files.
    pub(super) fn new(part: usize, limits: &Limits) -> Self {
        Self { part, most: limits.files, ..Self::default() }
    }

    /// Whether there are as many sections as there may be: what comes behind them is not looked at.
    ///
    /// Errors: there are more.
    pub(super) fn check(&self) -> Result<()> {
        if self.sections <= self.most {
            return Ok(());
        }
        let what = format!("more than {} sections of images", self.most);
        Err(Error::limit(what).hint("Limits::files, or --max-files, raises it"))
    }

    /// Goes on in the middle of an image, of which something is lost.
    pub(super) fn resume(&mut self, dump: u64, kind: u32, id: u64) {
        let known = self.latest.get(&(dump, kind, id)).copied();
        let image = match known.filter(|index| self.is_recent(*index) && self.state(*index) != State::Whole) {
            Some(image) => image,
            None => self.begin(dump, kind, id, true),
        };
        self.set(image, State::Broken);
        self.current = Some(Current { image, start: None });
    }

    /// Something that is no header: of the image whose section is open nothing more is believed.
    pub(super) fn damaged(&mut self) {
        self.current = None;
    }

    fn state(&self, image: usize) -> State {
        self.images.get(image).map_or(State::Broken, |image| image.state)
    }

    fn set(&mut self, image: usize, state: State) {
        if let Some(image) = self.images.get_mut(image) {
            image.state = state;
        }
    }

    /// Whether no END came since.
    fn is_recent(&self, image: usize) -> bool {
        image >= self.first
    }

    fn begin(&mut self, dump: u64, kind: u32, id: u64, is_latest: bool) -> usize {
        let index = self.images.len();
        let (segment, sections, blocks) = (self.tails.len(), Vec::new(), Vec::new());
        let state = State::Open;
        self.images.push(Found { dump, kind, id, segment, sections, state, blocks, headers: 0, checksum: 0 });
        if is_latest {
            self.latest.insert((dump, kind, id), index);
        }
        index
    }

    /// A section begins.
    pub(super) fn section(&mut self, offset: usize, header: &ImageHeader) {
        self.sections = self.sections.saturating_add(1);
        let key = (header.dump(), header.kind(), header.id());
        let (dump, kind, id) = key;
        let known = self.latest.get(&key).copied().filter(|index| self.is_recent(*index));
        let continues = header.flags() & CONTINUES != 0;
        if header.flags() & MUST_FLAGS != 0 {
            let what = format!("expected flags that this version knows, found {:#x}", header.flags());
            self.refused.push(Error::format(what).at_offset(offset as u64));
        }
        let image = match (known, continues) {
            (None, false) => self.begin(dump, kind, id, true),
            (Some(known), true) if self.state(known) != State::Whole => known,
            (Some(_), false) => {
                self.problems.at(offset, format!("expected image {kind} {id} once, found it again"));
                self.begin(dump, kind, id, true)
            }
            (known, true) => {
                let what = format!("expected the beginning of image {kind} {id}, or no more of it, found a section");
                self.problems.at(offset, what);
                let image = self.begin(dump, kind, id, known.is_none());
                self.set(image, State::Broken);
                image
            }
        };
        let part = self.part;
        let Some(found) = self.images.get_mut(image) else { return };
        let number = u32::try_from(found.sections.len()).unwrap_or(u32::MAX);
        found.sections.push(Section { kind, id, part, offset, size: size_of::<ImageHeader>() });
        self.current = Some(Current { image, start: Some(number) });
    }

    /// A record, from its offset to where it ends.
    pub(super) fn record(&mut self, offset: usize, end: usize, header: &ObjectHeader, content: Content) {
        self.records = self.records.saturating_add(1);
        let object_type = header.object_type();
        if let Content::End(tail) = content {
            return self.end(offset, tail);
        }
        let Some(current) = &mut self.current else {
            if object_type != types::PAD {
                self.problems.at(offset, "expected an image or an END, found a record of no image");
            }
            return;
        };
        let (index, start) = (current.image, current.start.take());
        let Some(image) = self.images.get_mut(index) else { return };
        if let Some(section) = image.sections.last_mut() {
            section.size = end.saturating_sub(section.offset);
        }
        let mut wrong = None;
        match (start, object_type) {
            (Some(number), types::START) if header.count() == number => {}
            (Some(number), types::START) => {
                wrong = Some(format!("expected section {number} of the image, found {}", header.count()));
            }
            (None, types::START) => wrong = Some("expected START at the top of a section, found it again".to_owned()),
            (Some(_), _) => wrong = Some("expected START at the top of a section, found another record".to_owned()),
            (None, types::STOP) => {
                self.current = None;
                if image.state == State::Open && is_stop_of(header, image.headers, image.checksum) {
                    image.state = State::Whole;
                    self.complete = self.complete.saturating_add(1);
                } else {
                    let count = (header.count(), image.headers);
                    wrong = Some(format!(
                        "expected the STOP of all {} records of the image, found {} or others",
                        count.0, count.1
                    ));
                }
            }
            (None, types::PAGE_BLOCK) if (image.kind, image.id) == (types::KIND_PAGES, 0) => match content {
                Content::Block(Ok(block)) => image.blocks.push(block),
                Content::Block(Err(broken)) => {
                    image.state = State::Broken;
                    self.problems.at(broken.offset, broken.to_string());
                }
                Content::End(_) | Content::Other => {}
            },
            (None, types::PAGE_BLOCK) => {
                wrong = Some("expected pages in the image of pages, found them here".to_owned())
            }
            (None, other) if other & types::MUST != 0 => {
                let what = format!("expected a type of record that this version knows, found {other:#x}");
                self.refused.push(Error::format(what).at_offset(offset as u64));
            }
            _ => {}
        }
        image.headers = image.headers.saturating_add(1);
        image.checksum = crc32c(image.checksum, header.as_bytes());
        if let Some(what) = wrong {
            image.state = State::Broken;
            self.problems.at(offset, what);
        }
    }

    fn end(&mut self, offset: usize, tail: Option<Tail>) {
        self.current = None;
        let Some(tail) = tail else {
            return self.problems.at(offset, "expected an END that says its place, found another");
        };
        let recent = self.images.get(self.first..).unwrap_or_default();
        for image in recent.iter().filter(|image| image.state != State::Whole) {
            let what = format!("expected image {} {} whole before END, found a part of it", image.kind, image.id);
            self.problems.at(image.sections.first().map_or(offset, |section| section.offset), what);
        }
        if tail.images != self.complete {
            let what = format!("expected an END behind {} images, found {}", tail.images, self.complete);
            self.problems.at(offset, what);
        }
        if tail.previous != self.tails.last().map_or(0, |tail| tail.offset) {
            self.problems.at(offset, format!("expected the END before this one at {}, found none", tail.previous));
        }
        let is_directory = |image: &Found| {
            image.kind == types::KIND_DIRECTORY
                && image.sections.first().is_some_and(|section| section.offset as u64 == tail.directory)
        };
        if tail.directory != 0 && !recent.last().is_some_and(is_directory) {
            self.problems.at(offset, format!("expected a directory at {}, found none", tail.directory));
        }
        if self.tails.is_empty() && recent.first().is_none_or(|image| image.kind != types::KIND_CHECKPOINT) {
            self.problems.at(0, "expected the image CHECKPOINT first in a bundle, found another");
        }
        self.tails.push(tail);
        self.complete = 0;
        self.first = self.images.len();
    }
}

/// Whether a STOP is that of an image with these headers.
pub(super) fn is_stop_of(stop: &ObjectHeader, headers: u32, checksum: u32) -> bool {
    stop.count() == headers && stop.checksum() == crc32c(checksum, stop.head())
}
