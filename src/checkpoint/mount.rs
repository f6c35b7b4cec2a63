//! Mounts.

use serde::Serialize;

use crate::base::listing::keep;
use crate::base::{Listing, Name, Result};
use crate::checkpoint::Checkpoint;
use crate::checkpoint::device::Device;
use crate::checkpoint::names;
use crate::image::Kind;
use crate::object::v1;

/// A mount.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Mount {
    /// The mount namespace it is in.
    pub ns_id: u32,
    /// Its number in the dump.
    pub mnt_id: u32,
    /// The mount it is on.
    pub parent_mnt_id: u32,
    /// Where, as its namespace sees it.
    pub mountpoint: Name,
    /// Which directory of the file system.
    pub root: Name,
    /// Its type.
    pub fstype: Name,
    /// What is mounted: a device, or a name.
    pub source: Name,
    /// The device of its files.
    pub dev: Device,
    /// Flags of the mount: `ro`, `nosuid`...
    pub flags: Vec<String>,
    /// Flags of the file system.
    pub sb_flags: Vec<String>,
    /// Options of the file system.
    pub options: Name,
    /// The group of mounts that it passes events to.
    pub shared_id: Option<u32>,
    /// The group of mounts that it gets events from.
    pub master_id: Option<u32>,
    /// Whether it is made from outside at restore, and by which name.
    pub ext_key: Option<Name>,
    /// Whether its directory was deleted.
    pub deleted: bool,
}

impl Mount {
    fn new(ns_id: u64, entry: v1::MntEntry) -> Self {
        let known = names::code(u64::from(entry.fstype), names::FILE_SYSTEMS);
        let external = entry.ext_mount().then(|| Name::from("external"));
        Self {
            ns_id: u32::try_from(ns_id).unwrap_or(u32::MAX),
            mnt_id: entry.mnt_id,
            parent_mnt_id: entry.parent_mnt_id,
            mountpoint: entry.mountpoint.into(),
            root: entry.root.into(),
            fstype: entry.fsname.map(Name::from).or(known.map(Name::from)).unwrap_or(Name::from("unknown")),
            source: entry.source.into(),
            dev: Device::from_kernel(entry.root_dev),
            flags: names::bits(u64::from(entry.flags), names::MOUNT),
            sb_flags: names::bits(u64::from(entry.sb_flags.unwrap_or(0)), names::MOUNT),
            options: entry.options.into(),
            shared_id: entry.shared_id.filter(|id| *id != 0),
            master_id: entry.master_id.filter(|id| *id != 0),
            ext_key: entry.ext_key.map(Name::from).or(external),
            deleted: entry.deleted.unwrap_or(false),
        }
    }
}

impl Checkpoint {
    /// The mounts of all mount namespaces that are part of the dump.
    ///
    /// Errors: an image of mounts cannot be opened.
    pub fn mounts(&self) -> Result<Listing<Mount>> {
        let mut listing = Listing::default();
        for name in self.images_of(Kind::Mnts) {
            let found = self.entries_of::<v1::MntEntry>(Kind::Mnts, name.id)?;
            listing.items.extend(found.items.into_iter().map(|entry| Mount::new(name.id, entry)));
            keep(&mut listing.problems, found.problems);
        }
        Ok(listing)
    }
}
