//! Containers of version 2 that are odd: cut appends, garbage behind the end, records that are lost or doubled, unknown
//! types and flags, directories that lie, sizes that nobody has.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stderr
)]

mod common;

use common::v2::{self, File};
use icecore::base::map::Access;
use icecore::base::report::{Cancel, Progress, Silent};
use icecore::source::bundle::{Bundle, Verified};
use icecore::{Error, ErrorKind, Limits};

const DUMP: u64 = 0x1122_3344_5566_7788;
const SALVAGE: &str = " (icecore convert --salvage gets out of it what is whole)";

fn open(bytes: &[u8]) -> Result<Bundle, Error> {
    Bundle::from_bytes("x.criu", bytes.to_vec().into(), Limits::default())
}

fn verified(bundle: &Bundle) -> Verified {
    bundle.verify((&Silent, &Cancel::default())).unwrap()
}

fn findings(bytes: &[u8]) -> Vec<String> {
    match open(bytes) {
        Ok(bundle) => verified(&bundle).findings.iter().map(ToString::to_string).collect(),
        Err(error) => vec![error.to_string()],
    }
}

/// The payloads of an image.
fn records(bundle: &Bundle, kind: u32, id: u64) -> Result<Vec<Vec<u8>>, Error> {
    bundle.records(kind, id).map(|found| found.map(|found| found.record.payload.to_vec())).collect()
}

#[track_caller]
fn refused(bytes: &[u8]) -> String {
    match open(bytes) {
        Ok(bundle) => {
            let error = bundle.images().find_map(|(kind, id)| records(&bundle, kind, id).err());
            error.expect("an error").to_string()
        }
        Err(error) => error.to_string(),
    }
}

fn two() -> File {
    let mut file = File::new(DUMP);
    file.small(v2::CHECKPOINT, 0, b"c").small(3, 17, b"one");
    file
}

/// Ends a file without a directory.
fn as_stream(file: &mut File) {
    file.stream();
}

/// Ends a file with one.
fn as_bundle(file: &mut File) {
    file.bundle();
}

const ENDS: [fn(&mut File); 2] = [as_stream, as_bundle];

/// What a lie is called, and the lie.
type Lie<'l> = (&'l str, &'l dyn Fn(&mut File));

