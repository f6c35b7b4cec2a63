//! Pagemaps: entries that ascend, have known flags, sound blocks, and are about memory that is mapped.

use std::ops::Range;

use rayon::prelude::*;

use crate::checkpoint::ImageName;
use crate::image::{Image, Kind};
use crate::memory::pagemap::{PE_LAZY, PE_PARENT, PE_PAYLOAD_ALIGNED, PE_PRESENT};
use crate::memory::{Pagemap, PagemapEntry};
use crate::tool::check::memory::few::Few;
use crate::tool::check::memory::odd::Odd;
use crate::tool::check::memory::payload::Payload;
use crate::tool::check::memory::ranges::Ranges;
use crate::tool::check::{Finding, Severity, Subject};

/// Entries that one thread looks at without asking for more.
const CHUNK: usize = 1 << 14;

/// What a pagemap says, and what is wrong with it.
#[derive(Debug)]
pub(super) struct Described {
    pub(super) kind: Kind,
    pub(super) id: u64,
    /// Its image.
    pub(super) name: String,
    /// Number of its pages file.
    pub(super) pages_id: u32,
    /// How long its pages file has to be; `None` where that cannot be known.
    pub(super) payload: Option<u64>,
    pub(super) count: Count,
    pub(super) few: Few,
}

/// How many pages are where; entries by their number in the image.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Count {
    /// In the pages file.
    pub(super) stored: u64,
    /// In the parent, and the first entry that says so.
    pub(super) parent: u64,
    pub(super) first_parent: Option<u64>,
    /// Left to a server of pages, and the first entry that says so.
    pub(super) lazy: u64,
    pub(super) first_lazy: Option<u64>,
    /// The first entry that only images of version 3 may have.
    pub(super) first_new: Option<u64>,
}

/// What pages of a pagemap are held against.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measure<'r> {
    pub(super) page_size: u64,
    /// Where pages may be; `None` where the dump does not say.
    pub(super) ranges: Option<&'r Ranges>,
    /// Whether addresses are those of a 32-bit task, some with their sign extended.
    pub(super) is_extended: bool,
    pub(super) is_segment: bool,
}

/// Some entries, one behind the other.
#[derive(Debug, Default)]
struct Part {
    few: Few,
    count: Count,
    payload: Payload,
    /// The first entry: its number and address.
    first: Option<(u64, u64)>,
    /// Where the last one ends.
    end: u64,
}

/// Looks at a pagemap; `None` if it has no head, which other rules tell.
pub(super) fn look(
    subject: &Subject<'_>,
    name: &ImageName,
    page_size: u64,
    ranges: Option<&Ranges>,
) -> Option<Described> {
    let image = subject.dump.open_image(name).ok()?;
    let pages_id = Pagemap::open(&image).ok()?.pages_id();
    let is_segment = name.kind == Kind::PagemapShmem;
    let measure = Measure { page_size, ranges, is_extended: is_extended(&image), is_segment };
    let count = image.len().saturating_sub(1);
    let chunks = (0..count.div_ceil(CHUNK)).into_par_iter();
    let parts: Vec<Part> = chunks
        .map(|chunk| {
            let from = chunk.saturating_mul(CHUNK).saturating_add(1);
            part(&image, from..from.saturating_add(CHUNK).min(image.len()), &measure)
        })
        .collect();
    let mut all = Part::default();
    for part in parts {
        all.join(part, name, page_size);
    }
    let is_cut = image.fault().is_some();
    let payload = all.payload.length(page_size).filter(|_| !is_cut);
    let (kind, id, name) = (name.kind, name.id, name.file.clone());
    Some(Described { kind, id, name, pages_id, payload, count: all.count, few: all.few })
}

/// The upper half of an address above 2 GiB in the dump of a 32-bit task.
const SIGN: u64 = 0xffff_ffff;

/// The address of an entry, without the sign that dumps of 32-bit tasks extend.
#[inline]
pub(super) fn address(vaddr: u64, is_extended: bool) -> u64 {
    if is_extended && vaddr >> 32 == SIGN { vaddr & 0xffff_ffff } else { vaddr }
}

/// Whether this is a 32-bit task whose addresses above 2 GiB have their sign extended. A 64-bit task is known by the
/// addresses before.
fn is_extended(image: &Image) -> bool {
    let vaddr = |index: usize| Some(PagemapEntry::decode(&image.get(index).ok()?).ok()?.vaddr);
    let (mut low, mut high) = (1, image.len());
    if high < 2 || vaddr(high.saturating_sub(1)).is_none_or(|last| last >> 32 != SIGN) {
        return false;
    }
    while low < high {
        let middle = low.midpoint(high);
        match vaddr(middle) {
            Some(vaddr) if vaddr >> 32 == 0 => low = middle.saturating_add(1),
            _ => high = middle,
        }
    }
    vaddr(low).is_some_and(|first| first >> 32 == SIGN)
}

