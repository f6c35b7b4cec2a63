//! Where the pages of a pagemap are, through all parents: each found, in files that reach that far.

use std::cell::OnceCell;

use crate::base::Result;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::task::Task;
use crate::image::{Image, Kind};
use crate::memory::{Content, Level, Missing, Origin, PagemapEntry, Pages, PagesFile, Span};
use crate::tool::check::memory::few::Few;
use crate::tool::check::memory::holes::{self, Holes, InHoles};
use crate::tool::check::memory::pagemap::{Described, address};
use crate::tool::check::memory::{files, find};
use crate::tool::check::{Finding, Severity, Subject};

/// What was found behind a pagemap.
#[derive(Debug, Default)]
pub(super) struct Walked {
    pub(super) few: Few,
    /// Errors of reading, each to be told once.
    pub(super) broken: Vec<(&'static str, crate::Error)>,
    /// Dumps of the chain from which compressed pages come.
    pub(super) packed: Vec<usize>,
}

/// One dump of the chain, as far as pages come from it.
struct Used {
    /// Up to where its pages file is needed.
    end: u64,
    holes: Option<Holes>,
    in_holes: InHoles,
    is_packed: bool,
}

/// Looks at the pages of a pagemap if that can tell anything: they may be in parents, in holes, in blocks of version 2.
pub(super) fn look(subject: &Subject<'_>, one: &Described, page_size: u64) -> Walked {
    let dump = subject.dump;
    let mut walked = Walked::default();
    let is_v2 = dump.source().bundle().is_some();
    if one.count.parent == 0 && !is_v2 && Holes::of(&own_file(dump, one)).is_none() {
        return walked;
    }
    let Ok(Some(pages)) = Pages::open(dump.parents(), one.kind, one.id, Some(page_size), dump.limits()) else {
        return walked;
    };
    if let Some(Level::V2 { runs: Some(runs), .. }) = pages.levels.first()
        && let Some(finding) = holes::of_runs(runs, &one.name, page_size)
    {
        walked.few.add("pages-hole", Severity::Note, || finding);
    }
    let used = |level: &Level| Used {
        end: 0,
        holes: Some(level).filter(|level| level.blocks().is_none()).and_then(|level| Holes::of(&level.file(0)?)),
        in_holes: InHoles::default(),
        is_packed: false,
    };
    let mut all: Vec<Used> = pages.levels.iter().map(used).collect();
    let lost = Lost { dump, one, pages: &pages, page_size, image: OnceCell::new() };
    let mut block = 0;
    for span in pages.spans(0..u64::MAX) {
        match span.origin {
            Origin::Plain { level, offset } => {
                let Some(used) = all.get_mut(level) else { continue };
                let end = offset.saturating_add(span.end.saturating_sub(span.start));
                used.end = used.end.max(end);
                if let Some(holes) = &mut used.holes {
                    holes.count((offset, end), span.start, &mut used.in_holes);
                }
            }
            Origin::Blocks { level, index, offset, .. } => {
                let (Some(used), Some(Level::V1(store))) = (all.get_mut(level), pages.levels.get(level)) else {
                    continue;
                };
                used.is_packed = true;
                let end = offset.saturating_add(store.payload_of_blocks(index).unwrap_or(0));
                if end > used.end {
                    used.end = end;
                    if let Some(holes) = &mut used.holes {
                        holes.count((offset, end), span.start, &mut used.in_holes);
                    }
                }
            }
            Origin::Placed { level, page } => lost.placed(&span, level, page, &mut block, &mut walked),
            Origin::Lazy | Origin::Zero => {}
            // what is wrong with the pagemap itself was told
            Origin::Broken { level: 0 } => {}
            _ => lost.tell(&span, &mut walked),
        }
    }
    for (level, (used, of)) in all.iter().zip(&pages.levels).enumerate() {
        if used.is_packed {
            walked.packed.push(level);
        }
        let Some(file) = of.file(0).filter(|_| of.blocks().is_none()) else { continue };
        if level > 0 && used.end > 0 {
            reaches(&file, one, used.end, &mut walked);
        }
        let is_lost = || stack_of(dump, one, &pages, level, used.holes.as_ref()).unwrap_or(false);
        let is_lost = used.in_holes.first.is_some() && is_lost();
        if let Some(finding) = holes::finding(file.name(), level, &used.in_holes, page_size, is_lost) {
            walked.few.add("pages-hole", finding.severity, || finding.clone());
        }
    }
    walked
}

/// The pages file of a pagemap in the dump itself.
fn own_file(dump: &Checkpoint, one: &Described) -> PagesFile {
    let file = Kind::Pages.file_name(u64::from(one.pages_id)).unwrap_or_default();
    PagesFile::v1(&file, dump.source(), &file)
}

/// Whether the page that the stack pointer of a task leads to, which is never all zeros, lies in a hole.
fn stack_of(dump: &Checkpoint, one: &Described, pages: &Pages, level: usize, holes: Option<&Holes>) -> Option<bool> {
    let pid = u32::try_from(one.id).ok().filter(|_| one.kind == Kind::Pagemap)?;
    let sp = Task::unknown(dump, pid).core().ok()??.leader.registers?.sp?.0;
    match pages.runs(sp..sp.checked_add(1)?).next()?.content {
        Content::Stored(stored) if stored.level() == level && stored.is_plain() => Some(holes?.has(stored.offset())),
        _ => None,
    }
}

/// Whether a parent's pages file is as long as it is needed.
fn reaches(file: &PagesFile, one: &Described, end: u64, walked: &mut Walked) {
    let found = match file.open() {
        Ok(Some(open)) => open.metadata().map(|meta| meta.len()).unwrap_or(end),
        Ok(None) => return,
        Err(error) if error.io_kind() == Some(std::io::ErrorKind::NotFound) => {
            let finding = || files::missing(file.name(), &format!("the parent's {}", one.name), Some(end));
            return walked.few.add("pages-missing", Severity::Error, finding);
        }
        Err(error) => return walked.broken.push(("pages-unreadable", error)),
    };
    if found < end {
        let finding = || files::short(file.name(), &format!("the parent's {}", one.name), end, found);
        walked.few.add("pages-short", Severity::Error, finding);
    }
}

/// Tells of pages that are nowhere.
struct Lost<'p> {
    dump: &'p Checkpoint,
    one: &'p Described,
    pages: &'p Pages,
    page_size: u64,
    image: OnceCell<Option<Image>>,
}

