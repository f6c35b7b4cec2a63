//! What zero-copy means, as tests: content is seen where it is mapped, and looking at entries allocates nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod common;

use std::io::Write as _;

use common::alloc::{self, Counting};
use common::corpus;
use common::random::Generator;
use common::writer::{File, message};
use icecore::object::json::{self, Form};
use icecore::{Checkpoint, Image, Kind, Limits, v1};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A file large enough to be mapped: small ones are read.
fn mapped(file: &File) -> (tempfile::NamedTempFile, bytes::Bytes) {
    assert!(file.0.len() > 64 << 10);
    let mut on_disk = tempfile::NamedTempFile::new().unwrap();
    on_disk.write_all(&file.0).unwrap();
    let bytes =
        icecore::base::map::content(on_disk.as_file(), on_disk.path(), icecore::base::map::Access::Map).unwrap();
    (on_disk, bytes)
}

#[test]
fn bytes_and_strings_lie_in_the_map() {
    let _alone = alloc::alone();
    let generator = Generator::new();
    let reg = generator.least_but("reg_file_entry", 6, |out| out.bytes(6, "/usr/lib/libc.so.6"));
    let mut file = File::new("REG_FILES");
    for _ in 0..3000 {
        file = file.entry(&reg);
    }
    let (_on_disk, bytes) = mapped(&file);
    let map = bytes.as_ptr_range();
    let image = Image::open("reg-files.img", bytes.clone(), Limits::default()).unwrap();
    for entry in &image {
        let entry = entry.unwrap();
        assert!(map.contains(&entry.message().as_ptr()));
        let decoded = entry.decode::<v1::RegFileEntry>().unwrap();
        assert_eq!(decoded.name, "/usr/lib/libc.so.6");
        assert!(map.contains(&decoded.name.as_ptr()), "the name was copied");
    }
    let data = message().uint(1, 1).bytes(2, vec![7; 100_000]);
    let (_on_disk, bytes) = mapped(&File::new("TTY_DATA").entry(&data));
    let map = bytes.as_ptr_range();
    let image = Image::open("tty-data.img", bytes, Limits::default()).unwrap();
    let decoded = image.get(0).unwrap().decode::<v1::TtyDataEntry>().unwrap();
    assert!(map.contains(&decoded.data.as_ptr()), "the data was copied");
    // and outlives the image
    drop(image);
    assert_eq!(decoded.data, vec![7; 100_000]);
}

#[test]
fn payloads_lie_in_the_map() {
    let _alone = alloc::alone();
    let pipe = message().uint(1, 1).uint(2, 70_000);
    let (_on_disk, bytes) = mapped(&File::new("PIPES_DATA").entry(&pipe).raw(vec![9; 70_000]));
    let map = bytes.as_ptr_range();
    let image = Image::open("pipes-data.img", bytes, Limits::default()).unwrap();
    let entry = image.get(0).unwrap();
    assert!(map.contains(&entry.payload().as_ptr()));
    let payload = entry.payload_bytes();
    assert!(map.contains(&payload.as_ptr()));
    assert_eq!(payload.len(), 70_000);

    let mut queue = File::new("IPCNS_MSG").entry(&message().message(1, &message()).uint(2, 0).uint(3, 1000));
    for _ in 0..1000 {
        queue = queue.queued(1, &[3; 100]);
    }
    let (_on_disk, bytes) = mapped(&queue);
    let map = bytes.as_ptr_range();
    let image = Image::open("ipcns-msg-1.img", bytes, Limits::default()).unwrap();
    let entry = image.get(0).unwrap();
    let (times, count) =
        alloc::times(|| entry.records().filter(|record| map.contains(&record.as_ref().unwrap().data.as_ptr())).count());
    assert_eq!((times, count), (0, 1000));
}

fn pagemap(entries: u64) -> File {
    let mut file = File::new("PAGEMAP").entry(&message().uint(1, 5));
    for i in 1..entries {
        file = file.entry(&message().uint(1, i << 12).uint(2, 0).uint(4, 4).uint(5, 1));
    }
    file
}

