//! What there is to do, and whether the dump is sound enough to do it.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use crate::base::alike::Likeness;
use crate::base::{Error, Result};
use crate::checkpoint::{Checkpoint, ImageName};
use crate::image::{Image, Kind};
use crate::memory::{Pagemap, Pages};
use crate::object::upgrade::edit::{Change, patch};
use crate::tool::compress::entries::{self, Sums};
use crate::wire::field;

/// Which way pages go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Compress,
    Decompress,
}

/// All that is to be done.
pub(super) struct Survey<'d> {
    pub(super) dump: &'d Checkpoint,
    pub(super) page_size: u64,
    pub(super) maps: Vec<Map>,
    /// What the inventory was like.
    pub(super) inventory: Likeness,
    /// Whether pages are in a parent.
    pub(super) has_parent: bool,
    /// Bytes of all pages.
    pub(super) bytes: u64,
}

/// A pagemap, and its file of pages.
pub(super) struct Map {
    pub(super) name: ImageName,
    pub(super) pages_file: String,
    /// What both were like.
    pub(super) like: Likeness,
    pub(super) pages_like: Likeness,
    pub(super) sums: Sums,
}

/// Number of the fields of an inventory.
const VERSION: u32 = 1;
const COMPRESS: u32 = 15;
const BLOCK_SIZE: u32 = 16;

const INVENTORY: &str = "inventory.img";

/// Whether the inventory says that pages are compressed.
///
/// Errors: it is not there or broken, or of a version whose pages are stored otherwise.
pub(super) fn is_compressed(dump: &Checkpoint) -> Result<bool> {
    let image = dump.image(Kind::Inventory)?;
    let entry = image.get(0)?;
    let wrong = |what: String, field: &'static str| Err(entry.locate(Error::format(what), 0).in_field(field));
    entry.check()?;
    let number = |number| field::last_varint(entry.message(), number).ok().flatten();
    let version = number(VERSION).unwrap_or_default();
    if !matches!(version, 2 | 3) {
        return wrong(format!("expected version 2 or 3, found {version}"), "img_version");
    }
    match number(COMPRESS).unwrap_or_default() {
        0 => Ok(false),
        1 if version == 3 => Ok(true),
        1 => wrong("expected version 3 of a dump with compressed pages, found 2".to_owned(), "img_version"),
        mode => wrong(format!("expected 0 (plain pages) or 1 (blocks), found {mode}"), "compress"),
    }
}

/// The inventory of the dump when its pages are packed in blocks of so many bytes.
pub(super) fn compressed(dump: &Checkpoint, block: u64) -> Result<Vec<u8>> {
    inventory(dump, &[Change::number(VERSION, 3), Change::number(COMPRESS, 1), Change::number(BLOCK_SIZE, block)])
}

/// The inventory of the dump when its pages are plain.
pub(super) fn decompressed(dump: &Checkpoint, has_parent: bool) -> Result<Vec<u8>> {
    // an ancestor may still hold blocks
    let version = if has_parent { 3 } else { 2 };
    inventory(dump, &[Change::number(VERSION, version), Change::drop(COMPRESS), Change::drop(BLOCK_SIZE)])
}

fn inventory(dump: &Checkpoint, changes: &[Change]) -> Result<Vec<u8>> {
    let image = dump.image(Kind::Inventory)?;
    let entry = image.get(0)?;
    let message = patch(entry.message(), changes).map_err(|error| entry.locate(error, 0))?;
    entries::replaced(&entry, &message)
}

