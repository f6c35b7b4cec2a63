//! The model on odd dumps: those of old CRIU, those that lack images, those made to harm.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::cast_possible_truncation)]

mod common;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use common::writer::{File, Message, message};
use icecore::base::report::{Card, Cell, Collect, Row, Rows};
use icecore::checkpoint::file::What;
use icecore::checkpoint::mm::Backing;
use icecore::checkpoint::signal::Handler;
use icecore::checkpoint::task::{State, Task};
use icecore::source::Source;
use icecore::{Checkpoint, Error, Limits, Result, view};

/// A directory of images.
struct Dump(tempfile::TempDir);

impl Dump {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn image(self, name: &str, magic: &str, entries: &[Message]) -> Self {
        let file = entries.iter().fold(File::new(magic), |file, entry| file.entry(entry));
        std::fs::write(self.0.path().join(name), file.0).unwrap();
        self
    }

    fn open(&self) -> Checkpoint {
        Checkpoint::open(self.0.path()).unwrap()
    }
}

fn task(pid: u64, ppid: u64) -> Message {
    message().uint(1, pid).uint(2, ppid).uint(3, pid).uint(4, pid).uint(5, pid)
}

fn core(comm: impl AsRef<[u8]>, state: u64) -> Message {
    let tc = message().uint(1, state).uint(2, 0).uint(3, 0).uint(4, 0).uint(5, 0x4000).bytes(6, comm);
    message().uint(1, 1).message(3, &tc)
}

fn ids(files: u64) -> Message {
    message().uint(1, 1).uint(2, files).uint(3, 1).uint(4, 1)
}

fn fown() -> Message {
    (1..=5).fold(message(), |fown, number| fown.uint(number, 0))
}

fn reg(id: u64, name: impl AsRef<[u8]>) -> Message {
    message().uint(1, id).uint(2, 0).uint(3, 0).message(5, &fown()).bytes(6, name)
}

fn pipe(id: u64, pipe_id: u64, flags: u64) -> Message {
    message().uint(1, id).uint(2, pipe_id).uint(3, flags).message(4, &fown())
}

fn fd(id: u64, file_type: u64, fd: u64) -> Message {
    message().uint(1, id).uint(2, 0).uint(3, file_type).uint(4, fd)
}

fn inventory() -> Message {
    message().uint(1, 2).uint(2, 1)
}

fn pids(dump: &Checkpoint) -> (Vec<(u32, u32)>, usize) {
    let tree = dump.tree().unwrap();
    (tree.iter().map(|branch| (branch.task.pid(), branch.depth)).collect(), tree.problems.len())
}

#[test]
fn tasks_that_are_their_own_ancestors() {
    let dump = Dump::new().image(
        "pstree.img",
        "PSTREE",
        &[task(1, 0), task(2, 1), task(3, 4), task(4, 3), task(5, 5), task(6, 77), task(2, 1)],
    );
    let (found, problems) = pids(&dump.open());
    assert_eq!(found, [(1, 0), (2, 1), (6, 0), (3, 0), (4, 1), (5, 0)]);
    // two circles, one task twice
    assert_eq!(problems, 3);
}

#[test]
fn what_a_list_lost_is_not_called_missing() {
    let dump = Dump::new().image("pstree.img", "PSTREE", &[task(1, 0), message().uint(1, 2), task(3, 1)]);
    let dump = dump.open();
    assert_eq!(dump.task(3).unwrap().ppid(), 1);
    // the broken entry may have been it
    assert_eq!(dump.task(2).unwrap_err().entry(), Some(1));
    let results: Vec<_> = dump.tasks().unwrap().results().collect();
    assert_eq!(results.iter().map(|result| result.is_ok()).collect::<Vec<_>>(), [true, true, false]);
    assert!(dump.tasks().unwrap().all().is_err());
    // of one task too, that the list is broken is told
    let mut rows = Collect::default();
    view::maps::maps(&dump, Some(3), &mut rows).unwrap();
    assert_eq!(rows.problems.len(), 1);
    let whole = Dump::new().image("pstree.img", "PSTREE", &[task(1, 0)]);
    let error = whole.open().task(2).unwrap_err();
    assert_eq!(error.to_string(), "the dump has no task 2 (`icecore ps` lists them)");
}

