//! Numbers for the pages that are stored, and the runs that say where all pages are.

use crate::image::Kind;
use crate::object::upgrade::pagemap::Note;
use crate::tool::convert::pages::PageCounts;
use crate::tool::convert::pages::judge::Verdict;
use crate::tool::convert::pages::known::Home;
use crate::tool::convert::pages::window::{Content, Part, Span, Window};
use crate::wire::v2::PageRun;
use crate::wire::v2::array::{ANCESTOR_SHIFT, BLOCKS, BY_ADDRESS, CONT, HOLE, NOWHERE, ZERO};

/// What is written of one pagemap.
pub(super) struct Said {
    pub(super) kind: Kind,
    pub(super) id: u64,
    /// What stands at the beginning of its image.
    pub(super) begin: Option<Vec<u8>>,
    pub(super) runs: Vec<PageRun>,
    /// Payloads of notes.
    pub(super) notes: Vec<Vec<u8>>,
    pub(super) ends: bool,
}

/// Pages that are stored, which lie behind each other in their span.
pub(super) struct Stored {
    /// Number of the first.
    pub(super) first: u64,
    pub(super) pages: u64,
    /// Number of the span in the window, and which of its pages is the first.
    pub(super) span: usize,
    pub(super) from: u64,
}

/// Gives numbers.
pub(super) struct Numbers {
    pub(super) page_size: u64,
    /// The next page that is stored.
    pub(super) next: u64,
    /// Runs of the pagemap that windows before had.
    pub(super) runs: u64,
    pub(super) counts: PageCounts,
}

/// What is known while a window is numbered.
struct State<'w> {
    verdicts: std::slice::Iter<'w, Verdict>,
    /// Numbers of the plain pages so far.
    numbers: Vec<u64>,
    stored: Vec<Stored>,
}

impl Numbers {
    /// What is said of a window, what is stored of it, and the numbers of its plain pages.
    pub(super) fn window(&mut self, window: &Window, verdicts: &[Verdict]) -> (Vec<Said>, Vec<Stored>, Vec<u64>) {
        let numbers = Vec::with_capacity(verdicts.len());
        let mut state = State { verdicts: verdicts.iter(), numbers, stored: Vec::new() };
        let mut said = Vec::new();
        let mut at = 0usize;
        for part in &window.parts {
            let spans = window.spans.get(at..part.spans).unwrap_or_default();
            said.push(self.part(part, spans, at, &mut state));
            at = part.spans;
        }
        (said, state.stored, state.numbers)
    }

    fn part(&mut self, part: &Part, spans: &[Span], at: usize, state: &mut State<'_>) -> Said {
        let mut runs = Vec::new();
        let mut notes = Vec::new();
        if part.begin.is_some() {
            self.runs = 0;
        }
        for (index, span) in (at..).zip(spans) {
            if span.is_first {
                self.counts.pagemap_entries = self.counts.pagemap_entries.saturating_add(1);
            }
            if let Some(note) = &span.note {
                let index = self.runs.saturating_add(runs.len() as u64);
                notes.push(Note::encode(note, index));
                self.counts.noted = self.counts.noted.saturating_add(u64::from(matches!(**note, Note::Raw(_))));
            }
            self.span(span, index, state, &mut runs);
        }
        self.runs = self.runs.saturating_add(runs.len() as u64);
        self.counts.runs = self.counts.runs.saturating_add(runs.len() as u64);
        let begin = part.begin.as_ref().map(|facts| facts.encode());
        Said { kind: part.kind, id: part.id, begin, runs, notes, ends: part.ends }
    }

    fn span(&mut self, span: &Span, index: usize, state: &mut State<'_>, runs: &mut Vec<PageRun>) {
        let mut cont = if span.is_first { 0 } else { CONT };
        let mut run = |vaddr, pages, page, place: u32| {
            runs.push(PageRun::new(vaddr, pages, page, span.flags | place | cont));
            cont = CONT;
        };
        let counts = &mut self.counts;
        match &span.content {
            Content::None => run(span.vaddr, span.pages, NOWHERE, 0),
            Content::Parent => run(span.vaddr, span.pages, NOWHERE, BY_ADDRESS),
            Content::Placed { ancestor, page } => run(span.vaddr, span.pages, *page, ancestor << ANCESTOR_SHIFT),
            Content::ParentZero => run(span.vaddr, span.pages, NOWHERE, ZERO),
            Content::Zero => {
                counts.pages = counts.pages.saturating_add(span.pages);
                counts.zero = counts.zero.saturating_add(span.pages);
                run(span.vaddr, span.pages, NOWHERE, ZERO);
            }
            Content::Packed { .. } => {}
            Content::Units { .. } => {
                counts.pages = counts.pages.saturating_add(span.pages);
                counts.stored = counts.stored.saturating_add(span.pages);
                run(span.vaddr, span.pages, self.next, BLOCKS);
                state.stored.push(Stored { first: self.next, pages: span.pages, span: index, from: 0 });
                self.next = self.next.saturating_add(span.pages);
            }
            Content::Plain { loc, holes, .. } => {
                counts.pages = counts.pages.saturating_add(span.pages);
                // the run that grows: its place, first page, and pages
                let (mut place, mut first, mut length) = (0u32, 0u64, 0u64);
                for number in 0..span.pages {
                    let verdict = state.verdicts.next().copied().unwrap_or(Verdict::New);
                    let (its_place, page) = match verdict {
                        Verdict::Zero => {
                            counts.zero = counts.zero.saturating_add(1);
                            let from = loc.further(number.saturating_mul(self.page_size)).offset;
                            let to = from.saturating_add(self.page_size);
                            let is_hole = holes.as_ref().is_some_and(|holes| holes.has(from, to));
                            (if is_hole { ZERO | HOLE } else { ZERO }, NOWHERE)
                        }
                        Verdict::New => {
                            counts.stored = counts.stored.saturating_add(1);
                            let page = self.next;
                            self.next = page.saturating_add(1);
                            match state.stored.last_mut() {
                                Some(last) if last.span == index && last.from.saturating_add(last.pages) == number => {
                                    last.pages = last.pages.saturating_add(1);
                                }
                                _ => state.stored.push(Stored { first: page, pages: 1, span: index, from: number }),
                            }
                            (0, page)
                        }
                        Verdict::Same(home) => {
                            let (ancestor, page) = match home {
                                Home::Window(index) => (0, state.numbers.get(index).copied().unwrap_or(NOWHERE)),
                                Home::Store { ancestor, page } => (ancestor, page),
                            };
                            match ancestor {
                                0 => counts.shared = counts.shared.saturating_add(1),
                                _ => counts.inherited = counts.inherited.saturating_add(1),
                            }
                            (ancestor << ANCESTOR_SHIFT, page)
                        }
                    };
                    state.numbers.push(page);
                    let goes_on = length > 0
                        && its_place == place
                        && (page == first.wrapping_add(length) || (page == NOWHERE && first == NOWHERE));
                    if goes_on {
                        length = length.saturating_add(1);
                        continue;
                    }
                    if length > 0 {
                        let before = number.wrapping_sub(length).saturating_mul(self.page_size);
                        run(span.vaddr.wrapping_add(before), length, first, place);
                    }
                    (place, first, length) = (its_place, page, 1);
                }
                let before = span.pages.wrapping_sub(length).saturating_mul(self.page_size);
                run(span.vaddr.wrapping_add(before), length, first, place);
            }
        }
    }
}
