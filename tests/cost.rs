//! Dumps that are made to cost much: what they cost stays in proportion to what they are.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod common;

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use common::alloc::{self, Counting};
use common::synthetic::{PAGE, Process, plain};
use common::writer::{File, Message, message};
use icecore::base::report::Collect;
use icecore::object::json::{self, Form};
use icecore::object::upgrade::image::{Context, Converted, Put, up_image};
use icecore::{Checkpoint, ErrorKind, Image, Kind, Limits};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A directory with these images.
fn dump(images: &[(&str, File)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, file) in images {
        std::fs::write(directory.path().join(name), &file.0).unwrap();
    }
    directory
}

fn tasks(count: u64) -> File {
    (1..=count).fold(File::new("PSTREE"), |file, pid| {
        file.entry(&message().uint(1, pid).uint(2, 0).uint(3, 1).uint(4, 1).uint(5, pid))
    })
}

fn fown() -> Message {
    (1..=5).fold(message(), |fown, number| fown.uint(number, 0))
}

fn icecore(words: &[&str], directory: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_icecore")).args(words).arg(directory).output().unwrap()
}

/// A core file is written in flat memory: of a long mapping, of many, and of compressed pages.
#[test]
fn core_files_take_little_memory() {
    use icecore::base::report::{Cancel, Silent};

    let _alone = alloc::alone();
    let mut long = Process::new(7);
    long.map(0x10_0000_0000, 0x10_0000_0000 + 4096 * PAGE, 3, 0x22, 0x201);
    (0..2048).for_each(|page| long.page(0x10_0000_0000 + 2 * page * PAGE, 1));
    let mut many = Process::new(7);
    (0..20_000).for_each(|index| {
        many.map(0x10_0000_0000 + 2 * index * PAGE, 0x10_0000_0000 + (2 * index + 1) * PAGE, 3, 0x22, 0x201)
    });
    let mut packed = Process::new(7);
    packed.map(0x10_0000_0000, 0x10_0000_0000 + 4096 * PAGE, 3, 0x22, 0x201);
    packed.lz4(0x10_0000_0000, &vec![plain(16 * PAGE as usize, 3); 256], 16);
    for (process, limit) in [(long, 2 << 20), (many, 12 << 20), (packed, 2 << 20)] {
        let directory = process.write();
        let target = tempfile::tempdir().unwrap();
        let (peak, rows) = alloc::peak(|| {
            let dump = Checkpoint::open(directory.path()).unwrap();
            let mut rows = Collect::default();
            icecore::tool::coredump::cores(&dump, &[], target.path(), (&Silent, &Cancel::default()), &mut rows)
                .unwrap();
            rows.rows.len()
        });
        assert_eq!(rows, 1);
        assert!(peak < limit, "{peak} bytes");
    }
}

#[test]
fn a_file_of_zeros_costs_no_memory() {
    let _alone = alloc::alone();
    const LENGTH: usize = 2 << 20;
    let zeros = |magic: &str| File::new(magic).raw(vec![0; LENGTH]);
    let directory = dump(&[("pstree.img", tasks(1)), ("files.img", zeros("FILES")), ("fdinfo-1.img", zeros("FDINFO"))]);
    let dump_files = || {
        let dump = Checkpoint::open(directory.path()).unwrap();
        let mut rows = Collect::default();
        icecore::view::fds::fds(&dump, None, &mut rows).unwrap();
        (rows.problems.len(), rows.rows.len())
    };
    let (peak, (problems, rows)) = alloc::peak(dump_files);
    assert!(peak < 16 * LENGTH, "{peak} bytes");
    assert_eq!((problems, rows), (2 * 1001, 0));

    let directory = dump(&[("pstree.img", zeros("PSTREE"))]);
    let (peak, problems) = alloc::peak(|| Checkpoint::open(directory.path()).unwrap().tasks().unwrap().problems.len());
    assert!(peak < LENGTH + (1 << 20), "{peak} bytes");
    assert_eq!(problems, 1001);
}

