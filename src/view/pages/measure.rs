//! What is measured of stored pages: zeros, how often each byte occurs, how well a sample can be packed.

use std::ops::Range;

use crate::base::{Error, Result};
use crate::memory::{Stored, packed_size, twins};

/// How often each byte occurs.
#[derive(Clone, Debug)]
pub(super) struct Histogram(Box<[u64; 256]>);

impl Default for Histogram {
    fn default() -> Self {
        Self(Box::new([0; 256]))
    }
}

impl Histogram {
    pub(super) fn add(&mut self, other: &Self) {
        for (sum, count) in self.0.iter_mut().zip(other.0.iter()) {
            *sum = sum.saturating_add(*count);
        }
    }

    fn zeros(&mut self, count: u64) {
        if let Some(zeros) = self.0.first_mut() {
            *zeros = zeros.saturating_add(count);
        }
    }

    /// Counts the bytes of a page: in four tables, for a byte is often the one before it again.
    fn count(&mut self, page: &[u8]) {
        let mut tables = [[0u32; 256]; 4];
        let (groups, rest) = page.as_chunks::<4>();
        for group in groups {
            for (table, byte) in tables.iter_mut().zip(group) {
                if let Some(count) = table.get_mut(usize::from(*byte)) {
                    *count = count.wrapping_add(1);
                }
            }
        }
        for byte in rest {
            if let Some(count) = self.0.get_mut(usize::from(*byte)) {
                *count = count.saturating_add(1);
            }
        }
        for table in tables {
            for (sum, count) in self.0.iter_mut().zip(table) {
                *sum = sum.saturating_add(u64::from(count));
            }
        }
    }

    /// Shannon's entropy in bits per byte, from 0 to 8, to three places; `None` where there is no byte.
    pub(super) fn entropy(&self) -> Option<f64> {
        let total: u64 = self.0.iter().sum();
        if total == 0 {
            return None;
        }
        let shares = self.0.iter().filter(|count| **count > 0).map(|count| *count as f64 / total as f64);
        let bits: f64 = shares.map(|share| -share * share.log2()).sum();
        // + 0.0: no negative zero
        Some((bits * 1000.0).round() / 1000.0 + 0.0)
    }
}

/// Stored pages that are measured at once.
pub(super) struct Chunk<'a> {
    pub(super) stored: Stored<'a>,
    pub(super) page_size: usize,
    /// Which page of its mapping the first is; one of how many is packed.
    pub(super) first: u64,
    pub(super) step: u64,
}

/// What was measured.
#[derive(Default)]
pub(super) struct Measured {
    /// Pages of zeros.
    pub(super) zero: u64,
    /// Of each other page where it begins, and its fingerprint.
    pub(super) pages: Vec<(usize, u64)>,
    pub(super) histogram: Histogram,
    /// Bytes of the pages that were packed, and what they take then.
    pub(super) sampled: u64,
    pub(super) packed: u64,
    /// Pages that cannot be read, and why.
    pub(super) broken: u64,
    pub(super) errors: Vec<Error>,
}

impl Chunk<'_> {
    pub(super) fn measure(&self) -> Measured {
        let mut measured = Measured::default();
        let mut at = 0;
        while at < self.stored.len() {
            let (end, result) = self.stored.sound(at, self.stored.len());
            if let Err(error) = result.and_then(|()| self.try_measure(at..end, &mut measured)) {
                let pages = end.saturating_sub(at).checked_div(self.page_size).unwrap_or(0);
                measured.broken = measured.broken.saturating_add(pages as u64);
                measured.errors.push(error);
            }
            at = end.max(at.saturating_add(1));
        }
        measured
    }

    /// Scattered, since what a program keeps may come again every so many pages; the same ones each time.
    fn is_sampled(&self, page: u64) -> bool {
        let scattered = (page ^ page >> 7).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (scattered >> 32).is_multiple_of(self.step.max(1))
    }

    fn try_measure(&self, part: Range<usize>, into: &mut Measured) -> Result<()> {
        let (mut unpacked, mut packed) = (Vec::new(), Vec::new());
        let before = part.start.checked_div(self.page_size).unwrap_or(0);
        let stored = self.stored.part(part);
        let bytes = stored.bytes(&mut unpacked)?;
        for (number, page) in bytes.chunks(self.page_size.max(1)).enumerate() {
            let number = number.saturating_add(before);
            if is_zero(page) {
                into.zero = into.zero.saturating_add(1);
                into.histogram.zeros(page.len() as u64);
                continue;
            }
            into.pages.push((number.saturating_mul(self.page_size), twins::fingerprint(page)));
            into.histogram.count(page);
            if self.is_sampled(self.first.saturating_add(number as u64)) {
                into.sampled = into.sampled.saturating_add(page.len() as u64);
                into.packed = into.packed.saturating_add(packed_size(page, &mut packed) as u64);
            }
        }
        Ok(())
    }
}

fn is_zero(page: &[u8]) -> bool {
    page.chunks(64).all(|line| line.iter().fold(0, |all, byte| all | byte) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entropy_of_what_is_known() {
        let of = |bytes: &[u8]| {
            let mut histogram = Histogram::default();
            histogram.count(bytes);
            histogram.entropy()
        };
        assert_eq!(of(b""), None);
        assert_eq!(of(b"aaaaa"), Some(0.0));
        assert_eq!(of(b"abababab"), Some(1.0));
        assert_eq!(of(&(0..=255).collect::<Vec<u8>>()), Some(8.0));
        assert_eq!(of(b"aab"), Some(0.918));
    }
}
