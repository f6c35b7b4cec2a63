//! Memory of odd and broken dumps: every page has its bytes, or a reason that names the image; never other bytes.
#![allow(clippy::cast_possible_truncation, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use common::pagemap::{PAGE, Pagemap, Store, content, process};
use common::writer::{File, Message, message};
use icecore::checkpoint::AddressSpace;
use icecore::memory::{Content, Page, PageState, Pages};
use icecore::{Checkpoint, ErrorKind, Kind};

const AT: u64 = 0x40_0000;

fn open(dir: &Path) -> Pages {
    let dump = Checkpoint::open(dir).unwrap();
    Pages::open(dump.parents(), Kind::Pagemap, 7, None, dump.limits()).unwrap().unwrap()
}

fn space(dir: &Path) -> AddressSpace {
    Checkpoint::open(dir).unwrap().task(7).unwrap().address_space().unwrap().unwrap()
}

/// What is said of a page that is not there.
fn why(pages: &Pages, address: u64) -> String {
    match pages.page(address) {
        Ok(Some(PageState::Missing(missing))) => missing.to_string(),
        Ok(other) => panic!("{address:#x}: {other:?}"),
        Err(error) => error.to_string(),
    }
}

fn bytes(pages: &Pages, address: u64) -> Vec<u8> {
    match pages.page(address).unwrap() {
        Some(PageState::Stored(bytes)) => bytes.to_vec(),
        other => panic!("{address:#x}: {other:?}"),
    }
}

fn entry(vaddr: u64, flags: u64, pages: u64) -> Message {
    message().uint(1, vaddr).uint(2, 0).uint(4, flags).uint(5, pages)
}

fn blocks(sizes: &[u64], total: u64, per_block: u64) -> Message {
    message().packed(1, sizes).uint(2, total).uint(3, per_block)
}

#[test]
fn entries_that_cannot_be() {
    let good = content(1, 2);
    for (broken, text) in [
        (entry(AT + 0x2001, 4, 1), "field vaddr: expected an address that is a multiple of 4096, found 0x402001"),
        (entry(AT + 0x1000, 4, 1), "field vaddr: expected an address from 0x402000 (entries ascend), found 0x401000"),
        (entry(AT - 0x1000, 4, 1), "field vaddr: expected an address from 0x402000 (entries ascend), found 0x3ff000"),
        (entry(AT + 0x2000, 5, 1), "expected PE_PRESENT or PE_PARENT, found both in flags 0x5"),
        (entry(AT + 0x2000, 8, 1), "expected PE_PAYLOAD_ALIGNED only together with PE_PRESENT, found flags 0x8"),
        (entry(AT + 0x2000, 36, 1), "field flags: expected flags that are known, found 0x24"),
        (
            entry(AT + 0x2000, 4, 1 << 52),
            "field nr_pages: expected pages that fit the address space, found 4503599627370496 at 0x402000",
        ),
        (
            entry(AT + 0x2000, 1, 1).message(6, &blocks(&[0], 0, 1)),
            "expected blocks only together with PE_PRESENT, found flags 0x1",
        ),
        (
            entry(AT + 0x2000, 4, 2).message(6, &blocks(&[1, 2, 3], 6, 1)),
            "field blocks: expected 2 sizes of blocks, found 3",
        ),
        (entry(AT + 0x2000, 4, 2).message(6, &blocks(&[1], 1, 1)), "field blocks: expected 2 sizes of blocks, found 1"),
        (
            entry(AT + 0x2000, 4, 2).message(6, &blocks(&[1, 2], 4, 1)),
            "field blocks: expected blocks of 4 bytes together (total_payload_size), found 3",
        ),
        (
            entry(AT + 0x2000, 4, 2).message(6, &blocks(&[1, 2], 3, 0)),
            "field blocks: expected 1 to 1024 pages in a block, found 0",
        ),
        (
            entry(AT + 0x2000, 4, 2).message(6, &blocks(&[1, 2], 3, 1025)),
            "field blocks: expected 1 to 1024 pages in a block, found 1025",
        ),
        (
            entry(AT + 0x2000, 4, 2).message(6, &blocks(&[1, 4097], 4098, 1)),
            "field blocks: block 1: expected at most 4096 bytes, found 4097",
        ),
        (
            message().uint(1, AT + 0x2000),
            "field compat_nr_pages: expected required field 2 of pagemap_entry, found none",
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let after = Store::Plain(content(2, 1));
        let dump = Pagemap::new(1).entry(AT, &Store::Plain(good.clone())).raw(&broken).entry(AT + 0x9000, &after);
        dump.write(dir.path(), 7);
        let pages = open(dir.path());
        // what is before it is sound; where what is behind it is, nobody knows
        assert_eq!(bytes(&pages, AT + 0x1000), good[PAGE..]);
        for address in [AT + 0x2000, AT + 0x9000] {
            let found = why(&pages, address);
            assert!(found.starts_with("pagemap-7.img: entry 2: offset ") && found.ends_with(text), "{found}\n{text}");
        }
        let last = pages.runs(0..u64::MAX).last().unwrap();
        assert!(matches!(last.content, Content::Missing(_)) && last.start == AT + 0x2000);
    }
}

#[test]
fn no_head_no_pages() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("pagemap-7.img"), File::new("PAGEMAP").0).unwrap();
    let dump = Checkpoint::open(dir.path()).unwrap();
    let error = Pages::open(dump.parents(), Kind::Pagemap, 7, None, dump.limits()).err().unwrap();
    assert_eq!(error.image(), Some("pagemap-7.img"));
}

