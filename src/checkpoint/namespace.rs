//! Namespaces: which ones tasks live in, and what is known of each.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::base::{Listing, Name, Result};
use crate::checkpoint::Checkpoint;
use crate::image::Kind;
use crate::object::v1;

/// The numbers CRIU gave to what tasks share: tasks with equal numbers share it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Ids {
    /// The address space.
    pub vm_id: u32,
    /// The table of descriptors.
    pub files_id: u32,
    /// Root, working directory, umask.
    pub fs_id: u32,
    /// The table of signal handlers.
    pub sighand_id: u32,
    /// The namespaces; kinds that the dumping CRIU did not know are absent.
    pub namespaces: BTreeMap<NamespaceKind, u32>,
}

impl Ids {
    pub(crate) fn new(entry: &v1::TaskKobjIdsEntry) -> Self {
        let namespaces = [
            (NamespaceKind::Pid, entry.pid_ns_id),
            (NamespaceKind::Net, entry.net_ns_id),
            (NamespaceKind::Ipc, entry.ipc_ns_id),
            (NamespaceKind::Uts, entry.uts_ns_id),
            (NamespaceKind::Mnt, entry.mnt_ns_id),
            (NamespaceKind::User, entry.user_ns_id),
            (NamespaceKind::Cgroup, entry.cgroup_ns_id),
            (NamespaceKind::Time, entry.time_ns_id),
        ];
        Self {
            vm_id: entry.vm_id,
            files_id: entry.files_id,
            fs_id: entry.fs_id,
            sighand_id: entry.sighand_id,
            namespaces: namespaces.into_iter().filter_map(|(kind, id)| Some((kind, id?))).collect(),
        }
    }
}

/// Kinds of namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum NamespaceKind {
    Pid,
    Net,
    Ipc,
    Uts,
    Mnt,
    User,
    Cgroup,
    Time,
}

impl NamespaceKind {
    /// Its name in `/proc/PID/ns`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pid => "pid",
            Self::Net => "net",
            Self::Ipc => "ipc",
            Self::Uts => "uts",
            Self::Mnt => "mnt",
            Self::User => "user",
            Self::Cgroup => "cgroup",
            Self::Time => "time",
        }
    }
}

/// One namespace in which tasks of the dump live.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Namespace {
    /// Its kind.
    pub kind: NamespaceKind,
    /// Its number in the dump.
    pub id: u32,
    /// Whether CRIU lived in it too: its content is then not part of the dump.
    pub is_criu: bool,
    /// The tasks that live in it.
    pub pids: Vec<u32>,
    /// What the dump knows of it.
    pub detail: NamespaceDetail,
}

/// What is known of a namespace.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NamespaceDetail {
    /// Nothing but that it is there.
    #[default]
    Unknown,
    /// Names of the machine.
    Uts {
        /// The host name.
        nodename: Name,
        /// The NIS domain.
        domainname: Name,
    },
    /// Numbers of users and groups inside and outside.
    User {
        /// Of users.
        uid_map: Vec<Extent>,
        /// Of groups.
        gid_map: Vec<Extent>,
    },
    /// What its clocks said at the dump, in nanoseconds; from there they go on at restore.
    Time {
        /// The monotonic clock.
        monotonic: i128,
        /// The clock that counts from boot.
        boottime: i128,
    },
    /// It is made from outside at restore.
    External {
        /// What the person who dumped called it.
        key: Name,
    },
    /// Its devices.
    Net {
        /// Names of the network devices.
        devices: Vec<Name>,
    },
}

/// A run of user or group numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Extent {
    /// First number inside.
    pub first: u32,
    /// First number outside.
    pub lower_first: u32,
    /// How many.
    pub count: u32,
}

impl Checkpoint {
    /// The namespaces in which tasks live, by kind and number.
    ///
    /// Errors: the tasks cannot be listed.
    pub fn namespaces(&self) -> Result<Listing<Namespace>> {
        let mut found: BTreeMap<(NamespaceKind, u32), Vec<u32>> = BTreeMap::new();
        let mut listing = Listing::default();
        let criu = match self.inventory() {
            Ok(inventory) => inventory.root_ids.as_ref(),
            Err(error) => {
                listing.problems.push(error);
                None
            }
        };
        for task in &self.tasks()? {
            match task.ids() {
                Ok(Some(ids)) => {
                    for (kind, id) in ids.namespaces {
                        found.entry((kind, id)).or_default().push(task.pid());
                    }
                }
                Ok(None) => {}
                Err(error) => listing.problems.push(error),
            }
        }
        for ((kind, id), pids) in found {
            let detail = self.namespace_detail(kind, id).unwrap_or_else(|error| {
                listing.problems.push(error);
                NamespaceDetail::Unknown
            });
            let is_criu = criu.is_some_and(|ids| ids.namespaces.get(&kind) == Some(&id));
            listing.items.push(Namespace { kind, id, is_criu, pids, detail });
        }
        Ok(listing)
    }

    fn namespace_detail(&self, kind: NamespaceKind, id: u32) -> Result<NamespaceDetail> {
        let id = u64::from(id);
        Ok(match kind {
            NamespaceKind::Uts => match self.find(Kind::Utsns, id)? {
                Some(image) => {
                    let entry = image.get(0)?.decode::<v1::UtsnsEntry>()?;
                    NamespaceDetail::Uts { nodename: entry.nodename.into(), domainname: entry.domainname.into() }
                }
                None => NamespaceDetail::Unknown,
            },
            NamespaceKind::User => match self.find(Kind::Userns, id)? {
                Some(image) => {
                    let entry = image.get(0)?.decode::<v1::UsernsEntry>()?;
                    NamespaceDetail::User { uid_map: extents(&entry.uid_map), gid_map: extents(&entry.gid_map) }
                }
                None => NamespaceDetail::Unknown,
            },
            NamespaceKind::Time => match self.find(Kind::Timens, id)? {
                Some(image) => {
                    let entry = image.get(0)?.decode::<v1::TimensEntry>()?;
                    let nanoseconds = |time: &v1::Timespec| {
                        i128::from(time.tv_sec.cast_signed()) * 1_000_000_000 + i128::from(time.tv_nsec.cast_signed())
                    };
                    NamespaceDetail::Time {
                        monotonic: nanoseconds(&entry.monotonic),
                        boottime: nanoseconds(&entry.boottime),
                    }
                }
                None => NamespaceDetail::Unknown,
            },
            NamespaceKind::Pid => match self.find(Kind::Pidns, id)? {
                Some(image) => match image.get(0)?.decode::<v1::PidnsEntry>()?.ext_key {
                    Some(key) => NamespaceDetail::External { key: key.into() },
                    None => NamespaceDetail::Unknown,
                },
                None => NamespaceDetail::Unknown,
            },
            NamespaceKind::Net => match self.find(Kind::Netdev, id)? {
                Some(image) => {
                    let mut devices = Vec::new();
                    for entry in &image {
                        devices.push(entry?.decode::<v1::NetDeviceEntry>()?.name.into());
                    }
                    NamespaceDetail::Net { devices }
                }
                None => NamespaceDetail::Unknown,
            },
            NamespaceKind::Ipc | NamespaceKind::Mnt | NamespaceKind::Cgroup => NamespaceDetail::Unknown,
        })
    }
}

fn extents(entries: &[v1::UidGidExtent]) -> Vec<Extent> {
    let extent =
        |entry: &v1::UidGidExtent| Extent { first: entry.first, lower_first: entry.lower_first, count: entry.count };
    entries.iter().map(extent).collect()
}
