//! Writing behind a bundle, and what must hold before an END is written.

use std::io::Write;

use crate::base::{Error, Result};
use crate::source::bundle::{Bundle, Writer};
use crate::wire::v2::array::Element;
use crate::wire::v2::{BlockRow, DirectoryRow, types};

impl<W: Write> Writer<W> {
    /// A writer behind a bundle, which stays as it is: `out` stands at its [`length`](Bundle::length). Of the same dump,
    /// an image replaces the one with its kind and number; of another dump, the bundle holds both.
    ///
    /// Errors: it is no bundle in one file, or its blocks of pages cannot be listed.
    pub fn append(out: W, bundle: &Bundle, dump: u64) -> Result<Self> {
        let (at, previous) = match bundle.parts.as_slice() {
            [part] => part.tail.map(|tail| (tail.length, tail.offset)),
            _ => None,
        }
        .ok_or_else(|| Error::usage("expected a bundle with an END to append to").in_image(bundle.name()))?;
        let mut this = Self { at, previous, ..Self::new(out, dump) };
        if dump == bundle.dump {
            for section in bundle.all_sections() {
                let (kind, id) = (section.kind, section.id);
                let row = DirectoryRow::new(kind, id, section.offset as u64, section.size as u64);
                this.kept.entry((kind, id)).or_default().push(row);
            }
            let blocks = bundle.blocks().map_err(Clone::clone)?;
            let rows = (0..blocks.len()).filter_map(|index| blocks.get(index));
            this.blocks = rows.map(|at| BlockRow::new(at.first, at.pages, at.offset, at.data)).collect();
        }
        Ok(this)
    }

    /// Closes the section that is open, and looks whether the end may come.
    pub(super) fn complete(&mut self, is_bundle: bool) -> Result<()> {
        self.close();
        if let Some(((kind, id), _)) = self.images.iter().find(|(_, state)| !state.is_complete) {
            return Err(Error::usage(format!("image {kind} {id} has no STOP, and the end comes")));
        }
        self.blocks.sort_unstable_by_key(BlockRow::first);
        if let Some([_, block]) = self.blocks.windows(2).find(|pair| matches!(pair, [a, b] if !b.follows(a))) {
            return Err(Error::usage(format!("page {} is in two blocks", block.first())));
        }
        if is_bundle && self.turn.is_some() {
            return Err(Error::usage("expected one file for all images"));
        }
        if is_bundle && self.kept.is_empty() && self.first != Some(types::KIND_CHECKPOINT) {
            return Err(Error::usage("expected the image CHECKPOINT first"));
        }
        Ok(())
    }
}
