//! All open files of a dump: `files.img`, or the image per type of dumps before v3.4, joined with what they refer to.

use std::collections::{HashMap, HashSet};

use rayon::iter::{IndexedParallelIterator, ParallelIterator};

use crate::base::listing::keep;
use crate::base::{Error, Name, Result};
use crate::checkpoint::Checkpoint;
use crate::checkpoint::file::{File, FileType, OpenFlags, Regular, Remap, What};
use crate::checkpoint::pipe::{Fifo, PipeEnd};
use crate::checkpoint::signal::SignalSet;
use crate::checkpoint::socket::{InetSocket, NetlinkSocket, PacketSocket, UnixSocket};
use crate::checkpoint::special::{BpfMap, Memfd, Timer};
use crate::checkpoint::tty::Tty;
use crate::checkpoint::watch::{Epoll, EpollTarget, Fanotify, FanotifyMark, Inotify, InotifyWatch};
use crate::checkpoint::{names, old_files};
use crate::image::{Entry, Kind};
use crate::object::v1::{self, FdTypes};
use crate::wire::field::last_varint;

/// The open files of a dump, in its order.
#[derive(Debug, Default)]
pub struct Files {
    files: Vec<File>,
    by_key: HashMap<(FileType, u32), usize>,
    /// Pipes and fifos have numbers of their own each: those of inodes, on different file systems.
    pipes: HashMap<(FileType, u32), Vec<usize>>,
    unix: HashMap<u32, usize>,
    /// What could not be read.
    pub problems: Vec<Error>,
}

/// What entries of files refer to in other images.
#[derive(Default)]
struct Others {
    remaps: HashMap<u32, Remap>,
    memfds: HashMap<u64, v1::MemfdInodeEntry>,
    ttys: HashMap<u32, v1::TtyInfoEntry>,
}

/// Images with more entries than this are decoded in parallel; waking the threads costs more for smaller ones.
const MANY: usize = 4096;

/// So many are decoded before they are put in their places.
const PART: usize = 1 << 16;

impl Files {
    /// The file of this type and number.
    pub fn get(&self, file_type: FileType, id: u32) -> Option<&File> {
        self.files.get(*self.by_key.get(&(file_type, id))?)
    }

    /// All of them.
    pub fn iter(&self) -> std::slice::Iter<'_, File> {
        self.files.iter()
    }

    /// The ends of the pipe or fifo that `file` is one of, itself included; none for other files.
    pub fn ends(&self, file: &File) -> impl Iterator<Item = &File> {
        let key = file.what.pipe_id().map(|pipe_id| (file.file_type, pipe_id));
        let positions = key.and_then(|key| self.pipes.get(&key));
        positions.into_iter().flatten().filter_map(|&position| self.files.get(position))
    }

    /// The unix socket with this inode.
    pub fn unix(&self, ino: u32) -> Option<&File> {
        self.files.get(*self.unix.get(&ino)?)
    }

    /// Takes a file, and notes in `pathless` the number of the one with its path, where that is another.
    fn take(&mut self, file: Result<(File, Option<u32>)>, pathless: &mut Vec<(usize, u32)>) {
        match file {
            Ok((file, path_id)) => {
                pathless.extend(path_id.map(|id| (self.files.len(), id)));
                self.add(file);
            }
            Err(error) => keep(&mut self.problems, [error]),
        }
    }

    /// Whether `file` is a connection that the listening unix socket it leads to has not accepted yet.
    pub fn awaits_accept(&self, file: &File) -> bool {
        let peer = match &file.what {
            What::Unix(socket) if socket.peer != 0 => self.unix(socket.peer),
            _ => None,
        };
        peer.is_some_and(|peer| matches!(&peer.what, What::Unix(peer) if peer.state == "listen"))
    }

    fn add(&mut self, file: File) {
        let position = self.files.len();
        if let Some(pipe_id) = file.what.pipe_id() {
            self.pipes.entry((file.file_type, pipe_id)).or_default().push(position);
        }
        if let What::Unix(socket) = &file.what {
            self.unix.entry(socket.ino).or_insert(position);
        }
        // of several entries with one number the first counts, as for CRIU
        self.by_key.entry((file.file_type, file.id)).or_insert(position);
        self.files.push(file);
    }

    /// A fifo and a terminal have their path, and a fifo its flags, in the entry of a file with a path.
    fn add_path(&mut self, position: usize, id: u32) {
        let Some((path, flags)) = self.get(FileType::REG, id).and_then(|reg| match &reg.what {
            What::Regular(file) => Some((file.path.clone(), reg.flags)),
            _ => None,
        }) else {
            return;
        };
        let Some(file) = self.files.get_mut(position) else { return };
        match &mut file.what {
            What::Fifo(fifo) => {
                fifo.path = Some(path);
                file.flags = flags;
            }
            What::Tty(tty) => tty.path = Some(path),
            _ => {}
        }
    }
}

