//! A directory that somebody began to change, and did not finish changing.

use crate::base::Result;
use crate::base::stage::JOURNAL;
use crate::tool::check::{Checked, Finding, Findings, Subject};

/// Looks for a journal: some files are the new ones, others the old ones or not there.
pub(super) fn look(subject: &Subject<'_>, findings: &mut Findings<'_>, _: &mut Checked) -> Result<()> {
    match subject.dump.source().files().iter().find(|file| *file == JOURNAL) {
        Some(journal) => findings.add(
            Finding::error("writing-interrupted", "the directory was being changed: its files do not belong together")
                .in_image(journal.as_str())
                .advice("run the command again that changed it: it finishes what the journal says"),
        ),
        None => Ok(()),
    }
}
