//! Walking runs forward, over many at once where nobody asks for them.

use crate::base::Error;
use crate::memory::cursor::{Item, What};
use crate::memory::pagemap::{PE_LAZY, PE_PARENT, PE_PAYLOAD_ALIGNED, PE_PRESENT};
use crate::memory::v2::runs::PageRuns;
use crate::wire::v2::PageRun;
use crate::wire::v2::array::{ANCESTOR_SHIFT, Array, BLOCKS, BY_ADDRESS, CONT, HOLE, NOWHERE, V1_FLAGS, ZERO};

/// Walks the runs of an image; it can be moved forward over many of them at once. What is between batches of an image
/// that is not whole, and where a batch is broken, is an item too: nobody knows what was there.
pub(crate) struct RunCursor<'a> {
    runs: &'a PageRuns,
    /// The batch it is in or before, and that batch's runs if it is in.
    batch: usize,
    array: Option<Array<'a, PageRun>>,
    /// The next run of the batch.
    index: usize,
    /// Up to where all is known.
    told: u64,
    current: Option<Item>,
}

/// Number of a batch that is none: the image itself is broken.
const IMAGE: usize = usize::MAX;
/// Number of a run that is none: its batch is broken.
const ALL: usize = usize::MAX;

impl<'a> RunCursor<'a> {
    /// A cursor before the first run.
    pub(crate) fn new(runs: &'a PageRuns) -> Self {
        Self { runs, batch: 0, array: None, index: 0, told: 0, current: None }
    }

    /// The first item that ends behind `address`. Addresses must not descend from call to call.
    #[inline]
    pub(crate) fn seek(&mut self, address: u64) -> Option<Item> {
        loop {
            match self.current {
                // a run of no pages is none
                Some(item) if item.end > address.max(item.start) => return Some(item),
                _ => self.current = Some(self.next(address)?),
            }
        }
    }

    #[inline]
    fn next(&mut self, address: u64) -> Option<Item> {
        loop {
            if let Some(array) = &self.array {
                let mut run = array.get(self.index);
                if run.is_some_and(|run| self.runs.end(run) <= address) {
                    let is_before = |run: &PageRun| self.runs.start(run) <= address;
                    let ahead = array.partition_point(is_before).saturating_sub(1);
                    if ahead > self.index {
                        self.index = ahead;
                        run = array.get(ahead);
                    }
                }
                if let Some(run) = run {
                    let item = self.item(run);
                    self.index = self.index.saturating_add(1);
                    self.told = item.end;
                    return Some(item);
                }
                self.array = None;
                self.batch = self.batch.saturating_add(1);
            }
            let found = self.enter(address)?;
            if found.is_some() {
                return found;
            }
        }
    }

    /// Goes into the next batch that has to do with the address; or gives what is not known before it.
    #[cold]
    fn enter(&mut self, address: u64) -> Option<Option<Item>> {
        let runs = self.runs;
        let count = runs.batches();
        if let Some(ahead) = runs.behind(address).filter(|ahead| *ahead > self.batch) {
            // a broken batch may say that it begins anywhere: who knows the address may be before it
            let good = (self.batch..=ahead).rev().find(|number| runs.is_good(*number));
            if let Some((good, (first, end))) = good.and_then(|good| Some((good, runs.range(good)?))) {
                let is_passed = good < ahead && address >= end;
                (self.batch, self.told) = if is_passed { (good.saturating_add(1), end) } else { (good, first) };
            }
        }
        let good = (self.batch..count).find(|number| runs.is_good(*number));
        let next = good.and_then(|good| runs.batches.get(good)).map_or(u64::MAX, |batch| batch.first);
        let broken = match good {
            Some(good) if good == self.batch => runs.fault.as_ref().map(|_| IMAGE),
            _ if self.batch < count => Some(self.batch),
            _ => runs.fault.as_ref().map(|_| IMAGE),
        };
        self.batch = good.unwrap_or(count);
        let start = std::mem::replace(&mut self.told, next);
        if let Some(batch) = broken
            && start < next
        {
            let what = What::Bad { batch, run: ALL };
            return Some(Some(Item { start, end: next, offset: 0, what }));
        }
        self.array = Some(runs.batch(good?).ok()?);
        self.index = 0;
        Some(None)
    }

    #[inline]
    fn item(&self, run: &PageRun) -> Item {
        let (start, end) = (self.runs.start(run), self.runs.end(run));
        let what = what(run).unwrap_or(What::Bad { batch: self.batch, run: self.index });
        Item { start, end, offset: 0, what }
    }
}

/// Flags that mean something.
const KNOWN: u32 = PE_PARENT
    | PE_LAZY
    | PE_PRESENT
    | PE_PAYLOAD_ALIGNED
    | ZERO
    | CONT
    | HOLE
    | BY_ADDRESS
    | BLOCKS
    | 0xff << ANCESTOR_SHIFT;

/// Where a run's pages are; `None` if it does not say.
#[inline]
fn what(run: &PageRun) -> Option<What> {
    let (flags, page) = (run.flags(), run.page());
    let ancestor = usize::try_from(run.ancestor()).unwrap_or(usize::MAX);
    if flags & !KNOWN != 0 {
        return None;
    }
    let is_placed = page != NOWHERE;
    match (flags & ZERO != 0, flags & BY_ADDRESS != 0) {
        (false, false) if is_placed => Some(What::Placed { ancestor, page }),
        (true, false) if !is_placed => Some(What::Zero),
        (false, true) if !is_placed => Some(What::Parent(ancestor.max(1))),
        (false, false) => match flags & V1_FLAGS & (PE_PRESENT | PE_PARENT | PE_LAZY) {
            PE_LAZY => Some(What::Lazy),
            0 => Some(What::Hole),
            _ => None,
        },
        _ => None,
    }
}

impl PageRuns {
    /// The run with an address; `Some(None)` if there is none, `None` if more has to be asked.
    #[inline]
    pub(crate) fn find(&self, address: u64) -> Option<Option<Item>> {
        let (run, goes_on) = self.before(address)?;
        let (start, end) = (self.start(run), self.end(run));
        if address >= end {
            return goes_on.then_some(None);
        }
        Some(Some(Item { start, end, offset: 0, what: what(run)? }))
    }

    /// Why nothing is known of an item.
    #[cold]
    pub(crate) fn error(&self, batch: usize, run: usize) -> Error {
        let unknown = || Error::format("expected runs of pages, found others");
        if batch == IMAGE {
            return self.fault.clone().unwrap_or_else(unknown);
        }
        match self.batch(batch) {
            Err(error) => error.clone(),
            Ok(array) => {
                let Some((batch, run)) = self.batches.get(batch).zip(array.get(run)) else { return unknown() };
                let (flags, page) = (run.flags(), run.page());
                let place = if page == NOWHERE { "none".to_owned() } else { format!("page {page}") };
                let start = self.start(run);
                let what = match flags & !KNOWN {
                    0 if page == NOWHERE && flags & (ZERO | BY_ADDRESS) == 0 => format!(
                        "the pages at {start:#x} were not in the dump that was converted: its pages file was cut short, \
                         or not there"
                    ),
                    0 => format!("expected one place for the pages at {start:#x}, found {place} and flags {flags:#x}"),
                    _ => format!("expected flags that are known for the pages at {start:#x}, found {flags:#x}"),
                };
                Error::format(what)
                    .at_offset(batch.offset as u64)
                    .in_image(self.bundle.part_name(batch.part).to_owned())
                    .in_field("flags")
            }
        }
    }
}
