//! Memory of version 2 against a plain model: random stores, runs, batches, blocks, codecs, chains.
#![allow(clippy::cast_possible_truncation, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::held::Held;
use common::pagemap::{Pagemap, Store};
use common::rng::Rng;
use common::runs2::{BY_ADDRESS, Block, File, LAZY, NOWHERE, PAGEMAP, PAGES, PARENT, PRESENT, Run, ZERO};
use icecore::memory::{Content, PageState, Pages, Parents};
use icecore::source::Source;
use icecore::source::dir::Dir;
use icecore::{Kind, Limits};

const PAGE: usize = 4096;
const BASE: u64 = 0x10_0000;
const ID: u64 = 77;

/// What is known of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Bytes(Vec<u8>),
    Missing,
}

/// One dump of a chain, as the tests know it.
#[derive(Default)]
struct Model {
    /// Pages by their numbers; version 1 has none.
    store: BTreeMap<u64, Vec<u8>>,
    /// What the pagemap says, by address; none: it is not there.
    said: Option<BTreeMap<u64, Said>>,
    is_v1: bool,
}

#[derive(Clone, Debug)]
enum Said {
    Placed(usize, u64),
    Bytes(Vec<u8>),
    Zero,
    Parent(usize),
    Lazy,
    Hole,
}

/// What a lookup should find; `None`: nobody speaks of the page.
fn look(chain: &[Model], level: usize, address: u64) -> Option<State> {
    let Some(model) = chain.get(level) else { return Some(State::Missing) };
    let said = model.said.as_ref().and_then(|said| said.get(&address));
    let missing = if level == 0 { None } else { Some(State::Missing) };
    match said {
        None | Some(Said::Hole) => missing,
        Some(Said::Bytes(bytes)) => Some(State::Bytes(bytes.clone())),
        Some(Said::Zero) => Some(State::Bytes(vec![0; PAGE])),
        Some(Said::Lazy) => Some(State::Missing),
        Some(Said::Parent(links)) => look(chain, level + links, address).or(Some(State::Missing)),
        Some(Said::Placed(ancestor, page)) => Some(match chain.get(level + ancestor).and_then(|m| m.store.get(page)) {
            Some(bytes) => State::Bytes(bytes.clone()),
            None => State::Missing,
        }),
    }
}

fn page(random: &mut Rng) -> Vec<u8> {
    match random.below(4) {
        0 => vec![0; PAGE],
        1 => random.bytes(PAGE),
        _ => {
            let mut page = vec![random.next() as u8; PAGE];
            page[..8].copy_from_slice(&random.next().to_le_bytes());
            page
        }
    }
}

/// The blocks of a dump: numbers with gaps, any codec, any unit.
fn blocks(random: &mut Rng, store: &mut BTreeMap<u64, Vec<u8>>) -> Vec<Block> {
    let mut number = random.below(5) as u64;
    let mut blocks = Vec::new();
    for _ in 0..random.below(6) {
        let pages = 1 + random.below(9);
        let content: Vec<Vec<u8>> = (0..pages).map(|_| page(random)).collect();
        let codec = random.below(3) as u32;
        let mut block = Block::new(number, &content.concat(), PAGE, codec, 1 + random.below(4) as u32);
        block.sums = !random.one_in(4);
        block.align = *random.pick(&[1, 4096, 4096]);
        blocks.push(block);
        for bytes in content {
            store.insert(number, bytes);
            number += 1;
        }
        number += *random.pick(&[0, 0, 1, 1000, 1 << 40]);
    }
    blocks
}

