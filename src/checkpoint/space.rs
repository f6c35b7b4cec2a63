//! The address space of a process or a segment: what is at each address.

use std::ops::Range;

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use crate::base::{Error, Result};
use crate::checkpoint::Checkpoint;
use crate::checkpoint::mm::{Backing, Mapping};
use crate::checkpoint::region::{Otherwise, Region, regions};
use crate::checkpoint::segment::Segment;
use crate::checkpoint::task::Task;
use crate::image::Kind;
use crate::memory::{Content, Missing, Page, PageState, Pages, PagesFile, Run, Stored};

pub use crate::checkpoint::region::SpaceRuns;

/// What is at each address of a process, or at each offset of a segment. Every address is in one of five states:
/// stored, zero, file, missing or unmapped; see [`Page`]. Only stored and zero have bytes.
///
/// ```
/// use icecore::{Checkpoint, memory::{Content, Page}};
///
/// let dump = Checkpoint::open("tests/data/tree")?;
/// let space = dump.task(100)?.address_space()?.expect("no zombie");
/// let mut code = [0; 4];
/// space.read(0x40_1000, &mut code)?; // copied; over pages, mappings and dumps
/// assert_eq!(code, [0x48, 0x83, 0xec, 0x08]);
/// if let Page::Stored(bytes) = space.page(0x40_1000)? {
///     assert_eq!(bytes[..4], code); // a slice of the map
/// }
/// let error = space.read(0x40_2000, &mut code).unwrap_err(); // never zeros in place of what is not known
/// assert_eq!(error.to_string(), "no page at 0x402000: it is in the file /srv/tree at 0x2000, not in the dump");
/// let stored = |run: &icecore::memory::Run<'_>| matches!(run.content, Content::Stored(_));
/// let bytes: u64 = space.runs(0..u64::MAX).filter(stored).map(|run| run.len()).sum();
/// assert_eq!(bytes, 76 << 10);
/// # Ok::<(), icecore::Error>(())
/// ```
pub struct AddressSpace {
    pub(crate) page_size: u64,
    /// Its mappings, in the order of the dump.
    mappings: Vec<Mapping>,
    /// Ascending, without overlaps.
    pub(crate) regions: Vec<Region>,
    /// The pages of the process itself.
    pub(crate) own: Option<Pages>,
    pub(crate) segments: Vec<Segment>,
    problems: Vec<Error>,
    /// What is where nothing is mapped: nothing, or nobody knows.
    is_known: bool,
}

impl Task<'_> {
    /// Its address space; `None` for a zombie. A pre-dump knows its pages, and not what is mapped.
    ///
    /// Errors: its mappings or its pagemap cannot be read.
    pub fn address_space(&self) -> Result<Option<AddressSpace>> {
        let mm = self.mm()?;
        let id = u64::from(self.pid());
        let dump = self.dump;
        let own = Pages::open(dump.parents(), Kind::Pagemap, id, dump.known_page_size(), dump.limits())?;
        let (own, mm) = match (own, mm) {
            (None, None) => return Ok(None),
            // in the first versions of CRIU pages had their addresses with them
            (None, mm @ Some(_)) => match dump.find(Kind::Pages, id)? {
                Some(image) if image.kind() == Kind::PagesOld => {
                    (Pages::of_records(dump.source().clone(), &image)?, mm)
                }
                _ => return Err(dump.no_image(Kind::Pagemap, id)),
            },
            (Some(own), mm) => (own, mm),
        };
        let is_known = mm.is_some();
        let (mappings, problems) = mm.map(|mm| (mm.mappings, mm.problems)).unwrap_or_default();
        let (regions, segments) = regions(dump, &mappings)?;
        let page_size = own.page_size();
        Ok(Some(AddressSpace { page_size, mappings, regions, own: Some(own), segments, problems, is_known }))
    }
}

