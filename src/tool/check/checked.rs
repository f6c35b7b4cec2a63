//! What was checked, and the verdict.

use serde::Serialize;

use crate::base::Size;
use crate::base::name::harmless;
use crate::base::report::{Card, Cell, Fact};
use crate::tool::check::findings::Findings;
use crate::tool::check::{Need, NeedKind};

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
    /// Pages that the dump itself has, of all tasks and segments.
    pub pages: u64,
    /// Their bytes, unpacked.
    pub page_bytes: u64,
    /// Those of them that have no checksum: whether they are what they were, nobody can say. All, in version 1.
    pub unchecked_pages: u64,
    /// Dumps that it is an increment of, as far as they were found.
    pub parents: u64,
    /// What restoring needs.
    pub needs: Vec<Need>,
}

impl Checked {
    pub(super) fn new(source: &str) -> Self {
        Self { source: source.to_owned(), ..Self::default() }
    }

    pub(super) fn count(&mut self, findings: &Findings<'_>) {
        (self.errors, self.warnings, self.notes) = (findings.errors, findings.warnings, findings.notes);
        self.is_whole = self.errors == 0 && self.warnings == 0;
    }

    /// What restoring needs, for people: a line each, but what processor, kernel, programs and privileges have to offer
    /// in one line of each sort. Why, [`needs`](Self::needs) says.
    pub fn need_lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        let mut before = None;
        for need in &self.needs {
            let sort = match need.kind {
                NeedKind::Cpu => "a processor with",
                NeedKind::Kernel => "a kernel with",
                NeedKind::Program => "the programs",
                NeedKind::Privilege => "the privileges",
                _ => {
                    lines.push(need.line());
                    continue;
                }
            };
            match lines.last_mut().filter(|_| before == Some(need.kind)) {
                Some(line) => line.push_str(", "),
                None => lines.push(format!("{sort} ")),
            }
            if let Some(line) = lines.last_mut() {
                line.push_str(&need.name);
            }
            before = Some(need.kind);
        }
        lines
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
        let mut pages = format!("{}, {}", self.pages, Size(self.page_bytes));
        if self.unchecked_pages > 0 {
            let some = if self.unchecked_pages == self.pages {
                "none".to_owned()
            } else {
                format!("all but {}", self.unchecked_pages)
            };
            pages.push_str(&format!(", {some} with a checksum"));
        }
        if self.parents > 0 {
            pages.push_str(&format!(", and those of {} parents", self.parents));
        }
        let mut facts = vec![
            fact("checked", harmless(&self.source)),
            fact("images", format!("{}, {} entries", self.images, self.entries)),
            fact("pages", pages),
        ];
        let lines = self.need_lines();
        if !lines.is_empty() {
            let lines = lines.iter().map(|line| Cell::Text(harmless(line).into())).collect();
            facts.push(Fact { name: "needs", values: lines });
        }
        facts.push(Fact { name: "verdict", values: vec![verdict] });
        facts
    }
}
