//! `pages`: counts and estimates against a plain program that keeps all pages in memory.
#![allow(
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr
)]

mod common;

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use common::process::{ANON, PAGE, Process, REGULAR};
use common::{alloc, corpus, flat};
use icecore::Checkpoint;
use icecore::base::report::{Collect, Silent};
use icecore::memory::twins::fingerprint;
use icecore::memory::{Content, Twins};
use icecore::view::Of;
use icecore::view::pages::{Stored, pages};

#[global_allocator]
static ALLOCATOR: alloc::Counting = alloc::Counting;

fn rows(dir: &Path, pid: Option<u32>) -> Vec<Stored> {
    let mut rows = Collect::default();
    pages(&Checkpoint::open(dir).unwrap(), pid, &Silent, &mut rows).unwrap();
    assert!(rows.problems.is_empty(), "{:?}", rows.problems);
    rows.rows
}

/// The entropy of bytes, by the formula.
fn entropy(bytes: &[u8]) -> f64 {
    let mut counts = [0usize; 256];
    bytes.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
    let shares = counts.iter().filter(|count| **count > 0).map(|count| *count as f64 / bytes.len() as f64);
    shares.map(|share| share * (1.0 / share).log2()).sum()
}

fn near(found: Option<f64>, wanted: f64) -> bool {
    (found.unwrap() - wanted).abs() < 0.001
}

/// Checks the rows of a dump; how many pages it has.
fn as_counted(dir: &Path) -> u64 {
    let mut met: HashSet<Vec<u8>> = HashSet::new();
    let (mut total, mut all) = ((0, 0, 0), Vec::new());
    let rows = rows(dir, None);
    for row in &rows {
        let image = match (row.of, row.pid, row.segment) {
            (Of::Total, ..) => continue,
            (_, Some(pid), _) => format!("pagemap-{pid}.img"),
            (_, _, id) => format!("pagemap-shmem-{}.img", id.unwrap()),
        };
        let range = row.start.map_or(0, |start| start.0)..row.end.map_or(u64::MAX, |end| end.0);
        let (mut count, mut zero, mut duplicate, mut bytes) = (0, 0, 0, Vec::new());
        assert_ne!(row.of, Of::Elsewhere, "the dumps here have none");
        for (_, page) in flat::stored(dir, &image).range(range).filter_map(|(at, page)| Some((at, page.as_ref()?))) {
            count += 1;
            bytes.extend(page);
            if page.iter().all(|byte| *byte == 0) {
                zero += 1;
            } else if !met.insert(page.clone()) {
                duplicate += 1;
            }
        }
        assert_eq!((row.pages, row.zero, row.duplicate), (count, zero, duplicate), "{} {row:?}", dir.display());
        assert!(near(row.entropy, entropy(&bytes)), "{row:?}");
        assert_eq!(row.saved_by_dedup, (zero + duplicate) * PAGE as u64);
        assert!(row.saved_by_both >= row.saved_by_dedup && row.saved_by_both >= row.saved_by_lz4);
        assert!(row.saved_by_both <= count * PAGE as u64);
        // of few pages all are packed: no estimate
        if count <= 256 {
            let mut saved = 0;
            for page in bytes.chunks(PAGE).filter(|page| page.iter().any(|byte| *byte != 0)) {
                saved += PAGE.saturating_sub(lz4_flex::block::compress(page).len());
            }
            assert_eq!(row.saved_by_lz4, zero * PAGE as u64 + saved as u64, "{row:?}");
        }
        total = (total.0 + count, total.1 + zero, total.2 + duplicate);
        all.extend(bytes);
    }
    let last = rows.last().unwrap();
    assert_eq!((last.pages, last.zero, last.duplicate), total);
    assert!(near(last.entropy, entropy(&all)));
    let sum = |of: fn(&Stored) -> u64| rows.iter().filter(|row| row.of != Of::Total).map(of).sum::<u64>();
    assert_eq!((last.saved_by_lz4, last.saved_by_both), (sum(|row| row.saved_by_lz4), sum(|row| row.saved_by_both)));
    // each pagemap's pages are in a row
    let mut stored = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.starts_with("pagemap-") {
            stored += flat::stored(dir, &name).values().filter(|page| page.is_some()).count();
        }
    }
    assert_eq!(stored as u64, total.0, "{}", dir.display());
    total.0
}

#[test]
fn counts_are_those_of_a_plain_program() {
    let _alone = alloc::alone();
    let count: u64 = flat::data().iter().map(|(dir, _)| as_counted(dir)).sum();
    assert!(count > 1000, "{count}");
    match corpus::large() {
        Some(large) => assert!(as_counted(&large.join("postgres/big/postgres")) > 7000),
        None => eprintln!("\n  SKIPPED: no large corpus: unpack one and set ICECORE_CORPUS to its folder\n"),
    }
}

#[test]
fn one_task_and_what_it_shares() {
    let _alone = alloc::alone();
    let rows = rows(&corpus::data().join("tree"), Some(121));
    let pids: BTreeSet<_> = rows.iter().map(|row| row.pid).collect();
    assert_eq!(pids, BTreeSet::from([None, Some(121)]));
    let segments: Vec<_> = rows.iter().filter_map(|row| row.segment).collect();
    assert_eq!(segments.len(), 2, "{segments:?}");
    // README.md of the data: two of zeros, two equal ones
    let row = rows.iter().find(|row| row.start.is_some_and(|start| start.0 == 0x1010_0000)).unwrap();
    assert_eq!((row.pages, row.zero, row.duplicate), (4, 2, 1));
}

