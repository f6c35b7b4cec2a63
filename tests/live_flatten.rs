//! A process tree, dumped by the criu of this machine, its pages dealt out over a chain of three dumps; made one dump
//! again, or with holes in the ancestors, it is restored by criu: is it still itself? Needs root, python3, and a criu of
//! version 4 or newer: `ICECORE_CRIU`, or `tests/tools/install-criu target/criu`, or one in PATH.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr)]

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::chain::{dealt, names};
use common::{living, oracle};
use icecore::base::report::{Cancel, Silent};
use icecore::tool::convert::{Convert, Target, convert};

/// Goes on in namespaces of its own, as process 1. Between a dump and a restore it waits for what is to be restored.
const INSIDE: &str = r#"
for number in $(seq "$1"); do
  mkdir "$DIR/images"
  "$CRIU" dump --tree "$leader" --images-dir "$DIR/images" --log-file "$DIR/dump.log" -v4 || { tail -n 20 "$DIR/dump.log" >&2; exit 1; }
  mv "$DIR/images" "$DIR/dumped"
  for try in $(seq 600); do
    [ -e "$DIR/go" ] && break
    sleep 0.1
  done
  rm "$DIR/go"
  "$CRIU" restore --images-dir "$DIR/restore" --log-file "$DIR/restore.log" -v4 -d || { tail -n 40 "$DIR/restore.log" >&2; exit 1; }
  ask "word-$number" >>"$DIR/said"
done
"#;

/// What becomes of the chain in `chain/0` before criu restores `restore`.
type Way = fn(&Path);

fn icecore(words: &[&str], dir: &Path) {
    let output = Command::new(env!("CARGO_BIN_EXE_icecore")).args(words).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

const WAYS: [(&str, Way); 4] = [
    ("made one dump", |dir| {
        icecore(&["flatten", "chain/0", "-o", "restore"], dir);
        fs::remove_dir_all(dir.join("chain")).unwrap();
    }),
    ("converted to version 2, and made one dump", |dir| {
        for level in (0..3).rev() {
            let mut how = Convert::default();
            let bundle = |level: u32| dir.join(format!("chain/{level}.criu"));
            how.pages.parent = (level < 2).then(|| bundle(level + 1));
            let source = dir.join(format!("chain/{level}"));
            convert(&source, Target::Bundle(&bundle(level)), &how, (&Silent, &Cancel::default())).unwrap();
            fs::remove_dir_all(source).unwrap();
        }
        icecore(&["flatten", "chain/0.criu", "-o", "restore"], dir);
    }),
    ("with holes in its ancestors", |dir| {
        icecore(&["dedup", "chain/0"], dir);
        std::os::unix::fs::symlink("chain/0", dir.join("restore")).unwrap();
    }),
    ("with holes in its ancestors, and made one dump", |dir| {
        icecore(&["dedup", "chain/0"], dir);
        icecore(&["flatten", "chain/0", "-o", "restore"], dir);
        fs::remove_dir_all(dir.join("chain")).unwrap();
    }),
];

#[test]
fn out_of_a_chain_it_is_still_itself() {
    let Some(criu) = oracle::criu() else { return };
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path();
    fs::write(directory.join("program.py"), living::PROGRAM).unwrap();
    let mut inside = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/in-pid-namespace"))
        .args(["bash", "-c", &format!("{}{INSIDE}", living::BEGIN), "inside", &WAYS.len().to_string()])
        .env("DIR", directory)
        .env("CRIU", criu)
        .env_remove("RUST_BACKTRACE")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    for (name, way) in WAYS {
        let dumped = directory.join("dumped");
        while !dumped.exists() {
            if inside.try_wait().unwrap().is_some() {
                let output = inside.wait_with_output().unwrap();
                panic!("before {name}: {}", String::from_utf8_lossy(&output.stderr));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        for old in ["restore", "chain"] {
            let old = directory.join(old);
            if old.is_symlink() {
                fs::remove_file(old).unwrap();
            } else if old.exists() {
                fs::remove_dir_all(old).unwrap();
            }
        }
        let chain = directory.join("chain");
        fs::create_dir(&chain).unwrap();
        let newest = dealt(&dumped, &chain);
        assert!(names(&newest).contains(&"parent".to_owned()));
        fs::remove_dir_all(&dumped).unwrap();
        way(directory);
        fs::write(directory.join("go"), "").unwrap();
    }
    let output = inside.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let words: Vec<_> = (1..).zip(WAYS).map(|(number, (way, _))| (format!("word-{number}"), way)).collect();
    living::still_itself(directory, &words, &told);
}
