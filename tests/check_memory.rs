//! Defects planted in pagemaps, pages files and segments, and what `check` says of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::cast_possible_truncation)]

mod common;

use std::fs;
use std::os::unix::fs::FileExt;

use common::pagemap::{PAGE, Pagemap, Store, content, process};
use common::plant::{Found, Plant};
use common::writer::{Message, message};
use icecore::tool::check::{Check, Severity};
use serde_json::Value;

use Severity::{Error, Note, Warning};

fn deep() -> Check {
    Check { deep: true, ..Check::default() }
}

/// A process in tests/data/tree, and the entry of a page of its stack.
const PAGEMAP: &str = "pagemap-100.img";

/// The dump of `tree` after its first pagemap was changed.
fn tree(change: impl FnOnce(&mut Vec<Value>)) -> Found {
    let plant = Plant::of_data("tree");
    plant.check().assert_whole();
    plant.entries(PAGEMAP, change);
    plant.check()
}

/// Where memory may be in made-up processes.
const AT: u64 = 0x10_0000;

/// A process of 64 private pages, then 16 shared ones of segment 7 and 16 huge private ones (as far as it knows).
fn made(pagemap: Pagemap) -> Plant {
    let plant = Plant::empty();
    let page = PAGE as u64;
    let (shared, huge) = (AT + 64 * page, AT + 80 * page);
    process(
        plant.path(),
        1,
        &[
            (AT, shared, 1 << 9 | 1, 2 | 0x20, 0, 0),
            (shared, huge, 1 << 8 | 1, 1 | 0x20, 7, 0),
            (huge, huge + 16 * page, 1 << 9 | 1, 2 | 0x20 | 0x4_0000, 0, 0),
        ],
    );
    pagemap.write(plant.path(), 1);
    Pagemap::new(7).entry(0, &Store::Plain(content(9, 2))).write_as(plant.path(), "pagemap-shmem-7.img");
    inventory(&plant, &message().uint(1, 3).uint(15, 1).uint(16, page));
    plant
}

fn inventory(plant: &Plant, entry: &Message) {
    let magic = 0x5831_3116u32.to_le_bytes();
    let entry = entry.0.as_slice();
    plant.write("inventory.img", &[&magic, &(entry.len() as u32).to_le_bytes()[..], entry].concat());
}

/// What is found in memory of a made-up process; it lacks much else.
fn made_up(pagemap: Pagemap) -> Found {
    made(pagemap).check()
}

/// A pagemap entry on the wire.
fn entry(address: u64, flags: u64, pages: u64) -> Message {
    message().uint(1, address).uint(2, 0).uint(4, flags).uint(5, pages)
}

fn map() -> Pagemap {
    Pagemap::new(1)
}

fn plain(pages: usize) -> Store {
    Store::Plain(content(1, pages))
}

/// That a found dump has nothing wrong with its memory.
#[track_caller]
fn assert_quiet(found: &Found) {
    let is_ours = |rule: &str| {
        ["pagemap-", "pages-", "segment-", "parent-", "compress-", "block-", "container"]
            .iter()
            .any(|start| rule.starts_with(start))
    };
    // names of images that other rules miss begin so as well
    let ours = |finding: &&icecore::tool::check::Finding| is_ours(finding.rule) && finding.severity != Note;
    let ours: Vec<_> = found.findings.iter().filter(ours).collect();
    assert!(ours.is_empty(), "{ours:#?}");
}

#[test]
fn a_sound_process_is_quiet() {
    let map = map()
        .entry(AT, &plain(2))
        .entry(AT + 0x3000, &Store::Blocks(content(2, 9), 4))
        .entry(AT + 0xc000, &Store::Aligned(content(3, 1)))
        .entry(AT + 0xd000, &Store::AlignedBlocks(content(4, 6), 2));
    let plant = made(map);
    assert_quiet(&plant.check());
    let found = plant.check_with(&deep());
    assert_quiet(&found);
    assert_eq!((found.checked.pages, found.checked.page_bytes), (20, 20 * PAGE as u64));
    assert_eq!(found.checked.unchecked_pages, 20);
}

#[test]
fn an_entry_that_overlaps() {
    tree(|entries| entries[3]["vaddr"] = "0x4c4000".into()).expect(Error, "pagemap-order", PAGEMAP, Some(3));
}