#[test]
fn what_one_entry_lacks_or_has_too_much_costs_no_memory() {
    let _alone = alloc::alone();
    const FIELDS: usize = 1 << 20;
    let decoded = |name: &str, file: File, limits: Limits| {
        let image = Image::open(name, file.0.into(), limits).unwrap();
        let mut warnings = 0;
        let work = || json::decode(&image, &Form::COMPACT, &mut std::io::sink(), &mut |_| warnings += 1);
        let (peak, result) = alloc::peak(work);
        (peak, warnings, result)
    };
    // mappings without anything
    let lacking = File::new("MM").entry(&message().raw([0x72, 0].repeat(FIELDS)));
    let (peak, warnings, result) = decoded("mm-1.img", lacking, Limits::default());
    assert!(peak < 4 << 20 && result.is_ok(), "{peak} bytes, {result:?}");
    assert_eq!(warnings, 100);
    // an address of a million words, which the pretty form would show as one
    let socket = (1..=10).fold(message(), |socket, number| socket.uint(number, 1)).bytes(11, vec![1; FIELDS]);
    let socket = socket.message(13, &fown()).message(14, &(1..=6).fold(message(), |options, n| options.uint(n, 0)));
    let file = File::new("FILES").entry(&message().uint(1, 4).uint(2, 1).message(4, &socket));
    let image = Image::open("files.img", file.0.into(), Limits::default()).unwrap();
    let work = || json::decode(&image, &Form::PRETTY, &mut std::io::sink(), &mut |error| panic!("{error}"));
    let (peak, result) = alloc::peak(work);
    assert!(peak < 4 << 20 && result.is_ok(), "{peak} bytes, {result:?}");
    // unknown fields that follow each other, and some that do not
    let unknown = File::new("FS").entry(&message().uint(1, 1).uint(2, 1).raw([0x78, 0].repeat(FIELDS)));
    let (peak, _, result) = decoded("fs-1.img", unknown, Limits::default());
    assert!(peak < 4 << 20 && result.is_ok(), "{peak} bytes, {result:?}");
    let between = [0x78, 0, 0x68, 0].repeat(FIELDS / 2);
    let between: Vec<u8> =
        [&[8, 0, 16, 0, 24, 0, 32, 0][..], &[0x2a, 0, 0x7a, 0].repeat(FIELDS / 2), &between].concat();
    let limits = Limits { memory: 1 << 20, ..Limits::default() };
    let pstree = File::new("PSTREE").entry(&message().raw(between));
    let (peak, _, result) = decoded("pstree.img", pstree, limits);
    assert!(peak < 8 << 20, "{peak} bytes");
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Limit);
}

#[test]
fn deep_messages_are_not_put_together_before_they_are_written() {
    let _alone = alloc::alone();
    let mut dir = (0..1500).fold(message().bytes(1, ""), |dir, _| dir.message(3, &message().bytes(1, "").bytes(2, "")));
    for _ in 0..44 {
        dir = message().bytes(1, "").message(2, &dir);
    }
    let cgroup = message().message(2, &message().message(2, &dir));
    let file = (0..200).fold(File::new("CGROUP"), |file, _| file.entry(&cgroup));
    let image = Image::open("cgroup.img", file.0.into(), Limits::default()).unwrap();
    let work = || json::decode(&image, &Form::PRETTY, &mut std::io::sink(), &mut |_| {});
    let (peak, result) = alloc::peak(work);
    assert!(peak < 16 << 20 && result.is_ok(), "{peak} bytes, {result:?}");
}

