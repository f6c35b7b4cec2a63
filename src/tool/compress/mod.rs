//! `crit compress` and `crit decompress`: pages of a dump packed as CRIU 4.3 packs them, and back.
//!
//! Everything is looked at before anything is written. What is written goes into a new directory, which takes the place
//! of the old one in one step: [`Stage`]. Pages pass through memory in pieces of bounded
//! size, on all cores; what is written depends on the order of the input only.

mod entries;
mod files;
mod pack;
mod piece;
mod survey;
mod unpack;

use std::path::Path;

use crate::base::report::{Cancel, Progress};
use crate::base::stage::Stage;
use crate::base::{Error, Result};
use crate::checkpoint::{Checkpoint, Options};
use crate::tool::compress::files::Files;
use crate::tool::compress::survey::{Mode, Survey};

/// How pages are packed.
#[derive(Clone, Copy, Debug)]
pub struct Compress {
    /// How images are read.
    pub read: Options,
    /// Bytes of pages in a block, whole pages, at most 4 MiB. One page where nobody says.
    pub block: Option<u64>,
    /// How much speed is worth, from 1 to 65537 as LZ4 counts it: more is quicker and packs less.
    pub acceleration: u32,
    /// Whether the files as they were stay, as `NAME.bak`.
    pub backups: bool,
}

impl Default for Compress {
    fn default() -> Self {
        Self { read: Options::default(), block: None, acceleration: 1, backups: true }
    }
}

/// How pages are unpacked.
#[derive(Clone, Copy, Debug)]
pub struct Decompress {
    /// How images are read.
    pub read: Options,
    /// Whether the files as they were stay, as `NAME.bak`.
    pub backups: bool,
}

impl Default for Decompress {
    fn default() -> Self {
        Self { read: Options::default(), backups: true }
    }
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// Nothing: it is so already.
    Already,
    /// Nothing: there are no pagemaps.
    Nothing,
    /// All pagemaps and their pages, in the order of their numbers.
    All(Vec<Counts>),
}

/// What became of the pages of one pagemap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Its file.
    pub file: String,
    /// Pages that the dump has stored.
    pub pages: u64,
    /// Bytes that they took.
    pub before: u64,
    /// Bytes that they take.
    pub after: u64,
}

/// The largest block, in bytes.
const BLOCK: u64 = 4 << 20;

/// Packs the pages of the dump in a directory. `began` is told when all was found to be sound.
///
/// Errors: it is no dump that CRIU 4.3 could restore compressed; it changed meanwhile; the system refused; the work was
/// asked to end. The directory is then as before.
pub fn compress(
    dir: &Path,
    options: &Compress,
    began: &mut dyn FnMut() -> Result<()>,
    (progress, cancel): (&dyn Progress, &Cancel),
) -> Result<Done> {
    if !(1..=65537).contains(&options.acceleration) {
        let found = options.acceleration;
        return Err(Error::usage(format!("expected an LZ4 acceleration from 1 to 65537, found {found}")));
    }
    recover(dir)?;
    if survey::is_compressed(&version_1(dir, options.read)?)? {
        return Ok(Done::Already);
    }
    let stage = Stage::replace(dir)?;
    let dump = version_1(dir, options.read)?;
    let survey = Survey::of(&dump, Mode::Compress)?;
    if survey.maps.is_empty() {
        return Ok(Done::Nothing);
    }
    let page = survey.page_size;
    let block = options.block.unwrap_or(page);
    if block == 0 || !block.is_multiple_of(page) || block > BLOCK {
        let what = format!("expected blocks of whole pages of {page} bytes, at most {BLOCK}, found {block}");
        return Err(Error::usage(what));
    }
    let plain = dump.plain_ranges(page)?;
    began()?;
    let mut files = Files::new(&stage, options.backups);
    let counts = pack::pages(&survey, &plain, block, options, &mut files, (progress, cancel))?;
    files.inventory(&survey, &survey::compressed(&dump, block)?)?;
    go_on(cancel)?;
    stage.commit()?;
    Ok(Done::All(counts))
}

/// Unpacks the pages of the dump in a directory. `began` is told when all was found to be sound.
///
/// Errors: it is broken; it changed meanwhile; the system refused; the work was asked to end. The directory is then as
/// before.
pub fn decompress(
    dir: &Path,
    options: &Decompress,
    began: &mut dyn FnMut() -> Result<()>,
    (progress, cancel): (&dyn Progress, &Cancel),
) -> Result<Done> {
    recover(dir)?;
    if !survey::is_compressed(&version_1(dir, options.read)?)? {
        return Ok(Done::Already);
    }
    let stage = Stage::replace(dir)?;
    let dump = version_1(dir, options.read)?;
    let survey = Survey::of(&dump, Mode::Decompress)?;
    if survey.maps.is_empty() {
        return Ok(Done::Nothing);
    }
    began()?;
    let mut files = Files::new(&stage, options.backups);
    let counts = unpack::pages(&survey, &mut files, (progress, cancel))?;
    let has_parent = survey.has_parent || dir.join("parent").symlink_metadata().is_ok();
    files.inventory(&survey, &survey::decompressed(&dump, has_parent)?)?;
    go_on(cancel)?;
    stage.commit()?;
    Ok(Done::All(counts))
}

/// Finishes, or takes back, what an interrupted run left. What is no directory is told by who opens it.
fn recover(dir: &Path) -> Result<()> {
    if dir.is_dir() { Stage::recover(dir).map(drop) } else { Ok(()) }
}

/// Opens a directory of images of version 1.
fn version_1(dir: &Path, options: Options) -> Result<Checkpoint> {
    let refused = |what: &str| Error::usage(what.to_owned()).in_image(dir.to_string_lossy());
    if dir.metadata().is_ok_and(|meta| !meta.is_dir()) {
        return Err(refused("is no directory, expected one with images of version 1")
            .hint("icecore convert packs and unpacks bundles"));
    }
    let dump = Checkpoint::open_with(dir, options)?;
    match dump.v1_files() {
        None => Ok(dump),
        Some(_) => Err(refused("has images of version 2, expected version 1")
            .hint("icecore convert with --compress, or to version 1, does it")),
    }
}

/// An error if the work was asked to end.
fn go_on(cancel: &Cancel) -> Result<()> {
    match cancel.is_cancelled() {
        true => Err(Error::cancelled("interrupted; the directory is as it was")),
        false => Ok(()),
    }
}