#[test]
fn entries_that_descend() {
    let found = tree(|entries| entries.swap(1, 2));
    let finding = found.expect(Error, "pagemap-order", PAGEMAP, Some(2));
    assert!(finding.what.contains("found 0x401000"), "{}", finding.what);
}

#[test]
fn the_same_far_behind_one_another() {
    // in parts that threads look at each for itself
    let mut pagemap = map();
    for number in 0..40_000u64 {
        let at = if number == 16_384 { AT } else { AT + number * 0x2000 };
        pagemap = pagemap.raw(&entry(at, 2, 1));
    }
    let found = made_up(pagemap);
    found.expect(Error, "pagemap-order", "pagemap-1.img", Some(16_385));
    assert_eq!(found.of("pagemap-order").count(), 1);
    // nearly none is mapped: the first few are told, then how many
    let outside: Vec<_> = found.of("pagemap-mapping").collect();
    assert_eq!((outside.len(), outside[100].what.as_str()), (101, "39859 more findings of this rule are not told"));
}

#[test]
fn an_address_within_a_page() {
    let found = tree(|entries| entries[1]["vaddr"] = "0x401010".into());
    let finding = found.expect(Error, "pagemap-address", PAGEMAP, Some(1));
    assert_eq!(finding.field.as_deref(), Some("vaddr"));
}

#[test]
fn more_pages_than_there_are_addresses() {
    let found = made_up(map().raw(&entry(AT, 2, 1 << 60)));
    found.expect(Error, "pagemap-address", "pagemap-1.img", Some(1));
    let found = made_up(map().raw(&entry(AT, 2, (1 << 52) - 1)));
    found.expect(Error, "pagemap-address", "pagemap-1.img", Some(1));
}

#[test]
fn an_entry_of_no_pages() {
    tree(|entries| entries[1]["nr_pages"] = 0.into()).expect(Error, "pagemap-count", PAGEMAP, Some(1));
}

#[test]
fn two_numbers_of_pages() {
    let found = tree(|entries| entries[1]["compat_nr_pages"] = 3.into());
    found.expect(Warning, "pagemap-count", PAGEMAP, Some(1));
}

#[test]
fn flags_that_nobody_knows() {
    made_up(map().raw(&entry(AT, 0x24, 1))).expect(Warning, "pagemap-flags", "pagemap-1.img", Some(1));
}

#[test]
fn pages_here_and_in_the_parent() {
    let found = tree(|entries| entries[2]["flags"] = "PE_PARENT | PE_PRESENT".into());
    let finding = found.expect(Error, "pagemap-flags", PAGEMAP, Some(2));
    assert!(finding.what.contains("found both"), "{}", finding.what);
}

#[test]
fn aligned_and_not_there() {
    made_up(map().raw(&entry(AT, 8 | 2, 1))).expect(Error, "pagemap-flags", "pagemap-1.img", Some(1));
}

#[test]
fn blocks_and_not_there() {
    let blocks = message().packed(1, &[0]).uint(2, 0).uint(3, 1);
    let found = made_up(map().raw(&entry(AT, 2, 1).message(6, &blocks)));
    found.expect(Error, "pagemap-flags", "pagemap-1.img", Some(1));
}

#[test]
fn two_answers_about_the_parent() {
    let odd = message().uint(1, AT).uint(2, 0).uint(3, 1).uint(4, 2).uint(5, 1);
    made_up(map().raw(&odd)).expect(Error, "pagemap-flags", "pagemap-1.img", Some(1));
}

#[test]
fn a_page_where_nothing_is_mapped() {
    let found = tree(|entries| entries[1]["vaddr"] = "0x200000".into());
    let finding = found.expect(Error, "pagemap-mapping", PAGEMAP, Some(1));
    assert!(finding.what.ends_with("found one at 0x200000, where nothing is"), "{}", finding.what);
}

#[test]
fn a_page_of_what_is_shared() {
    let found = made_up(map().entry(AT + 63 * PAGE as u64, &plain(2)));
    let finding = found.expect(Error, "pagemap-mapping", "pagemap-1.img", Some(1));
    assert!(finding.what.ends_with("found one at 0x140000, which is not"), "{}", finding.what);
}

