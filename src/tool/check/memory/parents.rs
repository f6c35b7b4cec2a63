//! The dumps before: links that lead to them, and images of a version that says what they have.

use crate::base::{ErrorKind, Result};
use crate::checkpoint::Checkpoint;
use crate::image::Kind;
use crate::tool::check::findings::Findings;
use crate::tool::check::memory::compress::COMPRESSED;
use crate::tool::check::{Checked, Finding, Subject};

/// Follows the links to the parents.
pub(super) fn links(subject: &Subject<'_>, findings: &mut Findings<'_>, checked: &mut Checked) -> Result<()> {
    let parents = subject.dump.parents();
    let mut level = 1usize;
    loop {
        subject.go_on()?;
        match parents.get(level) {
            Ok(Some(_)) => checked.parents = checked.parents.saturating_add(1),
            Ok(None) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::Cancelled => return Err(error),
            Err(error) => {
                let mut finding = Finding::from_error("parent-link", &error);
                finding.rule = "parent-link";
                let advice = "restoring opens it, also where it needs no page of it: put the dump before back";
                let finding = if finding.advice.is_none() { finding.advice(advice) } else { finding };
                return findings.add(finding);
            }
        }
        level = level.saturating_add(1);
    }
}

/// Whether the inventories announce that pages of some dumps of the chain, whose numbers these are, are compressed:
/// those of these dumps, and of all that have them as ancestors.
pub(super) fn versions(subject: &Subject<'_>, packed: &[usize], findings: &mut Findings<'_>) -> Result<()> {
    let Some(last) = packed.iter().max().copied().filter(|last| *last > 0) else { return Ok(()) };
    for level in 0..=last {
        let ancestor;
        let dump = match level {
            0 => subject.dump,
            _ => {
                let Ok(Some(source)) = subject.dump.parents().get(level) else { return Ok(()) };
                ancestor = Checkpoint::from_source(source, *subject.dump.limits());
                &ancestor
            }
        };
        let Ok(inventory) = dump.inventory() else { continue };
        let version = inventory.img_version;
        if version < COMPRESSED && !(level == 0 && inventory.compress.is_some()) {
            let name = Kind::Inventory.file_name(0).unwrap_or_default();
            let name = if level == 0 { name } else { format!("{}/{name}", dump.source().name()) };
            let what = format!("expected img_version {COMPRESSED}, as a parent has compressed pages, found {version}");
            let advice = "CRIU refuses it: that version says that the dump or one before it is compressed";
            let finding = Finding::error("compress-version", what).in_image(name).at_entry(0);
            findings.add(finding.in_field("img_version").advice(advice))?;
        }
    }
    Ok(())
}