#[test]
fn compressed_dumps_have_the_same_pages() {
    let _alone = alloc::alone();
    let Some(large) = corpus::large() else {
        eprintln!("\n  SKIPPED: no large corpus: unpack one and set ICECORE_CORPUS to its folder\n");
        return;
    };
    let root = large.join("compressed/compressed");
    // blocks of zeros are stored as nothing, and are no stored pages; all else is the same
    let counts = |name: &str| {
        let rows = rows(&root.join(name), None);
        let total = rows.last().unwrap();
        (total.pages - total.zero, total.duplicate)
    };
    assert_eq!(counts("craft"), counts("craft2"));
    assert_eq!(counts("b"), counts("t"));
}

#[test]
fn a_broken_block_costs_only_itself() {
    let _alone = alloc::alone();
    let Some(large) = corpus::large() else { return };
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(large.join("compressed/compressed/craft")).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            let mut content = std::fs::read(entry.path()).unwrap();
            if entry.file_name().to_str().unwrap().starts_with("pages-") {
                content.iter_mut().take(4096).for_each(|byte| *byte = 0xff);
            }
            std::fs::write(folder.path().join(entry.file_name()), content).unwrap();
        }
    }
    let mut rows = Collect::default();
    pages(&Checkpoint::open(folder.path()).unwrap(), None, &Silent, &mut rows).unwrap();
    let total = rows.rows.last().unwrap();
    assert!(total.broken > 0 && total.pages > 0 && !rows.problems.is_empty(), "{total:?}");
}

#[test]
fn pages_files_that_are_not_there_are_told() {
    let _alone = alloc::alone();
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (corpus::data().join("tree"), folder.path());
    for name in ["pstree.img", "mm-121.img", "pagemap-121.img", "core-121.img", "files.img", "memfd.img"] {
        std::fs::copy(from.join(name), to.join(name)).unwrap();
    }
    let mut rows = Collect::default();
    pages(&Checkpoint::open(to).unwrap(), Some(121), &Silent, &mut rows).unwrap();
    let total = rows.rows.last().unwrap();
    assert_eq!((total.pages, total.broken), (0, 40));
    // the pages file once, and two segments
    assert_eq!(rows.problems.len(), 3, "{:?}", rows.problems);
}

#[test]
fn memory_stays_flat() {
    let _alone = alloc::alone();
    let folder = tempfile::tempdir().unwrap();
    let (count, base) = (24_000usize, 0x1000_0000u64);
    let mut content = vec![0u8; count * PAGE];
    for (number, page) in content.chunks_mut(PAGE).enumerate() {
        // the second half is the first again
        let seed = (number % (count / 2)) as u64 + 1;
        for (at, word) in page.chunks_mut(8).enumerate() {
            let mixed = (seed << 20 | at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            word.copy_from_slice(&mixed.to_le_bytes());
        }
    }
    let end = base + content.len() as u64;
    let process =
        Process { mappings: vec![(base, end, REGULAR | ANON)], pages: vec![(base, content)], ..Process::default() };
    process.write(folder.path());
    drop(process);
    let (peak, found) = alloc::peak(|| rows(folder.path(), None));
    assert_eq!((found[0].pages, found[0].zero), (count as u64, 0));
    assert!(peak < 64 << 20, "{peak}");
    assert_eq!(found[0].duplicate, count as u64 / 2);
    assert!((128..512).contains(&found[0].sampled), "{}", found[0].sampled);
}

/// More different pages than the table remembers: some equal ones are missed, none is made up.
#[test]
fn a_small_table_finds_fewer_and_never_too_many() {
    let _alone = alloc::alone();
    let folder = tempfile::tempdir().unwrap();
    let mut content = Vec::new();
    for number in 0..6000u32 {
        // each third page is that before it, or one from far before
        let seed = if number % 3 == 2 { number / 6 * 3 + number % 2 } else { number };
        content.extend(seed.to_le_bytes().repeat(PAGE / 4));
    }
    let process = Process { pages: vec![(0x1000_0000, content.clone())], ..Process::default() };
    process.write(folder.path());
    let dump = Checkpoint::open(folder.path()).unwrap();
    let space = dump.task(1).unwrap().address_space().unwrap().unwrap();
    let own = space.pages().unwrap();
    // however alike the fingerprints are, bytes decide
    for hash in [fingerprint as fn(&[u8]) -> u64, |_| 7, |page| u64::from(page[0])] {
        let mut twins = Twins::new(0, PAGE as u64);
        let mut met = HashSet::new();
        let (mut found, mut all) = (0, 0);
        let run = own.runs(0..u64::MAX).next().unwrap();
        let Content::Stored(stored) = run.content else { panic!("{:?}", run.content) };
        let file = twins.file(own, &stored);
        for (number, page) in content.chunks(PAGE).enumerate() {
            let is_twin = !met.insert(page);
            let says = twins.met(&stored, file, number * PAGE, hash(page));
            assert!(is_twin || !says, "page {number}");
            all += usize::from(is_twin);
            found += usize::from(says);
        }
        assert!(all > 1500 && found < all, "{found} of {all}");
    }
}

#[test]
fn fingerprints_differ() {
    let mut seen = HashSet::new();
    let mut page = vec![0u8; PAGE];
    seen.insert(fingerprint(&page));
    for at in 0..PAGE {
        for bit in 0..8 {
            page[at] = 1 << bit;
            assert!(seen.insert(fingerprint(&page)), "{at} {bit}");
        }
        page[at] = 0;
    }
    for length in 0..PAGE {
        assert!(seen.insert(fingerprint(&page[..length])), "{length}");
    }
}
