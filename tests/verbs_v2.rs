//! What is asked of memory has the same answer in version 2 as in version 1, whole and, but for what is damaged, damaged.
#![allow(clippy::cast_possible_truncation, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use common::held::Held;
use common::process::{ANON, Process, REGULAR};
use common::rng::Rng;
use common::runs2::{Block, File, NOWHERE, PAGEMAP, PAGES, PRESENT, Run, ZERO};
use common::{corpus, flat};
use icecore::base::map::Access;
use icecore::base::report::{Cancel, Collect, Silent};
use icecore::checkpoint::AddressSpace;
use icecore::source::bundle::Bundle;
use icecore::source::dir::Dir;
use icecore::tool::coredump::{Written, cores};
use icecore::tool::raw;
use icecore::tool::restore::{OnMissing, Options, Plan, Target, Way, What};
use icecore::tool::search::{Filter, Grain, Match, Pattern, Search, search};
use icecore::view::{diff, pages};
use icecore::{Checkpoint, Limits};

const PAGE: usize = 4096;
const P: u64 = PAGE as u64;
const BASE: u64 = 0x7_0000_0000;
const COUNT: usize = 600;
/// Pages as they are, which begin anywhere in the file.
const RAW_ANYWHERE: u32 = 3;

/// The memory of a process: pages with words here and there, zeros, pages that are equal.
fn memory(seed: u64) -> Vec<Option<Vec<u8>>> {
    let random = &mut Rng::new(seed);
    let mut bytes: Vec<u8> = (0..COUNT * PAGE).map(|at| (at / 16) as u8).collect();
    for (number, page) in bytes.chunks_mut(PAGE).enumerate() {
        page[..8].copy_from_slice(&(number as u64 + 1).to_le_bytes());
    }
    for _ in 0..300 {
        let at = random.below(bytes.len() - 8);
        bytes[at..at + 6].copy_from_slice(b"needle");
    }
    let mut pages: Vec<Option<Vec<u8>>> = bytes.chunks(PAGE).map(|page| Some(page.to_vec())).collect();
    for number in 0..COUNT {
        match random.below(8) {
            0 => pages[number] = Some(vec![0; PAGE]),
            1 => pages[number] = None,
            2 => pages[number] = pages[random.below(COUNT)].clone(),
            3 => pages[number] = Some(random.bytes(PAGE)),
            _ => {}
        }
    }
    pages
}

/// Consecutive pages that are there.
fn stretches(memory: &[Option<Vec<u8>>]) -> Vec<(u64, Vec<u8>)> {
    let mut all: Vec<(u64, Vec<u8>)> = Vec::new();
    for (number, page) in memory.iter().enumerate() {
        let address = BASE + number as u64 * P;
        match (page, all.last_mut()) {
            (Some(page), Some((start, bytes))) if *start + bytes.len() as u64 == address => bytes.extend(page),
            (Some(page), _) => all.push((address, page.clone())),
            _ => {}
        }
    }
    all
}

fn v1(dir: &Path, memory: &[Option<Vec<u8>>]) -> Checkpoint {
    fs::create_dir_all(dir).unwrap();
    let mappings = vec![(BASE, BASE + COUNT as u64 * P, ANON | REGULAR)];
    Process { mappings, pages: stretches(memory), ..Process::default() }.write(dir);
    Checkpoint::open(dir).unwrap()
}

/// The same in a bundle: zeros not stored, equal pages once. `damage` is done to the file.
fn v2(dir: &Path, memory: &[Option<Vec<u8>>], codec: u32, damage: impl Fn(&mut Vec<u8>)) -> Checkpoint {
    let (mut store, mut known, mut runs) = (Vec::new(), HashMap::new(), Vec::<Run>::new());
    for (number, page) in memory.iter().enumerate() {
        let Some(page) = page else { continue };
        let address = BASE + number as u64 * P;
        let (place, flags) = if page.iter().all(|byte| *byte == 0) {
            (NOWHERE, PRESENT | ZERO)
        } else {
            let place = *known.entry(page.clone()).or_insert_with(|| {
                store.extend(page);
                (store.len() / PAGE) as u64 - 1
            });
            (place, PRESENT)
        };
        match runs.last_mut() {
            Some(last)
                if last.vaddr + last.pages * P == address
                    && last.flags == flags
                    && (place == NOWHERE || last.page + last.pages == place) =>
            {
                last.pages += 1
            }
            _ => runs.push(Run::new(address, 1, place, flags)),
        }
    }
    let mut file = File::new(3);
    file.image(PAGEMAP, 1);
    for batch in runs.chunks(50) {
        file.runs(batch);
    }
    file.stop(PAGEMAP, 1);
    file.image(PAGES, 0);
    for (number, content) in store.chunks(100 * PAGE).enumerate() {
        let block = Block::new(number as u64 * 100, content, PAGE, codec % 3, 4);
        file.block(&Block { align: if codec == RAW_ANYWHERE { 1 } else { PAGE }, ..block });
    }
    file.stop(PAGES, 0);
    let mut bytes = file.finish(true);
    damage(&mut bytes);
    let path = dir.join(format!("dump-{codec}.criu"));
    fs::write(&path, bytes).unwrap();
    let bundle = Bundle::open(&path, Access::Map, Limits::default()).unwrap();
    let images = Dir::open(dir, Access::Map, Limits::default()).unwrap();
    let held = Held {
        name: "dump".to_owned(),
        files: Vec::new(),
        bundle: Some(Arc::new(bundle)),
        dir: Some(images),
        parent: None,
    };
    Checkpoint::from_source(Arc::new(held), Limits::default())
}

