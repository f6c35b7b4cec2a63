//! The images of files that dumps before v3.4 have: one per type instead of `files.img`.

use std::collections::HashMap;
use std::hash::Hash;

use crate::base::Result;
use crate::checkpoint::Checkpoint;
use crate::image::Kind;
use crate::object::v1::{self, FdTypes, FileEntry};

macro_rules! old_files {
    ($($kind:ident, $type:ident, $entry:ident, $member:ident;)*) => {
        /// The kinds of image, and the type of the files in each.
        pub(crate) static KINDS: &[(Kind, FdTypes)] = &[$((Kind::$kind, FdTypes::$type)),*];

        fn read_all(dump: &Checkpoint) -> Result<Vec<Result<FileEntry>>> {
            let mut all = Vec::new();
            $(for entry in dump.each::<v1::$entry>(Kind::$kind, 0)? {
                all.push(entry.map(|entry| FileEntry {
                    r#type: FdTypes::$type.into(),
                    id: entry.id,
                    $member: Some(entry),
                    ..FileEntry::default()
                }));
            })*
            Ok(all)
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

/// All of their entries, as `files.img` would have them.
pub(crate) fn read(dump: &Checkpoint) -> Result<Vec<Result<FileEntry>>> {
    let mut all = read_all(dump)?;
    watches(dump, &mut all)?;
    Ok(all)
}

/// Before v1.4 even what an epoll or inotify watches was in an image of its own.
fn watches(dump: &Checkpoint, all: &mut Vec<Result<FileEntry>>) -> Result<()> {
    let mut failed = Vec::new();
    let mut targets = group(dump.each(Kind::EventpollTfd, 0)?, |entry: &v1::EventpollTfdEntry| entry.id, &mut failed);
    let mut watches = group(dump.each(Kind::InotifyWd, 0)?, |entry: &v1::InotifyWdEntry| entry.id, &mut failed);
    let mut marks = group(dump.each(Kind::FanotifyMark, 0)?, |entry: &v1::FanotifyMarkEntry| entry.id, &mut failed);
    for entry in all.iter_mut().flatten() {
        if let Some(epoll) = &mut entry.epfd {
            epoll.tfd.extend(targets.remove(&epoll.id).unwrap_or_default());
        }
        if let Some(notify) = &mut entry.ify {
            notify.wd.extend(watches.remove(&notify.id).unwrap_or_default());
        }
        if let Some(notify) = &mut entry.ffy {
            notify.mark.extend(marks.remove(&notify.id).unwrap_or_default());
        }
    }
    all.extend(failed.into_iter().map(Err));
    Ok(())
}

fn group<T, K: Hash + Eq>(
    entries: Vec<Result<T>>,
    key: impl Fn(&T) -> K,
    failed: &mut Vec<crate::base::Error>,
) -> HashMap<K, Vec<T>> {
    let mut groups: HashMap<K, Vec<T>> = HashMap::new();
    for entry in entries {
        match entry {
            Ok(entry) => groups.entry(key(&entry)).or_default().push(entry),
            Err(error) => failed.push(error),
        }
    }
    groups
}
