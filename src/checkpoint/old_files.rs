//! The images of files that dumps before v3.4 have: one per type instead of `files.img`.

use std::collections::HashMap;
use std::hash::Hash;

use crate::base::Result;
use crate::checkpoint::Checkpoint;
use crate::image::Kind;
use crate::object::v1::{self, FdTypes, FileEntry};

/// All of their entries, as `files.img` would have them.
pub(crate) fn read(dump: &Checkpoint) -> Result<Vec<Result<FileEntry>>> {
    let mut all = Vec::new();
    macro_rules! read {
        ($kind:ident, $type:ident, $entry:ident, $member:ident) => {
            for entry in dump.each::<v1::$entry>(Kind::$kind, 0)? {
                all.push(entry.map(|entry| FileEntry {
                    r#type: FdTypes::$type.into(),
                    id: entry.id,
                    $member: Some(entry),
                    ..FileEntry::default()
                }));
            }
        };
    }
    read!(RegFiles, Reg, RegFileEntry, reg);
    read!(NsFiles, Ns, NsFileEntry, nsf);
    read!(Inetsk, Inetsk, InetSkEntry, isk);
    read!(Unixsk, Unixsk, UnixSkEntry, usk);
    read!(Packetsk, Packetsk, PacketSockEntry, psk);
    read!(NetlinkSk, Netlinksk, NetlinkSkEntry, nlsk);
    read!(EventfdFile, Eventfd, EventfdFileEntry, efd);
    read!(EventpollFile, Eventpoll, EventpollFileEntry, epfd);
    read!(Signalfd, Signalfd, SignalfdEntry, sgfd);
    read!(Tunfile, Tunf, TunfileEntry, tunf);
    read!(Timerfd, Timerfd, TimerfdEntry, tfd);
    read!(InotifyFile, Inotify, InotifyFileEntry, ify);
    read!(FanotifyFile, Fanotify, FanotifyFileEntry, ffy);
    read!(ExtFiles, Ext, ExtFileEntry, ext);
    read!(Fifo, Fifo, FifoEntry, fifo);
    read!(Pipes, Pipe, PipeEntry, pipe);
    read!(TtyFiles, Tty, TtyFileEntry, tty);
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