/// The runs of a dump, and what they mean.
fn runs(random: &mut Rng, chain: &[Model], own: &BTreeMap<u64, Vec<u8>>) -> (Vec<Run>, BTreeMap<u64, Said>) {
    let (mut runs, mut said) = (Vec::new(), BTreeMap::new());
    let mut at = BASE + random.below(4) as u64 * PAGE as u64;
    for _ in 0..random.below(40) {
        let mut pages = 1 + random.below(6) as u64;
        let (mut place, mut flags) = (NOWHERE, 0);
        let mut one = Said::Hole;
        match random.below(10) {
            0 => (flags, one) = (PRESENT | ZERO, Said::Zero),
            1 => (flags, one) = (LAZY, Said::Lazy),
            2 => {}
            3 | 4 => {
                let links = random.below(3);
                (flags, one) = (PARENT | BY_ADDRESS | (links as u32) << 16, Said::Parent(links.max(1)));
            }
            _ => {
                let ancestor = if random.one_in(3) { random.below(3) } else { 0 };
                let store = match ancestor {
                    0 => Some(own),
                    _ => chain.get(ancestor - 1).map(|model| &model.store),
                };
                let numbers: Vec<u64> = store.into_iter().flat_map(|store| store.keys().copied()).collect();
                place = if numbers.is_empty() || random.one_in(30) { 1 << 50 } else { *random.pick(&numbers) };
                flags = if ancestor == 0 { PRESENT } else { PARENT } | (ancestor as u32) << 16;
                one = Said::Placed(ancestor, place);
                // sometimes more than the blocks have
                if !random.one_in(10) {
                    let there = (place..).take_while(|n| store.is_some_and(|store| store.contains_key(n))).count();
                    pages = pages.min(there.max(1) as u64);
                }
            }
        }
        runs.push(Run::new(at, pages, place, flags));
        for number in 0..pages {
            let one = match &one {
                Said::Placed(ancestor, place) => Said::Placed(*ancestor, place + number),
                other => other.clone(),
            };
            said.insert(at + number * PAGE as u64, one);
        }
        at += (pages + *random.pick(&[0, 0, 1, 5])) * PAGE as u64;
    }
    (runs, said)
}

/// Writes a dump: runs cut into batches, blocks in any order, both in turns.
fn write(random: &mut Rng, runs: Option<&[Run]>, mut blocks: Vec<Block>, number: u64) -> Vec<u8> {
    let mut file = File::new(number);
    let mut rest = runs;
    let has_runs = rest.is_some();
    let has_blocks = !blocks.is_empty();
    if has_runs {
        file.image(PAGEMAP, ID);
    }
    while rest.is_some_and(|rest| !rest.is_empty()) || !blocks.is_empty() {
        if let Some(some) = rest.filter(|rest| !rest.is_empty() && random.one_in(2)) {
            let (now, later) = some.split_at(1 + random.below(some.len()));
            file.image(PAGEMAP, ID);
            file.runs(now);
            rest = Some(later);
        } else if !blocks.is_empty() {
            file.image(PAGES, 0);
            let block = blocks.swap_remove(random.below(blocks.len()));
            file.block(&block);
        }
    }
    if has_blocks {
        file.stop(PAGES, 0);
    }
    if has_runs {
        file.stop(PAGEMAP, ID);
    }
    file.finish(random.one_in(2))
}

/// A chain of dumps, the newest first: of version 2, the last ones sometimes of version 1.
fn chain(random: &mut Rng, folder: &std::path::Path) -> (Arc<dyn Source>, Vec<Model>) {
    let levels = 1 + random.below(4);
    let old = if random.one_in(3) { random.below(levels) } else { 0 };
    let mut models: Vec<Model> = Vec::new();
    let mut source: Option<Arc<dyn Source>> = None;
    for level in (0..levels).rev() {
        let mut model = Model::default();
        if level >= levels - old {
            model.is_v1 = true;
            let mut said = BTreeMap::new();
            let mut pagemap = Pagemap::new(1);
            let mut at = BASE;
            for _ in 0..random.below(20) {
                let pages = 1 + random.below(5);
                let content: Vec<Vec<u8>> = (0..pages).map(|_| page(random)).collect();
                let (store, one) = match random.below(5) {
                    0 => (Store::Parent(pages as u64), Some(Said::Parent(1))),
                    1 => (Store::Lazy(pages as u64), Some(Said::Lazy)),
                    2 => (Store::Blocks(content.concat(), 2), None),
                    _ => (Store::Plain(content.concat()), None),
                };
                pagemap = pagemap.entry(at, &store);
                for (number, bytes) in content.into_iter().enumerate() {
                    said.insert(at + (number * PAGE) as u64, one.clone().unwrap_or(Said::Bytes(bytes)));
                }
                at += ((pages + random.below(3)) * PAGE) as u64;
            }
            let dir = folder.join(level.to_string());
            pagemap.write(&dir, ID as u32);
            if source.is_some() {
                std::os::unix::fs::symlink(format!("../{}", level + 1), dir.join("parent")).unwrap();
            }
            source = Some(Arc::new(Dir::open(&dir, Default::default(), Limits::default()).unwrap()));
            model.said = Some(said);
        } else {
            let blocks = blocks(random, &mut model.store);
            let (runs, said) = runs(random, &models, &model.store);
            let is_known = level == 0 || !random.one_in(6);
            let bytes = write(random, is_known.then_some(&runs), blocks, level as u64 + 5);
            model.said = is_known.then_some(said);
            source = Some(Held::bundle(&format!("dump{level}"), bytes, source.take()).unwrap());
        }
        models.insert(0, model);
    }
    (source.unwrap(), models)
}