#[test]
fn an_entry_over_mappings_side_by_side() {
    let both = (AT + 80 * PAGE as u64) - PAGE as u64;
    let found = made_up(map().entry(both + PAGE as u64, &plain(16)));
    assert_quiet(&found);
    made_up(map().entry(both + PAGE as u64, &plain(17))).expect(Error, "pagemap-mapping", "pagemap-1.img", Some(1));
}

#[test]
fn a_page_behind_the_end_of_a_segment() {
    let plant = made(map());
    Pagemap::new(7).entry(15 * PAGE as u64, &plain(2)).write_as(plant.path(), "pagemap-shmem-7.img");
    let finding = plant.expect(Error, "pagemap-mapping", "pagemap-shmem-7.img", Some(1));
    assert!(finding.what.contains("ends at 0x10000, found one at 0x10000"), "{}", finding.what);
}

#[test]
fn a_pages_file_that_is_not_there() {
    let plant = Plant::of_data("tree");
    plant.remove("pages-2.img");
    let finding = plant.expect(Error, "pages-missing", "pages-2.img", None);
    assert!(finding.what.contains("pagemap-100.img"), "{}", finding.what);
}

#[test]
fn a_pages_file_that_cannot_be_opened() {
    let plant = Plant::of_data("tree");
    plant.remove("pages-2.img");
    // a socket, of which all can be asked; rights would not keep root out
    let _socket = std::os::unix::net::UnixListener::bind(plant.path().join("pages-2.img")).unwrap();
    plant.expect(Error, "pages-unreadable", "pages-2.img", None);
    assert_eq!(plant.check_with(&deep()).of("pages-unreadable").count(), 1);
}

/// The length of the file says what is read, not the pagemap: these would take years.
#[test]
fn more_pages_than_any_file_has() {
    let plant = Plant::of_data("tree");
    plant.entries(PAGEMAP, |entries| entries[2]["nr_pages"] = (1u64 << 51).into());
    assert!(!plant.check_with(&deep()).checked.is_whole);
}

#[test]
fn a_pages_file_that_is_short() {
    let plant = Plant::of_data("tree");
    let size = plant.size("pages-2.img");
    plant.resize("pages-2.img", size - 1);
    let finding = plant.expect(Error, "pages-short", "pages-2.img", None);
    assert_eq!(finding.offset, Some(size - 1));
    assert!(finding.what.starts_with(&format!("expected {size} bytes")) && finding.what.contains("hangs"));
    // reading what is there finds nothing else
    assert_eq!(plant.check_with(&deep()).of("pages-unreadable").count(), 0);
}

#[test]
fn a_pages_file_that_is_long() {
    let plant = Plant::of_data("tree");
    plant.resize("pages-2.img", plant.size("pages-2.img") + 1);
    plant.expect(Warning, "pages-long", "pages-2.img", None);
    plant.resize("pages-2.img", plant.size("pages-2.img") + 4095);
    plant.expect(Error, "pages-long", "pages-2.img", None);
}

#[test]
fn two_pagemaps_with_one_pages_file() {
    let plant = Plant::of_data("tree");
    plant.entries("pagemap-101.img", |entries| entries[0]["pages_id"] = 2.into());
    let finding = plant.expect(Error, "pages-shared", "pagemap-101.img", Some(0));
    assert!(finding.what.contains("which pagemap-100.img has"), "{}", finding.what);
    // and the other is nobody's
    assert_eq!(plant.check().of("pages-unused").count(), 1);
}

#[test]
fn a_pages_file_that_nobody_names() {
    let plant = Plant::of_data("tree");
    plant.write("pages-77.img", &[1; PAGE]);
    plant.expect(Note, "pages-unused", "pages-77.img", None);
}

#[test]
fn a_segment_without_pages() {
    let plant = made(map());
    plant.remove("pagemap-shmem-7.img");
    let finding = plant.expect(Error, "segment-missing", "mm-1.img", None);
    assert!(finding.what.contains("pagemap-shmem-7.img"), "{}", finding.what);
    let plant = Plant::of_data("tree");
    plant.remove("pagemap-shmem-754.img");
    let found = plant.check();
    assert!(!found.checked.is_whole, "a memfd's");
}

#[test]
fn a_segment_that_is_smaller_than_its_mapping() {
    let plant = Plant::of_data("container");
    plant.entries("ipcns-shm-11.img", |entries| entries[0]["size"] = 4096.into());
    let found = plant.check();
    assert!(found.of("segment-size").count() + found.of("pagemap-mapping").count() > 0, "{}", found.text());
}