#[test]
fn looking_at_entries_allocates_nothing() {
    let _alone = alloc::alone();
    let (_on_disk, bytes) = mapped(&pagemap(20_000));
    let image = Image::open("pagemap-1.img", bytes, Limits::default()).unwrap();
    // the index: a vector that grows, and no more
    let (times, len) = alloc::times(|| image.len());
    assert_eq!(len, 20_000);
    assert!(times < 20, "the index of {len} entries took {times} allocations");

    let (times, bytes) = alloc::times(|| image.iter().map(|entry| entry.unwrap().message().len()).sum::<usize>());
    assert!(bytes > 100_000);
    assert_eq!(times, 0, "iterating");
    let (times, _) = alloc::times(|| (0..len).map(|i| image.get(i).unwrap().message().len()).sum::<usize>());
    assert_eq!(times, 0, "get");
    let (times, _) = alloc::times(|| image.iter().rev().map(|entry| entry.unwrap().offset()).sum::<u64>());
    assert_eq!(times, 0, "backwards");
    let (times, _) = alloc::times(|| image.iter().for_each(|entry| entry.unwrap().check().unwrap()));
    assert_eq!(times, 0, "checking");
    let (times, _) = alloc::times(|| {
        image.iter().skip(1).for_each(|entry| drop(entry.unwrap().decode::<v1::PagemapEntry>().unwrap()))
    });
    assert_eq!(times, 0, "structs of numbers");

    let (small, large) = (cost_of_json(20_000), cost_of_json(200_000));
    assert!(large < small * 2 && large < 16 << 20, "JSON of ten times as many entries: {small} and {large} bytes");
}

/// Bytes allocated at most while a pagemap is written as JSON.
fn cost_of_json(entries: u64) -> usize {
    let (_on_disk, bytes) = mapped(&pagemap(entries));
    let image = Image::open("pagemap-1.img", bytes, Limits::default()).unwrap();
    assert_eq!(image.len() as u64, entries);
    alloc::peak(|| json::decode(&image, &Form::PRETTY, &mut std::io::sink(), &mut |error| panic!("{error}")).unwrap()).0
}

/// Opening maps nothing and reads nothing: an image is opened when it is asked for, a page seen where it is.
#[test]
fn a_checkpoint_hands_out_maps() {
    let _alone = alloc::alone();
    let dump = Checkpoint::open(corpus::data().join("tree")).unwrap();
    let names = dump.images_of(Kind::Pages);
    assert!(!names.is_empty());
    for name in names {
        let image = dump.open_image(name).unwrap();
        let map = image.bytes().as_ptr_range();
        assert!(image.body().is_empty() || map.contains(&image.body().as_ptr()));
    }
    for name in dump.images().iter().filter(|name| name.kind.row().shape.is_framed()) {
        let image = dump.open_image(name).unwrap();
        let map = image.bytes().as_ptr_range();
        for entry in &image {
            let entry = entry.unwrap();
            assert!(entry.message().is_empty() || map.contains(&entry.message().as_ptr()), "{}", name.file);
            assert!(entry.payload().is_empty() || map.contains(&entry.payload().as_ptr()), "{}", name.file);
        }
    }
}

#[test]
fn pages_lie_in_the_map_of_their_file() {
    let _alone = alloc::alone();
    let dir = tempfile::tempdir().unwrap();
    let content = common::pagemap::content(3, 64);
    let dump = common::pagemap::Pagemap::new(1);
    dump.entry(0x10000, &common::pagemap::Store::Plain(content.clone())).write(dir.path(), 7);
    let space = Checkpoint::open(dir.path()).unwrap().task(7).unwrap().address_space().unwrap().unwrap();
    let is_mapped = |bytes: &[u8]| {
        let address = bytes.as_ptr().addr();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let line = maps.lines().find(|line| {
            let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
            let [start, end] = [start, end].map(|hex| usize::from_str_radix(hex, 16).unwrap());
            (start..end).contains(&address)
        });
        line.unwrap().ends_with(dir.path().join("pages-1.img").to_str().unwrap())
    };
    let run = space.runs(0..u64::MAX).next().unwrap();
    let icecore::memory::Content::Stored(stored) = run.content else { panic!("{run:?}") };
    assert!(is_mapped(stored.map().unwrap()) && stored.len() == content.len());
    let page = || match space.page(0x1_0000 + 17 * 4096).unwrap() {
        icecore::memory::Page::Stored(bytes) => bytes,
        other => panic!("{other:?}"),
    };
    assert!(is_mapped(&page()));
    let (times, _) = alloc::times(page);
    assert_eq!(times, 0, "a lookup allocates nothing");
}
