//! What wakes others: epoll, inotify, fanotify.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::base::Address;
use crate::checkpoint::device::Device;
use crate::checkpoint::file::Place;
use crate::checkpoint::names::{self, Bits};
use crate::object::v1;

/// What an epoll waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Epoll {
    /// The descriptors.
    pub targets: Vec<EpollTarget>,
}

/// What an inotify watches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Inotify {
    /// The watches.
    pub watches: Vec<InotifyWatch>,
}

/// What a fanotify watches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fanotify {
    /// The marks.
    pub marks: Vec<FanotifyMark>,
}

/// A set of events: `in`, `out`, `et`... There may be a million sets: names are made when they are asked for.
#[derive(Clone, Copy)]
pub struct Events {
    bits: u32,
    names: Bits,
}

impl Events {
    /// The bits, as the kernel numbers them.
    pub fn bits(self) -> u32 {
        self.bits
    }

    /// The names; what has none comes last, in base 16.
    pub fn names(self) -> Vec<String> {
        names::bits(u64::from(self.bits), self.names)
    }
}

impl PartialEq for Events {
    fn eq(&self, other: &Self) -> bool {
        self.names() == other.names()
    }
}

impl Eq for Events {}

impl fmt::Display for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().join("|"))
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for Events {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.names())
    }
}

/// A descriptor that an epoll waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct EpollTarget {
    /// The descriptor, in the table of the task that added it.
    pub fd: u32,
    /// Events: `in`, `out`, `et`...
    pub events: Events,
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
    pub events: Events,
    /// What is watched.
    pub place: Place,
}

/// What a fanotify watches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FanotifyMark {
    /// Events it tells of.
    pub events: Events,
    /// Events it does not tell of.
    pub ignored: Events,
    /// What is watched.
    pub place: Place,
}

impl EpollTarget {
    pub(crate) fn new(entry: &v1::EventpollTfdEntry) -> Self {
        Self {
            fd: entry.tfd,
            events: Events { bits: entry.events, names: names::EPOLL },
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
            events: Events { bits: entry.mask, names: names::NOTIFY },
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
            events: Events { bits: entry.mask, names: names::NOTIFY },
            ignored: Events { bits: entry.ignored_mask, names: names::NOTIFY },
            place,
        }
    }
}
