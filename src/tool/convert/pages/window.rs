//! What is looked at together: spans of pages of one or more pagemaps, up to a number of bytes.

use std::sync::Arc;

use bytes::Bytes;

use crate::image::Kind;
use crate::object::upgrade::pagemap::{Facts, Note};
use crate::tool::convert::pages::holes::Holes;
use crate::tool::convert::pages::loc::Loc;

/// Spans of pages, in the order of their pagemaps and addresses.
#[derive(Default)]
pub(super) struct Window {
    pub(super) parts: Vec<Part>,
    pub(super) spans: Vec<Span>,
    /// Bytes of their pages.
    pub(super) bytes: u64,
}

/// What a window has of one pagemap.
pub(super) struct Part {
    pub(super) kind: Kind,
    pub(super) id: u64,
    /// What stands at the beginning of the image, if it is here.
    pub(super) begin: Option<Facts>,
    /// Spans of the window up to here are this one's or of those before.
    pub(super) spans: usize,
    /// Whether it ends here.
    pub(super) ends: bool,
}

/// Pages of one entry that are stored in one way.
pub(super) struct Span {
    pub(super) vaddr: u64,
    pub(super) pages: u64,
    /// Flags of the entry, as version 1 had them.
    pub(super) flags: u32,
    /// Whether the entry begins with it.
    pub(super) is_first: bool,
    pub(super) note: Option<Box<Note>>,
    pub(super) content: Content,
}

/// Where pages are.
pub(super) enum Content {
    /// Nowhere.
    None,
    /// In the parent, at the same address.
    Parent,
    /// In the store of an ancestor, from this page on.
    Placed { ancestor: u32, page: u64 },
    /// In the parent, where they are zero.
    ParentZero,
    /// Nowhere: they are zero.
    Zero,
    /// As they are.
    Plain { bytes: Bytes, loc: Loc, holes: Option<Arc<Holes>> },
    /// In a block that has to be unpacked.
    Packed { bytes: Bytes, loc: Loc },
    /// In blocks that are kept: pages of a block, and the sizes of blocks.
    Units { bytes: Bytes, per_block: u32, sizes: Vec<u32> },
}

/// Spans of a window at most: of an entry of one page each they are as many as pages.
const SPANS: usize = 1 << 16;

impl Window {
    /// How many bytes of pages still belong into it; 0 if it is full.
    pub(super) fn room(&self, limit: u64) -> u64 {
        if self.spans.len() >= SPANS { 0 } else { limit.saturating_sub(self.bytes) }
    }

    pub(super) fn push(&mut self, span: Span, bytes: u64) {
        self.spans.push(span);
        self.bytes = self.bytes.saturating_add(bytes);
        self.mark(false);
    }

    /// What comes next belongs to this pagemap.
    pub(super) fn part(&mut self, kind: Kind, id: u64, begin: Option<Facts>) {
        let spans = self.spans.len();
        self.parts.push(Part { kind, id, begin, spans, ends: false });
    }

    /// The pagemap goes on up to here, or ends here.
    pub(super) fn mark(&mut self, ends: bool) {
        let spans = self.spans.len();
        if let Some(part) = self.parts.last_mut() {
            (part.spans, part.ends) = (spans, ends);
        }
    }
}