#[test]
fn sorting_keys_has_a_limit_and_errors_are_short() {
    let _alone = alloc::alone();
    // two fields in turn, eight times: no runs
    let json =
        r#"{"magic": "FS", "entries": [{"cwd_id": 1, "root_id": 2, "@unknown": "eABwAHgAcAB4AHAAeABwAHgAcAB4AHAA"}]}"#;
    let encode = |json: &str, memory: u64| {
        let mut out = Vec::new();
        let limits = Limits { memory, ..Limits::default() };
        json::encode(json.as_bytes(), &limits, &mut out).map(|()| out)
    };
    assert!(encode(json, 1 << 20).is_ok());
    let error = encode(json, 100).unwrap_err();
    assert_eq!((error.kind(), error.entry()), (ErrorKind::Limit, Some(0)), "{error}");

    let long = "x".repeat(1 << 20);
    for json in [
        format!(r#"{{"magic": "FS", "entries": [{{"cwd_id": "{long}"}}]}}"#),
        format!(r#"{{"magic": "{long}", "entries": []}}"#),
    ] {
        let error = encode(&json, 1 << 20).unwrap_err().to_string();
        assert!(error.len() < 300 && error.contains("xxx\" and 1048496 bytes more"), "{error}");
    }
}

#[test]
fn a_pipe_with_many_ends_takes_time_that_grows_with_them() {
    let _alone = alloc::alone();
    const ENDS: u64 = 30_000;
    let mut files = File::new("FILES");
    let mut fds = File::new("FDINFO");
    for id in 1..=ENDS {
        let pipe = message().uint(1, id).uint(2, 7).uint(3, id % 2).message(4, &fown());
        files = files.entry(&message().uint(1, 2).uint(2, id).message(18, &pipe));
        fds = fds.entry(&message().uint(1, id).uint(2, 0).uint(3, 2).uint(4, id));
    }
    let directory = dump(&[("pstree.img", tasks(1)), ("files.img", files), ("fdinfo-1.img", fds)]);
    let dump = Checkpoint::open(directory.path()).unwrap();
    let since = Instant::now();
    let mut rows = Collect::default();
    icecore::view::fds::fds(&dump, None, &mut rows).unwrap();
    assert!(since.elapsed() < Duration::from_secs(20), "{:?}", since.elapsed());
    assert_eq!(rows.rows.len() as u64, ENDS);
    assert!(rows.rows.iter().all(|row| row.other_end_total as u64 == ENDS / 2 && row.other_end.len() == 16));
}

#[test]
fn every_question_tells_of_tasks_that_cannot_be_read() {
    let _alone = alloc::alone();
    let directory = dump(&[("pstree.img", File::new("PSTREE").raw([0, 0, 0, 0])), ("files.img", File::new("FILES"))]);
    for verb in ["ps", "fds", "maps", "sockets", "info"] {
        let output = icecore(&[verb], directory.path());
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{verb}: {errors}");
        assert!(errors.contains("pstree.img: entry 0"), "{verb}: {errors}");
    }
}

#[test]
fn an_image_that_many_name_is_read_once() {
    let _alone = alloc::alone();
    const NAMED: u64 = 20_000;
    let large = message().uint(1, 1).uint(2, 1).uint(3, 1).uint(4, 1).uint(5, 0).uint(6, 0).uint(7, 0);
    let large = large.raw([0xf8, 7, 0].repeat(100_000)).uint(1, 0).uint(3, 0);
    let options = (1..=6).fold(message(), |options, number| options.uint(number, 0));
    let mut files = File::new("FILES");
    for id in 1..=NAMED {
        let socket = [(1, id), (2, 1), (3, 2), (4, 1), (5, 6), (6, 1), (7, 0), (8, 1), (9, 1), (10, 0)];
        let socket = socket.into_iter().fold(message(), |socket, (number, value)| socket.uint(number, value));
        let socket = socket.uint(11, 1).uint(12, 1).message(13, &fown()).message(14, &options);
        files = files.entry(&message().uint(1, 4).uint(2, id).message(4, &socket));
    }
    let threads = vec![2; NAMED as usize];
    let pstree = message().uint(1, 1).uint(2, 0).uint(3, 1).uint(4, 1);
    let pstree = threads.iter().fold(pstree.uint(5, 1), |pstree, tid| pstree.uint(5, *tid));
    let core = message().uint(1, 1).raw([0xf8, 7, 0].repeat(100_000));
    let directory = dump(&[
        ("pstree.img", File::new("PSTREE").entry(&pstree)),
        ("files.img", files),
        ("tcp-stream-1.img", File::new("TCP_STREAM").entry(&large)),
        ("core-2.img", File::new("CORE").entry(&core)),
    ]);
    let dump = Checkpoint::open(directory.path()).unwrap();
    let since = Instant::now();
    let mut rows = Collect::default();
    icecore::view::sockets::sockets(&dump, &mut rows).unwrap();
    assert_eq!(rows.rows.len() as u64, NAMED, "{:?}", rows.problems.last());
    let mut rows = Collect::default();
    icecore::view::ps::ps(&dump, icecore::view::ps::Options { threads: true, ..Default::default() }, &mut rows)
        .unwrap();
    assert!(rows.rows.len() <= 2 && rows.problems.len() < 5, "{:?}", rows.problems.last());
    assert!(rows.problems.iter().any(|problem| problem.what().contains("each thread of pid 1 once")));
    assert!(since.elapsed() < Duration::from_secs(20), "{:?}", since.elapsed());
}

#[test]
fn warnings_without_end_are_counted() {
    let _alone = alloc::alone();
    let directory = dump(&[("fs-1.img", File::new("FS").raw([0; 4000]))]);
    let output = icecore(&["crit", "decode", "-i"], &directory.path().join("fs-1.img"));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), errors.lines().count()), (Some(0), 21));
    assert!(errors.ends_with("icecore: 980 more such warnings\n"), "{errors}");
}

#[test]
fn lengths_of_32_bits_have_32_bits() {
    let desc = (1..=7).fold(message(), |desc, number| desc.uint(number, 1));
    let big = |low: u64| 1 << 32 | low;
    let tcp = message().uint(1, big(2)).uint(2, 1).uint(3, 1).uint(4, 1).uint(5, 0).uint(6, 0).uint(7, 0);
    let cases = [
        (
            File::new("IPCNS_SEM").entry(&message().message(1, &desc).uint(2, big(4))).raw("12345678"),
            "\"nsems\": 4, \"extra\": [12849, 13363, 13877, 14391]",
        ),
        (File::new("TCP_STREAM").entry(&tcp).raw("abc"), "\"extra\": {\"inq\": \"YWI=\\n\", \"outq\": \"Yw==\\n\"}"),
    ];
    for (file, expected) in cases {
        let image = Image::by_magic("x", file.0.into(), Limits::default()).unwrap();
        let mut text = Vec::new();
        json::decode(&image, &Form::COMPACT, &mut text, &mut |error| panic!("{error}")).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains(expected), "{text}");
    }
}

