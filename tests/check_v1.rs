//! `check --v1`: the complaints about version 1, measured; against counts made here over crit's JSON and the files.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod common;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::Path;

use common::plant::Plant;
use icecore::base::report::{Cancel, Collect, Silent};
use icecore::tool::check::{Wish, wishes};
use icecore::{Checkpoint, Kind};
use serde_json::Value;

fn measured(source: &Path) -> BTreeMap<u8, Wish> {
    let mut rows = Collect::default();
    wishes(&Checkpoint::open(source).unwrap(), &mut rows, (&Silent, &Cancel::default())).unwrap();
    assert!(rows.problems.is_empty());
    rows.rows.into_iter().map(|wish| (wish.number, wish)).collect()
}

/// A dump and the same in version 2.
fn both(name: &str) -> (Plant, [BTreeMap<u8, Wish>; 2]) {
    let plant = Plant::of_data(name);
    let found = [measured(plant.path()), measured(&plant.to_v2())];
    (plant, found)
}

/// Entries of all images whose names begin so.
fn entries(plant: &Plant, prefix: &str) -> Vec<Value> {
    let names = plant.names();
    let names = names.iter().filter(|name| name.starts_with(prefix));
    names.flat_map(|name| plant.json(name)["entries"].as_array().unwrap().clone()).collect()
}

fn varint(value: u64) -> u64 {
    (1..).find(|length| length * 7 >= 64 || value >> (length * 7) == 0).unwrap()
}

const DUMPS: [&str; 3] = ["tree", "container", "python"];

#[test]
fn all_points_in_order_and_alike_in_both_versions() {
    for name in DUMPS {
        let (_, [v1, v2]) = both(name);
        assert_eq!(v1.keys().copied().collect::<Vec<u8>>(), (1..=20).collect::<Vec<u8>>());
        for (number, wish) in &v1 {
            let other = &v2[number];
            assert_eq!((&wish.here, wish.v1_bytes, &wish.counts), (&other.here, other.v1_bytes, &other.counts));
            assert!(!wish.version2.is_empty() && !other.version2.is_empty());
        }
    }
}

#[test]
fn what_is_gone() {
    for name in DUMPS {
        let (plant, found) = both(name);
        let mappings: usize = entries(&plant, "mm-").iter().map(|mm| mm["vmas"].as_array().unwrap().len()).sum();
        let files = entries(&plant, "files.img");
        let nested = |kind: &str, list: &str| -> usize {
            let of = |file: &Value| file[kind][list].as_array().map_or(0, Vec::len);
            files.iter().map(of).sum()
        };
        let ids = nested("epfd", "tfd") + nested("ify", "wd") + nested("ffy", "mark");
        for wishes in found {
            assert_eq!(wishes[&1].counts["fields"], mappings as u64);
            assert_eq!((wishes[&1].v1_bytes, wishes[&1].v2_bytes), (Some(2 * mappings as u64), Some(0)));
            assert_eq!((wishes[&14].counts["fields"], wishes[&14].counts["zeros"]), (ids as u64, ids as u64));
            assert_eq!((wishes[&14].v1_bytes, wishes[&14].v2_bytes), (Some(2 * ids as u64), Some(0)));
            // CRIU writes 0 into the old field of each entry of a pagemap
            let old: usize = entries(&plant, "pagemap-").iter().filter(|entry| entry.get("vaddr").is_some()).count();
            assert!(wishes[&7].counts["fields"] >= old as u64);
            assert_eq!(wishes[&7].v2_bytes, Some(0));
            assert_eq!((wishes[&6].v1_bytes, wishes[&6].v2_bytes), (Some(0), Some(0)));
        }
    }
}

#[test]
fn what_stands_in_the_wrong_place() {
    for name in DUMPS {
        let (plant, found) = both(name);
        let cores = entries(&plant, "core-");
        let tasks = entries(&plant, "pstree.img");
        let leaders = cores.iter().filter(|core| core.get("tc").is_some()).count() as u64;
        let others = cores.iter().filter(|core| core["thread_core"].get("blk_sigset").is_some()).count() as u64;
        let threads: Vec<&Value> = cores.iter().filter_map(|core| core.get("thread_info")).collect();
        let clear: u64 = threads.iter().map(|info| 1 + varint(number(&info["clear_tid_addr"]))).sum();
        let sessions: u64 =
            tasks.iter().map(|task| 2 + varint(number(&task["sid"])) + varint(number(&task["pgid"]))).sum();
        for wishes in found {
            assert_eq!((wishes[&4].counts["leaders"], wishes[&4].counts["others"]), (leaders, others));
            assert_eq!(wishes[&5].counts["tasks"], tasks.len() as u64);
            assert_eq!(wishes[&5].v1_bytes, Some(sessions));
            assert_eq!(wishes[&8].counts["fields"], threads.len() as u64);
            assert_eq!(wishes[&8].v1_bytes, Some(clear));
        }
    }
}