/// What happens to records is called, and what it is.
type Change = (&'static str, fn(&mut Vec<Vec<u8>>));

#[test]
fn what_stands_behind_the_end() {
    let good = two().bundle().out.clone();
    let expected = records(&open(&good).unwrap(), 3, 17).unwrap();
    for (behind, what, found) in [
        (vec![0; 4096], "4096 bytes stand behind the END of the bundle: they are passed over", 0),
        (vec![0; 64 << 10], "65536 bytes stand behind the END of the bundle: they are passed over", 0),
        (vec![0; 200_000], "200000 bytes stand behind the END of the bundle: they are passed over", 0),
        (vec![7; 100], "100 bytes stand behind the END of the bundle: they are passed over", 2),
        (
            v2::image(3, 18, DUMP, 0),
            "48 bytes stand behind the END of the bundle: something was being appended, and has no END",
            1,
        ),
    ] {
        let bytes = [good.clone(), behind].concat();
        let bundle = open(&bytes).unwrap();
        assert_eq!(records(&bundle, 3, 17).unwrap(), expected);
        let warnings: Vec<&str> = bundle.warnings().iter().map(Error::what).collect();
        assert_eq!((warnings, bundle.length()), (vec![what], Some(good.len() as u64)));
        assert_eq!(findings(&bytes).len(), found, "{:?}", findings(&bytes));
    }
}

#[test]
fn the_last_good_end_wins() {
    let mut file = two();
    let before = file.bundle().out.len();
    file.small(3, 17, b"again").small(3, 18, &vec![7; 300_000]).bundle();
    let bundle = open(&file.out).unwrap();
    assert_eq!(records(&bundle, 3, 17).unwrap(), [b"again"]);
    assert!(bundle.has(3, 18) && bundle.warnings().is_empty());
    // cut within 64 KiB of the END before it, and far behind it
    for cut in [before + 10, before + 48, before + 120, before + 100_000, file.out.len() - 1, file.out.len() - 200] {
        let bundle = open(&file.out[..cut]).unwrap();
        assert_eq!(records(&bundle, 3, 17).unwrap(), [b"one"], "{cut}");
        assert!(!bundle.has(3, 18));
        assert_eq!(bundle.warnings().len(), 1);
        assert_eq!(bundle.length(), Some(before as u64));
        assert!(!verified(&bundle).is_sound());
    }
}

#[test]
fn an_end_in_memory_is_none() {
    // a process holds the end of a bundle that is as long as this one when it is cut there
    let mut forged = File::new(99);
    forged.out = vec![0; 4096];
    let mut file = two();
    file.section(v2::PAGES, 0);
    let start = file.out.len() + 24 + 24 + 6 + 3;
    forged.out.truncate(start);
    forged.small(v2::CHECKPOINT, 0, b"evil").bundle();
    let length = forged.out.len();
    let mut data = forged.out[start..].to_vec();
    data.resize(1024, 0);
    file.block(0, 1024, 1, &data).stop().bundle();
    let at = file.out.windows(data.len()).position(|window| window == data).unwrap();
    assert_eq!(at, start, "the forged bundle is where it says");
    assert!(open(&file.out).is_ok());
    let error = open(&file.out[..length]).err().unwrap();
    assert!(error.hint_is_salvage(), "{error}");
    let padded = [file.out[..length].to_vec(), vec![0; 100]].concat();
    assert!(open(&padded).is_err());
}

trait Hinted {
    fn hint_is_salvage(&self) -> bool;
}

impl Hinted for Error {
    fn hint_is_salvage(&self) -> bool {
        self.to_string().ends_with(SALVAGE)
    }
}

#[test]
fn streams_are_compared_with_their_end() {
    let image = |id: u64| File::new(DUMP).small(3, id, b"one").out.clone();
    let head = File::new(DUMP).small(v2::CHECKPOINT, 0, b"c").out.clone();
    let stream = |pieces: &[Vec<u8>], images: u32| {
        let mut file = File::new(DUMP);
        file.out = pieces.concat();
        file.end(0, images).out.clone()
    };
    assert!(open(&stream(&[head.clone(), image(1), image(2)], 3)).is_ok());
    assert!(open(&stream(&[head.clone(), image(2), image(1)], 3)).is_ok(), "images have no order");
    let lost = stream(&[head.clone(), image(2)], 3);
    assert_eq!(refused(&lost), format!("x.criu: offset 244 (0xf4): expected an END behind 3 images, found 2{SALVAGE}"));
    let doubled = stream(&[head.clone(), image(1), image(1)], 3);
    assert!(refused(&doubled).contains("expected image 3 1 once, found it again"), "{}", refused(&doubled));
    // the STOP, 24 bytes, is lost
    let whole = image(1);
    let unstopped = stream(&[head.clone(), whole[..whole.len() - 24].to_vec(), image(2)], 3);
    assert!(refused(&unstopped).contains("expected image 3 1 whole before END"), "{}", refused(&unstopped));
    let first = stream(&[image(1), head.clone()], 2);
    assert!(refused(&first).contains("expected the image CHECKPOINT first"), "{}", refused(&first));
    let other = stream(&[head.clone(), image(1), File::new(DUMP + 1).small(3, 1, b"x").out.clone()], 3);
    assert_eq!(open(&other).unwrap().dumps().unwrap(), [DUMP + 1, DUMP]);
    let continued = v2::image(3, 9, DUMP, 1);
    let lonely = [&continued[..], &v2::record(v2::START, 1, &[], 0), &v2::record(v2::STOP, 1, &[], 0)].concat();
    assert!(refused(&stream(&[head.clone(), lonely], 2)).contains("expected the beginning of image 3 9"));
    let behind = stream(&[head, image(1), v2::record(80, 1, b"x", 1)], 2);
    assert!(refused(&behind).contains("a record of no image"), "{}", refused(&behind));
}

/// The records of an image between START and STOP, which stays as it was.
fn records_moved(change: impl Fn(&mut Vec<Vec<u8>>), finish: impl Fn(&mut File)) -> Vec<u8> {
    let mut file = File::new(DUMP);
    file.small(v2::CHECKPOINT, 0, b"c").section(3, 17);
    let start = file.out.len();
    for payload in [&b"one"[..], b"two", b"three"] {
        file.record(80, 1, payload);
    }
    let end = file.out.len();
    let mut records: Vec<Vec<u8>> = Vec::new();
    let mut at = start;
    for length in [27, 27, 29] {
        records.push(file.out[at..at + length].to_vec());
        at += length;
    }
    assert_eq!(at, end);
    change(&mut records);
    file.stop();
    let stop = file.out[end..].to_vec();
    let changed = [file.out[..start].to_vec(), records.concat(), stop].concat();
    let size = changed.len() as u64 - file.rows[1].2;
    file.out = changed;
    file.rows[1].3 = size;
    finish(&mut file);
    file.out
}

#[test]
fn a_stop_tells_what_is_lost() {
    let changes: [Change; 4] = [
        ("lost", |records| {
            records.remove(1);
        }),
        ("doubled", |records| records.insert(1, records[1].clone())),
        ("swapped", |records| records.swap(0, 1)),
        ("replaced", |records| records[1] = v2::record(80, 1, b"2wo", 3)),
    ];
    for (name, change) in changes {
        for finish in ENDS {
            let bytes = records_moved(change, finish);
            let error = refused(&bytes);
            assert!(error.contains("records") || error.contains("checksum"), "{name}: {error}");
            assert!(!findings(&bytes).is_empty());
            let salvaged =
                Bundle::salvage("x", bytes.into(), None, Limits::default(), (&Silent, &Cancel::default())).unwrap();
            let whole: Vec<_> = salvaged.whole.iter().map(|image| (image.kind, image.id)).collect();
            assert_eq!(whole, [(v2::CHECKPOINT, 0)], "{name}");
            assert_eq!(salvaged.lost.len(), 1, "{name}");
        }
    }
    let same = records_moved(|_| {}, as_stream);
    assert!(findings(&same).is_empty());
}

#[test]
fn what_is_not_known() {
    // types that may be unknown are handed out, for readers to pass over
    let file = |object_type: u32, flags: u32| {
        let mut file = File::new(DUMP);
        file.small(v2::CHECKPOINT, 0, b"c").section(3, 17).record(object_type, 1, b"what").stop();
        let at = file.rows[1].2 as usize;
        let header = v2::image(3, 17, DUMP, flags);
        file.out[at..at + 48].copy_from_slice(&header);
        file.small(3, 18, b"known");
        file
    };
    for end in ENDS {
        for (object_type, flags, is_refused) in [
            (4000, 0, false),
            (0x7fff_ffff, 0, false),
            (4000, 0x80fe & 0xfffe, false),
            (1 << 31, 0, true),
            (1 << 31 | 80, 0, true),
            (80, 1 << 16, true),
            (80, 1 << 31, true),
        ] {
            let mut file = file(object_type, flags);
            end(&mut file);
            let bundle = open(&file.out).unwrap();
            let found = records(&bundle, 3, 17);
            assert_eq!(found.is_err(), is_refused, "{object_type:#x} {flags:#x}");
            if let Err(error) = found {
                assert!(error.to_string().contains("this version"), "{error}");
            }
            // the others are none the worse
            assert_eq!(records(&bundle, 3, 18).unwrap(), [b"known"]);
            assert_eq!(verified(&bundle).is_sound(), !is_refused);
        }
    }
    let mut version = two().bundle().out.clone();
    version[6] = 3;
    let sum = v2::crc(0, &version[..44]);
    version[44..48].copy_from_slice(&sum.to_le_bytes());
    assert_eq!(refused(&version), "x.criu: offset 0 (0x0): expected version 2 of the format, found 3");
}

#[test]
fn directories_that_lie() {
    let lie = |change: &dyn Fn(&mut File)| {
        let mut file = two();
        file.small(3, 18, b"other");
        file.section(v2::PAGES, 0).block(0, 16, 1, &[1; 32]).block(2, 16, 1, &[2; 32]).stop();
        change(&mut file);
        let images = file.images() + 1;
        file.directory(images).out.clone()
    };
    assert!(findings(&lie(&|_| {})).is_empty());
    let changes: [Lie<'_>; 13] = [
        ("another's place", &|file| file.rows[1].2 = file.rows[2].2),
        ("swapped", &|file| (file.rows[1].2, file.rows[2].2) = (file.rows[2].2, file.rows[1].2)),
        ("another kind", &|file| file.rows[1].0 = 4),
        ("another id", &|file| file.rows[1].1 = 20),
        ("nowhere", &|file| file.rows[1].2 = 1 << 60),
        ("in a record", &|file| file.rows[1].2 += 24),
        ("too short", &|file| file.rows[1].3 -= 24),
        ("nothing", &|file| file.rows[1].3 = 0),
        ("too long", &|file| file.rows[1].3 += 100),
        ("endless", &|file| file.rows[1].3 = u64::MAX),
        ("without one", &|file| {
            file.rows.remove(1);
        }),
        ("twice", &|file| {
            let mut row = file.rows[1];
            row.2 += 1;
            file.rows.push(row);
        }),
        ("of pages", &|file| file.rows[3].2 = 0),
    ];
    for (name, change) in changes {
        let bytes = lie(change);
        assert!(!findings(&bytes).is_empty(), "{name}");
        let Ok(bundle) = open(&bytes) else { continue };
        for (kind, id, payload) in [(3, 17, &b"one"[..]), (3, 18, b"other"), (v2::CHECKPOINT, 0, b"c")] {
            let found = records(&bundle, kind, id);
            assert!(found.as_ref().is_err() || found.unwrap().iter().all(|found| found == payload), "{name}");
        }
    }
    let changes: [Lie<'_>; 5] = [
        ("another place", &|file| file.blocks[0].2 = file.blocks[1].2),
        ("another page", &|file| file.blocks[1].0 = 3),
        ("more pages", &|file| file.blocks[1].1 = 3),
        ("without one", &|file| {
            file.blocks.remove(0);
        }),
        ("overlapping", &|file| file.blocks[1].0 = 1),
    ];
    for (name, change) in changes {
        assert!(!findings(&lie(change)).is_empty(), "{name}");
    }
    // two blocks have a page
    let mut file = two();
    file.section(v2::PAGES, 0).block(0, 16, 1, &[1; 32]).block(1, 16, 1, &[2; 32]).stop().stream();
    assert!(findings(&file.out)[0].contains("expected page 1 in one block, found it in two"));
    assert!(open(&file.out).unwrap().blocks().is_err());
}

#[test]
fn runs_ascend_over_all_records() {
    let file = |second: u64| {
        let mut file = two();
        file.section(8, 1).record(v2::RUN, 1, &v2::run(4096, 1, 0, 4)).record(v2::RUN, 1, &v2::run(second, 1, 1, 4));
        file.stop().bundle().out.clone()
    };
    assert!(findings(&file(8192)).is_empty());
    assert!(findings(&file(4096))[0].contains("expected runs of pages that ascend"));
}

#[test]
fn sizes_that_nobody_has() {
    let limits = Limits { files: 5, ..Limits::default() };
    let many = |end: fn(&mut File)| {
        let mut file = two();
        for id in 20..30 {
            file.small(3, id, b"x");
        }
        end(&mut file);
        file.out
    };
    for end in ENDS {
        let error = Bundle::from_bytes("x", many(end).into(), limits).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Limit);
        assert!(error.to_string().contains("more than 5 sections of images (Limits::files"), "{error}");
    }
    // counts and sizes that no file has room for
    for (object_type, count, size) in [
        (80, 1, u64::MAX),
        (80, u32::MAX, 64 << 20),
        (80, 1, (64 << 20) + 1),
        (v2::RUN, u32::MAX, 32),
        (v2::DIRECTORY, u32::MAX, 32),
        (v2::BLOCK, 1, 1 << 30),
        (v2::BLOCK, 1, u64::MAX - 24),
        (v2::START, 0, 8),
        (v2::STOP, 0, 8),
        (v2::END, 1, 31),
    ] {
        let mut file = two();
        file.section(3, 19);
        file.out.extend(v2::header(object_type, count, size, 0));
        file.out.extend([0; 32]);
        file.bundle();
        assert!(!findings(&file.out).is_empty(), "{object_type} {count} {size}");
        let _ = Bundle::salvage("x", file.out.into(), None, Limits::default(), (&Silent, &Cancel::default())).unwrap();
    }
    // a directory whose array says more than there is
    let mut file = two();
    let at = file.out.len() as u64;
    file.section(v2::LIST, 0).record(v2::DIRECTORY, u32::MAX, &[0; 64]).stop().end(at, 3);
    assert!(refused(&file.out).contains("expected elements of one size"), "{}", refused(&file.out));
    for bytes in [&b""[..], b"\x0d", b"\x0dCRIU", &[0; 56], &[0x5d; 200], b"not an image of any kind"] {
        assert!(open(bytes).is_err());
        let salvaged =
            Bundle::salvage("x", bytes.to_vec().into(), None, Limits::default(), (&Silent, &Cancel::default()));
        assert_eq!(salvaged.err().unwrap().what(), "expected a whole image of version 2, found none");
    }
}

