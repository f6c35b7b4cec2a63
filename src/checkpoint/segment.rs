//! Shared memory: anonymous, memfd, System V. Its pages are dumped once, whoever maps it.

use crate::base::{Error, Limits, Result};
use crate::checkpoint::Checkpoint;
use crate::checkpoint::file::{FileType, What};
use crate::image::Kind;
use crate::memory::{Missing, Pages};
use crate::object::v1;

/// The pages of a segment, as a mapping or a reader of the whole segment sees them.
pub(crate) struct Segment {
    /// Its pages, or why they are not there.
    pub(crate) pages: Result<Pages, Missing>,
    /// Its bytes, rounded up to pages; `None` where only those who map it know.
    pub(crate) size: Option<u64>,
}

impl Checkpoint {
    /// The segment whose pagemap has this number.
    pub(crate) fn open_segment(&self, id: u64, size: Option<u64>) -> Result<Segment> {
        let limits: &Limits = self.limits();
        let page_size = self.known_page_size();
        let rounded = |size: u64| size.checked_next_multiple_of(page_size.unwrap_or(4096)).unwrap_or(u64::MAX);
        let size = size.map(rounded);
        let pages = match Pages::open(self.parents(), Kind::PagemapShmem, id, page_size, limits) {
            Ok(Some(pages)) => Ok(pages),
            // before v3.0 the content of System V segments stood behind their entries
            Ok(None) => self.old_pages(id).map_err(Missing::Broken),
            Err(error) => Err(Missing::Broken(error)),
        };
        Ok(Segment { pages, size })
    }

    pub(crate) fn no_image(&self, kind: Kind, id: u64) -> Error {
        let name = kind.file_name(id).unwrap_or_else(|| kind.name().to_owned());
        Error::usage("the dump has no such image").in_image(name)
    }

    /// The pages of a segment without a pagemap, as old dumps have them.
    fn old_pages(&self, id: u64) -> Result<Pages> {
        if let Some(pages) = self.payload_of(id)? {
            return Ok(pages);
        }
        match self.find(Kind::ShmPagesOld, id)? {
            Some(image) => Pages::of_records(self.source().clone(), &image),
            None => Err(self.no_image(Kind::PagemapShmem, id)),
        }
    }

    /// The bytes of a System V segment that stand behind its entry.
    fn payload_of(&self, id: u64) -> Result<Option<Pages>> {
        for name in self.images_of(Kind::IpcnsShm) {
            let image = self.open_image(name)?;
            for entry in &image {
                let entry = entry?;
                let shm = entry.decode::<v1::IpcShmEntry>()?;
                if u64::from(shm.desc.id) == id && !shm.in_pagemaps() {
                    let length = shm.size.min(entry.payload().len() as u64);
                    let (source, content) = (self.source().clone(), image.bytes().clone());
                    let start = entry.payload_offset();
                    return Pages::flat(source, image.name(), content, start, length, self.page_size()).map(Some);
                }
            }
        }
        Ok(None)
    }

    /// The bytes of the memfd or System V segment whose pagemap has this number, as far as the dump says it.
    pub(crate) fn segment_size(&self, id: u64) -> Option<u64> {
        let memfds = self.files().ok()?.iter().filter_map(|file| match &file.what {
            What::Memfd(memfd) if memfd.shmid.map(u64::from) == Some(id) => Some(memfd.size),
            _ => None,
        });
        let memfd = memfds.last();
        memfd.or_else(|| {
            let segments = self.ipc().ok()?.segments;
            segments.iter().find(|segment| u64::from(segment.desc.id) == id).map(|segment| segment.size)
        })
    }

    /// Which pagemap has the content of a memfd, and how many bytes it has: by the number of an open file.
    pub(crate) fn memfd(&self, file: u64) -> Result<Option<(u64, u64)>> {
        let Ok(id) = u32::try_from(file) else { return Ok(None) };
        Ok(self.files()?.get(FileType::MEMFD, id).and_then(|file| match &file.what {
            What::Memfd(memfd) => Some((u64::from(memfd.shmid?), memfd.size)),
            _ => None,
        }))
    }
}
