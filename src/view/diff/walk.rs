//! Two address spaces, run by run in lock step over one range of addresses.

use std::ops::Range;

use crate::base::listing::keep;
use crate::base::{Error, Name};
use crate::checkpoint::AddressSpace;
use crate::checkpoint::space::SpaceRuns;
use crate::memory::run::Packed;
use crate::memory::{Content, Missing, Run};
use crate::view::diff::bytes::{Bytes, compare};
use crate::view::diff::counts::{Counts, State};
use crate::view::diff::named;
use crate::view::diff::origin::{Asked, Origins};

/// The mapping that pages are counted under: that of the first dump, or where it has none that of the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    InA(usize),
    InB(usize),
    Unmapped,
}

/// Consecutive changed pages of one mapping.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChangedRun {
    pub(super) place: Place,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) pages: u64,
    pub(super) bytes: u64,
}

impl ChangedRun {
    /// Takes `next` in if that goes on where this one ends.
    pub(super) fn join(&mut self, next: &ChangedRun) -> bool {
        let is_one = self.place == next.place && self.end == next.start;
        if is_one {
            self.end = next.end;
            self.pages = self.pages.saturating_add(next.pages);
            self.bytes = self.bytes.saturating_add(next.bytes);
        }
        is_one
    }
}

/// What was found in one range.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// In the order of addresses; a mapping may be in it more than once.
    pub(super) counts: Vec<(Place, Counts)>,
    pub(super) runs: Vec<ChangedRun>,
    pub(super) problems: Vec<Error>,
    /// Bytes of pages that were walked over, where a side has them stored.
    pub(super) stored: u64,
    /// Where it stopped, if that is before the end of the range.
    pub(super) rest: Option<u64>,
}

/// The runs of one side.
struct Side<'a, 'o, 'd> {
    space: &'a AddressSpace,
    runs: SpaceRuns<'a>,
    now: Option<Run<'a>>,
    origins: &'o Origins<'d>,
    asked: Asked<'o, 'd>,
    /// The error that was told last: thousands of runs may miss one file.
    told: Option<String>,
    /// The mapping that was found last, and where it lies.
    region: (Range<u64>, Option<usize>),
    /// A block that was unpacked, and whether that is the one of the current run.
    scratch: Vec<u8>,
    unpacked: Option<Result<(), ()>>,
}

/// What a side has at some addresses.
enum Has<'a> {
    Stored,
    Zero,
    File(Option<&'a Name>, u64),
    Nothing(State),
    Unmapped,
}

impl<'a, 'o, 'd> Side<'a, 'o, 'd> {
    fn new(space: &'a AddressSpace, range: Range<u64>, origins: &'o Origins<'d>) -> Self {
        Self {
            space,
            runs: space.runs(range),
            now: None,
            origins,
            asked: Asked::new(origins),
            told: None,
            region: (0..0, None),
            scratch: Vec::new(),
            unpacked: None,
        }
    }

    /// Moves on to the run with `at`, or the next one; how far what is at `at` goes, at most to `end`.
    fn seek(&mut self, at: u64, end: u64) -> u64 {
        while self.now.as_ref().is_none_or(|run| run.end <= at) {
            self.unpacked = None;
            self.now = self.runs.next();
            if self.now.is_none() {
                return end;
            }
        }
        match &self.now {
            Some(run) if run.start > at => run.start.min(end),
            Some(run) => run.end.min(end),
            None => end,
        }
    }

