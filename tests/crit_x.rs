//! `crit x` against crit itself: where crit works, the same bytes; where it dies (zombies, pre-dumps, old images), an
//! answer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr)]

mod common;

use std::path::Path;
use std::process::Command;

use common::{corpus, oracle};
use icecore::base::report::Collect;
use icecore::view::crit_x;
use icecore::{Checkpoint, Result};

type Explorer = fn(&Checkpoint, &mut Collect<String>) -> Result<()>;

const EXPLORERS: [(&str, Explorer); 4] =
    [("ps", crit_x::ps), ("fds", crit_x::fds), ("mems", crit_x::mems), ("rss", crit_x::rss)];

/// How many answers were compared, and how many crit did not give.
fn compare(crit: &mut oracle::Crit, root: &Path) -> (usize, usize) {
    let (mut same, mut died) = (0, 0);
    for directory in corpus::dumps(root) {
        let dump = Checkpoint::open(&directory).unwrap();
        for ((what, explore), expected) in EXPLORERS.iter().zip(crit.explore(&directory)) {
            let place = format!("{} {what}", directory.display());
            let mut found = Collect::default();
            explore(&dump, &mut found).unwrap_or_else(|error| panic!("{place}: {error}"));
            assert!(found.problems.is_empty(), "{place}: {:?}", found.problems);
            match expected {
                Ok(expected) => {
                    let text: String = found.rows.iter().map(|line| format!("{line}\n")).collect();
                    assert_eq!(text, String::from_utf8(expected).unwrap(), "{place}");
                    same += 1;
                }
                Err(_) => died += 1,
            }
        }
    }
    (same, died)
}

#[test]
fn explorers_print_what_crit_prints() {
    let Some(launcher) = oracle::crit() else { return };
    let mut crit = oracle::Crit::start(&launcher);
    let (same, died) = compare(&mut crit, &corpus::data());
    // crit gives up at tree's zombie in all but ps
    assert_eq!((same, died), (9, 3));
    if let Some(root) = corpus::large() {
        let (same, died) = compare(&mut crit, &root);
        eprintln!("{same} answers as crit's; {died} times crit died");
        assert!(same > 0);
    }
}

#[test]
fn a_zombie_costs_nothing() {
    let dump = Checkpoint::open(corpus::data().join("tree")).unwrap();
    for (what, explore) in EXPLORERS {
        let mut found = Collect::default();
        explore(&dump, &mut found).unwrap();
        let zombie = found.rows.iter().position(|line| line.trim_start().starts_with("115")).expect(what);
        if what != "ps" {
            assert_eq!(found.rows[zombie + 1], "116", "{what}");
        }
    }
}

fn crit(words: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_icecore")).arg("crit").args(words).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn exit_codes_are_zero_and_one() {
    let tree = corpus::data().join("tree");
    let tree = tree.to_str().unwrap();
    let (code, stdout, stderr) = crit(&["x", tree, "ps"]);
    assert_eq!((code, &*stderr), (0, ""));
    assert!(stdout.starts_with("    PID   PGID    SID   COMM\n    100    100    100   tree\n"));
    let (code, stdout, stderr) = crit(&[]);
    assert_eq!((code, &*stdout), (1, ""));
    assert!(stderr.ends_with("crit: error: too few arguments\n"), "{stderr}");
    for words in [&["x"][..], &["x", tree], &["x", tree, "sk"], &["x", "/nonexistent", "ps"], &["unheard-of"]] {
        let (code, stdout, stderr) = crit(words);
        assert_eq!((code, &*stdout), (1, ""), "{words:?}");
        assert!(!stderr.is_empty());
    }
    assert!(crit(&["--version"]).1.contains("4.3"));
}

#[test]
fn called_crit_it_is_crit() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("crit");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_icecore"), &link).unwrap();
    let output = Command::new(link).arg("x").arg(corpus::data().join("python")).arg("ps").output().unwrap();
    assert!(output.status.success());
    assert!(output.stdout.starts_with(b"    PID"));
}