#[test]
fn pages_that_a_server_has() {
    let found = made_up(map().entry(AT, &Store::Lazy(3)).entry(AT + 0x4000, &Store::Lazy(2)));
    let finding = found.expect(Note, "pagemap-lazy", "pagemap-1.img", Some(1));
    assert!(finding.what.starts_with("5 pages"), "{}", finding.what);
}

fn with_blocks(sizes: &[u64], total: u64, per_block: u64) -> Found {
    let blocks = message().packed(1, sizes).uint(2, total).uint(3, per_block);
    let mut pagemap = map().raw(&entry(AT, 4, 4).message(6, &blocks));
    pagemap.pages = vec![1; total as usize];
    made_up(pagemap)
}

#[test]
fn blocks_that_do_not_fit() {
    assert_quiet(&with_blocks(&[100, 4096 * 2], 4096 * 2 + 100, 2));
    for (sizes, total, per_block, what) in [
        (&[100, 100][..], 200, 0, "pages in a block"),
        (&[100], 100, 1025, "pages in a block"),
        (&[100], 100, 2, "expected 2 sizes of blocks, found 1"),
        (&[100, 100, 0], 200, 2, "expected 2 sizes of blocks, found 3"),
        (&[100, 4096 * 2 + 1], 4096 * 2 + 101, 2, "expected at most 8192 bytes"),
        (&[100, 100], 201, 2, "total_payload_size"),
    ] {
        let finding = with_blocks(sizes, total, per_block).expect(Error, "pagemap-blocks", "pagemap-1.img", Some(1));
        assert!(finding.what.contains(what), "{}", finding.what);
    }
}

#[test]
fn a_block_in_huge_pages() {
    let huge = AT + 80 * PAGE as u64;
    let packed = made_up(map().entry(huge - PAGE as u64 * 20, &plain(1)).entry(huge, &Store::Blocks(content(1, 4), 4)));
    let finding = packed.expect(Error, "pagemap-raw", "pagemap-1.img", Some(2));
    assert!(finding.what.contains("0x150000"), "{}", finding.what);
    // zeros, and what is stored as it is, are allowed
    assert_quiet(&made_up(map().entry(huge, &Store::Blocks(vec![0; 4 * PAGE], 2))));
}

#[test]
fn a_block_in_a_segment_of_huge_pages() {
    let plant = made(map());
    let at = AT + 64 * PAGE as u64;
    process(plant.path(), 1, &[(at, at + 16 * PAGE as u64, 1 << 8 | 1, 1 | 0x20 | 0x4_0000, 7, 2 * PAGE as u64)]);
    let blocks = Store::Blocks(content(1, 2), 1);
    Pagemap::new(7).entry(0, &blocks).write_as(plant.path(), "pagemap-shmem-7.img");
    assert_quiet(&plant.check());
    Pagemap::new(7).entry(PAGE as u64, &blocks).write_as(plant.path(), "pagemap-shmem-7.img");
    plant.expect(Error, "pagemap-raw", "pagemap-shmem-7.img", Some(1));
}

#[test]
fn blocks_in_images_of_an_old_version() {
    let plant = made(map().entry(AT, &plain(1)).entry(AT + 0x2000, &Store::Blocks(content(1, 2), 1)));
    inventory(&plant, &message().uint(1, 2));
    plant.expect(Error, "compress-version", "pagemap-1.img", Some(2));
    inventory(&plant, &message().uint(1, 3).uint(15, 1).uint(16, 5000));
    plant.expect(Warning, "compress-block-size", "inventory.img", Some(0));
}

#[test]
fn padding_that_is_not_zero() {
    let pagemap = map().entry(AT, &Store::Blocks(content(1, 2), 1)).entry(AT + 0x2000, &Store::Aligned(content(3, 1)));
    let plant = made(pagemap);
    assert_quiet(&plant.check_with(&deep()));
    plant.bytes("pages-1.img", |bytes| bytes[PAGE - 5] = 1);
    assert_quiet(&plant.check());
    let found = plant.check_with(&deep());
    let finding = found.expect(Warning, "pages-padding", "pages-1.img", None);
    assert_eq!(finding.offset, Some(PAGE as u64 - 5));
}