    fn run(&self, at: u64) -> Option<&Run<'a>> {
        self.now.as_ref().filter(|run| run.start <= at)
    }

    /// What is at `at`, and the error if that is broken.
    fn has(&self, at: u64) -> (Has<'a>, Option<Error>) {
        let Some(run) = self.run(at) else {
            let nothing = if self.space.is_known() { Has::Unmapped } else { Has::Nothing(State::Unknown) };
            return (nothing, None);
        };
        let behind = at.saturating_sub(run.start);
        match &run.content {
            Content::Stored(_) => (Has::Stored, None),
            Content::Zero => (Has::Zero, None),
            Content::File { name, offset } => (Has::File(*name, offset.saturating_add(behind)), None),
            Content::Missing(Missing::Broken(error)) => (Has::Nothing(State::Broken), Some(error.clone())),
            Content::Missing(missing) => (Has::Nothing(State::of(missing)), None),
        }
    }

    /// The error with the name of its dump, if it was not told just before.
    fn tell(&mut self, error: Option<Error>) -> Option<Error> {
        let error = named(self.origins.dump, error?);
        let text = error.to_string();
        (self.told.as_ref() != Some(&text)).then(|| {
            self.told = Some(text);
            error
        })
    }

    fn mapping(&mut self, at: u64) -> Option<usize> {
        if !self.region.0.contains(&at) {
            self.region = match self.space.region(at) {
                Some(region) => (region.start..region.end, Some(region.mapping)),
                None => (at..at.saturating_add(1), None),
            };
        }
        self.region.1
    }

    /// Unpacks the block of the current run, if it is in one.
    fn unpack(&mut self) -> Result<(), Option<Error>> {
        match (&self.unpacked, &self.now) {
            (Some(done), _) => done.map_err(|()| None),
            (None, Some(Run { content: Content::Stored(stored), .. })) if !stored.is_plain() => {
                let done = stored.bytes(&mut self.scratch).map(|_| ());
                self.unpacked = Some(done.as_ref().map(|_| ()).map_err(|_| ()));
                done.map_err(Some)
            }
            _ => Ok(()),
        }
    }

    /// How far bytes are all right from `at` on, or how far they are not, and why.
    fn sound(&self, at: u64, end: u64) -> (u64, Option<Error>) {
        let Some(run) = self.run(at) else { return (end, None) };
        let Content::Stored(stored) = &run.content else { return (end, None) };
        let number = |address: u64| usize::try_from(address.saturating_sub(run.start)).unwrap_or(usize::MAX);
        let (to, result) = stored.sound(number(at), number(end));
        (run.start.saturating_add(to as u64).clamp(at.saturating_add(1), end), result.err())
    }

    /// The bytes from `at` to `end`, once they are unpacked and found to be right.
    fn bytes(&self, at: u64, end: u64) -> Bytes<'_> {
        let Some(run) = self.run(at) else { return Bytes::These(&[]) };
        let Content::Stored(stored) = &run.content else { return Bytes::Zeros };
        let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let (from, to) = (number(at.saturating_sub(run.start)), number(end.saturating_sub(run.start)));
        let found = match (stored.map(), stored.packed()) {
            (Some(map), _) => map.get(from..to),
            (None, Some(packed)) => {
                let part = &packed.part;
                self.scratch.get(part.start.saturating_add(from)..part.start.saturating_add(to))
            }
            (None, None) => None,
        };
        Bytes::These(found.unwrap_or_default())
    }
}

/// Whether both sides have what is at `at` from the same bytes of one file, or in the same block, packed alike.
fn is_same_origin(a: &mut Side<'_, '_, '_>, b: &mut Side<'_, '_, '_>, at: u64) -> bool {
    let (Some(one), Some(other)) = (&a.now, &b.now) else { return false };
    let (Content::Stored(this), Content::Stored(that)) = (&one.content, &other.content) else { return false };
    let (skipped, other_skipped) = (at.saturating_sub(one.start), at.saturating_sub(other.start));
    match (this.packed(), that.packed()) {
        (None, None) => {
            let place = this.offset().checked_add(skipped);
            let is_one_place = place.is_some() && place == that.offset().checked_add(other_skipped);
            is_one_place && {
                let identity = a.asked.identity(this);
                identity.is_some() && identity == b.asked.identity(that)
            }
        }
        (Some(packed), Some(others)) => {
            let start = |packed: &Packed<'_>, skipped: u64| (packed.part.start as u64).checked_add(skipped);
            (packed.length, packed.codec) == (others.length, others.codec)
                && start(packed, skipped) == start(others, other_skipped)
                && (std::ptr::eq(packed.bytes, others.bytes) || packed.bytes == others.bytes)
        }
        _ => false,
    }
}

/// What is compared, and where.
pub(super) struct Walk<'a> {
    pub(super) a: &'a AddressSpace,
    pub(super) b: &'a AddressSpace,
    pub(super) origins: (&'a Origins<'a>, &'a Origins<'a>),
    /// Whether runs of changed pages are wanted.
    pub(super) runs: bool,
    /// After so many stored bytes a range is left for the next call.
    pub(super) at_most: u64,
}

