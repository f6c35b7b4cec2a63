//! Each image by itself: that it is what its name says, that its entries are whole and are what the schema says, that it
//! has as many as CRIU reads.

mod frame;
mod names;
mod odd;
mod raw;

use odd::Odd;

use crate::base::{Error, Result};
use crate::checkpoint::ImageName;
use crate::image::{Entry, Image, Kind};
use crate::memory::PagemapEntry;
use crate::tool::check::findings::Findings;
use crate::tool::check::scan::{Part, Step, scan};
use crate::tool::check::{Checked, Severity, Subject};

/// So many broken entries of one part of an image are told; of more only how many.
const TOLD: usize = 200;

/// What some entries are like.
#[derive(Default)]
struct Looked {
    entries: u64,
    broken: Vec<Error>,
    /// Broken ones beyond those.
    more: u64,
    odd: Odd,
}

pub(super) fn look(subject: &Subject<'_>, findings: &mut Findings<'_>, checked: &mut Checked) -> Result<()> {
    names::look(subject, findings)?;
    let words = frame::Words::of(subject);
    let images: Vec<&ImageName> =
        subject.dump.images().iter().filter(|name| raw::is_looked_at(subject, name)).collect();
    checked.images = u64::try_from(subject.dump.images().len()).unwrap_or(u64::MAX);
    let mut odd = Odd::default();
    scan(subject, &images, part, |step| match step {
        Step::Closed(name, error) => frame::closed(subject, name, error, findings),
        Step::Part(image, looked) => {
            checked.entries = checked.entries.saturating_add(looked.entries);
            for error in &looked.broken {
                findings.broken("entry", error)?;
            }
            findings.more(Severity::Error, "entry", image.name(), looked.more);
            odd.add(looked.odd);
            Ok(())
        }
        Step::End(name, image) => {
            std::mem::take(&mut odd).tell(image, findings)?;
            frame::look(&words, name, image, findings)?;
            raw::look(image, findings)
        }
    })
}

/// Looks at some entries of an image.
fn part(part: &Part<'_>) -> Looked {
    let mut looked = Looked::default();
    for entry in part.entries() {
        looked.entries = looked.entries.saturating_add(1);
        let checked = entry.and_then(|entry| {
            if !is_plain_pagemap(&entry) {
                check(&entry)?;
                looked.odd.look(&entry);
            }
            Ok(())
        });
        match checked {
            Ok(()) => {}
            Err(error) if looked.broken.len() < TOLD => looked.broken.push(error),
            Err(_) => looked.more = looked.more.saturating_add(1),
        }
    }
    looked
}

fn check(entry: &Entry<'_>) -> Result<()> {
    entry.check()?;
    entry.check_records()
}

/// Whether it is one of those that are by far the most, as CRIU writes them today: their own decoder knows sooner.
#[inline]
fn is_plain_pagemap(entry: &Entry<'_>) -> bool {
    let is_pagemap = matches!(entry.image().kind(), Kind::Pagemap | Kind::PagemapShmem);
    is_pagemap && entry.index() > 0 && PagemapEntry::is_usual(entry.message())
}

/// Whether an image has entries.
fn has_entries(image: &Image) -> bool {
    !image.kind().row().messages.is_empty()
}
