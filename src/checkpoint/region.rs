//! What each range of an address space is made of: pages of its own, those of a segment, and what is there otherwise.

use std::collections::HashMap;
use std::ops::Range;

use crate::base::{Error, Result};
use crate::checkpoint::Checkpoint;
use crate::checkpoint::mm::{Backing, Mapping};
use crate::checkpoint::segment::Segment;
use crate::checkpoint::space::AddressSpace;
use crate::memory::{Content, Missing, Run, Runs};

/// A range of addresses of one mapping.
pub(crate) struct Region {
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// Which of the mappings.
    pub(crate) mapping: usize,
    /// Whether the process may have pages of its own there.
    pub(crate) own: bool,
    /// Where else to look: which segment, and at which offset the region begins in it.
    pub(crate) segment: Option<(usize, u64)>,
    pub(crate) otherwise: Otherwise,
}

/// What is where no pagemap knows a page.
#[derive(Clone)]
pub(crate) enum Otherwise {
    Zero,
    /// What the mapped file has, the region's first byte at this offset.
    File(u64),
    Missing(Missing),
}

/// The regions of a process, ascending, and the segments that they are about.
pub(crate) fn regions(dump: &Checkpoint, mappings: &[Mapping]) -> Result<(Vec<Region>, Vec<Segment>)> {
    let mut found = Segments { dump, list: Vec::new(), numbers: HashMap::new() };
    let mut regions = Vec::with_capacity(mappings.len());
    let mut guards = Vec::new();
    for (mapping, of) in mappings.iter().enumerate() {
        if of.backing == Backing::Guard {
            guards.push((of.start.0, of.end.0));
        } else if of.start.0 < of.end.0 {
            regions.push(region(of, mapping, &mut found)?);
        }
    }
    regions.sort_by_key(|region| region.start);
    guards.sort_unstable();
    // only a broken dump has some in others; so their ends ascend as well
    guards.dedup_by(|guard, before| {
        let is_inside = guard.0 <= before.1;
        before.1 = if is_inside { before.1.max(guard.1) } else { before.1 };
        is_inside
    });
    Ok((carved(regions, &guards), found.list))
}

struct Segments<'a> {
    dump: &'a Checkpoint,
    list: Vec<Segment>,
    numbers: HashMap<u64, usize>,
}

impl Segments<'_> {
    fn number(&mut self, id: u64, size: Option<u64>) -> Result<usize> {
        if let Some(number) = self.numbers.get(&id) {
            return Ok(*number);
        }
        let number = self.list.len();
        self.list.push(self.dump.open_segment(id, size)?);
        self.numbers.insert(id, number);
        Ok(number)
    }
}

fn region(of: &Mapping, mapping: usize, segments: &mut Segments<'_>) -> Result<Region> {
    let kernel = Otherwise::Missing(Missing::Kernel);
    let device = Otherwise::Missing(Missing::Device);
    let (segment, otherwise) = match of.backing {
        Backing::Shared | Backing::SysV => (Some((segments.number(of.shmid, None)?, of.pgoff)), Otherwise::Zero),
        Backing::Memfd(_) => match segments.dump.memfd(of.shmid) {
            Err(error) => (None, Otherwise::Missing(Missing::Broken(error))),
            // CRIU writes no image for one without a byte
            Ok(Some((_, 0))) => (None, Otherwise::Missing(Missing::BeyondEnd)),
            Ok(Some((id, size))) => (Some((segments.number(id, Some(size))?, of.pgoff)), Otherwise::Zero),
            Ok(None) => (None, Otherwise::Missing(Missing::Broken(lost_memfd(of.shmid)))),
        },
        Backing::File(_) => (None, Otherwise::File(of.pgoff)),
        Backing::Vdso | Backing::Vvar | Backing::Vsyscall | Backing::Uprobes | Backing::Aio => (None, kernel),
        Backing::Socket | Backing::Device => (None, device),
        _ => (None, Otherwise::Zero),
    };
    let own = segment.is_none() || !of.flags.is_shared();
    Ok(Region { start: of.start.0, end: of.end.0, mapping, own, segment, otherwise })
}

/// A memfd that the dump's files don't have: they alone know which segment has its content.
fn lost_memfd(id: u64) -> Error {
    Error::format(format!("expected the memfd {id}, found none with that number")).in_image("files.img")
}

/// The regions without what guards cover; of two that overlap, as only a broken dump has them, the first counts.
fn carved(regions: Vec<Region>, guards: &[(u64, u64)]) -> Vec<Region> {
    let mut carved = Vec::with_capacity(regions.len());
    let mut before = 0u64;
    for region in regions {
        let mut at = region.start.max(before);
        before = before.max(region.end);
        let first = guards.partition_point(|guard| guard.1 <= at);
        for guard in guards.get(first..).unwrap_or_default() {
            if guard.0 >= region.end {
                break;
            }
            push(&mut carved, &region, at, guard.0);
            at = at.max(guard.1);
        }
        push(&mut carved, &region, at, region.end);
    }
    carved
}

fn push(carved: &mut Vec<Region>, region: &Region, start: u64, end: u64) {
    if start >= end {
        return;
    }
    let behind = start.saturating_sub(region.start);
    carved.push(Region {
        start,
        end,
        mapping: region.mapping,
        own: region.own,
        segment: region.segment.map(|(number, shift)| (number, shift.saturating_add(behind))),
        otherwise: match &region.otherwise {
            Otherwise::File(offset) => Otherwise::File(offset.saturating_add(behind)),
            other => other.clone(),
        },
    });
}