impl Walk<'_> {
    /// Compares one range of addresses.
    pub(super) fn range(&self, range: Range<u64>) -> Found {
        let mut found = Found::default();
        let page = self.a.page_size().max(1);
        let mut a = Side::new(self.a, range.clone(), self.origins.0);
        let mut b = Side::new(self.b, range.clone(), self.origins.1);
        let mut at = range.start;
        while at < range.end {
            let end = a.seek(at, range.end).min(b.seek(at, range.end));
            if a.now.is_none() && b.now.is_none() {
                break;
            }
            if a.run(at).is_some() || b.run(at).is_some() {
                let place = match (a.mapping(at), b.mapping(at)) {
                    (Some(mapping), _) => Place::InA(mapping),
                    (None, Some(mapping)) => Place::InB(mapping),
                    (None, None) => Place::Unmapped,
                };
                if found.counts.last().is_none_or(|(last, _)| *last != place) {
                    found.counts.push((place, Counts::default()));
                }
                self.piece(&mut a, &mut b, at..end, page, &mut found);
            }
            at = end;
            if found.stored >= self.at_most {
                found.rest = Some(at).filter(|at| *at < range.end);
                break;
            }
        }
        found
    }

    fn piece(
        &self,
        a: &mut Side<'_, '_, '_>,
        b: &mut Side<'_, '_, '_>,
        Range { start, end: all }: Range<u64>,
        page: u64,
        found: &mut Found,
    ) {
        let Found { counts, runs, problems, stored, .. } = found;
        let Some((place, counts)) = counts.last_mut() else { return };
        let pages = all.saturating_sub(start).div_ceil(page);
        let ((of_a, error), (of_b, other)) = (a.has(start), b.has(start));
        keep(problems, a.tell(error).into_iter().chain(b.tell(other)));
        let has_bytes = |has: &Has<'_>| matches!(has, Has::Stored | Has::Zero);
        if matches!((&of_a, &of_b), (Has::Stored, _) | (_, Has::Stored)) {
            *stored = stored.saturating_add(all.saturating_sub(start));
        }
        match (of_a, of_b) {
            (Has::Zero, Has::Zero) => counts.same = counts.same.saturating_add(pages),
            (Has::File(name, offset), Has::File(other, there))
                if name.is_some() && name == other && offset == there =>
            {
                counts.same_unread = counts.same_unread.saturating_add(pages);
            }
            (Has::Unmapped, other) if has_bytes(&other) => counts.added = counts.added.saturating_add(pages),
            (other, Has::Unmapped) if has_bytes(&other) => counts.gone = counts.gone.saturating_add(pages),
            // a mapping without bytes that came or went: the mappings tell
            (Has::Unmapped, _) | (_, Has::Unmapped) => {}
            (of_a, of_b) if has_bytes(&of_a) && has_bytes(&of_b) => {
                if is_same_origin(a, b, start) {
                    counts.same = counts.same.saturating_add(pages);
                    return;
                }
                let (done, other) = (a.unpack(), b.unpack());
                if done.is_err() || other.is_err() {
                    let state = |has: &Has<'_>, is_broken: bool| if is_broken { State::Broken } else { state(has) };
                    counts.cannot(state(&of_a, done.is_err()), state(&of_b, other.is_err()), pages);
                    let errors = [a.tell(done.err().flatten()), b.tell(other.err().flatten())];
                    keep(problems, errors.into_iter().flatten());
                    return;
                }
                let size = usize::try_from(page).unwrap_or(usize::MAX);
                let mut end = start;
                while end < all {
                    let start = end;
                    let ((of_one, error), (of_other, another)) = (a.sound(start, all), b.sound(start, all));
                    end = of_one.min(of_other);
                    let length = usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX);
                    if error.is_some() || another.is_some() {
                        let state = |has: &Has<'_>, is_broken: bool| if is_broken { State::Broken } else { state(has) };
                        let pages = end.saturating_sub(start).div_ceil(page);
                        counts.cannot(state(&of_a, error.is_some()), state(&of_b, another.is_some()), pages);
                        keep(problems, [a.tell(error), b.tell(another)].into_iter().flatten());
                        continue;
                    }
                    let same = compare(a.bytes(start, end), b.bytes(start, end), length, size, |changed| {
                        counts.changed = counts.changed.saturating_add(1);
                        counts.bytes_changed = counts.bytes_changed.saturating_add(changed.bytes);
                        counts.was_zero = counts.was_zero.saturating_add(u64::from(changed.was_zero));
                        counts.became_zero = counts.became_zero.saturating_add(u64::from(changed.became_zero));
                        if self.runs {
                            let from = start.saturating_add(changed.at as u64);
                            let to = from.saturating_add(page).min(end);
                            let run =
                                ChangedRun { place: *place, start: from, end: to, pages: 1, bytes: changed.bytes };
                            if !runs.last_mut().is_some_and(|last| last.join(&run)) {
                                runs.push(run);
                            }
                        }
                    });
                    counts.same = counts.same.saturating_add(same);
                }
            }
            (of_a, of_b) => counts.cannot(state(&of_a), state(&of_b), pages),
        }
    }
}

fn state(has: &Has<'_>) -> State {
    match has {
        Has::Stored => State::Stored,
        Has::Zero => State::Zero,
        Has::File(..) => State::File,
        Has::Nothing(state) => *state,
        Has::Unmapped => State::Unknown,
    }
}