impl Lost<'_> {
    /// Pages of version 2 by their numbers: whether blocks have all of them. `hint` is the block that was found last.
    fn placed(&self, span: &Span, level: usize, page: u64, hint: &mut usize, walked: &mut Walked) {
        let count = span.end.saturating_sub(span.start).div_ceil(self.page_size.max(1));
        let Some(blocks) = self.pages.levels.get(level).and_then(Level::blocks) else {
            return self.tell(span, walked);
        };
        let bundle = blocks.bundle();
        let blocks = match bundle.blocks() {
            Ok(blocks) => blocks,
            Err(error) => return walked.broken.push(("pages-missing", error.clone())),
        };
        let (mut at, end) = (page, page.saturating_add(count));
        while at < end {
            let is_in = |index: usize| {
                let block = blocks.get(index)?;
                (at.wrapping_sub(block.first) < block.pages).then_some((index, block))
            };
            let Some((index, block)) = is_in(*hint).or_else(|| is_in(blocks.find(at)?)) else {
                let what = format!("expected page {at} of {}, found no block that has it", bundle.name());
                return walked.few.add("pages-missing", Severity::Error, || {
                    let advice = "its pages are lost: take the file from a copy, or dump again";
                    self.at(span, Finding::error("pages-missing", what)).advice(advice)
                });
            };
            *hint = index;
            at = block.first.saturating_add(block.pages);
        }
    }

    #[cold]
    fn tell(&self, span: &Span, walked: &mut Walked) {
        let pages = span.end.saturating_sub(span.start) / self.page_size.max(1);
        let range = format!("{pages} pages at {:#x} to {:#x}", span.start, span.end);
        let (rule, what, advice) = match self.pages.missing(span.origin) {
            Missing::NotInParent { dump } => (
                "parent-hole",
                format!("expected {range} in a parent, and {dump} does not have them"),
                "restoring fails there: the parents have to be as they were when this dump was made",
            ),
            Missing::NoParent { dump } => (
                "parent-missing",
                format!("expected {range} in a parent, and {dump} has no link to one"),
                "restoring fails there: put the link `parent` back, to the dump before",
            ),
            Missing::Broken(error) => {
                let rule = if matches!(span.origin, Origin::NoParent | Origin::Broken { .. }) {
                    "parent-damaged"
                } else {
                    "pages-missing"
                };
                if walked.broken.len() < MOST {
                    walked.broken.push((rule, error));
                }
                return;
            }
            other => ("pages-missing", format!("{range}: {other}"), "dump again"),
        };
        walked.few.add(rule, Severity::Error, || self.at(span, Finding::error(rule, what)).advice(advice));
    }

    /// Names the entry of the dump's own pagemap.
    fn at(&self, span: &Span, finding: Finding) -> Finding {
        let finding = finding.in_image(self.one.name.as_str());
        match self.entry(span.start) {
            Some(entry) => finding.at_entry(entry),
            None => finding,
        }
    }

    /// The entry with an address.
    fn entry(&self, at: u64) -> Option<u64> {
        let open = || self.dump.open_image(find(self.dump, self.one.kind, self.one.id)?).ok();
        let image = self.image.get_or_init(open).as_ref()?;
        let start = |index: usize| {
            let entry = PagemapEntry::decode(&image.get(index).ok()?).ok()?;
            Some(address(entry.vaddr, at >> 32 == 0))
        };
        let (mut low, mut high) = (1, image.len());
        while low < high {
            let middle = low.midpoint(high);
            if start(middle)? <= at { low = middle.saturating_add(1) } else { high = middle }
        }
        u64::try_from(low.checked_sub(1).filter(|entry| *entry > 0)?).ok()
    }
}

/// So many errors of one pagemap are told.
const MOST: usize = 64;

/// Tells what was found.
///
/// Errors: whoever asked wants no more.
pub(super) fn tell(
    walked: Walked,
    one: &Described,
    findings: &mut crate::tool::check::findings::Findings<'_>,
) -> Result<()> {
    walked.few.tell(&one.name, findings)?;
    walked.broken.iter().try_for_each(|(rule, error)| findings.broken(rule, error))
}
