//! Chains made one dump: against truth tables of a live process, a plain program, and random chains of every make; and
//! what is left where it cannot be done.
#![allow(
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr
)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use common::chain::{BASE, dealt, entry, is_pagemap, names, scratch, write};
use common::pagemap::{PAGE, Pagemap, Store, content, process};
use common::writer::{File, message};
use common::{corpus, flat};
use icecore::base::report::{Cancel, Progress, Silent};
use icecore::checkpoint::Options;
use icecore::memory::Content;
use icecore::tool::convert::{Convert, Target, convert};
use icecore::tool::flatten::{Flatten, Flattened, flatten};
use icecore::{Checkpoint, ErrorKind};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

fn made(source: &Path, target: &Path, decompress: bool) -> icecore::Result<Flattened> {
    let options = Flatten { decompress, ..Flatten::default() };
    flatten(source, target, &options, (&Silent, &Cancel::default()))
}

/// What an inventory says, by number.
fn inventory(dir: &Path) -> BTreeMap<u32, u64> {
    let message = flat::entries(&dir.join("inventory.img")).remove(0);
    let mut found = BTreeMap::new();
    for field in icecore::wire::field::Fields::new(&message) {
        let field = field.unwrap();
        if let icecore::wire::field::Value::Varint(value) = field.value {
            found.insert(field.number, value);
        }
    }
    found
}

/// The pages of all pagemaps, and what is not memory, are those of the source.
fn same(source: &Path, made: &Path) {
    let mut pagemaps = 0;
    for name in names(source) {
        if name == "parent" {
            assert!(!made.join(name).exists());
        } else if is_pagemap(&name) {
            let (mut want, mut found) = (flat::stored(source, &name), flat::stored(made, &name));
            let empty = |pages: &mut BTreeMap<u64, Option<Vec<u8>>>| pages.retain(|_, bytes| bytes.is_some());
            empty(&mut want);
            empty(&mut found);
            assert!(want == found, "{}: {name}", source.display());
            pagemaps += 1;
        } else if !name.starts_with("pages-") && name != "inventory.img" {
            assert!(fs::read(source.join(&name)).unwrap() == fs::read(made.join(&name)).unwrap(), "{name}");
        }
    }
    assert!(pagemaps > 0);
    alone(made);
}

/// It needs no other dump, and its entries are such that CRIU reads them.
fn alone(dir: &Path) {
    let has_inventory = dir.join("inventory.img").exists();
    let mut blocks = false;
    let mut is_aligned = false;
    for name in names(dir).into_iter().filter(|name| is_pagemap(name)) {
        let mut messages = flat::entries(&dir.join(&name)).into_iter();
        let head: icecore::v1::PagemapHead = prost::Message::decode(&messages.next().unwrap()[..]).unwrap();
        let (mut end, mut length) = (0, 0u64);
        for message in messages {
            let entry: icecore::v1::PagemapEntry = prost::Message::decode(&message[..]).unwrap();
            let flags = entry.flags.unwrap_or(4);
            assert!(flags & 1 == 0 && entry.in_parent != Some(true), "{name}: in a parent");
            let pages = entry.nr_pages.unwrap_or(u64::from(entry.compat_nr_pages));
            assert!(pages > 0 && entry.vaddr.is_multiple_of(PAGE as u64));
            let start = if entry.vaddr >> 32 == 0xffff_ffff { entry.vaddr & 0xffff_ffff } else { entry.vaddr };
            assert!(start >= end, "{name}: ascending");
            end = start + pages * PAGE as u64;
            if flags & 8 != 0 {
                is_aligned = true;
                length = length.next_multiple_of(PAGE as u64);
                assert!(flags & 4 != 0);
            }
            if let Some(found) = entry.blocks {
                blocks = true;
                let per = u64::from(found.pages_per_block);
                assert!(per > 0 && per * PAGE as u64 <= 4 << 20);
                assert_eq!(found.block_sizes.len() as u64, pages.div_ceil(per));
                assert_eq!(
                    found.block_sizes.iter().map(|size| u64::from(*size)).sum::<u64>(),
                    found.total_payload_size
                );
                length += found.total_payload_size;
            } else if flags & 4 != 0 {
                length += pages * PAGE as u64;
            }
        }
        let pages = dir.join(format!("pages-{}.img", head.pages_id));
        assert_eq!(fs::metadata(pages).unwrap().len(), length, "{name}: its pages");
    }
    if has_inventory {
        let inventory = inventory(dir);
        match inventory[&1] {
            0 | 1 => {}
            2 => assert!(!blocks && !is_aligned && inventory.get(&15).copied().unwrap_or(0) == 0),
            version => assert!(version == 3 && inventory.get(&15) == Some(&1)),
        }
    }
}