impl Checkpoint {
    /// The content of a segment of shared memory, by the number in the name of its pagemap; addresses are offsets in
    /// it.
    ///
    /// Errors: the dump has no such segment, or its pagemap cannot be read.
    pub fn segment(&self, id: u64) -> Result<AddressSpace> {
        let segment = self.open_segment(id, self.segment_size(id))?;
        let pages = match &segment.pages {
            Ok(pages) => pages,
            Err(missing) => return Err(missing.fault(0)),
        };
        let end = segment.size.unwrap_or_else(|| pages.end());
        let region =
            Region { start: 0, end, mapping: 0, own: false, segment: Some((0, 0)), otherwise: Otherwise::Zero };
        Ok(AddressSpace {
            page_size: pages.page_size(),
            mappings: Vec::new(),
            regions: vec![region],
            own: None,
            segments: vec![segment],
            problems: Vec::new(),
            is_known: true,
        })
    }
}

impl AddressSpace {
    /// Bytes of a page.
    pub fn page_size(&self) -> u64 {
        self.page_size
    }

    /// Its mappings, in the order of the dump; none in a pre-dump and in a segment.
    pub fn mappings(&self) -> &[Mapping] {
        &self.mappings
    }

    /// The mapping with this address.
    pub fn mapping_at(&self, address: u64) -> Option<&Mapping> {
        self.mappings.get(self.region(address)?.mapping)
    }

    /// Which of its mappings has this address.
    pub fn mapping_number(&self, address: u64) -> Option<usize> {
        self.region(address).map(|region| region.mapping)
    }

    /// What is wrong with other images than those of its memory: names of files may not be known.
    pub fn problems(&self) -> &[Error] {
        &self.problems
    }

    /// Whether the dump says what is mapped; a pre-dump does not.
    pub fn is_known(&self) -> bool {
        self.is_known
    }

    /// The pages of the process itself, without what it shares; `None` in a segment.
    pub fn own(&self) -> Option<&Pages> {
        self.own.as_ref()
    }

    /// The pages of the process itself, or those of the segment that this is.
    pub fn pages(&self) -> Option<&Pages> {
        match &self.own {
            Some(own) => Some(own),
            None => self.segments.first()?.pages.as_ref().ok(),
        }
    }

    /// The file that has these bytes, at their [offset](Stored::offset).
    pub fn file_of(&self, stored: &Stored<'_>) -> Option<PagesFile> {
        let shared = self.segments.iter().filter_map(|segment| segment.pages.as_ref().ok());
        self.own.iter().chain(shared).find_map(|pages| pages.file(stored))
    }

    /// Whether there may be checksums of stored bytes.
    pub(crate) fn has_checksums(&self) -> bool {
        let shared = self.segments.iter().filter_map(|segment| segment.pages.as_ref().ok());
        self.own.iter().chain(shared).any(Pages::has_checksums)
    }

    #[inline]
    pub(crate) fn region(&self, address: u64) -> Option<&Region> {
        let behind = self.regions.partition_point(|region| region.start <= address);
        self.regions.get(behind.checked_sub(1)?).filter(|region| address < region.end)
    }

