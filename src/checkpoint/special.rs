//! Files that exist in the kernel alone: memfd, timerfd, BPF maps.

use std::fmt;

use serde::Serialize;

use crate::base::Name;
use crate::checkpoint::names;
use crate::checkpoint::timer::time;
use crate::object::v1;

/// An open memfd.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Memfd {
    /// The memory behind it; several open files may have the same.
    pub inode_id: u64,
    /// Where reading goes on, in bytes.
    pub pos: u64,
    /// What it was called when it was made; empty if the dump lacks its memory's entry.
    pub name: Name,
    /// Its bytes.
    pub size: u64,
    /// Number of the image that has its content.
    pub shmid: Option<u32>,
    /// What can no longer be done to it: `shrink`, `write`...
    pub seals: Vec<String>,
    /// Whether it consists of huge pages.
    pub is_huge: bool,
}

impl Memfd {
    pub(crate) fn new(entry: &v1::MemfdFileEntry, inode: Option<&v1::MemfdInodeEntry>) -> Self {
        Self {
            inode_id: u64::from(entry.inode_id),
            pos: entry.pos,
            name: inode.map(|inode| inode.name.clone().into()).unwrap_or_default(),
            size: inode.map_or(0, |inode| inode.size),
            shmid: inode.map(|inode| inode.shmid),
            seals: inode.map(|inode| names::bits(u64::from(inode.seals), names::SEALS)).unwrap_or_default(),
            is_huge: inode.is_some_and(|inode| inode.hugetlb_flag() != 0),
        }
    }
}

/// An open timerfd. Times are in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Timer {
    /// Its clock.
    pub clock: String,
    /// Ends that were not read yet.
    pub ticks: u64,
    /// To the next end; 0 is off.
    pub value: u64,
    /// From one end to the next; 0 where there is only one.
    pub interval: u64,
}

impl Timer {
    pub(crate) fn new(entry: &v1::TimerfdEntry) -> Self {
        const NANO: u64 = 1_000_000_000;
        Self {
            clock: names::code_or_number(u64::from(entry.clockid), names::CLOCKS),
            ticks: entry.ticks,
            value: time(entry.vsec, entry.vnsec, NANO),
            interval: time(entry.isec, entry.insec, NANO),
        }
    }
}

impl fmt::Display for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.clock)?;
        match self.value {
            0 => f.write_str(" off")?,
            value => write!(f, " in {:?}", std::time::Duration::from_nanos(value))?,
        }
        match self.interval {
            0 => Ok(()),
            interval => write!(f, " every {:?}", std::time::Duration::from_nanos(interval)),
        }
    }
}

/// An open BPF map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BpfMap {
    /// Its number.
    pub map_id: u32,
    /// Its name.
    pub name: Name,
    /// Its type, as the kernel numbers them: 1 hash, 2 array.
    pub map_type: u32,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value.
    pub value_size: u32,
    /// How many values it can hold.
    pub max_entries: u32,
    /// Whether programs can no longer change it.
    pub frozen: bool,
}

impl BpfMap {
    pub(crate) fn new(entry: &v1::BpfmapFileEntry) -> Self {
        Self {
            map_id: entry.map_id,
            name: entry.map_name.clone().into(),
            map_type: entry.map_type,
            key_size: entry.key_size,
            value_size: entry.value_size,
            max_entries: entry.max_entries,
            frozen: entry.frozen,
        }
    }
}
