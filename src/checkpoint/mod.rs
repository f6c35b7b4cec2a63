//! A dump as opened: its images by kind and number, and the model that joins them.
//!
//! The structs here are this library's own, filled from the messages of version 1 of the format; prost's do not get
//! past this layer. A reference that leads nowhere is shown as such, and an entry that cannot be read costs only
//! itself: lists come as [`Listing`]s, which have the errors beside what could be read.

mod absence;
pub mod arguments;
pub mod census;
pub mod cgroup;
pub mod cpu;
pub mod credentials;
pub mod device;
pub mod fd;
pub mod file;
pub mod files;
pub mod ghost;
pub mod inventory;
pub mod ipc;
pub mod limit;
pub mod lock;
pub mod mm;
pub mod mount;
mod names;
pub mod namespace;
mod old_files;
pub mod pipe;
pub mod plain;
pub(crate) mod region;
pub mod registers;
pub mod resident;
pub mod roll;
pub mod seccomp;
pub mod segment;
pub mod signal;
pub mod socket;
pub mod space;
pub mod special;
pub mod task;
pub mod thread;
pub mod timer;
pub mod tree;
pub mod tty;
pub mod vitals;
pub mod watch;

pub use space::AddressSpace;

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::base::listing::keep;
use crate::base::map::Access;
use crate::base::{Error, Limits, Listing, Result};
use crate::image::{Image, Kind};
use crate::memory::Parents;
use crate::object::Object;
use crate::object::upgrade::V1Files;
use crate::object::upgrade::source::open_bundle;
use crate::source::bundle::{self, Bundle};
use crate::source::dir::Dir;
use crate::source::{Source, spool};

/// How to open a checkpoint.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Whether files are mapped or read.
    pub access: Access,
    /// What hostile input may cost.
    pub limits: Limits,
}

/// One file of a checkpoint that is an image by its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageName {
    /// Its kind.
    pub kind: Kind,
    /// The number in its name; 0 if there is none.
    pub id: u64,
    /// The name.
    pub file: String,
}

/// A dump as opened. Opening lists the names; an image is mapped when it is asked for, and walked when its entries
/// are.
///
/// ```no_run
/// use icecore::{Checkpoint, Kind, v1::FileEntry};
///
/// let dump = Checkpoint::open("dump/")?;
/// let files = dump.image(Kind::Files)?;
/// println!("{} open files", files.len());
/// println!("{:?}", files.get(17)?.decode::<FileEntry>()?);
/// # Ok::<(), icecore::Error>(())
/// ```
pub struct Checkpoint {
    source: Arc<dyn Source>,
    v1_files: Option<Arc<V1Files>>,
    images: Vec<ImageName>,
    parents: Parents,
    limits: Limits,
    cache: Cache,
}

/// What several questions need, read when the first does.
#[derive(Default)]
struct Cache {
    inventory: OnceLock<Result<inventory::Inventory>>,
    files: OnceLock<Result<files::Files>>,
    roll: OnceLock<Result<roll::Roll>>,
    tables: OnceLock<Result<fd::Tables>>,
    queues: OnceLock<fd::Queues>,
    page_size: OnceLock<Option<u64>>,
    /// How often a path was looked for in the image of files.
    searches: AtomicU32,
}

