//! Two processes that can be asked whether they are still themselves. They run in namespaces of their own, so that criu can
//! dump and restore them.

use std::fs;
use std::path::Path;

/// What they know is a table that the child has changed in its copy, memory they share, a pipe, a file that stays open,
/// and how often they were asked.
pub const PROGRAM: &str = r#"
import hashlib, mmap, os, random, sys
folder = sys.argv[1]
random.seed(7)
table = bytearray(random.randbytes(3 << 20)) + bytearray(1 << 20) + bytearray(b"heap " * 100000)
shared = mmap.mmap(-1, 1 << 20)
shared[:12] = b"shared bytes"
shared[9 << 16:(9 << 16) + 4096] = random.randbytes(4096)
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
                   f"{hashlib.sha256(shared[1 << 16:]).hexdigest()} {bytes(shared[200:264])} "
                   f"{bytes(shared[100:100 + len(word)])} {log.tell()}\n")
"#;

/// How a script of process 1 begins: the program in `$DIR/program.py` runs as `$leader`, and is `ask`ed a word; what
/// it says goes to `$DIR/said`.
pub const BEGIN: &str = r#"
set -e
cd /
mkfifo "$DIR/ask" "$DIR/answer"
setsid env -i python3 "$DIR/program.py" "$DIR" </dev/null >/dev/null 2>&1 &
leader=$!
ask() { timeout 20 bash -c 'echo "$1" >"$DIR/ask"; cat "$DIR/answer"' ask "$1"; }
ask one >"$DIR/said"
"#;

/// Looks whether what was said before, when asked `one`, and each time after, when asked these words, is said by the same
/// processes with the same memory. Each word comes with what had been done.
pub fn still_itself(directory: &Path, words: &[(String, &str)], told: &str) {
    let said = fs::read_to_string(directory.join("said")).unwrap();
    let said: Vec<Vec<&str>> = said.lines().map(|line| line.split(' ').collect()).collect();
    assert_eq!(said.len(), words.len() + 1, "{told}");
    let mut log = 0;
    let before = [("one".to_owned(), "before")];
    for (number, (line, (word, way))) in said.iter().zip(before.iter().chain(words)).enumerate() {
        log += word.len() + 1;
        assert_eq!(line[0], (number + 1).to_string(), "{way}");
        assert_eq!(line[1..8], said[0][1..8], "{way}: pids, tables and shared memory");
        assert_eq!(line[8], format!("b'{word}'"), "{way}: what the child was told");
        assert_eq!(line[9], log.to_string(), "{way}: the file that stays open");
    }
    assert_ne!(said[0][3], &said[0][7][2..66], "the child has a table of its own");
    assert_eq!(fs::read_to_string(directory.join("log")).unwrap().lines().count(), said.len());
}
