//! The compiled schema against the fact tables, both ways: what `proto/v1` says, what the static tables made from it
//! say, and what CRIU 4.3's own descriptors say (`tests/tables`) is one and the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::tables::{self, Row};
use icecore::image::{FirstWord, KINDS, Kind, Shape, Status};
use icecore::object::flags::{self, Names};
use icecore::object::schema::{DESCRIPTORS, ENUMS, Field, Label, MESSAGES, Message, Show, Type};
use prost::Message as _;

/// The parts of descriptor.proto that matter here, with CRIU's field option: `prost_types` would drop the option.
mod descriptor {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Set {
        #[prost(message, repeated, tag = "1")]
        pub(crate) file: Vec<File>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct File {
        #[prost(string, tag = "1")]
        pub(crate) name: String,
        #[prost(string, tag = "2")]
        pub(crate) package: String,
        #[prost(message, repeated, tag = "4")]
        pub(crate) message: Vec<Message>,
        #[prost(message, repeated, tag = "5")]
        pub(crate) enums: Vec<Enum>,
        #[prost(string, tag = "12")]
        pub(crate) syntax: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Message {
        #[prost(string, tag = "1")]
        pub(crate) name: String,
        #[prost(message, repeated, tag = "2")]
        pub(crate) field: Vec<Field>,
        #[prost(message, repeated, tag = "3")]
        pub(crate) nested: Vec<Message>,
        #[prost(message, repeated, tag = "4")]
        pub(crate) enums: Vec<Enum>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Field {
        #[prost(string, tag = "1")]
        pub(crate) name: String,
        #[prost(int32, tag = "3")]
        pub(crate) number: i32,
        #[prost(uint32, tag = "4")]
        pub(crate) label: u32,
        #[prost(uint32, tag = "5")]
        pub(crate) ty: u32,
        #[prost(string, tag = "6")]
        pub(crate) type_name: String,
        #[prost(string, tag = "7")]
        pub(crate) default: String,
        #[prost(message, optional, tag = "8")]
        pub(crate) options: Option<Options>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Options {
        #[prost(bool, optional, tag = "2")]
        pub(crate) packed: Option<bool>,
        #[prost(message, optional, tag = "1018")]
        pub(crate) criu: Option<Criu>,
    }

    #[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
    pub(crate) struct Criu {
        #[prost(bool, tag = "1")]
        pub(crate) hex: bool,
        #[prost(bool, tag = "2")]
        pub(crate) ipadd: bool,
        #[prost(string, tag = "3")]
        pub(crate) flags: String,
        #[prost(bool, tag = "4")]
        pub(crate) dev: bool,
        #[prost(bool, tag = "5")]
        pub(crate) odev: bool,
        #[prost(string, tag = "6")]
        pub(crate) dict: String,
        #[prost(string, tag = "7")]
        pub(crate) conv: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Enum {
        #[prost(string, tag = "1")]
        pub(crate) name: String,
        #[prost(message, repeated, tag = "2")]
        pub(crate) value: Vec<Value>,
    }

    #[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
    pub(crate) struct Value {
        #[prost(string, tag = "1")]
        pub(crate) name: String,
        #[prost(int32, tag = "2")]
        pub(crate) number: i32,
    }
}

/// The message that defines the options themselves: in the table of CRIU's descriptors, but no message of an image.
const OPTIONS: &str = "CRIU_Opts";

const LABELS: [&str; 4] = ["", "optional", "required", "repeated"];
const TYPES: [&str; 19] = [
    "", "double", "float", "int64", "uint64", "int32", "fixed64", "fixed32", "bool", "string", "group", "message",
    "bytes", "uint32", "enum", "sfixed32", "sfixed64", "sint32", "sint64",
];

/// Everything the table says about one field, as text, in the table's own words.
fn expected(row: Row<'_>) -> String {
    // a string of CRIU's may be bytes here: names need not be UTF-8
    let ty = if row.get("type") == "string" { "bytes" } else { row.get("type") };
    let packed = if row.get("packed") == "yes" { "packed" } else { "" };
    let options: Vec<String> = ["hex", "ipadd", "flags", "dev", "odev", "dict", "conv"]
        .iter()
        .filter(|option| !row.get(option).is_empty())
        .map(|option| format!("{option}={}", row.get(option)))
        .collect();
    [
        row.get("number"),
        row.get("name"),
        row.get("label"),
        ty,
        row.get("type_name"),
        packed,
        row.get("default"),
        &options.join(" "),
    ]
    .join("|")
}

/// The same about a field of the compiled descriptors.
fn compiled(field: &descriptor::Field) -> String {
    let ty = TYPES[field.ty as usize];
    let ty = if ty == "string" { "bytes" } else { ty };
    let options = field.options.clone().unwrap_or_default();
    let packed = if options.packed == Some(true) { "packed" } else { "" };
    let criu = options.criu.unwrap_or_default();
    let mut shown = Vec::new();
    let mut option = |name: &str, value: &str| {
        if !value.is_empty() {
            shown.push(format!("{name}={value}"));
        }
    };
    let flag = |set: bool| if set { "1" } else { "" };
    option("hex", flag(criu.hex));
    option("ipadd", flag(criu.ipadd));
    option("flags", &criu.flags);
    option("dev", flag(criu.dev));
    option("odev", flag(criu.odev));
    option("dict", &criu.dict);
    option("conv", &criu.conv);
    [
        &field.number.to_string(),
        &field.name,
        LABELS[field.label as usize],
        ty,
        field.type_name.trim_start_matches(".icecore.v1."),
        packed,
        &field.default,
        &shown.join(" "),
    ]
    .join("|")
}

fn descriptors() -> Vec<descriptor::File> {
    let set = descriptor::Set::decode(DESCRIPTORS).unwrap();
    let files: Vec<_> = set.file.into_iter().filter(|file| file.package == "icecore.v1").collect();
    assert!(files.len() > 10, "found {} files", files.len());
    files
}

fn rows_by_message(table: &tables::Table) -> BTreeMap<&'static str, BTreeSet<String>> {
    let mut messages: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    for row in table.rows() {
        messages.entry(row.get("message")).or_default().insert(expected(row));
    }
    messages
}

#[test]
fn descriptors_are_those_of_criu() {
    let table = tables::fields();
    let mut want = rows_by_message(&table);
    for file in descriptors() {
        // proto2, which descriptors leave unsaid
        assert!(matches!(file.syntax.as_str(), "" | "proto2"), "{}", file.name);
        for message in &file.message {
            assert!(message.nested.is_empty(), "{}: nested messages would get other names", message.name);
            let found: BTreeSet<String> = message.field.iter().map(compiled).collect();
            let want = want.remove(message.name.as_str());
            let want = want.unwrap_or_else(|| panic!("{}: CRIU has no such message", message.name));
            let missing: Vec<_> = want.difference(&found).collect();
            let extra: Vec<_> = found.difference(&want).collect();
            assert!(
                missing.is_empty() && extra.is_empty(),
                "{} in {} differs from tests/tables/fields.tsv\n  the table has {missing:#?}\n  the file has {extra:#?}",
                message.name,
                file.name
            );
            assert_eq!(found.len(), message.field.len(), "{}: a field twice", message.name);
        }
    }
    assert!(want.is_empty(), "messages of CRIU that proto/v1 lacks: {:?}", want.keys());
}

#[test]
fn enums_are_those_of_criu() {
    let mut want: BTreeMap<&str, BTreeMap<&str, i32>> = BTreeMap::new();
    for row in tables::enums().rows() {
        want.entry(row.get("enum")).or_default().insert(row.get("value"), row.get("number").parse().unwrap());
    }
    let mut compiled = BTreeMap::new();
    for file in descriptors() {
        let nested = file.message.iter().flat_map(|message| {
            message.enums.iter().map(|inner| (format!("{}.{}", message.name, inner.name), inner.clone()))
        });
        let top = file.enums.iter().map(|inner| (inner.name.clone(), inner.clone()));
        for (name, inner) in nested.chain(top).collect::<Vec<_>>() {
            let values: BTreeMap<String, i32> = inner.value.into_iter().map(|v| (v.name, v.number)).collect();
            compiled.insert(name, values);
        }
    }
    let of_table: BTreeMap<String, BTreeMap<String, i32>> = want
        .iter()
        .map(|(name, values)| {
            ((*name).to_owned(), values.iter().map(|(value, number)| ((*value).to_owned(), *number)).collect())
        })
        .collect();
    assert_eq!(compiled, of_table, "proto/v1 and tests/tables/enums.tsv");

    let of_statics: BTreeMap<String, BTreeMap<String, i32>> = ENUMS
        .iter()
        .map(|e| (e.name.to_owned(), e.values.iter().map(|(number, name)| ((*name).to_owned(), *number)).collect()))
        .collect();
    assert_eq!(of_statics, of_table, "the static tables and tests/tables/enums.tsv");
    for e in ENUMS {
        for &(number, name) in e.values {
            assert_eq!(e.name_of(number), Some(name));
            assert_eq!(e.number_of(name.as_bytes()), Some(number));
        }
        assert_eq!(e.name_of(-7), None);
        assert_eq!(e.number_of(b"no such name"), None);
    }
}

/// The names crit 4.3 has for a `flags` option, or for a `dict` option and the field that carries it.
fn names(dictionary: &str, field: &str) -> Vec<(&'static str, u64)> {
    let mut names = Vec::new();
    for row in tables::dicts().rows() {
        let field = if row.get("kind") == "flags" { "" } else { field };
        if row.get("dictionary") != dictionary || row.get("field_name") != field {
            continue;
        }
        let value = row.get("value").parse().unwrap();
        assert_eq!(row.get("value_hex"), format!("{value:#x}"));
        match row.get("in_crit_4.3") {
            "no" => {}
            "yes" => names.push((row.get("name"), value)),
            name => names.push((name, value)),
        }
    }
    assert!(!names.is_empty(), "tests/tables/dicts.tsv has no {dictionary} {field}");
    names
}

#[test]
fn names_of_flags_are_those_of_crit() {
    let all: [(&str, &str, Names); 11] = [
        ("mmap.prot", "", flags::MMAP_PROT),
        ("mmap.flags", "", flags::MMAP_FLAGS),
        ("mmap.status", "", flags::MMAP_STATUS),
        ("rfile.flags", "", flags::RFILE_FLAGS),
        ("pmap.flags", "", flags::PMAP_FLAGS),
        ("seals.flags", "", flags::SEALS_FLAGS),
        ("gen", "task_state", flags::GEN_TASK_STATE),
        ("sk", "family", flags::SK_FAMILY),
        ("sk", "type", flags::SK_TYPE),
        ("sk", "state", flags::SK_STATE),
        ("sk", "proto", flags::SK_PROTO),
    ];
    for (dictionary, field, found) in all {
        assert_eq!(found, names(dictionary, field), "{dictionary} {field}");
    }
    let rows: BTreeSet<_> = tables::dicts().rows().map(|row| (row.get("dictionary"), row.get("field_name"))).collect();
    assert_eq!(rows, all.iter().map(|(dictionary, field, _)| (*dictionary, *field)).collect());
}

/// How the table says a field is shown, with crit's precedence.
fn show(row: Row<'_>) -> String {
    let field = row.get("name");
    if row.is("hex") {
        "Hex".to_owned()
    } else if row.is("dev") {
        (if row.is("odev") { "OldDevice" } else { "Device" }).to_owned()
    } else if !row.get("flags").is_empty() {
        format!("{:?}", names(row.get("flags"), ""))
    } else if !row.get("dict").is_empty() {
        format!("{:?}", names(row.get("dict"), field))
    } else if row.is("ipadd") {
        "Address".to_owned()
    } else if !row.get("conv").is_empty() {
        assert_eq!(row.get("conv"), "unix_name");
        "UnixName".to_owned()
    } else {
        "Plain".to_owned()
    }
}

fn shown(field: &Field) -> String {
    match field.show {
        Show::Flags(names) | Show::Dict(names) => format!("{names:?}"),
        other => format!("{other:?}"),
    }
}

fn type_of(field: &Field) -> (&'static str, &'static str) {
    match field.ty {
        Type::Int32 => ("int32", ""),
        Type::Int64 => ("int64", ""),
        Type::Uint32 => ("uint32", ""),
        Type::Uint64 => ("uint64", ""),
        Type::Sint32 => ("sint32", ""),
        Type::Sint64 => ("sint64", ""),
        Type::Fixed32 => ("fixed32", ""),
        Type::Fixed64 => ("fixed64", ""),
        Type::Bool => ("bool", ""),
        Type::String => ("string", ""),
        Type::Bytes => ("bytes", ""),
        Type::Enum(inner) => ("enum", inner.name),
        Type::Message(inner) => ("message", inner.name),
    }
}

#[test]
fn static_tables_are_those_of_criu() {
    let table = tables::fields();
    let mut rows: BTreeMap<(&str, u32), Row<'_>> = BTreeMap::new();
    for row in table.rows() {
        assert!(rows.insert((row.get("message"), row.number("number")), row).is_none());
    }
    for pair in MESSAGES.windows(2) {
        assert!(pair[0].name < pair[1].name, "{} and {}: sorted by name", pair[0].name, pair[1].name);
    }
    for message in MESSAGES {
        assert!(std::ptr::eq(Message::by_name(message.name).unwrap(), *message));
        assert!(message.fields.windows(2).all(|pair| pair[0].number < pair[1].number), "{}", message.name);
        for (position, field) in message.fields.iter().enumerate() {
            let name = format!("{}.{}", message.name, field.name);
            let row = rows.remove(&(message.name, field.number));
            let row = row.unwrap_or_else(|| panic!("{name}: CRIU has no such field"));
            assert_eq!(field.name, row.get("name"), "{name}");
            assert_eq!(field.key(), format!("\"{}\": ", field.name).as_bytes(), "{name}");
            assert_eq!(type_of(field), (row.get("type"), row.get("type_name")), "{name}");
            let label = match (row.get("label"), row.get("packed")) {
                ("required", _) => Label::Required,
                ("optional", _) => Label::Optional,
                (_, "yes") => Label::Packed,
                _ => Label::Repeated,
            };
            assert_eq!(field.label, label, "{name}");
            assert_eq!(shown(field), show(row), "{name}");
            assert_eq!(message.required >> position & 1 == 1, label == Label::Required, "{name}");
            for hint in [0, position, position + 1, 99] {
                assert_eq!(message.position(field.number, hint), Some(position), "{name}");
            }
            assert!(std::ptr::eq(message.field(field.name).unwrap(), field));
        }
        assert_eq!(message.position(99_999, 0), None);
        assert_eq!(message.missing(message.required).map(|field| field.name), None);
        let first = message.fields.iter().find(|field| field.label == Label::Required);
        assert_eq!(message.missing(0).map(|field| field.name), first.map(|field| field.name));
    }
    assert!(rows.is_empty(), "fields of CRIU that the static tables lack: {:?}", rows.keys());
    assert_eq!(Message::by_name("no such message").map(|message| message.name), None);
}

#[test]
fn messages_are_all_there() {
    let table = tables::messages();
    let mut reachable = BTreeSet::new();
    for row in table.rows() {
        let message = Message::by_name(row.get("message")).unwrap_or_else(|| panic!("{}", row.get("message")));
        assert_eq!(message.fields.len(), row.get("fields").parse::<usize>().unwrap(), "{}", message.name);
        for kind in row.get("root_of").split(',').filter(|kind| !kind.is_empty() && !kind.starts_with("side:")) {
            let kind = kind_name(kind);
            let row = KINDS.iter().find(|row| row.name == kind).unwrap_or_else(|| panic!("no kind {kind}"));
            // inside the payload, not in an entry of its own
            if message.name != "ipc_msg" {
                assert!(row.messages.contains(&message.name), "{kind} has {:?}, not {}", row.messages, message.name);
            }
        }
        reachable.insert(message.name);
    }
    assert_eq!(table.len(), MESSAGES.len());
    assert_eq!(reachable.len(), MESSAGES.len());
    assert!(reachable.contains(OPTIONS) || Message::by_name(OPTIONS).is_none());
}

/// The name icecore has for a kind of the tables.
fn kind_name(name: &str) -> String {
    match name {
        "amdgpu-renderD" => "AMDGPU_RENDER".to_owned(),
        name => name.replace(['(', '-'], "_").replace(')', "").to_uppercase(),
    }
}

#[test]
fn kinds_are_those_of_criu() {
    let table = tables::images();
    assert_eq!((table.len(), KINDS.len()), (92, 92));
    let mut names = BTreeSet::new();
    for row in table.rows() {
        let name = kind_name(row.get("kind"));
        let kind = KINDS.iter().find(|row| row.name == name);
        let kind = kind.unwrap_or_else(|| panic!("src/image/kinds.rs has no row for {name}: see its first lines"));
        assert!(names.insert(kind.name), "{name} twice");

        let magic = row.get("magic_hex");
        let magic = if magic == "-" { 0 } else { u32::from_str_radix(&magic[2..], 16).unwrap() };
        assert_eq!(kind.magic, magic, "{name}: magic");

        let template = row.get("template");
        let template = if template.starts_with('(') { "" } else { template };
        assert_eq!(kind.file, template, "{name}: file name");
        assert_eq!(kind.id.is_empty(), !template.contains('%'), "{name}: a number in the name has a meaning");

        let first_word = match row.get("first_word") {
            "none" => FirstWord::Absent,
            "common" => FirstWord::Common,
            "service" => FirstWord::Service,
            other => panic!("{name}: {other}"),
        };
        assert_eq!(kind.first_word, first_word, "{name}: first word");

        let cardinality = row.get("cardinality");
        let shape = match (row.get("raw"), cardinality) {
            ("raw", _) => Shape::Raw,
            ("old", _) => Shape::OldPages,
            ("plugin", "single") => Shape::Plugin,
            ("plugin", _) => Shape::PluginPages,
            (_, "head+array") => Shape::HeadArray,
            // a ghost file in chunks
            (_, other) if other.contains("head+array") => Shape::HeadArray,
            (_, other) if other.starts_with("array") => Shape::Array,
            (_, "single") => Shape::Single,
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(kind.shape, shape, "{name}: shape");

        let messages: Vec<&str> = row
            .get("entry_messages")
            .split(", then ")
            .map(|message| message.split(['*', ' ']).next().unwrap())
            .filter(|message| !message.is_empty() && *message != "-")
            .collect();
        assert_eq!(kind.messages, messages, "{name}: messages");

        // what the table says about bytes behind entries, in words, and the rule
        let words = row.get("extra").split([':', ' ']).next().unwrap();
        let rule = format!("{:?}", kind.payload);
        let want = match words {
            "pipe-data" | "sk-queue" => "Fields([2])",
            "tcp" => "Fields([1, 3])",
            "bpf" => "Fields([2, 3])",
            "ipc-shm" => "Array { count: 2, bits: 64, unit: 1, pad: 4, unless: 3 }",
            "ipc-sem" => "Array { count: 2, bits: 32, unit: 2, pad: 8, unless: 0 }",
            "ipc-msg" => "Messages { count: 3, length: 2, pad: 8 }",
            "ghost" => "Ghost { chunks: 9, length: 1 }",
            _ => "Nothing",
        };
        assert_eq!(rule, want, "{name}: payload");

        let status = match (row.get("status").split([' ', ':']).next().unwrap(), row.get("raw")) {
            (_, "plugin") => Status::Plugin,
            ("current", _) => Status::Current,
            ("historic" | "dropped", _) => Status::Historic,
            ("dead", _) => Status::Dead,
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(kind.status, status, "{name}: status");
    }
}

/// The field numbers in payload rules are written as numbers; here they get their names back.
#[test]
fn payload_rules_name_the_right_fields() {
    let number = |message: &str, field: &str| Message::by_name(message).unwrap().field(field).unwrap().number;
    assert_eq!(number("pipe_data_entry", "bytes"), 2);
    assert_eq!(number("sk_packet_entry", "length"), 2);
    assert_eq!((number("tcp_stream_entry", "inq_len"), number("tcp_stream_entry", "outq_len")), (1, 3));
    assert_eq!((number("bpfmap_data_entry", "keys_bytes"), number("bpfmap_data_entry", "values_bytes")), (2, 3));
    assert_eq!((number("ipc_shm_entry", "size"), number("ipc_shm_entry", "in_pagemaps")), (2, 3));
    assert_eq!(number("ipc_sem_entry", "nsems"), 2);
    assert_eq!((number("ipc_msg_entry", "qnum"), number("ipc_msg", "msize")), (3, 2));
    assert_eq!((number("ghost_file_entry", "chunks"), number("ghost_chunk_entry", "len")), (9, 1));
}

#[test]
fn magics_are_those_of_criu() {
    let mut files = 0;
    for row in tables::magics().rows() {
        let value = u32::from_str_radix(&row.get("value_hex")[2..], 16).unwrap();
        let name = row.get("name");
        let class = row.get("class");
        let kind = Kind::from_magic(value);
        if class == "file" {
            files += 1;
            let kind = kind.unwrap_or_else(|| panic!("{name}: no kind has this magic"));
            assert_eq!(kind.magic_name(), name);
            assert_eq!(Kind::from_magic_name(name), Some(kind));
            let bytes: Vec<String> = value.to_le_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(row.get("value_le_bytes"), bytes.join(" "), "{name}");
            let word = match kind.row().first_word {
                FirstWord::Absent => "none",
                FirstWord::Common => "common",
                FirstWord::Service => "service",
            };
            assert_eq!(row.get("first_word_v1.1"), word, "{name}");
        } else if let Some(original) = class.strip_prefix("alias of ") {
            assert_eq!(kind.unwrap().magic_name(), original, "{name}");
        } else {
            assert_eq!(kind, None, "{name} is no image's magic");
        }
    }
    assert_eq!(files, 68);
    assert_eq!(FirstWord::Common.value(), Some(0x5456_4319));
    assert_eq!(FirstWord::Service.value(), Some(0x5510_5940));
}
