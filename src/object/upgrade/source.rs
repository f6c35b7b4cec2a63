//! A checkpoint of version 2 as the files of version 1 that it stands for: what reads those reads it.
//!
//! Each image is made when it is opened, byte for byte as it was. Pages are not: memory is read from the bundle as it
//! lies.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::base::map::Access;
use crate::base::{Error, Limits, Result};
use crate::image::Kind;
use crate::object::upgrade::container::{self, CheckpointHead};
use crate::object::upgrade::image::{Context, Rec, down_image, session};
use crate::object::upgrade::kept;
use crate::object::upgrade::names::{fit, safe};
use crate::object::upgrade::pagemap;
use crate::source::Source;
use crate::source::bundle::{Bundle, is_directory};
use crate::source::dir::Dir;
use crate::wire::v2::types;

/// The files of version 1 that a checkpoint of version 2 stands for.
pub struct V1Files {
    bundle: Arc<Bundle>,
    head: CheckpointHead,
    entries: Vec<Entry>,
    /// Names of files, as far as they are text.
    files: Vec<String>,
    by_name: HashMap<Vec<u8>, usize>,
    access: Access,
    /// Where the bundles are that this one is an ancestor of, and where it is itself.
    chain: Vec<PathBuf>,
    context: OnceLock<Context<'static>>,
    /// That of who only looks.
    partial: OnceLock<Context<'static>>,
    /// Files whose names are broken.
    problems: Vec<Error>,
}

/// A name of version 1.
#[derive(Clone, Debug)]
pub struct Entry {
    /// From the directory on.
    pub name: Vec<u8>,
    /// Where it leads, if it is a link.
    pub link: Option<Vec<u8>>,
    /// Whether it is a directory.
    pub is_directory: bool,
    place: Place,
}

/// Which image of version 2 has the content.
#[derive(Clone, Copy, Debug)]
enum Place {
    Image(Kind, u64),
    /// The pages that the pagemap of this kind and number describes.
    Pages(Kind, u64),
    File(u64),
    Nowhere,
}

impl V1Files {
    /// The files that a bundle stands for.
    ///
    /// Errors: what frames its images is broken.
    pub fn open(bundle: Bundle, access: Access) -> Result<Self> {
        Self::of(Arc::new(bundle), access, Vec::new())
    }

