//! Defects planted in chains of dumps, and what `check` says of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::cast_possible_truncation)]

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use common::pagemap::{PAGE, Pagemap, Store, content, process};
use common::plant::{Found, Plant, checked};
use common::writer::message;
use icecore::base::report::{Cancel, Silent};
use icecore::tool::check::{Check, Severity};
use icecore::tool::convert::pages::PageOptions;
use icecore::tool::convert::{Convert, Target, convert};

use Severity::{Error, Note};

const AT: u64 = 0x10_0000;
const P: u64 = PAGE as u64;

fn deep() -> Check {
    Check { deep: true, ..Check::default() }
}

/// A chain of three: the last dump is checked. Pages 0 to 3 are its own, 4 to 7 its parent's, 8 to 11 the first's.
struct Chain {
    plant: Plant,
}

fn inventory(dir: &Path, version: u64) {
    let entry = message().uint(1, version).0;
    let bytes = [&0x5831_3116u32.to_le_bytes(), &(entry.len() as u32).to_le_bytes(), &entry[..]].concat();
    fs::write(dir.join("inventory.img"), bytes).unwrap();
}

impl Chain {
    fn new() -> Self {
        let root = Plant::empty();
        let dir = |number: &str| {
            let dir = root.path().join(number);
            fs::create_dir(&dir).unwrap();
            inventory(&dir, 2);
            dir
        };
        let (first, second, third) = (dir("1"), dir("2"), dir("3"));
        symlink("../1", second.join("parent")).unwrap();
        symlink("../2", third.join("parent")).unwrap();
        process(&third, 1, &[(AT, AT + 64 * P, 1 << 9 | 1, 0x22, 0, 0)]);
        Pagemap::new(5).entry(AT, &Store::Plain(content(1, 12))).write(&first, 1);
        let second_map = Pagemap::new(7).entry(AT, &Store::Plain(content(2, 8))).entry(AT + 8 * P, &Store::Parent(4));
        second_map.write(&second, 1);
        let third_map = Pagemap::new(9).entry(AT, &Store::Plain(content(3, 4))).entry(AT + 4 * P, &Store::Parent(8));
        third_map.write(&third, 1);
        let plant = Plant::of_chain(root.path(), "3");
        Self { plant }
    }

    fn dir(&self, number: &str) -> PathBuf {
        self.plant.path().parent().unwrap().join(number)
    }

    fn check(&self) -> Found {
        self.plant.check()
    }

    /// How errors call an image of another dump of the chain.
    fn name(&self, number: &str, image: &str) -> String {
        let dir = fs::canonicalize(self.dir(number)).unwrap();
        format!("{}/{image}", dir.display())
    }

    fn link(&self, number: &str, to: &str) {
        let link = self.dir(number).join("parent");
        let _ = fs::remove_file(&link);
        symlink(to, link).unwrap();
    }
}