impl<'d> Survey<'d> {
    /// Looks at all pagemaps, in parallel.
    ///
    /// Errors: something is not as CRIU 4.3 wants it; two pagemaps have one file of pages; a file is missing.
    pub(super) fn of(dump: &'d Checkpoint, mode: Mode) -> Result<Self> {
        let (_, inventory) = regular(dump, INVENTORY)?;
        let names = [Kind::Pagemap, Kind::PagemapShmem].into_iter().flat_map(|kind| dump.images_of(kind));
        let names: Vec<&ImageName> = names.collect();
        let page_size = page_size(dump, names.first().copied());
        let found: Result<Vec<Option<Map>>> =
            names.into_par_iter().map(|name| Map::of(dump, name, page_size, mode)).collect();
        let maps: Vec<Map> = found?.into_iter().flatten().collect();
        let mut users = HashMap::new();
        for map in &maps {
            if let Some(other) = users.insert(map.pages_file.as_str(), &map.name.file) {
                let what = format!("expected a file of pages of its own, found {}, which {other} has", map.pages_file);
                return Err(Error::format(what).in_image(map.name.file.as_str()).at_entry(0).in_field("pages_id"));
            }
        }
        let has_parent = maps.iter().any(|map| map.sums.has_parent);
        let bytes = maps.iter().fold(0u64, |sum, map| sum.saturating_add(map.sums.pages.saturating_mul(page_size)));
        Ok(Self { dump, page_size, maps, inventory, has_parent, bytes })
    }

    /// A pagemap's image, which was found to be sound.
    pub(super) fn image(&self, map: &Map) -> Result<Image> {
        self.dump.open_image(&map.name)
    }

    /// A file of the dump.
    pub(super) fn file(&self, name: &str) -> Result<File> {
        regular(self.dump, name).map(|(file, _)| file)
    }
}

/// Bytes of a page: what the kernel told the programs, else what makes the first file of pages as long as it is.
fn page_size(dump: &Checkpoint, first: Option<&ImageName>) -> u64 {
    let likely = |name: &ImageName| {
        Some(Pages::open(dump.parents(), name.kind, name.id, None, dump.limits()).ok()??.page_size())
    };
    let told = (!dump.images_of(Kind::Mm).is_empty()).then(|| dump.page_size());
    let size = told.or_else(|| likely(first?)).unwrap_or_else(|| dump.page_size());
    if size.is_power_of_two() { size } else { 4096 }
}

impl Map {
    /// Looks at a pagemap; `None` if it is one without entries, which crit passes over.
    fn of(dump: &Checkpoint, name: &ImageName, page_size: u64, mode: Mode) -> Result<Option<Self>> {
        let (_, like) = regular(dump, &name.file)?;
        let image = dump.open_image(name)?;
        if image.is_empty() && image.fault().is_none() {
            return Ok(None);
        }
        let pages_id = Pagemap::open(&image)?.pages_id();
        let pages_file = Kind::Pages.file_name(u64::from(pages_id)).unwrap_or_default();
        let (pages, pages_like) = regular(dump, &pages_file).map_err(|error| match error.io_kind() {
            Some(std::io::ErrorKind::NotFound) => Error::format(format!("expected {pages_file} beside it, found none"))
                .in_image(name.file.as_str())
                .at_entry(0)
                .in_field("pages_id"),
            _ => error,
        })?;
        let sums = entries::check(&image, page_size, mode)?;
        let failed = |error| Error::io("cannot ask for its size", error).in_image(pages_file.as_str());
        let found = pages.metadata().map_err(failed)?.len();
        if found != sums.payload {
            let what = format!("expected {} bytes, as {} describes, found {found}", sums.payload, name.file);
            return Err(Error::format(what).in_image(pages_file));
        }
        Ok(Some(Self { name: name.clone(), pages_file, like, pages_like, sums }))
    }
}

/// A file of the dump, no link to one, and what it is like.
fn regular(dump: &Checkpoint, name: &str) -> Result<(File, Likeness)> {
    let path: PathBuf = Path::new(dump.source().name()).join(name);
    let failed = |error| Error::io("cannot open", error).in_image(name);
    if !path.symlink_metadata().map_err(failed)?.is_file() {
        return Err(Error::usage("is a link or no file, expected a regular one").in_image(name));
    }
    match dump.source().file(name)? {
        Some(file) => Likeness::of(&file, &path).map(|like| (file, like)),
        None => Err(Error::usage("is no file, expected an image").in_image(name)),
    }
}
