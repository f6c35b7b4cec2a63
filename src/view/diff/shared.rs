//! Shared memory, which is compared once however many tasks map it.

use std::collections::HashMap;
use std::ops::Range;

use crate::checkpoint::AddressSpace;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::mm::{Backing, Mapping};

/// A segment of the first dump, one of the second, and how much further offsets are in the second.
type Key = (u64, u64, u64);

/// Two segments that tasks map at the same address.
pub(super) struct Shared {
    /// What they are, as the first dump calls it.
    pub(super) what: String,
    /// The tasks of the first dump that map it.
    pub(super) pids: Vec<u32>,
    /// Offsets that were compared.
    covered: Vec<Range<u64>>,
}

/// A range of addresses of a pair of tasks where both map a segment.
pub(super) struct Piece {
    pub(super) range: Range<u64>,
    /// Which of [`Segments::list`].
    pub(super) segment: usize,
    /// Where the range begins in the segment of the first dump.
    pub(super) offset: u64,
}

/// The pairs of segments that were met, in that order.
#[derive(Default)]
pub(super) struct Segments {
    pub(super) list: Vec<Shared>,
    numbers: HashMap<Key, usize>,
}

/// What a pair of tasks shares with others.
#[derive(Default)]
pub(super) struct Plan {
    /// All ranges of shared memory on both sides, ascending.
    pub(super) ranges: Vec<Range<u64>>,
    /// Those parts of them that no pair of tasks before had.
    pub(super) pieces: Vec<Piece>,
}

/// A shared mapping of a segment: its addresses, its segment, where it begins in that.
struct Mapped<'m> {
    range: Range<u64>,
    id: u64,
    offset: u64,
    mapping: &'m Mapping,
}

/// The parts of a space that are shared memory, ascending and without overlaps.
fn mapped<'m>(dump: &Checkpoint, space: &'m AddressSpace) -> Vec<Mapped<'m>> {
    let mut found: Vec<Mapped<'m>> = Vec::new();
    for region in &space.regions {
        let Some(mapping) = space.mappings().get(region.mapping).filter(|mapping| mapping.flags.is_shared()) else {
            continue;
        };
        let id = match mapping.backing {
            Backing::Shared | Backing::SysV => Some(mapping.shmid),
            Backing::Memfd(_) => dump.memfd(mapping.shmid).ok().flatten().map(|(id, _)| id),
            _ => None,
        };
        if let (Some(id), Some((_, offset))) = (id, region.segment) {
            found.push(Mapped { range: region.start..region.end, id, offset, mapping });
        }
    }
    found
}

impl Segments {
    /// What a pair of tasks maps of segments, and what of it remains to be compared.
    pub(super) fn plan(
        &mut self,
        pid: u32,
        (a, space_a): (&Checkpoint, &AddressSpace),
        (b, space_b): (&Checkpoint, &AddressSpace),
        name: impl Fn(&Mapping) -> String,
    ) -> Plan {
        let (these, those) = (mapped(a, space_a), mapped(b, space_b));
        let mut plan = Plan::default();
        let (mut left, mut right) = (these.iter().peekable(), those.iter().peekable());
        while let (Some(this), Some(that)) = (left.peek(), right.peek()) {
            let (start, end) = (this.range.start.max(that.range.start), this.range.end.min(that.range.end));
            if start < end {
                let offset = this.offset.wrapping_add(start.wrapping_sub(this.range.start));
                let other = that.offset.wrapping_add(start.wrapping_sub(that.range.start));
                let key = (this.id, that.id, other.wrapping_sub(offset));
                let number = *self.numbers.entry(key).or_insert(self.list.len());
                if number == self.list.len() {
                    let what = name(this.mapping);
                    self.list.push(Shared { what, pids: Vec::new(), covered: Vec::new() });
                }
                if let Some(shared) = self.list.get_mut(number) {
                    shared.meet(pid, start..end, offset, number, &mut plan);
                }
            }
            if this.range.end <= that.range.end {
                left.next();
            } else {
                right.next();
            }
        }
        plan
    }
}

impl Shared {
    fn meet(&mut self, pid: u32, range: Range<u64>, offset: u64, segment: usize, plan: &mut Plan) {
        if self.pids.last() != Some(&pid) {
            self.pids.push(pid);
        }
        let length = range.end.saturating_sub(range.start);
        let wanted = offset..offset.saturating_add(length);
        for part in without(wanted.clone(), &self.covered) {
            let start = range.start.saturating_add(part.start.saturating_sub(offset));
            let end = range.start.saturating_add(part.end.saturating_sub(offset));
            plan.pieces.push(Piece { range: start..end, segment, offset: part.start });
        }
        cover(&mut self.covered, wanted);
        plan.ranges.push(range);
    }
}

/// The parts of `range` that are in none of `others`, which ascend and do not overlap.
pub(super) fn without(range: Range<u64>, others: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut parts = Vec::new();
    let mut at = range.start;
    let first = others.partition_point(|other| other.end <= range.start);
    for other in others.get(first..).unwrap_or_default() {
        if other.start >= range.end {
            break;
        }
        if at < other.start {
            parts.push(at..other.start);
        }
        at = at.max(other.end);
    }
    if at < range.end {
        parts.push(at..range.end);
    }
    parts
}

/// Adds a range, joined with those it touches.
fn cover(ranges: &mut Vec<Range<u64>>, mut range: Range<u64>) {
    let first = ranges.partition_point(|other| other.end < range.start);
    let behind = ranges.partition_point(|other| other.start <= range.end).max(first);
    for other in ranges.get(first..behind).unwrap_or_default() {
        range = range.start.min(other.start)..range.end.max(other.end);
    }
    ranges.splice(first..behind, [range]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn as_marked_one_by_one(ranges in proptest::collection::vec((0u64..60, 1u64..20), 1..12)) {
            let mut covered = Vec::new();
            let mut marks = [false; 100];
            for (start, length) in ranges {
                let range = start..start + length;
                let mut fresh = [false; 100];
                for part in without(range.clone(), &covered) {
                    part.for_each(|at| fresh[at as usize] = true);
                }
                for at in 0..100u64 {
                    prop_assert_eq!(fresh[at as usize], range.contains(&at) && !marks[at as usize]);
                }
                range.clone().for_each(|at| marks[at as usize] = true);
                cover(&mut covered, range);
                prop_assert!(covered.windows(2).all(|pair| pair[0].end < pair[1].start));
                let all: Vec<u64> = covered.iter().cloned().flatten().collect();
                let want: Vec<u64> = (0..100).filter(|at| marks[*at as usize]).collect();
                prop_assert_eq!(all, want);
            }
        }
    }
}