/// Nothing is wrong with memory; made-up dumps lack much else.
#[track_caller]
fn assert_quiet(found: &Found) {
    let ours = ["pagemap-", "pages-", "parent-", "compress-", "block-", "container"];
    let is_ours = |rule: &str| ours.iter().any(|start| rule.starts_with(start));
    let wrong: Vec<_> = found.findings.iter().filter(|one| is_ours(one.rule) && one.severity != Note).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_sound_chain_is_quiet() {
    let chain = Chain::new();
    let found = chain.check();
    assert_quiet(&found);
    assert_eq!((found.checked.parents, found.checked.pages), (2, 4));
    assert_quiet(&chain.plant.check_with(&deep()));
    // and so are those before, each by itself
    for number in ["1", "2"] {
        assert_quiet(&checked(&chain.dir(number), &Check::default()));
    }
}

#[test]
fn a_link_that_leads_nowhere() {
    let chain = Chain::new();
    chain.link("3", "../7");
    let found = chain.check();
    assert!(found.of("parent-link").any(|one| one.severity == Error), "{}", found.text());
    // also where it needs no page of it
    Pagemap::new(9).entry(AT, &Store::Plain(content(3, 4))).write(chain.plant.path(), 1);
    assert_eq!(chain.check().of("parent-link").count(), 1);
}

#[test]
fn a_link_further_on_that_leads_nowhere() {
    let chain = Chain::new();
    fs::remove_dir_all(chain.dir("1")).unwrap();
    let found = chain.check();
    assert_eq!(found.of("parent-link").count(), 1, "{}", found.text());
    assert_eq!(found.checked.parents, 1);
}

#[test]
fn a_circle() {
    let chain = Chain::new();
    symlink("../3", chain.dir("1").join("parent")).unwrap();
    let found = chain.check();
    let finding = found.of("parent-link").next().unwrap();
    assert!(finding.severity == Error && finding.what.contains("circle"), "{finding:?}");
    // all pages are there: nobody gets to the end of it
    assert_eq!(found.of("parent-hole").count(), 0);
}

#[test]
fn a_chain_that_is_too_long() {
    let chain = Chain::new();
    let mut options = Check::default();
    options.read.limits.parents = 1;
    let found = chain.plant.check_with(&options);
    let finding = found.of("parent-link").next().unwrap();
    assert!(finding.advice.as_deref().unwrap().contains("--max-parents"), "{finding:?}");
}

#[test]
fn a_parent_that_is_a_file() {
    let chain = Chain::new();
    let link = chain.dir("3").join("parent");
    fs::remove_file(&link).unwrap();
    fs::write(link, "../2").unwrap();
    assert_eq!(chain.check().of("parent-link").count(), 1);
}

#[test]
fn no_link_to_the_parent() {
    let chain = Chain::new();
    fs::remove_file(chain.dir("3").join("parent")).unwrap();
    let finding = chain.check().expect(Error, "parent-missing", "pagemap-1.img", Some(2));
    assert!(finding.what.contains("8 pages at 0x104000 to 0x10c000"), "{}", finding.what);
}

#[test]
fn no_link_further_on() {
    let chain = Chain::new();
    fs::remove_file(chain.dir("2").join("parent")).unwrap();
    let finding = chain.check().expect(Error, "parent-missing", "pagemap-1.img", Some(2));
    assert!(finding.what.contains("4 pages at 0x108000"), "{}", finding.what);
}

#[test]
fn a_parent_without_the_pagemap() {
    let chain = Chain::new();
    fs::remove_file(chain.dir("1").join("pagemap-1.img")).unwrap();
    let finding = chain.check().expect(Error, "parent-hole", "pagemap-1.img", Some(2));
    assert!(finding.what.ends_with("/1 does not have them"), "{}", finding.what);
}

#[test]
fn pages_that_no_parent_has() {
    let chain = Chain::new();
    Pagemap::new(5)
        .entry(AT, &Store::Plain(content(1, 10)))
        .entry(AT + 11 * P, &Store::Hole(1))
        .write(&chain.dir("1"), 1);
    let found = chain.check();
    let holes: Vec<_> = found.of("parent-hole").collect();
    assert_eq!(holes.len(), 1, "{}", found.text());
    assert_eq!((holes[0].image.as_deref(), holes[0].entry), (Some("pagemap-1.img"), Some(2)));
    assert!(holes[0].what.contains("2 pages at 0x10a000 to 0x10c000"), "{}", holes[0].what);
    // the second dump has the same hole, in its own second entry
    checked(&chain.dir("2"), &Check::default()).expect(Error, "parent-hole", "pagemap-1.img", Some(2));
    assert_quiet(&checked(&chain.dir("1"), &Check::default()));
}

#[test]
fn many_holes() {
    let chain = Chain::new();
    let mut map = Pagemap::new(9);
    for number in 0..300u64 {
        map = map.entry(AT + 0x10_0000 + number * 2 * P, &Store::Parent(1));
    }
    map.write(chain.plant.path(), 1);
    let found = chain.check();
    let last = found.of("parent-hole").last().unwrap();
    assert_eq!(last.what, "200 more findings of this rule are not told");
    assert!(found.of("parent-hole").nth(99).unwrap().entry == Some(100), "{}", found.text());
}

#[test]
fn a_damaged_pagemap_of_a_parent() {
    let chain = Chain::new();
    let map = Pagemap::new(5).entry(AT, &Store::Plain(content(1, 9)));
    map.raw(&message().uint(1, AT + 8 * P).uint(2, 0).uint(4, 4).uint(5, 3)).write(&chain.dir("1"), 1);
    let name = chain.name("1", "pagemap-1.img");
    chain.check().expect(Error, "parent-damaged", &name, Some(2));
}

#[test]
fn a_short_pages_file_of_a_parent() {
    let chain = Chain::new();
    let pages = chain.dir("1").join("pages-5.img");
    let file = fs::OpenOptions::new().write(true).open(&pages).unwrap();
    // what is behind the pages that are needed does not count
    file.set_len(12 * P).unwrap();
    assert_quiet(&chain.check());
    file.set_len(12 * P - 1).unwrap();
    let finding = chain.check().expect(Error, "pages-short", &chain.name("1", "pages-5.img"), None);
    assert!(finding.what.starts_with("expected 49152 bytes"), "{}", finding.what);
    // nothing is needed of the second but its first eight pages
    let second = chain.dir("2").join("pages-7.img");
    fs::OpenOptions::new().write(true).open(second).unwrap().set_len(7 * P).unwrap();
    chain.check().expect(Error, "pages-short", &chain.name("2", "pages-7.img"), None);
}

#[test]
fn no_pages_file_of_a_parent() {
    let chain = Chain::new();
    fs::remove_file(chain.dir("2").join("pages-7.img")).unwrap();
    chain.check().expect(Error, "pages-missing", &chain.name("2", "pages-7.img"), None);
}

#[test]
fn holes_in_the_file_of_a_parent() {
    let chain = Chain::new();
    let dir = chain.dir("1");
    let pages = dir.join("pages-5.img");
    let bytes = fs::read(&pages).unwrap();
    let punch = |from: usize, to: usize| {
        use std::os::unix::fs::FileExt;
        let file = fs::File::create(&pages).unwrap();
        file.set_len(bytes.len() as u64).unwrap();
        for (number, page) in bytes.chunks(PAGE).enumerate().filter(|(number, _)| !(from..to).contains(number)) {
            file.write_all_at(page, (number * PAGE) as u64).unwrap();
        }
    };
    // what dedup takes out: the children have these pages
    punch(1, 8);
    assert_eq!(chain.check().of("pages-hole").count(), 0);
    // by itself that dump lost them
    assert_eq!(checked(&dir, &Check::default()).of("pages-hole").count(), 1);
    punch(1, 10);
    let found = chain.check();
    let finding = found.of("pages-hole").next().unwrap();
    assert_eq!(finding.image, Some(chain.name("1", "pages-5.img")));
    assert!(finding.what.starts_with("2 of 4 pages") && finding.what.contains("0x108000"), "{finding:?}");
}

#[test]
fn a_compressed_parent() {
    let chain = Chain::new();
    Pagemap::new(5).entry(AT, &Store::Blocks(content(1, 12), 4)).write(&chain.dir("1"), 1);
    let found = chain.check();
    // the dump itself, and both before it
    let mut images: Vec<_> = found.of("compress-version").map(|one| one.image.clone().unwrap()).collect();
    images.sort();
    let mut wanted =
        vec!["inventory.img".to_owned(), chain.name("1", "inventory.img"), chain.name("2", "inventory.img")];
    wanted.sort();
    assert_eq!(images, wanted);
    for number in ["1", "2", "3"] {
        inventory(&chain.dir(number), 3);
    }
    assert_quiet(&chain.check());
    assert_quiet(&chain.plant.check_with(&deep()));
    // a block that is needed, and one that is not
    let pages = chain.dir("1").join("pages-5.img");
    let mut bytes = fs::read(&pages).unwrap();
    let length = bytes.len();
    bytes[..10].fill(0xff);
    fs::write(&pages, &bytes).unwrap();
    assert_quiet(&chain.plant.check_with(&deep()));
    bytes[length - 10..].fill(0xff);
    fs::write(&pages, &bytes).unwrap();
    let found = chain.plant.check_with(&deep());
    found.expect(Error, "block-damaged", &chain.name("1", "pages-5.img"), None);
}

/// The chain as bundles, each an increment of the one before.
fn bundles(chain: &Chain) -> PathBuf {
    let root = chain.plant.around().join("bundles");
    fs::create_dir(&root).unwrap();
    for number in 1..=3 {
        let bundle = |number: i32| root.join(format!("{number}.criu"));
        let pages = PageOptions { parent: (number > 1).then(|| bundle(number - 1)), ..PageOptions::default() };
        let options = Convert { pages, ..Convert::default() };
        let target = bundle(number);
        let dir = chain.dir(&number.to_string());
        convert(&dir, Target::Bundle(&target), &options, (&Silent, &Cancel::default())).unwrap();
    }
    root
}

#[test]
fn bundles_of_a_chain() {
    let chain = Chain::new();
    let root = bundles(&chain);
    let last = root.join("3.criu");
    for options in [Check::default(), deep()] {
        let found = checked(&last, &options);
        assert_quiet(&found);
        assert_eq!(found.checked.parents, 2);
    }
    // pages of a parent that are not what they were
    let second = fs::read(root.join("2.criu")).unwrap();
    let at = second.windows(64).position(|bytes| bytes == [2; 64]).unwrap();
    let mut damaged = second.clone();
    damaged[at + 5 * PAGE] ^= 1;
    fs::write(root.join("2.criu"), &damaged).unwrap();
    assert_quiet(&checked(&last, &Check::default()));
    let found = checked(&last, &deep());
    assert_eq!(found.of("pages-damaged").count(), 1, "{}", found.text());
    // another dump in the place of the parent, and none
    fs::copy(root.join("1.criu"), root.join("2.criu")).unwrap();
    let found = checked(&last, &Check::default());
    assert_eq!(found.of("parent-link").count(), 1, "{}", found.text());
    fs::remove_file(root.join("2.criu")).unwrap();
    let found = checked(&last, &Check::default());
    assert_eq!(found.of("parent-link").count(), 1, "{}", found.text());
}
