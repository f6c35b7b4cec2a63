//! Files of version 2 as Google's protoc reads them: whole files without a schema, and every header, element, block and
//! object with it. What it says is what the library says, and no byte is left over. Needs protoc (`ICECORE_PROTOC`, or
//! the one in PATH) and its own .proto files (Debian's libprotobuf-dev).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::cast_possible_truncation)]

mod common;

use std::path::Path;

use common::{corpus, oracle};

use common::proto2::{self, Wire};
use common::protoc::{Pieces, Protoc};
use common::random::Generator;
use common::rng::Rng;
use icecore::base::report::{Cancel, Silent};
use icecore::image::Kind;
use icecore::object::upgrade::{self, Layout, Message, Type};
use icecore::source::bundle::{Bundle, Writer};
use icecore::tool::convert::pages::{Compression, PageOptions};
use icecore::tool::convert::{Convert, Target, convert};
use icecore::v1::PagemapEntry;
use icecore::wire::v2::array::NOWHERE;
use icecore::wire::v2::block::Prefix;
use icecore::wire::v2::crc::crc32c;
use icecore::wire::v2::{
    BlockRow, Codec, DirectoryRow, End, ImageHeader, Item, ObjectHeader, PageBlock, PageRun, Walk, types,
};
use icecore::{Image, Limits};
use prost::Message as _;
use zerocopy::IntoBytes;

/// protoc, or a loud word that there is none.
fn protoc() -> Option<Protoc> {
    Protoc::find().map_err(|lacking| oracle::skipped(&lacking)).ok()
}

const DUMP: u64 = 0x1234_5678_9abc_def0;
const PAGE: u64 = 4096;

/// The images of a real dump as objects: each entry converted by itself, pages as they lie.
fn converted(folder: &Path) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), DUMP);
    writer.image(types::KIND_CHECKPOINT, 0).unwrap();
    let head = upgrade::v2::Checkpoint {
        page_size: Some(PAGE),
        byte_order: Some(1),
        writer: Some((&b"caf\xe9 \"'\\\n\r\t\0\x7f"[..]).into()),
        parents: vec![upgrade::v2::Parent { dump: Some(u64::MAX), ..Default::default() }],
        ..Default::default()
    };
    writer.record(types::CHECKPOINT, 1, &head.encode_to_vec()).unwrap();
    writer.stop().unwrap();
    let limits = Limits::default();
    let mut first = 0u64;
    for found in corpus::framed(folder) {
        let Some((kind, id)) = Kind::from_file_name(found.name()) else { continue };
        writer.image(kind as u32, id).unwrap();
        let Ok(image) = Image::open(found.name(), found.read().into(), limits) else { continue };
        if [Kind::Pagemap, Kind::PagemapShmem].contains(&kind) {
            let entries = image.iter().skip(1).map(|entry| entry.unwrap().decode::<PagemapEntry>().unwrap());
            let mut runs = Vec::new();
            for entry in entries {
                let (pages, flags) = (entry.nr_pages.unwrap(), entry.flags.unwrap());
                let page = if flags & 4 == 0 { NOWHERE } else { first };
                first += if flags & 4 == 0 { 0 } else { pages };
                runs.push(PageRun::new(entry.vaddr, pages, page, flags));
            }
            writer.record(types::PAGE_RUN, runs.len() as u32, runs.as_bytes()).unwrap();
        } else {
            let mut list = Vec::new();
            let mut last: Option<(u32, u32)> = None;
            for entry in image.iter() {
                let entry = entry.unwrap();
                let message = Message::by_v1(entry.message_name()).unwrap();
                let number = Type::of(message).unwrap().number;
                if let Some((before, count)) = last
                    && (before != number || count >= 100)
                {
                    writer.record(before, count, &list).unwrap();
                    list.clear();
                    last = None;
                }
                let mut object = Vec::new();
                upgrade::checked_up(message, entry.message(), &limits, &mut object);
                item(&mut list, &object);
                last = Some((number, last.map_or(1, |(_, count)| count + 1)));
            }
            if let Some((number, count)) = last {
                writer.record(number, count, &list).unwrap();
            }
        }
        writer.stop().unwrap();
    }
    for (number, name) in (0..).zip(pages(folder)) {
        let content = std::fs::read(folder.join(&name)).unwrap();
        writer.image(types::KIND_PAGES, 0).unwrap();
        let pages = content.len() as u64 / PAGE;
        let sums: Vec<u32> = content.chunks(16 * PAGE as usize).map(|unit| crc32c(0, unit)).collect();
        let (unit, length) = (16, content.len() as u64);
        let prefix = Prefix {
            first: number << 32,
            pages: pages as u32,
            codec: Codec::Raw,
            unit,
            sizes: &[],
            sums: &sums,
            length,
        };
        writer.block(&prefix, PAGE, [&content[..]]).unwrap();
        // other images take turns with it
        writer.image(types::KIND_FILE, number).unwrap();
        let file = upgrade::v2::Name { name: Some(name.into_bytes().into()), ..Default::default() };
        writer.record(types::NAME, 1, &file.encode_to_vec()).unwrap();
        writer.stop().unwrap();
    }
    writer.image(types::KIND_PAGES, 0).unwrap();
    writer.record(types::PAD, 1, &[0x0a, 3, 0, 0, 0]).unwrap();
    writer.stop().unwrap();
    writer.finish(&[]).unwrap().0
}

