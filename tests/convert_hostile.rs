//! Bundles that somebody made to harm who converts them, and what somebody does who does not look: nothing leaves the
//! target, nothing is half there, nothing is lost.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use common::rng::Rng;
use common::v2::{self, File};
use icecore::base::report::{Cancel, Silent};
use icecore::tool::convert::{Convert, Target, convert};
use icecore::{Checkpoint, Error};

const PROGRAM: &str = env!("CARGO_BIN_EXE_icecore");
const FILE: u32 = 202;
const NAME: u32 = 3;
const BLOB: u32 = 11;
const NONE: u64 = u64::MAX;

/// What a name stands for.
enum What<'a> {
    File,
    Directory,
    Link(&'a str),
}

use What::{Directory, Link};

fn begun(parents: &[u8]) -> File {
    let mut file = File::new(0x1122_3344_5566_7788);
    let head = [&[0x08, 0x80, 0x20, 0x10, 0x01][..], parents].concat();
    file.section(v2::CHECKPOINT, 0).record(12, 1, &head).stop();
    file
}

fn named(names: &[(&str, What<'_>)]) -> File {
    let mut file = begun(&[]);
    for (id, (name, what)) in (0u64..).zip(names) {
        let mut payload = v2::bytes(1, name.as_bytes());
        match what {
            What::File => {}
            Directory => payload.extend([0x18, 1]),
            Link(link) => payload.extend(v2::bytes(2, link.as_bytes())),
        }
        file.section(FILE, id).record(NAME, 1, &payload);
        if matches!(what, What::File) {
            file.record(BLOB, 1, &[v2::fixed64(1, 0), v2::bytes(2, b"content")].concat());
        }
        file.stop();
    }
    file
}

fn back(file: &File, folder: &Path) -> Result<(), Error> {
    let bundle = folder.join("it.criu");
    fs::write(&bundle, &file.out).unwrap();
    let target = folder.join("back");
    convert(&bundle, Target::V1(&target), &Convert::default(), (&Silent, &Cancel::default())).map(drop)
}

#[track_caller]
fn refused(file: &File) -> String {
    let folder = tempfile::tempdir().unwrap();
    let error = back(file, folder.path()).expect_err("an error").to_string();
    assert!(!folder.path().join("back").exists(), "{error}");
    error.replace(&*folder.path().to_string_lossy(), "")
}

#[test]
fn names_that_leave_the_directory_or_meet_in_it() {
    let outside = tempfile::tempdir().unwrap();
    let to = outside.path().to_str().unwrap();
    let cases: [&[(&str, What<'_>)]; 7] = [
        &[("d", Link(to)), ("d/x", Link("/etc/passwd"))],
        &[("d", Link(to)), ("d/x", What::File)],
        &[("d", Link(to)), ("d/x/", Directory)],
        &[("a", What::File), ("a/b", What::File)],
        &[("a", What::File), ("a", What::File)],
        &[("d/", Directory), ("d", Link(to)), ("d/x", What::File)],
        &[("a", What::File), ("a", Link(to))],
    ];
    for names in cases {
        let file = named(names).bundle().clone();
        let error = refused(&file);
        assert!(error.contains("expected the directory") || error.contains("expected one file"), "{error}");
    }
    assert!(fs::read_dir(outside.path()).unwrap().next().is_none());
    let mut file = named(&[("core-1.img", What::File)]);
    file.section(3, 1).stop();
    let error = refused(file.bundle());
    assert!(error.ends_with("expected one file of the name \"core-1.img\", found two"), "{error}");
    let long = "d/".repeat(1 << 20) + "x";
    let error = refused(named(&[(&long, What::File)]).bundle());
    assert!(error.contains("at most 4095 bytes"), "{error}");
}

#[test]
fn a_link_that_cannot_be_made_leaves_nothing() {
    refused(named(&[("a", What::File), ("b", Link("c")), ("l", Link(""))]).bundle());
    refused(named(&[("a", What::File), ("b/", Directory), ("l", Link("a\0b"))]).bundle());
}

#[test]
fn zeros_without_end_are_a_hole() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = begun(&[]);
    // 64 GiB of zeros, and one page behind them
    let runs = [v2::run(0x1000, 1 << 24, NONE, 0x104), v2::run(0x10_0000_1000, 1, 0, 4)].concat();
    file.section(7, 1).record(10, 1, &[0x08, 1]).record(v2::RUN, 2, &runs).stop();
    file.section(v2::PAGES, 0).block(0, 4096, 1, &[b'A'; 4096]).stop();
    back(file.bundle(), folder.path()).unwrap();
    let pages = fs::File::open(folder.path().join("back/pages-1.img")).unwrap();
    let meta = pages.metadata().unwrap();
    assert_eq!(meta.len(), (1 << 36) + 4096);
    assert!(std::os::unix::fs::MetadataExt::blocks(&meta) < 1 << 10);
    let mut last = [0; 4096];
    std::os::unix::fs::FileExt::read_exact_at(&pages, &mut last, 1 << 36).unwrap();
    assert_eq!(last, [b'A'; 4096]);
}

#[test]
fn zero_units_without_end_are_a_hole() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = begun(&[]);
    // 64 GiB in units of 4 MiB that take no bytes
    let (pages, units) = (1u32 << 24, 1usize << 14);
    let block = [v2::fixed64(1, 0), v2::fixed32(2, pages), v2::fixed32(3, 1), v2::fixed32(4, 1024)].concat();
    let payload = [block, v2::bytes(5, &vec![0; units * 4]), vec![0x42, 0]].concat();
    file.section(7, 1).record(10, 1, &[0x08, 1]);
    file.record(v2::RUN, 1, &v2::run(0x1000, u64::from(pages), 0, 4)).stop();
    file.section(v2::PAGES, 0).record(v2::BLOCK, 1, &payload).stop();
    // a stream, which has no table of blocks
    file.stream();
    back(&file, folder.path()).unwrap();
    let meta = fs::metadata(folder.path().join("back/pages-1.img")).unwrap();
    assert_eq!(meta.len(), 1 << 36);
    assert!(std::os::unix::fs::MetadataExt::blocks(&meta) < 1 << 10);
}

#[test]
fn a_parent_that_is_no_file_is_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
    for path in ["pipe", "/dev/zero"] {
        let mut file = begun(&v2::bytes(7, &v2::bytes(4, path.as_bytes())));
        file.section(7, 1).record(10, 1, &[0x08, 1]).record(v2::RUN, 1, &v2::run(0x1000, 1, NONE, 0x801)).stop();
        let bundle = folder.path().join("child.criu");
        fs::write(&bundle, &file.bundle().out).unwrap();
        let dump = Checkpoint::open(&bundle).unwrap();
        let error = dump.parents().get(1).map(drop).expect_err("an error").to_string();
        assert!(error.contains("found no file and no directory"), "{error}");
    }
}

fn tree(folder: &Path) -> std::path::PathBuf {
    let dump = folder.join("dump");
    fs::create_dir(&dump).unwrap();
    for entry in fs::read_dir(common::corpus::data().join("tree")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, dump.join(path.file_name().unwrap())).unwrap();
    }
    dump
}

