//! Holes in the ancestors of a dump: against a model, against `criu dedup`, interrupted anywhere; and what is refused.
#![allow(
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr
)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use common::chain::{dealt, entry, is_pagemap, names, scratch, write};
use common::pagemap::{PAGE, Store, content};
use common::{corpus, flat, oracle};
use icecore::ErrorKind;
use icecore::base::report::{Cancel, Collect, Progress, Silent};
use icecore::tool::convert::{Convert, Target, convert};
use icecore::tool::dedup::{Dedup, Deduped, Freed, dedup};
use proptest::prelude::*;
use rustix::fs::{SeekFrom, seek};

fn run(dir: &Path, options: Dedup) -> icecore::Result<(Deduped, Vec<Freed>)> {
    let mut rows = Collect::default();
    let done = dedup(dir, &options, (&Silent, &Cancel::default()), &mut rows)?;
    Ok((done, rows.rows))
}

/// All bytes of all files below a folder.
fn bytes(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for dump in names(root) {
        let dir = root.join(dump);
        if dir.is_dir() {
            for name in names(&dir).into_iter().filter(|name| name != "parent") {
                found.insert(dir.join(&name), fs::read(dir.join(&name)).unwrap());
            }
        }
    }
    found
}

/// The holes of a file: offsets of pages.
fn holes(path: &Path) -> BTreeSet<u64> {
    let file = File::open(path).unwrap();
    let length = file.metadata().unwrap().len();
    let mut found = BTreeSet::new();
    let mut at = 0;
    while at < length {
        let data = seek(&file, SeekFrom::Data(at)).unwrap_or(length);
        found.extend((at..data).step_by(PAGE));
        at = if data < length { seek(&file, SeekFrom::Hole(data)).unwrap() } else { length };
    }
    found
}

/// Pages that a dump stores: where, by address; `None` in blocks.
fn stores(dir: &Path, name: &str) -> BTreeMap<u64, Option<u64>> {
    let mut found = BTreeMap::new();
    let mut at = 0u64;
    for message in flat::entries(&dir.join(name)).into_iter().skip(1) {
        let entry: icecore::v1::PagemapEntry = prost::Message::decode(&message[..]).unwrap();
        let pages = entry.nr_pages.unwrap_or(u64::from(entry.compat_nr_pages));
        let flags = entry.flags.unwrap();
        if flags & 4 == 0 {
            continue;
        }
        if flags & 8 != 0 {
            at = at.next_multiple_of(PAGE as u64);
        }
        for page in 0..pages {
            let place = entry.blocks.is_none().then_some(at + page * PAGE as u64);
            found.insert(entry.vaddr + page * PAGE as u64, place);
        }
        at += entry.blocks.map_or(pages * PAGE as u64, |blocks| blocks.total_payload_size);
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn any_chain(chain in prop::collection::vec(prop::collection::vec(entry(), 0..24), 1..6)) {
        let root = scratch();
        let dir = write(root.path(), &chain, 7);
        let memory = flat::stored(&dir, "pagemap-7.img");
        let mut want = bytes(root.path());
        let mut hidden = BTreeSet::new();
        let mut pages = 0;
        for level in 0..chain.len() {
            let own = stores(&root.path().join(level.to_string()), "pagemap-7.img");
            let file = root.path().join(format!("{level}/pages-{}.img", level + 1));
            for (address, place) in &own {
                if let (true, Some(place)) = (hidden.contains(address), place) {
                    want.get_mut(&file).unwrap()[*place as usize..*place as usize + PAGE].fill(0);
                    pages += 1;
                }
            }
            hidden.extend(own.into_keys());
        }
        let before = bytes(root.path());
        let (told, _) = run(&dir, Dedup { dry_run: true, ..Dedup::default() }).unwrap();
        prop_assert!(bytes(root.path()) == before);
        prop_assert_eq!((told.pages, told.freed), (pages, 0));
        let (done, rows) = run(&dir, Dedup::default()).unwrap();
        prop_assert!(bytes(root.path()) == want);
        prop_assert!(flat::stored(&dir, "pagemap-7.img") == memory);
        prop_assert_eq!(done.pages, pages);
        prop_assert_eq!(done.allocated, told.allocated);
        prop_assert_eq!(rows.iter().map(|row| row.pages).sum::<u64>(), pages);
        prop_assert_eq!(rows.iter().map(|row| row.freed.unwrap()).sum::<u64>(), done.freed);
        // twice is as once
        let (again, _) = run(&dir, Dedup::default()).unwrap();
        prop_assert!(bytes(root.path()) == want);
        prop_assert_eq!((again.pages, again.freed), (pages, 0));
    }
}

/// Cancels when so many ranges were punched.
struct After<'c>(AtomicU64, &'c Cancel);

impl Progress for After<'_> {
    fn advance(&self, _: u64, _: u64) {
        if self.0.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.1.cancel();
        }
    }
}