fn item(list: &mut Vec<u8>, object: &[u8]) {
    list.push(0x0a);
    let mut length = object.len();
    while length >= 0x80 {
        list.push(length as u8 | 0x80);
        length >>= 7;
    }
    list.push(length as u8);
    list.extend(object);
}

/// Names of the pages files that are not empty.
fn pages(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.metadata().unwrap().len() > 0)
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with("pages-"))
        .collect();
    names.sort();
    names
}

/// An image with objects of every type, made from random messages.
fn random() -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), DUMP);
    let (generator, mut rng) = (Generator::new(), Rng::new(11));
    writer.image(types::KIND_FILE, 0).unwrap();
    for row in upgrade::schema::TYPES.iter().filter(|row| row.number >= 80) {
        let mut list = Vec::new();
        let message = row.message.unwrap();
        for _ in 0..20 {
            let mut object = Vec::new();
            let v1 = generator.message(&mut rng, message.v1, &[]).0;
            upgrade::checked_up(message, &v1, &Limits::default(), &mut object);
            item(&mut list, &object);
        }
        writer.record(row.number, 20, &list).unwrap();
    }
    writer.record(types::START + 200, 1, &[]).unwrap();
    writer.stop().unwrap();
    writer.finish_image().unwrap().0
}

/// An image of pages with packed units, with sums and without.
fn packed() -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), DUMP);
    writer.image(types::KIND_PAGES, 0).unwrap();
    let stored = [3u8; 300];
    for (first, sums) in [(0, &[1, 2, u32::MAX][..]), (100, &[])] {
        let sizes = [0, 200, 100];
        let prefix = Prefix { first, pages: 9, codec: Codec::Zstd, unit: 4, sizes: &sizes, sums, length: 300 };
        writer.block(&prefix, PAGE, [&stored[..]]).unwrap();
    }
    writer.stop().unwrap();
    writer.finish_image().unwrap().0
}

/// A stream: two images that take turns, and END without a directory.
fn stream() -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), DUMP);
    writer.image(types::KIND_CHECKPOINT, 0).unwrap();
    writer.record(types::CHECKPOINT, 1, &[0x08, 0x80, 0x20]).unwrap();
    writer.stop().unwrap();
    for turn in 0..4 {
        writer.image(7, 1).unwrap();
        let runs = [PageRun::new(turn * PAGE, 1, turn, 4)];
        writer.record(types::PAGE_RUN, 1, runs.as_bytes()).unwrap();
        writer.image(types::KIND_PAGES, 0).unwrap();
        let data = vec![turn as u8; PAGE as usize];
        let prefix =
            Prefix { first: turn, pages: 1, codec: Codec::Raw, unit: 16, sizes: &[], sums: &[7], length: PAGE };
        writer.block(&prefix, PAGE, [&data[..]]).unwrap();
    }
    for (kind, id) in [(7, 1), (types::KIND_PAGES, 0)] {
        writer.image(kind, id).unwrap();
        writer.stop().unwrap();
    }
    writer.finish_stream().unwrap().0
}

fn make(dump: &Path, target: Target<'_>, compression: Compression) {
    let pages = PageOptions { compression, ..PageOptions::default() };
    let options = Convert { pages, ..Convert::default() };
    let made = convert(dump, target, &options, (&Silent, &Cancel::default()));
    made.unwrap_or_else(|error| panic!("{}: {error}", dump.display()));
}

