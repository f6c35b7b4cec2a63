//! Writing containers of version 2: what is written is read, by the directory and by a walk; no wrong use makes a file
//! that is broken; a stream is stored as it comes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod common;

use std::io::{Read, Write};
use std::os::fd::AsFd;

use common::v2::{self, File};
use icecore::base::map::Access;
use icecore::base::report::{Cancel, Silent};
use icecore::source::bundle::{Bundle, LIST, Lists, Writer, receive};
use icecore::wire::v2::block::Prefix;
use icecore::wire::v2::{Blob, Codec, ImageHeader, types};
use icecore::{Error, ErrorKind, Limits};

const DUMP: u64 = 77;

fn open(bytes: &[u8]) -> Bundle {
    Bundle::from_bytes("x.criu", bytes.to_vec().into(), Limits::default()).unwrap()
}

#[track_caller]
fn is_sound(bytes: &[u8]) -> Bundle {
    let bundle = open(bytes);
    let verified = bundle.verify((&Silent, &Cancel::default())).unwrap();
    assert!(verified.is_sound(), "{:?}", verified.findings);
    bundle
}

fn payloads(bundle: &Bundle, kind: u32, id: u64) -> Vec<Vec<u8>> {
    bundle.records(kind, id).map(|found| found.unwrap().record.payload.to_vec()).collect()
}

fn writer() -> Writer<Vec<u8>> {
    let mut writer = Writer::new(Vec::new(), DUMP);
    writer.image(types::KIND_CHECKPOINT, 0).unwrap();
    writer.record(types::CHECKPOINT, 1, b"").unwrap();
    writer.stop().unwrap();
    writer
}

fn small<W: Write>(writer: &mut Writer<W>, id: u64, payload: &[u8]) {
    writer.image(3, id).unwrap();
    writer.record(80, 1, payload).unwrap();
    writer.stop().unwrap();
}

fn block<W: Write>(writer: &mut Writer<W>, first: u64, data: &[u8]) -> Result<(), Error> {
    let sums: Vec<u32> = data.chunks(8192).map(|unit| v2::crc(0, unit)).collect();
    let pages = (data.len() / 4096) as u32;
    let (sizes, length) = (&[][..], data.len() as u64);
    let prefix = Prefix { first, pages, codec: Codec::Raw, unit: 2, sizes, sums: &sums, length };
    writer.block(&prefix, 4096, data.chunks(1000))
}

#[test]
fn lists_blobs_and_padding() {
    let mut writer = writer();
    writer.image(4, 1).unwrap();
    let mut lists = Lists::new(90);
    for number in 0..20_000u32 {
        lists.push(&mut writer, &number.to_le_bytes()).unwrap();
    }
    lists.turn_to(&mut writer, 91).unwrap();
    lists.push(&mut writer, &vec![7; 3 * LIST]).unwrap();
    lists.push(&mut writer, b"last").unwrap();
    lists.flush(&mut writer).unwrap();
    lists.flush(&mut writer).unwrap();
    writer.pad(0).unwrap();
    writer.pad(1000).unwrap();
    let raw: Vec<u8> = (0..(2u32 << 20) + 5).map(|at| (at % 251) as u8).collect();
    writer.blobs(10, &raw).unwrap();
    writer.stop().unwrap();
    let (bytes, summary) = writer.finish(&[]).unwrap();
    assert_eq!((summary.length, summary.end), (bytes.len() as u64, open(&bytes).end()));
    let bundle = is_sound(&bytes);
    let records: Vec<_> = bundle.records(4, 1).map(|found| found.unwrap().record).collect();
    let shape: Vec<_> = records.iter().map(|r| (r.header.object_type(), r.header.count())).collect();
    let lists = [(90, 10922), (90, 9078), (91, 1), (91, 1), (types::BLOB, 1), (types::BLOB, 1), (types::BLOB, 1)];
    assert_eq!(shape, lists);
    assert!(records[..2].iter().all(|record| record.payload.len() <= LIST));
    let mut found = vec![0; raw.len()];
    for record in &records[4..] {
        let blob = Blob::read(record.payload).unwrap();
        let at = blob.offset as usize - 10;
        found[at..at + blob.data.len()].copy_from_slice(blob.data);
    }
    assert!(found == raw);
}

