//! `check`: whether a checkpoint is whole, and what is wrong with it if not.
//!
//! # How to add a rule
//!
//! 1. A file here, or in a folder of its subject, with a function that takes the [`Subject`] and the `Findings`; what
//!    it finds has a name that does not change, and says the image, the entry, and what to do.
//! 2. A row in [`RULES`].
//! 3. A line in docs/check.md, and a test that plants the defect.

mod checked;
mod digest;
mod entries;
mod finding;
mod findings;
mod needs;
mod v1;

use std::path::Path;

pub use checked::Checked;
pub use digest::{Digest, FileDigest, ItemKind, digest, verify};
pub use finding::{Finding, Severity};
use findings::Findings;
pub use needs::{Need, NeedKind};
pub use v1::{Wish, wishes};

use crate::base::report::{Cancel, Progress, Rows};
use crate::base::{Error, ErrorKind, Result};
use crate::checkpoint::{Checkpoint, Options};

/// How a checkpoint is checked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Check {
    /// How images are read.
    pub read: Options,
    /// Reads every page, unpacks every block, compares every checksum.
    pub deep: bool,
    /// Compares what restoring needs with this machine.
    pub here: bool,
}

/// What rules look at.
pub(crate) struct Subject<'s> {
    pub(crate) dump: &'s Checkpoint,
    pub(crate) options: &'s Check,
    /// In bytes of what is checked.
    pub(crate) progress: &'s dyn Progress,
    pub(crate) cancel: &'s Cancel,
}

impl Subject<'_> {
    /// An error if the work was asked to end.
    pub(crate) fn go_on(&self) -> Result<()> {
        match self.cancel.is_cancelled() {
            true => Err(Error::cancelled("interrupted before all was checked")),
            false => Ok(()),
        }
    }
}

/// Looks at one subject. What is wrong goes to the findings, an error ends the whole check.
type Rule = fn(&Subject<'_>, &mut Findings<'_>, &mut Checked) -> Result<()>;

/// All rules, in the order in which they look: what later ones build on comes first.
const RULES: &[Rule] = &[entries::look, needs::look];

/// Checks the checkpoint at `source`, or on standard input if that is `-`. Findings go to `out` one by one; an input
/// that is there and no checkpoint, or a damaged one, is a finding too.
///
/// Errors: it is not there or cannot be read; `out` wants no more; it was cancelled.
pub fn check(
    source: &Path,
    options: &Check,
    out: &mut dyn Rows<Finding>,
    control: (&dyn Progress, &Cancel),
) -> Result<Checked> {
    match Checkpoint::open_with(source, options.read) {
        Ok(dump) => check_open(&dump, options, out, control),
        Err(error) if matches!(error.kind(), ErrorKind::Format | ErrorKind::Limit) => {
            let mut findings = Findings::new(out);
            findings.broken("container", &error)?;
            let mut checked = Checked::new(&source.to_string_lossy());
            checked.count(&findings);
            Ok(checked)
        }
        Err(error) => Err(error),
    }
}

/// Checks a checkpoint that is open.
///
/// Errors: `out` wants no more; it was cancelled.
pub fn check_open(
    dump: &Checkpoint,
    options: &Check,
    out: &mut dyn Rows<Finding>,
    (progress, cancel): (&dyn Progress, &Cancel),
) -> Result<Checked> {
    let subject = Subject { dump, options, progress, cancel };
    let mut findings = Findings::new(out);
    let mut checked = Checked::new(dump.source().name());
    for rule in RULES {
        subject.go_on()?;
        rule(&subject, &mut findings, &mut checked)?;
    }
    checked.count(&findings);
    Ok(checked)
}
