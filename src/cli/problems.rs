//! Errors about single objects: told on standard error, the first of them, and counted.

use super::{Outcome, complain};
use crate::base::Error;

/// So many errors are told; a broken dump may have one for each of a million entries.
const TOLD: u64 = 20;

/// How many there were.
#[derive(Debug, Default)]
pub(super) struct Problems(u64);

impl Problems {
    /// Whether there were none.
    pub(super) fn is_empty(&self) -> bool {
        self.0 == 0
    }

    /// Counts an error; whether it is one of those to be told.
    pub(super) fn count(&mut self) -> bool {
        self.0 = self.0.saturating_add(1);
        self.0 <= TOLD
    }

    /// Tells an error, or only counts it.
    pub(super) fn tell(&mut self, error: &Error) {
        if self.count() {
            complain(error);
        }
    }

    /// Tells how many were not told, and what the program ends with.
    pub(super) fn finish(self) -> Outcome {
        if self.0 > TOLD {
            complain(&Error::format(format!("{} more such errors", self.0.saturating_sub(TOLD))));
        }
        if self.is_empty() { Outcome::Done } else { Outcome::Found }
    }
}