#[test]
fn an_append_changes_nothing_that_is_there() {
    let mut first = writer();
    small(&mut first, 1, b"one");
    small(&mut first, 2, b"two");
    first.image(types::KIND_PAGES, 0).unwrap();
    block(&mut first, 0, &vec![1; 16384]).unwrap();
    first.stop().unwrap();
    let (bytes, _) = first.finish(&[(1, b"\x0a\x00".to_vec())]).unwrap();
    // garbage behind the end is written over
    let bundle = open(&[bytes.clone(), vec![0; 500]].concat());
    let append = |dump: u64, fill: &dyn Fn(&mut Writer<Vec<u8>>)| {
        assert_eq!(bundle.length(), Some(bytes.len() as u64));
        let mut writer = Writer::append(bytes.clone(), &bundle, dump).unwrap();
        fill(&mut writer);
        writer.finish(&[]).map(|(all, summary)| {
            assert_eq!((summary.length, &all[..bytes.len()]), (all.len() as u64, &bytes[..]));
            all
        })
    };
    let same = append(DUMP, &|writer| {
        small(writer, 2, b"two again");
        small(writer, 3, b"three");
    });
    let same = is_sound(&same.unwrap());
    assert_eq!(same.images().count(), 5);
    let found: Vec<_> = (1..4).map(|id| payloads(&same, 3, id).concat()).collect();
    assert_eq!(found, [b"one".to_vec(), b"two again".to_vec(), b"three".to_vec()]);
    assert_eq!(same.blocks().unwrap().len(), 1);
    // pages are replaced with what they hold
    let pages = append(DUMP, &|writer| {
        writer.image(types::KIND_PAGES, 0).unwrap();
        block(writer, 0, &vec![2; 8192]).unwrap();
        writer.stop().unwrap();
    });
    let pages = is_sound(&pages.unwrap());
    assert_eq!((pages.blocks().unwrap().len(), pages.blocks().unwrap().find(2)), (1, None));
    let other = append(DUMP + 1, &|writer| {
        writer.image(types::KIND_CHECKPOINT, 0).unwrap();
        writer.stop().unwrap();
        small(writer, 1, b"child");
    });
    let other = is_sound(&other.unwrap());
    assert_eq!((other.dumps().unwrap(), other.images().count()), (vec![DUMP + 1, DUMP], 2));
    assert_eq!(payloads(&other.of_dump(DUMP).unwrap(), 3, 1), [b"one"]);
    assert_eq!(other.of_dump(DUMP).unwrap().end(), bundle.end());
    assert!(append(DUMP + 1, &|writer| small(writer, 1, b"without a checkpoint")).is_err());
    let nothing = is_sound(&append(DUMP, &|_| {}).unwrap());
    assert_eq!(nothing.images().count(), 4);
    let image = File::new(DUMP).small(3, 1, b"x").out.clone();
    assert!(Writer::append(Vec::new(), &open(&image), DUMP).is_err());
}

