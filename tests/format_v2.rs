//! docs/format-v2.md against the registry, the schema and the library: its tables, the bytes of its example; and the
//! structs that lie over headers and elements of arrays against `proto/v2/headers.proto`; and what a reader makes of
//! bundles that was written from the document alone. `ICECORE_BLESS=1` writes the tables and the example anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::cast_possible_truncation)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::proto2::{self, Wire};
use common::{corpus, oracle};
use icecore::Limits;
use icecore::base::report::{Cancel, Silent};
use icecore::image::KINDS;
use icecore::source::bundle::{Bundle, Writer};
use icecore::tool::convert::pages::{Compression, PageOptions};
use icecore::tool::convert::{Convert, Target, convert};
use icecore::wire::v2::array::{Array, NOWHERE, ZERO};
use icecore::wire::v2::block::Prefix;
use icecore::wire::v2::crc::crc32c;
use icecore::wire::v2::{
    BlockRow, Codec, DirectoryRow, End, ImageHeader, Item, ObjectHeader, PageBlock, PageRun, Walk, types,
};
use prost_types::field_descriptor_proto::Type;
use zerocopy::IntoBytes;

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/format-v2.md")
}

/// What stands in the document between the two comments that name a part.
fn part<'t>(text: &'t str, name: &str) -> &'t str {
    let mark = format!("<!-- {name} -->\n");
    let (_, rest) = text.split_once(&mark).unwrap_or_else(|| panic!("docs/format-v2.md lacks {mark}"));
    rest.split_once("<!-- end -->").unwrap_or_else(|| panic!("{name} has no end")).0
}

/// Holds a part against what it should be, or writes it.
fn hold(name: &str, expected: &str) {
    let text = std::fs::read_to_string(page()).unwrap();
    let found = part(&text, name);
    if found == expected {
        return;
    }
    assert!(
        std::env::var_os("ICECORE_BLESS").is_some(),
        "docs/format-v2.md: {name} is not\n\n{expected}\nICECORE_BLESS=1 writes it"
    );
    let mark = format!("<!-- {name} -->\n");
    std::fs::write(page(), text.replacen(&format!("{mark}{found}"), &format!("{mark}{expected}"), 1)).unwrap();
}

fn layout(value: &proto2::Value) -> String {
    value.options.get("layout").map_or("list".to_owned(), |layout| layout.to_lowercase())
}

/// First letters small: the rest of a row goes on from what stands before it.
fn sentence(text: &str) -> String {
    let text = text.trim_end_matches('.');
    let second_is_upper = text.chars().nth(1).is_none_or(char::is_uppercase);
    if second_is_upper {
        return text.to_owned();
    }
    text.chars().take(1).flat_map(char::to_lowercase).chain(text.chars().skip(1)).collect()
}

