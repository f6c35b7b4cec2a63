//! `check`: whether a checkpoint is whole, and what is wrong with it if not.
//!
//! # How to add a rule
//!
//! 1. A file here, or in a folder of its subject, with a function that takes the `Subject` and the `Findings`; what
//!    it finds has a name that does not change, and says the image, the entry, and what to do.
//! 2. A row in `RULES`.
//! 3. A line in docs/check.md, and a test that plants the defect.

mod cgroups;
mod checked;
mod circles;
mod digest;
mod entries;
mod files;
mod finding;
mod findings;
mod ipc;
mod memory;
mod mounts;
mod namespaces;
mod needs;
mod net;
mod references;
mod scan;
mod spot;
mod tasks;
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
    /// Whether it is what is whole of something that is not.
    pub(crate) is_salvaged: bool,
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
const RULES: &[Rule] = &[
    entries::look,
    references::look,
    tasks::look,
    files::look,
    net::look,
    mounts::look,
    namespaces::look,
    ipc::look,
    cgroups::look,
    memory::look,
    needs::look,
];

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
    let mut findings = Findings::new(out);
    match Checkpoint::open_with(source, options.read) {
        Ok(dump) => look(&dump, options, &mut findings, control, false),
        Err(error) if matches!(error.kind(), ErrorKind::Format | ErrorKind::Limit) => {
            findings.broken("container", &error)?;
            match memory::salvage(source, options, &error, &mut findings, control.1)? {
                Some(dump) => look(&dump, options, &mut findings, control, true),
                None => {
                    findings.finish()?;
                    let mut checked = Checked::new(&source.to_string_lossy());
                    checked.count(&findings);
                    Ok(checked)
                }
            }
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
    control: (&dyn Progress, &Cancel),
) -> Result<Checked> {
    look(dump, options, &mut Findings::new(out), control, false)
}

fn look(
    dump: &Checkpoint,
    options: &Check,
    findings: &mut Findings<'_>,
    (progress, cancel): (&dyn Progress, &Cancel),
    is_salvaged: bool,
) -> Result<Checked> {
    let subject = Subject { dump, options, progress, cancel, is_salvaged };
    let mut checked = Checked::new(dump.source().name());
    for rule in RULES {
        subject.go_on()?;
        rule(&subject, findings, &mut checked)?;
    }
    findings.finish()?;
    checked.count(findings);
    Ok(checked)
}
