//! The model of the real dumps in tests/data, against what /proc said of the same tasks just before they were dumped.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use common::writer::{self, message};
use icecore::base::report::{Cell, Collect, Row};
use icecore::checkpoint::fd::Holder;
use icecore::checkpoint::file::{File, FileType, What};
use icecore::checkpoint::ipc::Desc;
use icecore::checkpoint::mm::Backing;
use icecore::checkpoint::namespace::{Extent, NamespaceDetail, NamespaceKind};
use icecore::checkpoint::socket::UnixName;
use icecore::checkpoint::task::{State, Task};
use icecore::checkpoint::watch::Epoll;
use icecore::{Checkpoint, view};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn open(name: &str) -> Checkpoint {
    Checkpoint::open(data(name)).unwrap()
}

/// What /proc said of one task: `Key: value` lines, limits, descriptors, mappings.
#[derive(Default)]
struct Said {
    status: BTreeMap<String, String>,
    limits: Vec<(String, String)>,
    links: BTreeMap<String, String>,
    fds: BTreeMap<u32, (String, u32, u64)>,
    maps: Vec<(u64, u64, String, String)>,
}

fn said(name: &str, pids: &[u32]) -> BTreeMap<u32, Said> {
    let mut tasks: Vec<Said> = Vec::new();
    let mut leader = 0;
    for line in std::fs::read_to_string(data(name)).unwrap().lines() {
        if line.starts_with("Name:") {
            tasks.push(Said::default());
        }
        // between a task's status and the rest comes the status of its threads
        let last = tasks.len() - 1;
        if let Some((key, value)) = line.split_once(": ").filter(|(key, _)| !key.contains(' ')) {
            let pid = value.split_whitespace().last().and_then(|pid| pid.parse().ok());
            if key == "NSpid" && pids.contains(&pid.unwrap()) {
                leader = last;
            }
            tasks[last].status.insert(key.to_owned(), value.to_owned());
        }
        let task = &mut tasks[leader];
        if let Some(rest) = line.strip_prefix("fd ") {
            let (fd, rest) = rest.split_once(' ').unwrap();
            let word = |key: &str| {
                // what a watch or a lock says of itself stands between them
                let value = rest.rsplit_once(key).unwrap().1.trim_start();
                value.split(|c: char| !c.is_ascii_digit()).next().unwrap()
            };
            let path = match rest.split_once(' ').unwrap() {
                (path, _) if path.starts_with("anon_inode:") => path,
                _ => rest.split(" flags:").next().unwrap(),
            };
            let (flags, pos) = (u32::from_str_radix(word(" flags:"), 8).unwrap(), word(" pos:"));
            task.fds.insert(fd.parse().unwrap(), (path.to_owned(), flags, pos.parse().unwrap()));
        } else if line.starts_with("Max ") {
            let words: Vec<&str> = line[26..].split_whitespace().collect();
            task.limits.push((words[0].to_owned(), words[1].to_owned()));
        } else if let Some((key @ ("cwd" | "root" | "exe"), value)) = line.split_once(' ') {
            task.links.insert(key.to_owned(), value.to_owned());
        } else if let Some((range, rest)) = line.split_once(' ')
            && let Some((start, end)) = range.split_once('-')
            && let (Ok(start), Ok(end)) = (u64::from_str_radix(start, 16), u64::from_str_radix(end, 16))
        {
            task.maps.push((start, end, rest[..4].to_owned(), rest[4..].trim().to_owned()));
        }
    }
    let pid = |task: &Said| task.status["NSpid"].split_whitespace().last().unwrap().parse().unwrap();
    tasks.into_iter().map(|task| (pid(&task), task)).collect()
}

fn task(dump: &Checkpoint, pid: u32) -> Task<'_> {
    dump.tasks().unwrap().into_iter().find(|task| task.pid() == pid).unwrap()
}

fn file(dump: &Checkpoint, pid: u32, fd: u32) -> &File {
    task(dump, pid).fds().unwrap().into_iter().find(|open| open.fd == fd).unwrap().file.unwrap()
}