/// What the program makes of the dumps in `tests/data`: bundles, with pages as they are and packed, and a file for each
/// image; and bundles of some of the large corpus.
fn by_the_program() -> Vec<(String, Vec<u8>)> {
    let (mut files, folder) = (Vec::new(), tempfile::tempdir().unwrap());
    let bundle = folder.path().join("it.criu");
    for (number, dump) in corpus::dumps(&corpus::data()).iter().enumerate() {
        let name = dump.display();
        for compression in [Compression::None, Compression::Lz4, Compression::Zstd(3)] {
            make(dump, Target::Bundle(&bundle), compression);
            files.push((format!("{name}, {compression:?}"), std::fs::read(&bundle).unwrap()));
        }
        let images = folder.path().join(number.to_string());
        make(dump, Target::Images(&images), Compression::None);
        // all in one: protoc is asked once
        let mut paths: Vec<_> = std::fs::read_dir(images).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let all = paths.iter().flat_map(|path| std::fs::read(path).unwrap()).collect();
        files.push((format!("{name}, images"), all));
    }
    let many = corpus::large().map(|root| corpus::dumps(&root)).unwrap_or_default();
    for dump in many.iter().step_by(many.len().div_ceil(SAMPLE).max(1)) {
        make(dump, Target::Bundle(&bundle), Compression::None);
        if std::fs::metadata(&bundle).unwrap().len() <= LARGEST {
            files.push((dump.display().to_string(), std::fs::read(&bundle).unwrap()));
        }
    }
    files
}

/// So many dumps of the large corpus, and bundles of at most so many bytes: protoc needs fifty times as much memory.
const SAMPLE: usize = 40;
const LARGEST: u64 = 16 << 20;

/// Files of each sort, and what they are called.
fn files() -> Vec<(String, Vec<u8>)> {
    let mut files =
        vec![("stream".to_owned(), stream()), ("random".to_owned(), random()), ("packed".to_owned(), packed())];
    let data = corpus::data();
    files.extend(["tree", "container"].map(|name| (format!("{name}, entries"), converted(&data.join(name)))));
    files.append(&mut by_the_program());
    files
}

/// A file taken apart into its messages; each byte is in one, or in the key of an item in a list.
fn pieces(file: &[u8]) -> Pieces {
    let mut pieces = Pieces::default();
    let mut at = 0;
    for found in Walk::new(file, 0) {
        match found.unwrap() {
            Item::Image(offset, header) => {
                assert_eq!(offset, at);
                pieces.add("ImageHeader", header.as_bytes());
                at += 48;
            }
            Item::Record(record) => {
                assert_eq!(record.offset, at);
                pieces.add("ObjectHeader", record.header.as_bytes());
                payload(&mut pieces, record.header, record.payload);
                at = record.end();
            }
        }
    }
    assert_eq!(at, file.len());
    pieces
}

fn payload(pieces: &mut Pieces, header: &ObjectHeader, payload: &[u8]) {
    let Some(row) = Type::by_number(header.object_type()) else {
        assert!(payload.is_empty(), "a type without a message");
        return;
    };
    match row.layout {
        Layout::Empty => assert!(payload.is_empty()),
        Layout::Single => pieces.add(row.message_name, payload),
        Layout::Array => {
            let stride = payload.len().checked_div(header.count() as usize).unwrap_or(0);
            assert_eq!(stride * header.count() as usize, payload.len());
            payload.chunks(stride.max(1)).for_each(|element| pieces.add(row.message_name, element));
        }
        Layout::List => {
            let items = proto2::fields(payload).unwrap();
            assert_eq!(items.len(), header.count() as usize);
            for item in items {
                let (1, Wire::Bytes(object)) = (item.number, item.value) else { panic!("no item") };
                pieces.add(row.message_name, object);
            }
        }
    }
}

/// Numbers of the fields that a text of `--decode_raw` has on its outermost level.
fn outermost(text: &str) -> Vec<u32> {
    let lines = text.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_digit()));
    lines.map(|line| line.split([':', ' ']).next().unwrap().parse().unwrap()).collect()
}

