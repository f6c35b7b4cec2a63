//! What was done, to be shown.

use serde::Serialize;

use crate::base::Size;
use crate::base::name::harmless;
use crate::base::report::{Card, Cell, Fact};

/// A chain that was made one dump.
#[derive(Clone, Debug, Serialize)]
pub struct Flattened {
    /// What it was made from.
    pub source: String,
    /// The directory that was made.
    pub target: String,
    /// How much.
    #[serde(flatten)]
    pub counts: Counts,
    /// What somebody should know.
    #[serde(skip)]
    pub notes: Vec<String>,
}

/// What was counted on the way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Files that were written.
    pub files: u64,
    /// Pagemaps among them.
    pub pagemaps: u64,
    /// Pagemaps that are written anew; the others are copies.
    pub rewritten: u64,
    /// The dump and its ancestors, and what each gave.
    pub dumps: Vec<Level>,
    /// Pages that have content, of all processes and segments.
    pub pages: u64,
    /// Those of them that are zeros and stored nowhere.
    pub zero_pages: u64,
    /// Pages that are left to a server of pages, as before.
    pub lazy_pages: u64,
    /// Compressed blocks that stay as they are.
    pub blocks: u64,
    /// Pages that were unpacked.
    pub unpacked_pages: u64,
    /// Bytes of pages that went from file to file, shared where the file system can.
    pub copied: u64,
    /// Bytes of pages that were read and written: few together, packed before, or on a file system that shares nothing.
    pub written: u64,
    /// Bytes of the files that were read: those of the dump, and of its ancestors those with pages.
    pub bytes_in: u64,
    /// Bytes of all files that were written.
    pub bytes_out: u64,
}

/// One dump of the chain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Level {
    /// The dump.
    pub dump: String,
    /// Pages whose content it had.
    pub pages: u64,
}

impl Counts {
    /// Counts pages of a dump of the chain.
    pub(super) fn level(&mut self, level: usize, pages: u64) {
        if let Some(found) = self.dumps.get_mut(level) {
            found.pages = found.pages.saturating_add(pages);
        }
    }
}

impl Card for Flattened {
    fn facts(&self) -> Vec<Fact> {
        let counts = &self.counts;
        let mut facts = Vec::new();
        let mut fact = |name: &'static str, values: Vec<String>| {
            facts.push(Fact { name, values: values.into_iter().map(Cell::text).collect() });
        };
        fact("From", vec![harmless(&self.source)]);
        fact("To", vec![harmless(&self.target)]);
        let rewritten = match counts.rewritten {
            0 => "none written anew".to_owned(),
            some => format!("{some} written anew"),
        };
        fact("Files", vec![format!("{}; {} pagemaps, {rewritten}", counts.files, counts.pagemaps)]);
        let mut pages = vec![counts.pages.to_string()];
        let levels = counts.dumps.iter().filter(|level| level.pages > 0);
        pages.extend(levels.map(|level| format!("{} from {}", level.pages, harmless(&level.dump))));
        for (number, what) in [
            (counts.zero_pages, "zeros, stored nowhere"),
            (counts.unpacked_pages, "unpacked"),
            (counts.lazy_pages, "more left to a server of pages"),
        ] {
            if number > 0 {
                pages.push(format!("{number} {what}"));
            }
        }
        fact("Pages", pages);
        if counts.blocks > 0 {
            fact("Blocks", vec![format!("{} stay compressed", counts.blocks)]);
        }
        let moved = format!("{} copied from file to file, {} written", Size(counts.copied), Size(counts.written));
        fact("Content", vec![moved]);
        fact("Size", vec![format!("{}, from {}", Size(counts.bytes_out), Size(counts.bytes_in))]);
        facts
    }
}
