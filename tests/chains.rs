//! Chains of small dumps of any make against a plain program: plain pages, aligned ones, blocks, holes, lazy pages,
//! parents; pages files cut anywhere.
#![allow(clippy::cast_possible_truncation, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use common::chain::{BASE, entry, pages_of, write};
use common::flat;
use common::pagemap::{PAGE, Pagemap, process};
use icecore::checkpoint::AddressSpace;
use icecore::memory::{Content, Page, PageState, Pages};
use icecore::{Checkpoint, Kind};
use proptest::prelude::*;

fn compare(dir: &Path, pid: u32) {
    let want = flat::stored(dir, &format!("pagemap-{pid}.img"));
    let dump = Checkpoint::open(dir).unwrap();
    let pages = Pages::open(dump.parents(), Kind::Pagemap, pid.into(), Some(PAGE as u64), dump.limits());
    let pages = pages.unwrap().unwrap();
    let mut found = BTreeMap::new();
    let mut scratch = Vec::new();
    let mut before: Option<(u64, bool)> = None;
    for run in pages.runs(0..u64::MAX) {
        assert!(before.is_none_or(|(end, _)| end <= run.start), "runs ascend");
        before = Some((run.end, true));
        let bytes = match &run.content {
            Content::Stored(stored) => Some(stored.bytes(&mut scratch).unwrap().to_vec()),
            Content::Zero => Some(vec![0; run.len() as usize]),
            Content::Missing(_) => None,
            other => panic!("{other:?}"),
        };
        for page in 0..run.len() / PAGE as u64 {
            let from = page as usize * PAGE;
            found.insert(run.start + page * PAGE as u64, bytes.as_ref().map(|bytes| bytes[from..from + PAGE].to_vec()));
        }
    }
    assert!(found == want, "runs");
    for address in (BASE - PAGE as u64..BASE + 300 * PAGE as u64).step_by(PAGE) {
        match (pages.page(address + 5).unwrap(), want.get(&address)) {
            (None, None) | (Some(PageState::Missing(_)), Some(None)) => {}
            (Some(PageState::Stored(bytes)), Some(Some(want))) => assert!(bytes[..] == want[..], "{address:#x}"),
            (found, want) => panic!("{address:#x}: {found:?} {}", want.is_some()),
        }
    }
    // any part of it is the same as that part of all
    for (start, end) in [(BASE + 3 * PAGE as u64, BASE + 17 * PAGE as u64), (BASE, BASE + PAGE as u64)] {
        for run in pages.runs(start..end) {
            assert!(run.start >= start && run.end <= end);
            let bytes = match &run.content {
                Content::Stored(stored) => stored.bytes(&mut scratch).unwrap().to_vec(),
                _ => continue,
            };
            for (page, bytes) in bytes.chunks(PAGE).enumerate() {
                assert!(want[&(run.start + (page * PAGE) as u64)].as_deref() == Some(bytes));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_chain(chain in prop::collection::vec(prop::collection::vec(entry(), 0..24), 1..5)) {
        let root = tempfile::tempdir().unwrap();
        compare(&write(root.path(), &chain, 7), 7);
    }

    /// A pages file that ends too early costs the pages behind its end, and those alone.
    #[test]
    fn cut_anywhere(chain in prop::collection::vec(prop::collection::vec(entry(), 1..12), 1..3), cut in any::<u16>()) {
        let root = tempfile::tempdir().unwrap();
        let dir = write(root.path(), &chain, 7);
        let want = flat::stored(&dir, "pagemap-7.img");
        let file = dir.join("pages-1.img");
        let bytes = fs::read(&file).unwrap();
        fs::write(&file, &bytes[..bytes.len() * usize::from(cut) / 65536]).unwrap();
        let dump = Checkpoint::open(&dir).unwrap();
        let pages = Pages::open(dump.parents(), Kind::Pagemap, 7, Some(PAGE as u64), dump.limits()).unwrap().unwrap();
        for (address, want) in want {
            match pages.page(address).unwrap() {
                Some(PageState::Stored(bytes)) => assert!(Some(&bytes[..]) == want.as_deref()),
                Some(PageState::Missing(missing)) => {
                    let why = missing.to_string();
                    assert!(want.is_none() || why.contains("pages-1.img") && why.contains("cut short"), "{why}");
                }
                None => panic!("{address:#x} is forgotten"),
            }
        }
    }

    /// Mappings of every kind, some beside each other, over pages of their own and of a segment.
    #[test]
    fn any_process(
        entries in prop::collection::vec(entry(), 0..16),
        shared in prop::collection::vec(entry(), 0..8),
        mappings in prop::collection::vec((0u64..5, 1u64..12, 0usize..6, 0u64..8), 1..8),
    ) {
        let root = tempfile::tempdir().unwrap();
        let dir = write(root.path(), &[entries], 7);
        let mut segment = Pagemap::new(9);
        let mut at = 0;
        for (gap, store) in &shared {
            at += gap * PAGE as u64;
            segment = segment.entry(at, store);
            at += pages_of(store) * PAGE as u64;
        }
        segment.file.0.splice(4..8, common::writer::magic("PAGEMAP").to_le_bytes());
        segment.write_as(&dir, "pagemap-shmem-5.img");
        let mut vmas = Vec::new();
        let mut at = BASE;
        for (gap, pages, kind, offset) in mappings {
            at += gap * PAGE as u64;
            let end = at + pages * PAGE as u64;
            // anonymous, heap, private file, shared file, shared anonymous, vdso
            let (status, flags) = [(1, 0x22), (1 << 5, 0x22), (1 << 6, 2), (1 << 7, 1), (1 << 8, 0x21), (1 << 3, 0x22)][kind];
            vmas.push((at, end, status | 1, flags, 5, offset * PAGE as u64));
            at = end;
        }
        process(&dir, 7, &vmas);
        same_memory(&dir, 7);
    }
}

/// Runs and pages of an address space are what the plain program finds.
fn same_memory(dir: &Path, pid: u32) {
    let dump = Checkpoint::open(dir).unwrap();
    let space: AddressSpace = dump.task(pid).unwrap().address_space().unwrap().unwrap();
    let mut want = BTreeMap::new();
    for range in flat::memory(dir, pid) {
        for (page, bytes) in range.bytes.chunks(PAGE).enumerate() {
            want.insert(range.start + (page * PAGE) as u64, bytes.to_vec());
        }
    }
    let mut scratch = Vec::new();
    let mut found = BTreeMap::new();
    for run in space.runs(0..u64::MAX) {
        let bytes = match &run.content {
            Content::Stored(stored) => stored.bytes(&mut scratch).unwrap().to_vec(),
            Content::Zero => vec![0; run.len() as usize],
            _ => continue,
        };
        for (page, bytes) in bytes.chunks(PAGE).enumerate() {
            found.insert(run.start + (page * PAGE) as u64, bytes.to_vec());
        }
    }
    assert!(found == want, "runs");
    for address in (BASE - PAGE as u64..BASE + 200 * PAGE as u64).step_by(PAGE) {
        match (space.page(address).unwrap(), want.get(&address)) {
            (Page::Stored(bytes), Some(want)) => assert!(bytes[..] == want[..]),
            (Page::Zero, Some(want)) => assert!(want.iter().all(|byte| *byte == 0)),
            (Page::File { .. } | Page::Missing(_) | Page::Unmapped, None) => {}
            (found, want) => panic!("{address:#x}: {found:?}, {}", want.is_some()),
        }
    }
    let parts = space.parts(0..u64::MAX, 3 * PAGE as u64);
    assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start));
    let cut: Vec<_> = parts.iter().flat_map(|part| space.runs(part.clone())).map(|run| run.len()).collect();
    assert_eq!(cut.iter().sum::<u64>(), space.runs(0..u64::MAX).map(|run| run.len()).sum::<u64>());
}