#[test]
fn whole_files_are_messages() {
    let Some(protoc) = protoc() else { return };
    for (name, file) in files() {
        let text = protoc.decode_raw(&file).unwrap_or_else(|told| panic!("{name}: {told}"));
        // protoc puts fields in order; of a plain program they come as they lie
        let mut numbers: Vec<u32> = proto2::fields(&file).unwrap().iter().map(|field| field.number).collect();
        let mut said = outermost(&text);
        numbers.sort_unstable();
        said.sort_unstable();
        assert!(said == numbers, "{name}");
    }
}

/// What the schema says of every piece of a file is what the library reads there; and of what it says, protoc makes the
/// same bytes again.
#[test]
fn every_byte_belongs_to_a_message() {
    let Some(protoc) = protoc() else { return };
    for (name, file) in files() {
        let pieces = pieces(&file);
        assert!(pieces.len() > 6, "{name}");
        let said = protoc.decode_all(&pieces).unwrap_or_else(|told| panic!("{name}: {told}"));
        let expected = protoc.expected(&pieces);
        if said != expected {
            let at = said.lines().zip(expected.lines()).position(|(said, expected)| said != expected);
            let line = at.unwrap_or(0);
            let around = |text: &str| text.lines().skip(line.saturating_sub(5)).take(8).collect::<Vec<_>>().join("\n");
            panic!("{name}: line {line}: protoc says\n{}\nthe library\n{}", around(&said), around(&expected));
        }
        let again = protoc.encode_all(&said).unwrap_or_else(|told| panic!("{name}: {told}"));
        assert!(again == protoc.joined(&pieces), "{name}: protoc writes other bytes");
    }
}

/// The structs that lie over the bytes, each alone: what the getters say is what protoc says.
#[test]
fn fixed_messages_field_by_field() {
    let Some(protoc) = protoc() else { return };
    let mut rng = Rng::new(5);
    for round in 0..4 {
        let mut small = || if round == 0 { 0 } else { rng.next() as u32 };
        let (a, b, c, d, e) = (small(), small(), small(), small(), small());
        let mut wide = || if round == 0 { 0 } else { rng.next() };
        let (x, y, z) = (wide(), wide(), wide());
        let said = |message: &str, bytes: &[u8]| {
            protoc.decode(message, "headers.proto", bytes).unwrap_or_else(|told| panic!("{message}: {told}"))
        };
        let header = ImageHeader::new(a, b, c, d, x, y, e, a);
        let expected = format!(
            "magic: {}\nversion: {}\nkind: {}\nflags: {}\nid: {}\ndump: {}\nschema: {}\nchecksum: {}\n",
            header.magic(),
            header.version(),
            header.kind(),
            header.flags(),
            header.id(),
            header.dump(),
            header.schema(),
            header.checksum()
        );
        assert_eq!(said("ImageHeader", header.as_bytes()), expected);
        let header = ObjectHeader::new(a, b, x, c);
        let (ty, count, size, sum) = (header.object_type(), header.count(), header.size(), header.checksum());
        let expected = format!("type: {ty}\ncount: {count}\nsize: {size}\nchecksum: {sum}\n");
        assert_eq!(said("ObjectHeader", header.as_bytes()), expected);
        let end = End::new(x, y, z, a);
        let (directory, length, previous, images) = (end.directory(), end.length(), end.previous(), end.images());
        let expected = format!("directory: {directory}\nlength: {length}\nprevious: {previous}\nimages: {images}\n");
        assert_eq!(said("End", end.as_bytes()), expected);
        let row = DirectoryRow::new(a, x, y, z);
        let (kind, id, offset, size) = (row.kind(), row.id(), row.offset(), row.size());
        let expected = format!("kind: {kind}\nid: {id}\noffset: {offset}\nsize: {size}\n");
        assert_eq!(said("DirectoryRow", row.as_bytes()), expected);
        let row = BlockRow::new(x, y, z, a);
        let (first, pages, offset, data) = (row.first(), row.pages(), row.offset(), row.data());
        let expected = format!("first: {first}\npages: {pages}\noffset: {offset}\ndata: {data}\n");
        assert_eq!(said("BlockRow", row.as_bytes()), expected);
        let run = PageRun::new(x, y, z, a);
        let (vaddr, pages, page, flags) = (run.vaddr(), run.pages(), run.page(), run.flags());
        let expected = format!("vaddr: {vaddr}\npages: {pages}\npage: {page}\nflags: {flags}\n");
        assert_eq!(said("PageRun", run.as_bytes()), expected);
    }
    // one that lacks a field, or ends within one, is none
    let run = PageRun::new(1, 2, 3, 4);
    for length in [0, 9, 18, 27, 31] {
        assert!(protoc.decode("PageRun", "headers.proto", &run.as_bytes()[..length]).is_err(), "{length}");
    }
}

