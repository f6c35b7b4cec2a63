//! Files of version 1 to images of version 2.

use std::collections::{BTreeSet, HashMap};
use std::io::Write;
use std::sync::Mutex;

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use crate::base::report::{Cancel, Progress};
use crate::base::{Error, Limits, Result};
use crate::image::{Image, Kind};
use crate::object::upgrade::container::{self, Named};
use crate::object::upgrade::image::{Context, Converted, Put, takes_session, up_empty, up_image};
use crate::source::bundle::Writer;
use crate::source::listing::{Item, Listing, What};
use crate::tool::convert::{Counts, stop};
use crate::wire::v2::types;

/// Images up to this length are converted beside each other, in memory; larger ones alone, as a stream.
const SMALL: usize = 8 << 20;
/// Bytes of images that are converted at once.
const WINDOW: usize = 64 << 20;

/// Records of an image, kept.
#[derive(Default)]
struct Buffer(Vec<(u32, u32, Vec<u8>)>);

impl Put for Buffer {
    fn record(&mut self, object_type: u32, count: u32, payload: &[u8]) -> Result<()> {
        self.0.push((object_type, count, payload.to_vec()));
        Ok(())
    }
}

/// What became of an image; its records, if they are kept. None where it cannot be said in objects.
type Made = Option<(Converted, Option<Buffer>)>;

/// Records of an image that nobody wants: to see whether it can be said in objects.
struct Nowhere;

impl Put for Nowhere {
    fn record(&mut self, _: u32, _: u32, _: &[u8]) -> Result<()> {
        Ok(())
    }
}

/// Records of an image, written.
struct Through<'a, W>(&'a mut Writer<W>);

impl<W: Write> Put for Through<'_, W> {
    fn record(&mut self, object_type: u32, count: u32, payload: &[u8]) -> Result<()> {
        self.0.record(object_type, count, payload)
    }
}

/// Writes what is no pages: images as objects, other files as they are.
pub(super) struct Up<'a> {
    pub(super) listing: &'a Listing,
    pub(super) limits: &'a Limits,
    pub(super) progress: &'a dyn Progress,
    pub(super) cancel: &'a Cancel,
    /// Names of pagemaps and pages files, which are written elsewhere.
    pub(super) elsewhere: &'a BTreeSet<Vec<u8>>,
    /// A core that could not be read when it was asked whether it takes the session.
    pub(super) unread: Mutex<Option<Error>>,
}

/// An image that is converted.
struct Job<'a> {
    item: &'a Item,
    kind: Kind,
    id: u64,
}