fn space(dump: &Checkpoint) -> AddressSpace {
    dump.task(1).unwrap().address_space().unwrap().unwrap()
}

fn needles(dump: &Checkpoint) -> (Vec<u64>, u64) {
    let pattern = Pattern::text("needle", false).unwrap();
    let wanted = Search { pattern, filter: Filter::default(), context: 4, max: None, grain: Grain::default() };
    let mut found: Collect<Match> = Collect::default();
    let summary = search(dump, &wanted, (&Silent, &Cancel::default()), &mut found).unwrap();
    (found.rows.iter().map(|row| row.address.0).collect(), summary.unsearched.bytes)
}

fn whole(dump: &Checkpoint, fill: Option<u8>) -> (Vec<u8>, u64) {
    let mut out = Vec::new();
    let range = BASE..BASE + COUNT as u64 * P;
    let filled = raw::write(&space(dump), range, fill, &mut out, (&Silent, &Cancel::default())).unwrap();
    (out, filled)
}

fn tally(dump: &Checkpoint) -> pages::Stored {
    let mut rows: Collect<pages::Stored> = Collect::default();
    pages::pages(dump, None, &Silent, &mut rows).unwrap();
    rows.rows.pop().unwrap()
}

fn changed(a: &Checkpoint, b: &Checkpoint) -> (bool, Vec<String>) {
    let mut rows: Collect<diff::Difference> = Collect::default();
    let options = diff::Options { page_runs: true, ..diff::Options::default() };
    let differs = diff::diff(a, b, &options, (&Silent, &Cancel::default()), &mut rows).unwrap();
    (differs, rows.problems.iter().map(ToString::to_string).collect())
}

#[test]
fn the_same_answers() {
    let folder = tempfile::tempdir().unwrap();
    let memory = memory(4);
    let old = v1(&folder.path().join("v1"), &memory);
    let want = whole(&old, None);
    assert_eq!(want.0.len(), COUNT * PAGE);
    let expected = tally(&old);
    for codec in 0..=RAW_ANYWHERE {
        let new = v2(&folder.path().join("v1"), &memory, codec, |_| {});
        assert!(whole(&new, None) == want, "codec {codec}");
        assert_eq!(needles(&new), needles(&old), "codec {codec}");
        assert!(!changed(&old, &new).0, "codec {codec}");
        assert!(!changed(&new, &new).0);
        let found = tally(&new);
        // zeros are not stored
        assert_eq!((found.pages, found.zero, found.broken), (expected.pages - expected.zero, 0, 0));
        assert_eq!(found.duplicate, expected.duplicate, "codec {codec}");
        let space = space(&new);
        let plan = Plan::new(&space, &Options::default()).unwrap();
        let (maps, _) = plan.count(|what| matches!(what, What::Map { .. }));
        assert_eq!(maps > 10, codec == 0);
        let (copies, _) = plan.count(|what| matches!(what, What::Copy { .. }));
        assert_eq!(copies > 10, codec == RAW_ANYWHERE);
        for (way, target) in [(Way::Map, Target::Anywhere), (Way::Copy, Target::Anywhere), (Way::Map, Target::Exact)] {
            let memory = plan.restore(way, target, &Silent, &Cancel::default()).unwrap();
            let bytes = memory.bytes(BASE..BASE + COUNT as u64 * P).unwrap();
            assert!(bytes == want.0, "codec {codec}, {way:?}");
        }
    }
}

