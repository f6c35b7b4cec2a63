//! What was checked, and the verdict.

use serde::Serialize;

use crate::base::name::harmless;
use crate::base::report::{Card, Cell, Fact};
use crate::tool::check::findings::Findings;

/// The answer as a whole.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Checked {
    /// What was checked.
    pub source: String,
    /// Whether nothing worse than a note was found.
    pub is_whole: bool,
    /// What restoring would fail on, or do wrong.
    pub errors: u64,
    /// What is suspicious.
    pub warnings: u64,
    /// What is to be known.
    pub notes: u64,
    /// Images that were looked at.
    pub images: u64,
    /// Their entries.
    pub entries: u64,
}

impl Checked {
    pub(super) fn new(source: &str) -> Self {
        Self { source: source.to_owned(), ..Self::default() }
    }

    pub(super) fn count(&mut self, findings: &Findings<'_>) {
        (self.errors, self.warnings, self.notes) = (findings.errors, findings.warnings, findings.notes);
        self.is_whole = self.errors == 0 && self.warnings == 0;
    }

    /// The verdict in a few words.
    pub fn verdict(&self) -> String {
        let some = |count: u64, what: &str| match count {
            0 => None,
            1 => Some(format!("1 {what}")),
            _ => Some(format!("{count} {what}s")),
        };
        let found: Vec<String> =
            [some(self.errors, "error"), some(self.warnings, "warning")].into_iter().flatten().collect();
        match found.is_empty() {
            true => "whole".to_owned(),
            false => found.join(", "),
        }
    }
}

impl Card for Checked {
    fn facts(&self) -> Vec<Fact> {
        let fact = |name, value: String| Fact { name, values: vec![Cell::Text(value.into())] };
        let verdict = match self.is_whole {
            true => Cell::Text(self.verdict().into()),
            false => Cell::Odd(self.verdict().into()),
        };
        vec![
            fact("checked", harmless(&self.source)),
            fact("images", format!("{}, {} entries", self.images, self.entries)),
            Fact { name: "verdict", values: vec![verdict] },
        ]
    }
}
