//! What goes where, before anything is touched: areas, each cut into fragments with one source.

use std::fs::File;

use rayon::iter::ParallelIterator;
use serde::Serialize;

use crate::base::{Address, Error, Result};
use crate::checkpoint::AddressSpace;
use crate::checkpoint::mm::{Backing, Mapping, Prot};
use crate::memory::{Content, Missing, PagesFile, Run, Stored};
use crate::tool::restore::fit;
use crate::tool::restore::{OnMissing, Options};

/// What goes where. It can be printed, and needs nothing but reading the dump. The fragments of an
/// area are together all of it.
#[derive(Serialize)]
pub struct Plan<'a> {
    /// What has private memory, ascending.
    pub(super) areas: Vec<Area>,
    /// Mappings that are no private memory.
    pub(super) left_out: Vec<LeftOut>,
    /// The pages files that fragments refer to by number.
    pub(super) images: Vec<Image>,
    /// How many maps the process has from it, at most.
    pub(super) maps: usize,
    #[serde(skip)]
    pub(super) options: Options,
    #[serde(skip)]
    pub(super) space: &'a AddressSpace,
}

/// A private mapping, or what guards leave of one.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Area {
    /// First address.
    pub start: Address,
    /// The address behind the last.
    pub end: Address,
    /// What may be done with it in the end.
    pub prot: Prot,
    /// What backs it.
    #[serde(flatten)]
    pub backing: Backing,
    /// What is in it, from its first address to its last.
    pub fragments: Vec<Fragment>,
    /// Whether huge pages suit it.
    #[serde(skip)]
    pub(super) huge: bool,
}

/// Consecutive addresses with one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Fragment {
    /// First address.
    pub start: Address,
    /// The address behind the last.
    pub end: Address,
    /// What goes there.
    #[serde(flatten)]
    pub what: What,
}

/// What goes to the addresses of a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
#[non_exhaustive]
pub enum What {
    /// Bytes of a pages file that can be mapped there.
    Map {
        /// Which pages file.
        image: u32,
        /// Where in it.
        offset: u64,
    },
    /// Bytes of a pages file that have to be copied: its offset is no multiple of the page size, it is no plain file, or
    /// there would be too many maps.
    Copy {
        /// Which pages file.
        image: u32,
        /// Where in it.
        offset: u64,
    },
    /// Bytes in compressed blocks.
    Unpack,
    /// Nothing: fresh memory has zeros.
    Nothing,
    /// What the mapped file has; mapping it is left to the caller.
    Left,
    /// Bytes that the dump does not have; or nothing, where a mapping is longer than what it maps.
    Missing,
}

/// A mapping that is no private memory: shared, or made by the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LeftOut {
    /// First address.
    pub start: Address,
    /// The address behind the last.
    pub end: Address,
    /// What backs it.
    #[serde(flatten)]
    pub backing: Backing,
}

/// A pages file.
#[derive(Serialize)]
#[non_exhaustive]
pub struct Image {
    /// What errors call it: its name, behind the path of its dump if that is an ancestor.
    pub name: String,
    /// The open file; `None` where it is no plain file.
    #[serde(skip)]
    pub(super) file: Option<File>,
    #[serde(skip)]
    pub(super) place: PagesFile,
    /// How long it has to be.
    #[serde(skip)]
    end: u64,
    /// The address of what comes last in it.
    #[serde(skip)]
    last: u64,
}

/// Bit of `madv`: huge pages were refused.
const NO_HUGE: u64 = 1 << 15;

impl<'a> Plan<'a> {
    /// The plan for the private memory of a process.
    ///
    /// Errors: a pre-dump does not say what is mapped; a page that the process had is not in the dump, unless the
    /// options leave it out; pages of the dump are smaller than those of this machine.
    pub fn new(space: &'a AddressSpace, options: &Options) -> Result<Self> {
        if !space.is_known() {
            return Err(Error::usage("a pre-dump does not say what is mapped; restore from a dump that follows it"));
        }
        let mut plan =
            Self { areas: Vec::new(), left_out: Vec::new(), images: Vec::new(), maps: 0, options: *options, space };
        for region in &space.regions {
            let Some(mapping) = space.mappings().get(region.mapping) else { continue };
            let (start, end) = (Address(region.start), Address(region.end));
            let backing = mapping.backing.clone();
            if !is_private(mapping) {
                plan.left_out.push(LeftOut { start, end, backing });
                continue;
            }
            let unit = rustix::param::page_size() as u64;
            if !start.0.is_multiple_of(unit) || !end.0.is_multiple_of(unit) {
                let what = format!("{start}-{end} are no whole pages here, where a page has {unit} bytes");
                return Err(Error::usage(what).hint("the dump is of a machine with smaller pages"));
            }
            let huge = options.huge && mapping.madv & NO_HUGE == 0;
            let mut area = Area { start, end, prot: mapping.prot, backing, fragments: Vec::new(), huge };
            if options.verify && space.has_checksums() {
                // on all cores; what is broken is told below
                space.par_runs(start.0..end.0).for_each(|run| drop(run.check()));
            }
            for run in space.runs(start.0..end.0) {
                for run in run.sound_if(options.verify) {
                    let what = plan.what(&run, &area.backing)?;
                    area.push(Fragment { start: Address(run.start), end: Address(run.end), what });
                }
            }
            area.fragments.shrink_to_fit();
            plan.areas.push(area);
        }
        plan.maps = fit::fit(&mut plan.areas, options.maps);
        Ok(plan)
    }

