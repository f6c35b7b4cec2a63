//! Shared memory that was searched already, for another process.

use std::collections::HashMap;
use std::ops::Range;

use super::filter::Filter;
use crate::checkpoint::mm::{Backing, Mapping};
use crate::checkpoint::{AddressSpace, Checkpoint};

/// Which parts of which segments were searched.
#[derive(Default)]
pub(super) struct Once {
    /// By the number of the segment's pagemap.
    searched: HashMap<u64, Vec<Range<u64>>>,
}

impl Once {
    /// The mappings to pass over, by where they start: those whose whole content was searched before. The others are
    /// taken down as searched now.
    pub(super) fn passed(&mut self, dump: &Checkpoint, space: &AddressSpace, filter: &Filter) -> Vec<u64> {
        if !filter.shared_once || !filter.ranges.is_empty() {
            return Vec::new();
        }
        let mut passed = Vec::new();
        for mapping in space.mappings().iter().filter(|mapping| filter.admits(mapping)) {
            let Some(segment) = segment(dump, mapping) else { continue };
            let range = mapping.pgoff..mapping.pgoff.saturating_add(mapping.size());
            let searched = self.searched.entry(segment).or_default();
            if searched.iter().any(|done| done.start <= range.start && range.end <= done.end) {
                passed.push(mapping.start.0);
            } else {
                searched.push(range);
            }
        }
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