fn number(value: &Value) -> u64 {
    match value {
        Value::String(text) => u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap(),
        Value::Number(number) => number.as_u64().unwrap_or_else(|| number.as_i64().unwrap().cast_unsigned()),
        other => panic!("{other}"),
    }
}

#[test]
fn messages_by_kind() {
    let (plant, found) = both("tree");
    let files = entries(&plant, "files.img");
    let count = |kind: &str| files.iter().filter(|file| file.get(kind).is_some()).count() as u64;
    let locks = entries(&plant, "filelocks.img");
    for wishes in &found {
        assert_eq!((wishes[&15].counts["inotify"], wishes[&15].counts["fanotify"]), (count("ify"), count("ffy")));
        assert_eq!(wishes[&3].counts["packets"], entries(&plant, "sk-queues.img").len() as u64);
        assert_eq!(wishes[&3].counts["sockets"], count("psk"));
        assert_eq!(wishes[&13].counts["locks"], locks.len() as u64);
        let bytes = |lock: &Value| -> u64 {
            ["flag", "type", "start", "len"].iter().map(|field| 1 + varint(number(&lock[field]))).sum()
        };
        assert_eq!(wishes[&13].v1_bytes, Some(locks.iter().map(bytes).sum()));
    }
    let groups = count("ify") + count("ffy");
    assert_eq!(found[1][&15].version2, format!("one message for both: {groups} of it"));
    let (plant, found) = both("container");
    let queues = entries(&plant, "ipcns-msg-");
    let queues: Vec<&Value> = queues.iter().filter(|entry| entry.get("qnum").is_some()).collect();
    let messages: u64 = queues.iter().map(|queue| number(&queue["qnum"])).sum();
    for wishes in found {
        assert_eq!((wishes[&2].counts["queues"], wishes[&2].counts["messages"]), (queues.len() as u64, messages));
        assert_eq!(wishes[&9].counts["mounts"], entries(&plant, "mountpoints-").len() as u64);
        assert_eq!(wishes[&17].counts["namespaces"], 1);
    }
}

#[test]
fn inode_numbers_that_may_be_cut() {
    let plant = Plant::of_data("tree");
    let before = measured(plant.path())[&10].counts["inodes_perhaps_cut"];
    let (at, _) = plant.find("files.img", |entry| entry.get("pipe").is_some());
    plant.entries("files.img", |entries| entries[at]["pipe"]["pipe_id"] = 0xfedc_ba98_u32.into());
    let files = entries(&plant, "files.img");
    let count = |kind: &str, field: &str| files.iter().filter(|file| file[kind].get(field).is_some()).count();
    let inodes = count("pipe", "pipe_id")
        + count("fifo", "pipe_id")
        + count("isk", "ino")
        + count("usk", "ino")
        + count("usk", "peer")
        + count("nlsk", "ino")
        + count("pidfd", "ino")
        + entries(&plant, "pipes-data.img").len()
        + entries(&plant, "fifo-data.img").len()
        + entries(&plant, "memfd.img").len();
    let wish = &measured(plant.path())[&10];
    assert_eq!(wish.counts["inodes_of_32_bits"], inodes as u64);
    assert_eq!((before, wish.counts["inodes_perhaps_cut"]), (0, 1));
    assert!(wish.v2_bytes > wish.v1_bytes, "{wish:?}");
}

/// All numbers below, and what they take as varints.
fn registers(value: &Value, name: &str, sum: &mut (u64, u64)) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(field, value)| registers(value, field, sum)),
        Value::Array(items) => items.iter().for_each(|item| registers(item, name, sum)),
        // NATIVE and COMPAT are 1 and 2
        _ => {
            let number = if name == "mode" { 1 } else { number(value) };
            *sum = (sum.0 + 1, sum.1 + varint(number));
        }
    }
}

#[test]
fn registers_as_fixed_types() {
    for name in DUMPS {
        let (plant, found) = both(name);
        let mut sum = (0, 0);
        for core in entries(&plant, "core-") {
            for part in ["gpregs", "fpregs"] {
                if let Some(part_of) = core["thread_info"].get(part) {
                    registers(part_of, part, &mut sum);
                }
            }
        }
        for wishes in found {
            let wish = &wishes[&11];
            assert_eq!((wish.counts["numbers"], wish.counts["varint_bytes"]), (sum.0, sum.1));
            assert_eq!(wish.counts["fixed_bytes"], fixed(&plant));
            // the complaint is wrong about size, and the answer is smaller all the same
            assert!(wish.counts["fixed_bytes"] > wish.counts["varint_bytes"] && wish.v2_bytes < wish.v1_bytes);
        }
    }
}