    /// What is at the page with this address, which lies anywhere in it.
    ///
    /// Errors: the page is in a compressed block that is broken.
    #[inline]
    pub fn page(&self, address: u64) -> Result<Page<'_>> {
        let region = self.region(address);
        if region.is_none_or(|region| region.own)
            && let Some(own) = &self.own
            && let Some(state) = own.page(address)?
            && !(region.is_none() && self.is_known && matches!(state, PageState::Missing(_)))
        {
            return Ok(page(state));
        }
        match region {
            Some(region) => self.behind(region, address),
            None if self.is_known => Ok(Page::Unmapped),
            None => Ok(Page::Missing(Missing::Unknown)),
        }
    }

    /// What is at an address of a region where the process has no page of its own.
    fn behind(&self, region: &Region, address: u64) -> Result<Page<'_>> {
        if let Some((number, shift)) = region.segment
            && let Some(segment) = self.segments.get(number)
        {
            let offset = address.saturating_sub(region.start).saturating_add(shift);
            match &segment.pages {
                Ok(_) if segment.size.is_some_and(|size| offset >= size) => {
                    return Ok(Page::Missing(Missing::BeyondEnd));
                }
                Ok(pages) => {
                    if let Some(state) = pages.page(offset)? {
                        return Ok(page(state));
                    }
                }
                Err(missing) => return Ok(Page::Missing(missing.clone())),
            }
        }
        let start = address & !(self.page_size.wrapping_sub(1));
        Ok(match &region.otherwise {
            Otherwise::Zero => Page::Zero,
            Otherwise::File(from) => {
                Page::File { name: self.file(region), offset: from.saturating_add(start.saturating_sub(region.start)) }
            }
            Otherwise::Missing(missing) => Page::Missing(missing.clone()),
        })
    }

    /// The file behind a region.
    pub(crate) fn file(&self, region: &Region) -> Option<&crate::base::Name> {
        match &self.mappings.get(region.mapping)?.backing {
            Backing::File(name) => name.as_ref(),
            _ => None,
        }
    }

    /// What is in a range of addresses, ascending: runs as long as they can be, none over the end of a mapping. What
    /// is not mapped is in none; where the dump does not say what is mapped, only what it knows of is.
    pub fn runs(&self, range: Range<u64>) -> SpaceRuns<'_> {
        SpaceRuns::new(self, range)
    }

    /// Cuts a range of addresses into parts with about `bytes` stored bytes each, for work on several cores: split by
    /// what there is to do, not by entries or mappings.
    pub fn parts(&self, range: Range<u64>, bytes: u64) -> Vec<Range<u64>> {
        let bytes = bytes.max(self.page_size).next_multiple_of(self.page_size);
        let mut parts = Vec::new();
        let (mut start, mut room) = (range.start, bytes);
        for run in self.runs(range.clone()) {
            let Content::Stored(_) = run.content else { continue };
            let mut at = run.start;
            while run.end.saturating_sub(at) >= room {
                at = at.saturating_add(room);
                parts.push(start..at);
                (start, room) = (at, bytes);
            }
            room = room.saturating_sub(run.end.saturating_sub(at));
        }
        if start < range.end {
            parts.push(start..range.end);
        }
        parts
    }

    /// The runs of a range of addresses, in parallel and cut where that splits the stored bytes evenly; collecting
    /// keeps their order.
    pub fn par_runs(&self, range: Range<u64>) -> impl ParallelIterator<Item = Run<'_>> {
        self.parts(range, PART).into_par_iter().flat_map_iter(|part| self.runs(part))
    }

    /// Fills `into` with the bytes from `address` on.
    ///
    /// Errors: a fault that names the first address that has no bytes in the dump, or a block is broken. `into` then
    /// holds the bytes before that one.
    pub fn read(&self, address: u64, into: &mut [u8]) -> Result<()> {
        let end = address.saturating_add(into.len() as u64);
        let mut rest = into;
        let mut at = address;
        let mut scratch = Vec::new();
        for run in self.runs(address..end) {
            if run.start > at {
                break;
            }
            let length = usize::try_from(run.len()).unwrap_or(usize::MAX).min(rest.len());
            let (now, later) = rest.split_at_mut(length);
            match &run.content {
                Content::Stored(stored) => {
                    let Some(bytes) = stored.bytes(&mut scratch)?.get(..length) else {
                        return Err(Error::fault(format!("no page at {:#x}", run.start)));
                    };
                    now.copy_from_slice(bytes);
                }
                Content::Zero => now.fill(0),
                _ => return Err(self.fault(run.start)),
            }
            rest = later;
            at = run.end;
        }
        if rest.is_empty() { Ok(()) } else { Err(self.fault(at)) }
    }

    /// Why there are no bytes at an address.
    pub fn fault(&self, address: u64) -> Error {
        match self.page(address) {
            Ok(Page::Missing(missing)) => missing.fault(address),
            Ok(Page::File { name: Some(name), offset }) => Error::fault(format!(
                "no page at {address:#x}: it is in the file {name} at {offset:#x}, not in the dump"
            )),
            Ok(Page::File { name: None, .. }) => {
                Error::fault(format!("no page at {address:#x}: it is in a file, not in the dump"))
            }
            Ok(Page::Unmapped) => Error::fault(format!("no page at {address:#x}: nothing is mapped there")),
            Ok(_) => Error::fault(format!("no page at {address:#x}")),
            Err(error) => error,
        }
    }
}

/// Stored bytes of one piece of parallel work.
const PART: u64 = 4 << 20;

fn page(state: PageState<'_>) -> Page<'_> {
    match state {
        PageState::Stored(bytes) => Page::Stored(bytes),
        PageState::Missing(missing) => Page::Missing(missing),
    }
}