#[test]
fn interrupted_anywhere_the_memory_is_the_same() {
    let original = corpus::data().join("container");
    let mut steps = 0;
    loop {
        let root = scratch();
        let dir = dealt(&original, root.path());
        let pagemaps: Vec<_> = names(&dir).into_iter().filter(|name| is_pagemap(name)).collect();
        let memory = || pagemaps.iter().map(|name| flat::stored(&dir, name)).collect::<Vec<_>>();
        let before = memory();
        let cancel = Cancel::default();
        steps += 1;
        let progress = After(AtomicU64::new(steps), &cancel);
        let done = dedup(&dir, &Dedup::default(), (&progress, &cancel), &mut Collect::default());
        assert!(memory() == before, "after {steps}");
        match done {
            Err(error) => assert_eq!(error.kind(), ErrorKind::Cancelled),
            Ok(_) => break,
        }
    }
    assert!(steps > 20, "{steps}");
}

#[test]
fn holes_take_no_room() {
    let root = scratch();
    let chain = vec![
        vec![(0, Store::Plain(content(1, 500)))],
        vec![(0, Store::Plain(content(2, 600)))],
        vec![(2, Store::Plain(content(3, 600)))],
    ];
    let dir = write(root.path(), &chain, 7);
    let (done, rows) = run(&dir, Dedup::default()).unwrap();
    assert_eq!((done.ancestors, done.pages), (2, 500 + 598));
    assert_eq!(done.freed, (500 + 598) * PAGE as u64);
    assert_eq!(rows.iter().map(|row| (row.level, row.pages)).collect::<Vec<_>>(), [(1, 500), (2, 598)]);
    let file = root.path().join("1/pages-2.img");
    assert_eq!(holes(&file).len(), 500);
    assert_eq!(fs::metadata(&file).unwrap().len(), 600 * PAGE as u64);
}

/// What criu punches is punched here too; of a dump and its parent nothing else is.
#[test]
fn as_criu_does() {
    let Some(criu) = oracle::criu() else { return };
    let mut chains: Vec<(tempfile::TempDir, PathBuf)> = Vec::new();
    for name in ["tree", "container"] {
        let root = scratch();
        let dir = dealt(&corpus::data().join(name), root.path());
        chains.push((root, dir));
    }
    if let Some(large) = corpus::large() {
        for step in 2..=6 {
            let root = scratch();
            for number in 1..=6 {
                let dump = root.path().join(number.to_string());
                fs::create_dir(&dump).unwrap();
                corpus::copy_dump(&large.join(format!("chain/chains/tracked/{number}")), &dump);
                if number > 1 {
                    symlink(format!("../{}", number - 1), dump.join("parent")).unwrap();
                }
            }
            let dir = root.path().join(step.to_string());
            chains.push((root, dir));
        }
    } else {
        eprintln!("\n  SKIPPED: no large corpus: unpack one and set ICECORE_CORPUS to its folder\n");
    }
    for (root, dir) in &chains {
        let files: Vec<PathBuf> =
            bytes(root.path()).into_keys().filter(|path| path.to_str().unwrap().contains("/pages-")).collect();
        let twin = scratch();
        for dump in names(root.path()) {
            fs::create_dir(twin.path().join(&dump)).unwrap();
            corpus::copy_dump(&root.path().join(&dump), &twin.path().join(&dump));
            if let Ok(link) = fs::read_link(root.path().join(&dump).join("parent")) {
                symlink(link, twin.path().join(&dump).join("parent")).unwrap();
            }
        }
        let own = twin.path().join(dir.file_name().unwrap());
        let output = Command::new(&criu).args(["dedup", "-D"]).arg(&own).arg("-v1").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let before: BTreeMap<_, _> = files.iter().map(|path| (path, holes(path))).collect();
        run(dir, Dedup::default()).unwrap();
        let parent = fs::canonicalize(dir.join("parent")).unwrap();
        let (mut both, mut more) = (0, 0);
        for path in &files {
            let ours = holes(path);
            let theirs = holes(&twin.path().join(path.strip_prefix(root.path()).unwrap()));
            assert!(theirs.is_subset(&ours), "{}", path.display());
            if path.starts_with(&parent) {
                assert!(ours == theirs, "{}: the nearest parent", path.display());
            }
            both += theirs.difference(&before[path]).count();
            more += ours.len() - theirs.len();
        }
        eprintln!("{}: criu punched {both} pages, icecore {more} more", dir.display());
        assert!(both > 0);
    }
}

/// A chain of two, and something beside it.
fn pair(root: &Path) -> PathBuf {
    write(root, &[vec![(0, Store::Plain(content(1, 4)))], vec![(0, Store::Plain(content(2, 6)))]], 7)
}