fn check(name: &str) {
    let dump = open(name);
    let tasks = dump.tasks().unwrap().all().unwrap();
    let pids: Vec<u32> = tasks.iter().map(Task::pid).collect();
    let said = said(&format!("{name}.proc"), &pids);
    assert!(!tasks.is_empty(), "{name}");
    assert!(dump.files().unwrap().problems.is_empty());
    for task in &tasks {
        let pid = task.pid();
        let said = &said[&pid];
        let core = task.core().unwrap().unwrap();
        let process = &core.process;
        assert_eq!(process.comm.to_string(), said.status["Name"], "{name} {pid}");
        let state = match process.state {
            State::Alive => "S (sleeping)",
            State::Stopped => "T (stopped)",
            State::Zombie => "Z (zombie)",
            other => panic!("{other:?}"),
        };
        assert_eq!(state, said.status["State"], "{name} {pid}");
        if process.state == State::Zombie {
            assert_eq!(task.threads().all().unwrap().len(), 1);
            assert!(task.mm().unwrap().is_none() && task.fs().unwrap().is_none() && task.ids().unwrap().is_none());
            continue;
        }
        let set = |key: &str| u64::from_str_radix(&said.status[key], 16).unwrap();
        assert_eq!(core.leader.blocked.0, set("SigBlk"), "{name} {pid}");
        let bits = |signals: &[icecore::checkpoint::signal::PendingSignal]| {
            signals.iter().fold(0, |bits, pending| bits | 1u64 << (pending.signal - 1))
        };
        assert_eq!(bits(&core.leader.pending), set("SigPnd"), "{name} {pid}");
        assert_eq!(bits(&process.pending), set("ShdPnd"), "{name} {pid}");
        let credentials = core.leader.credentials.as_ref().unwrap();
        let caps = [credentials.cap_inh, credentials.cap_prm, credentials.cap_eff, credentials.cap_bnd];
        let keys = ["CapInh", "CapPrm", "CapEff", "CapBnd"];
        assert_eq!(caps.map(|cap| cap.0), keys.map(set), "{name} {pid}");
        assert_eq!(credentials.no_new_privs, said.status["NoNewPrivs"] == "1", "{name} {pid}");
        let value = |limit: Option<u64>| limit.map_or("unlimited".to_owned(), |limit| limit.to_string());
        let limits: Vec<_> = process.limits.iter().map(|limit| (value(limit.cur), value(limit.max))).collect();
        let order = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
        assert_eq!(limits, order.map(|at: usize| said.limits[at].clone()), "{name} {pid}");
        let fs = task.fs().unwrap().unwrap();
        let path = |id| dump.path(id).unwrap().unwrap().to_string();
        assert_eq!(format!("{:04o}", fs.umask.unwrap()), said.status["Umask"], "{name} {pid}");
        assert_eq!(path(fs.cwd_id), said.links["cwd"], "{name} {pid}");
        assert_eq!(path(fs.root_id), said.links["root"], "{name} {pid}");
        assert_eq!(task.exe().unwrap().unwrap().to_string(), said.links["exe"], "{name} {pid}");
        check_fds(name, task, said);
        check_maps(name, task, said);
    }
}