#[test]
fn ten_thousand_images() {
    let mut file = File::new(DUMP);
    file.small(v2::CHECKPOINT, 0, b"c");
    // sections of all of them take turns
    for turn in 0..2u8 {
        for id in 0..10_000 {
            file.section(3, id).record(80, 1, &[turn]);
            if turn == 1 {
                file.stop();
            }
        }
    }
    let stream = file.clone().stream().out.clone();
    let bundle = file.bundle().out.clone();
    for bytes in [stream, bundle] {
        let bundle = open(&bytes).unwrap();
        assert_eq!(bundle.images().count(), 10_001);
        assert_eq!(records(&bundle, 3, 9_999).unwrap(), [[0], [1]]);
        assert_eq!(bundle.sections(3, 5_000).len(), 2);
        let found = verified(&bundle);
        assert!(found.is_sound() && found.images >= 10_001);
    }
}

#[test]
fn verifying_can_be_watched_and_ended() {
    struct Ends(Cancel, std::sync::atomic::AtomicU64);
    impl Progress for Ends {
        fn advance(&self, done: u64, total: u64) {
            assert!(done <= total);
            self.1.store(done, std::sync::atomic::Ordering::Relaxed);
            self.0.cancel();
        }
    }
    let bundle = open(&two().bundle().out).unwrap();
    let ends = Ends(Cancel::default(), 0.into());
    let error = bundle.verify((&ends, &ends.0)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert!(ends.1.load(std::sync::atomic::Ordering::Relaxed) > 0);
    // all findings, not the first
    let mut bytes = Vec::new();
    let mut file = File::new(DUMP);
    file.small(v2::CHECKPOINT, 0, b"c");
    for id in 0..20 {
        file.small(3, id, b"payload");
    }
    bytes.extend_from_slice(&file.bundle().out);
    for row in file.rows.iter().skip(1) {
        // behind the two headers before it
        bytes[row.2 as usize + 48 + 24 + 24] ^= 1;
    }
    assert_eq!(findings(&bytes).len(), 20);
}

#[test]
fn files_beside_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let put = |name: &str, bytes: &[u8]| std::fs::write(at(name), bytes).unwrap();
    let image = |dump: u64, kind: u32, id: u64| File::new(dump).small(kind, id, b"one").out.clone();
    put("checkpoint.criu", &image(DUMP, v2::CHECKPOINT, 0));
    for id in 0..20 {
        put(&format!("whatever-{id}.criu"), &image(DUMP, 3, id));
    }
    let pages = File::new(DUMP).section(v2::PAGES, 0).block(0, 16, 1, &[1; 32]).stop().out.clone();
    put("pages.criu", &pages);
    put("notes.txt", b"passed over");
    let open = || Bundle::open(directory.path(), Access::Map, Limits::default());
    let bundle = open().unwrap();
    assert_eq!((bundle.images().count(), bundle.dump(), bundle.end()), (22, DUMP, None));
    assert_eq!(records(&bundle, 3, 7).unwrap(), [b"one"]);
    assert!(verified(&bundle).is_sound() && bundle.warnings().is_empty());
    let block = bundle.blocks().unwrap().get(0).unwrap();
    assert!(bundle.file(block.part).is_some());
    // what belongs to something else, or to nothing, is told
    put("other.criu", &image(DUMP + 1, 3, 70));
    put("cut.criu", &image(DUMP, 3, 71)[..100]);
    put("text.criu", b"text");
    let bundle = open().unwrap();
    let warnings: Vec<String> = bundle.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(records(&bundle, 3, 71).is_err() && records(&bundle, 3, 7).is_ok() && !bundle.has(3, 70));
    assert_eq!(verified(&bundle).findings.len(), 3 + 1, "{:?}", verified(&bundle).findings);
    put("twice.criu", &image(DUMP, 3, 7));
    assert!(open().err().unwrap().to_string().contains("expected image 3 7 in one file"));
    std::fs::remove_file(at("twice.criu")).unwrap();
    put("z.criu", &image(DUMP + 2, v2::CHECKPOINT, 0));
    assert!(open().err().unwrap().to_string().contains("expected one checkpoint in the directory"));
    // with nothing beside it, the beginning of a bundle
    assert!(Bundle::open(&at("checkpoint.criu"), Access::Map, Limits::default()).is_err());
    let empty = tempfile::tempdir().unwrap();
    let error = Bundle::open(empty.path(), Access::Map, Limits::default()).err().unwrap();
    assert!(error.to_string().ends_with("expected .criu files, found none"), "{error}");
}

