//! Containers of version 2: bundles, streams, directories of images, shards; what is wrong with them is found, what is
//! whole is got out of them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stderr
)]

mod common;

use std::collections::BTreeMap;

use common::v2::{self, File};
use icecore::base::report::{Cancel, Silent};
use icecore::source::bundle::{Bundle, Salvage, Verified, receive};
use icecore::wire::v2::{PageBlock, Record};
use icecore::{Error, Limits};

const DUMP: u64 = 0x1122_3344_5566_7788;
/// Of the pages in small files.
const PAGE: usize = 16;

fn open(bytes: &[u8]) -> Result<Bundle, Error> {
    Bundle::from_bytes("x.criu", bytes.to_vec().into(), Limits::default())
}

fn verified(bundle: &Bundle) -> Verified {
    bundle.verify((&Silent, &Cancel::default())).unwrap()
}

/// Whether opening or verifying says that something is wrong.
fn is_found(bytes: &[u8]) -> bool {
    open(bytes).map_or(true, |bundle| !verified(&bundle).is_sound())
}

#[track_caller]
fn is_sound(bytes: &[u8]) -> Verified {
    let verified = verified(&open(bytes).unwrap());
    assert!(verified.is_sound(), "{:?}", verified.findings);
    verified
}

fn salvage(bytes: &[u8]) -> Result<Salvage, Error> {
    Bundle::salvage("x.criu", bytes.to_vec().into(), None, Limits::default(), (&Silent, &Cancel::default()))
}

/// Records of all images: type, count, payload.
type Content = BTreeMap<(u32, u64), Vec<(u32, u32, Vec<u8>)>>;

fn content(bundle: &Bundle) -> Result<Content, Error> {
    let mut content = Content::new();
    for (kind, id) in bundle.images() {
        let records: Result<Vec<_>, Error> = bundle
            .records(kind, id)
            .map(|record| {
                let record = record?.record;
                Ok((record.header.object_type(), record.header.count(), record.payload.to_vec()))
            })
            .collect();
        content.insert((kind, id), records?);
    }
    Ok(content)
}

/// The bytes of each page, by its number.
fn pages(bundle: &Bundle) -> BTreeMap<u64, Vec<u8>> {
    let mut pages = BTreeMap::new();
    let blocks = bundle.blocks().unwrap();
    for index in 0..blocks.len() {
        let at = blocks.get(index).unwrap();
        let bytes = bundle.bytes(at.part).unwrap();
        let record = Record::read(bytes, at.offset as usize).unwrap();
        record.check().unwrap();
        let block = PageBlock::read(record.payload).unwrap();
        assert_eq!((block.first, u64::from(block.pages)), (at.first, at.pages));
        for (number, page) in block.data.chunks(block.data.len() / block.pages as usize).enumerate() {
            pages.insert(at.first + number as u64, page.to_vec());
            assert_eq!(blocks.find(at.first + number as u64), Some(index));
        }
    }
    pages
}

fn page(number: u64) -> Vec<u8> {
    (0..PAGE as u64).map(|at| (number * 7 + at + 1) as u8).collect()
}

fn data(first: u64, pages: u64) -> Vec<u8> {
    (first..first + pages).flat_map(page).collect()
}

/// Images that take turns, with everything that an image can have; without an end.
fn images(dump: u64) -> File {
    let mut file = File::new(dump);
    fill(&mut file);
    file
}

fn fill(file: &mut File) {
    file.small(v2::CHECKPOINT, 0, b"\x08\x80\x20");
    file.section(3, 17)
        .record(80, 1, b"one")
        .record(81, 2, b"\x0a\x01a\x0a\x01b")
        .record(v2::PAD, 1, b"\x0a\x02\0\0")
        .stop();
    file.section(8, 17).record(v2::RUN, 1, &v2::run(0x1000, 2, 0, 4));
    file.section(v2::PAGES, 0).block(0, PAGE, 1, &data(0, 2));
    file.section(8, 17).record(v2::RUN, 2, &[v2::run(0x9000, 1, 2, 4), v2::run(0xa000, 3, 3, 4)].concat()).stop();
    file.section(v2::PAGES, 0).block(2, PAGE, 3, &data(2, 4)).stop();
    file.section(202, 1).record(3, 1, b"\x0a\x03log").record(11, 1, b"\x09\0\0\0\0\0\0\0\0\x12\x02hi").stop();
}