fn check_fds(name: &str, task: &Task<'_>, said: &Said) {
    let fds = task.fds().unwrap().all().unwrap();
    let numbers: Vec<u32> = fds.iter().map(|fd| fd.fd).collect();
    assert_eq!(numbers, said.fds.keys().copied().collect::<Vec<_>>(), "{name} {}", task.pid());
    for fd in fds {
        let (path, flags, pos) = &said.fds[&fd.fd];
        let place = format!("{name} {} fd {}", task.pid(), fd.fd);
        let file = fd.file.expect(&place);
        const CLOEXEC: u32 = 0x8_0000;
        assert_eq!(fd.cloexec, flags & CLOEXEC != 0, "{place}");
        if let Some(found) = file.flags {
            assert_eq!(found.0 & 0x60_0c03, flags & 0x60_0c03, "{place}");
        }
        match &file.what {
            What::Regular(regular) => {
                assert_eq!(path, &file.what.to_string().replace(" (task ended)", ""), "{place}");
                assert_eq!(regular.pos, *pos, "{place}");
            }
            What::Pipe(_) => assert_eq!(path, "pipe:[N]", "{place}"),
            What::Fifo(_) => assert_eq!(path, &file.what.to_string(), "{place}"),
            What::Inet(_) | What::Unix(_) | What::Netlink(_) | What::Packet(_) => {
                assert_eq!(path, "socket:[N]", "{place}");
            }
            What::Eventfd { .. } => assert_eq!(path, "anon_inode:[eventfd]", "{place}"),
            What::Epoll(_) => assert_eq!(path, "anon_inode:[eventpoll]", "{place}"),
            What::Inotify(_) => assert_eq!(path, "anon_inode:inotify", "{place}"),
            What::Fanotify(_) => assert_eq!(path, "anon_inode:[fanotify]", "{place}"),
            What::Signalfd { .. } => assert_eq!(path, "anon_inode:[signalfd]", "{place}"),
            What::Timerfd(_) => assert_eq!(path, "anon_inode:[timerfd]", "{place}"),
            What::Pidfd { .. } => assert_eq!(path, "anon_inode:[pidfd]", "{place}"),
            What::Memfd(memfd) => assert!(path.starts_with(&format!("/memfd:{}", memfd.name)), "{place}"),
            What::Tty(tty) if tty.is_master => assert!(path.ends_with("ptmx"), "{place}"),
            What::Tty(tty) => assert_eq!(path, &format!("/dev/pts/{}", tty.index.unwrap()), "{place}"),
            What::Namespace { kind, .. } => assert_eq!(path, &format!("{kind}:[N]"), "{place}"),
            other => panic!("{place}: {other:?}"),
        }
    }
}

fn check_maps(name: &str, task: &Task<'_>, said: &Said) {
    let mappings = task.mappings().unwrap().all().unwrap();
    // CRIU splits and joins mappings; each of the dump's lies in one of /proc's, with the same rights
    for mapping in mappings {
        let place = format!("{name} {} {}", task.pid(), mapping.start);
        let inside = |range: &&(u64, u64, String, String)| {
            // two areas of kernel data beside each other are one for CRIU
            range.0 <= mapping.start.0
                && (mapping.end.0 <= range.1 || mapping.backing == Backing::Vvar && mapping.start.0 < range.1)
        };
        let (_, _, prot, what) = said.maps.iter().find(inside).expect(&place);
        if mapping.backing != Backing::Vsyscall {
            assert_eq!(mapping.prot.to_string(), prot[..3], "{place}");
            assert_eq!(mapping.flags.is_shared(), prot.ends_with('s'), "{place}");
        }
        let file = |path: &str| what.trim_end_matches(" (deleted)") == path;
        match &mapping.backing {
            Backing::File(path) => {
                assert!(file(&path.clone().expect(&place).to_string()), "{place}: {what} {path:?}");
                assert_eq!(mapping.remap.is_some(), what.ends_with(" (deleted)"), "{place}: {what}");
            }
            Backing::Memfd(memfd) => {
                let memfd = memfd.clone().expect(&place).to_string();
                assert!(file(&memfd) || file(&format!("/memfd:{memfd}")), "{place}: {what} {memfd}");
            }
            Backing::Stack => assert_eq!(what, "[stack]", "{place}"),
            Backing::GrowsDown => assert_eq!((what.as_str(), task.pid()), ("", 121), "{place}"),
            Backing::Heap => assert_eq!(what, "[heap]", "{place}"),
            Backing::Vdso => assert_eq!(what, "[vdso]", "{place}"),
            Backing::Vvar => assert!(what.starts_with("[vvar"), "{place}: {what}"),
            Backing::Vsyscall => assert_eq!(what, "[vsyscall]", "{place}"),
            Backing::SysV => assert!(what.starts_with("/SYSV"), "{place}: {what}"),
            Backing::Aio => assert!(what.starts_with("/[aio]"), "{place}: {what}"),
            Backing::Anonymous | Backing::Guard => assert!(what.is_empty() || what == "[heap]", "{place}: {what}"),
            other => panic!("{place}: {other:?} {what}"),
        }
    }
}

