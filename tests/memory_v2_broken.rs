//! Memory of version 2 that is broken: it gives errors that say where, or the same bytes, and never other bytes.
#![allow(clippy::cast_possible_truncation, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::collections::BTreeMap;

use common::held::Held;
use common::runs2::{BY_ADDRESS, Block, CONT, File, LAZY, NOWHERE, PAGEMAP, PAGES, PARENT, PRESENT, Run, ZERO};
use icecore::memory::{Content, Missing, PageState, Pages, Parents};
use icecore::{Kind, Limits, Result};

const PAGE: usize = 4096;
const P: u64 = PAGE as u64;

/// Pages that differ and can be packed.
fn content(seed: u8, pages: usize) -> Vec<u8> {
    (0..pages)
        .flat_map(|page| (0..PAGE).map(move |at| if at < 64 { seed ^ (page * 64 + at) as u8 } else { seed }))
        .collect()
}

fn open(bytes: Vec<u8>) -> Result<(Parents, Option<Pages>)> {
    let parents = Parents::of(Held::bundle("dump", bytes, None)?);
    let pages = Pages::open(&parents, Kind::Pagemap, 1, Some(P), &Limits::default())?;
    Ok((parents, pages))
}

/// The states of all pages: bytes, nothing known, or an error.
fn states(pages: &Pages, end: u64) -> BTreeMap<u64, std::result::Result<Vec<u8>, String>> {
    let (mut all, mut scratch) = (BTreeMap::new(), Vec::new());
    for run in pages.runs(0..end) {
        for address in (run.start..run.end).step_by(PAGE) {
            let run = run.within(address..address + P).unwrap();
            let state = match run.content {
                Content::Stored(stored) => stored.bytes(&mut scratch).map(<[u8]>::to_vec).map_err(|e| e.to_string()),
                Content::Zero => Ok(vec![0; PAGE]),
                Content::Missing(missing) => Err(missing.to_string()),
                other => panic!("{other:?}"),
            };
            all.insert(address, state);
        }
    }
    // a lookup says the same
    for address in (0..end).step_by(PAGE) {
        let state = match pages.page(address) {
            Ok(None) => None,
            Ok(Some(PageState::Stored(bytes))) => Some(Ok(bytes.to_vec())),
            Ok(Some(PageState::Missing(missing))) => Some(Err(missing.to_string())),
            Err(error) => Some(Err(error.to_string())),
        };
        // of several pages that are broken alike the error names the first, or the one that is asked for
        let shown = |state: &std::result::Result<Vec<u8>, String>| state.clone().map_err(|_| ());
        assert!(state.as_ref().map(shown) == all.get(&address).map(shown), "{address:#x}: {state:?}");
    }
    all
}

/// A small bundle with a bit of everything.
fn small() -> Vec<u8> {
    let mut file = File::new(9);
    file.image(PAGEMAP, 1);
    file.runs(&[
        Run::new(P, 2, 0, PRESENT),
        Run::new(4 * P, 1, NOWHERE, PRESENT | ZERO),
        Run::new(5 * P, 1, NOWHERE, LAZY),
    ]);
    file.image(PAGES, 0);
    file.block(&Block { align: 64, ..Block::new(0, &content(1, 3), PAGE, 0, 1) });
    file.image(PAGEMAP, 1);
    file.runs(&[Run::new(6 * P, 1, 2, PRESENT | CONT), Run::new(8 * P, 4, 10, PRESENT)]);
    file.runs(&[Run::new(14 * P, 3, 20, PRESENT)]);
    file.image(PAGES, 0);
    file.block(&Block { align: 1, ..Block::new(10, &content(2, 5), PAGE, 1, 2) });
    file.block(&Block { align: 1, ..Block::new(20, &content(3, 3), PAGE, 2, 2) });
    file.stop(PAGES, 0);
    file.stop(PAGEMAP, 1);
    file.finish(true)
}