/// What the program says on its way to a failure.
#[track_caller]
fn complaint(folder: &Path, words: &[&str]) -> String {
    let output = Command::new(PROGRAM).arg("convert").args(words).current_dir(folder).output().unwrap();
    assert!(!output.status.success(), "{words:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn targets_that_would_harm() {
    let folder = tempfile::tempdir().unwrap();
    let (path, dump) = (folder.path(), tree(folder.path()));
    let run = |words: &[&str]| {
        let output = Command::new(PROGRAM).arg("convert").args(words).current_dir(path).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    run(&["dump", "-o", "base.criu"]);
    run(&["dump", "-o", "next.criu", "--parent", "base.criu"]);
    run(&["dump", "-o", "images"]);
    let before = fs::read(path.join("base.criu")).unwrap();
    for words in [
        ["dump", "-o", "base.criu", "--parent", "base.criu"],
        ["base.criu", "-o", "./base.criu", "--parent", "base.criu"],
        ["dump", "-o", "base.criu", "--parent", "next.criu"],
    ] {
        let said = complaint(path, &words);
        assert!(said.contains("is a parent of what would be written over it"), "{said}");
    }
    assert!(fs::read(path.join("base.criu")).unwrap() == before);
    for words in [["dump", "-o", "dump/it.criu"], ["dump", "-o", "dump/a/b"], ["images", "-o", "images/it.criu"]] {
        let said = complaint(path, &words);
        assert!(said.contains("lies in the directory that is converted"), "{said}");
    }
    assert_eq!(
        fs::read_dir(&dump).unwrap().count(),
        fs::read_dir(common::corpus::data().join("tree")).unwrap().count()
    );
    fs::write(path.join("taken"), "").unwrap();
    for words in [["dump", "-o", "taken"], ["dump", "-o", "/dev/null"]] {
        assert!(complaint(path, &words).contains("the name of a bundle ends in .criu"));
    }
    for option in [&["--compress", "lz4"][..], &["--unit", "64K"], &["--no-share"], &["--parent", "base.criu"]] {
        let said = complaint(path, &[&["base.criu", "-o", "v1"][..], option].concat());
        assert!(said.contains("is about version 2") && said.contains(option[0]), "{said}");
    }
    let said = complaint(path, &["images", "-o", "v1", "--salvage"]);
    assert!(said.contains("--salvage is for a bundle or a stream"), "{said}");
}

#[test]
fn a_reader_that_leaves_is_told() {
    let folder = tempfile::tempdir().unwrap();
    tree(folder.path());
    let mut child = Command::new(PROGRAM)
        .args(["convert", "dump", "-o", "-"])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("left before its end"));
}

#[test]
fn a_pagemap_without_a_byte() {
    let folder = tempfile::tempdir().unwrap();
    let dump = folder.path().join("dump");
    fs::create_dir(&dump).unwrap();
    fs::write(dump.join("pagemap-1.img"), "").unwrap();
    fs::write(dump.join("pagemap-shmem-1.img"), "").unwrap();
    let (bundle, back) = (folder.path().join("it.criu"), folder.path().join("back"));
    for (from, to) in [(&dump, Target::Bundle(&bundle)), (&bundle, Target::V1(&back))] {
        convert(from, to, &Convert::default(), (&Silent, &Cancel::default())).unwrap();
    }
    assert_eq!(fs::read(back.join("pagemap-1.img")).unwrap(), b"");
    assert_eq!(fs::read(back.join("pagemap-shmem-1.img")).unwrap(), b"");
}

#[test]
fn memory_that_runs_cannot_say_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let dump = tree(folder.path());
    let pages = fs::OpenOptions::new().write(true).open(dump.join("pages-1.img")).unwrap();
    pages.set_len(pages.metadata().unwrap().len() - 1).unwrap();
    let output =
        Command::new(PROGRAM).args(["convert", "dump", "-o", "it.criu"]).current_dir(folder.path()).output().unwrap();
    assert!(output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("its pages file is cut short: it is kept as a file"), "{said}");
}