#[test]
fn blocks_that_are_no_blocks() {
    let dir = tempfile::tempdir().unwrap();
    let half = lz4_flex::block::compress(&[7; PAGE / 2]);
    let whole = lz4_flex::block::compress(&[8; PAGE]);
    let sizes = [5, half.len() as u64, whole.len() as u64];
    let mut dump = Pagemap::new(1).raw(&entry(AT, 4, 3).message(6, &blocks(&sizes, sizes.iter().sum(), 1)));
    dump.pages = [&[0xff; 5][..], &half, &whole].concat();
    dump.write(dir.path(), 7);
    let pages = open(dir.path());
    let broken = why(&pages, AT);
    assert!(
        broken.starts_with("pages-1.img: offset 0 (0x0): expected an LZ4 block of 4096 bytes, found a broken one: "),
        "{broken}"
    );
    assert_eq!(
        why(&pages, AT + 0x1000),
        "pages-1.img: offset 5 (0x5): expected an LZ4 block of 4096 bytes, found one of 2048"
    );
    assert_eq!(bytes(&pages, AT + 0x2000), [8; PAGE]);
}

#[test]
fn a_pages_file_that_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let lazy = Store::Lazy(1);
    Pagemap::new(3).entry(AT, &Store::Plain(content(1, 2))).entry(AT + 0x2000, &lazy).write(dir.path(), 7);
    fs::remove_file(dir.path().join("pages-3.img")).unwrap();
    let pages = open(dir.path());
    assert_eq!(why(&pages, AT), "pages-3.img: cannot open: No such file or directory (os error 2)");
    assert_eq!(why(&pages, AT + 0x2000), "it was left to a server of pages (lazy) and is not in the dump");
    assert!(pages.page(AT + 0x3000).unwrap().is_none());
}