/// What a chain has of each page, by runs and by lookups.
fn found(pages: &Pages, by_lookup: bool) -> BTreeMap<u64, State> {
    let mut all = BTreeMap::new();
    if by_lookup {
        for address in (BASE - PAGE as u64..BASE + (500 * PAGE) as u64).step_by(PAGE) {
            match pages.page(address + 9) {
                Ok(None) => {}
                Ok(Some(PageState::Stored(bytes))) => drop(all.insert(address, State::Bytes(bytes.to_vec()))),
                Ok(Some(PageState::Missing(_))) | Err(_) => drop(all.insert(address, State::Missing)),
            }
        }
        return all;
    }
    let mut scratch = Vec::new();
    let mut before = 0;
    for run in pages.runs(0..BASE + (500 * PAGE) as u64) {
        assert!(run.start >= before && run.end > run.start, "runs ascend");
        before = run.end;
        let bytes = match &run.content {
            Content::Stored(stored) => stored.bytes(&mut scratch).ok().map(<[u8]>::to_vec),
            Content::Zero => Some(vec![0; run.len() as usize]),
            Content::Missing(_) => None,
            other => panic!("{other:?}"),
        };
        for number in 0..run.len() as usize / PAGE {
            let state = bytes.as_ref().map(|bytes| bytes[number * PAGE..][..PAGE].to_vec());
            all.insert(run.start + (number * PAGE) as u64, state.map_or(State::Missing, State::Bytes));
        }
    }
    all
}

#[test]
fn random_chains() {
    let mut with_bytes = 0;
    for seed in 0..400 {
        let random = &mut Rng::new(seed);
        let folder = tempfile::tempdir().unwrap();
        let (source, models) = chain(random, folder.path());
        let parents = Parents::of(source);
        let pages = Pages::open(&parents, Kind::Pagemap, ID, Some(PAGE as u64), &Limits::default()).unwrap().unwrap();
        // a pagemap of version 1 ends the chain where it refers to nothing before
        let mut want = BTreeMap::new();
        for address in (BASE - PAGE as u64..BASE + (500 * PAGE) as u64).step_by(PAGE) {
            if let Some(state) = look(&models, 0, address) {
                want.insert(address, state);
            }
        }
        with_bytes += want.values().filter(|state| matches!(state, State::Bytes(_))).count();
        for by_lookup in [true, false] {
            let found = found(&pages, by_lookup);
            for (address, state) in &want {
                assert!(found.get(address) == Some(state), "seed {seed}, {address:#x}, by lookup {by_lookup}");
            }
            assert_eq!(found.len(), want.len(), "seed {seed}, by lookup {by_lookup}");
        }
        // parts of a page, and parts of runs
        let mut scratch = Vec::new();
        for _ in 0..20 {
            let start = BASE + random.below(300 * PAGE) as u64;
            let end = start + random.below(5 * PAGE) as u64;
            for run in pages.runs(start..end) {
                assert!(run.start >= start && run.end <= end);
                let Content::Stored(stored) = &run.content else { continue };
                let bytes = stored.bytes(&mut scratch).unwrap();
                assert_eq!(bytes.len() as u64, run.len());
                for (at, byte) in bytes.iter().enumerate() {
                    let address = run.start + at as u64;
                    let Some(State::Bytes(page)) = want.get(&(address & !(PAGE as u64 - 1))) else {
                        panic!("{address:#x}")
                    };
                    assert_eq!(*byte, page[address as usize % PAGE]);
                }
            }
        }
    }
    assert!(with_bytes > 10_000, "{with_bytes}");
}