#[test]
fn flipped_bits() {
    let bytes = small();
    let want = states(&open(bytes.clone()).unwrap().1.unwrap(), 20 * P);
    assert_eq!(want.len(), 2 + 2 + 1 + 4 + 3);
    assert_eq!(want.values().filter(|state| state.is_err()).count(), 1);
    let mut is_raw = vec![false; bytes.len()];
    let data = bytes.windows(64).position(|part| part == &content(1, 1)[..64]).unwrap();
    is_raw[data..data + 3 * PAGE].fill(true);
    let mut errors = 0;
    for at in 0..bytes.len() {
        for bit in 0..8 {
            // of pages that are as they are a bit of each byte will do
            if is_raw[at] && bit != at % 8 {
                continue;
            }
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            let Ok((_, pages)) = open(flipped) else {
                errors += 1;
                continue;
            };
            let pages = pages.unwrap_or_else(|| panic!("byte {at}, bit {bit}: no pagemap"));
            let found = states(&pages, 20 * P);
            for (address, state) in &want {
                match (state, found.get(address)) {
                    (Ok(bytes), Some(Ok(found))) => assert!(bytes == found, "byte {at}, bit {bit}, page {address:#x}"),
                    (_, Some(Err(_))) => errors += 1,
                    (state, found) => panic!("byte {at}, bit {bit}, page {address:#x}: {state:?} {found:?}"),
                }
            }
            // what is not known must not be called unknown, nor the other way round
            for (address, state) in &found {
                assert!(want.contains_key(address) || state.is_err(), "byte {at}, bit {bit}, page {address:#x}");
            }
        }
    }
    assert!(errors > 20_000, "{errors}");
}

#[test]
fn cut_anywhere() {
    let bytes = small();
    let want = states(&open(bytes.clone()).unwrap().1.unwrap(), 20 * P);
    let step = if cfg!(debug_assertions) { 3 } else { 1 };
    for length in (0..bytes.len()).step_by(step) {
        let Ok((_, Some(pages))) = open(bytes[..length].to_vec()) else { continue };
        for (address, state) in states(&pages, 20 * P) {
            let is_right = match &state {
                Ok(bytes) => want.get(&address) == Some(&Ok(bytes.clone())),
                Err(_) => true,
            };
            assert!(is_right, "{length} bytes, page {address:#x}");
        }
    }
}

/// A bundle of these runs and blocks, without a table of blocks.
fn made(runs: &[&[Run]], blocks: &[Block]) -> Vec<u8> {
    let mut file = File::new(1);
    file.image(PAGEMAP, 1);
    for batch in runs {
        file.runs(batch);
    }
    file.stop(PAGEMAP, 1);
    file.image(PAGES, 0);
    for block in blocks {
        file.block(block);
    }
    file.stop(PAGES, 0);
    file.finish(true)
}

/// What stands at each page, shortly: `b` bytes, `z` zeros, `-` nothing, `?` an error.
fn picture(pages: &Pages, end: u64) -> String {
    let all = states(pages, end);
    let letter = |address| match all.get(&address) {
        None => '-',
        Some(Ok(bytes)) if bytes.iter().all(|byte| *byte == 0) => 'z',
        Some(Ok(_)) => 'b',
        Some(Err(_)) => '?',
    };
    (0..end).step_by(PAGE).map(letter).collect()
}

