//! The images of files that dumps before v3.4 have: one per type instead of `files.img`.

use std::collections::HashMap;

use crate::base::Result;
use crate::checkpoint::Checkpoint;
use crate::image::Kind;
use crate::object::Object;
use crate::object::v1::{self, FdTypes, FileEntry};

macro_rules! old_files {
    ($($kind:ident, $type:ident, $entry:ident, $member:ident;)*) => {
        /// The kinds of image, and the type of the files in each.
        pub(crate) static KINDS: &[(Kind, FdTypes)] = &[$((Kind::$kind, FdTypes::$type)),*];

        fn read_all(dump: &Checkpoint, mut take: impl FnMut(Result<FileEntry>)) -> Result<()> {
            $(dump.each::<v1::$entry>(Kind::$kind, 0, |entry| {
                take(entry.map(|entry| FileEntry {
                    r#type: FdTypes::$type.into(),
                    id: entry.id,
                    $member: Some(entry),
                    ..FileEntry::default()
                }));
            })?;)*
            Ok(())
        }
    };
}

old_files! {
    RegFiles, Reg, RegFileEntry, reg;
    NsFiles, Ns, NsFileEntry, nsf;
    Inetsk, Inetsk, InetSkEntry, isk;
    Unixsk, Unixsk, UnixSkEntry, usk;
    Packetsk, Packetsk, PacketSockEntry, psk;
    NetlinkSk, Netlinksk, NetlinkSkEntry, nlsk;
    EventfdFile, Eventfd, EventfdFileEntry, efd;
    EventpollFile, Eventpoll, EventpollFileEntry, epfd;
    Signalfd, Signalfd, SignalfdEntry, sgfd;
    Tunfile, Tunf, TunfileEntry, tunf;
    Timerfd, Timerfd, TimerfdEntry, tfd;
    InotifyFile, Inotify, InotifyFileEntry, ify;
    FanotifyFile, Fanotify, FanotifyFileEntry, ffy;
    ExtFiles, Ext, ExtFileEntry, ext;
    Fifo, Fifo, FifoEntry, fifo;
    Pipes, Pipe, PipeEntry, pipe;
    TtyFiles, Tty, TtyFileEntry, tty;
}

/// All of their entries one by one, as `files.img` would have them.
pub(crate) fn each(dump: &Checkpoint, mut take: impl FnMut(Result<FileEntry>)) -> Result<()> {
    let mut watches = Watches::read(dump, &mut take)?;
    read_all(dump, |entry| {
        take(entry.map(|mut entry| {
            watches.give(&mut entry);
            entry
        }));
    })
}

/// Before v1.4 even what an epoll or inotify watches was in an image of its own.
struct Watches {
    targets: HashMap<u32, Vec<v1::EventpollTfdEntry>>,
    watches: HashMap<u32, Vec<v1::InotifyWdEntry>>,
    marks: HashMap<u32, Vec<v1::FanotifyMarkEntry>>,
}

impl Watches {
    fn read(dump: &Checkpoint, take: &mut impl FnMut(Result<FileEntry>)) -> Result<Self> {
        Ok(Self {
            targets: group(dump, Kind::EventpollTfd, |entry: &v1::EventpollTfdEntry| entry.id, take)?,
            watches: group(dump, Kind::InotifyWd, |entry: &v1::InotifyWdEntry| entry.id, take)?,
            marks: group(dump, Kind::FanotifyMark, |entry: &v1::FanotifyMarkEntry| entry.id, take)?,
        })
    }

    fn give(&mut self, entry: &mut FileEntry) {
        if let Some(epoll) = &mut entry.epfd {
            epoll.tfd.extend(self.targets.remove(&epoll.id).unwrap_or_default());
        }
        if let Some(notify) = &mut entry.ify {
            notify.wd.extend(self.watches.remove(&notify.id).unwrap_or_default());
        }
        if let Some(notify) = &mut entry.ffy {
            notify.mark.extend(self.marks.remove(&notify.id).unwrap_or_default());
        }
    }
}

fn group<T: Object>(
    dump: &Checkpoint,
    kind: Kind,
    key: impl Fn(&T) -> u32,
    take: &mut impl FnMut(Result<FileEntry>),
) -> Result<HashMap<u32, Vec<T>>> {
    let mut groups: HashMap<u32, Vec<T>> = HashMap::new();
    dump.each(kind, 0, |entry| match entry {
        Ok(entry) => groups.entry(key(&entry)).or_default().push(entry),
        Err(error) => take(Err(error)),
    })?;
    Ok(groups)
}
