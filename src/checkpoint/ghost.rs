//! Ghost files: copies of files that were deleted while open.

use std::collections::HashMap;

use serde::Serialize;

use crate::base::{Listing, Name, Result};
use crate::checkpoint::device::Device;
use crate::checkpoint::file::{FileType, Remap, What};
use crate::checkpoint::files;
use crate::checkpoint::{Checkpoint, ImageName};
use crate::image::{Image, Kind};
use crate::object::v1;

/// A file that was deleted while open, or one restored in another's place.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Ghost {
    /// Its number: that of its image.
    pub id: u32,
    /// The paths it was opened under.
    pub paths: Vec<Name>,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its type and permissions, as stat tells.
    pub mode: u32,
    /// Its bytes, holes included.
    pub size: u64,
    /// Bytes of it that are in the dump.
    pub stored: u64,
    /// The device it was on.
    pub dev: Option<Device>,
    /// Its number there.
    pub ino: Option<u64>,
    /// Where it leads, of a symbolic link.
    pub symlink: Option<Name>,
}

impl Checkpoint {
    /// The ghost files, by number.
    ///
    /// Errors: the image that says where they belong, or that of files, cannot be opened.
    pub fn ghosts(&self) -> Result<Listing<Ghost>> {
        let remaps = self.entries_of::<v1::RemapFilePathEntry>(Kind::RemapFpath, 0)?;
        let known = self.files()?;
        let mut paths: HashMap<u32, Vec<Name>> = HashMap::new();
        for entry in &remaps {
            if let Remap::Ghost(id) = files::remap(entry)
                && let Some(What::Regular(file)) = known.get(FileType::REG, entry.orig_id).map(|file| &file.what)
            {
                paths.entry(id).or_default().push(file.path.clone());
            }
        }
        let mut listing = Listing { items: Vec::new(), problems: remaps.problems.clone() };
        for name in self.images_of(Kind::GhostFile) {
            listing.push(self.ghost(name, &paths));
        }
        Ok(listing)
    }

    fn ghost(&self, name: &ImageName, paths: &HashMap<u32, Vec<Name>>) -> Result<Ghost> {
        let image = self.open_image(name)?;
        let head = image.get(0)?.decode::<v1::GhostFileEntry>()?;
        let stored = stored(&image)?;
        let id = u32::try_from(name.id).unwrap_or(u32::MAX);
        Ok(Ghost {
            id,
            paths: paths.get(&id).cloned().unwrap_or_default(),
            uid: head.uid,
            gid: head.gid,
            mode: head.mode,
            size: head.size.unwrap_or(stored),
            stored,
            dev: head.dev.map(Device::from_kernel),
            ino: head.ino,
            symlink: head.symlnk_target.map(Name::from),
        })
    }
}

fn stored(image: &Image) -> Result<u64> {
    image.iter().try_fold(0u64, |sum, entry| Ok(sum.saturating_add(entry?.payload().len() as u64)))
}