#[test]
fn parents_that_do_not_have_it() {
    let root = tempfile::tempdir().unwrap();
    let child = |name: &str, parent: Option<&str>| {
        let dir = root.path().join(name);
        Pagemap::new(1).entry(AT, &Store::Parent(4)).write(&dir, 7);
        if let Some(parent) = parent {
            symlink(parent, dir.join("parent")).unwrap();
        }
        dir
    };
    // no link
    let alone = open(&child("alone", None));
    let found = why(&alone, AT);
    assert!(
        found.starts_with("it should be in a parent dump, and ") && found.ends_with("alone has no parent link"),
        "{found}"
    );
    // a link that leads nowhere
    let found = why(&open(&child("dangling", Some("../gone"))), AT);
    assert!(found.contains("dangling: cannot follow the link to the parent dump"), "{found}");
    // a dump that does not know the process
    fs::create_dir(root.path().join("empty")).unwrap();
    let found = why(&open(&child("other", Some("../empty"))), AT);
    assert!(found.ends_with("empty does not have it"), "{found}");
    // a circle
    child("a", Some("../b"));
    let found = why(&open(&child("b", Some("../a"))), AT);
    assert!(found.ends_with("the links to parent dumps form a circle"), "{found}");
    // a hole, a lazy entry, and no entry; what is there is found
    let parent = root.path().join("parent");
    let there = content(9, 1);
    let pagemap = Pagemap::new(5).entry(AT, &Store::Hole(1)).entry(AT + 0x1000, &Store::Lazy(1));
    pagemap.entry(AT + 0x3000, &Store::Plain(there.clone())).write(&parent, 7);
    let pages = open(&child("holes", Some("../parent")));
    for (address, end) in [
        (AT, "parent does not have it"),
        (AT + 0x1000, "(lazy) and is not in the dump"),
        (AT + 0x2000, "parent does not have it"),
    ] {
        let found = why(&pages, address);
        assert!(found.ends_with(end), "{found}");
    }
    assert_eq!(bytes(&pages, AT + 0x3000), there);
    // a broken one
    let broken = root.path().join("broken");
    Pagemap::new(5).entry(AT, &Store::Plain(there.clone())).raw(&entry(7, 4, 1)).write(&broken, 7);
    let pages = open(&child("of-broken", Some("../broken")));
    assert_eq!(bytes(&pages, AT), there);
    let found = why(&pages, AT + 0x1000);
    assert!(found.contains("broken/pagemap-7.img: entry 2: ") && found.contains("multiple of 4096"), "{found}");
}

#[test]
fn a_chain_longer_than_allowed() {
    let root = tempfile::tempdir().unwrap();
    for number in 0..5 {
        let dir = root.path().join(number.to_string());
        let store = if number == 4 { Store::Plain(content(4, 1)) } else { Store::Parent(1) };
        Pagemap::new(1).entry(AT, &store).write(&dir, 7);
        symlink(format!("../{}", number + 1), dir.join("parent")).unwrap();
    }
    let pages = |parents| {
        let limits = icecore::Limits { parents, ..Default::default() };
        let options = icecore::checkpoint::Options { limits, ..Default::default() };
        let dump = Checkpoint::open_with(root.path().join("0"), options).unwrap();
        Pages::open(dump.parents(), Kind::Pagemap, 7, None, dump.limits()).unwrap().unwrap()
    };
    assert_eq!(bytes(&pages(4), AT), content(4, 1));
    assert_eq!(pages(4).dumps().len(), 5);
    let found = why(&pages(3), AT);
    assert!(found.contains("more than 3 dumps in the chain of parents (Limits::parents, or --max-parents"), "{found}");
}

#[test]
fn dumps_of_every_age() {
    let dir = tempfile::tempdir().unwrap();
    let (here, there) = (content(1, 3), content(2, 4));
    // before v3.5: the number in field 2, in_parent instead of flags
    let old = |vaddr: u64, pages: u64| message().uint(1, vaddr).uint(2, pages);
    let mut dump =
        Pagemap::new(1).raw(&old(AT, 1)).raw(&old(AT + 0x1000, 4).uint(3, 1)).raw(&old(AT + 0x5000, 2).uint(3, 0));
    dump.pages = here.clone();
    dump.write(&dir.path().join("new"), 7);
    Pagemap::new(1).entry(AT + 0x1000, &Store::Plain(there.clone())).write(&dir.path().join("old"), 7);
    symlink("../old", dir.path().join("new/parent")).unwrap();
    let pages = open(&dir.path().join("new"));
    assert_eq!(bytes(&pages, AT), here[..PAGE]);
    for page in 0..4 {
        assert_eq!(bytes(&pages, AT + 0x1000 + page * 0x1000), there[page as usize * PAGE..][..PAGE]);
    }
    assert_eq!(bytes(&pages, AT + 0x6000), here[2 * PAGE..]);
}

