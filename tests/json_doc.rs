//! docs/json.md against what the program writes: every key that comes out is on the page, under its verb.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

const DUMPS: [&str; 3] = ["tree", "python", "container"];

/// The part of the page under a heading.
fn section<'p>(page: &'p str, heading: &str) -> &'p str {
    let start = page.find(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("docs/json.md lacks ## {heading}"));
    let rest = &page[start + 4..];
    rest.find("\n## ").map_or(rest, |end| &rest[..end])
}

fn keys(value: &serde_json::Value, found: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(object) => {
            for (key, value) in object {
                found.insert(key.clone());
                // what is counted by name is not a fixed set of keys
                if !["files", "extras"].contains(&key.as_str()) {
                    keys(value, found);
                }
            }
        }
        serde_json::Value::Array(array) => array.iter().for_each(|value| keys(value, found)),
        _ => {}
    }
}

fn written(verb: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for dump in DUMPS {
        let dump = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(dump);
        let (verb, options) = verb.split_once(' ').unwrap_or((verb, ""));
        let mut command = Command::new(env!("CARGO_BIN_EXE_icecore"));
        command.arg(verb).arg(&dump).arg("--json").args(options.split_whitespace());
        let target = tempfile::tempdir().unwrap();
        match verb {
            "core" => command.arg("-o").arg(target.path()),
            "convert" => command.arg("-o").arg(target.path().join("it.criu")),
            "flatten" => command.arg("-o").arg(target.path().join("whole")),
            _ => &mut command,
        };
        let output = command.output().unwrap();
        // this machine may lack what a dump needs
        let is_done = output.status.success() || (options == "--here" && output.status.code() == Some(1));
        assert!(is_done, "{verb} {}: {}", dump.display(), String::from_utf8_lossy(&output.stderr));
        keys(&serde_json::from_slice(&output.stdout).unwrap(), &mut found);
    }
    found
}

#[test]
fn every_key_is_documented() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/json.md")).unwrap();
    for (verb, headings) in [
        ("info", &["info"][..]),
        ("ps --args", &["ps"]),
        ("fds", &["fds"]),
        ("maps", &["maps"]),
        ("mem", &["mem"]),
        ("pages", &["pages"]),
        ("cmdline", &["cmdline"]),
        ("sockets", &["sockets", "fds"]),
        ("mounts", &["mounts"]),
        ("search a --max 50", &["search"]),
        ("search a --count", &["search"]),
        ("strings --min 20", &["strings"]),
        ("check", &["check"]),
        ("check --here", &["check"]),
        ("check --digest", &["check"]),
        ("check --v1", &["check"]),
        ("core", &["core"]),
        ("convert", &["convert"]),
        ("flatten", &["flatten"]),
    ] {
        let found = written(verb);
        assert!(found.len() > 2, "{verb} wrote next to nothing");
        let text: String = headings.iter().map(|heading| section(&page, heading)).collect();
        let missing: Vec<_> =
            found.iter().filter(|key| *key != "@bytes" && !text.contains(&format!("`{key}`"))).collect();
        assert!(missing.is_empty(), "docs/json.md, ## {verb}, does not mention {missing:?}");
    }
}

#[test]
fn every_key_of_version_2_is_documented() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/json.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let dump = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tree");
    let bundle = folder.path().join("it.criu");
    let icecore = || Command::new(env!("CARGO_BIN_EXE_icecore"));
    assert!(icecore().arg("convert").arg(dump).arg("-o").arg(&bundle).output().unwrap().status.success());
    let mut found = BTreeSet::new();
    let output = icecore().arg("info").arg(&bundle).arg("--json").output().unwrap();
    keys(&serde_json::from_slice(&output.stdout).unwrap(), &mut found);
    assert!(found.contains("container") && found.contains("writer"));
    let text = section(&page, "info");
    let missing: Vec<_> = found.iter().filter(|key| !text.contains(&format!("`{key}`"))).collect();
    assert!(missing.is_empty(), "docs/json.md, ## info, does not mention {missing:?}");
}

#[test]
fn every_key_of_diff_is_documented() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/json.md")).unwrap();
    let mut found = BTreeSet::new();
    for words in [["tree", "python"], ["python", "tree"], ["tree", "container"]] {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
        let mut icecore = Command::new(env!("CARGO_BIN_EXE_icecore"));
        let output = icecore.arg("diff").args(words).args(["--json", "--pages"]).current_dir(data).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        keys(&document, &mut found);
    }
    assert!(found.len() > 30, "diff wrote next to nothing");
    let text = section(&page, "diff");
    let missing: Vec<_> = found.iter().filter(|key| *key != "@bytes" && !text.contains(&format!("`{key}`"))).collect();
    assert!(missing.is_empty(), "docs/json.md, ## diff, does not mention {missing:?}");
}

#[test]
fn every_documented_row_exists() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/json.md")).unwrap();
    for (verb, options) in [
        ("ps", &[" --args"][..]),
        ("maps", &[""]),
        ("pages", &[""]),
        ("cmdline", &[""]),
        ("mounts", &[""]),
        ("sockets", &[""]),
        ("search", &[" a --max 50", " a --count"]),
        ("strings", &[" --min 20"]),
        ("core", &[""]),
        ("convert", &[""]),
        ("flatten", &[""]),
    ] {
        let found: BTreeSet<_> = options.iter().flat_map(|options| written(&format!("{verb}{options}"))).collect();
        let rows = section(&page, verb).lines().filter(|line| line.starts_with("| `"));
        for row in rows {
            let first = row.split('|').nth(1).unwrap();
            for key in first.split('`').skip(1).step_by(2) {
                assert!(found.contains(key), "docs/json.md, ## {verb}: nothing has the key {key}");
            }
        }
    }
}
