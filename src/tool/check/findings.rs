//! Where rules put what they find: counted, each once, and passed on at once.

use std::collections::{BTreeMap, HashSet};

use crate::base::report::Rows;
use crate::base::{Error, ErrorKind, Result};
use crate::tool::check::{Finding, Severity};

/// So many errors of reading are remembered, not to be told again by the next rule that needs the same image.
const REMEMBERED: usize = 1000;

/// So many findings of one rule in one image are passed on; of more only how many there are.
const PASSED: u64 = 100;

/// What rules report to.
pub(crate) struct Findings<'o> {
    out: &'o mut dyn Rows<Finding>,
    told: HashSet<String>,
    /// How many of each rule there are in each image, and the worst of those that were not passed on.
    many: BTreeMap<(Option<String>, &'static str), (u64, Option<Severity>)>,
    pub(super) errors: u64,
    pub(super) warnings: u64,
    pub(super) notes: u64,
}

impl<'o> Findings<'o> {
    pub(super) fn new(out: &'o mut dyn Rows<Finding>) -> Self {
        Self { out, told: HashSet::new(), many: BTreeMap::new(), errors: 0, warnings: 0, notes: 0 }
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
        let (many, worst) = self.many.entry((finding.image.clone(), finding.rule)).or_default();
        *many = many.saturating_add(1);
        if *many > PASSED {
            *worst = (*worst).max(Some(finding.severity));
            return Ok(());
        }
        self.out.row(finding)
    }

    /// Tells of those that were not passed on how many there are: they are counted already.
    ///
    /// Errors: whoever asked wants no more.
    pub(super) fn finish(&mut self) -> Result<()> {
        for ((image, rule), (many, worst)) in std::mem::take(&mut self.many) {
            let Some(severity) = worst else { continue };
            let what = format!("{} more findings of this rule are not told", many.saturating_sub(PASSED));
            self.out.row(Finding { severity, image, ..Finding::note(rule, what) })?;
        }
        Ok(())
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
