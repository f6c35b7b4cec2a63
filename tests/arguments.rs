//! Command lines and environments as the kernel shows them; `tests/live.rs` holds them against /proc.
#![allow(
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr
)]

mod common;

use std::process::{Command, Output};

use common::corpus;
use common::process::{ANON, FILE_PRIVATE, PAGE, Process, REGULAR};
use icecore::base::report::Collect;
use icecore::{Checkpoint, ErrorKind, view};

const BASE: u64 = 0x7ff0_0000_0000;

/// A process whose stack has `bytes` at `BASE` + `at`, arguments first.
fn process(at: usize, arguments: &[u8], environment: &[u8]) -> Process {
    let mut stack = vec![0u8; 4 * PAGE];
    stack[at..at + arguments.len()].copy_from_slice(arguments);
    let behind = at + arguments.len();
    stack[behind..behind + environment.len()].copy_from_slice(environment);
    let (start, end) = (BASE + at as u64, BASE + behind as u64);
    Process {
        mappings: vec![(BASE, BASE + stack.len() as u64, REGULAR | ANON)],
        pages: vec![(BASE, stack)],
        arg: (start, end),
        env: (end, end + environment.len() as u64),
    }
}

/// The bytes of the command line, and whether it is a title.
fn line(process: &Process) -> icecore::Result<(Vec<u8>, bool)> {
    let folder = tempfile::tempdir().unwrap();
    process.write(folder.path());
    let dump = Checkpoint::open(folder.path()).unwrap();
    let line = dump.task(1).unwrap().command_line()?.unwrap();
    Ok((line.bytes.to_vec(), line.is_title))
}

fn environment(process: &Process) -> icecore::Result<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    process.write(folder.path());
    let dump = Checkpoint::open(folder.path()).unwrap();
    Ok(dump.task(1).unwrap().environment()?.unwrap().bytes.to_vec())
}

#[test]
fn what_the_recipes_started() {
    let lines = |name: &str| {
        let mut rows = Collect::default();
        view::cmdline::cmdline(&Checkpoint::open(corpus::data().join(name)).unwrap(), None, &mut rows).unwrap();
        assert!(rows.problems.is_empty());
        rows.rows
            .into_iter()
            .map(|row| row.args.iter().map(ToString::to_string).collect::<Vec<_>>())
            .collect::<Vec<_>>()
    };
    // tests/data/recipes
    assert_eq!(lines("tree"), vec![["/srv/tree"]; 19]);
    assert_eq!(lines("container"), vec![["./init"]; 5]);
    assert_eq!(lines("python"), [["/usr/bin/python3", "-I", "-S", "-B", "-X", "utf8", "/srv/frozen.py"]]);
    for name in ["tree", "container", "python"] {
        let mut rows = Collect::default();
        view::env::env(&Checkpoint::open(corpus::data().join(name)).unwrap(), None, &mut rows).unwrap();
        assert!(rows.rows.is_empty() && rows.problems.is_empty());
        assert_eq!(rows.notes, ["the tasks were started with empty environments"]);
    }
}

#[test]
fn arguments_and_variables() {
    // over the end of a page
    let process = process(PAGE - 5, b"/bin/sh\0-c\0\0", b"A=1\0B=2=3\0");
    assert_eq!(line(&process).unwrap(), (b"/bin/sh\0-c\0\0".to_vec(), false));
    assert_eq!(environment(&process).unwrap(), b"A=1\0B=2=3\0");
    let none = Process { arg: (0, 0), env: (0, 0), ..process };
    assert_eq!((line(&none).unwrap(), environment(&none).unwrap()), ((Vec::new(), false), Vec::new()));
}

#[test]
fn a_title_goes_on_over_the_environment() {
    // the NUL at the end of the arguments is gone: the text ends where the next is
    let long = process(100, b"a title of", b" a daemon\0C=3\0");
    assert_eq!(line(&long).unwrap(), (b"a title of a daemon\0".to_vec(), true));
    assert_eq!(environment(&long).unwrap(), b" a daemon\0C=3\0");
    // it ends within the arguments
    let short = process(100, b"title\0.......x", b"C=3\0");
    assert_eq!(line(&short).unwrap(), (b"title\0".to_vec(), true));
    // the environment is elsewhere: it ends with the arguments
    let apart = Process { env: (BASE + 200, BASE + 300), ..process(100, b"a title", b"xxxx") };
    assert_eq!(line(&apart).unwrap(), (b"a title".to_vec(), true));
    // one page is looked through, wherever it begins
    let endless = process(100, &[b'x'; 2 * PAGE], b"C=3\0");
    assert_eq!(line(&endless).unwrap(), (vec![b'x'; PAGE], true));
}

#[test]
fn what_is_not_in_the_dump_is_told() {
    let mut process = process(PAGE - 2, b"/bin/sh\0", b"A=1\0");
    process.pages[0].1.truncate(PAGE);
    // the second page was never touched: the kernel would give zeros
    assert_eq!(line(&process).unwrap(), (b"/b\0\0\0\0\0\0".to_vec(), false));
    // it is in a file
    process.mappings = vec![
        (BASE, BASE + PAGE as u64, REGULAR | ANON),
        (BASE + PAGE as u64, BASE + 2 * PAGE as u64, REGULAR | FILE_PRIVATE),
    ];
    let error = line(&process).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fault);
    assert_eq!(
        error.to_string(),
        "no page at 0x7ff000001000: it is in a file, not in the dump (the command line of task 1 is there)"
    );
    assert!(environment(&process).unwrap_err().to_string().ends_with("(the environment of task 1 is there)"));
    // nothing is mapped there
    process.mappings.pop();
    assert!(line(&process).unwrap_err().to_string().contains("nothing is mapped there"));
    // a title that ends before that place is known; one that goes on is not
    let mut title = self::process(PAGE - 4, b"abc\0efgh", b"ijkl");
    title.mappings = process.mappings.clone();
    title.pages[0].1.truncate(PAGE);
    assert!(line(&title).is_err(), "whether it is a title is in the page that is not there");
}

