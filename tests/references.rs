//! Numbers that lead from image to image: the options in `proto/v1`, held against the table of all fields that are
//! ids; and the walk, held against the same facts found in JSON.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::collections::BTreeSet;

use common::tables;
use icecore::Limits;
use icecore::object::references::{Class, OfType, Role};
use icecore::object::schema::{MESSAGES, Message};

/// The class of the options for a class of the table; `None` where no option is wanted, because what the number leads
/// to depends on more than the field.
fn wanted(class: &str) -> Option<Class> {
    match class {
        "criu cgroup set id" => Some(Class::CgroupSet),
        "criu file id (one counter for all open files)" | "reference to a criu file id" => Some(Class::File),
        "criu memfd inode id" => Some(Class::MemfdInode),
        "criu namespace id" => Some(Class::Namespace),
        "criu tty id" => Some(Class::Tty),
        // shared by those who have the same number; part of the name of an image
        "criu kcmp object id" | "criu pages id" => None,
        // what it is another field says
        "file id / shmem inode / sysv id (by vma status)" | "ghost id, reg file id or pid (by remap_type)" => None,
        // of one table, or of one namespace
        "fd number" | "index in seccomp.img" | "kernel mount id / peer group" => None,
        "kernel inode number" | "kernel inode number cut to 32 bits" => None,
        "owner id, always 0 when nested (since v1.4)" | "plugin ids" => None,
        "kernel object number" | "pid / tid / session" => None,
        other => panic!("the class {other} is new: say what it is to be"),
    }
}

/// Fields with options beyond that: their classes in the table are too wide.
const MORE: [(&str, &str, Class); 6] = [
    ("bpfmap_data_entry", "map_id", Class::BpfMap),
    ("bpfmap_file_entry", "map_id", Class::BpfMap),
    ("file_lock_entry", "pid", Class::Task),
    ("posix_timer_entry", "notify_thread_id", Class::Thread),
    ("pstree_entry", "pid", Class::Task),
    ("pstree_entry", "threads", Class::Thread),
];

#[test]
fn options_are_those_of_the_table() {
    let mut expected = BTreeSet::new();
    let table = tables::ids();
    assert!(table.len() > 140);
    for row in table.rows() {
        let (message, field) = (row.get("message"), row.get("field"));
        let known = Message::by_name(message).and_then(|message| message.field(field));
        let known = known.unwrap_or_else(|| panic!("{message}.{field} is in the table and not in the schema"));
        assert_eq!(known.number, row.number("number"), "{message}.{field}");
        if let Some(class) = wanted(row.get("class")) {
            expected.insert((message, field, class));
        }
    }
    expected.extend(MORE);
    let found: BTreeSet<_> = MESSAGES
        .iter()
        .flat_map(|message| message.fields.iter().map(move |field| (message, field)))
        .filter_map(|(message, field)| Some((message.name, field.name, field.link?.class)))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn what_is_referred_to_is_defined_somewhere() {
    let links = || MESSAGES.iter().flat_map(|message| message.fields).filter_map(|field| field.link);
    for class in Class::ALL {
        assert!(links().any(|link| link.class == class && link.role == Role::Refers), "{class:?}");
        assert!(links().any(|link| link.class == class && link.role != Role::Refers), "{class:?}");
        assert!(class == Class::File || links().all(|link| link.class != class || link.of_type == OfType::Any));
    }
    // each type of file has a message that defines its numbers
    let member =
        |field: &&icecore::object::schema::Field| matches!(field.ty, icecore::object::schema::Type::Message(_));
    let members = Message::by_name("file_entry").unwrap().fields.iter().filter(member).count();
    let types: BTreeSet<u32> = links()
        .filter_map(|link| match (link.role, link.of_type) {
            (Role::Defines, OfType::Is(of_type)) => Some(of_type),
            _ => None,
        })
        .collect();
    assert_eq!(types.len(), members);
}

#[test]
fn messages_know_whether_there_is_something_in_them() {
    for message in MESSAGES {
        let has = |field: &icecore::object::schema::Field| match field.ty {
            icecore::object::schema::Type::Message(inner) => inner.has_links,
            _ => field.link.is_some(),
        };
        assert_eq!(message.has_links, message.fields.iter().any(has), "{}", message.name);
    }
    let has = |name: &str| Message::by_name(name).unwrap().has_links;
    assert!(has("file_entry") && has("core_entry") && !has("pagemap_entry") && !has("vma_entry"));
}

/// Every reference of an image, as `entry path class type number`.
fn walked(name: &str) -> Vec<String> {
    let path = common::corpus::data().join("tree").join(name);
    let image = icecore::Image::open(name, std::fs::read(path).unwrap().into(), Limits::default()).unwrap();
    let mut found = Vec::new();
    for entry in &image {
        let entry = entry.unwrap();
        entry.references(&mut |reference, path| {
            let of_type = reference.of_type.map(|of_type| format!(":{of_type}")).unwrap_or_default();
            found.push(format!("{} {path} {}{of_type} {}", entry.index(), reference.class.name(), reference.number));
        });
    }
    found
}

#[test]
fn the_walk_finds_what_json_shows() {
    let plant = common::plant::Plant::of_data("tree");
    let document = plant.json("pstree.img");
    let mut expected = Vec::new();
    for (at, entry) in document["entries"].as_array().unwrap().iter().enumerate() {
        expected.push(format!("{at} pid task {}", entry["pid"]));
        for thread in entry["threads"].as_array().unwrap() {
            expected.push(format!("{at} threads thread {thread}"));
        }
    }
    assert_eq!(walked("pstree.img"), expected);

    let document = plant.json("files.img");
    let of = |kind: &str| {
        let entries = document["entries"].as_array().unwrap().iter().enumerate();
        entries.filter(|(_, entry)| entry["type"] == kind).collect::<Vec<_>>()
    };
    let found = walked("files.img");
    for (at, entry) in of("FIFO") {
        for line in [
            format!("{at} id file:3 {}", entry["id"]),
            format!("{at} fifo.id file:3 {}", entry["id"]),
            format!("{at} fifo.regf_id file:1 {}", entry["fifo"]["regf_id"]),
        ] {
            assert!(found.contains(&line), "{line}");
        }
    }
    assert!(!of("FIFO").is_empty() && !of("MEMFD").is_empty());
    for (at, entry) in of("MEMFD") {
        let line = format!("{at} memfd.inode_id memfd_inode {}", entry["memfd"]["inode_id"]);
        assert!(found.contains(&line), "{line}");
    }
}
