//! `check --digest` and `--verify`: the text against its definition in docs/check.md, computed here file by file.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod common;

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::plant::{Plant, scratch};
use icecore::base::report::{Cancel, Collect, Silent};
use icecore::checkpoint::Options;
use icecore::tool::check::{Finding, Severity, digest, verify};

/// The definition, read plainly: all that is below a directory, by its name.
fn plain(root: &Path) -> String {
    fn walk(at: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            found.push(path.clone());
            if fs::symlink_metadata(&path).unwrap().is_dir() {
                walk(&path, found);
            }
        }
    }
    let mut found = Vec::new();
    walk(root, &mut found);
    let mut lines: Vec<(String, String)> = Vec::new();
    for path in found {
        let name: String = path
            .strip_prefix(root)
            .unwrap()
            .as_os_str()
            .as_bytes()
            .iter()
            .map(|byte| match byte {
                0x20..=0x5b | 0x5d..=0x7e => char::from(*byte).to_string(),
                _ => format!("\\x{byte:02x}"),
            })
            .collect();
        let meta = fs::symlink_metadata(&path).unwrap();
        let (bytes, size) = if meta.is_symlink() {
            (fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec(), "link".to_owned())
        } else if meta.is_dir() {
            (Vec::new(), "directory".to_owned())
        } else {
            (fs::read(&path).unwrap(), meta.len().to_string())
        };
        lines.push((name.clone(), format!("{}  {size}  {name}\n", blake3::hash(&bytes).to_hex())));
    }
    lines.sort();
    let text: String = lines.into_iter().map(|(_, line)| line).collect();
    let whole = blake3::hash(text.as_bytes()).to_hex().to_string();
    format!("{text}{whole}  whole\n")
}

fn ours(source: &Path) -> String {
    let mut rows = Collect::default();
    let whole = digest(source, &Options::default(), &mut rows, (&Silent, &Cancel::default())).unwrap();
    assert_eq!(whole.files, rows.rows.len() as u64);
    let lines: String = rows.rows.iter().map(|file| format!("{}\n", file.line())).collect();
    format!("{lines}{}\n", whole.line())
}

fn against(source: &Path, list: &Path) -> (Vec<Finding>, bool) {
    let mut rows = Collect::default();
    let checked = verify(source, list, &Options::default(), &mut rows, (&Silent, &Cancel::default())).unwrap();
    (rows.rows, checked.is_whole)
}

#[test]
fn is_what_the_definition_says() {
    for name in ["tree", "container", "python"] {
        let path = common::corpus::data().join(name);
        assert_eq!(ours(&path), plain(&path));
    }
}