#[test]
fn a_full_disk_is_told_with_the_name_of_the_target() {
    let folder = tempfile::tempdir().unwrap();
    tree(folder.path());
    let script = "trap '' XFSZ; ulimit -f 64; exec \"$0\" convert dump -o it.criu";
    let output = Command::new("sh").args(["-c", script, PROGRAM]).current_dir(folder.path()).output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.starts_with("icecore: it.criu: cannot write: "), "{said}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn links_stay_links_also_to_pages() {
    let folder = tempfile::tempdir().unwrap();
    let dump = tree(folder.path());
    for name in ["pages-1.img", "pagemap-101.img", "core-102.img"] {
        fs::rename(dump.join(name), folder.path().join(name)).unwrap();
        std::os::unix::fs::symlink(format!("../{name}"), dump.join(name)).unwrap();
    }
    let (bundle, back) = (folder.path().join("it.criu"), folder.path().join("back"));
    let there = convert(&dump, Target::Bundle(&bundle), &Convert::default(), (&Silent, &Cancel::default())).unwrap();
    assert_eq!(there.counts.kept_pagemaps.len(), 2);
    convert(&bundle, Target::V1(&back), &Convert::default(), (&Silent, &Cancel::default())).unwrap();
    for entry in fs::read_dir(&dump).unwrap() {
        let name = entry.unwrap().file_name();
        let (one, two) = (dump.join(&name), back.join(&name));
        assert_eq!(fs::read_link(&one).ok(), fs::read_link(&two).ok(), "{name:?}");
        assert!(one.is_symlink() || fs::read(&one).unwrap() == fs::read(&two).unwrap(), "{name:?}");
    }
}

#[test]
fn one_core_that_is_lost_does_not_hide_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let dump = tree(folder.path());
    let images = folder.path().join("images");
    let run = |target| convert(&dump, target, &Convert::default(), (&Silent, &Cancel::default()));
    run(Target::Images(&images)).unwrap();
    fs::remove_file(images.join("core-101.criu")).unwrap();
    let whole = Checkpoint::open(&dump).unwrap();
    let partial = Checkpoint::open(&images).unwrap();
    let (whole, partial) = (whole.tasks().unwrap(), partial.tasks().unwrap());
    let pids = |tasks: &[icecore::checkpoint::task::Task<'_>]| -> Vec<(u32, u32, u32)> {
        let tasks = tasks.iter().filter(|task| task.pid() != 101);
        tasks.map(|task| (task.pid(), task.sid(), task.pgid())).collect()
    };
    assert_eq!(pids(&whole.items), pids(&partial.items));
    let said: Vec<String> = partial.problems.iter().map(ToString::to_string).collect();
    assert!(matches!(said.as_slice(), [one] if one.contains("pgid")), "{said:?}");
    let error =
        convert(&images, Target::V1(&folder.path().join("back")), &Convert::default(), (&Silent, &Cancel::default()));
    assert!(error.is_err());
    assert!(!folder.path().join("back").exists());
}

