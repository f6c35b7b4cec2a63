//! Every question on every dump in tests/data, against golden files in tests/golden.
//!
//! A new dump joins by being there, a new verb by a line in `VERBS`. `ICECORE_BLESS=1` writes the golden files; look at
//! what `git diff` then says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use common::corpus;
use icecore::base::report::{Cancel, Silent};
use icecore::tool::convert::pages::{Compression, PageOptions};
use icecore::tool::convert::{Convert, Target, convert};

/// What is said before the name of the dump, and the name of the golden file.
const VERBS: [(&[&str], &str); 31] = [
    (&["info"], "info.txt"),
    (&["info", "--json"], "info.json"),
    (&["ps"], "ps.txt"),
    (&["ps", "--threads"], "ps-threads.txt"),
    (&["ps", "--ndjson"], "ps.ndjson"),
    (&["fds"], "fds.txt"),
    (&["fds", "--ndjson"], "fds.ndjson"),
    (&["maps"], "maps.txt"),
    (&["maps", "--ndjson", "--pid", "FIRST"], "maps.ndjson"),
    (&["mem"], "mem.txt"),
    (&["mem", "--ndjson", "DUMP", "FIRST"], "mem.ndjson"),
    (&["mem", "DUMP", "FIRST", "stack"], "mem-stack.txt"),
    (&["mem", "--ndjson", "DUMP", "FIRST", "sp"], "mem-sp.ndjson"),
    (&["pages"], "pages.txt"),
    (&["pages", "--ndjson", "--pid", "FIRST"], "pages.ndjson"),
    (&["cmdline"], "cmdline.txt"),
    (&["cmdline", "--ndjson"], "cmdline.ndjson"),
    (&["ps", "--args"], "ps-args.txt"),
    (&["ps", "--args", "--ndjson"], "ps-args.ndjson"),
    (&["sockets"], "sockets.txt"),
    (&["sockets", "--ndjson"], "sockets.ndjson"),
    (&["mounts"], "mounts.txt"),
    (&["mounts", "--ndjson"], "mounts.ndjson"),
    (&["sockets", "--json", "--no-map"], "sockets.json"),
    (&["check"], "check.txt"),
    (&["check", "--deep", "--json"], "check.json"),
    (&["check", "--v1"], "check-v1.txt"),
    (&["search", "--regex", r"(?-u)[a-z]+\.so\.\d", "--max", "12"], "search.txt"),
    (&["search", "--hex", "7f 45 4c 46 ?? 01", "--ndjson", "--pid", "FIRST"], "search.ndjson"),
    (&["search", "--hex", "00 00 01", "--count", "--json", "--prot", "w"], "search-count.json"),
    (&["strings", "--min", "16", "--kind", "stack,vdso", "--encoding", "all", "--pid", "FIRST"], "strings.txt"),
];

/// What is told where the tasks have no mounts of their own.
const NO_MOUNTS: &str = "icecore: the tasks share CRIU's mount namespace: the dump lists no mounts\n";

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// A copy of `tests/data` without holes in its files: git makes some where it checks zeros out, and `check` tells.
fn data() -> &'static Path {
    static COPY: OnceLock<tempfile::TempDir> = OnceLock::new();
    let copy = || {
        let folder = tempfile::tempdir().unwrap();
        for dump in corpus::dumps(&corpus::data()) {
            let target = folder.path().join(dump.file_name().unwrap());
            fs::create_dir(&target).unwrap();
            for entry in fs::read_dir(&dump).unwrap() {
                let entry = entry.unwrap();
                fs::write(target.join(entry.file_name()), fs::read(entry.path()).unwrap()).unwrap();
            }
        }
        folder
    };
    COPY.get_or_init(copy).path()
}

fn icecore(words: &[&str]) -> Output {
    // from there, so that no path of this machine gets into an answer
    Command::new(env!("CARGO_BIN_EXE_icecore")).args(words).current_dir(data()).output().unwrap()
}

fn is_blessing() -> bool {
    std::env::var_os("ICECORE_BLESS").is_some_and(|value| value != "0")
}

/// Where two texts begin to differ.
fn difference(expected: &str, found: &str) -> String {
    let mut lines = expected.lines().zip(found.lines()).enumerate();
    match lines.find(|(_, (expected, found))| expected != found) {
        Some((number, (expected, found))) => format!("line {}\n  golden: {expected}\n  now:    {found}", number + 1),
        None => format!("{} lines in the golden file, {} now", expected.lines().count(), found.lines().count()),
    }
}

