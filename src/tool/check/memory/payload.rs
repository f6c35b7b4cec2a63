//! How many bytes entries of a pagemap take in its pages file, wherever the first of them begins.

/// Bytes of consecutive entries: some begin at a multiple of the page size, and what stands before the first of those
/// is not known while threads look at parts of a pagemap.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Payload {
    /// Bytes before the first entry that is aligned.
    before: u64,
    /// Bytes from that entry on, if there is one.
    aligned: Option<u64>,
    /// Whether an entry does not say how much it takes.
    is_unknown: bool,
}

impl Payload {
    /// An entry of which nobody knows what it takes.
    pub(super) fn forget(&mut self) {
        self.is_unknown = true;
    }

    /// An entry of so many bytes.
    #[inline]
    pub(super) fn add(&mut self, bytes: u64, is_aligned: bool, page_size: u64) {
        let sum = match self.aligned {
            None if !is_aligned => {
                let sum = self.before.checked_add(bytes);
                self.before = sum.unwrap_or(0);
                sum
            }
            None => {
                self.aligned = Some(bytes);
                return;
            }
            Some(sum) if is_aligned => next_multiple(sum, page_size).and_then(|sum| sum.checked_add(bytes)),
            Some(sum) => sum.checked_add(bytes),
        };
        self.is_unknown |= sum.is_none();
        if self.aligned.is_some() {
            self.aligned = sum.or(Some(0));
        }
    }

    /// Adds the entries behind these.
    pub(super) fn join(&mut self, next: &Self, page_size: u64) {
        self.is_unknown |= next.is_unknown;
        self.add(next.before, false, page_size);
        if let Some(bytes) = next.aligned {
            self.add(bytes, true, page_size);
        }
    }

    /// How long the file is, if the first entry begins at its start; `None` where that is not known, or no file is as
    /// long.
    pub(super) fn length(&self, page_size: u64) -> Option<u64> {
        let length = match self.aligned {
            None => Some(self.before),
            Some(bytes) => next_multiple(self.before, page_size)?.checked_add(bytes),
        };
        length.filter(|length| !self.is_unknown && i64::try_from(*length).is_ok())
    }
}

fn next_multiple(at: u64, page_size: u64) -> Option<u64> {
    at.checked_next_multiple_of(page_size.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up_to_the_whole() {
        let entries = [(10, false), (4096, true), (7, false), (1, true), (0, true), (5000, false), (3, true)];
        let mut whole = 0u64;
        for (bytes, is_aligned) in entries {
            whole = if is_aligned { whole.next_multiple_of(4096) } else { whole } + bytes;
        }
        for first in 0..entries.len() {
            for second in first..entries.len() {
                let mut all = Payload::default();
                for part in [&entries[..first], &entries[first..second], &entries[second..]] {
                    let mut one = Payload::default();
                    part.iter().for_each(|(bytes, is_aligned)| one.add(*bytes, *is_aligned, 4096));
                    all.join(&one, 4096);
                }
                assert_eq!(all.length(4096), Some(whole));
            }
        }
        let mut large = Payload::default();
        large.add(1 << 62, false, 4096);
        assert_eq!(large.length(4096), Some(1 << 62));
        large.add(1 << 62, false, 4096);
        assert_eq!(large.length(4096), None);
        large.add(u64::MAX, false, 4096);
        assert_eq!(large.length(4096), None);
    }
}
