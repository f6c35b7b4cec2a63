//! Pages files: each there, as long as its pagemap says, and used by one pagemap.

use std::collections::BTreeMap;

use crate::base::Result;
use crate::checkpoint::Checkpoint;
use crate::image::Kind;
use crate::memory::PagesFile;
use crate::tool::check::Finding;
use crate::tool::check::findings::Findings;
use crate::tool::check::memory::pagemap::Described;

/// What to do about a file that is too short or not there.
const LOST: &str = "take the file from a copy of the dump, or dump again";

pub(super) fn look(dump: &Checkpoint, described: &[Described], findings: &mut Findings<'_>) -> Result<()> {
    let mut users: BTreeMap<u32, &Described> = BTreeMap::new();
    let bundle = dump.source().bundle();
    // of version 2 only what could not become runs and blocks is kept as files
    let is_file = |one: &&Described| bundle.is_none_or(|bundle| !bundle.has(one.kind.number(), one.id));
    // the size of a file is no secret where its content is
    let size_of = |file: &str| match bundle {
        None => {
            PagesFile::v1(file, dump.source(), file).open()?;
            dump.source().size(file)
        }
        Some(_) => dump.source().open(file).map(|bytes| bytes.len() as u64),
    };
    for one in described.iter().filter(is_file) {
        if let Some(other) = users.get(&one.pages_id) {
            let what =
                format!("expected a pages file of its own, found number {}, which {} has", one.pages_id, other.name);
            let finding = Finding::error("pages-shared", what).in_image(one.name.as_str()).at_entry(0);
            let advice = "both would get the same pages: one of the images is of another dump";
            findings.add(finding.in_field("pages_id").advice(advice))?;
            continue;
        }
        users.insert(one.pages_id, one);
        let file = Kind::Pages.file_name(u64::from(one.pages_id)).unwrap_or_default();
        let size = match size_of(&file) {
            Ok(size) => size,
            Err(error) if error.io_kind() == Some(std::io::ErrorKind::NotFound) => {
                let finding = missing(&file, &one.name, one.payload);
                findings.add(finding)?;
                continue;
            }
            Err(error) => {
                findings.broken("pages-unreadable", &error)?;
                continue;
            }
        };
        if let Some(payload) = one.payload {
            match size.cmp(&payload) {
                std::cmp::Ordering::Less => findings.add(short(&file, &one.name, payload, size))?,
                std::cmp::Ordering::Equal => {}
                std::cmp::Ordering::Greater => {
                    let what = format!("expected {payload} bytes, as {} says, found {size}", one.name);
                    let advice = "CRIU passes over what is behind; the pagemap may have lost entries, or be another's";
                    // pages of which the pagemap says nothing: CRIU restores the process without them
                    let is_page = size.saturating_sub(payload) >= dump.page_size();
                    let finding = match is_page {
                        true => Finding::error("pages-long", what),
                        false => Finding::warning("pages-long", what),
                    };
                    findings.add(finding.in_image(file).at_offset(payload).advice(advice))?;
                }
            }
        }
    }
    if users.is_empty() || bundle.is_some() {
        // the first versions of CRIU had none
        return Ok(());
    }
    for name in dump.images_of(Kind::Pages) {
        if !u32::try_from(name.id).is_ok_and(|id| users.contains_key(&id)) {
            let what = "no pagemap says whose pages these are";
            findings.add(Finding::note("pages-unused", what).in_image(name.file.as_str()))?;
        }
    }
    Ok(())
}

/// A pages file that is not there.
pub(super) fn missing(file: &str, pagemap: &str, payload: Option<u64>) -> Finding {
    let bytes = payload.map_or_else(String::new, |payload| format!(" with {payload} bytes of pages"));
    let what = format!("expected the file{bytes} that {pagemap} names, found none");
    Finding::error("pages-missing", what).in_image(file).advice(LOST)
}

/// A pages file that ends before all pages came.
pub(super) fn short(file: &str, pagemap: &str, expected: u64, found: u64) -> Finding {
    let what = format!(
        "expected {expected} bytes, as {pagemap} says, found {found}: CRIU refuses it, or (before 4.3) hangs at restore"
    );
    Finding::error("pages-short", what).in_image(file).at_offset(found).advice(LOST)
}