#[test]
fn addresses_of_32_bit_tasks() {
    let dir = tempfile::tempdir().unwrap();
    let (low, high) = (content(1, 1), content(2, 2));
    let dump = Pagemap::new(1).entry(AT, &Store::Plain(low.clone()));
    dump.entry(0xffff_ffff_f7f0_0000, &Store::Plain(high.clone())).write(dir.path(), 7);
    process(dir.path(), 7, &[(AT, AT + 0x1000, 1, 0x22, 0, 0), (0xf7f0_0000, 0xf7f0_3000, 1, 0x22, 0, 0)]);
    let space = space(dir.path());
    let mut found = vec![1; 3 * PAGE];
    space.read(0xf7f0_0000, &mut found).unwrap();
    assert!(found[..2 * PAGE] == high && found[2 * PAGE..] == [0; PAGE]);
    assert!(matches!(space.page(AT).unwrap(), Page::Stored(bytes) if bytes[..] == low));
    assert_eq!(space.runs(0..u64::MAX).map(|run| run.len()).sum::<u64>(), 4 * PAGE as u64);
    // a 64-bit task may have a page up there
    let dir = tempfile::tempdir().unwrap();
    let dump = Pagemap::new(1).entry(0x7f00_0000_0000, &Store::Plain(low));
    dump.entry(0xffff_ffff_f7f0_0000, &Store::Plain(high.clone())).write(dir.path(), 7);
    assert_eq!(bytes(&open(dir.path()), 0xffff_ffff_f7f0_1000), high[PAGE..]);
}

#[test]
fn pages_of_other_sizes() {
    for size in [4096u64, 16384, 65536] {
        let dir = tempfile::tempdir().unwrap();
        let stored = content(3, 32);
        let count = stored.len() as u64 / size;
        let mut dump = Pagemap::new(1).raw(&entry(0x100_0000, 4, count));
        dump.pages = stored.clone();
        dump.write(dir.path(), 7);
        // as a pre-dump: nothing says the size but the length of the file
        let pages = open(dir.path());
        assert_eq!(pages.page_size(), size);
        let at = 0x100_0000 + size + 17;
        assert_eq!(bytes(&pages, at), stored[size as usize..2 * size as usize]);
        assert_eq!(pages.end(), 0x100_0000 + stored.len() as u64);
    }
}

#[test]
fn the_page_size_is_not_guessed_from_blocks() {
    let dir = tempfile::tempdir().unwrap();
    let (plain, packed) = (content(1, 2), Store::Blocks((0..8192u32).map(|at| ((at * at) >> 3) as u8).collect(), 1));
    Pagemap::new(1).entry(AT, &Store::Plain(plain.clone())).entry(AT + 0x2000, &packed).write(dir.path(), 7);
    let pages = open(dir.path());
    assert_eq!((pages.page_size(), bytes(&pages, AT + 0x1000)), (4096, plain[PAGE..].to_vec()));
    // what the kernel told a 32-bit task stands in one word
    let dir = tempfile::tempdir().unwrap();
    let mm = (1..=12).fold(message(), |mm, number| mm.uint(number, 0)).packed(13, &[3, 6 | 16384 << 32]);
    fs::write(dir.path().join("mm-7.img"), File::new("MM").entry(&mm).0).unwrap();
    assert_eq!(Checkpoint::open(dir.path()).unwrap().page_size(), 16384);
}