#[test]
fn tree_is_what_proc_said() {
    check("tree");
}

#[test]
fn python_is_what_proc_said() {
    check("python");
}

#[test]
fn container_is_what_proc_said() {
    check("container");
}

#[test]
fn the_tree_of_tree() {
    let dump = open("tree");
    let tree = dump.tree().unwrap().all().unwrap();
    let depth = |pid| tree.iter().find(|branch| branch.task.pid() == pid).unwrap().depth;
    assert_eq!((depth(100), depth(108), depth(109)), (0, 1, 2));
    let threads = task(&dump, 110).threads().all().unwrap();
    let found: Vec<_> = threads.iter().map(|thread| (thread.tid, thread.comm.to_string())).collect();
    let names = [(110, "threads"), (111, "filtered"), (112, "masked"), (113, "batch"), (114, "registers")];
    assert_eq!(found, names.map(|(tid, name)| (tid, name.to_owned())));
    assert_eq!(threads[1].seccomp_mode, "filter");
    assert_eq!(threads[2].blocked.to_string(), "USR1,TERM");
    assert_eq!((threads[3].sched.policy, threads[3].sched.nice, threads[3].timerslack_ns), (3, 5, Some(123_456)));
    assert_eq!(threads[4].credentials.as_ref().unwrap().cap_eff.names().collect::<Vec<_>>(), ["kill", "syslog"]);
    assert_eq!(threads[4].registers.unwrap().arch, "x86_64");
    let zombie = task(&dump, 115).core().unwrap().unwrap().process;
    assert_eq!(zombie.exit_code >> 8, 7);
}

/// A copy of a dump in which some files are others.
fn changed(name: &str, files: &[(&str, Vec<u8>)]) -> (tempfile::TempDir, Checkpoint) {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(data(name)).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    for (file, content) in files {
        std::fs::write(folder.path().join(file), content).unwrap();
    }
    let dump = Checkpoint::open(folder.path()).unwrap();
    (folder, dump)
}

#[test]
fn a_zombie_has_no_descriptors() {
    // tables have numbers of their own, and one of them may be the pid of a zombie
    let table = std::fs::read(data("tree").join("fdinfo-2.img")).unwrap();
    let (_folder, dump) = changed("tree", &[("fdinfo-115.img", table)]);
    assert!(task(&dump, 115).fds().unwrap().is_empty());
    let holders = |dump: &Checkpoint| dump.holders(file(dump, 100, 0)).unwrap().count();
    assert_eq!(holders(&dump), holders(&open("tree")));
}

#[test]
fn pipes_have_two_ends() {
    let dump = open("tree");
    let pipe = file(&dump, 102, 21);
    let mut holders: Vec<Holder> =
        dump.files().unwrap().ends(pipe).flat_map(|end| dump.holders(end).unwrap()).collect();
    holders.sort();
    assert_eq!(holders, [Holder { pid: 102, fd: 21 }, Holder { pid: 103, fd: 20 }]);
    let data = dump.pipe_data(pipe).unwrap();
    assert_eq!((data.bytes, data.size), (12, Some(65536)));
    assert_eq!(dump.pipe_data(file(&dump, 102, 27)).unwrap().bytes, 12);
    assert_eq!(file(&dump, 101, 14).what.to_string(), "/srv/gone.fifo (deleted)");
    let shared: Vec<_> = dump.holders(file(&dump, 117, 3)).unwrap().collect();
    assert_eq!(shared, [Holder { pid: 117, fd: 3 }, Holder { pid: 118, fd: 3 }]);
}

