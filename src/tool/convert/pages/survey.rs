//! Looking through all pagemaps before anything is written: which can be said in runs, and what has to stand beside.

use std::collections::HashSet;

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use crate::base::{Error, Result};
use crate::checkpoint::{Checkpoint, ImageName};
use crate::image::{FirstWord, Image, Kind};
use crate::memory::{Pagemap, PagemapEntry, Pages};
use crate::object::upgrade::pagemap::{Facts, Style, usual_head};
use crate::tool::convert::pages::walk::Walk;

/// What follows the last page in a pages file is kept beside the runs up to this length.
const TAIL: u64 = 1 << 20;

/// What is known of the pagemaps of a dump.
#[derive(Debug)]
pub struct Survey {
    /// Bytes of a page.
    pub page_size: u64,
    /// Names of the files that [`write`](super::write()) turns into runs and pages.
    pub files: Vec<String>,
    /// What is kept as files as they are, and why: runs cannot say it.
    pub kept: Vec<Error>,
    /// Pages in all those files.
    pub pages: u64,
    pub(super) plans: Vec<Plan>,
}

/// What is known of one pagemap.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) name: ImageName,
    pub(super) facts: Facts,
    pages: u64,
}

/// Looks through all pagemaps of a dump of version 1, in parallel.
///
/// Errors: a file cannot be read.
pub fn survey(dump: &Checkpoint) -> Result<Survey> {
    let names = [Kind::Pagemap, Kind::PagemapShmem].map(|kind| dump.images_of(kind)).concat();
    // what is not called as it is called usually is a file like any other
    let names: Vec<ImageName> =
        names.into_iter().filter(|name| name.kind.file_name(name.id).is_some_and(|usual| usual == name.file)).collect();
    let page_size = page_size(dump, &names);
    let found: Vec<Result<Result<Plan, Error>>> = names.par_iter().map(|name| plan(dump, name, page_size)).collect();
    let mut survey = Survey { page_size, files: Vec::new(), kept: Vec::new(), pages: 0, plans: Vec::new() };
    let mut taken = HashSet::new();
    for plan in found {
        let plan = match plan? {
            Ok(plan) => plan,
            Err(why) => {
                survey.kept.push(why);
                continue;
            }
        };
        if !taken.insert(plan.facts.pages_id) {
            let what = "its pages file belongs to another pagemap too";
            survey.kept.push(Error::format(what).in_image(plan.name.file));
            continue;
        }
        survey.files.push(plan.name.file.clone());
        if !plan.facts.is_absent {
            survey.files.extend(Kind::Pages.file_name(plan.facts.pages_id));
        }
        survey.pages = survey.pages.saturating_add(plan.pages);
        survey.plans.push(plan);
    }
    Ok(survey)
}

impl Survey {
    /// Leaves out pagemaps of which `is_link` says that they or their pages are links: those stay links.
    pub fn leave(&mut self, is_link: impl Fn(&str) -> bool) {
        let pages = |plan: &Plan| Kind::Pages.file_name(plan.facts.pages_id).filter(|_| !plan.facts.is_absent);
        for plan in std::mem::take(&mut self.plans) {
            let names: Vec<String> = std::iter::once(plan.name.file.clone()).chain(pages(&plan)).collect();
            if !names.iter().any(|name| is_link(name)) {
                self.plans.push(plan);
                continue;
            }
            self.files.retain(|file| !names.contains(file));
            self.pages = self.pages.saturating_sub(plan.pages);
            self.kept.push(Error::format("it or its pages file is a link").in_image(plan.name.file));
        }
    }
}

/// Bytes of a page: what the kernel told the programs, else what makes the first pages file as long as it is.
fn page_size(dump: &Checkpoint, names: &[ImageName]) -> u64 {
    let likely = || {
        let name = names.first()?;
        Some(Pages::open(dump.parents(), name.kind, name.id, None, dump.limits()).ok()??.page_size())
    };
    let is_told = !dump.images_of(Kind::Mm).is_empty();
    let size = if is_told { dump.page_size() } else { likely().unwrap_or_else(|| dump.page_size()) };
    if size.is_power_of_two() { size } else { 4096 }
}

/// What is known of one pagemap, or why it has to be kept as it is.
fn plan(dump: &Checkpoint, name: &ImageName, page_size: u64) -> Result<Result<Plan, Error>> {
    let content = dump.source().open(&name.file)?;
    let said = |what: &str| Error::format(what.to_owned()).in_image(name.file.as_str());
    let image = match Image::of_kind(&name.file, name.kind, name.id, content, *dump.limits()) {
        Ok(image) => image,
        Err(error) => return Ok(Err(error)),
    };
    let mut facts = match facts(&image) {
        Ok(facts) => facts,
        Err(error) => return Ok(Err(error)),
    };
    if let Some(fault) = image.fault() {
        return Ok(Err(fault.clone()));
    }
    let file = Kind::Pages.file_name(facts.pages_id).unwrap_or_default();
    let content = match dump.source().open(&file) {
        Ok(content) => Some(content),
        Err(error) if error.io_kind() == Some(std::io::ErrorKind::NotFound) => None,
        Err(error) => return Err(error),
    };
    let mut walk = Walk::new(page_size);
    let mut pages = 0u64;
    for entry in image.range(1..image.len(), false) {
        let entry = entry?;
        let Some(decoded) = PagemapEntry::from_message(entry.message()) else {
            return Ok(Err(entry.check().err().unwrap_or_else(|| said("an entry that is broken"))));
        };
        let item = match walk.next(&decoded) {
            Ok(item) => item,
            Err(what) => return Ok(Err(entry.locate(said(what), 0))),
        };
        if item.padding < item.offset
            && let Some(content) = &content
        {
            let place = |offset| usize::try_from(offset).unwrap_or(usize::MAX);
            let padding = content.get(place(item.padding)..place(item.offset)).unwrap_or(&[1]);
            if padding.iter().any(|byte| *byte != 0) {
                return Ok(Err(said("something stands in the padding of its pages file")));
            }
        }
        pages = pages.saturating_add(if item.stored > 0 || item.blocks.is_some() { item.pages } else { 0 });
    }
    facts.is_extended = walk.is_extended;
    match &content {
        None => facts.is_absent = true,
        Some(content) => {
            let length = content.len() as u64;
            let Some(tail) = length.checked_sub(walk.payload) else {
                return Ok(Err(said("its pages file is cut short")));
            };
            if tail > TAIL {
                return Ok(Err(said("its pages file has more pages than the pagemap says")));
            }
            let behind = usize::try_from(walk.payload).unwrap_or(usize::MAX);
            facts.tail = content.get(behind..).unwrap_or_default().to_vec();
        }
    }
    Ok(Ok(Plan { name: name.clone(), facts, pages }))
}

/// What the head and the first entry say.
fn facts(image: &Image) -> Result<Facts> {
    let pages_id = u64::from(Pagemap::open(image)?.pages_id());
    let head = image.get(0)?.message();
    if image.first_word() == FirstWord::Service {
        return Err(Error::format("its first word is not that of a pagemap").in_image(image.name()));
    }
    let first = image.get(1).ok().and_then(|entry| PagemapEntry::from_message(entry.message()));
    let style = match first {
        Some(PagemapEntry { nr_pages: None, flags: None, .. }) => Style::Old,
        Some(PagemapEntry { nr_pages: None, .. }) => Style::Counted,
        _ => Style::Now,
    };
    Ok(Facts {
        pages_id,
        style,
        is_bare: image.first_word() == FirstWord::Absent,
        head: (head != usual_head(pages_id)).then(|| head.to_vec()),
        ..Facts::default()
    })
}
