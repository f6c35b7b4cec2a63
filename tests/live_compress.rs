//! A process with some hundred MiB of memory, dumped by the criu of this machine, compressed and decompressed by icecore
//! and by crit in turn, restored by criu: is it still itself? Debian's criu is built without LZ4, so what it restores is
//! decompressed. Needs root, python3, crit 4.3, and a criu of version 4 or newer; see `live_convert.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr)]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::oracle;

/// What it knows: memory that packs well, memory that does not, zeros, memory shared with a child, and how often it was
/// asked.
const PROGRAM: &str = r#"
import hashlib, mmap, os, random, sys
folder, mib = sys.argv[1], int(sys.argv[2])
random.seed(7)
noise = random.randbytes(mib << 18)
words = b"".join(b"line %d of a log that goes on and on\n" % line for line in range(mib * 14000))
table = bytearray(noise) + bytearray(mib << 18) + bytearray(words)
shared = mmap.mmap(-1, 4 << 20)
shared[: 1 << 20] = words[: 1 << 20]
read, write = os.pipe()
if os.fork() == 0:
    os.close(write)
    while os.read(read, 1):
        shared[2 << 20] += 1
    os._exit(0)
asked = 0
while True:
    with open(folder + "/ask") as file:
        file.read()
    asked += 1
    os.write(write, b"x")
    while shared[2 << 20] < asked:
        os.sched_yield()
    sums = [hashlib.sha256(memory).hexdigest() for memory in (table, shared[: 1 << 20])]
    with open(folder + "/answer", "w") as file:
        file.write(f"{asked} {os.getpid()} {' '.join(sums)}\n")
"#;

/// Runs in namespaces of its own, as process 1.
const INSIDE: &str = r#"
set -e
cd /
mkfifo "$DIR/ask" "$DIR/answer"
setsid env -i python3 "$DIR/program.py" "$DIR" "$MIB" </dev/null >/dev/null 2>&1 &
leader=$!
ask() { timeout 60 bash -c 'echo >"$1/ask"; cat "$1/answer"' ask "$DIR"; }
sums() { (cd "$DIR/images" && find . -type f ! -name inventory.img ! -name '*.bak' -exec sha256sum {} + | sort); }
crit() { "$CRIT" "$@"; }
icecore() { "$ICECORE" crit "$@"; }
ask >"$DIR/said"
for way in "icecore icecore" "icecore --block 64K crit" "crit icecore"; do
  mkdir "$DIR/images"
  "$CRIU" dump --tree "$leader" --images-dir "$DIR/images" --log-file "$DIR/dump.log" -v4 || { tail -n 20 "$DIR/dump.log" >&2; exit 1; }
  rm "$DIR"/images/stats-dump
  sums >"$DIR/sums"
  set -- $way
  packs=$1
  unpacks=${!#}
  options=("${@:2:$#-2}")
  before=$(du -sk "$DIR/images" | cut -f 1)
  $packs compress --in-place "${options[@]}" "$DIR/images"
  after=$(du -sk "$DIR/images" | cut -f 1)
  [ $((after * 10)) -lt $((before * 8)) ] || { echo "$before KiB became $after" >&2; exit 1; }
  $unpacks decompress --in-place "$DIR/images"
  sums | diff "$DIR/sums" -
  "$CRIU" restore --images-dir "$DIR/images" --log-file "$DIR/restore.log" -v4 -d || { tail -n 20 "$DIR/restore.log" >&2; exit 1; }
  rm -r "$DIR/images"
  ask >>"$DIR/said"
done
"#;

#[test]
fn compressed_and_decompressed_it_is_still_itself() {
    let (Some(criu), Some(crit)) = (oracle::criu(), oracle::crit()) else { return };
    let folder = common::packing::folder();
    let directory = folder.path();
    fs::write(directory.join("program.py"), PROGRAM).unwrap();
    let output = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/in-pid-namespace"))
        .args(["bash", "-c", INSIDE, "inside"])
        .env("DIR", directory)
        // a megabyte of noise, of zeros and of words for each four
        .env("MIB", std::env::var_os("ICECORE_LIVE_MIB").unwrap_or_else(|| "64".into()))
        .env("CRIU", criu)
        .env("CRIT", crit)
        .env("ICECORE", env!("CARGO_BIN_EXE_icecore"))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stdout));
    let said = fs::read_to_string(directory.join("said")).unwrap();
    let said: Vec<Vec<&str>> = said.lines().map(|line| line.split(' ').collect()).collect();
    assert_eq!(said.len(), 4, "{told}");
    for (number, line) in said.iter().enumerate() {
        assert_eq!(line[0], (number + 1).to_string());
        assert_eq!(line[1..], said[0][1..], "pid and memory");
    }
}
