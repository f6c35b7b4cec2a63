//! `search` and `strings` as a program: exit codes, filters, what stands around matches, memory that is shared.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::cast_possible_truncation)]

mod common;

use std::process::{Command, Output};

use common::{corpus, flat};

fn icecore(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_icecore")).args(words).current_dir(corpus::data()).output().unwrap()
}

fn json(words: &[&str]) -> Vec<serde_json::Value> {
    let output = icecore(words);
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    value.as_array().unwrap().clone()
}

#[test]
fn exit_codes() {
    for (words, code, told) in [
        (&["search", "python", "import", "-m", "1"][..], 0, ""),
        (&["search", "python", "no such text anywhere"], 1, "icecore: found nothing"),
        (&["search", "python", "--count", "no such text anywhere"], 1, "icecore: found nothing"),
        (&["search", "python"], 2, "error: "),
        (&["search", "python", ""], 2, "icecore: expected something to search for"),
        (&["search", "python", "--hex", "0x"], 2, "icecore: expected bytes as pairs of digits"),
        (
            &["search", "python", "--regex", "a("],
            2,
            "icecore: \"a(\" is no regular expression: unclosed group at column 2",
        ),
        (&["search", "python", "import", "--pid", "9999"], 2, "icecore: the dump has no task 9999"),
        (&["search", "nonexistent", "import"], 2, "icecore: nonexistent"),
        (&["strings", "python", "-n", "100000"], 0, "icecore: found no strings"),
        (&["strings", "python", "-n", "0"], 2, "error: "),
    ] {
        let output = icecore(words);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{words:?}: {stderr}");
        assert!(stderr.starts_with(told) && stderr.is_empty() == told.is_empty(), "{words:?}: {stderr}");
    }
}

#[test]
fn filters() {
    let all = json(&["search", "tree", "--hex", "7f 45 4c 46", "--json"]);
    assert!(all.len() > 10);
    let one = json(&["search", "tree", "--hex", "7f454c46", "--json", "--pid", "100", "--pid", "101"]);
    let pids: Vec<_> = one.iter().map(|row| row["pid"].as_u64().unwrap()).collect();
    assert!(pids.contains(&100) && pids.contains(&101) && pids.iter().all(|pid| [100, 101].contains(pid)));
    for (words, expected) in [
        (&["--kind", "vdso"][..], all.len()),
        (&["--kind", "anon,heap,stack"], 0),
        (&["--prot", "rx"], all.len()),
        (&["--prot", "w"], 0),
        (&["--name", "[vdso]"], all.len()),
        (&["--name", "*so"], 0),
        (&["-m", "3"], 3),
        (&["--range", "0-1000"], 0),
    ] {
        let found = json(&[&["search", "tree", "--hex", "7f 45 4c 46", "--json"], words].concat());
        assert_eq!(found.len(), expected, "{words:?}");
    }
    // a match lies wholly in the range
    let address = all[0]["address"].as_str().unwrap();
    let within =
        |range: String| json(&["search", "tree", "--hex", "7f454c46", "--json", "--pid", "100", "--range", &range]);
    assert_eq!(within(format!("{address}+4")).len(), 1);
    assert_eq!(within(format!("{address}+3")).len(), 0);
}

#[test]
fn matches_with_what_is_around_them() {
    let hex = |row: &serde_json::Value, key: &str| row[key]["hex"].as_str().unwrap().to_owned();
    let memory = flat::memory(&corpus::data().join("python"), 100);
    let rows = json(&["search", "python", "import", "--json", "-C", "9"]);
    for row in &rows {
        let address = u64::from_str_radix(&row["address"].as_str().unwrap()[2..], 16).unwrap();
        let range = memory.iter().rev().find(|range| range.start <= address).unwrap();
        let at = (address - range.start) as usize;
        let want = |from: usize, to: usize| -> String {
            range.bytes[from..to.min(range.bytes.len())].iter().map(|byte| format!("{byte:02x}")).collect()
        };
        assert_eq!(hex(row, "before"), want(at.saturating_sub(9), at));
        assert_eq!((hex(row, "match"), row["match"]["text"].as_str()), (want(at, at + 6), Some("import")));
        assert_eq!(hex(row, "after"), want(at + 6, at + 15));
    }
    let counts = json(&["search", "python", "import", "--json", "--count"]);
    let sum: u64 = counts.iter().map(|row| row["count"].as_u64().unwrap()).sum();
    assert_eq!(sum, rows.len() as u64);
    assert_eq!(json(&["search", "python", "IMPORT", "-i", "--json", "-C", "9", "-m", "2"]), rows[..2]);
    // nothing that a terminal acts on
    let output = icecore(&["search", "python", "--hex", "1b"]);
    assert!(output.status.success() && !output.stdout.contains(&0x1b));
}

#[test]
fn shared_memory_once() {
    let rows = |once: &[&str]| {
        json(&[&["strings", "tree", "--kind", "shared,sysv,memfd", "-n", "1", "--json"], once].concat())
    };
    let (all, once) = (rows(&[]), rows(&["--shared-once"]));
    assert!(once.len() < all.len() && !once.is_empty(), "{} {}", once.len(), all.len());
    let texts = |rows: &[serde_json::Value]| {
        rows.iter().map(|row| row["text"].as_str().unwrap().to_owned()).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(texts(&all), texts(&once));
}
