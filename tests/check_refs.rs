//! `check`: framing, required fields, references, tasks. Each rule sees the defect that is planted for it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod common;

use common::plant::Plant;
use icecore::tool::check::Severity;

#[test]
fn an_untouched_copy_is_whole() {
    for name in ["tree", "container", "python"] {
        let plant = Plant::of_data(name);
        plant.check().assert_whole();
        plant.check_v2().assert_whole();
    }
}

#[test]
fn an_entry_that_is_cut() {
    let plant = Plant::of_data("tree");
    let name = "core-104.img";
    plant.resize(name, plant.size(name) - 1);
    let found = plant.expect(Severity::Error, "framing", name, Some(0));
    assert!(found.what.contains("to the end of the file"), "{found:?}");
}

#[test]
fn bytes_behind_the_last_entry() {
    let plant = Plant::of_data("tree");
    let entries = plant.entries("files.img", |entries| entries.len() as u64);
    let end = plant.size("files.img");
    plant.bytes("files.img", |bytes| bytes.extend([7, 0]));
    let found = plant.expect(Severity::Error, "framing", "files.img", Some(entries));
    assert_eq!(found.offset, Some(end));
}

#[test]
fn a_required_field_that_is_missing() {
    let plant = Plant::of_data("tree");
    plant.message("pstree.img", 1, |message| drop(message.drain(..2)));
    let found = plant.expect(Severity::Error, "entry", "pstree.img", Some(1));
    assert_eq!(found.field.as_deref(), Some("pid"));
}

#[test]
fn a_value_of_the_wrong_wire_type() {
    let plant = Plant::of_data("tree");
    // field 1, four bytes, where a varint belongs
    plant.message("files.img", 3, |message| message.splice(..0, [0x0d, 0, 0, 0, 0]).for_each(drop));
    let found = plant.expect(Severity::Error, "entry", "files.img", Some(3));
    assert_eq!(found.field.as_deref(), Some("type"));
}

#[test]
fn every_broken_entry_is_told_up_to_a_hundred() {
    let plant = Plant::of_data("tree");
    let all = plant.entries("files.img", |entries| {
        let one = entries.clone();
        (0..20).for_each(|_| entries.extend(one.clone()));
        entries.len()
    });
    assert!(all > 2000);
    // the type of each has no varint behind it any more
    let bytes = std::fs::read(plant.image("files.img")).unwrap();
    let mut broken = bytes[..8].to_vec();
    for _ in 0..all {
        broken.extend([1, 0, 0, 0, 0x08]);
    }
    plant.write("files.img", &broken);
    let found = plant.check();
    assert_eq!(found.of("entry").count(), 101);
    let last = found.of("entry").last().unwrap();
    assert_eq!((last.severity, last.entry), (Severity::Error, None));
    assert!(found.checked.errors > 1000, "{:?}", found.checked);
    // what files there were nobody knows: nothing is said to be missing
    assert_eq!(found.of("reference").count(), 0, "{}", found.text());
}

#[test]
fn a_magic_of_another_kind() {
    let plant = Plant::of_data("tree");
    let fs = std::fs::read(plant.image("mm-104.img")).unwrap();
    plant.write("fs-104.img", &fs);
    let found = plant.expect(Severity::Error, "magic", "fs-104.img", None);
    assert!(found.what.contains("FS") && found.what.contains("MM"), "{found:?}");
}

#[test]
fn a_first_word_that_does_not_fit_the_version() {
    let plant = Plant::of_data("tree");
    plant.bytes("fs-104.img", |bytes| drop(bytes.drain(..4)));
    plant.expect(Severity::Error, "first-word", "fs-104.img", None);

    let plant = Plant::of_data("tree");
    plant.entries("inventory.img", |entries| entries[0]["img_version"] = 1.into());
    let found = plant.check();
    found.expect(Severity::Error, "first-word", "fs-104.img", None);
    assert_eq!(found.of("first-word").filter(|finding| finding.image.as_deref() == Some("inventory.img")).count(), 0);

    let plant = Plant::of_data("tree");
    plant.bytes("inventory.img", |bytes| bytes.splice(..0, [0x19, 0x43, 0x56, 0x54]).for_each(drop));
    plant.expect(Severity::Error, "first-word", "inventory.img", None);

    let plant = Plant::of_data("tree");
    plant.bytes("fs-104.img", |bytes| bytes.splice(..4, [0x40, 0x59, 0x10, 0x55]).for_each(drop));
    plant.expect(Severity::Warning, "first-word", "fs-104.img", None);
}