#[test]
#[allow(clippy::needless_pass_by_value)]
fn tables() {
    let said = proto2::said();
    let of = |message: &str| sentence(&said.get(message).unwrap_or_else(|| panic!("no message {message}")).0);
    let all = proto2::values("registry.proto", "Type");

    let mut low = String::from("| type | name | layout | message | what |\n|---|---|---|---|---|\n");
    let mut high = low.clone();
    for value in &all {
        let name = value.name.trim_start_matches("TYPE_");
        let message = value.options.get("message");
        let cell = message.map_or(String::new(), |message| format!("`{message}`"));
        let what = match name {
            "START" => "the beginning of a section; count is its number in its image".to_owned(),
            "STOP" => "the end of an image; count is the number of records before it".to_owned(),
            _ => message.map(|message| of(message)).unwrap_or_default(),
        };
        let what = if value.comment.is_empty() { what } else { format!("{} ({what})", value.comment) };
        let table = if value.number < 64 { &mut low } else { &mut high };
        writeln!(table, "| {} | {name} | {} | {cell} | {what} |", value.number, layout(value)).unwrap();
    }

    let mut kinds = String::from("| kind | name | file | id | objects |\n|---|---|---|---|---|\n");
    for value in proto2::values("registry.proto", "Kind") {
        let name = value.name.trim_start_matches("KIND_");
        let v1 = KINDS.iter().find(|row| row.kind as u32 == value.number);
        let (file, id) = v1.map_or(("", value.comment.as_str()), |row| (row.file, row.id));
        // V1 has many of them
        let id = if value.number == types::KIND_PAGES { "always 0" } else { id };
        let mut wanted: BTreeSet<&str> = v1.map_or(BTreeSet::new(), |row| row.messages.iter().copied().collect());
        let mut objects: BTreeSet<u32> = BTreeSet::new();
        if name == "FILES" {
            // the members of V1's union
            let members = icecore::object::schema::Message::by_name("file_entry").unwrap().fields;
            wanted.extend(members.iter().filter_map(|field| match field.ty {
                icecore::object::schema::Type::Message(inner) => Some(inner.name),
                _ => None,
            }));
        }
        for value in &all {
            let origins = value.options.get("message").and_then(|message| said.get(message)).map(|(_, v1)| v1);
            if origins.is_some_and(|origins| origins.iter().any(|origin| wanted.contains(origin.as_str()))) {
                objects.insert(value.number);
            }
        }
        let row = |range: Vec<u32>| -> String {
            let name = |number: &u32| {
                let value = all.iter().find(|value| value.number == *number).unwrap();
                value.name.trim_start_matches("TYPE_").to_owned()
            };
            match range.as_slice() {
                [] => String::new(),
                [one] => name(one),
                [one, other] => format!("{}, {}", name(one), name(other)),
                [first, .., last] => format!("{} ... {}", name(first), name(last)),
            }
        };
        // consecutive numbers as one range
        let mut ranges: Vec<Vec<u32>> = Vec::new();
        for object in objects {
            match ranges.last_mut() {
                Some(range) if range.last() == Some(&(object - 1)) => range.push(object),
                _ => ranges.push(vec![object]),
            }
        }
        let objects = match value.number {
            7 | 8 => "PAGE_RUN, NOTE".to_owned(),
            9 => "PAGE_BLOCK, SUMS".to_owned(),
            types::KIND_CHECKPOINT => "CHECKPOINT".to_owned(),
            types::KIND_DIRECTORY => "DIRECTORY, BLOCK_TABLE, NAMES".to_owned(),
            types::KIND_FILE => "NAME, BLOB".to_owned(),
            _ => ranges.into_iter().map(row).collect::<Vec<_>>().join(", "),
        };
        let objects = if objects.is_empty() { "BLOB".to_owned() } else { objects };
        let file = if file.is_empty() { String::new() } else { format!("`{file}`") };
        writeln!(kinds, "| {} | {name} | {file} | {id} | {objects} |", value.number).unwrap();
    }

    let mut classes = String::from("| class | name | what it is of |\n|---|---|---|\n");
    for value in proto2::values("ids.proto", "IdClass") {
        let what = sentence(&value.comment);
        writeln!(classes, "| {} | {} | {what} |", value.number, value.name).unwrap();
    }
    hold("types below 64", &low);
    hold("types from 64 on", &high);
    hold("kinds", &kinds);
    hold("id classes", &classes);
}

/// The messages of the container, field by field.
#[test]
fn messages_of_the_container() {
    let text = std::fs::read_to_string(page()).unwrap();
    let mut held = 0;
    for (file, folder) in
        [("headers.proto", proto2::text("headers.proto")), ("container.proto", proto2::text("container.proto"))]
    {
        for line in folder.lines() {
            let Some(name) = line.strip_prefix("message ").map(|line| line.trim_end_matches(" {")) else { continue };
            let mark = format!("fields of {name}");
            if !text.contains(&format!("<!-- {mark} -->")) {
                // told in a sentence
                assert!(
                    ["Pad", "Blob", "Names", "ImageName", "PageHash", "ImageHeader", "ObjectHeader"].contains(&name),
                    "{name}"
                );
                continue;
            }
            let mut table = format!("| {name} | type | what |\n|---|---|---|\n");
            for (number, field, ty, comment) in proto2::declared(file, name) {
                writeln!(table, "| {number} {field} | {ty} | {comment} |").unwrap();
            }
            hold(&mark, &table);
            held += 1;
        }
    }
    assert!(held >= 8, "{held}");
}

