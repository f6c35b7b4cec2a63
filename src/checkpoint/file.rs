//! An open file: what a descriptor leads to, whatever it is.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::base::Name;
use crate::checkpoint::device::Device;
use crate::checkpoint::names;
use crate::checkpoint::pipe::{Fifo, PipeEnd};
use crate::checkpoint::signal::SignalSet;
use crate::checkpoint::socket::{InetSocket, NetlinkSocket, PacketSocket, UnixSocket};
use crate::checkpoint::special::{BpfMap, Memfd, Timer};
use crate::checkpoint::tty::Tty;
use crate::checkpoint::watch::{Epoll, Fanotify, Inotify};
use crate::object::v1::FdTypes;

/// The type of a file, as CRIU numbers them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileType(pub i32);

impl FileType {
    /// A file with a path.
    pub const REG: Self = Self(1);
    /// One end of a pipe.
    pub const PIPE: Self = Self(2);
    /// A fifo.
    pub const FIFO: Self = Self(3);
    /// A memfd.
    pub const MEMFD: Self = Self(18);

    /// CRIU's name of it; `None` for a number this version does not know.
    pub fn name(self) -> Option<&'static str> {
        FdTypes::try_from(self.0).ok().map(|known| known.as_str_name())
    }
}

impl fmt::Display for FileType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}

impl fmt::Debug for FileType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for FileType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Flags of open, as the file has them now.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct OpenFlags(pub u32);

impl OpenFlags {
    /// How the file may be used: `r`, `w`, `rw`; `path` where it only says where something is.
    pub fn access(self) -> &'static str {
        match (self.0 & 0x20_0000, self.0 & 3) {
            (0, 0) => "r",
            (0, 1) => "w",
            (0, 2) => "rw",
            (0, _) => "ioctl",
            _ => "path",
        }
    }

    /// Whether it may be written to.
    pub fn is_writable(self) -> bool {
        matches!(self.0 & 3, 1 | 2)
    }

    /// Names of the other flags.
    pub fn names(self) -> Vec<String> {
        names::bits(u64::from(self.0 & !3), names::OPEN)
    }
}

impl fmt::Debug for OpenFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.access(), self.names().join(","))
    }
}

impl Serialize for OpenFlags {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(std::iter::once(self.access().to_owned()).chain(self.names()))
    }
}

/// An open file of the dump. Descriptors of several tasks may lead to the same.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct File {
    /// Its type, as CRIU calls it.
    #[serde(rename = "type")]
    pub file_type: FileType,
    /// Its number in the dump.
    pub id: u32,
    /// Flags, where its type has any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flags: Option<OpenFlags>,
    /// What it is.
    #[serde(flatten)]
    pub what: What,
}

/// What an open file is.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum What {
    Regular(Regular),
    Pipe(PipeEnd),
    Fifo(Fifo),
    Inet(Box<InetSocket>),
    Unix(Box<UnixSocket>),
    Netlink(NetlinkSocket),
    Packet(PacketSocket),
    Eventfd {
        /// What reading gives.
        counter: u64,
    },
    Epoll(Epoll),
    Inotify(Inotify),
    Fanotify(Fanotify),
    Signalfd {
        /// The signals that it reads.
        mask: SignalSet,
    },
    Timerfd(Timer),
    Tty(Tty),
    Memfd(Memfd),
    Namespace {
        /// Its kind, such as `net`.
        kind: String,
        /// Its number in the dump.
        ns_id: u32,
    },
    Tun {
        /// The network device.
        netdev: Option<Name>,
        /// Its network namespace.
        ns_id: Option<u32>,
    },
    Pidfd {
        /// The task, as its pid namespace numbers it.
        pid: i32,
    },
    BpfMap(BpfMap),
    /// A plugin or the person who restores knows what it is.
    External,
    /// A type that this version does not know.
    Unknown,
}

/// A file with a path: regular, a directory, a device.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Regular {
    /// Where it was opened.
    pub path: Name,
    /// Where reading goes on, in bytes.
    pub pos: u64,
    /// Its bytes when it was dumped.
    pub size: Option<u64>,
    /// Its type and permissions, as stat tells.
    pub mode: Option<u32>,
    /// The mount it is on.
    pub mnt_id: Option<i32>,
    /// Whether it is made from outside at restore.
    pub external: bool,
    /// What is restored in its place, if the path no longer leads to it.
    pub remap: Option<Remap>,
}