#[test]
fn absurd_sizes_are_refused() {
    let process = process(0, b"x\0", b"y\0");
    for (start, end) in [(BASE, BASE + (1 << 60)), (0, u64::MAX), (BASE, BASE + (8 << 20) + 1)] {
        let error = line(&Process { arg: (start, end), ..process.clone() }).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
        assert!(error.to_string().contains(&format!("would have {} bytes", end - start)), "{error}");
        assert!(environment(&Process { env: (start, end), ..process.clone() }).is_err());
    }
    // the end before the start: the kernel shows nothing
    assert_eq!(line(&Process { arg: (BASE + 2, BASE), ..process.clone() }).unwrap().0, b"");
    assert_eq!(environment(&Process { env: (BASE + 2, BASE), ..process }).unwrap(), b"");
}

/// Untouched memory costs nothing in a dump, and each empty argument would.
#[test]
fn a_million_empty_arguments_are_refused() {
    let empty = |length: u64| Process {
        mappings: vec![(BASE, BASE + length, REGULAR | ANON)],
        pages: Vec::new(),
        arg: (BASE, BASE + length),
        env: (BASE + length, BASE + length),
    };
    let error = line(&empty(1 << 20)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);
    assert!(error.what().contains("would have 1048576 strings, expected at most 262144"), "{error}");
    assert_eq!(line(&empty(1 << 18)).unwrap().0.len(), 1 << 18);
}

fn icecore(dir: &std::path::Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_icecore")).args(&words[..1]).arg(dir).args(&words[1..]).output().unwrap()
}

#[test]
fn the_verbs() {
    let folder = tempfile::tempdir().unwrap();
    process(0, b"/bin/sh\0two words\0\xff\x1b\0", b"A=1\0PS1=\x1b[1m\0ODD\0A=2\0").write(folder.path());
    let out = |words: &[&str]| {
        let output = icecore(folder.path(), words);
        // there is no core image, nor files.img: ps tells of it
        assert_eq!(output.stderr, b"", "{words:?}");
        assert_eq!(output.status.code(), Some(0), "{words:?}");
        output.stdout
    };
    let text = |words: &[&str]| String::from_utf8(out(words)).unwrap();
    assert_eq!(text(&["cmdline", "1"]), "/bin/sh\ntwo words\n\\xff\\x1b\n");
    assert_eq!(text(&["cmdline"]), "PID  COMMAND LINE\n  1  /bin/sh \"two words\" \\xff\\x1b\n");
    assert_eq!(out(&["cmdline", "-0", "1"]), b"/bin/sh\0two words\0\xff\x1b\0");
    assert_eq!(
        text(&["cmdline", "--json", "1"]),
        "[\n{\"pid\":1,\"args\":[\"/bin/sh\",\"two words\",{\"@bytes\":\"/xs=\"}],\"is_title\":false}\n]\n"
    );
    assert_eq!(text(&["env", "1"]), "A=1\nPS1=\\x1b[1m\nODD\nA=2\n");
    assert_eq!(out(&["env", "--null", "1"]), b"A=1\0PS1=\x1b[1m\0ODD\0A=2\0");
    assert_eq!(
        text(&["env", "--ndjson", "1"]),
        "{\"pid\":1,\"name\":\"A\",\"value\":\"1\"}\n{\"pid\":1,\"name\":\"PS1\",\"value\":\"\\u001b[1m\"}\n\
         {\"pid\":1,\"name\":\"ODD\",\"value\":null}\n{\"pid\":1,\"name\":\"A\",\"value\":\"2\"}\n"
    );
    assert_eq!(icecore(folder.path(), &["env", "-0"]).status.code(), Some(2), "of which task?");
    assert_eq!(icecore(folder.path(), &["env", "-0", "1", "--json"]).status.code(), Some(2));
    let ps = text(&["ps", "--args"]);
    assert!(ps.lines().nth(1).unwrap().contains("/bin/sh \"two words\" \\xff\\x1b"), "{ps}");
    let ps: serde_json::Value = serde_json::from_str(&text(&["ps", "--args", "--json"])).unwrap();
    assert_eq!(ps[0]["args"][1], "two words");
    let ps: serde_json::Value = serde_json::from_str(&text(&["ps", "--json"])).unwrap();
    assert_eq!(ps[0].get("args"), None);
}

#[test]
fn long_command_lines_are_cut_in_tables_alone() {
    let folder = tempfile::tempdir().unwrap();
    process(0, &[b"x".repeat(9000), vec![0]].concat(), b"A=1\0").write(folder.path());
    let ps = icecore(folder.path(), &["ps", "--args"]);
    let text = String::from_utf8(ps.stdout).unwrap();
    assert_eq!(text.matches('x').count(), 4096);
    assert!(text.contains('…'));
    let ps = icecore(folder.path(), &["ps", "--args", "--json"]);
    assert!(String::from_utf8(ps.stdout).unwrap().contains(&format!("\"{}\"", "x".repeat(9000))));
}

#[test]
fn those_without_memory() {
    let dir = corpus::data().join("tree");
    for (verb, what) in [("cmdline", "command line"), ("env", "environment")] {
        let output = icecore(&dir, &[verb, "115"]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(stderr, format!("icecore: task 115 is a zombie: it has no {what} any more\n"));
        assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 0));
        assert_eq!(icecore(&dir, &[verb, "9999"]).status.code(), Some(2));
    }
}