const DUMP: u64 = 0x0706_0504_0302_0100;
const PAGE: usize = 4096;

/// A page of the letter A as an LZ4 block: one literal, 4090 bytes copied from one before, five literals.
fn letters() -> Vec<u8> {
    let mut block = vec![0x1f, b'A', 1, 0];
    let mut more = 4090 - 4 - 15usize;
    while more >= 255 {
        block.push(255);
        more -= 255;
    }
    block.push(more as u8);
    block.extend([0x50, b'A', b'A', b'A', b'A', b'A']);
    block
}

/// The bundle of the example.
fn example() -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), DUMP);
    writer.image(types::KIND_CHECKPOINT, 0).unwrap();
    let head = [&[0x08, 0x80, 0x20, 0x10, 1, 0x18, 1, 0x22, 7][..], b"example"].concat();
    writer.record(types::CHECKPOINT, 1, &head).unwrap();
    writer.stop().unwrap();
    writer.image(10, 0).unwrap();
    writer.record(86, 2, &[0x0a, 7, 8, 7, 0x10, 0, 0x1a, 1, 7, 0x0a, 8, 8, 9, 0x10, 7, 0x1a, 2, 9, 10]).unwrap();
    writer.stop().unwrap();
    writer.image(7, 7).unwrap();
    let runs = [PageRun::new(0x40_0000, 1, 0, 4), PageRun::new(0x40_1000, 1, NOWHERE, 4 | ZERO)];
    writer.record(types::PAGE_RUN, 2, runs.as_bytes()).unwrap();
    writer.stop().unwrap();
    writer.image(types::KIND_PAGES, 0).unwrap();
    let data = letters();
    let (sizes, sums) = ([data.len() as u32], [crc32c(0, &data)]);
    let length = data.len() as u64;
    let prefix = Prefix { first: 0, pages: 1, codec: Codec::Lz4, unit: 1, sizes: &sizes, sums: &sums, length };
    writer.block(&prefix, 1, [&data[..]]).unwrap();
    writer.stop().unwrap();
    writer.finish(&[]).unwrap().0
}