/// What is restored in place of a file whose path no longer leads to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Remap {
    /// A copy that is in the dump: the ghost file of this number.
    Ghost(u32),
    /// Another name of the file: that of the regular file of this number.
    Linked(u32),
    /// The directory in /proc of a task that has ended, of this number.
    Procfs(u32),
}

impl What {
    /// The pipe behind a pipe or fifo.
    pub fn pipe_id(&self) -> Option<u32> {
        match self {
            Self::Pipe(PipeEnd { pipe_id }) | Self::Fifo(Fifo { pipe_id, .. }) => Some(*pipe_id),
            _ => None,
        }
    }
}

impl Remap {
    /// What stands behind a path that no longer leads to its file.
    pub(crate) fn mark(remap: Option<Self>) -> &'static str {
        match remap {
            Some(Self::Ghost(_) | Self::Linked(_)) => " (deleted)",
            Some(Self::Procfs(_)) => " (task ended)",
            None => "",
        }
    }
}

impl fmt::Display for What {
    /// What it is in one line, names escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Regular(file) => write!(f, "{}{}", file.path, Remap::mark(file.remap)),
            What::Pipe(end) => write!(f, "pipe:[{}]", end.pipe_id),
            What::Fifo(fifo) => match &fifo.path {
                Some(path) => write!(f, "{path}{}", Remap::mark(fifo.remap)),
                None => write!(f, "fifo:[{}]", fifo.pipe_id),
            },
            What::Inet(socket) => write!(f, "{socket}"),
            What::Unix(socket) => write!(f, "{socket}"),
            What::Netlink(socket) => write!(f, "netlink {} port {}", socket.protocol, socket.portid),
            What::Packet(socket) => write!(f, "packet {} interface {}", socket.kind, socket.ifindex),
            What::Eventfd { counter } => write!(f, "eventfd {counter}"),
            What::Epoll(Epoll { targets }) => {
                write!(f, "epoll of {}", targets.len())?;
                list(f, targets.iter().map(|target| format!("{} {}", target.fd, target.events)))
            }
            What::Inotify(Inotify { watches }) => {
                write!(f, "inotify of {}", watches.len())?;
                list(f, watches.iter().map(|watch| watch.place.to_string()))
            }
            What::Fanotify(Fanotify { marks }) => {
                write!(f, "fanotify of {}", marks.len())?;
                list(f, marks.iter().map(|mark| mark.place.to_string()))
            }
            What::Signalfd { mask } => write!(f, "signalfd {mask}"),
            What::Timerfd(timer) => write!(f, "timerfd {timer}"),
            What::Tty(tty) => write!(f, "{tty}"),
            What::Memfd(memfd) => write!(f, "memfd:{}", memfd.name),
            What::Namespace { kind, ns_id } => write!(f, "{kind} namespace {ns_id}"),
            What::Tun { netdev: Some(name), .. } => write!(f, "tun {name}"),
            What::Tun { netdev: None, .. } => f.write_str("tun"),
            What::Pidfd { pid } => write!(f, "pidfd of {pid}"),
            What::BpfMap(map) => write!(f, "bpf map {} {}", map.map_id, map.name),
            What::External => f.write_str("external"),
            What::Unknown => f.write_str("of unknown type"),
        }
    }
}

/// `: one, two, three...`, at most eight.
fn list(f: &mut fmt::Formatter<'_>, mut items: impl ExactSizeIterator<Item = String>) -> fmt::Result {
    let total = items.len();
    for (position, item) in items.by_ref().take(8).enumerate() {
        f.write_str(if position == 0 { ": " } else { ", " })?;
        f.write_str(&item)?;
    }
    if total > 8 { f.write_str(", ...") } else { Ok(()) }
}

/// A file on a device, where no path is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// By its path.
    Path(Name),
    /// By its number on a device.
    Inode {
        /// The device.
        dev: Device,
        /// The number.
        inode: u64,
    },
    /// All of a mount.
    Mount {
        /// Its number in the dump.
        mnt_id: u32,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Path(path) => write!(f, "{path}"),
            Place::Inode { dev, inode } => write!(f, "{dev} inode {inode}"),
            Place::Mount { mnt_id } => write!(f, "mount {mnt_id}"),
        }
    }
}
