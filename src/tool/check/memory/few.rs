//! What is found in one image, while several threads look: of each rule the first few, and how many there are.

use crate::base::Result;
use crate::tool::check::findings::{Findings, PASSED};
use crate::tool::check::{Finding, Severity};

/// The findings of one image.
#[derive(Debug, Default)]
pub(super) struct Few {
    list: Vec<Finding>,
    /// Of each rule and severity how many there are.
    counts: Vec<(&'static str, Severity, u64)>,
}

impl Few {
    /// Adds one; `make` is asked for it where it is one of the first.
    #[cold]
    pub(super) fn add(&mut self, rule: &'static str, severity: Severity, make: impl FnOnce() -> Finding) {
        if self.count(rule, severity, 1) < PASSED {
            self.list.push(make());
        }
    }

    /// Counts some; how many there were before.
    fn count(&mut self, rule: &'static str, severity: Severity, more: u64) -> u64 {
        let of = |count: &&mut (&str, Severity, u64)| (count.0, count.1) == (rule, severity);
        match self.counts.iter_mut().find(of) {
            Some(count) => {
                let before = count.2;
                count.2 = before.saturating_add(more);
                before
            }
            None => {
                self.counts.push((rule, severity, more));
                0
            }
        }
    }

    /// Adds what was found behind this.
    pub(super) fn extend(&mut self, other: Self) {
        let mut room: Vec<_> = Vec::new();
        for (rule, severity, more) in other.counts {
            let before = self.count(rule, severity, more);
            room.push((rule, severity, PASSED.saturating_sub(before)));
        }
        for finding in other.list {
            let of = |room: &&mut (&str, Severity, u64)| (room.0, room.1) == (finding.rule, finding.severity);
            if let Some(room) = room.iter_mut().find(of).filter(|room| room.2 > 0) {
                room.2 = room.2.saturating_sub(1);
                self.list.push(finding);
            }
        }
    }

    /// Passes them on.
    ///
    /// Errors: whoever asked wants no more.
    pub(super) fn tell(self, image: &str, findings: &mut Findings<'_>) -> Result<()> {
        for finding in self.list {
            findings.add(finding)?;
        }
        for (rule, severity, count) in self.counts.into_iter().filter(|count| count.2 > PASSED) {
            findings.more(severity, rule, image, count.saturating_sub(PASSED));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::report::Collect;

    #[test]
    fn the_first_few_and_how_many() {
        let mut all = Few::default();
        for part in 0..3u64 {
            let mut few = Few::default();
            for entry in 0..70 {
                let entry = part * 70 + entry;
                few.add("a", Severity::Error, || Finding::error("a", "x").in_image("image").at_entry(entry));
            }
            few.add("b", Severity::Note, || Finding::note("b", "y"));
            all.extend(few);
        }
        let mut out = Collect::default();
        let mut findings = Findings::new(&mut out);
        all.tell("image", &mut findings).unwrap();
        findings.finish().unwrap();
        assert_eq!((findings.errors, findings.notes), (210, 3));
        let entries: Vec<_> = out.rows.iter().filter_map(|finding| finding.entry).collect();
        assert_eq!(entries, (0..100).collect::<Vec<_>>());
        assert_eq!(out.rows.last().unwrap().what, "110 more findings of this rule are not told");
    }
}