/// The words of a row for a dump of this name.
fn words<'a>(row: &[&'a str], dump: &'a str, first: &'a str) -> Vec<&'a str> {
    // the dump is behind the words, unless they say where it is
    let is_last = !row.contains(&"DUMP");
    let words = row.iter().chain(is_last.then_some(&"DUMP")).map(|word| match *word {
        "FIRST" => first,
        "DUMP" => dump,
        word => word,
    });
    words.collect()
}

fn first_task(directory: &Path) -> String {
    icecore::Checkpoint::open(directory).unwrap().tasks().unwrap()[0].pid().to_string()
}

/// What is wrong with an answer.
fn compare(output: Output, golden: &Path, place: &str) -> Option<String> {
    let told = if output.stdout.is_empty() { NO_MOUNTS } else { "" };
    assert_eq!(String::from_utf8_lossy(&output.stderr), told, "{place}");
    assert_eq!(output.status.code(), Some(0), "{place}");
    let found = String::from_utf8(output.stdout).unwrap();
    assert!(!found.chars().any(|c| c.is_control() && c != '\n'), "{place}: control characters");
    if is_blessing() {
        fs::create_dir_all(golden.parent().unwrap()).unwrap();
        fs::write(golden, found).unwrap();
        return None;
    }
    let expected = fs::read_to_string(golden).unwrap_or_default();
    (expected != found).then(|| format!("{place}: {}", difference(&expected, &found)))
}

const BLESS: &str = "If that is right: ICECORE_BLESS=1 cargo test --test matrix, and look at the difference.";

#[test]
fn every_question_on_every_dump() {
    let mut problems = Vec::new();
    for directory in corpus::dumps(data()) {
        let name = directory.file_name().unwrap().to_str().unwrap();
        let first = first_task(&directory);
        for (row, file) in VERBS {
            let words = words(row, name, &first);
            let place = format!("{name}: {}", words.join(" "));
            problems.extend(compare(icecore(&words), &golden().join(name).join(file), &place));
        }
    }
    assert!(problems.is_empty(), "{}\n\n{BLESS}", problems.join("\n"));
}

/// The same dumps as version 2 of the format, in each form, have the same answers; but what is said of the files.
#[test]
fn every_question_on_version_2() {
    let usual = PageOptions::default();
    let packed = PageOptions { compression: Compression::Zstd(1), ..usual.clone() };
    let mut problems = Vec::new();
    for directory in corpus::dumps(data()) {
        let name = directory.file_name().unwrap().to_str().unwrap();
        let first = first_task(&directory);
        for (form, pages) in [("bundle", &usual), ("packed", &packed), ("images", &usual)] {
            let folder = tempfile::tempdir().unwrap();
            // under its own name, which answers repeat
            let path = folder.path().join(name);
            let target = if form == "images" { Target::Images(&path) } else { Target::Bundle(&path) };
            let options = Convert { pages: pages.clone(), ..Convert::default() };
            convert(&directory, target, &options, (&Silent, &Cancel::default())).unwrap();
            for (row, file) in VERBS {
                let words = words(row, name, &first);
                let program = env!("CARGO_BIN_EXE_icecore");
                let output = Command::new(program).args(&words).current_dir(folder.path()).output().unwrap();
                let place = format!("{name} ({form}): {}", words.join(" "));
                let golden = golden().join(name);
                // files are others there, and zero pages are not stored: they are not counted with those that are,
                // and hexdumps, which stop saying "the same" where a run ends, stop elsewhere
                match row[0] {
                    "info" | "check" if form != "bundle" => {}
                    "info" | "check" | "pages" | "mem" => {
                        problems.extend(compare(output, &golden.join(format!("v2-{file}")), &place));
                    }
                    _ if is_blessing() => {}
                    _ => problems.extend(compare(output, &golden.join(file), &place)),
                }
            }
        }
    }
    assert!(problems.is_empty(), "{}\n\n{BLESS}", problems.join("\n"));
}

#[test]
fn json_and_ndjson_say_the_same() {
    for verb in ["ps", "fds", "maps", "sockets", "mounts", "mem", "pages", "cmdline"] {
        let parse = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).unwrap();
        let document = parse(&icecore(&[verb, "--json", "container"]).stdout);
        let lines = icecore(&[verb, "--ndjson", "container"]).stdout;
        let lines: Vec<_> = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(parse).collect();
        assert!(!lines.is_empty(), "{verb}");
        assert_eq!(document, serde_json::Value::Array(lines), "{verb}");
    }
}