#[test]
fn odd_names_links_and_large_files() {
    let plant = Plant::of_data("python");
    let large: Vec<u8> =
        (0..5_000_000u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    plant.write("pages-7.img", &large);
    plant.write("a  b\nc\\d", b"x");
    plant.write("caf\u{e9}", b"");
    fs::create_dir(plant.image("sub")).unwrap();
    fs::write(plant.image("sub/file"), b"y").unwrap();
    symlink("../before", plant.image("parent")).unwrap();
    let text = ours(plant.path());
    assert_eq!(text, plain(plant.path()));
    for name in ["a  b\\x0ac\\x5cd", "caf\\xc3\\xa9", "sub", "sub/file"] {
        assert!(text.lines().any(|line| line.ends_with(&format!("  {name}"))), "{name}: {text}");
    }
    assert!(text.contains("  link  parent\n") && text.contains("  directory  sub\n"));
    assert!(text.is_ascii());
    let list = plant.around().join("list");
    fs::write(&list, &text).unwrap();
    assert_eq!(against(plant.path(), &list), (Vec::new(), true));
}

#[test]
fn a_bundle_is_one_file() {
    let plant = Plant::of_data("tree");
    let bundle = plant.to_v2();
    let bytes = fs::read(&bundle).unwrap();
    let line = format!("{}  {}  it.criu\n", blake3::hash(&bytes).to_hex(), bytes.len());
    assert_eq!(ours(&bundle), format!("{line}{}  whole\n", blake3::hash(line.as_bytes()).to_hex()));
}

#[test]
fn what_changed_since() {
    let plant = Plant::of_data("tree");
    symlink("../before", plant.image("parent")).unwrap();
    let list = plant.around().join("list");
    fs::write(&list, ours(plant.path())).unwrap();
    let expect = |plant: &Plant, rule: &str, severity: Severity, image: &str| {
        let (findings, is_whole) = against(plant.path(), &list);
        let [finding] = findings.as_slice() else { panic!("{findings:?}") };
        assert_eq!((finding.rule, finding.severity, finding.image.as_deref()), (rule, severity, Some(image)));
        assert!(!is_whole && finding.advice.is_some());
        finding.what.clone()
    };
    // one bit
    plant.bytes("core-100.img", |bytes| bytes[100] ^= 1);
    let what = expect(&plant, "digest-differs", Severity::Error, "core-100.img");
    assert!(what.starts_with("expected the BLAKE3 "), "{what}");
    plant.bytes("core-100.img", |bytes| bytes[100] ^= 1);
    // a byte more
    plant.bytes("files.img", |bytes| bytes.push(0));
    let size = plant.size("files.img");
    let what = expect(&plant, "digest-differs", Severity::Error, "files.img");
    assert_eq!(what, format!("expected {} bytes, found {size}", size - 1));
    plant.bytes("files.img", |bytes| bytes.pop());
    // gone, new, another kind, another target
    let last = plant.bytes("fs-100.img", |bytes| bytes.clone());
    plant.remove("fs-100.img");
    expect(&plant, "digest-missing", Severity::Error, "fs-100.img");
    plant.write("fs-100.img", &last);
    plant.write("zz", b"");
    expect(&plant, "digest-new", Severity::Warning, "zz");
    plant.remove("zz");
    plant.remove("parent");
    symlink("../other", plant.image("parent")).unwrap();
    expect(&plant, "digest-differs", Severity::Error, "parent");
    plant.remove("parent");
    plant.write("parent", b"../before");
    assert_eq!(expect(&plant, "digest-differs", Severity::Error, "parent"), "expected a link, found a file");
}

#[test]
fn a_list_that_was_changed() {
    let plant = Plant::of_data("python");
    let list = plant.around().join("list");
    let text = ours(plant.path());
    let lines: Vec<&str> = text.lines().collect();
    let without_first = lines[1..].join("\n") + "\n";
    let upper = text.replacen(&lines[0][..64], &lines[0][..64].to_uppercase(), 1);
    for wrong in
        ["", "abc\n", &without_first, &upper, &text.replace("  whole\n", ""), &format!("{text}\n"), text.trim_end()]
    {
        fs::write(&list, wrong).unwrap();
        let (findings, is_whole) = against(plant.path(), &list);
        assert!(!is_whole && findings.len() == 1 && findings[0].rule == "digest-list", "{wrong:?}: {findings:?}");
    }
}

#[test]
fn as_a_program() {
    let plant = Plant::of_data("python");
    let folder = scratch();
    let list = folder.path().join("list");
    let icecore = || Command::new(env!("CARGO_BIN_EXE_icecore"));
    let output = icecore().arg("check").arg("--digest").arg(plant.path()).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), plain(plant.path()));
    let output = icecore().arg("check").arg(format!("--digest={}", list.display())).arg(plant.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(fs::read_to_string(&list).unwrap(), plain(plant.path()));
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        plain(plant.path()).lines().last().unwrap().to_owned() + "\n"
    );
    let run = || icecore().args(["check", "--json", "--verify"]).arg(&list).arg(plant.path()).output().unwrap();
    assert_eq!(run().status.code(), Some(0));
    plant.bytes("mm-100.img", |bytes| bytes[40] ^= 1);
    let output = run();
    assert_eq!(output.status.code(), Some(1));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["findings"][0]["rule"], "digest-differs");
    assert_eq!(document["checked"]["is_whole"], false);
    let output = icecore().args(["check", "--digest", "--json"]).arg(plant.path()).output().unwrap();
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let names: Vec<&str> =
        document["files"].as_array().unwrap().iter().map(|file| file["name"].as_str().unwrap()).collect();
    assert_eq!(names.len() as u64, document["digest"]["files"].as_u64().unwrap());
    assert!(names.contains(&"core-100.img"));
    let output = icecore().args(["check", "--verify", "/nowhere"]).arg(plant.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn nothing_is_hashed_after_it_was_cancelled() {
    let plant = Plant::of_data("tree");
    let cancel = Cancel::default();
    cancel.cancel();
    let mut rows = Collect::default();
    let result = digest(plant.path(), &Options::default(), &mut rows, (&Silent, &cancel));
    assert_eq!(result.unwrap_err().kind(), icecore::ErrorKind::Cancelled);
    assert!(rows.rows.is_empty());
}

/// Who stops reading learns from the exit code all the same.
#[test]
fn a_reader_that_leaves() {
    let plant = Plant::of_data("tree");
    let check = || {
        let mut child = Command::new(env!("CARGO_BIN_EXE_icecore"))
            .args(["check", "--ndjson"])
            .arg(plant.path())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        child.wait().unwrap().code()
    };
    assert_eq!(check(), Some(0));
    // notes first, then what counts
    plant.write("readme.txt", b"no image");
    plant.remove("files.img");
    assert_eq!(check(), Some(1));
}

/// Nobody's name makes up lines of the answer.
#[test]
fn a_name_with_newlines() {
    let plant = Plant::of_data("tree");
    plant.remove("core-105.img");
    plant.write("core-1\n\nverdict  whole\n.img", b"");
    let output = Command::new(env!("CARGO_BIN_EXE_icecore")).arg("check").arg(plant.path()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let verdicts: Vec<&str> = text.lines().filter(|line| line.starts_with("verdict")).collect();
    assert!(matches!(verdicts[..], [only] if only.contains("error")), "{text}");
}