#[test]
fn a_chain_of_many_generations() {
    let tasks: Vec<Message> = (1..=100_000).map(|pid| task(pid, pid - 1)).collect();
    let dump = Dump::new().image("inventory.img", "INVENTORY", &[inventory()]).image("pstree.img", "PSTREE", &tasks);
    let dump = dump.open();
    let (found, problems) = pids(&dump);
    assert_eq!((found.len(), found[99_999].1, problems), (100_000, 99_999, 0));
    let mut rows = Collect::default();
    view::ps::ps(&dump, view::ps::Options::default(), &mut rows).unwrap();
    assert_eq!(rows.rows.len(), 100_000);
}

#[test]
fn references_that_lead_nowhere() {
    let file = message().uint(1, 1).uint(2, 1).message(3, &reg(1, b"/caf\xe9\x1b[2J"));
    let unknown = message().uint(1, 99).uint(2, 2);
    let empty = message().uint(1, 2).uint(2, 3);
    let dump = Dump::new()
        .image("inventory.img", "INVENTORY", &[inventory()])
        .image("pstree.img", "PSTREE", &[task(1, 0)])
        .image("core-1.img", "CORE", &[core(b"\x1b]0;x\x07", 1)])
        .image("ids-1.img", "IDS", &[ids(1)])
        .image("fs-1.img", "FS", &[message().uint(1, 1).uint(2, 50)])
        .image("files.img", "FILES", &[file, unknown, empty])
        .image("fdinfo-1.img", "FDINFO", &[fd(1, 1, 0), fd(2, 99, 1), fd(3, 2, 2), fd(4, 5, 3), fd(1, 2, 4)]);
    let dump = dump.open();
    let mut rows = Collect::default();
    view::fds::fds(&dump, None, &mut rows).unwrap();
    let cells: Vec<String> = rows.rows.iter().map(what).collect();
    let expected = [
        "/caf\\xe9\\x1b[2J",
        "REG 50 is not in the dump",
        "/caf\\xe9\\x1b[2J",
        "of unknown type",
        "PIPE 3 is not in the dump",
        "UNIXSK 4 is not in the dump",
        "PIPE 1 is not in the dump",
    ];
    assert_eq!(cells, expected);
    // the entry of the pipe that has none
    assert_eq!(rows.problems.len(), 1);
    assert_eq!(rows.rows[0].comm.to_string(), "\\x1b]0;x\\x07");
    let mut lines = Collect::default();
    view::crit_x::fds(&dump, &mut lines).unwrap();
    assert_eq!(lines.rows[1], "\t      0: b'/caf\\xe9\\x1b[2J'");
    assert_eq!(lines.rows[2..6], ["\t      1: 99.2", "\t      2: pipe[?]", "\t      3: unix[?]", "\t      4: pipe[?]"]);
}

