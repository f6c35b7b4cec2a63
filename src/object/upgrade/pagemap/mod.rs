//! Pagemaps: the entries of version 1 as runs of pages, and runs as the entries that they were, byte for byte.
//!
//! A run says what an entry said, and where its pages are. Neighbouring runs of one entry are marked, so that they
//! come back as one. What is written differently than CRIU writes it stands beside the runs, in notes.

mod facts;
mod note;
mod runs;

use std::collections::HashMap;

pub use facts::{Entry, Facts, Style, usual_head};
pub use note::Note;
pub use runs::{Runs, is_present};

use crate::base::{Error, Result};
use crate::image::Kind;
use crate::source::bundle::Bundle;
use crate::wire::v1;
use crate::wire::v2::array::{BLOCKS, CONT, V1_FLAGS};
use crate::wire::v2::{PageRun, types};
use runs::units;

/// What stands beside the runs of a pagemap: facts, and notes by the number of their run.
///
/// Errors: the image is broken.
pub fn beside(bundle: &Bundle, kind: Kind, id: u64) -> Result<(Facts, HashMap<u64, Note>)> {
    let mut facts = Facts::default();
    let mut notes = HashMap::new();
    for found in bundle.records(kind.number(), id) {
        let found = found?;
        let wrong =
            |what| Error::format(what).at_offset(found.record.offset as u64).in_image(bundle.part_name(found.part));
        match found.record.header.object_type() {
            types::V1_IMAGE => {
                let read = Facts::decode(found.record.payload);
                facts = read.ok_or_else(|| wrong("expected what a pagemap had in version 1, found other bytes"))?;
            }
            types::NOTE => {
                let read = Note::decode(found.record.payload);
                notes.extend([read.ok_or_else(|| wrong("expected a note, found other bytes"))?]);
            }
            _ => {}
        }
    }
    Ok((facts, notes))
}

/// The file of version 1 that a pagemap was: `page_size` is that of the checkpoint.
///
/// Errors: the image is broken; or the blocks that had its pages in version 1 are not there.
pub fn bytes(bundle: &Bundle, kind: Kind, id: u64, page_size: u64) -> Result<Vec<u8>> {
    let (facts, notes) = beside(bundle, kind, id)?;
    let mut out = Vec::new();
    if facts.is_empty {
        return Ok(out);
    }
    if !facts.is_bare {
        out.extend(v1::COMMON.to_le_bytes());
    }
    out.extend(kind.row().magic.to_le_bytes());
    put(&mut out, &facts.head());
    let mut entry: Option<Whole> = None;
    for (index, run) in (0u64..).zip(Runs::new(bundle, kind, id, page_size)) {
        let run = run?;
        if run.flags() & CONT == 0 {
            if let Some(entry) = entry.take() {
                entry.write(&facts, &notes, &mut out);
            }
            entry = Some(Whole::new(index, &run));
        }
        let whole = entry.as_mut().and_then(|entry| entry.add(bundle, &run, page_size));
        if whole.is_none() {
            return Err(Error::format(format!("expected a run that goes on, found another at {:#x}", run.vaddr()))
                .in_image(bundle.name()));
        }
    }
    if let Some(entry) = entry {
        entry.write(&facts, &notes, &mut out);
    }
    Ok(out)
}

/// A message with its size before it.
fn put(out: &mut Vec<u8>, message: &[u8]) {
    out.extend(u32::try_from(message.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(message);
}

/// An entry as its runs are joined.
struct Whole {
    index: u64,
    vaddr: u64,
    pages: u64,
    flags: u32,
    per_block: u32,
    sizes: Vec<u32>,
}

impl Whole {
    fn new(index: u64, run: &PageRun) -> Self {
        let (vaddr, flags) = (run.vaddr(), run.flags());
        Self { index, vaddr, pages: 0, flags, per_block: 0, sizes: Vec::new() }
    }

    /// Adds a run; `None` if it does not go on where those before end, or its blocks are not there.
    fn add(&mut self, bundle: &Bundle, run: &PageRun, page_size: u64) -> Option<()> {
        let said = V1_FLAGS | BLOCKS;
        let end = self.pages.checked_mul(page_size)?.checked_add(self.vaddr)?;
        if run.vaddr() != end || run.flags() & said != self.flags & said {
            return None;
        }
        self.pages = self.pages.checked_add(run.pages())?;
        if run.flags() & BLOCKS == 0 {
            return Some(());
        }
        units(bundle, run, |block, range| {
            if self.per_block == 0 {
                self.per_block = block.unit;
            }
            let sizes = block.sizes.get(range).filter(|_| self.per_block == block.unit)?;
            self.sizes.extend(sizes.iter().map(|size| size.get()));
            Some(())
        })
    }

    fn write(&self, facts: &Facts, notes: &HashMap<u64, Note>, out: &mut Vec<u8>) {
        let note = notes.get(&self.index);
        if let Some(Note::Raw(raw)) = note {
            return put(out, raw);
        }
        let mut message = Vec::new();
        let blocks = (self.flags & BLOCKS != 0).then_some((self.per_block, self.sizes.as_slice()));
        let (vaddr, pages, flags) = (self.vaddr, self.pages, self.flags & V1_FLAGS);
        facts.entry(&Entry { vaddr, pages, flags, blocks }, &mut message);
        if let Some(Note::Rest(rest)) = note {
            message.extend_from_slice(rest);
        }
        put(out, &message);
    }
}
