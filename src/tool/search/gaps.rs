//! What could not be searched, and why.

use crate::base::Error;
use crate::memory::{Missing, Run};

/// So many reasons are kept apart for each process; an image may be broken in a million places.
const REASONS: usize = 16;

/// What of a process could not be searched.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    reasons: Vec<Reason>,
    /// Bytes of other reasons.
    others: u64,
    /// Bytes of mapped files, which no dump has.
    pub(super) in_files: u64,
}

#[derive(Debug)]
struct Reason {
    why: String,
    /// The first address.
    first: u64,
    bytes: u64,
}

impl Gaps {
    /// A run without bytes. What the kernel, a device or nobody has belongs to no dump and is no gap.
    pub(super) fn missing(&mut self, run: &Run<'_>, missing: &Missing) {
        match missing {
            Missing::Kernel | Missing::Device | Missing::Unknown | Missing::BeyondEnd => {}
            _ => self.add(run.start, run.len(), missing.to_string()),
        }
    }

    pub(super) fn add(&mut self, first: u64, bytes: u64, why: String) {
        if let Some(reason) = self.reasons.iter_mut().find(|reason| reason.why == why) {
            reason.bytes = reason.bytes.saturating_add(bytes);
        } else if self.reasons.len() < REASONS {
            self.reasons.push(Reason { why, first, bytes });
        } else {
            self.others = self.others.saturating_add(bytes);
        }
    }

    /// Bytes that should be in the dump and could not be read.
    pub(super) fn bytes(&self) -> u64 {
        self.reasons.iter().fold(self.others, |sum, reason| sum.saturating_add(reason.bytes))
    }

    /// A problem for each reason.
    pub(super) fn problems(&self, pid: u32) -> impl Iterator<Item = Error> + use<'_> {
        let told = self.reasons.iter().map(move |Reason { why, first, bytes }| {
            Error::fault(format!("process {pid}: {bytes} bytes from {first:#x} on were not searched: {why}"))
        });
        let others = (self.others > 0).then(|| {
            Error::fault(format!("process {pid}: {} bytes more were not searched, for more such reasons", self.others))
        });
        told.chain(others)
    }
}
