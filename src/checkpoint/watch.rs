//! What wakes others: epoll, inotify, fanotify.

use serde::Serialize;

use crate::base::Address;
use crate::checkpoint::device::Device;
use crate::checkpoint::file::Place;
use crate::checkpoint::names;
use crate::object::v1;

/// A descriptor that an epoll waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct EpollTarget {
    /// The descriptor, in the table of the task that added it.
    pub fd: u32,
    /// Events: `in`, `out`, `et`...
    pub events: Vec<String>,
    /// What the task gets with the event.
    pub data: Address,
    /// Inode of what the descriptor led to.
    pub inode: Option<u64>,
}

/// What an inotify watches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct InotifyWatch {
    /// The watch's number.
    pub wd: u32,
    /// Events: `modify`, `create`...
    pub events: Vec<String>,
    /// What is watched.
    pub place: Place,
}

/// What a fanotify watches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FanotifyMark {
    /// Events it tells of.
    pub events: Vec<String>,
    /// Events it does not tell of.
    pub ignored: Vec<String>,
    /// What is watched.
    pub place: Place,
}

impl EpollTarget {
    pub(crate) fn new(entry: &v1::EventpollTfdEntry) -> Self {
        Self {
            fd: entry.tfd,
            events: names::bits(u64::from(entry.events), names::EPOLL),
            data: Address(entry.data),
            inode: entry.inode,
        }
    }
}

fn place(handle: &v1::FhEntry, dev: u32, inode: u64) -> Place {
    match &handle.path {
        Some(path) => Place::Path(path.clone().into()),
        None => Place::Inode { dev: Device::from_kernel(dev), inode },
    }
}

impl InotifyWatch {
    pub(crate) fn new(entry: &v1::InotifyWdEntry) -> Self {
        Self {
            wd: entry.wd,
            events: names::bits(u64::from(entry.mask), names::NOTIFY),
            place: place(&entry.f_handle, entry.s_dev, entry.i_ino),
        }
    }
}

impl FanotifyMark {
    pub(crate) fn new(entry: &v1::FanotifyMarkEntry) -> Self {
        let place = match (&entry.ie, &entry.me) {
            (Some(inode), _) => place(&inode.f_handle, entry.s_dev, inode.i_ino),
            (None, Some(v1::FanotifyMountMarkEntry { path: Some(path), .. })) => Place::Path(path.clone().into()),
            (None, Some(mount)) => Place::Mount { mnt_id: mount.mnt_id },
            (None, None) => Place::Inode { dev: Device::from_kernel(entry.s_dev), inode: 0 },
        };
        Self {
            events: names::bits(u64::from(entry.mask), names::NOTIFY),
            ignored: names::bits(u64::from(entry.ignored_mask), names::NOTIFY),
            place,
        }
    }
}