impl<'a> IntoIterator for &'a Files {
    type Item = &'a File;
    type IntoIter = std::slice::Iter<'a, File>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Checkpoint {
    /// All open files. Decoded once; an entry that cannot be read is among [`Files::problems`].
    ///
    /// Errors: the image of files cannot be opened.
    pub fn files(&self) -> Result<&Files> {
        self.cache.files.get_or_init(|| self.read_files()).as_ref().map_err(Clone::clone)
    }

    fn read_files(&self) -> Result<Files> {
        let mut files = Files::default();
        // an entry's struct has room for every type, so there is never one for each file at a time
        let mut pathless = Vec::new();
        match self.find(Kind::Files, 0)? {
            Some(image) => {
                let types: HashSet<i32> = image.iter().filter_map(|entry| file_type(&entry.ok()?)).collect();
                let others = self.others(&types, &mut files.problems);
                let read = |entry: Result<Entry<'_>>| file(entry?.decode()?, &others);
                if image.len() > MANY {
                    let entries = image.par_iter();
                    for start in (0..entries.len()).step_by(PART) {
                        let some: Vec<_> = entries.clone().skip(start).take(PART).map(read).collect();
                        some.into_iter().for_each(|file| files.take(file, &mut pathless));
                    }
                } else {
                    image.iter().map(read).for_each(|file| files.take(file, &mut pathless));
                }
            }
            None => {
                let kinds = old_files::KINDS.iter().filter(|(kind, _)| self.has(*kind, 0));
                let types: HashSet<i32> = kinds.map(|(_, file_type)| i32::from(*file_type)).collect();
                let others = self.others(&types, &mut files.problems);
                let read = |entry: Result<v1::FileEntry>| file(entry?, &others);
                old_files::each(self, |entry| files.take(read(entry), &mut pathless))?;
            }
        }
        for (position, id) in pathless {
            files.add_path(position, id);
        }
        Ok(files)
    }

    /// Reads the images that files of these types refer to, and only those.
    fn others(&self, types: &HashSet<i32>, problems: &mut Vec<Error>) -> Others {
        let mut others = Others::default();
        let has = |wanted: FdTypes| types.contains(&i32::from(wanted));
        if has(FdTypes::Memfd) {
            let inodes = self.entries_or_problem::<v1::MemfdInodeEntry>(Kind::MemfdInode, problems);
            others.memfds = inodes.into_iter().map(|inode| (inode.inode_id, inode)).collect();
        }
        if has(FdTypes::Tty) {
            let infos = self.entries_or_problem::<v1::TtyInfoEntry>(Kind::TtyInfo, problems);
            others.ttys = infos.into_iter().map(|info| (info.id, info)).collect();
        }
        let remaps = self.entries_or_problem::<v1::RemapFilePathEntry>(Kind::RemapFpath, problems);
        others.remaps = remaps.iter().map(|entry| (entry.orig_id, remap(entry))).collect();
        others
    }
}

/// What is restored in place of a file.
pub(crate) fn remap(entry: &v1::RemapFilePathEntry) -> Remap {
    const IS_GHOST: u32 = 1 << 31;
    match entry.remap_type.map(v1::RemapType::try_from) {
        Some(Ok(v1::RemapType::Ghost)) => Remap::Ghost(entry.remap_id),
        Some(Ok(v1::RemapType::Procfs)) => Remap::Procfs(entry.remap_id),
        // before there were types, the highest bit told
        None if entry.remap_id & IS_GHOST != 0 => Remap::Ghost(entry.remap_id & !IS_GHOST),
        _ => Remap::Linked(entry.remap_id),
    }
}

/// Number of the field with a file's type.
const TYPE: u32 = 1;

/// The type of a file, found without decoding it.
fn file_type(entry: &Entry<'_>) -> Option<i32> {
    let number = last_varint(entry.message(), TYPE).ok()??;
    i32::try_from(number).ok()
}