    fn of(bundle: Arc<Bundle>, access: Access, mut chain: Vec<PathBuf>) -> Result<Self> {
        let path = bundle.path().map(|path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf()));
        let path = path.unwrap_or_default();
        if chain.contains(&path) {
            return Err(Error::limit("the links to parent dumps form a circle").in_image(bundle.name()));
        }
        chain.push(path);
        let head = container::head(&bundle)?;
        let (mut entries, mut problems) = (Vec::new(), Vec::new());
        for (number, id) in bundle.images() {
            if number == types::KIND_FILE {
                let named = match container::name(&bundle, number, id) {
                    Ok(named) => named.unwrap_or_default(),
                    // without its name there is no file
                    Err(error) => {
                        problems.push(error);
                        continue;
                    }
                };
                let (link, is_directory) = (named.link, named.is_directory);
                let name = safe(named.name).map_err(|error| error.in_image(bundle.name()))?;
                entries.push(Entry { name, link, is_directory, place: Place::File(id) });
                continue;
            }
            let Some(kind) = Kind::from_number(number).filter(|_| number != types::KIND_PAGES) else { continue };
            // an image that is broken is told of when it is opened, and the others are read
            let facts = container::image_facts(&bundle, number, id).unwrap_or_default();
            let usual = || kind.file_name(id).unwrap_or_else(|| format!("{}-{id}", kind.name())).into_bytes();
            let name = match facts.name {
                Some(name) => safe(name).map_err(|error| error.in_image(bundle.name()))?,
                None => usual(),
            };
            if !facts.v1.absent.unwrap_or_default() {
                entries.push(Entry { name, link: None, is_directory: false, place: Place::Image(kind, id) });
            }
            if matches!(kind, Kind::Pagemap | Kind::PagemapShmem)
                && !facts.v1.pages_absent.unwrap_or_default()
                && let Some(name) = facts.v1.pages_id.and_then(|pages| Kind::Pages.file_name(pages))
            {
                let place = Place::Pages(kind, id);
                entries.push(Entry { name: name.into_bytes(), link: None, is_directory: false, place });
            }
        }
        if let Some(link) = head.parents.first().and_then(|parent| parent.link.clone()) {
            let name = b"parent".to_vec();
            entries.push(Entry { name, link: Some(link), is_directory: false, place: Place::Nowhere });
        }
        fit(&entries).map_err(|error| error.in_image(bundle.name()))?;
        let is_text = |entry: &&Entry| entry.link.is_none() && !entry.is_directory;
        let files = entries.iter().filter(is_text).map(|entry| String::from_utf8_lossy(&entry.name).into_owned());
        let files = files.collect();
        let by_name = entries.iter().enumerate().map(|(index, entry)| (entry.name.clone(), index)).collect();
        Ok(Self {
            bundle,
            head,
            entries,
            files,
            by_name,
            access,
            chain,
            context: OnceLock::new(),
            partial: OnceLock::new(),
            problems,
        })
    }

    /// All names: files, links and directories.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The limits it was opened with.
    pub fn limits(&self) -> &Limits {
        self.bundle.limits()
    }

    /// The files of version 2.
    pub fn container(&self) -> &Bundle {
        &self.bundle
    }

    /// Files whose names are broken: they are in no list.
    pub fn problems(&self) -> &[Error] {
        &self.problems
    }

    /// What is odd about the files, and did not keep them from being read.
    pub fn bundle_warnings(&self) -> impl Iterator<Item = &Error> {
        self.bundle.warnings().iter().chain(&self.problems)
    }

    /// What is said of the checkpoint as a whole.
    pub fn head(&self) -> &CheckpointHead {
        &self.head
    }

    /// The pagemap that a pages file belongs to: its kind and number.
    pub fn pages_of(&self, name: &[u8]) -> Option<(Kind, u64)> {
        match self.entry(name)?.place {
            Place::Pages(kind, id) => Some((kind, id)),
            _ => None,
        }
    }

    fn entry(&self, name: &[u8]) -> Option<&Entry> {
        self.entries.get(*self.by_name.get(name)?)
    }

    /// The content of a file, as it was in version 1.
    ///
    /// Errors: there is no such file; its image is broken; it is a file of pages, which nobody makes here.
    pub fn content(&self, name: &[u8]) -> Result<Bytes> {
        if let Place::File(id) = self.find(name)?.place {
            return container::blobs(&self.bundle, types::KIND_FILE, id);
        }
        let mut out = Vec::new();
        let partial = || self.partial.get_or_init(|| context(&self.bundle).partial());
        self.write_with(name, &mut out, partial)?;
        Ok(out.into())
    }

    /// Writes what [`content`](Self::content) gives, if all of it is known.
    ///
    /// Errors: the same, and what writing meets; the core of a process in the tree is not there, or broken.
    pub fn write(&self, name: &[u8], out: &mut dyn Write) -> Result<()> {
        self.write_with(name, out, || self.context.get_or_init(|| context(&self.bundle)))
    }

    fn write_with<'c>(
        &self,
        name: &[u8],
        out: &mut dyn Write,
        context: impl FnOnce() -> &'c Context<'static>,
    ) -> Result<()> {
        let shown = || String::from_utf8_lossy(name).into_owned();
        let failed = |error| Error::io("cannot write", error).in_image(shown());
        match self.find(name)?.place {
            Place::Image(kind @ (Kind::Pagemap | Kind::PagemapShmem), id) => {
                out.write_all(&pagemap::bytes(&self.bundle, kind, id, self.page_size())?).map_err(failed)
            }
            Place::Image(kind, id) => {
                let written = down_image(kind, id, &mut records(&self.bundle, kind, id), context(), out);
                written.map_err(|error| error.in_image(shown()))
            }
            Place::File(id) => {
                container::each_blob(&self.bundle, types::KIND_FILE, id, |_, data| out.write_all(data).map_err(failed))
            }
            Place::Pages(..) | Place::Nowhere => Err(Error::usage("is not kept as a file in version 2")
                .in_image(shown())
                .hint("icecore mem shows memory, and icecore convert makes the files of version 1")),
        }
    }

    /// The entries of a file whose original bytes are kept and are not what the object beside them says, with the
    /// offset of its record: the first thousand.
    ///
    /// Errors: there is no such file; its image is broken.
    pub fn odd_originals(&self, name: &str) -> Result<Vec<(u64, u64)>> {
        let Place::Image(kind, id) = self.find(name.as_bytes())?.place else { return Ok(Vec::new()) };
        let mut odd = Vec::new();
        if !matches!(kind, Kind::Pagemap | Kind::PagemapShmem) {
            let context = self.partial.get_or_init(|| context(&self.bundle).partial());
            kept::odd(kind, id, &mut records(&self.bundle, kind, id), context, |index, at| {
                if odd.len() < 1000 {
                    odd.push((index, at));
                }
            })?;
        }
        Ok(odd)
    }

    /// How many of the files are images.
    pub fn images(&self) -> usize {
        self.entries.iter().filter(|entry| matches!(entry.place, Place::Image(..))).count()
    }

    /// Bytes of a page, as the checkpoint says.
    pub fn page_size(&self) -> u64 {
        self.head.page_size.unwrap_or(4096)
    }

    fn find(&self, name: &[u8]) -> Result<&Entry> {
        self.entry(name).ok_or_else(|| {
            let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
            Error::io("cannot open", missing).in_image(String::from_utf8_lossy(name).into_owned())
        })
    }

    /// What a path from the bundle's directory leads to.
    fn near(&self, path: &[u8]) -> Option<PathBuf> {
        let own = self.bundle.path()?;
        let base = if own.is_dir() { own } else { own.parent()? };
        Some(base.join(OsStr::from_bytes(path))).filter(|path| path.exists())
    }

    /// Where a link to a parent leads: to a directory of images or a bundle, as the link has it or with `.criu` behind.
    fn beside(&self, link: &[u8]) -> Option<PathBuf> {
        // the link was made in a directory that had the bundle's name
        let own = self.bundle.path()?;
        let base = if own.is_dir() { own.to_path_buf() } else { own.with_extension("") };
        let plain = base.join(OsStr::from_bytes(link));
        let path = plain.components().fold(PathBuf::new(), |mut path, component| {
            match component {
                std::path::Component::ParentDir if path.file_name().is_some() => {
                    path.pop();
                }
                std::path::Component::CurDir => {}
                other => path.push(other),
            }
            path
        });
        let mut bundle = path.clone().into_os_string();
        bundle.push(".criu");
        [path, PathBuf::from(bundle)].into_iter().find(|path| path.exists())
    }
}