#[test]
fn a_real_dump_in_three_is_itself_again() {
    for name in ["tree", "python", "container"] {
        let root = scratch();
        let original = corpus::data().join(name);
        let source = dealt(&original, root.path());
        let target = root.path().join("whole");
        let flattened = made(&source, &target, false).unwrap();
        same(&source, &target);
        // byte for byte what it was, but for entries that were joined
        for file in names(&original) {
            if !file.starts_with("pagemap-") {
                assert!(fs::read(original.join(&file)).unwrap() == fs::read(target.join(&file)).unwrap(), "{file}");
            }
        }
        assert_eq!(names(&original), names(&target));
        assert_eq!(flattened.counts.dumps.len(), 3);
        assert!(flattened.counts.dumps.iter().all(|dump| dump.pages > 20), "{:?}", flattened.counts);
        assert_eq!(flattened.counts.pages, flattened.counts.dumps.iter().map(|dump| dump.pages).sum::<u64>());
        assert!(flattened.notes.is_empty(), "{:?}", flattened.notes);
    }
}

#[test]
fn a_dump_without_parents_is_copied() {
    let root = scratch();
    let source = corpus::data().join("tree");
    let target = root.path().join("copy");
    let flattened = made(&source, &target, false).unwrap();
    assert_eq!(flattened.counts.rewritten, 0);
    assert_eq!(names(&source), names(&target));
    for file in names(&source) {
        assert!(fs::read(source.join(&file)).unwrap() == fs::read(target.join(&file)).unwrap(), "{file}");
    }
}

#[test]
fn version_2_gives_the_same() {
    let root = scratch();
    let source = dealt(&corpus::data().join("tree"), root.path());
    let plain = root.path().join("plain");
    made(&source, &plain, false).unwrap();
    // the chain, converted dump by dump
    for level in (0..3).rev() {
        let dump = root.path().join(level.to_string());
        let bundle = root.path().join(format!("{level}.criu"));
        let mut how = Convert::default();
        if level < 2 {
            how.pages.parent = Some(root.path().join(format!("{}.criu", level + 1)));
        }
        convert(&dump, Target::Bundle(&bundle), &how, (&Silent, &Cancel::default())).unwrap();
    }
    let target = root.path().join("from-v2");
    made(&root.path().join("0.criu"), &target, false).unwrap();
    alone(&target);
    assert_eq!(names(&plain), names(&target));
    for file in names(&plain) {
        if file.starts_with("pagemap-") {
            assert!(flat::stored(&plain, &file) == flat::stored(&target, &file), "{file}");
        } else if !file.starts_with("pages-") {
            assert!(fs::read(plain.join(&file)).unwrap() == fs::read(target.join(&file)).unwrap(), "{file}");
        }
    }
}