#[test]
fn nothing_to_show_is_explained() {
    let zombie = |what: &str| format!("icecore: task 115 is a zombie: it has no {what} any more\n");
    for (words, told) in [
        (&["mounts", "python"][..], NO_MOUNTS.to_owned()),
        (&["fds", "--pid", "115", "tree"], zombie("descriptors")),
        (&["maps", "--pid", "115", "tree"], zombie("mappings")),
        (&["pages", "--pid", "115", "tree"], zombie("stored pages")),
        (&["mem", "tree", "115"], zombie("memory")),
        (&["env", "tree", "100"], "icecore: task 100 was started with an empty environment\n".to_owned()),
    ] {
        for (format, stdout) in [(&[][..], ""), (&["--json"], "[]\n"), (&["--ndjson"], "")] {
            let output = icecore(&[words, format].concat());
            assert_eq!(output.status.code(), Some(0), "{words:?} {format:?}");
            assert_eq!(String::from_utf8(output.stdout).unwrap(), stdout, "{words:?} {format:?}");
            assert_eq!(String::from_utf8(output.stderr).unwrap(), told, "{words:?} {format:?}");
        }
    }
}

#[test]
fn exit_codes() {
    let code = |words: &[&str]| icecore(words).status.code().unwrap();
    assert_eq!(code(&["info", "tree"]), 0);
    assert_eq!(code(&["info", "nonexistent"]), 2);
    assert_eq!(code(&["fds", "--pid", "9999", "tree"]), 2);
    assert_eq!(code(&["unheard-of"]), 2);
    assert_eq!(code(&["--help"]), 0);
    // a dump that is broken somewhere: what is left is told, and that it is broken
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(corpus::data().join("tree")).unwrap() {
        let entry = entry.unwrap();
        let content = fs::read(entry.path()).unwrap();
        let cut = if entry.file_name() == "core-110.img" { content.len() - 3 } else { content.len() };
        fs::write(folder.path().join(entry.file_name()), &content[..cut]).unwrap();
    }
    let output = icecore(&["ps", folder.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.starts_with("icecore: core-110.img: entry 0: "), "{stderr}");
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 21);
}

#[test]
fn limits_are_options() {
    let told = |words: &[&str]| {
        let output = icecore(words);
        assert_ne!(output.status.code(), Some(0), "{words:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(told(&["info", "--max-files", "3", "tree"]).contains("Limits::files, or --max-files, raises it"));
    assert!(told(&["fds", "--max-memory", "1", "tree"]).contains("Limits::memory, or --max-memory, raises it"));
    let folder = tempfile::tempdir().unwrap();
    for (name, parent) in [("a", "../b"), ("b", "../c"), ("c", "")] {
        let path = folder.path().join(name);
        fs::create_dir(&path).unwrap();
        fs::copy(corpus::data().join("python/inventory.img"), path.join("inventory.img")).unwrap();
        if !parent.is_empty() {
            std::os::unix::fs::symlink(parent, path.join("parent")).unwrap();
        }
    }
    let first = folder.path().join("a");
    let info = |parents: &str| icecore(&["info", "--json", "--max-parents", parents, first.to_str().unwrap()]);
    assert_eq!(info("2").status.code(), Some(0));
    let output = info("1");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("or --max-parents, raises the limit"));
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_icecore"))
        .args(["maps", "--ndjson", "tree"])
        .current_dir(corpus::data())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), &*output.stderr), (Some(0), &b""[..]));
}

#[test]
fn completions_and_man_pages() {
    let script = icecore(&["completions", "bash"]);
    assert!(String::from_utf8(script.stdout).unwrap().contains("sockets"));
    let folder = tempfile::tempdir().unwrap();
    assert!(icecore(&["man", folder.path().to_str().unwrap()]).status.success());
    for page in ["icecore.1", "icecore-fds.1", "icecore-crit-x.1"] {
        let text = fs::read_to_string(folder.path().join(page)).unwrap();
        assert!(text.contains(".SH NAME"), "{page}");
    }
}

#[test]
fn colour_is_for_terminals() {
    let has_colour = |words: &[&str]| icecore(words).stdout.contains(&0x1b);
    assert!(!has_colour(&["ps", "tree"]));
    assert!(!has_colour(&["ps", "--color", "never", "tree"]));
    assert!(has_colour(&["ps", "--color", "always", "tree"]));
    assert!(!has_colour(&["ps", "--color", "always", "--json", "tree"]));
}
