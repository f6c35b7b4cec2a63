//! What is at each address: against truth tables made while the processes were alive, against a plain program, and
//! compressed dumps against the same dumps unpacked.
#![allow(
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr
)]

mod common;

use std::fs;
use std::path::Path;

use common::{corpus, flat};
use icecore::checkpoint::AddressSpace;
use icecore::memory::{Content, Page};
use icecore::{Checkpoint, Kind};
use sha2::{Digest, Sha256};

fn space(dump: &Checkpoint, pid: u32) -> AddressSpace {
    dump.task(pid).unwrap().address_space().unwrap().unwrap()
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn pages_are_what_the_process_had() {
    let mut count = 0;
    for name in ["tree", "python", "container"] {
        let dump = Checkpoint::open(corpus::data().join(name)).unwrap();
        let truth = fs::read_to_string(corpus::data().join(format!("{name}.pages"))).unwrap();
        for line in truth.lines() {
            let [pid, address, pages, want] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
            let start = u64::from_str_radix(address, 16).unwrap();
            let mut bytes = vec![0; pages.parse::<usize>().unwrap() * 4096];
            let space = space(&dump, pid.parse().unwrap());
            space.read(start, &mut bytes).unwrap();
            assert_eq!(hash(&bytes), want, "{name} {line}");
            for (page, content) in bytes.chunks(4096).enumerate() {
                match space.page(start + page as u64 * 4096 + 17).unwrap() {
                    Page::Stored(found) => assert!(found[..] == *content),
                    other => panic!("{other:?}"),
                }
                count += 1;
            }
        }
    }
    assert!(count > 500, "{count}");
}

/// Every run and every page is what the plain program finds, and nothing else is called stored or zero.
fn as_the_plain_program(dir: &Path, pid: u32) {
    let dump = Checkpoint::open(dir).unwrap();
    let space = space(&dump, pid);
    let mut want = Vec::new();
    for range in flat::memory(dir, pid) {
        for (page, bytes) in range.bytes.chunks(4096).enumerate() {
            want.push((range.start + page as u64 * 4096, bytes.to_vec()));
        }
    }
    let pages = |run: icecore::memory::Run<'_>| {
        let mut scratch = Vec::new();
        let bytes = match &run.content {
            Content::Stored(stored) => stored.bytes(&mut scratch).unwrap().to_vec(),
            Content::Zero => vec![0; run.len() as usize],
            _ => Vec::new(),
        };
        bytes
            .chunks(4096)
            .enumerate()
            .map(|(page, bytes)| (run.start + page as u64 * 4096, bytes.to_vec()))
            .collect::<Vec<_>>()
    };
    let runs: Vec<_> = space.runs(0..u64::MAX).collect();
    assert!(runs.windows(2).all(|pair| pair[0].end <= pair[1].start), "runs ascend");
    let found: Vec<_> = runs.into_iter().flat_map(pages).collect();
    if let Some((found, want)) = found.iter().zip(&want).find(|(found, want)| found != want) {
        panic!("{} {pid}: found {:#x}, expected {:#x}", dir.display(), found.0, want.0);
    }
    assert_eq!(found.len(), want.len(), "{} {pid}", dir.display());
    let parallel: Vec<_> = {
        use rayon::iter::ParallelIterator;
        space.par_runs(0..u64::MAX).flat_map_iter(pages).collect()
    };
    assert!(parallel == want, "{} {pid}: in parallel", dir.display());
    for (address, bytes) in want {
        match space.page(address).unwrap() {
            Page::Stored(found) => assert!(found[..] == bytes),
            Page::Zero => assert!(bytes.iter().all(|byte| *byte == 0)),
            other => panic!("{address:#x}: {other:?}"),
        }
    }
}

#[test]
fn every_page_is_what_a_plain_program_finds() {
    let mut dumps = flat::data();
    match corpus::large() {
        Some(large) => {
            for folder in ["chain", "compressed", "postgres", "tree", "zdtm"] {
                for dir in corpus::dumps(&large.join(folder)) {
                    // one of each test and flavour is enough where there are a thousand
                    if folder != "zdtm" || dir.to_str().unwrap().contains("compat32") {
                        dumps.push((dir.clone(), flat::pids(&dir)));
                    }
                }
            }
        }
        None => eprintln!("\n  SKIPPED: no large corpus: unpack one and set ICECORE_CORPUS to its folder\n"),
    }
    let mut count = 0;
    for (dir, pids) in dumps {
        for pid in pids {
            // a mapping of many GiB that nobody touched is too much for the plain program
            let mm = Checkpoint::open(&dir).unwrap().task(pid).unwrap().mm().unwrap().unwrap();
            if mm.mappings.iter().map(|mapping| mapping.size()).sum::<u64>() < 1 << 30 {
                as_the_plain_program(&dir, pid);
                count += 1;
            }
        }
    }
    assert!(count > 10, "{count}");
}