#[test]
fn an_image_without_bytes_and_one_without_entries() {
    let plant = Plant::of_data("tree");
    plant.resize("fs-104.img", 0);
    plant.resize("mm-104.img", 8);
    plant.write("stats-dump", &[]);
    let found = plant.check();
    found.expect(Severity::Error, "image-empty", "fs-104.img", None);
    found.expect(Severity::Error, "entry-missing", "mm-104.img", None);
    // nobody reads it when restoring
    found.expect(Severity::Warning, "image-empty", "stats-dump", None);
}

#[test]
fn an_entry_more_than_criu_reads() {
    let plant = Plant::of_data("tree");
    plant.entries("fs-104.img", |entries| entries.push(entries[0].clone()));
    plant.expect(Severity::Warning, "entry-extra", "fs-104.img", Some(1));
}

#[test]
fn what_is_odd_about_a_sound_entry() {
    let plant = Plant::of_data("tree");
    // an unknown field twice, one of them inside; type again, with a value that has no name; a long number
    plant.message("pstree.img", 2, |message| message.extend([0xf8, 0x07, 1]));
    plant.message("pstree.img", 3, |message| message.extend([0xf8, 0x07, 1]));
    plant.message("fdinfo-10.img", 1, |message| message.extend([0x18, 0xe7, 0x07]));
    plant.message("fs-104.img", 0, |message| message.extend([0x18, 0x80, 0x80, 0x80, 0x80, 0x20]));
    let found = plant.check();
    let unknown = found.expect(Severity::Note, "field-unknown", "pstree.img", Some(2));
    assert_eq!(unknown.field.as_deref(), Some("127"));
    assert!(unknown.what.ends_with("and 1 more"), "{unknown:?}");
    let value = found.expect(Severity::Warning, "value-unknown", "fdinfo-10.img", Some(1));
    assert!(value.field.as_deref() == Some("type") && value.what.contains("999"), "{value:?}");
    found.expect(Severity::Warning, "field-again", "fdinfo-10.img", Some(1));
    let cut = found.expect(Severity::Warning, "number-cut", "fs-104.img", Some(0));
    assert!(cut.field.as_deref() == Some("umask") && cut.what.contains("0x200000000"), "{cut:?}");
}

#[test]
fn files_that_are_no_images() {
    let plant = Plant::of_data("tree");
    for name in [".pages-1.img.crit-x1y2", ".files.img.crit-rollback-abc", ".mm-104.img.4711.0.tmp"] {
        plant.write(name, b"");
    }
    for name in ["mm-104.img.bak", "novel-7.img", "README", "more", "dump.log", "descriptors.json"] {
        plant.write(name, b"");
    }
    let found = plant.check();
    assert_eq!(found.of("leftover").count(), 3, "{}", found.text());
    found.expect(Severity::Warning, "leftover", ".mm-104.img.4711.0.tmp", None);
    found.expect(Severity::Note, "backup", "mm-104.img.bak", None);
    found.expect(Severity::Note, "image-unknown", "novel-7.img", None);
    let others = found.expect(Severity::Note, "file-unknown", "-", None);
    assert!(others.what.starts_with("2 files"), "{others:?}");
    plant.write(".icecore-journal", b"");
    plant.expect(Severity::Error, "change-unfinished", ".icecore-journal", None);
}