/// What a wrong use is called, and the use: an error, and no END.
type Wrong = (&'static str, fn(&mut Writer<Vec<u8>>) -> Result<(), Error>);

#[test]
fn no_wrong_use_makes_a_broken_file() {
    let wrong: [Wrong; 17] = [
        ("a record of no image", |writer| writer.record(80, 1, b"x")),
        ("a STOP of no image", |writer| writer.stop()),
        ("an image again", |writer| writer.image(types::KIND_CHECKPOINT, 0)),
        ("the directory", |writer| writer.image(types::KIND_DIRECTORY, 0)),
        ("START", |writer| writer.image(3, 1).and_then(|()| writer.record(types::START, 0, b""))),
        ("STOP", |writer| writer.image(3, 1).and_then(|()| writer.record(types::STOP, 0, b""))),
        ("END", |writer| writer.image(3, 1).and_then(|()| writer.record(types::END, 1, &[0; 32]))),
        ("a block as a record", |writer| writer.image(9, 0).and_then(|()| writer.record(types::PAGE_BLOCK, 1, b""))),
        ("a table", |writer| writer.image(9, 0).and_then(|()| writer.record(types::BLOCK_TABLE, 0, b""))),
        ("too long", |writer| writer.image(3, 1).and_then(|()| writer.record(80, 1, &vec![0; (64 << 20) + 1]))),
        ("pages elsewhere", |writer| writer.image(3, 1).and_then(|()| block(writer, 0, &[0; 4096]))),
        ("pages of another image", |writer| writer.image(9, 1).and_then(|()| block(writer, 0, &[0; 4096]))),
        ("no pages", |writer| writer.image(9, 0).and_then(|()| block(writer, 0, &[]))),
        ("half a page", |writer| {
            writer.image(9, 0)?;
            let prefix = Prefix { first: 0, pages: 2, codec: Codec::Raw, unit: 1, sizes: &[], sums: &[], length: 8191 };
            writer.block(&prefix, 4096, [&[0; 8191][..]])
        }),
        ("other data", |writer| {
            writer.image(9, 0)?;
            let prefix = Prefix { first: 0, pages: 2, codec: Codec::Raw, unit: 1, sizes: &[], sums: &[], length: 8192 };
            writer.block(&prefix, 4096, [&[0; 4096][..]])
        }),
        ("other sizes", |writer| {
            writer.image(9, 0)?;
            let sizes = &[5, 6];
            let prefix = Prefix { first: 0, pages: 2, codec: Codec::Lz4, unit: 1, sizes, sums: &[], length: 12 };
            writer.block(&prefix, 4096, [&[0; 12][..]])
        }),
        ("runs that do not ascend", |writer| {
            writer.image(8, 1)?;
            writer.record(types::PAGE_RUN, 2, &[v2::run(8192, 1, 0, 4), v2::run(4096, 1, 1, 4)].concat())
        }),
    ];
    for (name, wrong) in wrong {
        let mut writer = writer();
        let error = wrong(&mut writer).expect_err(name);
        assert_eq!(error.kind(), ErrorKind::Usage, "{name}: {error}");
        // who goes on after the error can, and the file is sound
        let mut writer = match writer.finish(&[]) {
            Ok((bytes, _)) => {
                is_sound(&bytes);
                continue;
            }
            Err(error) => {
                assert!(error.to_string().contains("has no STOP"), "{name}: {error}");
                self::writer()
            }
        };
        let _ = wrong(&mut writer);
        writer.stop().unwrap();
        is_sound(&writer.finish(&[]).unwrap().0);
    }
    let mut unstopped = writer();
    unstopped.image(3, 1).unwrap();
    assert!(unstopped.finish_stream().is_err());
    let mut first = Writer::new(Vec::new(), DUMP);
    small(&mut first, 1, b"x");
    assert!(first.finish(&[]).is_err());
    let mut two = writer();
    small(&mut two, 1, b"x");
    assert!(two.finish_image().is_err());
    let mut twice = writer();
    twice.image(types::KIND_PAGES, 0).unwrap();
    block(&mut twice, 0, &[1; 8192]).unwrap();
    block(&mut twice, 1, &[1; 8192]).unwrap();
    twice.stop().unwrap();
    assert_eq!(twice.finish(&[]).err().unwrap().what(), "page 1 is in two blocks");
}

#[test]
fn nothing_good_follows_a_failure() {
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let taken = bytes.len().min(self.0);
            self.0 -= taken;
            if taken == 0 { Err(std::io::ErrorKind::StorageFull.into()) } else { Ok(taken) }
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut writer = Writer::new(Full(150), DUMP);
    writer.image(types::KIND_CHECKPOINT, 0).unwrap();
    writer.record(types::CHECKPOINT, 1, b"").unwrap();
    assert_eq!(writer.record(80, 1, &[0; 100]).unwrap_err().kind(), ErrorKind::Io);
    writer.get_mut().0 = 10_000;
    assert_eq!(writer.record(80, 1, b"more").unwrap_err().kind(), ErrorKind::Usage);
    assert_eq!(writer.stop().unwrap_err().kind(), ErrorKind::Usage);
    assert_eq!(writer.image(3, 1).unwrap_err().kind(), ErrorKind::Usage);
    assert!(writer.finish(&[]).is_err());
}

/// A stream in which two images take turns, with blocks of many sizes.
fn stream() -> Vec<u8> {
    let mut writer = writer();
    for turn in 0..5u64 {
        writer.image(8, 1).unwrap();
        writer.record(types::PAGE_RUN, 1, &v2::run(turn << 20, 3, turn * 3, 4)).unwrap();
        writer.image(types::KIND_PAGES, 0).unwrap();
        block(&mut writer, turn * 3, &vec![turn as u8 + 1; 3 * 4096]).unwrap();
    }
    let lz4 = [1, 2, 3, 4, 5, 6, 7];
    let sums = [v2::crc(0, &lz4[..3]), v2::crc(0, &[]), v2::crc(0, &lz4[3..])];
    let prefix = Prefix { first: 100, pages: 5, codec: Codec::Lz4, unit: 2, sizes: &[3, 0, 4], sums: &sums, length: 7 };
    writer.block(&prefix, 1, [&lz4[..]]).unwrap();
    writer.stop().unwrap();
    writer.image(8, 1).unwrap();
    writer.stop().unwrap();
    small(&mut writer, 1, &vec![9; 100_000]);
    writer.pad(3).unwrap_err();
    writer.finish_stream().unwrap().0
}

/// Gives a few bytes at a time.
struct Trickle<'a>(&'a [u8], usize);

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.1 = self.1 % 1000 + 1;
        let taken = buffer.len().min(self.1).min(self.0.len());
        let (now, later) = self.0.split_at(taken);
        buffer[..taken].copy_from_slice(now);
        self.0 = later;
        Ok(taken)
    }
}