impl Checkpoint {
    /// Opens a directory of images; or a checkpoint of version 2 of the format: a bundle, a directory of `.criu` files,
    /// or `-` for standard input.
    ///
    /// Errors: it is not there or cannot be listed; it is no checkpoint.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(path, Options::default())
    }

    /// Opens what [`open`](Self::open) does with other limits, or without maps.
    pub fn open_with(path: impl AsRef<Path>, options: Options) -> Result<Self> {
        let (path, access, limits) = (path.as_ref(), options.access, options.limits);
        if path == Path::new("-") {
            return Self::from_bytes("standard input", spool::stdin(access, &limits)?, options);
        }
        let is_v1 = match path.metadata() {
            Ok(meta) if meta.is_dir() => !bundle::is_directory(path),
            Ok(meta) if meta.is_file() => false,
            Ok(_) => {
                // a pipe by name is read to its end, as standard input is
                let name = path.to_string_lossy();
                let file = File::open(path).map_err(|error| Error::io("cannot open", error).in_image(name.clone()))?;
                let bytes = spool::read(file.as_fd(), &name, access, &limits)?;
                return Self::from_bytes(&name, bytes, options);
            }
            Err(_) => true,
        };
        if is_v1 {
            return Ok(Self::from_source(Arc::new(Dir::open(path, access, limits)?), limits));
        }
        Ok(Self::from_v1_files(V1Files::open(open_bundle(path, access, limits)?, access)?))
    }

    /// A checkpoint of version 2 in memory, such as came from a pipe; `name` is what to call it in messages.
    ///
    /// Errors: it is none, or not whole.
    pub fn from_bytes(name: &str, bytes: Bytes, options: Options) -> Result<Self> {
        let bundle = Bundle::from_bytes(name, bytes, options.limits)?;
        Ok(Self::from_v1_files(V1Files::open(bundle, options.access)?))
    }

    /// A checkpoint of version 2.
    pub fn from_v1_files(files: V1Files) -> Self {
        let limits = *files.limits();
        let files = Arc::new(files);
        Self { v1_files: Some(files.clone()), ..Self::from_source(files, limits) }
    }

    /// Of a checkpoint of version 2, the files of version 1 that it stands for.
    pub fn v1_files(&self) -> Option<&Arc<V1Files>> {
        self.v1_files.as_ref()
    }

    /// Opens what a source holds.
    pub fn from_source(source: Arc<dyn Source>, limits: Limits) -> Self {
        let mut images: Vec<ImageName> = source
            .files()
            .iter()
            .filter_map(|file| {
                let (kind, id) = Kind::from_file_name(file)?;
                Some(ImageName { kind, id, file: file.clone() })
            })
            .collect();
        images.sort_unstable();
        let parents = Parents::of(source.clone());
        Self { source, v1_files: None, images, parents, limits, cache: Cache::default() }
    }

    /// Where its images come from.
    pub fn source(&self) -> &Arc<dyn Source> {
        &self.source
    }

    /// The dump and those it is an increment of.
    pub fn parents(&self) -> &Parents {
        &self.parents
    }

    /// The limits it was opened with.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The files that are images by their names, by kind and number.
    pub fn images(&self) -> &[ImageName] {
        &self.images
    }

    /// The images of one kind, by number.
    pub fn images_of(&self, kind: Kind) -> &[ImageName] {
        let start = self.images.partition_point(|image| image.kind < kind);
        let rest = self.images.get(start..).unwrap_or_default();
        let end = rest.partition_point(|image| image.kind == kind);
        rest.get(..end).unwrap_or_default()
    }

    /// The image of a kind that has no number in its name, such as `files.img`.
    ///
    /// Errors: the dump has none, or it cannot be opened.
    pub fn image(&self, kind: Kind) -> Result<Image> {
        self.image_of(kind, 0)
    }

    /// The image of this kind and number, such as `core-17.img`.
    ///
    /// Errors: the dump has none, or it cannot be opened.
    pub fn image_of(&self, kind: Kind, id: u64) -> Result<Image> {
        self.find(kind, id)?.ok_or_else(|| {
            let name = kind.file_name(id).unwrap_or_else(|| kind.name().to_owned());
            Error::usage("the dump has no such image").in_image(name)
        })
    }

    /// The image of this kind and number, if the dump has it.
    ///
    /// Errors: it is there and cannot be opened.
    pub fn find(&self, kind: Kind, id: u64) -> Result<Option<Image>> {
        let images = self.images_of(kind);
        match images.binary_search_by_key(&id, |image| image.id) {
            Ok(position) => images.get(position).map(|name| self.open_image(name)).transpose(),
            Err(_) => Ok(None),
        }
    }

    /// Opens one of [`images`](Self::images).
    pub fn open_image(&self, name: &ImageName) -> Result<Image> {
        Image::of_kind(&name.file, name.kind, name.id, self.source.open(&name.file)?, self.limits)
    }

    /// Whether the dump has the image of this kind and number.
    pub fn has(&self, kind: Kind, id: u64) -> bool {
        self.images_of(kind).binary_search_by_key(&id, |image| image.id).is_ok()
    }

    /// Every entry of an image as a `T`, one by one; none where the dump lacks the image.
    fn each<T: Object>(&self, kind: Kind, id: u64, take: impl FnMut(Result<T>)) -> Result<()> {
        if let Some(image) = self.find(kind, id)? {
            image.iter().map(|entry| entry.and_then(|entry| entry.decode())).for_each(take);
        }
        Ok(())
    }

    fn entries_of<T: Object>(&self, kind: Kind, id: u64) -> Result<Listing<T>> {
        let mut listing = Listing::default();
        self.each(kind, id, |entry| listing.push(entry))?;
        Ok(listing)
    }

    /// The entries of an image without a number; an image that cannot be opened is one more problem.
    fn entries_or_problem<T: Object>(&self, kind: Kind, problems: &mut Vec<Error>) -> Vec<T> {
        match self.entries_of(kind, 0) {
            Ok(listing) => {
                keep(problems, listing.problems);
                listing.items
            }
            Err(error) => {
                keep(problems, [error]);
                Vec::new()
            }
        }
    }
}