#[test]
fn broken_forms() {
    let block = || Block::new(0, &content(1, 4), PAGE, 0, 1);
    let run = |vaddr, pages, page, flags| Run::new(vaddr, pages, page, flags);
    let two = |a, b| made(&[&[a, b]], &[block()]);
    type Case = (&'static str, Vec<u8>, &'static str, &'static str);
    let cases: Vec<Case> = vec![
        ("sound", two(run(P, 2, 0, 4), run(4 * P, 1, 3, 4)), "-bb-b---", ""),
        (
            "beyond its block",
            two(run(P, 2, 3, 4), run(4 * P, 1, 3, 4)),
            "-b?-b---",
            "expected a block with page 4, found none",
        ),
        ("in no block", two(run(P, 2, 70, 4), run(4 * P, 1, 3, 4)), "-??-b---", "expected a block with page 70"),
        (
            "at the last number",
            two(run(P, 2, u64::MAX - 1, 4), run(4 * P, 1, 3, 4)),
            "-??-b---",
            "expected a block with page",
        ),
        (
            "no place",
            two(run(P, 2, NOWHERE, 4), run(4 * P, 1, 3, 4)),
            "-??-b---",
            "the pages at 0x1000 were not in the dump that was converted",
        ),
        ("in the parent, nowhere", two(run(P, 2, NOWHERE, 1), run(4 * P, 1, 3, 4)), "-??-b---", "were not in the dump"),
        ("two places", two(run(P, 2, 0, 4 | ZERO), run(4 * P, 1, 3, 4)), "-??-b---", "found page 0 and flags 0x104"),
        (
            "an unknown flag",
            two(run(P, 2, 0, 4 | 1 << 13), run(4 * P, 1, 3, 4)),
            "-??-b---",
            "expected flags that are known for the pages at 0x1000, found 0x2004",
        ),
        (
            "an unknown flag of version 1",
            two(run(P, 2, 0, 4 | 64), run(4 * P, 1, 3, 4)),
            "-??-b---",
            "expected flags that are known",
        ),
        (
            "an ancestor that is not there",
            two(run(P, 2, 0, 1 | 1 << 16), run(4 * P, 1, 3, 4)),
            "-??-b---",
            "dump has no parent link",
        ),
        ("far ancestors", two(run(P, 2, 0, 1 | 255 << 16), run(4 * P, 1, 3, 4)), "-??-b---", "dump has no parent link"),
        (
            "by address, without a parent",
            two(run(P, 2, NOWHERE, 1 | BY_ADDRESS), run(4 * P, 1, 3, 4)),
            "-??-b---",
            "dump has no parent link",
        ),
        (
            "runs overlap",
            two(run(P, 3, 0, 4), run(3 * P, 1, 3, 4)),
            "????????",
            "expected an address from 0x4000 (runs ascend), found 0x3000",
        ),
        ("runs descend", two(run(4 * P, 1, 0, 4), run(P, 1, 3, 4)), "????????", "expected an address from 0x5000"),
        ("twice the same", two(run(P, 0, 0, 4), run(P, 1, 3, 4)), "????????", "(runs ascend), found 0x1000"),
        ("no pages", two(run(P, 0, 0, 4), run(2 * P, 1, 3, 4)), "--b-----", ""),
        (
            "between pages",
            two(run(P + 1, 1, 0, 4), run(4 * P, 1, 3, 4)),
            "????????",
            "expected an address that is a multiple of 4096, found 0x1001",
        ),
        (
            "behind all addresses",
            two(run(P, 1, 0, 4), run(4 * P, 1 << 52, 0, 4)),
            "????????",
            "expected pages that fit the address space",
        ),
        (
            "more than fit a number",
            two(run(P, 1, 0, 4), run(4 * P, u64::MAX, 0, 4)),
            "????????",
            "expected pages that fit the address space",
        ),
        (
            "batches overlap",
            made(&[&[run(P, 3, 0, 4)], &[run(3 * P, 1, 3, 4)], &[run(6 * P, 1, 0, 4)]], &[block()]),
            "??????b-",
            "expected runs from 0x4000 on (runs ascend), found 0x3000",
        ),
        (
            "batches descend",
            made(&[&[run(4 * P, 1, 0, 4)], &[run(P, 1, 3, 4)], &[run(6 * P, 1, 0, 4)]], &[block()]),
            "??????b-",
            "expected runs from",
        ),
        (
            "pages of another size",
            made(&[&[run(P, 1, 0, 4)]], &[Block { pages: 2, unit: 2, units: vec![content(1, 4)], ..block() }]),
            "-?------",
            "expected 2 pages of 4096 bytes, found 16384 bytes",
        ),
        (
            "a unit of more than 4 MiB",
            made(
                &[&[run(P, 1, 0, 4)]],
                &[Block { pages: 1025, codec: 1, unit: 1025, units: vec![vec![0; 90]], ..block() }],
            ),
            "-?------",
            "expected 1 to 1024 pages in a packed unit, found 1025",
        ),
        (
            "a unit longer than its pages",
            made(
                &[&[run(P, 2, 0, 4)]],
                &[Block { codec: 1, units: vec![content(1, 1), vec![7; PAGE + 1], vec![], vec![]], ..block() }],
            ),
            "-b?-----",
            "expected a unit of at most 4096 bytes, found 4097",
        ),
        (
            "no LZ4",
            made(
                &[&[run(P, 4, 0, 4)]],
                &[Block { codec: 1, units: vec![content(1, 1), vec![0; 99], vec![], content(2, 1)], ..block() }],
            ),
            "-b?zb---",
            "expected an LZ4 block of 4096 bytes, found a broken one",
        ),
        (
            "no zstd",
            made(
                &[&[run(P, 4, 0, 4)]],
                &[Block { codec: 2, units: vec![content(1, 1), vec![0; 99], vec![], content(2, 1)], ..block() }],
            ),
            "-b?zb---",
            "expected a zstd frame of 4096 bytes, found a broken one",
        ),
        (
            "a frame of fewer bytes",
            made(
                &[&[run(P, 4, 0, 4)]],
                &[Block {
                    codec: 2,
                    units: vec![content(1, 1), zstd::bulk::compress(&[7; 4000], 1).unwrap(), vec![], vec![]],
                    ..block()
                }],
            ),
            "-b?zz---",
            "expected a zstd frame of 4096 bytes, found one of 4000",
        ),
        (
            "blocks overlap",
            made(&[&[run(P, 2, 0, 4)]], &[block(), Block::new(3, &content(2, 4), PAGE, 0, 1)]),
            "-??-----",
            "expected",
        ),
        ("nothing there", made(&[&[]], &[block()]), "--------", ""),
    ];
    for (name, bytes, want, says) in cases {
        let (_, pages) = open(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        let pages = pages.unwrap_or_else(|| panic!("{name}: no pagemap"));
        assert_eq!(picture(&pages, 8 * P), want, "{name}");
        let errors: Vec<String> = states(&pages, 8 * P).into_values().filter_map(Result::err).collect();
        let is_said = errors.iter().any(|error| error.contains(says));
        assert!(is_said || says.is_empty() && errors.is_empty(), "{name}: {errors:?}");
        // who reads on learns which file and where
        if errors.iter().any(|error| error.contains("expected") && !error.contains("parent")) {
            assert!(errors[0].starts_with("dump.criu: "), "{name}: {errors:?}");
        }
    }
}

#[test]
fn an_image_without_its_end_has_gaps_of_which_nothing_is_known() {
    let mut file = File::new(1);
    file.image(PAGES, 0);
    file.block(&Block::new(0, &content(1, 4), PAGE, 0, 1));
    file.stop(PAGES, 0);
    file.image(PAGEMAP, 1);
    file.runs(&[Run::new(P, 1, 0, PRESENT), Run::new(3 * P, 1, 1, PRESENT)]);
    file.runs(&[Run::new(6 * P, 1, 2, PRESENT)]);
    let (_, pages) = open(file.finish(true)).unwrap();
    assert_eq!(picture(&pages.unwrap(), 9 * P), "?b-b??b??");
}

#[test]
fn types_that_must_be_known() {
    for (kind, is_fine) in [(99, true), (99 | 1 << 31, false)] {
        let mut file = File::new(1);
        file.image(PAGEMAP, 1);
        file.record(kind, 1, b"abc");
        file.runs(&[Run::new(P, 1, NOWHERE, ZERO)]);
        file.stop(PAGEMAP, 1);
        let found = open(file.finish(true));
        assert_eq!(found.is_ok(), is_fine);
        if let Err(error) = found {
            assert!(error.to_string().contains("0x80000063"), "{error}");
        }
    }
}

#[test]
fn addresses_with_a_sign() {
    let made = |vaddrs: &[u64]| {
        let mut file = File::new(1);
        file.image(PAGES, 0);
        file.block(&Block::new(0, &content(1, 9), PAGE, 0, 1));
        file.stop(PAGES, 0);
        file.image(PAGEMAP, 1);
        for (number, vaddr) in vaddrs.iter().enumerate() {
            file.runs(&[Run::new(*vaddr, 1, number as u64, PRESENT)]);
        }
        file.stop(PAGEMAP, 1);
        open(file.finish(true)).unwrap().1.unwrap()
    };
    let starts = |pages: &Pages| pages.runs(0..u64::MAX).map(|run| run.start).collect::<Vec<_>>();
    let pages = made(&[P, 0x8000_0000, 0xffff_ffff_9000_0000, 0xffff_ffff_ffff_e000]);
    assert_eq!(starts(&pages), [P, 0x8000_0000, 0x9000_0000, 0xffff_e000]);
    for (number, address) in [P, 0x8000_0000, 0x9000_0000, 0xffff_e000].into_iter().enumerate() {
        let Ok(Some(PageState::Stored(bytes))) = pages.page(address) else { panic!("{address:#x}") };
        assert!(bytes[..] == content(1, 9)[number * PAGE..][..PAGE]);
    }
    assert!(pages.page(0xffff_ffff_9000_0000).unwrap().is_none());
    // a 64-bit task is known by what is before
    let pages = made(&[P, 0x7fff_0000_0000, 0xffff_ffff_ff60_0000]);
    assert_eq!(starts(&pages), [P, 0x7fff_0000_0000, 0xffff_ffff_ff60_0000]);
}

#[test]
fn what_has_no_checksum_is_counted() {
    let blocks = [
        Block { sums: false, ..Block::new(0, &content(1, 5), PAGE, 0, 2) },
        Block { sums: false, ..Block::new(5, &content(2, 4), PAGE, 1, 4) },
        Block::new(9, &content(3, 4), PAGE, 0, 2),
    ];
    let (parents, pages) = open(made(&[&[Run::new(P, 13, 0, PRESENT)]], &blocks)).unwrap();
    let pages = pages.unwrap();
    assert_eq!(parents.unchecked(), 0);
    assert_eq!(pages.runs(0..u64::MAX).count(), 3);
    assert_eq!(parents.unchecked(), 0);
    let page = |number: u64| pages.page(P + number * P).unwrap();
    page(0);
    assert_eq!(parents.unchecked(), 2);
    page(1);
    page(10);
    assert_eq!(parents.unchecked(), 2);
    page(4);
    page(5);
    assert_eq!(parents.unchecked(), 7);
    assert_eq!(picture(&pages, 14 * P), "-bbbbbbbbbbbbb");
    assert_eq!(parents.unchecked(), 9);
}

#[test]
fn one_broken_unit_leaves_the_others() {
    let mut bytes = made(&[&[Run::new(P, 8, 0, PRESENT)]], &[Block::new(0, &content(5, 8), PAGE, 0, 2)]);
    let data = bytes.windows(64).position(|part| part == &content(5, 1)[..64]).unwrap();
    bytes[data + 5 * PAGE + 100] ^= 1;
    let (_, pages) = open(bytes).unwrap();
    let pages = pages.unwrap();
    let runs: Vec<_> = pages.runs(0..u64::MAX).collect();
    assert_eq!(runs.len(), 1);
    assert!(runs[0].check().is_err());
    let Content::Stored(stored) = &runs[0].content else { panic!() };
    assert!(stored.map().is_none() && stored.is_plain());
    let error = stored.bytes(&mut Vec::new()).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("dump.criu: offset {}", data + 4 * PAGE)) && error.contains("checksum"),
        "{error}"
    );
    assert_eq!(picture(&pages, 9 * P), "-bbbb??bb");
    let part = runs[0].within(P..5 * P).unwrap();
    assert!(part.check().is_ok());
}