#[test]
fn a_block_that_does_not_unpack() {
    let plant = made(map().entry(AT, &plain(1)).entry(AT + 0x1000, &Store::Blocks(content(1, 8), 2)));
    assert_quiet(&plant.check_with(&deep()));
    let at = plant.bytes("pages-1.img", |bytes| {
        let third = bytes.len() - (bytes.len() - PAGE) / 2;
        bytes[third..].fill(0xff);
        third as u64
    });
    // two of the four blocks
    assert_quiet(&plant.check());
    let found = plant.check_with(&deep());
    let finding = found.expect(Error, "block-damaged", "pages-1.img", None);
    assert!(finding.offset.unwrap().abs_diff(at) < 64, "{finding:?}");
    let damaged: Vec<_> = found.of("block-damaged").map(|finding| finding.what.clone()).collect();
    assert!(damaged.iter().any(|what| what.contains(&format!("{:#x}", AT + 0x7000))), "{damaged:?}");
}

/// Makes a hole in a file.
fn punch(plant: &Plant, name: &str, from: u64, length: u64) {
    let bytes = fs::read(plant.image(name)).unwrap();
    let file = fs::File::create(plant.image(name)).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    let page = |number: usize| from <= (number * PAGE) as u64 && ((number * PAGE) as u64) < from + length;
    for (number, bytes) in bytes.chunks(PAGE).enumerate().filter(|(number, _)| !page(*number)) {
        file.write_all_at(bytes, (number * PAGE) as u64).unwrap();
    }
}

#[test]
fn a_page_that_a_copy_left_out() {
    let plant = Plant::of_data("tree");
    // not the first page: tmpfs fills a hole when a map of it is touched, and images are looked at
    punch(&plant, "pages-2.img", PAGE as u64, PAGE as u64);
    let finding = plant.expect(Note, "pages-hole", "pages-2.img", None);
    assert!(finding.what.starts_with("1 of ") && finding.what.contains("0x4c0000"), "{}", finding.what);
}

#[test]
fn pages_that_were_taken_out() {
    let plant = Plant::of_data("tree");
    let size = plant.size("pages-2.img");
    punch(&plant, "pages-2.img", 0, size);
    let finding = plant.expect(Error, "pages-hole", "pages-2.img", None);
    assert!(finding.what.contains("the stack of the task"), "{}", finding.what);
    // without registers nobody can say
    let plant = made(map().entry(AT, &plain(40)));
    punch(&plant, "pages-1.img", PAGE as u64, 30 * PAGE as u64);
    let finding = plant.expect(Warning, "pages-hole", "pages-1.img", None);
    assert!(finding.what.starts_with("30 of 40 pages") && finding.what.contains(&format!("{:#x}", AT + 0x1000)));
    assert_eq!(finding.offset, Some(PAGE as u64));
}

#[test]
fn an_entry_of_a_32_bit_task() {
    let plant = Plant::empty();
    process(
        plant.path(),
        1,
        &[(0x1000, 0x3000, 1 << 9 | 1, 0x22, 0, 0), (0xf000_0000, 0xf000_2000, 1 << 9 | 1, 0x22, 0, 0)],
    );
    map().entry(0x1000, &plain(1)).entry(0xffff_ffff_f000_0000, &plain(2)).write(plant.path(), 1);
    assert_quiet(&plant.check());
    map().entry(0x1000, &plain(1)).entry(0xffff_ffff_f000_0000, &plain(3)).write(plant.path(), 1);
    plant.expect(Error, "pagemap-mapping", "pagemap-1.img", Some(2));
}

#[test]
fn the_same_in_version_2() {
    let plant = Plant::of_data("tree");
    plant.entries(PAGEMAP, |entries| entries[1]["vaddr"] = "0x200000".into());
    plant.check_v2().expect(Error, "pagemap-mapping", PAGEMAP, Some(1));
    let plant = Plant::of_data("tree");
    let size = plant.size("pages-2.img");
    plant.resize("pages-2.img", size - 1);
    plant.check_v2().expect(Error, "pages-short", "pages-2.img", None);
    let plant = Plant::of_data("tree");
    plant.remove("pages-2.img");
    let found = plant.check_v2();
    assert!(found.of("pages-missing").count() > 0, "{}", found.text());
}