/// The bytes, a line for each header, element or field, and what it is.
fn shown(bytes: &[u8]) -> String {
    let (messages, types) = (proto2::messages(), proto2::values("registry.proto", "Type"));
    let kinds = proto2::values("registry.proto", "Kind");
    let mut out = String::new();
    // at most 32 bytes, in groups of fields
    let mut line = |start: usize, end: usize, groups: &[usize], what: &str| {
        let mut at = start;
        if !what.is_empty() {
            writeln!(out, "    {at:03x}  {what}").unwrap();
        }
        let mut text = "          ".to_owned();
        for group in groups.iter().copied().chain([end]) {
            for byte in &bytes[at..group] {
                write!(text, " {byte:02x}").unwrap();
            }
            text.push(' ');
            at = group;
        }
        writeln!(out, "{}", text.trim_end()).unwrap();
    };
    for item in Walk::new(bytes, 0) {
        match item.unwrap() {
            Item::Image(at, header) => {
                let kind = kinds.iter().find(|kind| kind.number == header.kind()).unwrap();
                let name = kind.name.trim_start_matches("KIND_");
                let what = format!("ImageHeader: kind {} {name}, id {}", kind.number, header.id());
                line(at, at + 20, &[at + 5, at + 10, at + 15], &what);
                line(at + 20, at + 48, &[at + 29, at + 38, at + 43], "");
            }
            Item::Record(record) => {
                let (at, header) = (record.offset, record.header);
                let ty = types.iter().find(|ty| ty.number == header.object_type()).unwrap();
                let name = ty.name.trim_start_matches("TYPE_");
                let what = format!("ObjectHeader: {name}, count {}, size {}", header.count(), header.size());
                line(at, at + 24, &[at + 5, at + 10, at + 19], &what);
                let Some(message) = ty.options.get("message").and_then(|name| messages.get(name)) else { continue };
                let base = at + 24;
                let size = if layout(ty) == "array" { record.payload.len() / header.count() as usize } else { 0 };
                if size > 0 || proto2::is_fixed(message) {
                    for (index, element) in record
                        .payload
                        .chunks(size.max(1).max(record.payload.len() / header.count().max(1) as usize))
                        .enumerate()
                    {
                        let start = base + index * element.len();
                        let fields = proto2::fields(element).unwrap();
                        let groups: Vec<usize> = fields.iter().skip(1).map(|field| start + field.start).collect();
                        let names: Vec<String> = fields
                            .iter()
                            .map(|field| {
                                let value = match field.value {
                                    Wire::Fixed32(value) => format!("{value:#x}"),
                                    Wire::Fixed64(u64::MAX) => "2^64-1".to_owned(),
                                    Wire::Fixed64(value) => format!("{value:#x}"),
                                    other => panic!("{other:?}"),
                                };
                                format!("{} {value}", proto2::field(message, field.number).unwrap().name())
                            })
                            .collect();
                        line(start, start + element.len(), &groups, &format!("  {}", names.join(", ")));
                    }
                    continue;
                }
                for field in proto2::fields(record.payload).unwrap() {
                    let name = match layout(ty).as_str() {
                        "list" => format!("item: {}", message.name()),
                        _ => proto2::field(message, field.number).unwrap().name().to_owned(),
                    };
                    let value = match field.value {
                        Wire::Varint(value) => format!(" {value}"),
                        Wire::Fixed64(value) => format!(" {value}"),
                        Wire::Fixed32(value) => format!(" {value}"),
                        Wire::Bytes(value) if value.iter().all(u8::is_ascii_graphic) && value.len() < 20 => {
                            format!(" \"{}\"", String::from_utf8_lossy(value))
                        }
                        Wire::Bytes(value) => format!(", {} bytes", value.len()),
                    };
                    let mut start = base + field.start;
                    let mut what = format!("  {name}{value}");
                    while start < base + field.end {
                        let end = (start + 32).min(base + field.end);
                        line(start, end, &[], &what);
                        start = end;
                        what.clear();
                    }
                }
            }
        }
    }
    out
}

/// The bytes that the document shows, and that each line begins where it says.
fn read(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in text.lines().filter(|line| line.starts_with("    ")) {
        if line.starts_with("     ") {
            bytes.extend(line.split_whitespace().map(|word| u8::from_str_radix(word, 16).unwrap()));
        } else {
            let offset = line.split_whitespace().next().unwrap();
            assert_eq!(usize::from_str_radix(offset, 16), Ok(bytes.len()), "{line}");
        }
    }
    bytes
}