impl Up<'_> {
    /// Writes all images that can be said in objects. Gives the names of the other files.
    ///
    /// Errors: a file cannot be read, or the target not be written.
    pub(super) fn images<W: Write>(&self, writer: &mut Writer<W>, counts: &mut Counts) -> Result<BTreeSet<Vec<u8>>> {
        let mut left = BTreeSet::new();
        let mut jobs: Vec<Job<'_>> = Vec::new();
        for item in &self.listing.items {
            if self.elsewhere.contains(&item.name) {
                continue;
            }
            let kind = match item.what {
                What::File => std::str::from_utf8(&item.name).ok().and_then(Kind::from_file_name),
                _ => None,
            };
            match kind {
                Some((kind, id)) => jobs.push(Job { item, kind, id }),
                None => drop(left.insert(item.name.clone())),
            }
        }
        jobs.sort_by_key(|job| (job.kind, job.id));
        // a core that is kept as a file has no session, so the tree keeps it: cores come first
        jobs.sort_by_key(|job| job.kind != Kind::Core);
        let cores: HashMap<u64, Vec<u8>> =
            jobs.iter().filter(|job| job.kind == Kind::Core).map(|job| (job.id, job.item.name.clone())).collect();
        let tree = match jobs.iter().find(|job| job.kind == Kind::Pstree) {
            Some(job) => self.open(job, self.listing.content(&job.item.name)?),
            None => None,
        };
        let behind = jobs.partition_point(|job| job.kind == Kind::Core);
        let total = jobs.len() as u64;
        let (first, others) = jobs.split_at_checked(behind).unwrap_or_default();
        self.convert(first, &self.context(tree.as_ref(), &cores)?, writer, total, counts, &mut left)?;
        let cores = cores.into_iter().filter(|(_, name)| !left.contains(name)).collect();
        self.convert(others, &self.context(tree.as_ref(), &cores)?, writer, total, counts, &mut left)?;
        Ok(left)
    }

    /// What images need of others: the sessions of the processes that have these cores.
    fn context<'c>(&'c self, tree: Option<&Image>, cores: &'c HashMap<u64, Vec<u8>>) -> Result<Context<'c>> {
        let Some(tree) = tree else { return Ok(Context::of(*self.limits, |_| Ok(None))) };
        Context::of_dump(*self.limits, tree, |pid| {
            let Some(name) = cores.get(&pid) else { return false };
            let content = match self.listing.content(name) {
                Ok(content) => content,
                Err(error) => {
                    // this is asked amid the conversion of an image, which cannot fail for it
                    drop(self.unread.lock().map(|mut unread| unread.get_or_insert(error).clone()));
                    return false;
                }
            };
            let core = Image::of_kind(&String::from_utf8_lossy(name), Kind::Core, pid, content, *self.limits);
            core.is_ok_and(|core| takes_session(&core))
        })
    }

    /// Converts some images.
    fn convert<W: Write>(
        &self,
        jobs: &[Job<'_>],
        context: &Context<'_>,
        writer: &mut Writer<W>,
        total: u64,
        counts: &mut Counts,
        left: &mut BTreeSet<Vec<u8>>,
    ) -> Result<()> {
        let mut rest = jobs;
        let mut last = None;
        while !rest.is_empty() {
            stop(self.cancel)?;
            let mut window = Vec::new();
            let mut bytes = 0usize;
            while let Some((job, behind)) = rest.split_first()
                && bytes < WINDOW
            {
                rest = behind;
                // a second name of the same image is a file like any other
                if last.replace((job.kind, job.id)) == Some((job.kind, job.id)) {
                    left.insert(job.item.name.clone());
                    continue;
                }
                let content = self.listing.content(&job.item.name)?;
                bytes = bytes.saturating_add(content.len());
                window.push((job, content));
            }
            let made: Vec<Result<Made>> = window
                .par_iter()
                .map(|(job, content)| {
                    let mut buffer = Buffer::default();
                    if content.is_empty() && job.kind.row().shape.is_framed() {
                        up_empty(&mut buffer)?;
                        return Ok(Some((Converted::default(), Some(buffer))));
                    }
                    let Some(image) = self.open(job, content.clone()) else { return Ok(None) };
                    if content.len() <= SMALL {
                        let converted = up_image(&image, context, &mut buffer)?;
                        return Ok(converted.map(|converted| (converted, Some(buffer))));
                    }
                    // where it is found late that it would not come back, records were put: here that is no harm
                    let converted = up_image(&image, context, &mut Nowhere).ok().flatten();
                    Ok(converted.map(|converted| (converted, None)))
                })
                .collect();
            self.all_read()?;
            for ((job, content), made) in window.into_iter().zip(made) {
                let Some((converted, buffer)) = made? else {
                    left.insert(job.item.name.clone());
                    continue;
                };
                writer.image(job.kind.number(), job.id)?;
                if job.kind.file_name(job.id).is_none_or(|usual| usual.as_bytes() != job.item.name) {
                    let named = Named { name: job.item.name.clone(), ..Named::default() };
                    writer.record(types::NAME, 1, &container::encode_name(&named))?;
                }
                match (buffer, self.open(job, content)) {
                    (Some(buffer), _) => {
                        for (object_type, count, payload) in buffer.0 {
                            writer.record(object_type, count, &payload)?;
                        }
                    }
                    (None, Some(image)) => {
                        // it was converted once already, to see whether it can be
                        if up_image(&image, context, &mut Through(writer))?.is_none() {
                            return Err(Error::usage("was changed while it was converted").in_image(image.name()));
                        }
                    }
                    (None, None) => {}
                }
                writer.stop()?;
                counts.images = counts.images.saturating_add(1);
                counts.entries = counts.entries.saturating_add(converted.objects);
                counts.kept = counts.kept.saturating_add(converted.raw);
            }
            self.progress.advance(counts.images, total);
        }
        self.all_read()
    }

    /// Whether what was asked amid a conversion could be read.
    fn all_read(&self) -> Result<()> {
        match self.unread.lock() {
            Ok(mut unread) => unread.take().map_or(Ok(()), Err),
            Err(_) => Ok(()),
        }
    }

    /// The image, if it is one.
    fn open(&self, job: &Job<'_>, content: bytes::Bytes) -> Option<Image> {
        let name = String::from_utf8_lossy(&job.item.name);
        Image::of_kind(&name, job.kind, job.id, content, *self.limits).ok()
    }

    /// Writes files as they are: those with these names, and all links and directories.
    ///
    /// Errors: a file cannot be read, or the target not be written.
    pub(super) fn files<W: Write>(
        &self,
        writer: &mut Writer<W>,
        names: &BTreeSet<Vec<u8>>,
        counts: &mut Counts,
    ) -> Result<()> {
        let mut id = 0u64;
        for item in self.listing.items.iter().filter(|item| names.contains(&item.name)) {
            stop(self.cancel)?;
            let link = match &item.what {
                // the parent's is said of the checkpoint
                What::Link(_) if item.name == b"parent" => continue,
                What::Link(target) => Some(target.clone()),
                _ => None,
            };
            let is_directory = item.what == What::Directory;
            writer.image(types::KIND_FILE, id)?;
            let named = Named { name: item.name.clone(), link, is_directory };
            writer.record(types::NAME, 1, &container::encode_name(&named))?;
            if item.what == What::File {
                let content = self.listing.content(&item.name)?;
                container::put_blobs(&content, |payload| writer.record(types::BLOB, 1, payload))?;
                counts.files = counts.files.saturating_add(1);
            }
            writer.stop()?;
            id = id.saturating_add(1);
        }
        Ok(())
    }
}
