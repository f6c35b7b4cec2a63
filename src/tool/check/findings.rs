//! Where rules put what they find: counted, each once, and passed on at once.

use std::collections::{BTreeMap, HashSet};

use crate::base::report::Rows;
use crate::base::{Error, ErrorKind, Result};
use crate::tool::check::{Finding, Severity};

/// So many errors of reading are remembered, not to be told again by the next rule that needs the same image.
const REMEMBERED: usize = 1000;

/// So many findings of one rule in one image are passed on; of more only how many there are.
pub(super) const PASSED: u64 = 100;

/// So many of one rule in all images.
const PASSED_OF_RULE: u64 = 10_000;

/// The rule of what is not told, of rules with more findings than that.
const REST: &str = "more";

/// What rules report to.
pub(crate) struct Findings<'o> {
    out: &'o mut dyn Rows<Finding>,
    told: HashSet<String>,
    /// Images of which something could not be read.
    images: HashSet<String>,
    many: BTreeMap<(Option<String>, &'static str), Many>,
    /// Of each rule: how many of its findings are about images that are counted by themselves.
    rules: BTreeMap<&'static str, u64>,
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
            rules: BTreeMap::new(),
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
        let of_rule = self.rules.entry(rule).or_default();
        let is_known = *of_rule < PASSED_OF_RULE;
        *of_rule = of_rule.saturating_add(1);
        // beyond that, images are not told apart: somebody may have made as many as he likes
        let image = image.filter(|_| is_known).map(str::to_owned);
        let (many, worst) = self.many.entry((image, if is_known { rule } else { REST })).or_default();
        *many = many.saturating_add(more);
        let is_passed = is_known && *many <= PASSED;
        if !is_passed {
            *worst = (*worst).max(Some(severity));
        }
        is_passed
    }

    /// Tells of those that were not passed on how many there are: they are counted already.
    ///
    /// Errors: whoever asked wants no more.
    pub(super) fn finish(&mut self) -> Result<()> {
        for ((image, rule), (many, worst)) in std::mem::take(&mut self.many) {
            let Some(severity) = worst else { continue };
            let what = match rule {
                REST => format!("{many} more findings, of rules with more than {PASSED_OF_RULE}, are not told"),
                _ => format!("{} more findings of this rule are not told", many.saturating_sub(PASSED)),
            };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::report::Collect;

    #[test]
    fn of_many_findings_the_first_are_told() {
        let mut rows = Collect::default();
        let mut findings = Findings::new(&mut rows);
        for number in 0..150 {
            findings.add(Finding::warning("a", "x").in_image("one").at_entry(number)).unwrap();
        }
        findings.more(Severity::Warning, "a", "one", 1000);
        for number in 0..12_000 {
            findings.add(Finding::error("b", "x").in_image(format!("image {number}"))).unwrap();
        }
        findings.finish().unwrap();
        assert_eq!((findings.warnings, findings.errors), (1150, 12_000));
        assert_eq!(rows.rows.len(), 100 + 10_000 + 2);
        let (last, rest) = (rows.rows.last().unwrap(), rows.rows.iter().find(|row| row.rule == REST).unwrap());
        assert!(last.rule == "a" && last.what.starts_with("1050 more") && last.image.as_deref() == Some("one"));
        assert!(rest.severity == Severity::Error && rest.what.starts_with("2000 more"), "{rest:?}");
    }
}