#[test]
fn the_example_is_a_bundle() {
    hold("example", &shown(&example()));
    let text = std::fs::read_to_string(page()).unwrap();
    let bytes = read(part(&text, "example"));
    assert!(bytes == example(), "the document shows other bytes than the library writes");

    let bundle = Bundle::from_bytes("example", bytes.clone().into(), Limits::default()).unwrap();
    assert_eq!(bundle.dump(), DUMP);
    assert!(bundle.warnings().is_empty());
    assert_eq!(bundle.images().collect::<Vec<_>>(), [(7, 7), (9, 0), (10, 0), (200, 0)]);
    let records = |kind, id| -> Vec<_> { bundle.records(kind, id).map(|record| record.unwrap().record).collect() };
    let [head] = records(200, 0)[..] else { panic!() };
    let head = proto2::fields(head.payload).unwrap();
    assert_eq!((head[0].value, head[3].value), (Wire::Varint(4096), Wire::Bytes(b"example")));
    let [processes] = records(10, 0)[..] else { panic!() };
    assert_eq!((processes.header.object_type(), processes.header.count()), (86, 2));

    let [runs] = records(7, 7)[..] else { panic!() };
    runs.check().unwrap();
    let runs = Array::<PageRun>::new(runs.header, runs.payload).unwrap();
    runs.check().unwrap();
    let runs = runs.as_slice().unwrap();
    assert_eq!((runs[0].vaddr(), runs[0].pages(), runs[0].page()), (0x40_0000, 1, 0));
    assert_eq!((runs[1].vaddr(), runs[1].pages(), runs[1].page()), (0x40_1000, 1, NOWHERE));

    let blocks = bundle.blocks().unwrap();
    let at = blocks.get(blocks.find(runs[0].page()).unwrap()).unwrap();
    let record = icecore::wire::v2::Record::read(&bytes, at.offset as usize).unwrap();
    record.check().unwrap();
    let block = PageBlock::read(record.payload).unwrap();
    assert_eq!((block.codec, block.pages, block.sizes[0].get() as usize), (Codec::Lz4, 1, block.data.len()));
    assert_eq!(at.data as usize, 24 + block.data_at);
    assert_eq!(block.sums[0].get(), crc32c(0, block.data));
    assert_eq!(lz4_flex::block::decompress(block.data, PAGE).unwrap(), [b'A'; PAGE]);
    assert_eq!(blocks.find(1), None);
}

/// A header that the document shows outside the example has the checksum that it says.
#[test]
fn the_checksums_that_are_worked_out() {
    let text = std::fs::read_to_string(page()).unwrap();
    let found: Vec<Vec<u8>> = text
        .lines()
        .filter(|line| line.starts_with("    5d "))
        .map(|line| line.split_whitespace().map(|word| u8::from_str_radix(word, 16).unwrap()).collect())
        .collect();
    let [start, stop] = &found[..] else { panic!("{} headers", found.len()) };
    assert_eq!(start, ObjectHeader::of(types::START, 0, 0, &[]).as_bytes());
    assert_eq!(stop, ObjectHeader::stop(1, crc32c(0, start)).as_bytes());
    for header in [start, stop] {
        let value = u32::from_le_bytes(*header.last_chunk().unwrap());
        assert!(text.contains(&format!("{value:08x}")), "the document does not say {value:08x}");
    }
    assert!(text.contains(&format!("{:08x}", crc32c(0, b"123456789"))));
    let magic = icecore::wire::v2::header::MAGIC;
    assert!(text.contains(&format!("{magic:#010x}").replace("0x", "0x")), "{magic:#x}");
}

/// Each of the wiki's complaints has a row.
#[test]
fn the_wish_list_is_whole() {
    let text = std::fs::read_to_string(page()).unwrap();
    let (_, list) = text.split_once("| no. | V1 | V2 |\n").unwrap();
    let (list, _) = list.split_once("\n\n").unwrap();
    let numbers: BTreeSet<u32> = list
        .lines()
        .skip(1)
        .flat_map(|line| line.split('|').nth(1).unwrap().split(','))
        .filter_map(|number| number.trim().parse().ok())
        .collect();
    assert!(numbers.into_iter().eq(1..=20));
}

/// The links within the document lead somewhere.
#[test]
fn links() {
    let text = std::fs::read_to_string(page()).unwrap();
    let anchors: BTreeSet<String> = text
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            title
                .chars()
                .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect()
        })
        .collect();
    let mut rest = text.as_str();
    while let Some((_, behind)) = rest.split_once("](") {
        let (target, behind) = behind.split_once(')').unwrap();
        rest = behind;
        match target.strip_prefix('#') {
            Some(anchor) => assert!(anchors.contains(anchor), "no section {anchor}"),
            None => assert!(page().parent().unwrap().join(target).exists(), "no {target}"),
        }
    }
}

