//! `icecore crit` as a program: newlines, pipes, directories, exit codes, its other name.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_icecore");

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// The image of this kind in a dump, whatever its number.
fn image(dump: &str, prefix: &str) -> PathBuf {
    let mut found: Vec<PathBuf> = fs::read_dir(data(dump)).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.file_name().unwrap().to_str().unwrap().starts_with(prefix));
    found.sort();
    found.into_iter().next().unwrap_or_else(|| panic!("{dump} has no {prefix}*"))
}

fn run(program: &Path, words: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(program)
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        // a program that refuses its command line does not read
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

fn crit(words: &[&str], input: &[u8]) -> Output {
    let words: Vec<&str> = [&["crit"], words].concat();
    run(Path::new(PROGRAM), &words, input)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_newline_ends_standard_output_and_no_file() {
    let work = tempfile::tempdir().unwrap();
    let (fs_image, out) = (image("tree", "fs-101"), work.path().join("out.json"));
    let shown = crit(&["decode", "-i", text(&fs_image)], b"");
    assert!(shown.status.success() && shown.stdout.ends_with(b"}\n"), "{shown:?}");
    let silent = crit(&["decode", "--in", text(&fs_image), "--out", text(&out)], b"");
    assert!(silent.status.success() && silent.stdout.is_empty(), "{silent:?}");
    assert_eq!([&fs::read(&out).unwrap()[..], b"\n"].concat(), shown.stdout);
}

#[test]
fn pipes_both_ways_and_forms() {
    for path in [image("tree", "files.img"), image("container", "ipcns-msg"), image("tree", "tcp-stream")] {
        let bytes = fs::read(&path).unwrap();
        for form in [&["decode"][..], &["decode", "--pretty"]] {
            let decoded = crit(form, &bytes);
            assert!(decoded.status.success(), "{decoded:?}");
            let encoded = crit(&["encode"], &decoded.stdout);
            assert!(encoded.status.success() && encoded.stdout == bytes, "{}: {form:?}", path.display());
        }
        let shown = crit(&["show", text(&path)], b"");
        assert_eq!(shown.stdout, crit(&["decode", "--pretty"], &bytes).stdout);
    }
}

#[test]
fn payloads_left_out_and_entries_counted() {
    let queue = image("container", "ipcns-msg");
    let shown = String::from_utf8(crit(&["show", text(&queue), "--nopl"], b"").stdout).unwrap();
    assert!(shown.contains("\"extra\": \"... <"), "{shown}");
    let info = crit(&["info", text(&queue)], b"");
    assert_eq!(info.stdout, b"{\n    \"magic\": \"IPCNS_MSG\",\n    \"count\": 3\n}\n");
}

#[test]
fn directories_there_and_back() {
    let work = tempfile::tempdir().unwrap();
    let (json, back) = (work.path().join("json"), work.path().join("back"));
    let decoded = crit(&["decode", "-i", text(&data("container")), "-o", text(&json)], b"");
    assert!(decoded.status.success(), "{decoded:?}");
    let encoded = crit(&["encode", "-i", text(&json), "-o", text(&back)], b"");
    assert!(encoded.status.success(), "{encoded:?}");
    let mut compared = 0;
    for entry in fs::read_dir(&back).unwrap() {
        let path = entry.unwrap().path();
        let original = data("container").join(path.file_name().unwrap());
        assert!(fs::read(&path).unwrap() == fs::read(&original).unwrap(), "{}", original.display());
        compared += 1;
    }
    assert!(compared > 40, "only {compared} images");
    assert_eq!(compared, fs::read_dir(&json).unwrap().count());
}

#[test]
fn failures_end_with_one_and_leave_the_old_file() {
    let work = tempfile::tempdir().unwrap();
    let out = work.path().join("out");
    fs::write(&out, "old").unwrap();
    let whole = fs::read(image("tree", "pstree")).unwrap();
    for (words, input) in [
        (vec!["decode", "-o", text(&out)], &whole[..whole.len() - 1]),
        (vec!["encode", "-o", text(&out)], b"{\"magic\": \"PSTREE\", \"entries\": [{\"pid\": 1}]}"),
        (vec!["encode", "-o", text(&out)], b"\xff\xfe no JSON"),
        (vec!["decode", "-i", "/nonexistent/fs-1.img", "-o", text(&out)], b""),
        (vec!["info", text(&out)], b""),
        (vec![], b""),
        (vec!["no-such-command"], b""),
    ] {
        let output = crit(&words, input);
        assert_eq!(output.status.code(), Some(1), "{words:?}: {output:?}");
        assert!(!output.stderr.is_empty(), "{words:?} said nothing");
        assert_eq!(fs::read(&out).unwrap(), b"old", "{words:?}");
    }
    assert_eq!(fs::read_dir(work.path()).unwrap().count(), 1, "something was left behind");
}

#[test]
fn called_as_crit() {
    let work = tempfile::tempdir().unwrap();
    let link = work.path().join("crit");
    std::os::unix::fs::symlink(PROGRAM, &link).unwrap();
    let fs_image = image("tree", "fs-101");
    let words = ["decode", "-i", text(&fs_image)];
    assert_eq!(run(&link, &words, b"").stdout, crit(&words, b"").stdout);
    let nothing = run(&link, &[], b"");
    assert_eq!(nothing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("too few arguments"));
}
