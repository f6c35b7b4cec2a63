//! What was found of the pages of one row, and what that saves.

use super::Stored;
use super::measure::Histogram;

/// What was found of the pages of one row so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) pages: u64,
    pub(super) in_parents: u64,
    pub(super) zero: u64,
    pub(super) duplicate: u64,
    pub(super) broken: u64,
    pub(super) histogram: Option<Histogram>,
    pub(super) sampled: u64,
    pub(super) packed: u64,
}

impl Tally {
    pub(super) fn add(&mut self, other: &Self) {
        self.pages = self.pages.saturating_add(other.pages);
        self.in_parents = self.in_parents.saturating_add(other.in_parents);
        self.zero = self.zero.saturating_add(other.zero);
        self.duplicate = self.duplicate.saturating_add(other.duplicate);
        self.broken = self.broken.saturating_add(other.broken);
        self.sampled = self.sampled.saturating_add(other.sampled);
        self.packed = self.packed.saturating_add(other.packed);
        if let Some(histogram) = &other.histogram {
            self.histogram.get_or_insert_default().add(histogram);
        }
    }

    /// What is known at the end, as a row.
    pub(super) fn row(&self, row: Stored, page_size: u64) -> Stored {
        let zeros = self.zero.saturating_mul(page_size);
        let by_dedup = zeros.saturating_add(self.duplicate.saturating_mul(page_size));
        let packed = |pages: u64| {
            let bytes = u128::from(pages).saturating_mul(u128::from(page_size));
            let gain = u128::from(self.sampled.saturating_sub(self.packed));
            let saved = bytes.saturating_mul(gain).checked_div(u128::from(self.sampled)).unwrap_or(0);
            u64::try_from(saved).unwrap_or(u64::MAX)
        };
        let others = self.pages.saturating_sub(self.zero);
        Stored {
            pages: self.pages,
            in_parents: self.in_parents,
            zero: self.zero,
            duplicate: self.duplicate,
            broken: self.broken,
            entropy: self.histogram.as_ref().and_then(Histogram::entropy),
            saved_by_dedup: by_dedup,
            saved_by_lz4: zeros.saturating_add(packed(others)),
            saved_by_both: by_dedup.saturating_add(packed(others.saturating_sub(self.duplicate))),
            sampled: self.sampled.checked_div(page_size).unwrap_or(0),
            ..row
        }
    }
}