#[test]
fn a_damaged_unit_costs_its_pages_alone() {
    let folder = tempfile::tempdir().unwrap();
    let memory = memory(5);
    let old = v1(&folder.path().join("v1"), &memory);
    let want = whole(&old, None).0;
    // the first page that is stored, and is nowhere else
    let page = memory.iter().flatten().find(|page| page.iter().any(|byte| *byte != 0)).unwrap().clone();
    let new = v2(&folder.path().join("v1"), &memory, 0, |bytes| {
        let at = bytes.windows(PAGE).position(|window| window == page).unwrap();
        bytes[at + 17] ^= 4;
    });
    let (bytes, filled) = whole(&new, Some(0xee));
    let is_lost = |number: usize| bytes[number * PAGE..][..PAGE].iter().all(|byte| *byte == 0xee);
    let lost = (0..COUNT).filter(|number| is_lost(*number)).count();
    assert!((4..40).contains(&lost) && filled == lost as u64 * P, "{lost} pages");
    for number in (0..COUNT).filter(|number| !is_lost(*number)) {
        assert!(bytes[number * PAGE..][..PAGE] == want[number * PAGE..][..PAGE], "page {number}");
    }
    let (matches, unsearched) = needles(&new);
    assert_eq!(unsearched, lost as u64 * P);
    assert!(matches.len() < needles(&old).0.len() && matches.len() > 100);
    let (differs, problems) = changed(&old, &new);
    assert!(differs && problems.iter().any(|problem| problem.contains("checksum")), "{problems:?}");
    let found = tally(&new);
    assert_eq!(found.broken, lost as u64);
    let space = space(&new);
    let error = Plan::new(&space, &Options::default()).err().unwrap().to_string();
    assert!(error.contains("dump-0.criu: ") && error.contains("checksum"), "{error}");
    let options = Options { missing: OnMissing::Leave, ..Options::default() };
    let plan = Plan::new(&space, &options).unwrap();
    assert_eq!(plan.count(|what| what == What::Missing).1, lost as u64 * P);
    let error = raw::check(&space, BASE..BASE + COUNT as u64 * P, true, &Cancel::default()).unwrap_err().to_string();
    assert!(error.contains("checksum"), "{error}");
}

/// A dump of `tests/data` whose memory is in a bundle.
fn real(dir: &Path, codec: u32) -> Checkpoint {
    let mut file = File::new(8);
    let mut store = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some((kind, id)) =
            icecore::Kind::from_file_name(&name).filter(|(kind, _)| kind.name().starts_with("PAGEMAP"))
        else {
            continue;
        };
        file.image(if kind == icecore::Kind::Pagemap { PAGEMAP } else { PAGEMAP + 1 }, id);
        let mut runs = Vec::new();
        for (address, page) in flat::stored(dir, &name) {
            store.extend(page.unwrap());
            runs.push(Run::new(address, 1, (store.len() / PAGE) as u64 - 1, PRESENT));
        }
        file.runs(&runs);
        file.stop(if kind == icecore::Kind::Pagemap { PAGEMAP } else { PAGEMAP + 1 }, id);
    }
    file.image(PAGES, 0);
    for (number, content) in store.chunks(64 * PAGE).enumerate() {
        file.block(&Block::new(number as u64 * 64, content, PAGE, codec, 4));
    }
    file.stop(PAGES, 0);
    let bundle = Bundle::from_bytes("real.criu", file.finish(true).into(), Limits::default()).unwrap();
    let images = Dir::open(dir, Access::Map, Limits::default()).unwrap();
    let name = dir.to_str().unwrap().to_owned();
    let held = Held { name, files: Vec::new(), bundle: Some(Arc::new(bundle)), dir: Some(images), parent: None };
    Checkpoint::from_source(Arc::new(held), Limits::default())
}

#[test]
fn cores_of_real_dumps() {
    let folder = tempfile::tempdir().unwrap();
    for dump in ["tree", "python"] {
        let dir = corpus::data().join(dump);
        let old = Checkpoint::open(&dir).unwrap();
        let mut rows = [Collect::<Written>::default(), Collect::default()];
        let to = [1, 2].map(|number| folder.path().join(format!("{dump}-{number}")));
        let new = real(&dir, u32::from(dump == "tree"));
        for ((dump, rows), to) in [&old, &new].into_iter().zip(&mut rows).zip(&to) {
            cores(dump, &[], to, (&Silent, &Cancel::default()), rows).unwrap();
        }
        assert!(!rows[0].rows.is_empty() && rows[0].rows.len() == rows[1].rows.len());
        for row in &rows[0].rows {
            let [one, other] = to.each_ref().map(|to| fs::read(to.join(format!("core.{}", row.pid))).unwrap());
            assert!(one == other, "{dump}, task {}", row.pid);
        }
        assert_eq!(changed(&old, &new), (false, Vec::new()));
    }
}

#[test]
fn one_file_of_two_dumps() {
    // two dumps with one parent: what both have from it is not compared
    let folder = tempfile::tempdir().unwrap();
    let memory = memory(6);
    let dump = v2(
        &{
            let dir = folder.path().join("v1");
            drop(v1(&dir, &memory));
            dir
        },
        &memory,
        0,
        |_| {},
    );
    let space = space(&dump);
    for run in space.runs(0..u64::MAX) {
        let icecore::memory::Content::Stored(stored) = &run.content else { continue };
        let file = space.file_of(stored).unwrap();
        assert!(file.identity().is_some() && file.name().ends_with("dump-0.criu"));
        let content = file.content().unwrap();
        let from = stored.offset() as usize;
        assert!(stored.map().unwrap() == &content[from..from + stored.len()]);
    }
}