/// A bundle of each way to hold images, and what it is called.
fn bundles() -> Vec<(&'static str, Vec<u8>)> {
    let stream = images(DUMP).stream().out.clone();
    let (received, _) = receive(&stream[..], Vec::new(), &Limits::default()).unwrap();
    let mut appended = images(DUMP);
    appended.bundle().small(3, 18, b"new");
    appended.small(3, 17, b"again").bundle();
    let mut chain = images(DUMP);
    chain.bundle();
    let mut chain = chain.next(DUMP + 1);
    fill(&mut chain);
    chain.small(3, 99, b"child").bundle();
    vec![
        ("bundle", images(DUMP).bundle().out.clone()),
        ("stream", stream),
        ("received", received),
        ("appended", appended.out),
        ("chain", chain.out),
    ]
}

#[test]
fn by_directory_and_by_walk() {
    let all: BTreeMap<_, _> = bundles().into_iter().collect();
    let bundle = open(&all["bundle"]).unwrap();
    assert_eq!((bundle.dump(), bundle.warnings().len()), (DUMP, 0));
    let expected = content(&bundle).unwrap();
    let images: Vec<_> = expected.keys().copied().collect();
    assert_eq!(images, [(3, 17), (8, 17), (9, 0), (200, 0), (202, 1)]);
    assert_eq!(expected[&(3, 17)], [(80, 1, b"one".to_vec()), (81, 2, b"\x0a\x01a\x0a\x01b".to_vec())]);
    for name in ["stream", "received"] {
        let other = open(&all[name]).unwrap();
        assert_eq!(content(&other).unwrap(), expected, "{name}");
        assert_eq!(pages(&other), pages(&bundle), "{name}");
        assert!(other.end().is_some());
    }
    assert_eq!(pages(&bundle), (0..6).map(|number| (number, page(number))).collect());
    let counts = |name: &str| {
        let verified = is_sound(&all[name]);
        (verified.images, verified.records, verified.unchecked)
    };
    assert_eq!(counts("stream"), (5, 23, 0));
    assert_eq!(counts("bundle"), (6, 27, 0));
    for (name, bytes) in &all {
        eprintln!("{name}: {} bytes", bytes.len());
        is_sound(bytes);
    }
}

#[test]
fn an_image_alone_needs_no_end() {
    let file = File::new(DUMP).section(3, 17).record(80, 1, b"one").stop().out.clone();
    let bundle = open(&file).unwrap();
    assert_eq!(content(&bundle).unwrap()[&(3, 17)], [(80, 1, b"one".to_vec())]);
    assert_eq!(bundle.end(), None);
    is_sound(&file);
    for bit in 0..file.len() * 8 {
        let mut flipped = file.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(is_found(&flipped), "bit {bit}");
        assert!(open(&flipped).and_then(|bundle| content(&bundle)).is_err(), "bit {bit}");
    }
    for cut in 0..file.len() {
        assert!(is_found(&file[..cut]), "cut {cut}");
        assert!(open(&file[..cut]).and_then(|bundle| content(&bundle)).is_err(), "cut {cut}");
    }
    let two = images(DUMP).out;
    let error = open(&two).err().unwrap().to_string();
    assert_eq!(
        error,
        "x.criu: expected the END of a bundle, found the end (icecore convert --salvage gets out of it what is whole)"
    );
}