#[test]
fn page_sizes_that_no_machine_has() {
    for size in [0, 3] {
        let mut file = File::new(7);
        file.section(v2::CHECKPOINT, 0).record(12, 1, &[0x08, size, 0x10, 0x01]).stop();
        let error = refused(file.bundle());
        assert!(error.ends_with(&format!("expected a page size that is a power of two, found {size}")), "{error}");
    }
}

/// Pagemaps as no CRIU writes them, beside pages files that have too few or too many bytes.
#[test]
fn random_odd_pagemaps_there_and_back() {
    let mut random = Rng::new(0x0dd);
    for round in 0..60 {
        let folder = tempfile::tempdir().unwrap();
        let dump = folder.path().join("dump");
        fs::create_dir(&dump).unwrap();
        for id in 1..=2 {
            let (map, pages) = odd(&mut random, id);
            fs::write(dump.join(format!("pagemap-{id}.img")), map).unwrap();
            if random.below(8) > 0 {
                fs::write(dump.join(format!("pages-{id}.img")), pages).unwrap();
            }
        }
        let (bundle, back) = (folder.path().join("it.criu"), folder.path().join("back"));
        for (from, to) in [(&dump, Target::Bundle(&bundle)), (&bundle, Target::V1(&back))] {
            convert(from, to, &Convert::default(), (&Silent, &Cancel::default())).unwrap();
        }
        let names = |at: &Path| {
            let mut names: Vec<_> = fs::read_dir(at).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        assert_eq!(names(&dump), names(&back), "round {round}");
        for name in names(&dump) {
            assert!(fs::read(dump.join(&name)).unwrap() == fs::read(back.join(&name)).unwrap(), "{round}: {name:?}");
        }
    }
}

fn odd(random: &mut Rng, id: u64) -> (Vec<u8>, Vec<u8>) {
    let number = |key: u8, value: u64| [&[key][..], &v2::varint(value)].concat();
    let message = |random: &mut Rng, bytes: Vec<u8>| {
        let extra = if random.below(12) == 0 { number(0x78, 5) } else { Vec::new() };
        [&((bytes.len() + extra.len()) as u32).to_le_bytes()[..], &bytes, &extra].concat()
    };
    let mut map = [0x5456_4319u32.to_le_bytes(), 0x5608_4025u32.to_le_bytes()].concat();
    // seldom one that both have
    let pages_id = if random.below(10) == 0 { 1 } else { id };
    map.extend(message(random, number(0x08, pages_id)));
    let (mut vaddr, mut stored) = (0x1000u64, 0usize);
    for _ in 0..random.below(6) {
        let pages = random.below(4) as u64;
        let most = if random.below(4) == 0 { 11 } else { 6 };
        let flags = [4, 4, 4, 4, 1, 2, 6, 12, 0, 5, 0x84][random.below(most)];
        let odd_address = if random.below(20) == 0 { 0x123 } else { 0 };
        let mut entry = number(0x08, vaddr + odd_address);
        match random.below(8) {
            0 => entry.extend([number(0x10, pages), number(0x20, flags)].concat()),
            1 => entry.extend([number(0x28, pages), number(0x20, flags), number(0x10, 0)].concat()),
            _ => entry.extend([number(0x10, 0), number(0x20, flags), number(0x28, pages)].concat()),
        }
        map.extend(message(random, entry));
        stored += if flags & 4 == 0 { 0 } else { pages as usize };
        vaddr += (pages + random.below(3) as u64) * 4096;
    }
    let mut pages: Vec<u8> = (0..stored).flat_map(|_| [random.below(3) as u8; 4096]).collect();
    match random.below(10) {
        0 => pages.truncate(pages.len() / 2),
        1 => pages.extend([7; 100]),
        _ => {}
    }
    if random.below(15) == 0 {
        map.truncate(map.len() - random.below(map.len()));
    }
    (map, pages)
}