/// What stands before pages, with each codec, as the library reads it.
#[test]
fn blocks_field_by_field() {
    let Some(protoc) = protoc() else { return };
    let data = [0x41u8; 40];
    for (codec, sizes, sums) in [
        (Codec::Raw, &[][..], &[][..]),
        (Codec::Raw, &[], &[9, 8]),
        (Codec::Lz4, &[0, 40], &[1, u32::MAX]),
        (Codec::Zstd, &[39, 1], &[]),
    ] {
        for offset in [0, 1, 4095, 3900] {
            let mut bytes = Vec::new();
            let prefix = Prefix { first: 1 << 40, pages: 5, codec, unit: 4, sizes, sums, length: 40 };
            prefix.write(&mut bytes, offset, 64);
            bytes.extend(data);
            let block = PageBlock::read(&bytes[24..]).unwrap();
            let said = protoc.decode("PageBlock", "headers.proto", &bytes[24..]).unwrap();
            let mut expected = format!("first: {}\npages: {}\n", block.first, block.pages);
            expected += &format!("codec: {}\nunit: {}\n", block.codec.number(), block.unit);
            block.sizes.iter().for_each(|size| expected += &format!("sizes: {}\n", size.get()));
            block.sums.iter().for_each(|sum| expected += &format!("sums: {}\n", sum.get()));
            let lines = |text: &str| -> Vec<String> {
                text.lines().filter(|line| !line.starts_with("padding: ")).map(str::to_owned).collect()
            };
            expected += &format!("data: \"{}\"\n", String::from_utf8(block.data.to_vec()).unwrap());
            assert_eq!(lines(&said), lines(&expected));
        }
    }
}

/// Where a file is cut within a field, protoc refuses it too; where it is cut between two, only the library sees it.
#[test]
fn cut_files_are_none() {
    let Some(protoc) = protoc() else { return };
    let file = stream();
    let borders: Vec<usize> = proto2::fields(&file).unwrap().iter().map(|field| field.end).collect();
    let mut rng = Rng::new(3);
    let (mut refused, mut taken) = (0, 0);
    let places = (0..60).map(|_| rng.below(file.len())).chain(borders.iter().copied().step_by(19));
    for cut in places.filter(|cut| *cut > 0 && *cut < file.len()) {
        let is_border = borders.contains(&cut);
        assert_eq!(protoc.decode_raw(&file[..cut]).is_ok(), is_border, "cut at {cut}");
        if is_border {
            taken += 1;
        } else {
            refused += 1;
        }
        let whole = Bundle::from_bytes("cut", file[..cut].to_vec().into(), Limits::default()).and_then(|bundle| {
            bundle.images().try_for_each(|(kind, id)| bundle.records(kind, id).try_for_each(|r| r.map(drop)))
        });
        assert!(whole.is_err() || cut + 56 >= file.len(), "cut at {cut}");
    }
    assert!(refused > 20 && taken > 5, "{refused} {taken}");
}

/// protoc and the compiler of the build make the same descriptors of `proto/v2`, and protoc has nothing to say against it.
#[test]
fn the_schema_compiles_as_here() {
    let Some(protoc) = protoc() else { return };
    let decode = |bytes: &[u8]| {
        let set = prost_types::FileDescriptorSet::decode(bytes).unwrap();
        let mut files: Vec<_> = set.file.into_iter().filter(|file| file.package() == "icecore.v2").collect();
        for file in &mut files {
            // where things stand in the text
            file.source_code_info = None;
            // proto2 is what stands for nothing
            if file.syntax.as_deref() == Some("proto2") {
                file.syntax = None;
            }
            for message in &mut file.message_type {
                message.field.iter_mut().for_each(|field| field.json_name = None);
            }
            for extension in &mut file.extension {
                extension.json_name = None;
            }
        }
        files.sort_by(|a, b| a.name().cmp(b.name()));
        files
    };
    let theirs = decode(&protoc.descriptors().unwrap());
    let ours = decode(upgrade::schema::DESCRIPTORS);
    assert!(ours.len() > 20);
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(ours, theirs, "{}", ours.name());
    }
}