    fn what(&mut self, run: &Run<'_>, backing: &Backing) -> Result<What> {
        Ok(match &run.content {
            Content::Zero => What::Nothing,
            Content::File { .. } => What::Left,
            // nobody could touch it before either
            Content::Missing(Missing::BeyondEnd) => What::Missing,
            Content::Missing(missing) if self.options.missing == OnMissing::Refuse => {
                return Err(match missing {
                    Missing::Broken(error) => error.clone().at_page(run.start),
                    _ => missing.fault(run.start),
                });
            }
            Content::Missing(_) => What::Missing,
            Content::Stored(stored) if stored.is_plain() && *backing != Backing::SysV => {
                let Some(image) = self.image(stored, run.end, run.len())? else { return Ok(What::Unpack) };
                let offset = stored.offset();
                let unit = rustix::param::page_size() as u64;
                let is_plain =
                    usize::try_from(image).is_ok_and(|i| self.images.get(i).is_some_and(|i| i.file.is_some()));
                match is_plain && offset.is_multiple_of(unit) {
                    true => What::Map { image, offset },
                    false => What::Copy { image, offset },
                }
            }
            // what some old dumps have of System V segments is in no file as it is
            Content::Stored(_) => What::Unpack,
        })
    }

    /// The number of the pages file of stored bytes.
    fn image(&mut self, stored: &Stored<'_>, last: u64, length: u64) -> Result<Option<u32>> {
        let end = stored.offset().saturating_add(length);
        let found = self.images.iter().rposition(|image| image.name == stored.file);
        let number = match found {
            Some(number) => number,
            None => {
                let Some(place) = self.space.file_of(stored) else { return Ok(None) };
                let file = place.open()?;
                self.images.push(Image { name: stored.file.to_owned(), file, place, end: 0, last: 0 });
                self.images.len().saturating_sub(1)
            }
        };
        if let Some(image) = self.images.get_mut(number).filter(|image| image.end < end) {
            (image.end, image.last) = (end, last);
        }
        Ok(u32::try_from(number).ok())
    }

    /// Whether the pages files are as long as they were when the plan was made.
    pub(super) fn check_files(&self) -> Result<()> {
        for image in &self.images {
            let failed = |error| Error::io("cannot ask for its size", error).in_image(image.name.as_str());
            let Some(file) = &image.file else { continue };
            let length = file.metadata().map_err(failed)?.len();
            if length < image.end {
                return Err(cut(&image.name, image.end, length, image.last.saturating_sub(1)));
            }
        }
        Ok(())
    }

    /// What has private memory, ascending.
    pub fn areas(&self) -> &[Area] {
        &self.areas
    }

    /// Mappings that are no private memory.
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// The pages files that fragments refer to by number.
    pub fn images(&self) -> &[Image] {
        &self.images
    }

    /// How many maps [`Way::Map`](super::Way::Map) makes, at most.
    pub fn maps(&self) -> usize {
        self.maps
    }

    /// What the plan was made for.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// How many fragments there are of a kind, and their bytes.
    pub fn count(&self, kind: impl Fn(What) -> bool) -> (usize, u64) {
        let all = self.areas.iter().flat_map(|area| &area.fragments).filter(|fragment| kind(fragment.what));
        all.fold((0, 0), |(count, bytes), fragment| (count.saturating_add(1), bytes.saturating_add(fragment.len())))
    }
}

/// A pages file that is not as long as it has to be.
pub(super) fn cut(name: &str, wanted: u64, found: u64, address: u64) -> Error {
    Error::format(format!("expected {wanted} bytes, found {found}"))
        .at_page(address & !0xfff)
        .in_image(name)
        .hint("the file was cut short")
}

impl Area {
    /// Adds a fragment, or makes the last one longer if this one goes on where it ends.
    fn push(&mut self, next: Fragment) {
        if let Some(last) = self.fragments.last_mut()
            && last.end == next.start
            && last.what.at(last.len()) == next.what
        {
            last.end = next.end;
            return;
        }
        self.fragments.push(next);
    }
}

impl Fragment {
    /// Its bytes.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> u64 {
        self.end.0.saturating_sub(self.start.0)
    }
}

impl What {
    /// What comes so many bytes behind.
    pub(super) fn at(self, behind: u64) -> Self {
        match self {
            Self::Map { image, offset } => Self::Map { image, offset: offset.saturating_add(behind) },
            Self::Copy { image, offset } => Self::Copy { image, offset: offset.saturating_add(behind) },
            other => other,
        }
    }

    /// Whether bytes have to be brought there, by a way that maps or by one that does not.
    pub(super) fn is_copied(self, maps: bool) -> bool {
        match self {
            Self::Map { .. } => !maps,
            Self::Copy { .. } | Self::Unpack => true,
            Self::Nothing | Self::Left | Self::Missing => false,
        }
    }

    /// Whether there is memory at all.
    pub(super) fn is_memory(self) -> bool {
        !matches!(self, Self::Left | Self::Missing)
    }
}

fn is_private(mapping: &Mapping) -> bool {
    let is_kernels = matches!(
        mapping.backing,
        Backing::Vdso
            | Backing::Vvar
            | Backing::Vsyscall
            | Backing::Uprobes
            | Backing::Aio
            | Backing::Socket
            | Backing::Device
            | Backing::Guard
    );
    !mapping.flags.is_shared() && !is_kernels
}