#[test]
fn segments_and_what_maps_them() {
    let dir = tempfile::tempdir().unwrap();
    Pagemap::new(1).entry(AT + 0x1000, &Store::Plain(content(1, 1))).write(dir.path(), 7);
    let shared = content(2, 3);
    Pagemap::new(2).entry(0x1000, &Store::Plain(shared.clone())).write_as(dir.path(), "pagemap-shmem-5.img");
    // a segment; one without an image; a guard
    process(
        dir.path(),
        7,
        &[
            (AT, AT + 0x5000, 1 | 1 << 8, 0x21, 5, 0x1000),
            (AT + 0x10_0000, AT + 0x10_2000, 1 | 1 << 8, 0x21, 6, 0),
            (AT + 0x20_0000, AT + 0x20_4000, 1, 0x22, 0, 0),
            (AT + 0x20_1000, AT + 0x20_2000, 1 | 1 << 16, 0x22, 0, 0),
        ],
    );
    let space = space(dir.path());
    // the process's own page does not count where memory is shared
    let mut found = vec![9; 5 * PAGE];
    space.read(AT, &mut found).unwrap();
    assert!(found[..3 * PAGE] == shared && found[3 * PAGE..] == [0; 2 * PAGE]);
    match space.page(AT + 0x10_0000).unwrap() {
        Page::Missing(missing) => {
            assert_eq!(missing.to_string(), "pagemap-shmem-6.img: the dump has no such image");
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(space.page(AT + 0x20_0000).unwrap(), Page::Zero));
    assert!(matches!(space.page(AT + 0x20_1000).unwrap(), Page::Unmapped));
    assert!(matches!(space.page(AT + 0x20_2000).unwrap(), Page::Zero));
    let error = space.read(AT + 0x20_0000, &mut [0; 0x1001]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fault);
    assert_eq!(error.to_string(), "no page at 0x601000: nothing is mapped there");
    let segment = Checkpoint::open(dir.path()).unwrap();
    let segment = segment.segment(5).unwrap();
    let mut found = vec![9; 4 * PAGE];
    segment.read(0, &mut found).unwrap();
    assert!(found[..PAGE] == [0; PAGE] && found[PAGE..] == shared);
    assert!(matches!(segment.page(0x4000).unwrap(), Page::Unmapped));
}

#[test]
fn memfds_shared_and_private() {
    let dir = tempfile::tempdir().unwrap();
    let (own, shared) = (content(1, 1), content(2, 2));
    Pagemap::new(1).entry(AT + 0x11000, &Store::Plain(own.clone())).write(dir.path(), 7);
    Pagemap::new(2).entry(0x1000, &Store::Plain(shared.clone())).write_as(dir.path(), "pagemap-shmem-5.img");
    let inode = |id: u64, size: u64, shmid: u64| {
        message().bytes(1, "m").uint(2, 0).uint(3, 0).uint(4, size).uint(5, shmid).uint(6, 0).uint(7, id)
    };
    let inodes = File::new("MEMFD_INODE").entry(&inode(77, 0x3005, 5)).entry(&inode(78, 0, 6));
    fs::write(dir.path().join("memfd.img"), inodes.0).unwrap();
    let fown = (1..=5).fold(message(), |fown, number| fown.uint(number, 0));
    let file = |id: u64, inode: u64| {
        let memfd = message().uint(1, id).uint(2, 2).uint(3, 0).message(4, &fown).uint(5, inode);
        message().uint(1, 18).uint(2, id).message(20, &memfd)
    };
    fs::write(dir.path().join("files.img"), File::new("FILES").entry(&file(12, 77)).entry(&file(13, 78)).0).unwrap();
    let memfd = 1 | 1 << 7 | 1 << 14;
    // five pages of a memfd of a bit more than three: shared, private with one page written, and one of no bytes
    process(
        dir.path(),
        7,
        &[
            (AT, AT + 0x5000, memfd, 1, 12, 0),
            (AT + 0x10000, AT + 0x15000, memfd, 2, 12, 0),
            (AT + 0x20000, AT + 0x21000, memfd, 1, 13, 0),
            (AT + 0x30000, AT + 0x31000, memfd, 1, 14, 0),
        ],
    );
    let space = space(dir.path());
    // of one that is lost nobody knows whether it had pages
    let error = space.read(AT + 0x30000, &mut [0]).unwrap_err().to_string();
    assert_eq!(error, "files.img: expected the memfd 14, found none with that number");
    let zero = vec![0; PAGE];
    let mut found = vec![9; 4 * PAGE];
    space.read(AT, &mut found).unwrap();
    assert!(found == [&zero[..], &shared, &zero].concat());
    space.read(AT + 0x10000, &mut found).unwrap();
    assert!(found == [&zero[..], &own, &shared[PAGE..], &zero].concat());
    for address in [AT + 0x4000, AT + 0x14000, AT + 0x20000] {
        let error = space.fault(address).to_string();
        assert!(error.ends_with("the mapping goes on behind the end of what it maps"), "{error}");
    }
    assert_eq!(space.runs(AT..AT + 0x5000).last().unwrap().len(), PAGE as u64);
}

#[test]
fn old_segments_of_system_v() {
    let dir = tempfile::tempdir().unwrap();
    Pagemap::new(1).write(dir.path(), 7);
    let desc = |id: u64| (1..=6).fold(message(), |desc, number| desc.uint(number, 0)).uint(7, id);
    let shm = |id: u64, size: u64| message().message(1, &desc(id)).uint(2, size);
    let (whole, odd) = (content(4, 2), content(5, 2)[..PAGE + 5].to_vec());
    let file = File::new("IPCNS_SHM").entry(&shm(3, whole.len() as u64)).padded(&whole, 4);
    fs::write(dir.path().join("ipcns-shm-9.img"), file.entry(&shm(4, odd.len() as u64)).padded(&odd, 4).0).unwrap();
    process(
        dir.path(),
        7,
        &[(AT, AT + 0x2000, 1 | 1 << 10, 0x1, 3, 0), (AT + 0x2000, AT + 0x4000, 1 | 1 << 10, 1, 4, 0)],
    );
    let mut found = vec![9; 4 * PAGE];
    space(dir.path()).read(AT, &mut found).unwrap();
    assert!(found[..2 * PAGE] == whole && found[2 * PAGE..][..odd.len()] == odd);
    assert!(found[2 * PAGE + odd.len()..].iter().all(|byte| *byte == 0));
}

#[test]
fn the_first_versions_had_no_pagemaps() {
    let dir = tempfile::tempdir().unwrap();
    let stored = content(6, 3);
    let addresses = [AT, AT + 0x1000, AT + 0x3000];
    let file = addresses
        .iter()
        .zip(stored.chunks(PAGE))
        .fold(File::v1_0("PAGES_OLD"), |file, (address, page)| file.long_word(*address).raw(page));
    fs::write(dir.path().join("pages-7.img"), file.0).unwrap();
    let shared = content(7, 1);
    let file = || File::v1_0("SHM_PAGES_OLD").long_word(0x1000).raw(&shared);
    fs::write(dir.path().join("pages-shmem-5.img"), file().0).unwrap();
    let segment = AT + 0x10_0000;
    process(dir.path(), 7, &[(AT, AT + 0x5000, 1, 0x22, 0, 0), (segment, segment + 0x2000, 1 | 1 << 8, 0x21, 5, 0)]);
    let mut found = vec![9; 5 * PAGE];
    space(dir.path()).read(segment, &mut found[..2 * PAGE]).unwrap();
    assert!(found[..PAGE] == [0; PAGE] && found[PAGE..2 * PAGE] == shared);
    space(dir.path()).read(AT, &mut found).unwrap();
    assert!(found[..2 * PAGE] == stored[..2 * PAGE] && found[2 * PAGE..3 * PAGE] == [0; PAGE]);
    assert!(found[3 * PAGE..4 * PAGE] == stored[2 * PAGE..] && found[4 * PAGE..] == [0; PAGE]);
    // a page that was cut short is no zeros, nor is what came behind it
    let cut = File::v1_0("SHM_PAGES_OLD").long_word(0).raw(&shared).long_word(0x1000).raw(&shared[..100]);
    fs::write(dir.path().join("pages-shmem-5.img"), cut.0).unwrap();
    space(dir.path()).read(segment, &mut found[..PAGE]).unwrap();
    assert!(found[..PAGE] == shared);
    let error = space(dir.path()).read(segment + 0x1000, &mut found[..PAGE]).unwrap_err().to_string();
    assert!(error.contains("pages-shmem-5.img") && error.contains("cut short"), "{error}");
}

#[test]
fn entries_of_no_pages() {
    let dir = tempfile::tempdir().unwrap();
    let stored = content(1, 1);
    let dump = Pagemap::new(1).raw(&entry(AT, 1, 0)).raw(&entry(AT + 0x1000, 4, 0));
    dump.entry(AT + 0x1000, &Store::Plain(stored.clone())).write(dir.path(), 7);
    let pages = open(dir.path());
    assert_eq!(bytes(&pages, AT + 0x1000), stored);
    assert!(pages.page(AT).unwrap().is_none());
    assert_eq!(pages.runs(0..u64::MAX).count(), 1);
}

#[test]
fn pre_dumps_know_pages_and_not_what_is_mapped() {
    let dir = tempfile::tempdir().unwrap();
    Pagemap::new(1).entry(AT, &Store::Plain(content(1, 1))).write(dir.path(), 7);
    let space = space(dir.path());
    assert!(!space.is_known());
    assert!(matches!(space.page(AT).unwrap(), Page::Stored(_)));
    assert_eq!(
        space.fault(AT + 0x1000).to_string(),
        "no page at 0x401000: a pre-dump does not say what is mapped there"
    );
    assert_eq!(space.runs(0..u64::MAX).count(), 1);
}

#[test]
fn ranges_that_begin_within_a_page_of_a_cut_file() {
    let dir = tempfile::tempdir().unwrap();
    process(dir.path(), 1, &[(AT, AT + 0x4000, 1 | 1 << 9, 0x22, 0, 0)]);
    let whole = content(3, 4);
    Pagemap::new(1).entry(AT, &Store::Plain(whole.clone())).write(dir.path(), 1);
    // two pages and a half
    fs::write(dir.path().join("pages-1.img"), &whole[..PAGE * 5 / 2]).unwrap();
    let dump = Checkpoint::open(dir.path()).unwrap();
    let space = dump.task(1).unwrap().address_space().unwrap().unwrap();
    for start in [0, 1, 8, PAGE - 1, PAGE, PAGE + 5, PAGE * 2 - 1] {
        let runs: Vec<_> = space.runs(AT + start as u64..AT + 0x4000).collect();
        let Content::Stored(stored) = &runs[0].content else { panic!("{start}: {:?}", runs[0]) };
        assert_eq!(stored.map().unwrap(), &whole[start..2 * PAGE], "{start}");
        assert_eq!((runs[1].start, runs[1].end), (AT + 0x2000, AT + 0x4000), "{start}");
        assert!(matches!(runs[1].content, Content::Missing(_)), "{start}");
        assert_eq!(runs.len(), 2);
    }
}

#[test]
fn the_page_size_of_a_pre_dump_with_blocks() {
    let dir = tempfile::tempdir().unwrap();
    // the blocks take so much that the file is as long as if the plain pages had 8192 bytes
    let mut block = vec![0; 2 * PAGE];
    block.iter_mut().zip(0u32..).for_each(|(byte, at)| *byte = (at.wrapping_mul(0x9e37_79b1) >> 24) as u8);
    let (blocks, plain) = (Store::Blocks(block.clone(), 1), content(9, 2));
    let pagemap = Pagemap::new(1).entry(AT, &blocks).entry(AT + 0x2000, &Store::Aligned(plain.clone()));
    assert_eq!(pagemap.pages.len() % (2 * 2 * PAGE), 0);
    pagemap.write(dir.path(), 1);
    let dump = Checkpoint::open(dir.path()).unwrap();
    let pages = Pages::open(dump.parents(), Kind::Pagemap, 1, None, dump.limits()).unwrap().unwrap();
    assert_eq!(pages.page_size(), 4096);
    assert_eq!(bytes(&pages, AT + 0x1000), block[PAGE..]);
    assert_eq!(bytes(&pages, AT + 0x3000), plain[PAGE..]);
}
