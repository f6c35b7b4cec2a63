//! What frames an image: its magic and the word before it, where it ends, how many entries it has.

use crate::base::{Error, ErrorKind, Result};
use crate::checkpoint::ImageName;
use crate::image::{FirstWord, Image, Kind, Shape, Status};
use crate::tool::check::entries::has_entries;
use crate::tool::check::findings::Findings;
use crate::tool::check::{Finding, Severity, Subject};

/// What the inventory says of the first word of all other images.
pub(super) struct Words {
    img_version: Option<u32>,
}

impl Words {
    pub(super) fn of(subject: &Subject<'_>) -> Self {
        // of a broken inventory its own finding tells
        Self { img_version: subject.dump.inventory().ok().map(|inventory| inventory.img_version) }
    }

    /// What is wrong with the first word of an image; CRIU takes the wrong word for the magic.
    fn finding(&self, image: &Image) -> Option<Finding> {
        let row = image.kind().row();
        let found = image.first_word();
        let (want, why) = match (image.kind(), self.img_version) {
            (Kind::Inventory, _) => (false, "an inventory has none".to_owned()),
            (_, Some(1)) => (false, "img_version 1 has none".to_owned()),
            (_, Some(version @ 2..)) => (true, format!("img_version is {version}")),
            // a pre-dump does not say
            _ => return None,
        };
        match (want, found) {
            (true, FirstWord::Absent) => {
                let what = format!("expected a first word before the magic, found none: {why}");
                Some(
                    Finding::error("first-word", what)
                        .advice("put 19 43 56 54 before the magic, or correct img_version"),
                )
            }
            (false, FirstWord::Common | FirstWord::Service) => {
                let what = format!("expected the magic at the start, found a first word before it: {why}");
                Some(Finding::error("first-word", what).advice("take the first four bytes out, or correct img_version"))
            }
            (true, _) if found != row.first_word && row.first_word != FirstWord::Absent => {
                let what = "expected the other one of the two first words: CRIU takes both, and writes one";
                Some(Finding::warning("first-word", what))
            }
            _ => None,
        }
    }
}

/// Whether `criu restore` never opens such images.
fn is_never_read(kind: Kind) -> bool {
    matches!(kind, Kind::Stats | Kind::IrmapCache) || kind.row().status == Status::Dead
}

/// An image that cannot be opened.
pub(super) fn closed(subject: &Subject<'_>, name: &ImageName, error: Error, findings: &mut Findings<'_>) -> Result<()> {
    let error = error.in_image(name.file.clone());
    if error.kind() != ErrorKind::Format {
        return findings.broken("unreadable", &error);
    }
    let is_empty = subject.dump.source().size(&name.file).is_ok_and(|size| size == 0);
    let mut finding = Finding::from_error(if is_empty { "image-empty" } else { "magic" }, &error);
    if is_empty {
        finding = finding.advice("writing it was cut short, and CRIU stops at it: dump again");
    }
    if is_never_read(name.kind) {
        finding.severity = Severity::Warning;
    }
    findings.broken_as(finding, &error)
}

/// An image that is open.
pub(super) fn look(words: &Words, name: &ImageName, image: &Image, findings: &mut Findings<'_>) -> Result<()> {
    let row = image.kind().row();
    if row.shape.is_framed()
        && let Some(finding) = words.finding(image)
    {
        findings.add(finding.in_image(name.file.clone()).at_offset(0))?;
    }
    if let Some(fault) = image.fault() {
        findings.broken("framing", fault)?;
    } else if has_entries(image) {
        count(name, image, findings)?;
    }
    age(name.kind, image, findings)
}

/// How many entries there are, where CRIU reads one and no more.
fn count(name: &ImageName, image: &Image, findings: &mut Findings<'_>) -> Result<()> {
    let shape = image.kind().row().shape;
    let (is_single, has_head) = (shape == Shape::Single, shape == Shape::HeadArray);
    if image.is_empty() && (is_single || has_head) {
        let message = image.kind().message_name(0);
        let finding = Finding::error("entry-missing", format!("expected a {message}, found no entry"));
        return findings.add(finding.in_image(name.file.clone()).advice("writing it was cut short; dump again"));
    }
    if is_single && image.len() > 1 {
        let what = format!("expected one entry, found {}: CRIU reads the first", image.len());
        let finding = Finding::warning("entry-extra", what).in_image(name.file.clone()).at_entry(1);
        return findings.add(finding.advice("two dumps wrote into one directory, or somebody edited the image"));
    }
    Ok(())
}

/// Images that CRIU reads no more, or reads when it is asked to.
fn age(kind: Kind, image: &Image, findings: &mut Findings<'_>) -> Result<()> {
    let finding = match kind {
        Kind::Rlimit
        | Kind::Itimers
        | Kind::PosixTimers
        | Kind::EventpollTfd
        | Kind::InotifyWd
        | Kind::FanotifyMark => Finding::note("obsolete", "CRIU reads images of this kind on demand only")
            .advice("say --deprecated when restoring"),
        Kind::PagesOld => Finding::error("obsolete", "no CRIU since 1.6 reads pages files with addresses in them")
            .advice("restore with CRIU 1.5 or older"),
        _ if kind.row().status == Status::Dead => {
            Finding::note("obsolete", "CRIU has a name for such an image, and neither writes nor reads it")
        }
        _ => return Ok(()),
    };
    findings.add(finding.in_image(image.name()))
}