/// A struct's bytes, made of values that tell where each field went, against its message in headers.proto.
fn agrees(name: &str, bytes: &[u8], values: &[(&str, u64)], size: usize) {
    let messages = proto2::messages();
    let message = &messages[name];
    assert_eq!(bytes.len(), size, "{name}");
    let found = proto2::fields(bytes).unwrap();
    let order: Vec<i32> = message.field.iter().map(prost_types::FieldDescriptorProto::number).collect();
    assert!(order.is_sorted(), "{name}");
    assert_eq!(found.len(), order.len(), "{name}");
    assert!(proto2::is_fixed(message), "{name}");
    let values: BTreeMap<&str, u64> = values.iter().copied().collect();
    for (field, declared) in found.iter().zip(&message.field) {
        assert_eq!(i64::from(field.number), i64::from(declared.number()), "{name}");
        let (ty, value) = match field.value {
            Wire::Fixed32(value) => (Type::Fixed32, u64::from(value)),
            Wire::Fixed64(value) => (Type::Fixed64, value),
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(ty, declared.r#type(), "{name}.{}", declared.name());
        assert_eq!(value, values[declared.name()], "{name}.{}", declared.name());
        // the key takes one byte
        let width = if ty == Type::Fixed32 { 4 } else { 8 };
        assert_eq!(field.end - field.start, 1 + width, "{name}.{}", declared.name());
    }
}

/// Makes a struct with a value of its own in each field, and holds bytes and getters against the message.
macro_rules! agree {
    ($name:ident [$($field:ident as $getter:ident),*]) => {{
        let mut next = 0u64;
        $(next += 1; let $field = (next * 0x0101_0101) as _;)*
        let this = $name::new($($field),*);
        assert!(this.has_tags());
        let values = [$((stringify!($field).trim_start_matches("r#"), u64::from(this.$getter()))),*];
        let given: Vec<u64> = (1..=next).map(|n| n * 0x0101_0101).collect();
        assert_eq!(values.map(|(_, value)| value).to_vec(), given, stringify!($name));
        agrees(stringify!($name), this.as_bytes(), &values, size_of::<$name>());
        // no other key is taken
        for at in proto2::fields(this.as_bytes()).unwrap().iter().map(|field| field.start) {
            for bit in 0..8 {
                let mut bytes = this.as_bytes().to_vec();
                bytes[at] ^= 1 << bit;
                let changed = <$name as zerocopy::FromBytes>::read_from_bytes(&bytes).unwrap();
                assert!(!changed.has_tags(), "{} {at} {bit}", stringify!($name));
            }
        }
        1
    }};
}

#[test]
fn structs_agree_with_the_schema() {
    let mut structs = 0;
    structs += agree!(ImageHeader [magic as magic, version as version, kind as kind, flags as flags, id as id, dump as dump,
        schema as schema, checksum as checksum]);
    structs += agree!(ObjectHeader [r#type as object_type, count as count, size as size, checksum as checksum]);
    structs += agree!(End [directory as directory, length as length, previous as previous, images as images]);
    structs += agree!(DirectoryRow [kind as kind, id as id, offset as offset, size as size]);
    structs += agree!(BlockRow [first as first, pages as pages, offset as offset, data as data]);
    structs += agree!(PageRun [vaddr as vaddr, pages as pages, page as page, flags as flags]);
    // PageHash is reserved and has no struct yet
    let fixed = proto2::messages().values().filter(|message| proto2::is_fixed(message)).count();
    assert_eq!(structs + 1, fixed);
}

/// What is written in front of pages has the fields that the schema has, in its order.
#[test]
fn blocks_agree_with_the_schema() {
    let messages = proto2::messages();
    let message = &messages["PageBlock"];
    let prefix = Prefix { first: 1, pages: 2, codec: Codec::Zstd, unit: 1, sizes: &[3, 4], sums: &[5, 6], length: 7 };
    let mut bytes = Vec::new();
    prefix.write(&mut bytes, 3, 4096);
    bytes.extend([9; 7]);
    let fields = proto2::fields(&bytes[24..]).unwrap();
    let found: Vec<u32> = fields.iter().map(|field| field.number).collect();
    let declared: Vec<u32> = message.field.iter().map(|field| field.number().cast_unsigned()).collect();
    assert_eq!(found, declared);
    for (field, declared) in fields.iter().zip(&message.field) {
        let fits = match (field.value, declared.r#type()) {
            (Wire::Fixed64(_), Type::Fixed64) | (Wire::Bytes(_), Type::Bytes) => true,
            (Wire::Fixed32(_), Type::Fixed32) => {
                declared.label() != prost_types::field_descriptor_proto::Label::Repeated
            }
            (Wire::Bytes(_), Type::Fixed32) => declared.options.as_ref().is_some_and(|options| options.packed()),
            _ => false,
        };
        assert!(fits, "{}", declared.name());
    }
}

/// A reader that was written from the document alone, in another language: it finds nothing wrong in what the program
/// writes, and the pagemaps and pages files that it makes of it are those of the dump.
#[test]
fn another_reader() {
    let works = Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success());
    if !works {
        return oracle::skipped("no python3: install it");
    }
    let mut dumps = corpus::dumps(&corpus::data());
    let many = corpus::large().map(|root| corpus::dumps(&root)).unwrap_or_default();
    dumps.extend(many.iter().step_by(many.len().div_ceil(SAMPLE).max(1)).cloned());
    let folder = tempfile::tempdir().unwrap();
    let mut compared = 0;
    for dump in &dumps {
        for compression in [Compression::None, Compression::Lz4] {
            let bundle = folder.path().join("it.criu");
            let pages = PageOptions { compression, ..PageOptions::default() };
            bundle_of(dump, &bundle, pages);
            let is_increment = dump.join("parent").exists();
            if std::fs::metadata(&bundle).unwrap().len() <= LARGEST && !is_increment {
                compared += read_by_another(dump, &[&bundle]);
            }
        }
    }
    assert!(compared > 100, "{compared}");
    // a chain of dumps that have little in common: pages are shared all the same
    let chain = ["python", "container", "tree"].map(|name| folder.path().join(name).with_extension("criu"));
    let [base, middle, last] = &chain;
    for (bundle, parent) in [(base, None), (middle, Some(base)), (last, Some(middle))] {
        let dump = corpus::data().join(bundle.file_stem().unwrap());
        bundle_of(&dump, bundle, PageOptions { parent: parent.cloned(), ..PageOptions::default() });
    }
    read_by_another(&corpus::data().join("tree"), &[last, middle, base]);
    read_by_another(&corpus::data().join("container"), &[middle, base]);
}

fn bundle_of(dump: &Path, bundle: &Path, pages: PageOptions) {
    let options = Convert { pages, ..Convert::default() };
    let made = convert(dump, Target::Bundle(bundle), &options, (&Silent, &Cancel::default()));
    made.unwrap_or_else(|error| panic!("{}: {error}", dump.display()));
}

/// How many files of the dump the other reader makes of a bundle and its ancestors.
fn read_by_another(dump: &Path, bundles: &[&PathBuf]) -> usize {
    let made = tempfile::tempdir().unwrap();
    let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/read_v2.py");
    let output = Command::new("python3").arg(reader).arg(made.path()).args(bundles).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}: {told}", dump.display());
    let mut compared = 0;
    for entry in std::fs::read_dir(made.path()).unwrap() {
        let name = entry.unwrap().file_name();
        let content = |folder: &Path| std::fs::read(folder.join(&name)).unwrap();
        assert!(content(made.path()) == content(dump), "{}: {}", dump.display(), name.display());
        compared += 1;
    }
    compared
}

/// So many dumps of the large corpus, and bundles of at most so many bytes: the other reader is a slow one.
const SAMPLE: usize = 25;
const LARGEST: u64 = 3 << 20;
