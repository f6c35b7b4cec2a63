//! The registry of version 2 against what it numbers: kinds of images, messages, what the wire layer knows of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};

use icecore::image::{KINDS, Shape};
use icecore::object::schema;
use icecore::object::upgrade::schema::{DESCRIPTORS, KINDS as KINDS_V2, TYPES};
use icecore::object::upgrade::{KindRow, Layout, Message, Type};
use icecore::wire::v2::types;
use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type as FieldType};
use prost_types::{DescriptorProto, FileDescriptorSet};

fn files() -> Vec<prost_types::FileDescriptorProto> {
    let set = FileDescriptorSet::decode(DESCRIPTORS).unwrap();
    set.file.into_iter().filter(|file| file.package() == "icecore.v2").collect()
}

fn messages() -> BTreeMap<String, (String, DescriptorProto)> {
    files()
        .into_iter()
        .flat_map(|file| {
            let name = file.name().to_owned();
            file.message_type.into_iter().map(move |message| (message.name().to_owned(), (name.clone(), message)))
        })
        .collect()
}

#[test]
fn kinds_have_the_numbers_of_version_1() {
    for row in KINDS {
        let v2 = KindRow::by_number(row.kind as u32).unwrap_or_else(|| panic!("{} has no number", row.name));
        assert_eq!(v2.v1, row.name);
    }
    let own: Vec<_> = KINDS_V2.iter().filter(|row| row.v1.is_empty()).map(|row| (row.number, row.name)).collect();
    assert_eq!(
        own,
        [(types::KIND_CHECKPOINT, "CHECKPOINT"), (types::KIND_DIRECTORY, "DIRECTORY"), (types::KIND_FILE, "FILE")]
    );
    assert_eq!(KINDS_V2.len(), KINDS.len() + own.len());
    assert!(KINDS_V2.is_sorted_by_key(|row| row.number));
    let names: BTreeSet<_> = KINDS_V2.iter().map(|row| row.file_name(7)).collect();
    assert_eq!(names.len(), KINDS_V2.len(), "two kinds with one file name");
    assert_eq!(KindRow::by_number(30).unwrap().file_name(7), "ipc-queues-7.criu");
    assert_eq!(KindRow::by_number(10).unwrap().file_name(0), "processes.criu");
}

#[test]
fn types_have_the_numbers_of_the_wire() {
    let wire = [
        (types::PAD, "PAD", Layout::Single),
        (types::START, "START", Layout::Empty),
        (types::STOP, "STOP", Layout::Empty),
        (types::NAME, "NAME", Layout::Single),
        (types::DIRECTORY, "DIRECTORY", Layout::Array),
        (types::END, "END", Layout::Single),
        (types::PAGE_BLOCK, "PAGE_BLOCK", Layout::Single),
        (types::BLOCK_TABLE, "BLOCK_TABLE", Layout::Array),
        (types::SUMS, "SUMS", Layout::Single),
        (types::NOTE, "NOTE", Layout::Single),
        (types::V1_IMAGE, "V1_IMAGE", Layout::Single),
        (types::BLOB, "BLOB", Layout::Single),
        (types::CHECKPOINT, "CHECKPOINT", Layout::Single),
        (types::NAMES, "NAMES", Layout::List),
        (types::PAGE_RUN, "PAGE_RUN", Layout::Array),
    ];
    for (number, name, layout) in wire {
        let row = Type::by_number(number).unwrap();
        assert_eq!((row.name, row.layout), (name, layout));
    }
    assert!(TYPES.is_sorted_by_key(|row| row.number));
    assert!(TYPES.iter().filter(|row| row.number >= 80).all(|row| row.layout == Layout::List && row.message.is_some()));
    let mut seen = BTreeSet::new();
    for row in TYPES.iter().filter(|row| row.layout != Layout::Empty) {
        assert!(seen.insert(row.message_name), "{} has two types", row.message_name);
        assert!(messages().contains_key(row.message_name), "{} is no message", row.message_name);
    }
}

/// Whatever an image holds is an object with a type.
#[test]
fn every_entry_has_a_type() {
    let union = schema::Message::by_name("file_entry").unwrap();
    let members = union.fields.iter().filter_map(|field| match field.ty {
        schema::Type::Message(inner) => Some(inner.name),
        _ => None,
    });
    let entries = KINDS
        .iter()
        .filter(|row| row.shape != Shape::HeadArray || row.messages[0] != "pagemap_head")
        .flat_map(|row| row.messages.iter().copied());
    for name in entries.chain(members) {
        let message = Message::by_v1(name).unwrap_or_else(|| panic!("{name} becomes nothing"));
        assert!(Type::of(message).is_some(), "{} has no type", message.name);
    }
}

/// proto3 with presence, fields ascending, the two that keep V1's bytes in their places.
#[test]
fn messages_are_made_alike() {
    for file in files() {
        let is_fixed =
            ["v2/headers.proto", "v2/options.proto", "v2/registry.proto", "v2/ids.proto"].contains(&file.name());
        assert_eq!(file.syntax() == "proto3", !is_fixed, "{}", file.name());
    }
    for (name, (file, message)) in messages() {
        if ["v2/options.proto", "v2/headers.proto"].contains(&file.as_str()) {
            continue;
        }
        assert!(message.field.is_sorted_by_key(|field| field.number()), "{name}");
        for field in &message.field {
            let is_plain = field.label() == Label::Optional && field.r#type() != FieldType::Message;
            assert_eq!(is_plain, field.proto3_optional(), "{name}.{}: optional, so that presence shows", field.name());
            assert!(field.r#type() != FieldType::String, "{name}.{}: names need not be UTF-8", field.name());
        }
        if file != "v2/container.proto" {
            let number = |wanted| message.field.iter().find(|field| field.name() == wanted).map(|field| field.number());
            assert_eq!((number("v1_rest"), number("v1_raw")), (Some(15), Some(16)), "{name}");
            assert!(Message::by_name(&name).is_some(), "{name}: made from nothing");
        }
    }
}

/// Headers and elements of arrays: all fields required and fixed, so that all have one size.
#[test]
fn fixed_messages_have_their_size() {
    let sizes = [
        ("ImageHeader", 48),
        ("ObjectHeader", 24),
        ("End", 32),
        ("DirectoryRow", 32),
        ("BlockRow", 32),
        ("PageRun", 32),
        ("PageHash", 18),
    ];
    let messages = messages();
    for (name, size) in sizes {
        let (_, message) = &messages[name];
        let bytes: u32 = message
            .field
            .iter()
            .map(|field| {
                assert_eq!(field.label(), Label::Required, "{name}");
                match field.r#type() {
                    FieldType::Fixed32 => 5,
                    FieldType::Fixed64 => 9,
                    other => panic!("{name}: {other:?}"),
                }
            })
            .sum();
        assert_eq!(bytes, size, "{name}");
    }
}
