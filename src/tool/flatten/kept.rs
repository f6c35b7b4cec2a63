//! What the survey found is to be done for a pagemap, kept where that is little: nothing is walked twice then.

use std::collections::HashMap;

use crate::base::Result;
use crate::memory::{Pages, PagesFile, Stored};
use crate::tool::flatten::entries::Entries;
use crate::tool::flatten::filling::Key;
use crate::tool::flatten::object::{Object, Part, Step, What};
use crate::tool::flatten::writer::Stretch;

/// Bytes that are kept for all pagemaps together; what does not fit is walked again.
pub(super) const ROOM: usize = 16 << 20;

/// A pagemap as it will be, and where its content comes from.
pub(super) struct Kept {
    pub(super) pagemap: Vec<u8>,
    pub(super) moves: Vec<(Key, Stretch)>,
    pub(super) files: HashMap<Key, PagesFile>,
    /// Of the pages file.
    pub(super) length: u64,
}

/// Keeps what it is shown, as long as there is room.
pub(super) struct Keeper<'p> {
    pages: &'p Pages,
    entries: Entries<Vec<u8>>,
    moves: Vec<(Key, Stretch)>,
    files: HashMap<Key, PagesFile>,
}

impl<'p> Keeper<'p> {
    /// `None` where nothing is kept.
    pub(super) fn new(object: &'p Object) -> Option<Self> {
        let pages = object.pages.as_ref()?;
        let entries = Entries::new(object.head().to_vec(), object.page_size(), false);
        Some(Self { pages, entries, moves: Vec::new(), files: HashMap::new() })
    }

    /// Whether it can be kept: what is unpacked, has blocks or checksums is not.
    pub(super) fn step(&mut self, step: &Step<'_>, room: usize) -> bool {
        let kept = match step {
            Step::Same(message, _) => self.entries.same(message).map(|()| true),
            Step::Pages(Part { vaddr, pages, style, what }) => match what {
                What::Zeros => self.entries.plain(*vaddr, *pages, *style).map(|_| true),
                What::Plain(stored) if stored.seal.is_none() => {
                    let at = self.entries.plain(*vaddr, *pages, *style);
                    at.map(|at| self.stored(stored, at))
                }
                _ => Ok(false),
            },
        };
        kept.unwrap_or(false) && self.size() <= room
    }

    fn stored(&mut self, stored: &Stored<'_>, at: u64) -> bool {
        let (key, offset, length) = ((stored.level, stored.part), stored.offset, stored.len() as u64);
        if let Some((before, stretch)) = self.moves.last_mut()
            && *before == key
            && stretch.offset.saturating_add(stretch.length) == offset
            && stretch.at.saturating_add(stretch.length) == at
        {
            stretch.length = stretch.length.saturating_add(length);
            return true;
        }
        self.moves.push((key, Stretch { offset, length, at }));
        if self.files.contains_key(&key) {
            return true;
        }
        match self.pages.file(stored) {
            Some(file) => self.files.insert(key, file).is_none(),
            None => false,
        }
    }

    fn size(&self) -> usize {
        let moves = self.moves.capacity().saturating_mul(size_of::<(Key, Stretch)>());
        moves.saturating_add(self.entries.out().capacity())
    }

    /// What was kept, and how many bytes it takes.
    pub(super) fn finish(self) -> Result<(Kept, usize)> {
        let Self { entries, moves, files, .. } = self;
        let (pagemap, length) = entries.finish()?;
        let size = moves.capacity().saturating_mul(size_of::<(Key, Stretch)>()).saturating_add(pagemap.capacity());
        Ok((Kept { pagemap, moves, files, length }, size))
    }
}
