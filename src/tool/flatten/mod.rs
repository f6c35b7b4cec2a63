//! An incremental dump with all its ancestors as one whole dump, which CRIU restores without them.
//!
//! Everything is looked at before anything is written: a page that nobody has is an error, and nothing is left of it.
//! Page content goes from file to file; see [`Counts::copied`].

mod entries;
mod files;
mod filling;
mod holes;
mod inventory;
mod kept;
mod mover;
mod object;
mod report;
mod survey;
mod work;
mod write;
mod writer;

use std::collections::HashSet;
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use crate::base::report::{Cancel, Progress};
use crate::base::stage::Stage;
use crate::base::{Error, Result};
use crate::checkpoint::{Checkpoint, Options};
use crate::image::Kind;
use files::Place;
pub use report::{Counts, Flattened, Level};
use survey::Survey;
use work::Work;

/// How a chain is made one dump.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flatten {
    /// How images are read.
    pub read: Options,
    /// Unpacks what is compressed; without, blocks that are needed as a whole stay as they are.
    pub decompress: bool,
}

/// Makes a directory of version 1 of the checkpoint at `source` and its ancestors.
///
/// Errors: a page is in none of them, or one of them is broken; `target` is there and not empty, or lies in a dump of
/// the chain; it cannot be written; asked to end. Nothing is then left.
pub fn flatten(
    source: &Path,
    target: &Path,
    options: &Flatten,
    control: (&dyn Progress, &Cancel),
) -> Result<Flattened> {
    let dump = Checkpoint::open_with(source, options.read)?;
    let place = match dump.v1_files() {
        Some(files) => Place::V2(files),
        None => Place::Directory(source),
    };
    if let Some(error) = dump.v1_files().and_then(|files| files.problems().first()) {
        return Err(error.clone());
    }
    apart(&dump, source, target)?;
    let mut notes = Vec::new();
    let listing = place.list(dump.limits().files, &mut notes)?;
    let survey = Survey::of(&dump, options.decompress, control.1)?;
    let Survey { plans, mut counts, .. } = survey;
    let blocks = survey.keeps.then_some(survey.largest).filter(|largest| *largest > 0);
    let made: HashSet<&[u8]> =
        plans.iter().flat_map(|plan| [&plan.name.file, &plan.pages]).map(String::as_bytes).collect();
    let copied: Vec<_> = listing.iter().filter(|named| !made.contains(named.name.as_slice())).collect();
    counts.bytes_in = bytes_in(&dump, &listing);
    let total = copied.iter().fold(survey.bytes, |sum, named| sum.saturating_add(named.size));
    let work = Work::new(control, total);

    let stage = Stage::create(target)?;
    let rights = match &place {
        Place::Directory(path) => files::rights(path).unwrap_or(0o700),
        Place::V2(_) => 0o700,
    };
    fs::set_permissions(stage.path(), Permissions::from_mode(rights | 0o700)).map_err(|error| {
        Error::io("cannot keep the directory from others", error).in_image(target.to_string_lossy())
    })?;
    let is_same = survey.is_whole && !options.decompress;
    for named in copied {
        counts.files = counts.files.saturating_add(1);
        let written =
            if Kind::from_file_name(&String::from_utf8_lossy(&named.name)) == Some((Kind::Inventory, 0)) && !is_same {
                let bytes = inventory::corrected(&dump.image(Kind::Inventory)?, blocks)?;
                let (path, mut file) = files::create(stage.path(), &named.name, place.rights(&named.name))?;
                let failed = |error| Error::io("cannot write", error).in_image(path.to_string_lossy());
                file.write_all(&bytes).map_err(failed)?;
                bytes.len() as u64
            } else {
                place.copy(named, stage.path(), &work)?
            };
        counts.bytes_out = counts.bytes_out.saturating_add(written);
    }
    let written: Vec<_> = plans
        .par_iter()
        .map(|plan| write::write(&dump, &place, plan, (survey.keeps, blocks.is_some()), stage.path(), &work))
        .collect::<Result<_>>()?;
    for written in written {
        counts.files = counts.files.saturating_add(2);
        counts.rewritten = counts.rewritten.saturating_add(1);
        counts.copied = counts.copied.saturating_add(written.moved);
        counts.written = counts.written.saturating_add(written.written);
        counts.bytes_out = counts.bytes_out.saturating_add(written.bytes);
    }
    work.go_on()?;
    stage.commit()?;
    if counts.lazy_pages > 0 {
        notes.push(format!(
            "{} pages were left to a server of pages and are in no dump: they stay so, and restoring needs that server",
            counts.lazy_pages
        ));
    }
    if survey.holes > 0 {
        notes.push(format!(
            "{} stretches of pages lie in holes of ancestors' pages files and are zeros here: if dedup punched them for \
             another dump, that memory is lost",
            survey.holes
        ));
    }
    let shown = |path: &Path| path.to_string_lossy().into_owned();
    Ok(Flattened { source: shown(source), target: shown(target), counts, notes })
}

/// Refuses a target in a directory of the chain, of which it would be a part.
fn apart(dump: &Checkpoint, source: &Path, target: &Path) -> Result<()> {
    let around = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(around) = around.canonicalize() else { return Ok(()) };
    let mut level = 1;
    let mut place = Some(source.to_path_buf());
    while let Some(path) = place {
        if path.canonicalize().is_ok_and(|path| path.is_dir() && around.starts_with(path)) {
            return Err(Error::usage("lies in a dump of the chain, of which it would be a part")
                .in_image(target.to_string_lossy())
                .hint("choose a place beside it"));
        }
        place = dump.parents().get(level)?.map(|ancestor| Path::new(ancestor.name()).to_path_buf());
        level = level.saturating_add(1);
    }
    Ok(())
}

/// Bytes of the dump's files, and of those of its ancestors that have pages.
fn bytes_in(dump: &Checkpoint, listing: &[files::Named]) -> u64 {
    let own = match dump.v1_files() {
        Some(files) => files.container().size(),
        None => listing.iter().fold(0, |sum: u64, named| sum.saturating_add(named.size)),
    };
    let mut sum = own;
    let mut level = 1;
    while let Ok(Some(ancestor)) = dump.parents().get(level) {
        let bytes = match ancestor.bundle() {
            Some(bundle) => bundle.size(),
            None => {
                let is_pages = |file: &&String| matches!(Kind::from_file_name(file), Some((Kind::Pages, _)));
                let pages = ancestor.files().iter().filter(is_pages);
                pages.filter_map(|file| ancestor.size(file).ok()).fold(0, u64::saturating_add)
            }
        };
        sum = sum.saturating_add(bytes);
        level = level.saturating_add(1);
    }
    sum
}