fn what(row: &view::fds::FdRow<'_>) -> String {
    match &row.cells()[6] {
        Cell::Text(text) | Cell::Odd(text) => text.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn tables_are_found_without_the_inventory() {
    // 3 is the pid of one task and the number of the other's table
    let dump = |tables: [(&str, u64); 2]| {
        let files =
            [(1, "/one"), (2, "/two")].map(|(id, path)| message().uint(1, 1).uint(2, id).message(3, &reg(id, path)));
        let mut dump = Dump::new()
            .image("pstree.img", "PSTREE", &[task(3, 0), task(8, 3)])
            .image("core-3.img", "CORE", &[core("one", 1)])
            .image("core-8.img", "CORE", &[core("two", 1)])
            .image("ids-3.img", "IDS", &[ids(2)])
            .image("ids-8.img", "IDS", &[ids(3)])
            .image("files.img", "FILES", &files);
        for (name, file) in tables {
            dump = dump.image(name, "FDINFO", &[fd(file, 1, 0)]);
        }
        dump
    };
    let found = |dump: &Dump| {
        let dump = dump.open();
        let mut rows = Collect::default();
        view::fds::fds(&dump, None, &mut rows).unwrap();
        let problems: Vec<_> = rows.problems.iter().map(|error| error.image().unwrap().to_owned()).collect();
        (rows.rows.iter().map(|row| (row.pid, what(row))).collect::<Vec<_>>(), problems)
    };
    let expected = [(3, "/one".to_owned()), (8, "/two".to_owned())];
    let by_id = dump([("fdinfo-2.img", 1), ("fdinfo-3.img", 2)]);
    assert_eq!(found(&by_id), (expected.to_vec(), vec!["inventory.img".to_owned()]));
    let by_task = dump([("fdinfo-3.img", 1), ("fdinfo-8.img", 2)]);
    assert_eq!(found(&by_task), (expected.to_vec(), vec!["inventory.img".to_owned()]));
    // and what the inventory says is done, whatever the numbers look like
    let by_task = by_task.image("inventory.img", "INVENTORY", &[message().uint(1, 2)]);
    assert_eq!(found(&by_task), (expected.to_vec(), vec![]));
}

#[test]
fn a_broken_table_is_told_with_its_descriptors() {
    let dump = Dump::new()
        .image("inventory.img", "INVENTORY", &[inventory()])
        .image("pstree.img", "PSTREE", &[task(1, 0), task(2, 1), task(3, 1)])
        .image("ids-1.img", "IDS", &[ids(1)])
        .image("ids-2.img", "IDS", &[ids(2)])
        .image("ids-3.img", "IDS", &[message().uint(1, 1)])
        .image("fdinfo-1.img", "FDINFO", &[fd(1, 1, 0)])
        .image("fdinfo-2.img", "FDINFO", &[fd(1, 1, 0), message().uint(1, 1), fd(1, 1, 2)]);
    let dump = dump.open();
    let fds = |pid| {
        let listing = dump.task(pid).unwrap().fds().unwrap();
        let images: Vec<_> = listing.problems.iter().map(|error| error.image().unwrap().to_owned()).collect();
        (listing.len(), images.join(" "))
    };
    assert_eq!(fds(1), (1, String::new()));
    assert_eq!(fds(2), (2, "fdinfo-2.img".to_owned()));
    assert_eq!(fds(3), (0, "ids-3.img".to_owned()));
    // and once by the question
    let mut rows = Collect::default();
    view::fds::fds(&dump, None, &mut rows).unwrap();
    let told: Vec<_> = rows.problems.iter().filter_map(Error::image).collect();
    assert_eq!(told.iter().filter(|image| **image == "fdinfo-2.img").count(), 1, "{told:?}");
    assert!(told.contains(&"ids-3.img"), "{told:?}");
}

#[test]
fn a_dump_of_an_old_criu() {
    let zeros = |from: u32, to: u32| (from..=to).fold(message(), |entry, number| entry.uint(number, 0));
    let mm = (1..=12).fold(message(), |mm, number| mm.uint(number, if number == 12 { 7 } else { 0 }));
    let vma = |start: u64, shmid: u64, status: u64| {
        let vma = message().uint(1, start).uint(2, start + 4096).uint(3, 0).uint(4, shmid);
        vma.uint(5, 5).uint(6, 2).uint(7, status).sint(8, -1)
    };
    let creds = (1..=8).fold(message(), |creds, number| creds.uint(number, 1000)).uint(13, 0);
    let sigacts: Vec<Message> =
        (0..62).map(|at| message().uint(1, u64::from(at == 8)).uint(2, 0).uint(3, 0).uint(4, 0)).collect();
    let timer = |value| message().uint(1, 0).uint(2, 0).uint(3, value).uint(4, 5);
    let epoll = message().uint(1, 9).uint(2, 2).message(3, &fown());
    let dump = Dump::new()
        .image("inventory.img", "INVENTORY", &[message().uint(1, 1)])
        .image("pstree.img", "PSTREE", &[task(7, 0)])
        .image("core-7.img", "CORE", &[core("old", 1)])
        .image("mm-7.img", "MM", &[mm])
        .image("vmas-7.img", "VMAS", &[vma(0x1000, 7, 0x41), vma(0x3000, 0, 0x201)])
        .image("creds-7.img", "CREDS", &[creds])
        .image("sigacts-7.img", "SIGACT", &sigacts)
        .image("rlimit-7.img", "RLIMIT", &[message().uint(1, 60).uint(2, u64::MAX)])
        .image("itimers-7.img", "ITIMERS", &[timer(2), timer(0), timer(0)])
        .image("reg-files.img", "REG_FILES", &[reg(7, "/bin/old")])
        .image("pipes.img", "PIPES", &[pipe(5, 50, 0), pipe(6, 50, 1)])
        .image("eventpoll.img", "EVENTPOLL_FILE", &[epoll])
        .image("eventpoll-tfd.img", "EVENTPOLL_TFD", &[message().uint(1, 9).uint(2, 3).uint(3, 1).uint(4, 0)])
        .image("pipes-data.img", "PIPES_DATA", &[message().uint(1, 50).uint(2, 0).uint(3, 65536)])
        .image("fdinfo-7.img", "FDINFO", &[fd(7, 1, 0), fd(5, 2, 3), fd(6, 2, 4), fd(9, 7, 5)])
        .image("filelocks-7.img", "FILE_LOCKS", &[zeros(1, 6)]);
    let dump = dump.open();
    let task = dump.tasks().unwrap().into_iter().next().unwrap();
    let core = task.core().unwrap().unwrap();
    assert_eq!((core.process.comm.to_string(), core.process.state), ("old".to_owned(), State::Alive));
    assert_eq!(core.leader.credentials.unwrap().euid, 1000);
    assert_eq!((core.process.limits[0].cur, core.process.limits[0].max), (Some(60), None));
    assert_eq!(core.process.timers.unwrap().real.value, 2_000_005);
    let actions = &core.process.actions;
    assert_eq!((actions.len(), actions[0].signal, actions[0].handler), (1, 10, Handler::Ignore));
    let mappings = task.mappings().unwrap();
    assert!(matches!(&mappings[0].backing, Backing::File(Some(path)) if path.as_bytes() == b"/bin/old"));
    assert_eq!(mappings[1].backing, Backing::Anonymous);
    assert_eq!(task.exe().unwrap().unwrap().as_bytes(), b"/bin/old");
    let fds = task.fds().unwrap();
    assert_eq!(fds.len(), 4);
    assert!(matches!(&fds[3].file.unwrap().what, What::Epoll(epoll) if epoll.targets[0].fd == 3));
    let pipe = fds[1].file.unwrap();
    assert_eq!(pipe.what.pipe_id(), Some(50));
    assert_eq!(dump.files().unwrap().ends(pipe).count(), 2);
    assert_eq!(dump.pipe_data(pipe).unwrap().size, Some(65536));
    assert_eq!(dump.locks().unwrap().len(), 1);
    assert_eq!(dump.census().unwrap().by_type.values().sum::<usize>(), 4);
    let mut infos = Collect::default();
    view::info::info(&dump, &mut infos).unwrap();
    assert_eq!(infos.rows[0].image_version, Some("v1.0"));
    assert!(infos.problems.is_empty());
}

#[test]
fn a_pre_dump_has_memory_alone() {
    let pagemap = |pid: u32| {
        let path = format!("pagemap-{pid}.img");
        let entry = message().uint(1, 0x1000).uint(2, 3);
        (path, [message().uint(1, 1), entry])
    };
    let mut dump = Dump::new().image("inventory.img", "INVENTORY", &[message().uint(1, 0)]);
    for pid in [9, 4] {
        let (path, entries) = pagemap(pid);
        dump = dump.image(&path, "PAGEMAP", &entries);
    }
    let dump = dump.open();
    let mut rows = Collect::default();
    view::ps::ps(&dump, view::ps::Options::default(), &mut rows).unwrap();
    let found: Vec<_> = rows.rows.iter().map(|row| (row.pid, row.state, row.memory)).collect();
    assert_eq!(found, [(4, State::Unknown, 12288), (9, State::Unknown, 12288)]);
    assert!(rows.problems.is_empty());
    // nothing is made up of what it does not say
    let row = &rows.rows[0];
    assert_eq!((row.ppid, row.pgid, row.sid, row.threads), (None, None, None, None));
    let cells = row.cells();
    for (column, cell) in view::ps::Ps::COLUMNS.iter().zip(&cells) {
        assert!(["PID", "STATE", "MEMORY", "COMMAND"].contains(&column.name) || *cell == Cell::Empty, "{column:?}");
    }
    assert!(serde_json::to_string(row).unwrap().contains(r#""ppid":null,"pgid":null,"sid":null"#));
    let mut infos = Collect::default();
    view::info::info(&dump, &mut infos).unwrap();
    assert!(infos.rows[0].is_pre_dump);
    assert_eq!((infos.rows[0].tasks, infos.rows[0].threads), (2, None));
    assert!(infos.rows[0].warnings.iter().any(|text| text.contains("2 pagemaps but 0 pages files")));
    let (mut fds, mut maps) = (Collect::default(), Collect::default());
    let (mut sockets, mut mounts) = (Collect::default(), Collect::default());
    view::fds::fds(&dump, None, &mut fds).unwrap();
    view::maps::maps(&dump, Some(4), &mut maps).unwrap();
    view::sockets::sockets(&dump, &mut sockets).unwrap();
    view::mounts::mounts(&dump, &mut mounts).unwrap();
    let notes = [fds.notes, maps.notes, sockets.notes, mounts.notes].concat();
    let what = ["descriptors", "mappings", "sockets", "mounts"];
    assert_eq!(notes, what.map(|what| format!("a pre-dump is memory alone: it lists no {what}")));
}

#[test]
fn a_32_bit_task_is_told() {
    let registers = |mode| (1..=27).fold(message(), |registers, number| registers.uint(number, 0)).uint(28, mode);
    let floating = (1..=8).fold(message(), |registers, number| registers.uint(number, 0));
    let core = |mode, login| {
        let info = message().uint(1, 0).message(2, &registers(mode)).message(3, &floating);
        let tc = (1..=5).fold(message(), |tc, number| tc.uint(number, u64::from(number == 1))).bytes(6, "task");
        message().uint(1, 1).message(2, &info).message(3, &tc.uint(13, login))
    };
    let dump = Dump::new()
        .image("inventory.img", "INVENTORY", &[inventory()])
        .image("pstree.img", "PSTREE", &[task(1, 0), task(2, 1)])
        .image("core-1.img", "CORE", &[core(1, 1000)])
        .image("core-2.img", "CORE", &[core(2, u64::from(u32::MAX))]);
    let dump = dump.open();
    let mut rows = Collect::default();
    view::ps::ps(&dump, view::ps::Options::default(), &mut rows).unwrap();
    assert!(rows.problems.is_empty(), "{:?}", rows.problems);
    let at = view::ps::Ps::COLUMNS.iter().position(|column| column.name == "ABI").unwrap();
    let found: Vec<_> = rows.rows.iter().map(|row| (row.compat, row.cells()[at].clone())).collect();
    assert_eq!(found, [(Some(false), Cell::Empty), (Some(true), Cell::Odd("32-bit".into()))]);
    // nobody logged in as 2^32 - 1
    let login = |task: &Task<'_>| task.core().unwrap().unwrap().process.loginuid;
    assert_eq!(dump.tasks().unwrap().all().unwrap().iter().map(login).collect::<Vec<_>>(), [Some(1000), None]);
}

#[test]
fn an_empty_directory_is_told_to_be_empty() {
    let dump = Dump::new();
    let mut infos = Collect::default();
    view::info::info(&dump.open(), &mut infos).unwrap();
    assert_eq!(infos.rows[0].warnings, ["no images here"]);
    // the inventory that is not there
    assert_eq!(infos.problems.len(), 1);
}

#[test]
fn a_broken_image_costs_only_itself() {
    let dump = Dump::new()
        .image("inventory.img", "INVENTORY", &[inventory()])
        .image("pstree.img", "PSTREE", &[task(1, 0), task(2, 1)])
        .image("core-1.img", "CORE", &[core("whole", 1)])
        .image("core-2.img", "CORE", &[message().uint(1, 1)])
        .image("mm-2.img", "MM", &[message().uint(1, 1)]);
    let dump = dump.open();
    let mut rows = Collect::default();
    view::ps::ps(&dump, view::ps::Options::default(), &mut rows).unwrap();
    assert_eq!(rows.rows.len(), 2);
    assert_eq!(rows.rows[0].comm.as_bytes(), b"whole");
    assert_eq!(rows.problems[0].image(), Some("core-2.img"));
    let mut maps = Collect::default();
    view::maps::maps(&dump, None, &mut maps).unwrap();
    assert_eq!(maps.problems[0].image(), Some("mm-2.img"));
}

#[test]
fn info_tells_a_broken_image_once() {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(common::corpus::data().join("tree")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    let files = std::fs::read(folder.path().join("files.img")).unwrap();
    let mut broken = files.clone();
    broken[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
    for content in [&files[..files.len() - 3], &files[..6], &broken] {
        std::fs::write(folder.path().join("files.img"), content).unwrap();
        let mut infos = Collect::default();
        view::info::info(&Checkpoint::open(folder.path()).unwrap(), &mut infos).unwrap();
        assert_eq!(infos.problems.len(), 1, "{:?}", infos.problems);
        assert_eq!(infos.problems[0].image(), Some("files.img"));
        assert_eq!(infos.rows[0].tasks, 20);
    }
}

/// A dump in memory.
struct Memory {
    names: Vec<String>,
    files: HashMap<String, Bytes>,
}

impl Source for Memory {
    fn name(&self) -> &str {
        "memory"
    }

    fn files(&self) -> &[String] {
        &self.names
    }

    fn open(&self, file: &str) -> Result<Bytes> {
        // a broken image may name a file that is not there
        let none = || Error::io("cannot open", std::io::Error::from(std::io::ErrorKind::NotFound)).in_image(file);
        self.files.get(file).cloned().ok_or_else(none)
    }

    fn size(&self, file: &str) -> Result<u64> {
        Ok(self.open(file)?.len() as u64)
    }

    fn parent(&self) -> Result<Option<Arc<dyn Source>>> {
        Ok(None)
    }
}

/// Counts rows, whatever they are, and makes their text and JSON.
#[derive(Default)]
struct Count(usize);

impl<R: Row> Rows<R> for Count {
    fn row(&mut self, row: R) -> Result<()> {
        self.0 += 1;
        assert_eq!(row.cells().len(), R::COLUMNS.len());
        assert!(serde_json::to_string(&row).is_ok());
        Ok(())
    }

    fn problem(&mut self, error: Error) -> Result<()> {
        assert!(!error.to_string().is_empty());
        Ok(())
    }
}

/// Asks everything. Errors are answers; panics are not.
fn ask_everything(dump: &Checkpoint) {
    let mut count = Count::default();
    let _ = view::ps::ps(dump, view::ps::Options { threads: true, args: true }, &mut count);
    let _ = view::fds::fds(dump, None, &mut count);
    let _ = view::maps::maps(dump, None, &mut count);
    let _ = view::sockets::sockets(dump, &mut count);
    let _ = view::mounts::mounts(dump, &mut count);
    let _ = view::mem::mem(dump, None, &mut count);
    let _ = view::pages::pages(dump, None, &icecore::base::report::Silent, &mut count);
    let _ = view::cmdline::cmdline(dump, None, &mut count);
    let _ = view::env::env(dump, None, &mut count);
    for task in dump.tasks().into_iter().flatten().take(2) {
        let Ok(Some(space)) = task.address_space() else { continue };
        let _ = view::hexdump::hexdump(&space, 0..u64::MAX, false, &mut count);
    }
    let mut infos = Collect::default();
    let _ = view::info::info(dump, &mut infos);
    for info in &infos.rows {
        assert!(!info.facts().is_empty());
    }
    let mut lines = Collect::default();
    for explore in [view::crit_x::ps, view::crit_x::fds, view::crit_x::mems, view::crit_x::rss] {
        let _ = explore(dump, &mut lines);
    }
    let _ = dump.locks();
    let _ = dump.ghosts();
    let _ = dump.ipc();
    let _ = dump.cgroups();
    let _ = dump.namespaces();
}

#[test]
fn nothing_panics_on_damaged_dumps() {
    for name in ["tree", "container"] {
        let mut files = HashMap::new();
        for entry in std::fs::read_dir(common::corpus::data().join(name)).unwrap() {
            let entry = entry.unwrap();
            files.insert(entry.file_name().into_string().unwrap(), Bytes::from(std::fs::read(entry.path()).unwrap()));
        }
        let mut names: Vec<String> = files.keys().cloned().collect();
        names.sort();
        let small: Vec<String> =
            names.iter().filter(|name| (9..65536).contains(&files[*name].len())).cloned().collect();
        let mut rng = common::rng::Rng::new(7);
        for _ in 0..60 {
            let name = rng.pick(&small);
            let mut bytes = files[name].to_vec();
            for _ in 0..=rng.below(4) {
                let at = 8 + rng.below(bytes.len() - 8);
                bytes[at] = rng.below(256) as u8;
            }
            if rng.one_in(8) {
                bytes.truncate(8 + rng.below(bytes.len() - 8));
            }
            let mut files = files.clone();
            files.insert(name.clone(), bytes.into());
            let source = Memory { names: names.clone(), files };
            ask_everything(&Checkpoint::from_source(Arc::new(source), Limits::default()));
        }
    }
}

/// Without the image of files the memory is there, and its mappings have no names; that is told, once.
#[test]
fn lost_names_cost_no_memory() {
    let dir = tempfile::tempdir().unwrap();
    common::corpus::copy_dump(&common::corpus::data().join("tree"), dir.path());
    std::fs::write(dir.path().join("files.img"), "garbage").unwrap();
    let dump = Checkpoint::open(dir.path()).unwrap();
    let whole = Checkpoint::open(common::corpus::data().join("tree")).unwrap();
    let [space, want] = [&dump, &whole].map(|dump| dump.task(100).unwrap().address_space().unwrap().unwrap());
    assert_eq!((space.problems().len(), want.problems().len()), (1, 0));
    let [mut found, mut there] = [vec![0; 0x3000], vec![1; 0x3000]];
    space.read(0x4c_2000, &mut found).unwrap();
    want.read(0x4c_2000, &mut there).unwrap();
    assert!(found == there);
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_icecore"))
        .args(["search", "--count", "--name", "heap"])
        .arg(dir.path())
        .arg("a")
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(told.matches("files.img").count(), 1, "{told}");
    assert!(output.status.code() == Some(0) && !output.stdout.is_empty());
}