fn part(image: &Image, range: Range<usize>, measure: &Measure<'_>) -> Part {
    let mut part = Part::default();
    let (mut place, mut is_first) = (0, true);
    for entry in image.range(range, false) {
        let Ok(entry) = entry else {
            part.payload.forget();
            continue;
        };
        let index = entry.index() as u64;
        let Some(decoded) = PagemapEntry::from_message(entry.message()) else {
            // the schema's rule tells what is wrong with it
            part.payload.forget();
            continue;
        };
        let start = address(decoded.vaddr, measure.is_extended);
        let pages = decoded.pages();
        let end = pages.checked_mul(measure.page_size).and_then(|length| start.checked_add(length));
        if let Some(ranges) = measure.ranges
            && (is_first || !ranges.has(place, start, end.unwrap_or(u64::MAX)))
        {
            place = ranges.seek(start);
        }
        if std::mem::take(&mut is_first) {
            part.first = Some((index, start));
        }
        let is_usual = decoded.pe_flags() & !PE_LAZY == PE_PRESENT
            && decoded.blocks.is_none()
            && pages > 0
            && start >= part.end
            && start & measure.page_size.wrapping_sub(1) == 0
            && (decoded.compat_nr_pages == 0 || decoded.nr_pages.is_none())
            && measure.ranges.is_none_or(|ranges| ranges.has(place, start, end.unwrap_or(u64::MAX)));
        match end {
            Some(end) if is_usual => {
                part.count.stored = part.count.stored.saturating_add(pages);
                part.payload.add(end.saturating_sub(start), false, measure.page_size);
            }
            _ => part.unusual(&decoded, index, image.name(), measure),
        }
        part.end = part.end.max(end.unwrap_or(u64::MAX));
    }
    part
}

impl Part {
    #[cold]
    fn unusual(&mut self, entry: &PagemapEntry<'_>, index: u64, image: &str, measure: &Measure<'_>) {
        let odd = Odd { entry, index, image, measure, before: self.end };
        let payload = odd.look(&mut self.few);
        let (flags, pages) = (entry.pe_flags(), entry.pages());
        let count = &mut self.count;
        if flags & PE_PRESENT != 0 {
            count.stored = count.stored.saturating_add(pages);
            if entry.blocks.is_some() || flags & PE_PAYLOAD_ALIGNED != 0 {
                count.first_new = count.first_new.or(Some(index));
            }
            match payload {
                Some(bytes) => self.payload.add(bytes, flags & PE_PAYLOAD_ALIGNED != 0, measure.page_size),
                None => self.payload.forget(),
            }
        } else if flags & PE_PARENT != 0 {
            count.parent = count.parent.saturating_add(pages);
            count.first_parent = count.first_parent.or(Some(index));
        } else if flags & PE_LAZY != 0 {
            count.lazy = count.lazy.saturating_add(pages);
            count.first_lazy = count.first_lazy.or(Some(index));
        }
    }

    /// Adds those that stand behind these.
    fn join(&mut self, next: Self, name: &ImageName, page_size: u64) {
        if let Some((entry, start)) = next.first
            && start < self.end
        {
            let (end, image) = (self.end, name.file.as_str());
            self.few.add("pagemap-order", Severity::Error, || order(image, entry, start, end));
        }
        self.few.extend(next.few);
        self.count.add(&next.count);
        self.payload.join(&next.payload, page_size);
        self.first = self.first.or(next.first);
        self.end = self.end.max(next.end);
    }
}

impl Count {
    /// Adds those of entries behind these.
    pub(super) fn add(&mut self, next: &Self) {
        self.stored = self.stored.saturating_add(next.stored);
        self.parent = self.parent.saturating_add(next.parent);
        self.lazy = self.lazy.saturating_add(next.lazy);
        self.first_parent = self.first_parent.or(next.first_parent);
        self.first_lazy = self.first_lazy.or(next.first_lazy);
        self.first_new = self.first_new.or(next.first_new);
    }
}

/// An entry that begins before the one before it ends.
pub(super) fn order(image: &str, entry: u64, start: u64, end: u64) -> Finding {
    let what = format!("expected an address from {end:#x} on (entries ascend and don't overlap), found {start:#x}");
    Finding::error("pagemap-order", what)
        .in_image(image)
        .at_entry(entry)
        .in_field("vaddr")
        .advice("whoever reads pages in order takes those of this entry for others: the pagemap is damaged, dump again")
}