/// The file that an entry describes, and the number of the file with its path where that is another.
///
/// Errors: the entry lacks the part that belongs to its type.
fn file(entry: v1::FileEntry, others: &Others) -> Result<(File, Option<u32>)> {
    let (file_type, id) = (FileType(entry.r#type), entry.id);
    let path_id = match (&entry.fifo, &entry.tty) {
        (Some(fifo), _) => Some(fifo.regf_id.unwrap_or(fifo.id)),
        (None, Some(tty)) => tty.regf_id,
        (None, None) => None,
    };
    match part(entry, others) {
        Some((flags, what)) => Ok((File { file_type, id, flags: flags.map(OpenFlags), what }, path_id)),
        None => {
            let text = format!("expected the entry of file {id} to have what belongs to {file_type}, found none");
            Err(Error::format(text).in_image("files.img"))
        }
    }
}

/// The part of an entry that belongs to its type.
fn part(entry: v1::FileEntry, others: &Others) -> Option<(Option<u32>, What)> {
    Some(match FdTypes::try_from(entry.r#type) {
        Ok(FdTypes::Reg) => {
            let reg = entry.reg?;
            let what = Regular {
                path: reg.name.clone().into(),
                pos: reg.pos,
                size: reg.size,
                mode: reg.mode,
                mnt_id: reg.mnt_id,
                external: reg.ext(),
                remap: others.remaps.get(&reg.id).copied(),
            };
            (Some(reg.flags), What::Regular(what))
        }
        Ok(FdTypes::Pipe) => {
            let pipe = entry.pipe?;
            (Some(pipe.flags), What::Pipe(PipeEnd { pipe_id: pipe.pipe_id }))
        }
        Ok(FdTypes::Fifo) => {
            let fifo = entry.fifo?;
            let remap = others.remaps.get(&fifo.regf_id.unwrap_or(fifo.id)).copied();
            (None, What::Fifo(Fifo { pipe_id: fifo.pipe_id, path: None, remap }))
        }
        Ok(FdTypes::Inetsk) => {
            let socket = entry.isk?;
            (Some(socket.flags), What::Inet(Box::new(InetSocket::new(&socket))))
        }
        Ok(FdTypes::Unixsk) => {
            let socket = entry.usk?;
            (Some(socket.flags), What::Unix(Box::new(UnixSocket::new(&socket))))
        }
        Ok(FdTypes::Netlinksk) => {
            let socket = entry.nlsk?;
            (Some(socket.flags), What::Netlink(NetlinkSocket::new(&socket)))
        }
        Ok(FdTypes::Packetsk) => {
            let socket = entry.psk?;
            (Some(socket.flags), What::Packet(PacketSocket::new(&socket)))
        }
        Ok(FdTypes::Eventfd) => {
            let event = entry.efd?;
            (Some(event.flags), What::Eventfd { counter: event.counter })
        }
        Ok(FdTypes::Eventpoll) => {
            let epoll = entry.epfd?;
            (Some(epoll.flags), What::Epoll(Epoll { targets: epoll.tfd.iter().map(EpollTarget::new).collect() }))
        }
        Ok(FdTypes::Inotify) => {
            let notify = entry.ify?;
            (Some(notify.flags), What::Inotify(Inotify { watches: notify.wd.iter().map(InotifyWatch::new).collect() }))
        }
        Ok(FdTypes::Fanotify) => {
            let notify = entry.ffy?;
            (
                Some(notify.flags),
                What::Fanotify(Fanotify { marks: notify.mark.iter().map(FanotifyMark::new).collect() }),
            )
        }
        Ok(FdTypes::Signalfd) => {
            let signal = entry.sgfd?;
            (Some(signal.flags), What::Signalfd { mask: SignalSet(signal.sigmask) })
        }
        Ok(FdTypes::Timerfd) => {
            let timer = entry.tfd?;
            (Some(timer.flags), What::Timerfd(Timer::new(&timer)))
        }
        Ok(FdTypes::Tty) => {
            let tty = entry.tty?;
            (Some(tty.flags), What::Tty(Tty::new(&tty, others.ttys.get(&tty.tty_info_id))))
        }
        Ok(FdTypes::Memfd) => {
            let memfd = entry.memfd?;
            let inode = others.memfds.get(&u64::from(memfd.inode_id));
            (Some(memfd.flags), What::Memfd(Memfd::new(&memfd, inode)))
        }
        Ok(FdTypes::Ns) => {
            let namespace = entry.nsf?;
            let kind = names::code(u64::from(namespace.ns_cflag), names::NAMESPACES).unwrap_or("unknown").to_owned();
            (Some(namespace.flags), What::Namespace { kind, ns_id: namespace.ns_id })
        }
        Ok(FdTypes::Tunf) => {
            let tun = entry.tunf?;
            (None, What::Tun { netdev: tun.netdev.map(Name::from), ns_id: tun.ns_id })
        }
        Ok(FdTypes::Pidfd) => {
            // its flags are those of pidfd_open
            (None, What::Pidfd { pid: entry.pidfd?.nspid })
        }
        Ok(FdTypes::Bpfmap) => {
            let map = entry.bpf?;
            (Some(map.flags), What::BpfMap(BpfMap::new(&map)))
        }
        Ok(FdTypes::Ext) => (None, What::External),
        _ => (None, What::Unknown),
    })
}