/// Very many entries, lazy ones and in blocks: what a lookup, a walk and cutting into parts take beside the maps.
#[test]
fn memory_of_any_size_takes_little_memory() {
    let _alone = alloc::alone();
    const ENTRIES: u64 = 200_000;
    let blocks = message().packed(1, &[0, 0]).uint(2, 0).uint(3, 1);
    let plain = (message().uint(2, 0).uint(4, 2).uint(5, 1), 1);
    for (entry, pages) in [plain, (message().uint(2, 0).uint(4, 4).uint(5, 2).message(6, &blocks), 2)] {
        let dir = tempfile::tempdir().unwrap();
        let mut file = File::new("PAGEMAP").entry(&message().uint(1, 1));
        for number in 0..ENTRIES {
            let mut first = message().uint(1, number << 16);
            first.0.extend(&entry.0);
            file = file.entry(&first);
        }
        std::fs::write(dir.path().join("pagemap-7.img"), &file.0).unwrap();
        std::fs::write(dir.path().join("pages-1.img"), "").unwrap();
        drop(file);
        let (peak, (runs, parts)) = alloc::peak(|| {
            let space = Checkpoint::open(dir.path()).unwrap().task(7).unwrap().address_space().unwrap().unwrap();
            assert!(space.page(1 << 30).is_ok());
            (space.runs(0..u64::MAX).count() as u64, space.parts(0..u64::MAX, 1 << 20).len())
        });
        assert_eq!((runs, parts), (ENTRIES, 1), "{pages}");
        // 20 bytes each for lookups, twice while the table grows
        assert!(peak < 50 * ENTRIES as usize, "{peak} bytes");
    }
}

/// Takes records and keeps nothing of them but how long they were.
#[derive(Default)]
struct Count(u64, usize);

impl Put for Count {
    fn record(&mut self, _: u32, _: u32, payload: &[u8]) -> icecore::Result<()> {
        self.0 += payload.len() as u64;
        self.1 = self.1.max(payload.len());
        Ok(())
    }
}

/// A long payload, a raw file, and long messages, all in files with holes, become records in flat memory.
#[test]
fn long_images_become_records_in_little_memory() {
    use icecore::base::map::{Access, content};
    use std::os::unix::fs::FileExt;

    const LONG: u64 = 8 << 20;
    let _alone = alloc::alone();
    let directory = tempfile::tempdir().unwrap();
    let convert = |name: &str, head: &File, length: u64, words: &[u64]| {
        let path = directory.path().join(name);
        let file = std::fs::File::options().create(true).read(true).write(true).truncate(true).open(&path).unwrap();
        file.set_len(length).unwrap();
        file.write_all_at(&head.0, 0).unwrap();
        words.iter().for_each(|at| file.write_all_at(&(LONG as u32 - 4).to_le_bytes(), *at).unwrap());
        let image = Image::open(name, content(&file, &path, Access::Map).unwrap(), Limits::default()).unwrap();
        let mut count = Count::default();
        let (peak, done) = alloc::peak(|| up_image(&image, &Context::alone(Limits::default()), &mut count).unwrap());
        assert!(count.0 >= length - (1 << 20) && count.1 <= 9 << 20, "{name}: {} bytes, at most {}", count.0, count.1);
        (peak, done)
    };
    let ghost = message().uint(1, 0).uint(2, 0).uint(3, 0o100_644).uint(4, 1).uint(5, 2);
    let (peak, done) = convert("ghost-file-1.img", &File::new("GHOST_FILE").entry(&ghost), 32 * LONG, &[]);
    assert_eq!(done, Some(Converted { objects: 1, raw: 0 }));
    assert!(peak < 8 << 20, "{peak} bytes");
    let (peak, done) = convert(&Kind::TmpfsDev.file_name(1).unwrap(), &File::default(), 32 * LONG, &[]);
    assert_eq!(done, Some(Converted::default()));
    assert!(peak < 8 << 20, "{peak} bytes");
    // messages of 8 MiB that are none
    let words: Vec<u64> = (0..32).map(|index| 8 + index * LONG).collect();
    let (peak, done) = convert("files.img", &File::new("FILES"), 8 + 32 * LONG, &words);
    assert_eq!(done, Some(Converted { objects: 32, raw: 32 }));
    assert!(peak < 128 << 20, "{peak} bytes");
}
