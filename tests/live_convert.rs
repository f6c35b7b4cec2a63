//! A process tree, dumped by the criu of this machine, converted to version 2, deleted, converted back, restored by
//! criu: is it still itself? Needs root, python3, and a criu of version 4 or newer: `ICECORE_CRIU`, or
//! `tests/tools/install-criu target/criu`, or one in PATH.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr)]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{living, oracle};

/// Goes on in namespaces of its own, as process 1.
const INSIDE: &str = r#"
number=1
for words in "$@"; do
  number=$((number + 1))
  mkdir "$DIR/images"
  "$CRIU" dump --tree "$leader" --images-dir "$DIR/images" --log-file "$DIR/dump.log" -v4 || { tail -n 20 "$DIR/dump.log" >&2; exit 1; }
  rm "$DIR"/images/stats-dump
  (cd "$DIR/images" && find . -type f -exec sha256sum {} + | sort) >"$DIR/sums"
  # shellcheck disable=SC2086 # several words
  "$ICECORE" convert "$DIR/images" $words
  rm -r "$DIR/images"
  "$ICECORE" convert "$DIR/it.criu" -o "$DIR/images" --to v1
  (cd "$DIR/images" && find . -type f -exec sha256sum {} + | sort) | diff "$DIR/sums" -
  rm -r "$DIR/it.criu"
  "$CRIU" restore --images-dir "$DIR/images" --log-file "$DIR/restore.log" -v4 -d || { tail -n 20 "$DIR/restore.log" >&2; exit 1; }
  rm -r "$DIR/images"
  ask "word-$number" >>"$DIR/said"
done
"#;

#[test]
fn converted_there_and_back_it_is_still_itself() {
    let Some(criu) = oracle::criu() else { return };
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path();
    fs::write(directory.join("program.py"), living::PROGRAM).unwrap();
    let bundle = format!("-o {}", directory.join("it.criu").display());
    let ways = [
        bundle.clone(),
        format!("{bundle} --compress lz4"),
        format!("{bundle} --compress zstd --to v2"),
        format!("{bundle} --no-share"),
    ];
    let output = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/in-pid-namespace"))
        .args(["bash", "-c", &format!("{}{INSIDE}", living::BEGIN), "inside"])
        .args(&ways)
        .env("DIR", directory)
        .env("CRIU", criu)
        .env("ICECORE", env!("CARGO_BIN_EXE_icecore"))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stdout));
    let words: Vec<_> = (2..).zip(&ways).map(|(number, way)| (format!("word-{number}"), way.as_str())).collect();
    living::still_itself(directory, &words, &told);
}