#[test]
fn others_that_need_the_pages_are_found() {
    let root = scratch();
    let dir = pair(root.path());
    let sibling = root.path().join("sibling");
    fs::create_dir(&sibling).unwrap();
    symlink("../1", sibling.join("parent")).unwrap();
    // a child of the dump itself loses nothing
    let child = root.path().join("child");
    fs::create_dir(&child).unwrap();
    symlink("../0", child.join("parent")).unwrap();
    let before = bytes(root.path());
    let error = run(&dir, Dedup::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert!(
        error.to_string().contains("sibling: is an increment of") && error.to_string().contains("--force"),
        "{error}"
    );
    assert!(bytes(root.path()) == before);
    let (told, _) = run(&dir, Dedup { dry_run: true, ..Dedup::default() }).unwrap();
    assert_eq!(told.others.len(), 1);
    let (done, _) = run(&dir, Dedup { force: true, ..Dedup::default() }).unwrap();
    assert_eq!((done.pages, done.others.len()), (4, 1));
}

#[test]
fn a_bundle_beside_the_chain_counts() {
    let root = scratch();
    let dir = dealt(&corpus::data().join("python"), root.path());
    // an increment of the parent, whose own parent is a directory of version 1
    let bundle = root.path().join("later.criu");
    convert(&dir, Target::Bundle(&bundle), &Convert::default(), (&Silent, &Cancel::default())).unwrap();
    let error = run(&dir, Dedup::default()).unwrap_err();
    assert!(error.to_string().contains("later.criu"), "{error}");
    let error = run(&bundle, Dedup::default()).unwrap_err();
    assert!(error.to_string().contains("is of version 2"), "{error}");
}

#[test]
fn what_is_refused_changes_nothing() {
    type Harm = fn(&Path);
    let harms: [(Harm, &str); 6] = [
        (|root| fs::write(root.join("0/pages-1.img"), vec![1; 3 * PAGE]).unwrap(), "cut short"),
        (|root| fs::remove_file(root.join("0/pages-1.img")).unwrap(), "pages-1.img"),
        (|root| fs::write(root.join("0/pagemap-7.img"), b"nothing like it").unwrap(), "pagemap-7.img"),
        (|root| fs::hard_link(root.join("1/pages-2.img"), root.join("elsewhere")).unwrap(), "has 2 names"),
        (|root| symlink("../0", root.join("1/parent")).unwrap(), "circle"),
        (
            |root| {
                fs::rename(root.join("1/pages-2.img"), root.join("moved")).unwrap();
                symlink("../moved", root.join("1/pages-2.img")).unwrap();
            },
            "is no file",
        ),
    ];
    for (harm, what) in harms {
        let root = scratch();
        let dir = pair(root.path());
        harm(root.path());
        let before = bytes(root.path());
        let error = run(&dir, Dedup::default()).unwrap_err();
        assert!(error.to_string().contains(what), "{what}: {error}");
        assert!(bytes(root.path()) == before, "{what}");
        let blocks = fs::metadata(root.path().join("1/pages-2.img")).unwrap().blocks();
        assert_eq!(blocks * 512, 6 * PAGE as u64, "{what}");
    }
}

#[test]
fn two_pagemaps_of_one_pages_file() {
    let root = scratch();
    let dir = pair(root.path());
    fs::copy(root.path().join("1/pagemap-7.img"), root.path().join("1/pagemap-8.img")).unwrap();
    let error = run(&dir, Dedup { force: true, ..Dedup::default() }).unwrap_err();
    assert!(error.to_string().contains("two pagemaps share it"), "{error}");
}

#[test]
fn blocks_stay_and_hide_what_is_below() {
    let root = scratch();
    let chain = vec![
        vec![(0, Store::Blocks(content(1, 4), 2))],
        vec![(0, Store::Blocks(content(2, 2), 1)), (0, Store::Plain(content(3, 2)))],
    ];
    let dir = write(root.path(), &chain, 7);
    let (done, _) = run(&dir, Dedup::default()).unwrap();
    assert_eq!(done.pages, 2);
}

#[test]
fn as_a_program() {
    let root = scratch();
    let dir = pair(root.path());
    let icecore = |words: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_icecore")).arg("dedup").arg(&dir).args(words).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    let (code, said, told) = icecore(&["--dry-run", "--json"]);
    assert_eq!(code, 0, "{told}");
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (&said[0]["pages"], &said[0]["level"], &said[0]["freed"]),
        (&4.into(), &1.into(), &serde_json::Value::Null)
    );
    assert!(told.contains("would free 16K"), "{told}");
    let (code, said, told) = icecore(&[]);
    assert!(code == 0 && said.contains("pages-2.img") && told.contains("freed 16K"), "{said}{told}");
    let (code, _, told) = icecore(&[]);
    assert!(code == 0 && told.contains("freed 0"), "{told}");
    fs::remove_file(dir.join("parent")).unwrap();
    let (code, said, told) = icecore(&[]);
    assert!(code == 0 && said.is_empty() && told.contains("no parent"), "{said}{told}");
}