#[test]
fn a_stream_is_stored_as_it_comes() {
    let stream = stream();
    is_sound(&stream);
    let (stored, summary) = receive(Trickle(&stream, 0), Vec::new(), &Limits::default()).unwrap();
    assert_eq!((&stored[..stream.len()], summary.length), (&stream[..], stored.len() as u64));
    let (bundle, walked) = (is_sound(&stored), open(&stream));
    assert_eq!(bundle.end(), summary.end);
    for (kind, id) in walked.images() {
        assert_eq!(payloads(&bundle, kind, id), payloads(&walked, kind, id));
    }
    let blocks = |bundle: &Bundle| {
        let blocks = bundle.blocks().unwrap();
        (0..blocks.len()).map(|at| blocks.get(at).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(blocks(&bundle), blocks(&walked));
    // a bundle that comes through a pipe is one already
    let (again, _) = receive(&stored[..], Vec::new(), &Limits::default()).unwrap();
    assert!(again == stored);
    // zeros behind it mean nothing
    let padded = [stream.clone(), vec![0; 5000]].concat();
    assert!(receive(&padded[..], Vec::new(), &Limits::default()).unwrap().0 == stored);
    let garbage = [stream, vec![0; 5000], vec![1]].concat();
    assert!(receive(&garbage[..], Vec::new(), &Limits::default()).is_err());
    // two dumps, one behind the other
    let mut chain = File::new(1);
    chain.small(v2::CHECKPOINT, 0, b"a").small(3, 1, b"x").stream();
    let mut chain = chain.next(2);
    chain.small(v2::CHECKPOINT, 0, b"b").small(3, 1, b"y").stream();
    let (stored, _) = receive(&chain.out[..], Vec::new(), &Limits::default()).unwrap();
    let bundle = is_sound(&stored);
    assert_eq!(bundle.dumps().unwrap(), [2, 1]);
    assert_eq!(payloads(&bundle, 3, 1), [b"y"]);
    assert_eq!(payloads(&bundle.of_dump(1).unwrap(), 3, 1), [b"x"]);
}

#[test]
fn a_stream_that_is_not_whole_is_refused() {
    let mut writer = writer();
    small(&mut writer, 1, b"one");
    writer.image(types::KIND_PAGES, 0).unwrap();
    block(&mut writer, 0, &[5; 4096]).unwrap();
    writer.stop().unwrap();
    let (stream, _) = writer.finish_stream().unwrap();
    assert!(receive(&stream[..], Vec::new(), &Limits::default()).is_ok());
    for cut in 0..stream.len() {
        let mut stored = Vec::new();
        assert!(receive(&stream[..cut], &mut stored, &Limits::default()).is_err(), "{cut}");
        assert!(stored == stream[..cut], "{cut}: what came is there");
    }
    for at in 0..stream.len() {
        let mut flipped = stream.clone();
        flipped[at] ^= 1 << (at % 8);
        let mut stored = Vec::new();
        assert!(receive(&flipped[..], &mut stored, &Limits::default()).is_err(), "{at}");
        assert!(flipped.starts_with(&stored));
    }
}

#[test]
fn from_a_pipe() {
    let stream = stream();
    for spool in [100, 1 << 20] {
        let (reader, mut pipe) = std::io::pipe().unwrap();
        let bytes = stream.clone();
        let thread = std::thread::spawn(move || pipe.write_all(&bytes).unwrap());
        let limits = Limits { spool, ..Limits::default() };
        let bundle = Bundle::read(reader.as_fd(), "standard input", Access::Map, limits).unwrap();
        thread.join().unwrap();
        assert_eq!((bundle.name(), bundle.images().count()), ("standard input", 4));
        assert_eq!(bundle.bytes(0).unwrap(), &stream);
    }
}

#[test]
fn files_of_their_own() {
    // what is written in one file each has sections, too
    let mut writer = Writer::new(Vec::new(), DUMP);
    writer.image(8, 1).unwrap();
    writer.record(types::PAGE_RUN, 1, &v2::run(4096, 1, 0, 4)).unwrap();
    writer.stop().unwrap();
    let (bytes, summary) = writer.finish_image().unwrap();
    assert_eq!((summary.end, summary.length), (None, bytes.len() as u64));
    let bundle = is_sound(&bytes);
    assert_eq!(bundle.images().collect::<Vec<_>>(), [(8, 1)]);
    assert_eq!(ImageHeader::read(&bytes).unwrap().dump(), DUMP);
}

/// What `convert` makes of real dumps is sound, in each form; any flipped bit in it and any cut is found, and what is
/// salvaged is what was there.
#[test]
fn converted_dumps_are_sound() {
    use common::rng::Rng;
    use icecore::tool::convert::pages::{Compression, PageOptions};
    use icecore::tool::convert::{Convert, Target, convert};
    let mut rng = Rng::new(4);
    let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    for (dump, compression) in
        [("container", Compression::None), ("tree", Compression::Lz4), ("python", Compression::Zstd(1))]
    {
        let folder = tempfile::tempdir().unwrap();
        let (path, images) = (folder.path().join("it.criu"), folder.path().join("images"));
        let options = Convert { pages: PageOptions { compression, ..PageOptions::default() }, ..Convert::default() };
        for target in [Target::Bundle(&path), Target::Images(&images)] {
            convert(&data.join(dump), target, &options, (&Silent, &Cancel::default())).unwrap();
        }
        let bytes = std::fs::read(&path).unwrap();
        let bundle = is_sound(&bytes);
        let beside = Bundle::open(&images, Access::Map, Limits::default()).unwrap();
        let verified = beside.verify((&Silent, &Cancel::default())).unwrap();
        assert!(verified.is_sound() && verified.unchecked == 0, "{dump}: {:?}", verified.findings);
        assert!(beside.images().eq(bundle.images()), "{dump}");
        let (stored, _) = receive(&bytes[..], Vec::new(), &Limits::default()).unwrap();
        assert!(stored == bytes);
        let is_found = |bytes: &[u8]| match Bundle::from_bytes("x", bytes.to_vec().into(), Limits::default()) {
            Ok(bundle) => !bundle.verify((&Silent, &Cancel::default())).unwrap().is_sound(),
            Err(_) => true,
        };
        let mut broken = bytes.clone();
        for round in 0..30 {
            let at = rng.below(bytes.len());
            broken[at] ^= 1 << rng.below(8);
            assert!(is_found(&broken), "{dump}: byte {at}");
            assert!(is_found(&bytes[..at]), "{dump}: cut {at}");
            let (name, control) = ("x", (&Silent as &dyn icecore::base::report::Progress, &Cancel::default()));
            let damaged = if round % 2 == 0 { broken.clone() } else { bytes[..at].to_vec() };
            if let Ok(salvaged) = Bundle::salvage(name, damaged.into(), None, Limits::default(), control) {
                for (kind, id) in salvaged.bundle.images() {
                    assert!(payloads(&salvaged.bundle, kind, id) == payloads(&bundle, kind, id), "{dump}: {kind} {id}");
                }
                assert!(round % 2 == 1 || salvaged.lost.len() <= 1);
            }
            broken[at] = bytes[at];
        }
    }
}
