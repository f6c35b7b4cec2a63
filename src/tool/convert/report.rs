//! What was done, to be shown.

use std::fmt;

use serde::Serialize;

use crate::base::name::harmless;
use crate::base::report::{Card, Cell, Fact};
use crate::base::{Error, Size};
use crate::tool::convert::pages::PageCounts;

/// A checkpoint that was converted.
#[derive(Clone, Debug, Serialize)]
pub struct Converted {
    /// What it was made from.
    pub source: String,
    /// What was made.
    pub target: String,
    /// What that is.
    pub format: &'static str,
    /// How much.
    #[serde(flatten)]
    pub counts: Counts,
    /// What is lost of a damaged bundle.
    #[serde(skip)]
    pub lost: Vec<Error>,
}

/// What was counted on the way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Images that were converted.
    pub images: u64,
    /// Their entries.
    pub entries: u64,
    /// Entries that keep their original bytes, beside what can be said of them.
    pub kept: u64,
    /// Files that are kept as they are: logs, raw files, images that are broken.
    pub files: u64,
    /// Pagemaps that runs of version 2 cannot say, and why: they are kept as files, with their pages. No verb shows
    /// that memory in version 2.
    pub kept_pagemaps: Vec<String>,
    /// Pages.
    #[serde(flatten)]
    pub pages: PageCounts,
    /// Bytes of all files that were read.
    pub bytes_in: u64,
    /// Bytes that were written.
    pub bytes_out: u64,
}

impl Counts {
    fn kept(&self) -> String {
        match self.kept {
            0 => "none keeps its original bytes".to_owned(),
            1 => "1 keeps its original bytes".to_owned(),
            kept => format!("{kept} keep their original bytes"),
        }
    }
}

impl Card for Converted {
    fn facts(&self) -> Vec<Fact> {
        let counts = &self.counts;
        let mut facts = Vec::new();
        let mut fact = |name: &'static str, text: String| facts.push(Fact { name, values: vec![Cell::text(text)] });
        fact("From", harmless(&self.source));
        fact("To", harmless(&self.target));
        fact("Format", self.format.to_owned());
        match counts.entries {
            0 => fact("Images", counts.images.to_string()),
            entries => fact("Images", format!("{} with {entries} entries, {}", counts.images, counts.kept())),
        }
        fact("Other files", counts.files.to_string());
        let pages = &counts.pages;
        if pages.pages > 0 {
            let mut text = format!("{}, {} of them stored", pages.pages, pages.stored);
            for (number, what) in [(pages.zero, "zero"), (pages.shared, "shared"), (pages.inherited, "in the parent")] {
                if number > 0 {
                    text.push_str(&format!(", {number} {what}"));
                }
            }
            fact("Pages", text);
        }
        fact("Size", format!("{}, from {}", Size(counts.bytes_out), Size(counts.bytes_in)));
        facts
    }
}

impl fmt::Display for Converted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = &self.counts;
        write!(
            f,
            "{}: {} images, {} other files, {} entries, {}; {} from {}",
            self.source,
            counts.images,
            counts.files,
            counts.entries,
            counts.kept(),
            Size(counts.bytes_out),
            Size(counts.bytes_in)
        )
    }
}
