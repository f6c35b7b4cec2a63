//! Pages that were met: a table of fixed size that proposes which may be equal. Comparing bytes decides.

use crate::tool::convert::pages::loc::Loc;

/// Pages of so many hashes are remembered at most, 48 bytes each; beyond that the later ones.
const MOST: u64 = 1 << 19;

/// Which page of which store has the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Home {
    /// The page with this number among those of the window, which has no number in the store yet.
    Window(usize),
    /// A page of the store, or of an ancestor's.
    Store { ancestor: u32, page: u64 },
}

#[derive(Clone, Copy)]
struct Slot {
    /// 0: there is none.
    hash: u64,
    loc: Loc,
    home: Home,
}

/// So many places one after the other may have a hash.
const WAYS: usize = 4;

/// The pages met so far, as far as the table remembers them.
pub(super) struct Known {
    slots: Vec<Slot>,
    /// Places that were filled with pages of the window.
    fresh: Vec<usize>,
}

impl Known {
    /// A table for about `pages` pages.
    pub(super) fn new(pages: u64) -> Self {
        let slots = pages.saturating_mul(2).clamp(1024, MOST).next_power_of_two();
        let empty = Slot { hash: 0, loc: Loc::default(), home: Home::Window(0) };
        Self { slots: vec![empty; usize::try_from(slots).unwrap_or(1)], fresh: Vec::new() }
    }

    /// The first place that a hash may have.
    fn place(&self, hash: u64) -> usize {
        usize::try_from(hash).unwrap_or(usize::MAX) & self.slots.len().saturating_sub(1) & !(WAYS - 1)
    }

    /// A page whose hash is the same, and where its bytes are.
    pub(super) fn find(&self, hash: u64) -> Option<(Home, Loc)> {
        let slots = self.slots.get(self.place(hash)..)?;
        let slot = slots.iter().take(WAYS).find(|slot| slot.hash == hash && hash != 0)?;
        Some((slot.home, slot.loc))
    }

    /// Remembers a page, in the place of one with the same hash, or a free one, or one that is left to the hash.
    pub(super) fn keep(&mut self, hash: u64, home: Home, loc: Loc) {
        if loc.file == 0 || hash == 0 {
            return;
        }
        let first = self.place(hash);
        let slots = self.slots.get(first..first.saturating_add(WAYS)).unwrap_or_default();
        let known = slots.iter().position(|slot| slot.hash == hash);
        let free = || slots.iter().position(|slot| slot.hash == 0);
        let goes = || usize::try_from(hash >> 56).unwrap_or(0) % WAYS;
        let place = first.saturating_add(known.or_else(free).unwrap_or_else(goes));
        if let Some(slot) = self.slots.get_mut(place) {
            *slot = Slot { hash, loc, home };
            if matches!(home, Home::Window(_)) {
                self.fresh.push(place);
            }
        }
    }

    /// Pages of the window got numbers: the store's, by the number in the window.
    pub(super) fn settle(&mut self, number: impl Fn(usize) -> Option<u64>) {
        for place in std::mem::take(&mut self.fresh) {
            let Some(slot) = self.slots.get_mut(place) else { continue };
            if let Home::Window(index) = slot.home {
                match number(index) {
                    Some(page) => slot.home = Home::Store { ancestor: 0, page },
                    None => slot.hash = 0,
                }
            }
        }
    }
}