#[test]
fn a_fifo_is_no_pipe_of_the_same_number() {
    // both numbers are those of inodes, on different file systems
    let fown = [1, 2, 3, 4, 5].into_iter().fold(message(), |fown, number| fown.uint(number, 0));
    let pipe = message().uint(1, 7).uint(2, 12).uint(3, 1).message(4, &fown);
    let fifo = message().uint(1, 8).uint(2, 12);
    let files = writer::File::new("FILES")
        .entry(&message().uint(1, 2).uint(2, 7).message(18, &pipe))
        .entry(&message().uint(1, 3).uint(2, 8).message(17, &fifo));
    let data = writer::File::new("FIFO_DATA").entry(&message().uint(1, 12).uint(2, 3)).raw("abc");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("files.img"), files.0).unwrap();
    std::fs::write(folder.path().join("fifo-data.img"), data.0).unwrap();
    let dump = Checkpoint::open(folder.path()).unwrap();
    let files = dump.files().unwrap();
    let [pipe, fifo] = [FileType::PIPE, FileType::FIFO].map(|file_type| {
        let file = files.iter().find(|file| file.file_type == file_type).unwrap();
        assert_eq!(files.ends(file).count(), 1, "{file:?}");
        file
    });
    assert_eq!(dump.pipe_data(pipe), None);
    assert_eq!(dump.pipe_data(fifo).unwrap().bytes, 3);
}

#[test]
fn sockets_have_peers_and_queues() {
    let dump = open("tree");
    let unix = |pid, fd| match &file(&dump, pid, fd).what {
        What::Unix(socket) => socket,
        other => panic!("{other:?}"),
    };
    assert_eq!(unix(104, 30).peer, unix(105, 31).ino);
    assert_eq!(unix(104, 36).name.to_string(), "@frozen");
    assert_eq!((&*unix(104, 36).state, unix(104, 36).backlog), ("listen", 3));
    assert!(matches!(&unix(104, 32).name, UnixName::Path(path) if path.as_bytes() == b"/srv/stream.sock"));
    assert_eq!(unix(105, 41).name_dir.as_ref().unwrap().to_string(), "/srv/dir");
    assert_eq!((unix(105, 42).shutdown, unix(105, 43).shutdown), (Some("write"), Some("read")));
    let queue = dump.queue(file(&dump, 104, 37));
    assert_eq!((queue.packets, queue.bytes), (3, 23));
    let queue = dump.queue(file(&dump, 105, 40));
    assert_eq!((queue.packets, queue.descriptors), (2, 1));
    let inet = |fd| match &file(&dump, 106, fd).what {
        What::Inet(socket) => socket,
        other => panic!("{other:?}"),
    };
    assert_eq!(inet(3).to_string(), "tcp 127.0.0.1:7001 listen");
    assert_eq!(inet(4).to_string(), "tcp 127.0.0.1:7002 -> 127.0.0.1:7001 established");
    assert_eq!(inet(11).to_string(), "udp [::1]:7007 unconnected");
    assert_eq!(inet(12).to_string(), "raw icmp 0.0.0.0:1 unconnected");
    assert_eq!(inet(14).state, "fin-wait-2");
    let queues = dump.tcp_queues(inet(5).ino).unwrap().unwrap();
    assert_eq!((queues.received, queues.sent), (14, 0));
    let files = dump.files().unwrap();
    let awaits: Vec<_> = files.iter().filter(|file| files.awaits_accept(file)).collect();
    assert_eq!(awaits.iter().map(|file| file.id).collect::<Vec<_>>(), [file(&dump, 105, 35).id]);
}

