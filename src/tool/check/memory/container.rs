//! Containers of version 2: what frames images and pages, and what is whole where it does not.

use std::path::Path;

use rayon::prelude::*;

use crate::base::report::{Cancel, Silent};
use crate::base::{Error, ErrorKind, Result};
use crate::checkpoint::Checkpoint;
use crate::image::Kind;
use crate::object::upgrade::V1Files;
use crate::source::bundle::{Bundle, Fault, is_version_2};
use crate::tool::check::findings::Findings;
use crate::tool::check::{Check, Checked, Finding, Severity, Subject};
use crate::wire::v2::types;

/// Compares what files of version 2 say twice; of pages only where they are, unless all is to be read.
pub(super) fn look(subject: &Subject<'_>, findings: &mut Findings<'_>, checked: &mut Checked) -> Result<()> {
    let Some(bundle) = subject.dump.source().bundle().filter(|_| !subject.is_salvaged) else { return Ok(()) };
    let verified = match subject.options.deep {
        true => bundle.verify((subject.progress, subject.cancel)),
        false => bundle.verify_structure((&Silent, subject.cancel)),
    };
    let verified = match verified {
        Ok(verified) => verified,
        Err(error) => return findings.broken("container-damaged", &error),
    };
    for (error, fault) in verified.findings.iter().zip(&verified.faults) {
        findings.add(finding(error, *fault))?;
    }
    if verified.more > 0 {
        let what = format!("{} more things are wrong", verified.more);
        findings.add(Finding::error("container-damaged", what).in_image(bundle.name()))?;
    }
    checked.unchecked_pages = verified.unchecked;
    if verified.unchecked > 0 {
        let what =
            format!("{} pages have no checksum: whether they are what they were, nobody can say", verified.unchecked);
        findings.add(Finding::note("pages-unchecked", what).in_image(bundle.name()))?;
    }
    let Some(files) = subject.dump.v1_files() else { return Ok(()) };
    files.problems().iter().try_for_each(|error| findings.broken("container-name", error))?;
    originals(subject, files, findings)
}

/// Original bytes that are kept beside an object win on the way back to version 1, so both have to say the same.
fn originals(subject: &Subject<'_>, files: &V1Files, findings: &mut Findings<'_>) -> Result<()> {
    for window in subject.dump.images().chunks(WINDOW) {
        subject.go_on()?;
        let looked: Vec<_> = window.par_iter().map(|name| files.odd_originals(&name.file)).collect();
        for (name, odd) in window.iter().zip(looked) {
            // what is wrong with the image itself others tell
            for (entry, offset) in odd.unwrap_or_default() {
                let what = "expected original bytes (v1_raw) that become the object beside them, found others";
                let finding = Finding::warning("original-differs", what).in_image(name.file.as_str()).at_entry(entry);
                let advice = "somebody edited the object and left the bytes, which win in version 1: remove v1_raw";
                findings.add(finding.at_offset(offset).advice(advice))?;
            }
        }
    }
    Ok(())
}

/// Images that are looked at before what was found is told.
const WINDOW: usize = 64;

fn finding(error: &Error, fault: Fault) -> Finding {
    let (rule, severity, advice) = match fault {
        Fault::Structure => ("container-damaged", Severity::Error, SALVAGE),
        Fault::Pages => ("pages-damaged", Severity::Error, "these pages are lost: take the file from a copy"),
        Fault::Cut => ("container-cut", Severity::Error, SALVAGE),
        Fault::Behind => ("container-behind", Severity::Warning, "readers pass it over"),
    };
    let mut finding = Finding::from_error(rule, error);
    finding.severity = severity;
    if finding.advice.is_none() { finding.advice(advice) } else { finding }
}

const SALVAGE: &str = "take the file from a copy; icecore convert --salvage gets out of it what is whole";

/// What is whole of a file of version 2 that cannot be opened; `None` if it is no such file, or nothing is. Tells what
/// is lost.
///
/// Errors: it was cancelled; whoever asked wants no more.
pub(in crate::tool::check) fn salvage(
    source: &Path,
    options: &Check,
    refused: &Error,
    findings: &mut Findings<'_>,
    cancel: &Cancel,
) -> Result<Option<Checkpoint>> {
    if refused.kind() != ErrorKind::Format || !source.is_file() {
        return Ok(None);
    }
    let (access, limits) = (options.read.access, options.read.limits);
    let salvage = match Bundle::salvage_file(source, access, limits, (&Silent, cancel)) {
        Ok(salvage) => salvage,
        Err(error) if error.kind() == ErrorKind::Cancelled => return Err(error),
        // the error of opening it says what is wrong
        Err(_) => return Ok(None),
    };
    let part = salvage.bundle.part_name(0).to_owned();
    if !salvage.bundle.bytes(0).is_some_and(|bytes| is_version_2(bytes)) {
        let what = "expected a header at the beginning of the file, found one later";
        findings.add(Finding::error("container-damaged", what).in_image(part.as_str()).at_offset(0))?;
    }
    for error in &salvage.problems {
        findings.add(finding(error, Fault::Structure))?;
    }
    for (error, (kind, id)) in salvage.lost.iter().zip(&salvage.lost_images) {
        let mut lost = Finding::from_error("image-lost", error).advice(SALVAGE);
        if let Some(name) = name(*kind, *id) {
            lost.what = format!("{name}: {}", lost.what);
        }
        findings.add(lost)?;
    }
    for (first, pages) in salvage.pages.iter().take(MOST) {
        let what =
            format!("pages {first} to {} are not what they were", first.saturating_add(*pages).saturating_sub(1));
        findings.add(Finding::error("pages-damaged", what).in_image(part.as_str()))?;
    }
    if let Some(more) = salvage.pages.len().checked_sub(MOST).filter(|more| *more > 0) {
        let what = format!("{more} more ranges of pages are like those before");
        findings.add(Finding::error("pages-damaged", what).in_image(part.as_str()))?;
    }
    let whole = salvage.whole.len();
    let what = format!("{whole} images of it are whole: the rest of what is told is about these alone");
    findings.add(Finding::note("container-salvaged", what).in_image(part))?;
    let files = match V1Files::open(salvage.bundle, access) {
        Ok(files) => files,
        Err(error) => return findings.broken("container-damaged", &error).map(|()| None),
    };
    Ok(Some(Checkpoint::from_v1_files(files)))
}

/// So many ranges of pages are told.
const MOST: usize = 16;

/// What an image is called in version 1.
fn name(kind: u32, id: u64) -> Option<String> {
    match kind {
        types::KIND_PAGES => Some("all pages".to_owned()),
        types::KIND_CHECKPOINT => Some("what is said of the checkpoint".to_owned()),
        types::KIND_FILE => Some(format!("file {id}")),
        _ => Kind::from_number(kind)?.file_name(id),
    }
}
