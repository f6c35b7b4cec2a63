//! Where rules put what they find: counted, each once, and passed on at once.

use std::collections::HashSet;

use crate::base::report::Rows;
use crate::base::{Error, ErrorKind, Result};
use crate::tool::check::{Finding, Severity};

/// So many errors of reading are remembered, not to be told again by the next rule that needs the same image.
const REMEMBERED: usize = 1000;

/// What rules report to.
pub(crate) struct Findings<'o> {
    out: &'o mut dyn Rows<Finding>,
    told: HashSet<String>,
    pub(super) errors: u64,
    pub(super) warnings: u64,
    pub(super) notes: u64,
}

impl<'o> Findings<'o> {
    pub(super) fn new(out: &'o mut dyn Rows<Finding>) -> Self {
        Self { out, told: HashSet::new(), errors: 0, warnings: 0, notes: 0 }
    }

    /// Passes one on.
    ///
    /// Errors: whoever asked wants no more.
    pub(crate) fn add(&mut self, finding: Finding) -> Result<()> {
        let count = match finding.severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
            Severity::Note => &mut self.notes,
        };
        *count = count.saturating_add(1);
        self.out.row(finding)
    }

    /// Something that cannot be read, unless another rule has told it.
    ///
    /// Errors: whoever asked wants no more; the work was cancelled.
    pub(crate) fn broken(&mut self, rule: &'static str, error: &Error) -> Result<()> {
        if error.kind() == ErrorKind::Cancelled {
            return Err(error.clone());
        }
        let text = error.to_string();
        if self.told.contains(&text) {
            return Ok(());
        }
        if self.told.len() < REMEMBERED {
            self.told.insert(text);
        }
        self.add(Finding::from_error(rule, error))
    }

    /// The value; `None` where it cannot be read, which is then told.
    ///
    /// Errors: whoever asked wants no more.
    pub(crate) fn ok<T>(&mut self, rule: &'static str, result: Result<T>) -> Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) => self.broken(rule, &error).map(|()| None),
        }
    }
}
