//! What checking tells: one thing that is wrong, where, and what to do about it.

use serde::Serialize;

use crate::base::report::{Cell, Column, Row};
use crate::base::{Error, ErrorKind};

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Nothing is wrong; somebody may want to know. The checkpoint counts as whole.
    Note,
    /// Suspicious: CRIU restores it, but perhaps not what was dumped.
    Warning,
    /// Restoring fails, hangs, or restores something else.
    Error,
}

impl Severity {
    /// Its name: `error`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// Which rule it breaks, a name that does not change: `pages-short`. docs/check.md has them all.
    pub rule: &'static str,
    /// The image, by its file name; behind the name of its directory if that is a parent's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The entry, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<u64>,
    /// The field of the entry: `reg.mnt_id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Where in the file, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// What is wrong: expected and found.
    pub what: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl Finding {
    /// Something that makes restoring fail.
    pub fn error(rule: &'static str, what: impl Into<String>) -> Self {
        Self::new(Severity::Error, rule, what)
    }

    /// Something suspicious.
    pub fn warning(rule: &'static str, what: impl Into<String>) -> Self {
        Self::new(Severity::Warning, rule, what)
    }

    /// Something to know.
    pub fn note(rule: &'static str, what: impl Into<String>) -> Self {
        Self::new(Severity::Note, rule, what)
    }

    fn new(severity: Severity, rule: &'static str, what: impl Into<String>) -> Self {
        let what = what.into();
        Self { severity, rule, image: None, entry: None, field: None, offset: None, what, advice: None }
    }

    /// An error of reading is a finding: what was expected and found, and where.
    pub fn from_error(rule: &'static str, error: &Error) -> Self {
        let system = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
        Self {
            severity: Severity::Error,
            rule: if error.kind() == ErrorKind::Limit { "limit" } else { rule },
            image: error.image().map(str::to_owned),
            entry: error.entry(),
            field: error.field().map(str::to_owned),
            offset: error.offset(),
            what: format!("{}{system}", error.what()),
            advice: error.way_out().map(str::to_owned),
        }
    }

    /// Names the image.
    #[must_use]
    pub fn in_image(mut self, name: impl Into<String>) -> Self {
        self.image = Some(name.into());
        self
    }

    /// Numbers the entry, from 0.
    #[must_use]
    pub fn at_entry(mut self, entry: u64) -> Self {
        self.entry = Some(entry);
        self
    }

    /// Names the field.
    #[must_use]
    pub fn in_field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Gives the offset in the file, in bytes.
    #[must_use]
    pub fn at_offset(mut self, offset: u64) -> Self {
        self.offset = Some(offset);
        self
    }

    /// Says what to do about it.
    #[must_use]
    pub fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// Where it is, in words.
    pub fn place(&self) -> String {
        let parts = [
            self.image.clone(),
            self.entry.map(|entry| format!("entry {entry}")),
            self.field.clone(),
            self.offset.filter(|_| self.entry.is_none()).map(|offset| format!("offset {offset:#x}")),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

impl Row for Finding {
    const COLUMNS: &'static [Column] = &[
        Column::text("SEVERITY", 0),
        Column::text("RULE", 2),
        Column::text("WHERE", 0),
        Column::text("WHAT", 0),
        Column::text("WHAT TO DO", 1),
    ];

    fn cells(&self) -> Vec<Cell> {
        let severity = match self.severity {
            Severity::Note => Cell::Text(self.severity.name().into()),
            Severity::Warning | Severity::Error => Cell::Odd(self.severity.name().into()),
        };
        vec![
            severity,
            Cell::text(self.rule),
            Cell::text(self.place()),
            Cell::text(&self.what),
            Cell::maybe(self.advice.as_ref()),
        ]
    }
}
