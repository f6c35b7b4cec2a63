//! A process tree, dumped by the criu of this machine, converted to version 2, deleted, converted back, restored by
//! criu: is it still itself? Needs root, python3, and a criu of version 4 or newer: `ICECORE_CRIU`, or
//! `tests/tools/install-criu target/criu`, or one in PATH.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr)]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::oracle;

/// Two processes: what they know is a table that the child has changed in its copy, memory they share, a pipe, a file
/// that stays open, and how often they were asked.
const PROGRAM: &str = r#"
import hashlib, mmap, os, random, sys
folder = sys.argv[1]
random.seed(7)
table = bytearray(random.randbytes(3 << 20)) + bytearray(1 << 20) + bytearray(b"heap " * 100000)
shared = mmap.mmap(-1, 1 << 20)
shared[:12] = b"shared bytes"
read, write = os.pipe()
log = open(folder + "/log", "w+")
child = os.fork()
if child == 0:
    os.close(write)
    table[5] ^= 255
    while line := os.read(read, 100):
        shared[100:100 + len(line)] = line
        shared[200:264] = hashlib.sha256(table).hexdigest().encode()
        shared[300] += 1
    os._exit(0)
asked = 0
while True:
    with open(folder + "/ask") as file:
        word = file.read().strip()
    asked += 1
    os.write(write, word.encode())
    while shared[300] < asked:
        os.sched_yield()
    log.write(word + "\n")
    log.flush()
    with open(folder + "/answer", "w") as file:
        file.write(f"{asked} {os.getpid()} {child} {hashlib.sha256(table).hexdigest()} {bytes(shared[:12])} "
                   f"{bytes(shared[100:100 + len(word)])} {bytes(shared[200:264])} {log.tell()}\n")
"#;

/// Runs in namespaces of its own, as process 1.
const INSIDE: &str = r#"
set -e
cd /
mkfifo "$DIR/ask" "$DIR/answer"
setsid env -i python3 "$DIR/program.py" "$DIR" </dev/null >/dev/null 2>&1 &
leader=$!
ask() { timeout 20 bash -c 'echo "$1" >"$DIR/ask"; cat "$DIR/answer"' ask "$1"; }
ask one >"$DIR/said"
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
    fs::write(directory.join("program.py"), PROGRAM).unwrap();
    let bundle = format!("-o {}", directory.join("it.criu").display());
    let ways = [
        bundle.clone(),
        format!("{bundle} --compress lz4"),
        format!("{bundle} --compress zstd --to v2"),
        format!("{bundle} --no-share"),
    ];
    let output = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/in-pid-namespace"))
        .args(["bash", "-c", INSIDE, "inside"])
        .args(&ways)
        .env("DIR", directory)
        .env("CRIU", criu)
        .env("ICECORE", env!("CARGO_BIN_EXE_icecore"))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stdout));

    let said = fs::read_to_string(directory.join("said")).unwrap();
    let said: Vec<Vec<&str>> = said.lines().map(|line| line.split(' ').collect()).collect();
    assert_eq!(said.len(), ways.len() + 1, "{told}");
    let mut log = 0;
    for (number, line) in said.iter().enumerate() {
        let word = if number == 0 { "one".to_owned() } else { format!("word-{}", number + 1) };
        log += word.len() + 1;
        assert_eq!(line[0], (number + 1).to_string());
        assert_eq!(line[1..6], said[0][1..6], "pids, table and shared memory");
        assert_eq!(line[6], format!("b'{word}'"), "what the child was told");
        assert_eq!(line[7], said[0][7], "the child's table");
        assert_eq!(line[8], log.to_string());
    }
    assert_ne!(said[0][3], &said[0][7][2..66], "the child has a table of its own");
    assert_eq!(fs::read_to_string(directory.join("log")).unwrap().lines().count(), said.len());
}