#[test]
fn raw_images() {
    let plant = Plant::of_data("container");
    plant.bytes("ifaddr-10.img", |bytes| bytes[0] ^= 1);
    plant.bytes("route-10.img", |bytes| drop(bytes.drain(bytes.len() - 3..)));
    plant.bytes("netns-ct-10.img", |bytes| bytes.extend([9, 0, 0, 0, 1]));
    plant.write("tmpfs-dev-99.tar.gz.img", b"PK");
    plant.write("rule-10.img", b"");
    let found = plant.check();
    found.expect(Severity::Error, "raw-magic", "ifaddr-10.img", None);
    found.expect(Severity::Error, "raw-cut", "route-10.img", None);
    found.expect(Severity::Error, "raw-cut", "netns-ct-10.img", None);
    found.expect(Severity::Error, "raw-magic", "tmpfs-dev-99.tar.gz.img", None);
    assert_eq!(found.of("raw-cut").chain(found.of("raw-magic")).count(), 4, "{}", found.text());
}

#[test]
fn obsolete_images() {
    let plant = Plant::of_data("tree");
    plant.write_json("rlimit-104.img", &serde_json::json!({"magic": "RLIMIT", "entries": [{"cur": 1, "max": 2}]}));
    let found = plant.expect(Severity::Note, "obsolete", "rlimit-104.img", None);
    assert!(found.advice.unwrap().contains("--deprecated"));
}

#[test]
fn a_message_of_a_queue_without_its_type() {
    let plant = Plant::of_data("container");
    let name = "ipcns-msg-11.img";
    let payload = plant.bytes(name, |bytes| {
        let image = icecore::Image::open(name, bytes.clone().into(), Default::default()).unwrap();
        let entry = image.get(0).unwrap();
        let at = entry.payload_offset() as usize;
        // mtype becomes a field that is not known
        assert_eq!(bytes[at + 4], 0x08);
        bytes[at + 4] = 0x78;
        at
    });
    let found = plant.expect(Severity::Error, "entry", name, Some(0));
    assert_eq!((found.field.as_deref(), found.offset), (Some("mtype"), Some(payload as u64 + 4)));
}

#[test]
fn a_file_that_nothing_defines() {
    let plant = Plant::of_data("tree");
    let (at, fd) = plant.find("fdinfo-10.img", |fd| fd["type"] == "REG");
    let lost = fd["id"].clone();
    plant.entries("files.img", |files| files.retain(|file| file["id"] != lost));
    let found = plant.check();
    let finding = found.expect(Severity::Error, "reference", "fdinfo-10.img", Some(at as u64));
    assert!(finding.field.as_deref() == Some("id") && finding.what.contains(&format!("file {lost} of type REG")));
    // the same in version 2
    let text =
        |found: &common::plant::Found| found.of("reference").map(|finding| format!("{finding:?}")).collect::<Vec<_>>();
    assert_eq!(text(&plant.check_v2()), text(&found));
}

#[test]
fn a_descriptor_of_another_type() {
    let plant = Plant::of_data("tree");
    let (at, _) = plant.find("fdinfo-10.img", |fd| fd["type"] == "REG");
    plant.entries("fdinfo-10.img", |fds| fds[at]["type"] = "EVENTFD".into());
    plant.expect(Severity::Error, "reference", "fdinfo-10.img", Some(at as u64));
}

#[test]
fn working_directory_root_and_program() {
    let plant = Plant::of_data("tree");
    plant.entries("fs-104.img", |fs| {
        fs[0]["cwd_id"] = 100_001.into();
        fs[0]["root_id"] = 100_002.into();
    });
    plant.entries("mm-104.img", |mm| mm[0]["exe_file_id"] = 100_003.into());
    let found = plant.check();
    let fields: Vec<_> = found.of("reference").map(|finding| finding.field.clone().unwrap()).collect();
    assert_eq!(fields, ["exe_file_id", "cwd_id", "root_id"]);
}

