//! Shared memory that was searched already, for another process.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use super::filter::Filter;
use crate::checkpoint::mm::{Backing, Mapping};
use crate::checkpoint::{AddressSpace, Checkpoint};

/// Which parts of which segments were searched.
#[derive(Default)]
pub(super) struct Once {
    /// By the number of the segment's pagemap.
    searched: HashMap<u64, Parts>,
}

/// Ranges by where they start, none within another: whoever starts later ends later.
#[derive(Default)]
struct Parts(BTreeMap<u64, u64>);

impl Parts {
    /// Whether it lies within one that was added before; if not, it is added.
    fn has(&mut self, range: Range<u64>) -> bool {
        if self.0.range(..=range.start).next_back().is_some_and(|(_, end)| range.end <= *end) {
            return true;
        }
        while let Some((&start, _)) = self.0.range(range.start..).next().filter(|(_, end)| **end <= range.end) {
            self.0.remove(&start);
        }
        self.0.insert(range.start, range.end);
        false
    }
}

impl Once {
    /// The mappings to pass over, by where they start, ascending: those whose whole content was searched before. The others are
    /// taken down as searched now.
    pub(super) fn passed(&mut self, dump: &Checkpoint, space: &AddressSpace, filter: &Filter) -> Vec<u64> {
        if !filter.shared_once || !filter.ranges.is_empty() {
            return Vec::new();
        }
        let mut passed = Vec::new();
        for mapping in space.mappings().iter().filter(|mapping| filter.admits(mapping)) {
            let Some(segment) = segment(dump, mapping) else { continue };
            let range = mapping.pgoff..mapping.pgoff.saturating_add(mapping.size());
            if self.searched.entry(segment).or_default().has(range) {
                passed.push(mapping.start.0);
            }
        }
        passed.sort_unstable();
        passed
    }
}

/// The number of the pagemap that has a mapping's content, if others may map the same.
fn segment(dump: &Checkpoint, mapping: &Mapping) -> Option<u64> {
    match mapping.backing {
        _ if !mapping.flags.is_shared() => None,
        Backing::Shared | Backing::SysV => Some(mapping.shmid),
        Backing::Memfd(_) => dump.memfd(mapping.shmid).ok().flatten().map(|(id, _)| id),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_as_if_all_were_kept() {
        let (mut parts, mut kept) = (Parts::default(), Vec::<Range<u64>>::new());
        let mut state = 1u64;
        let mut next = |below: u64| {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            (state >> 33) % below
        };
        for _ in 0..5000 {
            let start = next(300);
            let range = start..start + next(20);
            let is_in = kept.iter().any(|part| part.start <= range.start && range.end <= part.end);
            assert_eq!(parts.has(range.clone()), is_in, "{range:?}");
            kept.push(range);
        }
    }
}
