//! All spans of a chain in an array, so that a lookup is one binary search, however long the chain is.

use crate::memory::span::{Origin, Span};

/// 20 bytes a span.
pub(crate) struct Table {
    /// First addresses.
    starts: Vec<u64>,
    /// How many pages.
    lengths: Vec<u32>,
    /// The dump in the upper bits, the offset in its pages file in the lower ones; [`OTHER`] for what is not plain.
    origins: Vec<u64>,
    page_size: u64,
}

/// What a lookup found.
pub(crate) enum Found {
    /// Plain pages.
    Span(Span),
    /// Something else, which the pagemaps have to be asked for.
    Other,
    /// No pagemap speaks of it.
    Nothing,
}

/// So many spans are put into a table, 42 MB; of more, a lookup asks the pagemaps, and memory stays flat.
const SPANS: usize = 2 << 20;

/// Bits of the offset in an origin: files of 4 PiB.
const OFFSET: u32 = 52;
const OTHER: u64 = u64::MAX;

impl Table {
    /// A table of these; `None` if they are too many.
    pub(crate) fn new(spans: impl Iterator<Item = Span>, page_size: u64) -> Option<Self> {
        let mut table = Self { starts: Vec::new(), lengths: Vec::new(), origins: Vec::new(), page_size };
        for span in spans {
            let mut start = span.start;
            while start < span.end {
                if table.starts.len() >= SPANS {
                    return None;
                }
                let pages = (span.end.saturating_sub(start) / page_size.max(1)).clamp(1, u64::from(u32::MAX));
                let origin = origin(span, start);
                table.starts.push(start);
                table.lengths.push(u32::try_from(pages).unwrap_or(u32::MAX));
                table.origins.push(origin);
                // one row is enough: behind a broken entry there may be 2^52 pages of which nothing is known
                if origin == OTHER {
                    break;
                }
                start = start.saturating_add(pages.saturating_mul(page_size));
            }
        }
        Some(table)
    }

    #[inline]
    pub(crate) fn find(&self, address: u64) -> Found {
        let behind = self.starts.partition_point(|start| *start <= address);
        let at = behind.wrapping_sub(1);
        let (Some(&start), Some(&pages), Some(&origin)) =
            (self.starts.get(at), self.lengths.get(at), self.origins.get(at))
        else {
            return Found::Nothing;
        };
        let length = u64::from(pages).saturating_mul(self.page_size);
        // asking the pagemaps is always right, and what is longer than a row can say goes on behind it
        let is_long = origin == OTHER && pages == u32::MAX;
        if address.wrapping_sub(start) >= length && !is_long {
            return Found::Nothing;
        }
        if origin == OTHER {
            return Found::Other;
        }
        let level = usize::try_from(origin >> OFFSET).unwrap_or(usize::MAX);
        let origin = Origin::Plain { level, offset: origin & ((1 << OFFSET) - 1) };
        Found::Span(Span { start, end: start.saturating_add(length), origin })
    }
}

/// Where the part of a span from `start` on comes from.
fn origin(span: Span, start: u64) -> u64 {
    match span.origin {
        Origin::Plain { level, offset } => {
            let offset = offset.saturating_add(start.saturating_sub(span.start));
            let level = level as u64;
            if offset >> OFFSET == 0 && level < (1 << (64 - OFFSET)) - 1 { level << OFFSET | offset } else { OTHER }
        }
        _ => OTHER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_takes_one_row() {
        let spans = [
            Span { start: 0x1000, end: 0x2000, origin: Origin::Lazy },
            Span { start: 0x4000, end: 0x6000, origin: Origin::Plain { level: 1, offset: 0x3000 } },
            Span { start: 0x8000, end: u64::MAX, origin: Origin::Broken { level: 0 } },
        ];
        let table = Table::new(spans.into_iter(), 4096).unwrap();
        assert_eq!(table.starts, [0x1000, 0x4000, 0x8000]);
        for address in [0x1000, 0x8000, 0x7fff_ffff_f000, u64::MAX - 0xfff] {
            assert!(matches!(table.find(address), Found::Other), "{address:#x}");
        }
        for address in [0, 0x2000, 0x6000] {
            assert!(matches!(table.find(address), Found::Nothing), "{address:#x}");
        }
        assert!(matches!(table.find(0x5000), Found::Span(span) if span == spans[1]));
    }
}