#[test]
fn each_class_of_numbers() {
    let plant = Plant::of_data("tree");
    let (tty, _) = plant.find("files.img", |file| file["type"] == "TTY");
    let (memfd, _) = plant.find("files.img", |file| file["type"] == "MEMFD");
    let (socket, _) = plant.find("files.img", |file| file["type"] == "UNIXSK");
    plant.entries("files.img", |files| {
        files[tty]["tty"]["tty_info_id"] = 90_001.into();
        files[memfd]["memfd"]["inode_id"] = 90_002.into();
        files[socket]["usk"]["ns_id"] = 90_003.into();
    });
    plant.entries("core-104.img", |core| core[0]["thread_core"]["cg_set"] = 90_004.into());
    plant.entries("filelocks.img", |locks| locks[0]["pid"] = 90_005.into());
    let found = plant.check();
    for (entry, field) in [(tty, "tty.tty_info_id"), (memfd, "memfd.inode_id"), (socket, "usk.ns_id")] {
        let is_it = |finding: &&icecore::tool::check::Finding| {
            finding.entry == Some(entry as u64) && finding.field.as_deref() == Some(field)
        };
        assert!(found.of("reference").any(|finding| is_it(&finding)), "{field}\n{}", found.text());
    }
    found.expect(Severity::Error, "reference", "core-104.img", Some(0));
    found.expect(Severity::Error, "reference", "filelocks.img", Some(0));
}

#[test]
fn a_number_that_two_entries_define() {
    let plant = Plant::of_data("tree");
    let last = plant.entries("tty-info.img", |ttys| {
        ttys.push(ttys[0].clone());
        ttys.len() - 1
    });
    let found = plant.expect(Severity::Error, "id-twice", "tty-info.img", Some(last as u64));
    assert!(found.what.contains("entry 0"), "{found:?}");
}

#[test]
fn many_references_to_many_files() {
    let plant = Plant::of_data("tree");
    let (_, file) = plant.find("files.img", |file| file["type"] == "EVENTFD");
    // of many files, one is lost; many descriptors lead to each
    let many = 50_000u64;
    let number = |value: u64| {
        let mut wire = Vec::new();
        let mut rest = value;
        while rest >= 0x80 {
            wire.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        wire.push(rest as u8);
        wire
    };
    let efd = file["efd"].as_object().unwrap();
    assert!(efd.contains_key("fown"));
    let mut lines = String::from("{\"magic\": \"FILES\", \"entries\": [");
    let old = plant.json("files.img");
    for entry in old["entries"].as_array().unwrap() {
        lines += &format!("{entry},");
    }
    for id in 0..many {
        let mut new = file.clone();
        let id = id + 1_000_000;
        new["id"] = id.into();
        new["efd"]["id"] = id.into();
        lines += &format!("{new},");
    }
    lines.pop();
    lines += "]}";
    let mut bytes = Vec::new();
    icecore::object::json::encode(lines.as_bytes(), &Default::default(), &mut bytes).unwrap();
    plant.write("files.img", &bytes);
    plant.bytes("fdinfo-10.img", |bytes| {
        for id in 0..=many {
            // the last but one of another type, and the last is of none
            let of_type = if id == many - 1 { 7 } else { 6 };
            let id = number(id + 1_000_000);
            let entry = [&[0x08][..], &id, &[0x10, 0, 0x18, of_type, 0x20, 9]].concat();
            bytes.extend((entry.len() as u32).to_le_bytes());
            bytes.extend(entry);
        }
    });
    let found = plant.check();
    let lost: Vec<_> = found.of("reference").map(|finding| finding.what.clone()).collect();
    assert_eq!(lost.len(), 2, "{}", found.text());
    assert!(lost[0].contains("of type EVENTPOLL") && lost[1].contains("of type EVENTFD"), "{lost:?}");
    assert!(found.checked.entries > 2 * many);
    // without the files all are lost, and a hundred are told
    plant.entries("files.img", |files| files.truncate(100));
    let found = plant.check();
    assert_eq!(found.of("reference").filter(|f| f.image.as_deref() == Some("fdinfo-10.img")).count(), 101);
    assert!(found.checked.errors > many, "{:?}", found.checked);
}

#[test]
fn all_open_files_are_lost() {
    let plant = Plant::of_data("tree");
    plant.remove("files.img");
    let found = plant.check();
    found.expect(Severity::Error, "files-missing", "files.img", None);
    let of_files = found.of("reference").filter(|finding| finding.what.contains("file")).count();
    assert_eq!(of_files, 0, "{}", found.text());
}
