//! Where rules put what they find: counted, each once, and passed on at once.

use std::collections::{BTreeMap, HashSet};

use crate::base::report::Rows;
use crate::base::{Error, ErrorKind, Result};
use crate::tool::check::{Finding, Severity};

/// So many errors of reading are remembered, not to be told again by the next rule that needs the same image.
const REMEMBERED: usize = 1000;

/// So many findings of one rule in one image are passed on; of more only how many there are.
pub(super) const PASSED: u64 = 100;

/// What rules report to.
pub(crate) struct Findings<'o> {
    out: &'o mut dyn Rows<Finding>,
    told: HashSet<String>,
    /// Images of which something could not be read.
    images: HashSet<String>,
    many: BTreeMap<(Option<String>, &'static str), Many>,
    pub(super) errors: u64,
    pub(super) warnings: u64,
    pub(super) notes: u64,
}

/// How many findings of one rule there are in one image, and the worst of those that were not passed on.
type Many = (u64, Option<Severity>);

impl<'o> Findings<'o> {
    pub(super) fn new(out: &'o mut dyn Rows<Finding>) -> Self {
        Self {
            out,
            told: HashSet::new(),
            images: HashSet::new(),
            many: BTreeMap::new(),
            errors: 0,
            warnings: 0,
            notes: 0,
        }
    }

    /// Passes one on.
    ///
    /// Errors: whoever asked wants no more.
    pub(crate) fn add(&mut self, finding: Finding) -> Result<()> {
        match self.count(finding.severity, finding.rule, finding.image.as_deref(), 1) {
            true => self.out.row(finding),
            false => Ok(()),
        }
    }

    /// Counts findings that whoever made them did not keep, after as many as are told at all.
    pub(crate) fn more(&mut self, severity: Severity, rule: &'static str, image: &str, count: u64) {
        if count > 0 {
            self.count(severity, rule, Some(image), count);
        }
    }

    /// Whether they are to be told.
    fn count(&mut self, severity: Severity, rule: &'static str, image: Option<&str>, more: u64) -> bool {
        let count = match severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
            Severity::Note => &mut self.notes,
        };
        *count = count.saturating_add(more);
        let (many, worst) = self.many.entry((image.map(str::to_owned), rule)).or_default();
        *many = many.saturating_add(more);
        if *many > PASSED {
            *worst = (*worst).max(Some(severity));
        }
        *many <= PASSED
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
        self.broken_as(Finding::from_error(rule, error), error)
    }

    /// The same, told in other words.
    ///
    /// Errors: as [`broken`](Self::broken).
    pub(crate) fn broken_as(&mut self, finding: Finding, error: &Error) -> Result<()> {
        if error.kind() == ErrorKind::Cancelled {
            return Err(error.clone());
        }
        if let Some(image) = error.image()
            && !self.images.contains(image)
        {
            self.images.insert(image.to_owned());
        }
        let text = error.to_string();
        if self.told.contains(&text) {
            return Ok(());
        }
        if self.told.len() < REMEMBERED {
            self.told.insert(text);
        }
        self.add(finding)
    }

    /// Whether something of an image could not be read: what is missing in it may have been there.
    pub(crate) fn is_broken(&self, image: &str) -> bool {
        self.images.contains(image)
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