/// The records of an image, but what only says its name.
fn records(bundle: &Bundle, kind: Kind, id: u64) -> impl Iterator<Item = Result<Rec<'_>>> {
    let found = bundle.records(kind.number(), id);
    found.filter(|found| !matches!(found, Ok(found) if found.record.header.object_type() == types::NAME)).map(|found| {
        let record = found?.record;
        let (object_type, count) = (record.header.object_type(), record.header.count());
        Ok(Rec { object_type, count, payload: record.payload, offset: record.offset as u64 })
    })
}

/// What images need of others: what the cores say of sessions.
fn context(bundle: &Arc<Bundle>) -> Context<'static> {
    let cores = bundle.clone();
    Context::of(*bundle.limits(), move |pid| {
        if !cores.has(Kind::Core.number(), pid) {
            return Ok(None);
        }
        session(&mut records(&cores, Kind::Core, pid))
    })
}

impl Source for V1Files {
    fn name(&self) -> &str {
        self.bundle.name()
    }

    fn files(&self) -> &[String] {
        &self.files
    }

    fn open(&self, file: &str) -> Result<Bytes> {
        self.content(file.as_bytes())
    }

    /// Bytes that the image takes in the bundle; the pages of all count with the first pages file.
    fn size(&self, file: &str) -> Result<u64> {
        let Some(entry) = self.entry(file.as_bytes()) else { return Ok(0) };
        let (kind, id) = match entry.place {
            Place::Image(kind, id) => (kind.number(), id),
            Place::File(id) => (types::KIND_FILE, id),
            Place::Pages(..) => {
                let first = self.entries.iter().find(|entry| matches!(entry.place, Place::Pages(..)));
                if first.is_none_or(|first| first.name != entry.name) {
                    return Ok(0);
                }
                (types::KIND_PAGES, 0)
            }
            Place::Nowhere => return Ok(0),
        };
        Ok(self.bundle.sections(kind, id).iter().fold(0, |sum, section| sum.saturating_add(section.size as u64)))
    }

    fn parent(&self) -> Result<Option<Arc<dyn Source>>> {
        let Some(parent) = self.head.parents.first() else { return Ok(None) };
        let limits: &Limits = self.bundle.limits();
        if self.chain.len() > usize::try_from(limits.parents).unwrap_or(usize::MAX) {
            return Err(Error::limit(format!("the chain of parents is longer than {}", limits.parents))
                .hint("Limits::parents, or --max-parents, raises it"));
        }
        let Some(link) = parent.path.as_ref().or(parent.link.as_ref()) else { return Ok(None) };
        let shown = String::from_utf8_lossy(link).into_owned();
        let found = match &parent.path {
            Some(path) => self.near(path),
            None => self.beside(link),
        };
        let Some(path) = found else {
            return Err(Error::usage("the parent of the checkpoint is not there").in_image(shown));
        };
        if path.is_dir() && !is_directory(&path) {
            return Ok(Some(Arc::new(Dir::open(&path, self.access, *limits)?)));
        }
        // the path is a stranger's: a pipe would never end, nor would a device
        if !path.is_file() && !path.is_dir() {
            return Err(Error::usage("expected the parent of the checkpoint, found no file and no directory")
                .in_image(path.to_string_lossy()));
        }
        let bundle = open_bundle(&path, self.access, *limits)?;
        let is_other = parent.dump.is_some_and(|dump| dump != bundle.dump())
            || (parent.end_checksum.is_some() && bundle.end().is_some() && parent.end_checksum != bundle.end());
        if is_other {
            return Err(Error::usage("is not the checkpoint that this one was made from, or was changed since")
                .in_image(path.to_string_lossy()));
        }
        Ok(Some(Arc::new(Self::of(Arc::new(bundle), self.access, self.chain.clone())?)))
    }

    fn bundle(&self) -> Option<&Arc<Bundle>> {
        Some(&self.bundle)
    }
}

/// A bundle, or a directory of `.criu` files.
///
/// Errors: it cannot be opened.
pub fn open_bundle(path: &Path, access: Access, limits: Limits) -> Result<Bundle> {
    if path.is_dir() { Bundle::open_dir(path, access, limits) } else { Bundle::open(path, access, limits) }
}