/// Six incremental dumps of one process, and what it had right after each.
#[test]
fn a_chain_of_increments() {
    let Some(large) = corpus::large() else {
        eprintln!("\n  SKIPPED: no large corpus: unpack one and set ICECORE_CORPUS to its folder\n");
        return;
    };
    let chain = large.join("chain/chains/tracked");
    let mut levels = 0;
    for step in 1..=6 {
        let dump = Checkpoint::open(chain.join(step.to_string())).unwrap();
        let spaces: Vec<_> = dump.tasks().unwrap().all().unwrap().iter().map(|task| space(&dump, task.pid())).collect();
        let truth = fs::read_to_string(chain.join(format!("truth-{step}.tsv"))).unwrap();
        let wrong = |space: &AddressSpace| {
            truth
                .lines()
                .filter(|line| {
                    let [address, want, ..] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
                    let address = u64::from_str_radix(address, 16).unwrap();
                    let Page::Stored(bytes) = space.page(address).unwrap() else { return true };
                    let mut bytes = bytes.to_vec();
                    if step == 1 && address == 0x7fbd_f2e2_9000 {
                        // the C library's rseq: between the first dump and its truth the kernel wrote there on which
                        // processor the thread ran
                        bytes[0x6c0..0x6c4].copy_from_slice(&[4, 0, 0, 0]);
                    }
                    hash(&bytes) != want
                })
                .collect::<Vec<_>>()
        };
        // the other process is its child
        let wrongs: Vec<_> = spaces.iter().map(wrong).collect();
        let right = wrongs.iter().position(Vec::is_empty).unwrap_or_else(|| panic!("step {step}: {wrongs:?}"));
        assert_eq!(wrongs.iter().filter(|w| !w.is_empty()).count(), wrongs.len() - 1);
        let stored = spaces[right].runs(0..u64::MAX).filter_map(|run| match run.content {
            Content::Stored(stored) => Some(stored.level()),
            _ => None,
        });
        levels = levels.max(stored.max().unwrap());
    }
    assert_eq!(levels, 5, "the last dump has pages of the first");
}

#[test]
fn compressed_dumps_read_as_their_originals() {
    let Some(large) = corpus::large() else {
        eprintln!("\n  SKIPPED: no large corpus: unpack one and set ICECORE_CORPUS to its folder\n");
        return;
    };
    let root = large.join("compressed/compressed");
    let temporary = tempfile::tempdir().unwrap();
    let mut pages = 0;
    for name in ["b", "ns", "craft", "craft2"] {
        // the same dump with crit's backups in place of what crit made of them
        let other = temporary.path().join(name);
        fs::create_dir(&other).unwrap();
        let mut backups = 0;
        for entry in fs::read_dir(root.join(name)).unwrap() {
            let entry = entry.unwrap();
            let file = entry.file_name().into_string().unwrap();
            if !file.ends_with(".bak") && entry.file_type().unwrap().is_file() {
                fs::copy(entry.path(), other.join(&file)).unwrap();
            }
        }
        for entry in fs::read_dir(root.join(name)).unwrap() {
            let entry = entry.unwrap();
            if let Some(file) = entry.file_name().to_str().and_then(|name| name.strip_suffix(".bak")) {
                fs::copy(entry.path(), other.join(file)).unwrap();
                backups += 1;
            }
        }
        let mut pairs = vec![];
        if backups > 0 {
            pairs.push(other);
        }
        if name == "b" {
            pairs.push(root.join("t"));
        }
        for other in pairs {
            pages += same_pages(&root.join(name), &other);
        }
    }
    pages += same_pages(&root.join("craft"), &root.join("craft2"));
    assert!(pages > 10_000, "{pages}");
}

/// Compares all pages of two dumps; how many those are.
fn same_pages(left: &Path, right: &Path) -> usize {
    let [left, right] = [left, right].map(|dir| Checkpoint::open(dir).unwrap());
    let mut count = 0;
    for kind in [Kind::Pagemap, Kind::PagemapShmem] {
        for image in left.images_of(kind) {
            let content = |dump: &Checkpoint| {
                let pages =
                    icecore::memory::Pages::open(dump.parents(), kind, image.id, None, dump.limits()).unwrap().unwrap();
                let mut scratch = Vec::new();
                let mut all = std::collections::BTreeMap::new();
                for run in pages.runs(0..u64::MAX) {
                    let bytes = match &run.content {
                        Content::Stored(stored) => stored.bytes(&mut scratch).unwrap().to_vec(),
                        Content::Zero => vec![0; run.len() as usize],
                        other => panic!("{}: {other:?}", image.file),
                    };
                    for (page, bytes) in bytes.chunks(4096).enumerate() {
                        let address = run.start + page as u64 * 4096;
                        match pages.page(address).unwrap().unwrap() {
                            icecore::memory::PageState::Stored(found) => assert!(found[..] == *bytes),
                            other => panic!("{other:?}"),
                        }
                        all.insert(address, bytes.to_vec());
                    }
                }
                all
            };
            let (a, b) = (content(&left), content(&right));
            assert!(a == b, "{}", image.file);
            count += a.len();
        }
    }
    count
}