#[test]
fn each_flipped_bit_is_found() {
    for (name, bytes) in bundles() {
        let good = content(&open(&bytes).unwrap()).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(is_found(&flipped), "{name}: bit {bit}, byte {}", bit / 8);
            // what is used without verifying is right, or an error; runs and blocks are compared by who uses them
            let Ok(bundle) = open(&flipped) else { continue };
            if bundle.dump() != open(&bytes).unwrap().dump() || !bundle.warnings().is_empty() {
                // an earlier END
                continue;
            }
            for (kind, id) in bundle.images().filter(|(kind, _)| ![8, v2::PAGES].contains(kind)) {
                let records: Result<Vec<_>, Error> = bundle
                    .records(kind, id)
                    .map(|found| found.map(|found| (found.record.header.object_type(), found.record.payload.to_vec())))
                    .collect();
                let expected = good[&(kind, id)].iter().map(|(of, _, payload)| (*of, payload.clone()));
                assert!(records.is_err() || records.unwrap() == expected.collect::<Vec<_>>(), "{name}: bit {bit}");
            }
        }
    }
}

#[test]
fn each_cut_is_found() {
    for (name, bytes) in bundles() {
        for cut in 0..bytes.len() {
            let is_bundle = cut > 56 && open(&bytes[..cut]).is_ok_and(|bundle| bundle.length() == Some(cut as u64));
            assert_eq!(is_found(&bytes[..cut]), !is_bundle, "{name}: cut {cut}");
        }
        // what an append or a receiver begins with is whole without it
        let whole = (1..bytes.len()).filter(|cut| !is_found(&bytes[..*cut])).count();
        assert_eq!(whole, usize::from(!["bundle", "stream"].contains(&name)), "{name}");
    }
}

/// The number of a dump, its images and its pages.
type Good = (u64, Content, BTreeMap<u64, Vec<u8>>);

/// Everything that is given out is what was there.
#[track_caller]
fn is_the_same(salvaged: &Salvage, good: &[Good]) {
    let bundle = &salvaged.bundle;
    let (_, content_of, pages_of) = good.iter().find(|(dump, ..)| *dump == bundle.dump()).unwrap();
    let found = content(bundle).unwrap();
    for (image, records) in &found {
        assert!(content_of.get(image) == Some(records), "{image:?}");
    }
    assert_eq!(found.len(), salvaged.whole.len());
    let lost = |number: &u64| salvaged.pages.iter().any(|(first, pages)| (*first..first + pages).contains(number));
    for (number, page) in pages(bundle) {
        assert!(lost(&number) || pages_of.get(&number) == Some(&page), "page {number}");
    }
}

fn good(bytes: &[u8]) -> Vec<Good> {
    let bundle = open(bytes).unwrap();
    let one = |dump: u64| {
        let bundle = bundle.of_dump(dump).unwrap();
        (dump, content(&bundle).unwrap(), pages(&bundle))
    };
    bundle.dumps().unwrap().into_iter().map(one).collect()
}

#[test]
fn what_is_salvaged_is_whole() {
    for (name, bytes) in bundles() {
        if name == "appended" {
            // what is replaced is another thing under the same name
            continue;
        }
        let good = good(&bytes);
        let whole = salvage(&bytes).unwrap();
        is_the_same(&whole, &good);
        assert_eq!((whole.lost.len(), whole.problems.len(), whole.whole.len()), (0, 0, good[0].1.len()), "{name}");
        // of a chain, the last dump
        let from = if name == "chain" { images(DUMP).bundle().out.len() } else { 0 };
        for at in from..bytes.len() {
            for mask in [1, 0xff] {
                let mut flipped = bytes.clone();
                flipped[at] ^= mask;
                let salvaged = salvage(&flipped).unwrap_or_else(|error| panic!("{name}: byte {at}: {error}"));
                is_the_same(&salvaged, &good);
                assert!(!salvaged.problems.is_empty() || !salvaged.pages.is_empty(), "{name}: byte {at}");
                // no more than one is lost
                assert!(salvaged.whole.len() + 1 >= good[0].1.len(), "{name}: byte {at}: {:?}", salvaged.lost);
                let pages = pages(&salvaged.bundle).len();
                assert!(pages >= 2, "{name}: byte {at}: {pages} pages");
            }
        }
        for cut in 0..bytes.len() {
            match salvage(&bytes[..cut]) {
                Ok(salvaged) => is_the_same(&salvaged, &good),
                Err(error) => assert!(cut < 200, "{name}: cut {cut}: {error}"),
            }
        }
    }
}
