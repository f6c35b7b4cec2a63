//! An entry of a pagemap that is not of the usual kind: what is wrong with it, if anything is.

use crate::memory::pagemap::{PE_LAZY, PE_PARENT, PE_PAYLOAD_ALIGNED, PE_PRESENT};
use crate::memory::{Blocks, Compressed, PagemapEntry};
use crate::tool::check::memory::few::Few;
use crate::tool::check::memory::pagemap::{Measure, address, order};
use crate::tool::check::{Finding, Severity};

const KNOWN: u32 = PE_PARENT | PE_LAZY | PE_PRESENT | PE_PAYLOAD_ALIGNED;

/// An entry, and what it stands in.
pub(super) struct Odd<'e> {
    pub(super) entry: &'e PagemapEntry<'e>,
    pub(super) index: u64,
    pub(super) image: &'e str,
    pub(super) measure: &'e Measure<'e>,
    /// Where the entry before ends.
    pub(super) before: u64,
}

const DAMAGED: &str = "the pagemap is damaged: dump again, or take its image from a copy";

impl Odd<'_> {
    /// Looks at all of it; gives how many bytes it takes in the pages file, if that is known.
    pub(super) fn look(&self, few: &mut Few) -> Option<u64> {
        let (entry, page_size) = (self.entry, self.measure.page_size);
        let (flags, pages) = (entry.pe_flags(), entry.pages());
        let start = address(entry.vaddr, self.measure.is_extended);
        if start & page_size.wrapping_sub(1) != 0 {
            let what = || format!("expected an address that is a multiple of {page_size}, found {start:#x}");
            self.error(few, "pagemap-address", "vaddr", what);
        }
        if start < self.before {
            few.add("pagemap-order", Severity::Error, || order(self.image, self.index, start, self.before));
        }
        self.counts(few);
        self.flags(few);
        let Some(length) = pages.checked_mul(page_size) else {
            let what = || format!("expected pages that fit the address space, found {pages}");
            self.error(few, "pagemap-address", "nr_pages", what);
            return None;
        };
        match start.checked_add(length) {
            // where entries overlap, nothing else is asked of them: that would have no end
            Some(end) if pages > 0 && start >= self.before && flags & (PE_PRESENT | PE_PARENT | PE_LAZY) != 0 => {
                self.place(few, start, end)
            }
            Some(_) => {}
            None => {
                let what = || format!("expected pages that fit the address space, found {pages} at {start:#x}");
                self.error(few, "pagemap-address", "nr_pages", what);
            }
        }
        match entry.blocks {
            None => Some(length),
            Some(blocks) => self.blocks(few, blocks, start, length),
        }
    }

    /// What it says of how many pages there are.
    fn counts(&self, few: &mut Few) {
        let PagemapEntry { compat_nr_pages: old, nr_pages, .. } = *self.entry;
        if self.entry.pages() == 0 {
            self.error(few, "pagemap-count", "nr_pages", || "expected at least one page, found none".to_owned());
        }
        if let Some(pages) = nr_pages.filter(|pages| old != 0 && *pages != u64::from(old)) {
            let what = format!("expected one number of pages, found {pages} (nr_pages) and {old} (compat_nr_pages)");
            let advice = "CRIU 4.2 and later take nr_pages, those before the other";
            few.add("pagemap-count", Severity::Warning, || {
                self.at(Finding::warning("pagemap-count", what)).in_field("compat_nr_pages").advice(advice)
            });
        }
    }

    fn flags(&self, few: &mut Few) {
        let flags = self.entry.pe_flags();
        let is_present = flags & PE_PRESENT != 0;
        if flags & !KNOWN != 0 {
            let what = format!("expected flags that are known ({KNOWN:#x}), found {flags:#x}");
            few.add("pagemap-flags", Severity::Warning, || {
                let advice = "CRIU 4.3 passes them over; a newer one wrote them, or the pagemap is damaged";
                self.at(Finding::warning("pagemap-flags", what)).in_field("flags").advice(advice)
            });
        }
        let mut wrong = |what: String| self.error(few, "pagemap-flags", "flags", || what);
        if is_present && flags & PE_PARENT != 0 {
            wrong(format!("expected pages here (PE_PRESENT) or in the parent (PE_PARENT), found both in {flags:#x}"));
        }
        if !is_present && flags & PE_PAYLOAD_ALIGNED != 0 {
            wrong(format!("expected PE_PAYLOAD_ALIGNED only together with PE_PRESENT, found flags {flags:#x}"));
        }
        if !is_present && self.entry.blocks.is_some() {
            wrong(format!("expected blocks only together with PE_PRESENT, found flags {flags:#x}"));
        }
        if let (Some(in_parent), Some(said)) = (self.entry.in_parent, self.entry.flags)
            && in_parent != (said & PE_PARENT != 0)
        {
            wrong(format!("expected in_parent and flags to say the same, found {in_parent} and {said:#x}"));
        }
    }

    /// Whether it is about memory that may have pages.
    fn place(&self, few: &mut Few, start: u64, end: u64) {
        let Some(ranges) = self.measure.ranges else { return };
        let Some(gap) = ranges.gap(start, end) else { return };
        let what = || match () {
            () if self.measure.is_segment => {
                format!("expected pages in the segment, which ends at {:#x}, found one at {gap:#x}", ranges.end())
            }
            () if ranges.is_other(gap) => {
                format!("expected a page of memory that is the task's alone, found one at {gap:#x}, which is not")
            }
            () => format!("expected a page of memory that is mapped, found one at {gap:#x}, where nothing is"),
        };
        self.error(few, "pagemap-mapping", "vaddr", what);
    }

    /// Looks at its blocks; gives how many bytes they take.
    fn blocks(&self, few: &mut Few, blocks: Blocks<'_>, start: u64, length: u64) -> Option<u64> {
        let packed = Compressed::new(blocks, length, self.measure.page_size, 0);
        if let Err(what) = packed.check(self.measure.page_size) {
            self.error(few, "pagemap-blocks", "blocks", || what);
            return None;
        }
        let end = start.saturating_add(length);
        if let Some(ranges) = self.measure.ranges.filter(|ranges| ranges.has_raw() && start >= self.before)
            && ranges.raw(start, end).is_some()
        {
            let mut blocks =
                packed.blocks_from(0, &[]).filter(|block| block.packed > 0 && block.packed < block.unpacked);
            let found = blocks.find_map(|block| {
                let from = start.saturating_add(block.at);
                ranges.raw(from, from.saturating_add(block.unpacked))
            });
            if let Some(at) = found {
                let what = format!("expected pages as they are at {at:#x} (huge pages, or a plugin's), found LZ4");
                few.add("pagemap-raw", Severity::Error, || {
                    let advice = "CRIU stops restoring there: icecore crit decompress makes plain pages of all";
                    self.at(Finding::error("pagemap-raw", what)).in_field("blocks").advice(advice)
                });
            }
        }
        Some(blocks.total_payload_size())
    }

    fn at(&self, finding: Finding) -> Finding {
        finding.in_image(self.image).at_entry(self.index)
    }

    fn error(&self, few: &mut Few, rule: &'static str, field: &str, what: impl FnOnce() -> String) {
        few.add(rule, Severity::Error, || self.at(Finding::error(rule, what())).in_field(field).advice(DAMAGED));
    }
}
