//! Where pages may be: in what is mapped for a task alone, in a segment.

use crate::checkpoint::mm::Mapping;

/// Ranges of addresses, ascending; none overlaps another.
#[derive(Debug, Default)]
pub(super) struct Ranges {
    list: Vec<Place>,
    /// What is mapped and has no pages of its own, for who asks why there may be none.
    others: Vec<(u64, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    start: u64,
    end: u64,
    /// Whether no page may be packed.
    is_raw: bool,
}

impl Ranges {
    /// Those in which a task with these mappings may have pages of its own.
    pub(super) fn of(mappings: &[Mapping]) -> Self {
        let mut ranges = Self::default();
        for mapping in mappings.iter().filter(|mapping| mapping.start.0 < mapping.end.0) {
            let (start, end) = (mapping.start.0, mapping.end.0);
            match mapping.has_own_pages() {
                true => ranges.list.push(Place { start, end, is_raw: mapping.must_be_raw() }),
                false => ranges.others.push((start, end)),
            }
        }
        ranges.list.sort_unstable_by_key(|place| place.start);
        // where a broken dump has some in others, those behind begin later
        let mut behind = 0u64;
        ranges.list.retain_mut(|place| {
            place.start = place.start.max(behind);
            behind = behind.max(place.end);
            place.start < place.end
        });
        ranges.list.dedup_by(|next, before| {
            let goes_on = before.end == next.start && before.is_raw == next.is_raw;
            before.end = if goes_on { next.end } else { before.end };
            goes_on
        });
        ranges
    }

    /// A segment of so many bytes, of which no page may be packed in `raw`.
    pub(super) fn segment(size: u64, mut raw: Vec<(u64, u64)>) -> Self {
        let mut list = Vec::new();
        raw.sort_unstable();
        let mut at = 0u64;
        for (start, end) in raw {
            let (start, end) = (start.max(at).min(size), end.min(size));
            if start < end {
                list.push(Place { start: at, end: start, is_raw: false });
                list.push(Place { start, end, is_raw: true });
                at = end;
            }
        }
        list.push(Place { start: at, end: size, is_raw: false });
        list.retain(|place| place.start < place.end);
        Self { list, others: Vec::new() }
    }

    /// The number of the first range that ends behind an address.
    pub(super) fn seek(&self, address: u64) -> usize {
        self.list.partition_point(|place| place.end <= address)
    }

    /// Whether `start..end` lies in the range with this number.
    #[inline]
    pub(super) fn has(&self, number: usize, start: u64, end: u64) -> bool {
        self.list.get(number).is_some_and(|place| place.start <= start && end <= place.end)
    }

    /// The first address from `start` up to `end` that is in none.
    pub(super) fn gap(&self, start: u64, end: u64) -> Option<u64> {
        let mut at = start;
        for place in self.list.get(self.seek(start)..).unwrap_or_default() {
            if at >= end || place.start > at {
                break;
            }
            at = place.end;
        }
        (at < end).then_some(at)
    }

    /// The first address from `start` up to `end` where no page may be packed.
    pub(super) fn raw(&self, start: u64, end: u64) -> Option<u64> {
        let places = self.list.get(self.seek(start)..).unwrap_or_default();
        let mut places = places.iter().take_while(|place| place.start < end);
        places.find(|place| place.is_raw).map(|place| place.start.max(start))
    }

    /// Whether no page may be packed somewhere.
    pub(super) fn has_raw(&self) -> bool {
        self.list.iter().any(|place| place.is_raw)
    }

    /// Whether something is mapped at an address that has no pages of its own.
    pub(super) fn is_other(&self, address: u64) -> bool {
        self.others.iter().any(|(start, end)| (*start..*end).contains(&address))
    }

    /// Where the last one ends.
    pub(super) fn end(&self) -> u64 {
        self.list.last().map_or(0, |place| place.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_with_raw_parts() {
        let ranges = Ranges::segment(100, vec![(40, 50), (10, 20), (15, 30), (90, 200)]);
        assert_eq!(ranges.gap(0, 100), None);
        assert_eq!(ranges.gap(0, 101), Some(100));
        assert_eq!(ranges.gap(100, 101), Some(100));
        assert_eq!((ranges.raw(0, 10), ranges.raw(0, 11), ranges.raw(25, 30)), (None, Some(10), Some(25)));
        assert_eq!((ranges.raw(30, 40), ranges.raw(30, 100), ranges.raw(99, 100)), (None, Some(40), Some(99)));
        assert!(ranges.has(ranges.seek(12), 12, 20) && !ranges.has(ranges.seek(12), 12, 32));
        assert_eq!(ranges.end(), 100);
        assert_eq!(Ranges::segment(0, Vec::new()).gap(0, 1), Some(0));
    }
}
