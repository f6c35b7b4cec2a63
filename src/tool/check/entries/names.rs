//! Files that are no images: what was left behind, and what this version does not know.

use crate::base::Result;
use crate::base::stage::JOURNAL;
use crate::image::Kind;
use crate::tool::check::findings::Findings;
use crate::tool::check::{Finding, Subject};

/// What other programs put into the directory of a dump, and CRIU itself.
const KNOWN: [&str; 3] = ["parent", "descriptors.json", "criu.kdat"];

/// What a file is that is no image.
enum What {
    /// What says how the directory is being changed: it is neither the old one nor the new one.
    Journal,
    /// The work of somebody who was interrupted.
    Leftover(&'static str),
    Backup,
    /// By its name an image.
    Image,
    Other,
    /// A log, a file of a container engine.
    Usual,
}

fn what(file: &str) -> What {
    if let Some(of) = file.strip_suffix(".bak") {
        return if Kind::from_file_name(of).is_some() { What::Backup } else { What::Other };
    }
    let is_hidden = file.starts_with('.');
    if file == JOURNAL {
        What::Journal
    } else if is_hidden && file.contains(".crit-rollback-") {
        What::Leftover("a copy that crit made to go back to, of an image it was changing")
    } else if is_hidden && file.contains(".crit-") {
        What::Leftover("an image that crit had not finished writing")
    } else if is_hidden && (file.ends_with(".tmp") || file.starts_with(JOURNAL)) {
        What::Leftover("a file that icecore had not finished writing")
    } else if KNOWN.contains(&file) || file.ends_with(".log") {
        What::Usual
    } else if file.ends_with(".img") {
        What::Image
    } else {
        What::Other
    }
}

pub(super) fn look(subject: &Subject<'_>, findings: &mut Findings<'_>) -> Result<()> {
    let mut files: Vec<&String> = subject.dump.source().files().iter().collect();
    files.retain(|file| Kind::from_file_name(file).is_none());
    files.sort_unstable();
    let mut others: Vec<&str> = Vec::new();
    for file in files {
        let finding = match what(file) {
            What::Journal => {
                let what = "found the journal of a change: some images are as they were, others as they are to be";
                Finding::error("change-unfinished", what)
                    .advice("icecore was interrupted: say the same again, and it is finished or taken back first")
            }
            What::Leftover(what) => Finding::warning("leftover", format!("found {what}: somebody was interrupted"))
                .advice("see that the images are those you want, then remove it"),
            What::Backup => Finding::note(
                "backup",
                "found the image as it was before it was packed or unpacked: CRIU passes it over",
            )
            .advice("remove it once the images are known to be good"),
            What::Image => Finding::note("image-unknown", "expected the name of an image, found one of no known kind")
                .advice("a newer CRIU or one of its plugins wrote it, or it does not belong here"),
            What::Other => {
                others.push(file);
                continue;
            }
            What::Usual => continue,
        };
        findings.add(finding.in_image(file.clone()))?;
    }
    match others.as_slice() {
        [] => Ok(()),
        [one] => findings.add(Finding::note("file-unknown", "is no image").in_image(*one)),
        [first, ..] => {
            let what = format!("{} files are no images, {first} is the first", others.len());
            findings.add(Finding::note("file-unknown", what))
        }
    }
}