#[test]
fn parents_that_are_not_there() {
    struct Alone(std::sync::Arc<dyn icecore::source::Source>);
    impl icecore::source::Source for Alone {
        fn name(&self) -> &str {
            "dump"
        }
        fn files(&self) -> &[String] {
            &[]
        }
        fn open(&self, file: &str) -> Result<bytes::Bytes> {
            self.0.open(file)
        }
        fn size(&self, file: &str) -> Result<u64> {
            self.0.size(file)
        }
        fn parent(&self) -> Result<Option<std::sync::Arc<dyn icecore::source::Source>>> {
            Err(icecore::Error::usage("the parent was taken away"))
        }
        fn bundle(&self) -> Option<&std::sync::Arc<icecore::source::bundle::Bundle>> {
            self.0.bundle()
        }
    }
    let runs = [
        Run::new(P, 1, 0, PARENT | 1 << 16),
        Run::new(2 * P, 1, NOWHERE, PARENT | BY_ADDRESS),
        Run::new(3 * P, 1, 0, PRESENT),
    ];
    let bytes = made(&[&runs], &[Block::new(0, &content(1, 1), PAGE, 0, 1)]);
    let source = std::sync::Arc::new(Alone(Held::bundle("dump", bytes, None).unwrap()));
    let parents = Parents::of(source);
    let pages = Pages::open(&parents, Kind::Pagemap, 1, None, &Limits::default()).unwrap().unwrap();
    assert_eq!(pages.page_size(), P);
    assert_eq!(picture(&pages, 4 * P), "-??b");
    let Ok(Some(PageState::Missing(Missing::Broken(error)))) = pages.page(P) else { panic!() };
    assert_eq!(error.to_string(), "the parent was taken away");
}
