//! The chain as it has to be for this: directories of version 1, each with pages files of its own.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File, Metadata, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use rustix::fs::OFlags;

use crate::base::{Error, Result};
use crate::checkpoint::Checkpoint;
use crate::image::{Image, Kind};
use crate::memory::pagemap::Pagemap;
use crate::memory::{Pages, Parents};
use crate::source::Source;

/// The dump and its ancestors.
pub(super) struct Chain {
    pub(super) dumps: Vec<Arc<dyn Source>>,
    page_size: Option<u64>,
}

/// A process or segment.
pub(super) type Object = (Kind, u64);

/// The pages of an object in each dump, and the names of their files.
pub(super) struct Levels {
    pub(super) pages: Vec<Option<Pages>>,
    pub(super) files: Vec<Option<String>>,
}

impl Chain {
    /// Errors: a dump is of version 2; a link to a parent leads nowhere or in a circle.
    pub(super) fn of(dump: &Checkpoint) -> Result<Self> {
        let mut dumps = Vec::new();
        while let Some(source) = dump.parents().get(dumps.len())? {
            if source.bundle().is_some() {
                return Err(Error::usage(
                    "is of version 2, where dumps share equal pages from the start: no holes are \
                                         punched in it",
                )
                .in_image(source.name())
                .hint("icecore convert --parent writes only the pages that the parent lacks"));
            }
            dumps.push(source);
        }
        Ok(Self { dumps, page_size: dump.known_page_size() })
    }

    /// Path of a dump.
    pub(super) fn path(&self, level: usize) -> &Path {
        Path::new(self.dumps.get(level).map_or("", |source| source.name()))
    }

    /// Path of a file of a dump.
    pub(super) fn place(&self, level: usize, file: &str) -> PathBuf {
        self.path(level).join(file)
    }

    /// What has pages in an ancestor.
    pub(super) fn objects(&self) -> BTreeSet<Object> {
        let names = self.dumps.iter().skip(1).flat_map(|source| source.files());
        let found = names.filter_map(|file| Kind::from_file_name(file));
        found.filter(|(kind, _)| matches!(kind, Kind::Pagemap | Kind::PagemapShmem)).collect()
    }

    /// Opens the pagemaps of an object, each by itself.
    ///
    /// Errors: one is broken.
    pub(super) fn open(&self, (kind, id): Object, limits: &crate::base::Limits) -> Result<Levels> {
        let (mut pages, mut files) = (Vec::new(), Vec::new());
        let name = kind.file_name(id).unwrap_or_default();
        for source in &self.dumps {
            if !source.files().contains(&name) {
                pages.push(None);
                files.push(None);
                continue;
            }
            let shown = |error: Error| error.renamed(format!("{}/{name}", source.name()));
            let parents = Parents::of(Arc::new(Alone(source.clone())));
            let found = Pages::open(&parents, kind, id, self.page_size, limits).map_err(shown)?;
            let bytes = source.open(&name).map_err(shown)?;
            let image = Image::of_kind(&name, kind, id, bytes, *limits).map_err(shown)?;
            let pages_id = Pagemap::open(&image).map_err(shown)?.pages_id();
            files.push(found.as_ref().and_then(|_| Kind::Pages.file_name(u64::from(pages_id))));
            pages.push(found);
        }
        Ok(Levels { pages, files })
    }
}

/// A dump without those it is an increment of.
struct Alone(Arc<dyn Source>);

impl Source for Alone {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn files(&self) -> &[String] {
        self.0.files()
    }

    fn open(&self, file: &str) -> Result<Bytes> {
        self.0.open(file)
    }

    fn file(&self, file: &str) -> Result<Option<File>> {
        self.0.file(file)
    }

    fn size(&self, file: &str) -> Result<u64> {
        self.0.size(file)
    }

    fn identity(&self, file: &str) -> Option<(u64, u64)> {
        self.0.identity(file)
    }

    fn parent(&self) -> Result<Option<Arc<dyn Source>>> {
        Ok(None)
    }
}

/// Which pagemap uses which pages file.
#[derive(Default)]
pub(super) struct Owners(HashMap<(u64, u64), String>);

impl Owners {
    /// Notes the pages file of a pagemap. Gives what it is like.
    ///
    /// Errors: it is no file; another pagemap of the chain uses it; it has other names, and `force` is not given.
    pub(super) fn take(&mut self, path: &Path, force: bool, is_ancestor: bool) -> Result<Metadata> {
        let shown = path.to_string_lossy();
        let meta = fs::symlink_metadata(path)
            .map_err(|error| Error::io("cannot ask for its size", error).in_image(shown.clone()))?;
        if is_ancestor && !meta.is_file() {
            return Err(Error::usage("is no file: a link may lead to the pages of another dump").in_image(shown));
        }
        let meta = match meta.is_symlink() {
            true => fs::metadata(path).map_err(|error| Error::io("cannot open", error).in_image(shown.clone()))?,
            false => meta,
        };
        if let Some(other) = self.0.insert((meta.dev(), meta.ino()), shown.clone().into_owned()) {
            return Err(Error::usage(format!("is the same file as {other}: two pagemaps share it")).in_image(shown));
        }
        if is_ancestor && meta.nlink() > 1 && !force {
            return Err(Error::usage(format!("has {} names: another dump may need its pages", meta.nlink()))
                .in_image(shown)
                .hint("--force if none does"));
        }
        Ok(meta)
    }
}

/// Opens a file of an ancestor, to change it or to look.
pub(super) fn open(path: &Path, change: bool) -> Result<File> {
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or(0);
    let what = if change { "cannot open for writing" } else { "cannot open" };
    OpenOptions::new()
        .read(true)
        .write(change)
        .custom_flags(flags)
        .open(path)
        .map_err(|error| Error::io(what, error).in_image(path.to_string_lossy()))
}

/// The pages files of an object, opened when they are used; a few of them at once, since chains may be long.
pub(super) struct Open<'c> {
    chain: &'c Chain,
    names: &'c [Option<String>],
    change: bool,
    files: HashMap<usize, File>,
}

/// So many files are kept open.
const OPEN: usize = 64;

impl<'c> Open<'c> {
    pub(super) fn new(chain: &'c Chain, names: &'c [Option<String>], change: bool) -> Self {
        Self { chain, names, change, files: HashMap::new() }
    }

    /// The file of a dump; `None` if it has none.
    pub(super) fn get(&mut self, level: usize) -> Result<Option<&File>> {
        if !self.files.contains_key(&level) {
            let Some(Some(name)) = self.names.get(level) else { return Ok(None) };
            if self.files.len() >= OPEN {
                self.files.clear();
            }
            self.files.insert(level, open(&self.chain.place(level, name), self.change)?);
        }
        Ok(self.files.get(&level))
    }
}