/// The runs of an address space. Made by [`AddressSpace::runs`].
pub struct SpaceRuns<'a> {
    space: &'a AddressSpace,
    at: u64,
    end: u64,
    /// The next region.
    next: usize,
    piece: Option<Piece<'a>>,
}

/// One region, or what is between two.
struct Piece<'a> {
    region: Option<&'a Region>,
    at: u64,
    end: u64,
    own: Option<Layer<'a>>,
    segment: Option<Layer<'a>>,
}

/// Runs that are asked for range by range, and may be handed out in parts.
struct Layer<'a> {
    runs: Runs<'a>,
    next: Option<Run<'a>>,
    /// What an address of the runs is in the address space.
    from: u64,
    to: u64,
}

impl<'a> Layer<'a> {
    /// The part of its next run that begins at `at`, up to `end`; or where that run begins.
    fn at(&mut self, at: u64, end: u64) -> Result<Run<'a>, u64> {
        loop {
            match &self.next {
                Some(run) if run.end > at => {
                    return match run.within(at..end) {
                        Some(part) if part.start == at => Ok(part),
                        _ => Err(run.start.clamp(at, end)),
                    };
                }
                _ => {}
            }
            match self.runs.next() {
                Some(run) => self.next = Some(run.moved(self.from, self.to)),
                None => return Err(end),
            }
        }
    }
}

impl<'a> SpaceRuns<'a> {
    pub(crate) fn new(space: &'a AddressSpace, range: Range<u64>) -> Self {
        let next = space.regions.partition_point(|region| region.end <= range.start);
        Self { space, at: range.start, end: range.end, next, piece: None }
    }

    fn piece(&mut self) -> Option<Piece<'a>> {
        if self.at >= self.end {
            return None;
        }
        let (space, at) = (self.space, self.at);
        let region = space.regions.get(self.next);
        let (region, end) = match region {
            Some(region) if region.start <= at => {
                self.next = self.next.saturating_add(1);
                (Some(region), region.end.min(self.end))
            }
            Some(region) => (None, region.start.min(self.end)),
            None => (None, self.end),
        };
        self.at = end;
        let layer = |runs, from, to| Layer { runs, next: None, from, to };
        let own = space.own.as_ref().filter(|_| region.is_none_or(|region| region.own));
        let own = own.map(|pages| layer(pages.runs(at..end), 0, 0));
        let mut segment = None;
        if let Some((region, (number, shift))) = region.and_then(|region| Some((region, region.segment?)))
            && let Some(Ok(pages)) = space.segments.get(number).map(|segment| &segment.pages)
        {
            let first = shift.saturating_add(at.saturating_sub(region.start));
            let last = first.saturating_add(end.saturating_sub(at));
            segment = Some(layer(pages.runs(first..last), first, at));
        }
        Some(Piece { region, at, end, own, segment })
    }
}

impl<'a> Piece<'a> {
    fn next(&mut self, space: &'a AddressSpace) -> Option<Run<'a>> {
        while self.at < self.end {
            let (at, mut end) = (self.at, self.end);
            if let Some(own) = &mut self.own {
                match own.at(at, end) {
                    Ok(run) => {
                        self.at = run.end;
                        if self.region.is_none() && space.is_known() && matches!(run.content, Content::Missing(_)) {
                            // not mapped, and nothing there: as elsewhere
                            continue;
                        }
                        return Some(run);
                    }
                    Err(next) => end = next,
                }
            }
            let Some(region) = self.region else {
                self.at = end;
                continue;
            };
            let run = self.behind(space, region, at, end);
            self.at = run.end;
            return Some(run);
        }
        None
    }

    /// What is from `at` on, up to `end`, where the process has no pages of its own.
    fn behind(&mut self, space: &'a AddressSpace, region: &'a Region, at: u64, mut end: u64) -> Run<'a> {
        let missing = |end: u64, missing: Missing| Run { start: at, end, content: Content::Missing(missing) };
        let behind = at.saturating_sub(region.start);
        if let Some((number, shift)) = region.segment
            && let Some(segment) = space.segments.get(number)
        {
            if let Err(why) = &segment.pages {
                return missing(end, why.clone());
            }
            if let Some(size) = segment.size {
                let offset = shift.saturating_add(behind);
                let Some(left) = size.checked_sub(offset).filter(|left| *left > 0) else {
                    return missing(end, Missing::BeyondEnd);
                };
                end = end.min(at.saturating_add(left));
            }
            if let Some(layer) = &mut self.segment {
                match layer.at(at, end) {
                    Ok(run) => return run,
                    Err(next) => end = next,
                }
            }
        }
        let content = match &region.otherwise {
            Otherwise::Zero => Content::Zero,
            Otherwise::File(offset) => {
                Content::File { name: space.file(region), offset: offset.saturating_add(behind) }
            }
            Otherwise::Missing(why) => Content::Missing(why.clone()),
        };
        Run { start: at, end, content }
    }
}

impl<'a> Iterator for SpaceRuns<'a> {
    type Item = Run<'a>;

    fn next(&mut self) -> Option<Run<'a>> {
        loop {
            if let Some(piece) = &mut self.piece
                && let Some(run) = piece.next(self.space)
            {
                return Some(run);
            }
            self.piece = Some(self.piece()?);
        }
    }
}