#[test]
fn shards() {
    let shard = |number: u64, first: u64| {
        let mut file = File::new(DUMP);
        file.small(v2::CHECKPOINT, 0, &[number as u8]).small(3, number, b"one");
        file.section(v2::PAGES, 0).block(first, 16, 1, &[number as u8; 64]).stop();
        file
    };
    let named = |files: Vec<Vec<u8>>| files.into_iter().enumerate().map(|(n, bytes)| (format!("s{n}"), bytes.into()));
    let open = |files| Bundle::from_shards(named(files), Limits::default());
    let bundle = open(vec![
        shard(0, 4).bundle().out.clone(),
        shard(1, 0).stream().out.clone(),
        shard(2, 9).bundle().out.clone(),
    ]);
    let bundle = bundle.unwrap();
    assert_eq!(bundle.images().collect::<Vec<_>>(), [(3, 0), (3, 1), (3, 2), (v2::PAGES, 0), (v2::CHECKPOINT, 0)]);
    let blocks = bundle.blocks().unwrap();
    assert_eq!((0..3).map(|at| blocks.get(at).unwrap().part).collect::<Vec<_>>(), [1, 0, 2]);
    assert_eq!((blocks.find(3), blocks.find(8), blocks.find(12)), (Some(0), None, Some(2)));
    assert_eq!(records(&bundle, v2::CHECKPOINT, 0).unwrap(), [[0], [1], [2]]);
    assert_eq!(records(&bundle, v2::PAGES, 0).unwrap().len(), 3);
    assert!(verified(&bundle).is_sound());
    let error = open(vec![shard(0, 0).bundle().out.clone(), shard(0, 8).bundle().out.clone()]).err().unwrap();
    assert!(error.to_string().contains("expected image 3 0 in one file, found it also in s1"), "{error}");
    let other =
        open(vec![shard(0, 0).bundle().out.clone(), two().next(7).small(v2::CHECKPOINT, 0, b"").bundle().out.clone()]);
    assert!(other.is_err());
    let overlap = open(vec![shard(0, 0).bundle().out.clone(), shard(1, 2).bundle().out.clone()]).unwrap();
    assert!(overlap.blocks().is_err() && !verified(&overlap).is_sound());
}

#[test]
fn several_dumps_in_a_file() {
    let mut file = two();
    file.bundle();
    let mut file = file.next(DUMP + 1);
    file.small(v2::CHECKPOINT, 0, b"child").small(3, 17, b"two").bundle();
    let mut file = file.next(DUMP + 2);
    file.small(v2::CHECKPOINT, 0, b"grandchild").bundle();
    let bundle = open(&file.out).unwrap();
    assert_eq!((bundle.dump(), bundle.has(3, 17)), (DUMP + 2, false));
    assert_eq!(bundle.dumps().unwrap(), [DUMP + 2, DUMP + 1, DUMP]);
    for (dump, payload) in [(DUMP, &b"one"[..]), (DUMP + 1, b"two")] {
        let other = bundle.of_dump(dump).unwrap();
        assert_eq!(records(&other, 3, 17).unwrap(), [payload]);
        assert!(other.end().is_some() && other.end() != bundle.end());
        assert_eq!(other.dumps().unwrap().len(), 3);
    }
    let error = bundle.of_dump(5).err().unwrap();
    assert!(error.to_string().contains("expected dump 0x0000000000000005 in the file"), "{error}");
    assert!(verified(&bundle).is_sound());
}