/// The same by the table of facts: which fields of registers have 64 bits.
fn fixed(plant: &Plant) -> u64 {
    let table = common::tables::fields();
    let wide: HashSet<(&str, &str)> = table
        .rows()
        .filter(|row| row.get("type").ends_with("64"))
        .map(|row| (row.get("message"), row.get("name")))
        .collect();
    fn walk(wide: &HashSet<(&str, &str)>, message: &str, value: &Value) -> u64 {
        let inner = |field: &str| match field {
            "xsave" => "user_x86_xsave_entry",
            "cet" => "user_x86_cet_entry",
            _ => "",
        };
        let fields = value.as_object().unwrap().iter();
        fields
            .map(|(field, value)| match value {
                Value::Object(_) => walk(wide, inner(field), value),
                Value::Array(items) => items.len() as u64 * if wide.contains(&(message, field)) { 8 } else { 4 },
                _ => {
                    if wide.contains(&(message, field)) {
                        8
                    } else {
                        4
                    }
                }
            })
            .sum()
    }
    let cores = entries(plant, "core-");
    let parts = cores
        .iter()
        .filter_map(|core| core.get("thread_info"))
        .flat_map(|info| [("user_x86_regs_entry", &info["gpregs"]), ("user_x86_fpregs_entry", &info["fpregs"])]);
    parts.filter(|(_, part)| part.is_object()).map(|(message, part)| walk(&wide, message, part)).sum()
}

#[test]
fn pages_that_are_stored_twice() {
    for name in DUMPS {
        let (plant, [v1, v2]) = both(name);
        let (mut pages, mut zero, mut equal, mut same) = (0u64, 0u64, 0u64, 0u64);
        let (mut contents, mut placed) = (HashSet::new(), HashSet::new());
        for name in plant.names().iter().filter(|name| name.starts_with("pagemap-")) {
            let document = plant.json(name);
            let entries = document["entries"].as_array().unwrap();
            let bytes = fs::read(plant.image(&format!("pages-{}.img", entries[0]["pages_id"]))).unwrap_or_default();
            let mut stored = bytes.chunks(4096);
            for entry in &entries[1..] {
                if number(&entry["flags"]) & 4 == 0 {
                    continue;
                }
                for page in 0..number(&entry["nr_pages"]) {
                    let content = stored.next().unwrap();
                    pages += 1;
                    if content.iter().all(|byte| *byte == 0) {
                        zero += 1;
                        continue;
                    }
                    let hash = *blake3::hash(content).as_bytes();
                    equal += u64::from(!contents.insert(hash));
                    if !name.contains("shmem") {
                        same += u64::from(!placed.insert((hash, number(&entry["vaddr"]) + page * 4096)));
                    }
                }
            }
        }
        for wishes in [&v1, &v2] {
            let wish = &wishes[&19];
            assert_eq!((wish.counts["pages"], wish.counts["zero"]), (pages, zero), "{name}");
            assert_eq!((wish.counts["equal"], wish.counts["same_address"]), (equal, same), "{name}");
            assert_eq!(wish.v1_bytes, Some(pages * 4096));
        }
        let distinct = (pages - zero - equal) * 4096;
        assert_eq!((v1[&19].v2_bytes, v2[&19].v2_bytes), (Some(distinct), Some(distinct)));
    }
}

#[test]
fn framing() {
    for name in DUMPS {
        let (plant, found) = both(name);
        let mut shapes: HashMap<bool, u64> = HashMap::new();
        let (mut magics, mut magic_bytes, mut sizes) = (HashSet::new(), 0, 0);
        for name in plant.names() {
            let Some((kind, _)) = Kind::from_file_name(&name) else { continue };
            let is_framed = kind.row().shape.is_framed();
            *shapes.entry(is_framed).or_default() += 1;
            if is_framed {
                magics.insert(kind.row().magic);
                magic_bytes += if kind == Kind::Inventory { 4 } else { 8 };
                sizes += 4 * plant.json(&name)["entries"].as_array().unwrap().len() as u64;
            }
        }
        for wishes in found {
            let counts = &wishes[&20].counts;
            assert_eq!(counts["magics"], magics.len() as u64);
            assert_eq!(counts["raw_files"], shapes.get(&false).copied().unwrap_or(0));
            assert_eq!((counts["magic_bytes"], counts["size_bytes"]), (magic_bytes, sizes), "{name}");
            assert_eq!(wishes[&16].counts["files"], shapes.values().sum::<u64>());
        }
    }
}

#[test]
fn as_a_program() {
    let plant = Plant::of_data("tree");
    let run = |words: &[&str]| {
        let program = std::process::Command::new(env!("CARGO_BIN_EXE_icecore"));
        let mut program = program;
        let output = program.arg("check").args(words).arg(plant.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        String::from_utf8(output.stdout).unwrap()
    };
    let rows: Vec<Value> = serde_json::from_str(&run(&["--v1", "--json"])).unwrap();
    assert_eq!(rows.len(), 20);
    assert_eq!(rows[0]["complaint"], "vma_entry.fd is not used");
    let text = run(&["--v1"]);
    assert!(
        text.starts_with(" 1  vma_entry.fd is not used\n    here       253 mappings have it (506 bytes)\n"),
        "{text}"
    );
    assert_eq!(run(&["--v1", "--ndjson"]).lines().count(), 20);
}