/// The truth about dump K: address, hash and mapping of each page of its anonymous memory.
#[test]
fn each_step_of_a_real_chain() {
    let Some(large) = corpus::large() else {
        eprintln!("\n  SKIPPED: no large corpus: unpack one and set ICECORE_CORPUS to its folder\n");
        return;
    };
    let chain = large.join("chain/chains/tracked");
    for step in 1..=6 {
        let root = scratch();
        let source = chain.join(step.to_string());
        let target = root.path().join("whole");
        made(&source, &target, false).unwrap();
        alone(&target);
        let truth = fs::read_to_string(chain.join(format!("truth-{step}.tsv"))).unwrap();
        let dump = Checkpoint::open(&target).unwrap();
        let spaces: Vec<_> =
            dump.tasks().unwrap().all().unwrap().iter().filter_map(|task| task.address_space().unwrap()).collect();
        let mut count = 0;
        for line in truth.lines() {
            let [address, want, _] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
            let address = u64::from_str_radix(address, 16).unwrap();
            let is_it = spaces.iter().any(|space| {
                let mut bytes = vec![0; PAGE];
                let is_read = space.read(address, &mut bytes).is_ok();
                if step == 1 && address == 0x7fbd_f2e2_9000 {
                    // the kernel wrote there, between the first dump and its truth, which processor it ran on
                    bytes[0x6c0..0x6c4].copy_from_slice(&[4, 0, 0, 0]);
                }
                is_read && hash(&bytes) == want
            });
            assert!(is_it, "{step}: {line}");
            count += 1;
        }
        assert!(count > 1000, "{count}");
        same(&source, &target);
    }
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Every dump of the large corpus that has a parent, and the compressed ones.
#[test]
fn pre_dumps_and_compressed_dumps() {
    let Some(large) = corpus::large() else {
        eprintln!("\n  SKIPPED: no large corpus: unpack one and set ICECORE_CORPUS to its folder\n");
        return;
    };
    let mut count = 0;
    for folder in ["predump", "compressed"] {
        for dir in corpus::dumps(&large.join(folder)) {
            for decompress in [false, true] {
                let root = scratch();
                let target = root.path().join("whole");
                match made(&dir, &target, decompress) {
                    Ok(_) => {
                        same(&dir, &target);
                        count += 1;
                    }
                    Err(error) => panic!("{}: {error}", dir.display()),
                }
            }
        }
    }
    assert!(count > 100, "{count}");
}

/// Writes an inventory of this version into each dump.
fn versions(root: &Path, dumps: usize, version: u64) {
    for number in 0..dumps {
        let inventory = File::new("INVENTORY").entry(&message().uint(1, version).uint(2, 1).uint(15, 1).uint(16, 4096));
        fs::write(root.join(number.to_string()).join("inventory.img"), inventory.0).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_chain(
        chain in prop::collection::vec(prop::collection::vec(entry(), 0..24), 1..5),
        decompress in any::<bool>(),
    ) {
        let root = scratch();
        let dir = write(root.path(), &chain, 7);
        versions(root.path(), chain.len(), 3);
        let want = flat::stored(&dir, "pagemap-7.img");
        // a page is nowhere if the dump itself does not leave it to a server
        let lazy: Vec<u64> = own_lazy(&dir);
        let is_whole = want.iter().all(|(address, bytes)| bytes.is_some() || lazy.contains(address));
        let target = root.path().join("whole");
        match made(&dir, &target, decompress) {
            Ok(flattened) => {
                prop_assert!(is_whole);
                same(&dir, &target);
                prop_assert_eq!(flattened.counts.pages, want.values().filter(|bytes| bytes.is_some()).count() as u64);
                prop_assert_eq!(flattened.counts.lazy_pages, lazy.len() as u64);
                let packed = inventory(&target)[&1] == 3;
                prop_assert!(!(packed && decompress));
                // once more, it is as it was
                let again = root.path().join("again");
                made(&target, &again, decompress).unwrap();
                for name in names(&target) {
                    prop_assert!(fs::read(target.join(&name)).unwrap() == fs::read(again.join(&name)).unwrap());
                }
            }
            Err(error) => {
                prop_assert!(!is_whole, "{}", error);
                let text = error.to_string();
                prop_assert!(text.contains("pagemap-7.img: entry ") && text.contains("no page at 0x"), "{}", text);
                prop_assert_eq!(names(root.path()).len(), chain.len());
            }
        }
    }
}

/// Addresses that the dump itself leaves to a server.
fn own_lazy(dir: &Path) -> Vec<u64> {
    let mut found = Vec::new();
    for message in &flat::entries(&dir.join("pagemap-7.img"))[1..] {
        let entry: icecore::v1::PagemapEntry = prost::Message::decode(&message[..]).unwrap();
        if entry.flags == Some(2) {
            found.extend((0..entry.nr_pages.unwrap()).map(|page| entry.vaddr + page * PAGE as u64));
        }
    }
    found
}

#[test]
fn a_page_that_nobody_has_is_named() {
    let root = scratch();
    let chain =
        vec![vec![(0, Store::Plain(content(1, 2))), (0, Store::Parent(4))], vec![(2, Store::Plain(content(2, 3)))]];
    let dir = write(root.path(), &chain, 7);
    let target = root.path().join("whole");
    let error = made(&dir, &target, false).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("pagemap-7.img: entry 2: no page at 0x10005000: it should be in a parent dump"), "{text}");
    assert_eq!(names(root.path()), ["0", "1"]);
    // the ancestor is gone
    fs::rename(root.path().join("1"), root.path().join("elsewhere")).unwrap();
    let error = made(&dir, &target, false).unwrap_err();
    assert!(error.to_string().contains("cannot follow the link to the parent dump"), "{error}");
    assert_eq!(names(root.path()), ["0", "elsewhere"]);
}

#[test]
fn what_cannot_be_read_leaves_nothing() {
    let chain =
        || vec![vec![(0, Store::Plain(content(1, 2))), (0, Store::Parent(4))], vec![(2, Store::Plain(content(2, 4)))]];
    // a pages file that is too short, none at all, a broken pagemap, a circle
    type Harm = fn(&Path);
    let harms: [(Harm, &str); 5] = [
        (|root| fs::write(root.join("1/pages-2.img"), vec![0; 3 * PAGE]).unwrap(), "cut short"),
        (|root| fs::remove_file(root.join("1/pages-2.img")).unwrap(), "pages-2.img"),
        (|root| fs::write(root.join("1/pagemap-7.img"), b"nothing like it").unwrap(), "pagemap-7.img"),
        (|root| symlink("../0", root.join("1/parent")).unwrap(), "circle"),
        (|root| fs::write(root.join("0/pages-1.img"), b"").unwrap(), "pages-1.img"),
    ];
    for (harm, what) in harms {
        let root = scratch();
        let dir = write(root.path(), &chain(), 7);
        harm(root.path());
        let error = made(&dir, &root.path().join("whole"), false).unwrap_err();
        assert!(error.to_string().contains(what), "{what}: {error}");
        assert_eq!(names(root.path()), ["0", "1"], "{what}");
    }
}

#[test]
fn a_damaged_block_leaves_nothing() {
    let root = scratch();
    // the child needs a part of the block, which has to be unpacked
    let chain = vec![vec![(1, Store::Parent(1))], vec![(0, Store::Blocks(content(9, 4), 4))]];
    let dir = write(root.path(), &chain, 7);
    let pages = root.path().join("1/pages-2.img");
    let mut bytes = fs::read(&pages).unwrap();
    bytes.fill(0xff);
    fs::write(&pages, bytes).unwrap();
    let error = made(&dir, &root.path().join("whole"), false).unwrap_err();
    assert!(error.to_string().contains("pages-2.img"), "{error}");
    assert_eq!(names(root.path()), ["0", "1"]);
}

#[test]
fn blocks_stay_where_they_are_whole() {
    let root = scratch();
    let chain = vec![
        vec![(0, Store::Parent(3)), (0, Store::Plain(content(1, 1))), (0, Store::Parent(9))],
        vec![(0, Store::Blocks(content(2, 12), 2)), (0, Store::Blocks(vec![0; PAGE], 1))],
    ];
    let dir = write(root.path(), &chain, 7);
    versions(root.path(), 2, 3);
    let target = root.path().join("whole");
    let flattened = made(&dir, &target, false).unwrap();
    same(&dir, &target);
    // pages 0-1, then 2 alone, then the child's, then 4-11 and the one of zeros
    assert_eq!((flattened.counts.blocks, flattened.counts.unpacked_pages), (6, 1));
    assert_eq!(inventory(&target)[&1], 3);
    let target = root.path().join("plain");
    let flattened = made(&dir, &target, true).unwrap();
    same(&dir, &target);
    assert_eq!((flattened.counts.blocks, flattened.counts.unpacked_pages), (0, 11));
    assert_eq!(flattened.counts.zero_pages, 1);
    let found = inventory(&target);
    assert_eq!((found[&1], found.get(&15), found.get(&16)), (2, None, None));
}

#[test]
fn pages_in_holes_are_told_of() {
    let root = scratch();
    let chain = vec![vec![(0, Store::Parent(4))], vec![(0, Store::Plain(content(2, 4)))]];
    let dir = write(root.path(), &chain, 7);
    let file = fs::OpenOptions::new().write(true).open(root.path().join("1/pages-2.img")).unwrap();
    let how = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
    rustix::fs::fallocate(&file, how, 0, 2 * PAGE as u64).unwrap();
    let flattened = made(&dir, &root.path().join("whole"), false).unwrap();
    assert!(
        flattened.notes.iter().any(|note| note.contains("1 stretches of pages lie in holes")),
        "{:?}",
        flattened.notes
    );
}

#[test]
fn a_whole_pre_dump_can_be_a_parent() {
    let root = scratch();
    let chain = vec![
        vec![(0, Store::Plain(content(1, 2))), (0, Store::Parent(8))],
        vec![(2, Store::Plain(content(2, 4))), (0, Store::Parent(4))],
        vec![(6, Store::Plain(content(3, 4)))],
    ];
    write(root.path(), &chain, 7);
    versions(root.path(), 3, 0);
    let whole = root.path().join("whole");
    let middle = root.path().join("1");
    made(&middle, &whole, false).unwrap();
    assert_eq!(inventory(&whole)[&1], 0);
    let before = flat::stored(&root.path().join("0"), "pagemap-7.img");
    fs::remove_file(root.path().join("0/parent")).unwrap();
    fs::remove_dir_all(&middle).unwrap();
    symlink("../whole", root.path().join("0/parent")).unwrap();
    assert!(before == flat::stored(&root.path().join("0"), "pagemap-7.img"));
}

#[test]
fn old_pagemaps_stay_old() {
    let root = scratch();
    let (child, parent) = (root.path().join("0"), root.path().join("1"));
    // before flags, and before the wider number
    let old = Pagemap::new(1)
        .raw(&message().uint(1, BASE).uint(2, 2).uint(3, 1))
        .raw(&message().uint(1, BASE + 2 * PAGE as u64).uint(2, 1));
    let mut old = old;
    old.pages = content(3, 1);
    old.write(&child, 7);
    symlink("../1", child.join("parent")).unwrap();
    let mut before = Pagemap::new(1).raw(&message().uint(1, BASE).uint(2, 3).uint(4, 4));
    before.pages = content(4, 3);
    before.write(&parent, 7);
    let target = root.path().join("whole");
    made(&child, &target, false).unwrap();
    same(&child, &target);
    let entries = flat::entries(&target.join("pagemap-7.img"));
    assert_eq!(entries.len(), 2, "neighbours are one entry");
    assert_eq!(entries[1], message().uint(1, BASE).uint(2, 3).0);
}

#[test]
fn nobody_else_may_read_it() {
    let root = scratch();
    let chain = vec![vec![(0, Store::Parent(2))], vec![(0, Store::Plain(content(2, 2)))]];
    let dir = write(root.path(), &chain, 7);
    process(&dir, 7, &[]);
    for (name, mode) in [("pagemap-7.img", 0o644), ("pages-1.img", 0o664), ("pstree.img", 0o600)] {
        fs::set_permissions(dir.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(root.path().join("1"), fs::Permissions::from_mode(0o700)).unwrap();
    let target = root.path().join("whole");
    made(&dir, &target, false).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!(mode(&target), 0o750);
    assert_eq!(mode(&target.join("pagemap-7.img")), 0o640);
    assert_eq!(mode(&target.join("pages-1.img")), 0o600, "an ancestor was for its owner alone");
    assert_eq!(mode(&target.join("pstree.img")), 0o600);
}

#[test]
fn targets_that_are_taken() {
    let root = scratch();
    let source = corpus::data().join("python");
    let target = root.path().join("taken");
    fs::create_dir(&target).unwrap();
    fs::write(target.join("mine"), "").unwrap();
    assert_eq!(made(&source, &target, false).unwrap_err().kind(), ErrorKind::Usage);
    assert_eq!(names(&target), ["mine"]);
    fs::remove_file(target.join("mine")).unwrap();
    made(&source, &target, false).unwrap();
    assert_eq!(names(&source), names(&target));
    let inside = made(&target, &target.join("within"), false).unwrap_err();
    assert!(inside.to_string().contains("would be a part"), "{inside}");
    let cancel = Cancel::default();
    cancel.cancel();
    let options = Flatten { read: Options::default(), decompress: false };
    let other = root.path().join("other");
    let error = flatten(&source, &other, &options, (&Silent, &cancel)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert_eq!(names(root.path()), ["taken"]);
}

#[test]
fn as_a_program() {
    let root = scratch();
    let source = dealt(&corpus::data().join("python"), root.path());
    let target = root.path().join("whole");
    let output = Command::new(env!("CARGO_BIN_EXE_icecore"))
        .args(["flatten", "--json"])
        .arg(&source)
        .arg("-o")
        .arg(&target)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["dumps"].as_array().unwrap().len(), 3);
    assert_eq!(
        said["copied"].as_u64().unwrap() + said["written"].as_u64().unwrap(),
        said["pages"].as_u64().unwrap() * 4096
    );
    let space = Checkpoint::open(&target).unwrap();
    let task = &space.tasks().unwrap().all().unwrap()[0];
    let space = task.address_space().unwrap().unwrap();
    assert!(
        space
            .runs(0..u64::MAX)
            .all(|run| !matches!(run.content, Content::Missing(icecore::memory::Missing::Broken(_))))
    );
}

/// So much that reading and writing are two threads: single pages, and stretches that go from file to file.
fn much(root: &Path) -> std::path::PathBuf {
    const SINGLE: u64 = 1500;
    const LONG: u64 = 700;
    let anew = |level: u8, is_anew: bool, pages: u64| match (is_anew, level) {
        (true, _) | (_, 2) => {
            let mut bytes = content(level, pages as usize);
            (0u64..)
                .zip(bytes.chunks_mut(PAGE))
                .for_each(|(number, page)| page[8..16].copy_from_slice(&number.to_le_bytes()));
            Store::Plain(bytes)
        }
        _ => Store::Parent(pages),
    };
    let chain: Vec<Vec<(u64, Store)>> = (0..3u8)
        .map(|level| {
            let single = (0..SINGLE).map(|page| (page % 7 / 6, anew(level, page % (3 + u64::from(level)) == 0, 1)));
            single.chain((0..4).map(|long| (0, anew(level, long == u64::from(level), LONG)))).collect()
        })
        .collect();
    write(root, &chain, 7)
}

#[test]
fn much_from_one_file_system_to_another() {
    let (here, there) = (scratch(), tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap());
    for (number, (from, to)) in [(&here, &there), (&there, &here), (&here, &here), (&there, &there)].iter().enumerate()
    {
        let root = from.path().join(number.to_string());
        let source = much(&root);
        let target = to.path().join(format!("whole-{number}"));
        let Flattened { counts, .. } = made(&source, &target, false).unwrap();
        same(&source, &target);
        assert_eq!(counts.copied + counts.written, counts.pages * PAGE as u64);
        assert!(counts.dumps.iter().all(|dump| dump.pages > 500), "{counts:?}");
    }
}

/// Asks to end once so much is done.
struct Ending<'c>(&'c Cancel, u64);

impl Progress for Ending<'_> {
    fn advance(&self, done: u64, _: u64) {
        if done >= self.1 {
            self.0.cancel();
        }
    }
}

#[test]
fn nothing_is_left_wherever_it_ends() {
    let root = scratch();
    let source = much(root.path());
    let before = names(root.path());
    for at in (0..16).map(|at| at << 20) {
        let cancel = Cancel::default();
        let target = root.path().join("whole");
        let error = flatten(&source, &target, &Flatten::default(), (&Ending(&cancel, at), &cancel)).unwrap_err();
        assert!(error.to_string().contains("interrupted"), "{error}");
        assert_eq!(names(root.path()), before);
    }
}