#[test]
fn what_waits_is_told_of_descriptors() {
    let dump = open("tree");
    let mut rows = Collect::default();
    view::fds::fds(&dump, None, &mut rows).unwrap();
    assert!(rows.problems.is_empty() && rows.notes.is_empty());
    let at = view::fds::FdRow::COLUMNS.iter().position(|column| column.name == "WHAT").unwrap();
    let what = |pid, fd| match &rows.rows.iter().find(|row| (row.pid, row.fd) == (pid, Some(fd))).unwrap().cells()[at] {
        Cell::Text(text) => text.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(what(105, 35), "unix stream established -> 104/32, not accepted yet");
    assert_eq!(what(105, 33), "unix stream established <-> 104/34");
    assert_eq!(what(106, 4), "tcp 127.0.0.1:7002 -> 127.0.0.1:7001 established, 18 bytes wait");
    let both = |fd| rows.rows.iter().find(|row| (row.pid, row.fd) == (106, Some(fd))).unwrap().tcp_queues.unwrap();
    assert_eq!(both(6).received + both(7).sent, 20000);
    assert_eq!(what(106, 7).rsplit(", ").next().unwrap(), format!("{} bytes not acknowledged", both(7).sent));
}

#[test]
fn flags_and_advice_of_mappings() {
    let dump = open("tree");
    let mappings = task(&dump, 121).mappings().unwrap().all().unwrap();
    let marked: Vec<_> = mappings
        .iter()
        .filter(|mapping| !mapping.vm_flags().is_empty())
        .map(|mapping| (mapping.start.0, mapping.vm_flags().join(",")))
        .collect();
    let expected = [
        (0x1051_0000, "growsdown"),
        (0x1060_0000, "locked"),
        (0x1090_0000, "dontdump"),
        (0x10a0_0000, "mergeable"),
        (0x10b0_0000, "wipeonfork"),
        (0x1000_0000_0000, "noreserve"),
    ];
    for (start, flags) in expected {
        assert!(marked.contains(&(start, flags.to_owned())), "{start:x}: {marked:x?}");
    }
    let grows: Vec<_> = mappings.iter().filter(|mapping| mapping.backing == Backing::GrowsDown).collect();
    assert_eq!(grows.iter().map(|mapping| mapping.start.0).collect::<Vec<_>>(), [0x1051_0000]);
    assert_eq!(mappings.iter().filter(|mapping| mapping.backing == Backing::Stack).count(), 1);
}

#[test]
fn special_files() {
    let dump = open("tree");
    let text = |pid, fd| file(&dump, pid, fd).what.to_string();
    assert_eq!(text(107, 3), "eventfd 7");
    assert_eq!(text(107, 9), "signalfd HUP,RT35");
    assert_eq!(text(107, 15), "pidfd of 100");
    assert_eq!(text(107, 13), "memfd:frozen-sealed");
    assert_eq!(text(108, 3), "ptmx of /dev/pts/0 session 108");
    assert_eq!(text(108, 4), "/dev/pts/0 session 108");
    assert_eq!(text(101, 7), "/srv/caf\\xe9.txt");
    assert_eq!(text(101, 8), "/srv/ghost (deleted)");
    assert_eq!(text(107, 11), "inotify of 2: /srv/plain.txt, /srv/dir");
    let What::Epoll(Epoll { targets }) = &file(&dump, 107, 10).what else { panic!() };
    let targets: Vec<_> = targets.iter().map(|target| (target.fd, target.events.to_string())).collect();
    let expected = [(3, "in|err|hup"), (5, "in|err|hup|et"), (7, "in|err|hup|oneshot"), (9, "in|pri|err|hup")];
    assert_eq!(targets.len(), expected.len());
    for (fd, events) in expected {
        assert!(targets.contains(&(fd, events.to_owned())), "{fd}: {targets:?}");
    }
}

#[test]
fn locks_and_ghosts() {
    let dump = open("tree");
    let mut locks: Vec<_> = dump
        .locks()
        .unwrap()
        .all()
        .unwrap()
        .iter()
        .map(|lock| format!("{} {} {} {} {} {}", lock.pid, lock.fd, lock.kind, lock.lock_type, lock.start, lock.len))
        .collect();
    locks.sort();
    assert_eq!(
        locks,
        [
            "122 3 posix read 100 0",
            "122 3 posix write 10 10",
            "122 4 flock write 0 0",
            "122 5 ofd read 0 64",
            "122 6 lease read 0 0"
        ]
    );
    let ghosts = dump.ghosts().unwrap().all().unwrap();
    let ghost =
        |path: &str| ghosts.iter().find(|ghost| ghost.paths.iter().any(|name| name.as_bytes() == path.as_bytes()));
    assert_eq!(ghost("/srv/ghost").unwrap().size, 5000);
    let sparse = ghost("/srv/sparse").unwrap();
    assert_eq!(sparse.size, 0x20000);
    assert!(sparse.stored < sparse.size);
    assert_eq!(ghost("/srv/gone").unwrap().mode & 0o7777, 0o750);
}

#[test]
fn timers_actions_and_limits() {
    let dump = open("tree");
    let core = task(&dump, 119).core().unwrap().unwrap();
    let process = &core.process;
    let signals: Vec<_> = process.actions.iter().map(|action| action.signal).collect();
    assert_eq!(signals, [10, 13, 36]);
    let timers = process.timers.as_ref().unwrap();
    assert_eq!(timers.real.interval, 5_250_000);
    assert_eq!(timers.posix[0].interval, 10_000_000_001);
    assert_eq!(core.leader.alt_stack.unwrap().size, 16384);
    assert_eq!(process.pending.iter().filter(|pending| pending.signal == 36).count(), 3);
    let limited = task(&dump, 120).core().unwrap().unwrap();
    assert_eq!(limited.process.oom_score_adj, Some(500));
    assert_eq!(limited.leader.pdeath_sig, 15);
    assert!(limited.process.child_subreaper);
    assert_eq!(limited.leader.credentials.unwrap().groups, [5, 20, 1000]);
}

#[test]
fn namespaces_of_container() {
    let dump = open("container");
    let namespaces = dump.namespaces().unwrap().all().unwrap();
    assert!(namespaces.iter().all(|namespace| !namespace.is_criu));
    let found: Vec<_> = namespaces.iter().map(|namespace| (namespace.kind.name(), &*namespace.pids)).collect();
    let all = &[1, 2, 3, 4, 5][..];
    let expected = [
        ("pid", all),
        ("net", &[1, 2, 4, 5]),
        ("net", &[3]),
        ("ipc", all),
        ("uts", all),
        ("mnt", &[1, 2, 3, 5]),
        ("mnt", &[4]),
        ("user", all),
        ("cgroup", all),
        ("time", all),
    ];
    assert_eq!(found, expected);
    let mut devices = Vec::new();
    for namespace in &namespaces {
        match &namespace.detail {
            NamespaceDetail::Uts { nodename, domainname } => {
                assert_eq!((nodename.as_bytes(), domainname.as_bytes()), (&b"frozen-container"[..], &b"ice"[..]));
            }
            NamespaceDetail::User { uid_map, gid_map } => {
                let one = [Extent { first: 0, lower_first: 0, count: 1 }];
                assert_eq!((&uid_map[..], &gid_map[..]), (&one[..], &one[..]));
            }
            NamespaceDetail::Time { monotonic, boottime } => {
                // readings, not offsets: one clock is 100000 s ahead of the machine's, the other 200000 s
                const SECOND: i128 = 1_000_000_000;
                assert_eq!((boottime - monotonic) / SECOND, 100_000);
                assert!((100_000..200_000).contains(&(monotonic / SECOND)), "{monotonic}");
            }
            NamespaceDetail::Net { devices: names } => {
                devices.push(names.iter().map(|name| name.to_string()).collect::<Vec<_>>());
            }
            NamespaceDetail::Unknown => {
                let kind = namespace.kind.name();
                assert!(["pid", "ipc", "mnt", "cgroup"].contains(&kind), "{kind}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(devices, [vec!["lo", "bridge0", "outer0"], vec!["lo", "inner0"]]);
    // tree has none of its own
    assert!(open("tree").namespaces().unwrap().all().unwrap().iter().any(|namespace| namespace.is_criu));
}

#[test]
fn mounts_of_container() {
    let dump = open("container");
    let mounts = dump.mounts().unwrap().all().unwrap();
    assert!(mounts.iter().all(|mount| !mount.deleted && mount.ext_key.is_none() && mount.sb_flags.is_empty()));
    let of = |pid| task(&dump, pid).ids().unwrap().unwrap().namespaces[&NamespaceKind::Mnt];
    let outer = [
        "/ tmpfs rootfs / relatime size=4096k,mode=755",
        "/data tmpfs data / relatime size=256k",
        "/dev/mqueue mqueue mqueue / relatime ",
        "/dev/pts devpts devpts / relatime mode=620,ptmxmode=666,newinstance",
        "/mnt tmpfs data /sub ro,relatime size=256k",
        "/proc proc proc / relatime ",
        "/shared tmpfs shared / shared,relatime size=64k",
        "/slave tmpfs shared / slave,relatime size=64k",
    ];
    for (pid, private) in [(1, None), (4, Some("/data/private tmpfs private / relatime size=64k"))] {
        let mine: Vec<_> = mounts.iter().filter(|mount| mount.ns_id == of(pid)).collect();
        let mut found: Vec<_> = mine
            .iter()
            .map(|mount| {
                let flags = mount.flags.join(",");
                format!(
                    "{} {} {} {} {flags} {}",
                    mount.mountpoint, mount.fstype, mount.source, mount.root, mount.options
                )
            })
            .collect();
        found.sort();
        let mut expected: Vec<_> = outer.into_iter().chain(private).collect();
        expected.sort_unstable();
        assert_eq!(found, expected, "{pid}");
        let at = |path: &str| *mine.iter().find(|mount| mount.mountpoint.as_bytes() == path.as_bytes()).unwrap();
        let root = at("/").mnt_id;
        for mount in &mine {
            let on = match mount.mountpoint.as_bytes() {
                b"/" => continue,
                b"/data/private" => at("/data").mnt_id,
                _ => root,
            };
            assert_eq!(mount.parent_mnt_id, on, "{mount:?}");
        }
        assert!(at("/shared").shared_id.is_some());
        assert_eq!((at("/slave").shared_id, at("/slave").master_id), (None, at("/shared").shared_id));
        assert_eq!((at("/mnt").dev, at("/slave").dev), (at("/data").dev, at("/shared").dev));
        assert_ne!(at("/data").dev, at("/shared").dev);
    }
    assert!(open("tree").mounts().unwrap().all().unwrap().is_empty());
}

#[test]
fn ipc_and_cgroups_of_container() {
    let dump = open("container");
    let ipc = dump.ipc().unwrap();
    assert!(ipc.problems.is_empty());
    let ns_id = task(&dump, 1).ids().unwrap().unwrap().namespaces[&NamespaceKind::Ipc];
    let check = |desc: &Desc| assert_eq!((desc.ns_id, desc.uid, desc.gid), (ns_id, 0, 0), "{desc:?}");
    ipc.segments.iter().for_each(|segment| {
        check(&segment.desc);
        assert!(segment.in_pagemaps && !segment.is_huge, "{segment:?}");
    });
    let segments: Vec<_> =
        ipc.segments.iter().map(|segment| (segment.desc.key, segment.desc.mode, segment.size)).collect();
    let expected = [(0x1000, 0o600, 8192), (0x1001, 0o640, 4097), (0x1002, 0o644, 12288), (0x1003, 0o600, 4096)];
    assert_eq!(segments, expected);
    ipc.queues.iter().for_each(|queue| check(&queue.desc));
    let queues: Vec<_> = ipc
        .queues
        .iter()
        .map(|queue| {
            let messages: Vec<_> = queue.messages.iter().map(|message| (message.mtype, message.size)).collect();
            (queue.desc.key, queue.desc.mode, messages)
        })
        .collect();
    let first = vec![(1, 0), (2, 8), (3, 13), (4, 16), (0x12_3456_789a, 4001)];
    assert_eq!(queues, [(0x2000, 0o620, first), (0x2001, 0o620, vec![(6, 1)]), (0x2002, 0o620, vec![])]);
    ipc.semaphores.iter().for_each(|set| check(&set.desc));
    let semaphores: Vec<_> = ipc.semaphores.iter().map(|set| (set.desc.key, set.desc.mode, &*set.values)).collect();
    let expected = [(0x3000, &[7][..]), (0x3001, &[1, 2, 65]), (0x3002, &[4, 3, 2, 32767])];
    assert_eq!(semaphores, expected.map(|(key, values)| (key, 0o660, values)));
    let cgroups = dump.cgroups().unwrap().unwrap();
    for pid in [1, 2, 3, 4, 5] {
        let threads = task(&dump, pid).threads().all().unwrap();
        let set = cgroups.sets.iter().find(|set| Some(set.id) == threads[0].cg_set).unwrap();
        let unified: Vec<_> = set.members.iter().filter(|member| member.name.is_empty()).collect();
        assert_eq!(unified.iter().map(|member| member.path.as_bytes()).collect::<Vec<_>>(), [b"/frozen"], "{pid}");
    }
}
