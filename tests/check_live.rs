//! Defects planted in a dump that CRIU made just now: where CRIU refuses to restore it, or hangs, `check` has said so;
//! and what is undamaged is restored, and `check` finds nothing. Needs root, python3, and a criu of version 4 or newer:
//! `ICECORE_CRIU`, or `tests/tools/install-criu target/criu`, or one in PATH.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr)]
#![allow(clippy::cast_possible_truncation)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::oracle;
use common::plant::{Found, Plant, checked, scratch};
use common::writer::message;
use icecore::tool::check::{Check, Severity};
use serde_json::Value;

const PAGE: usize = 4096;

/// Two processes: a table that the child has changed in its copy, and memory that they share.
const PROGRAM: &str = r#"
import hashlib, mmap, os, random, sys
folder = sys.argv[1]
random.seed(7)
table = bytearray(random.randbytes(1 << 20)) + bytearray(b"heap " * 100000)
shared = mmap.mmap(-1, 1 << 20)
shared[:12] = b"shared bytes"
read, write = os.pipe()
child = os.fork()
if child == 0:
    os.close(write)
    table[5] ^= 255
    while line := os.read(read, 100):
        shared[200:264] = hashlib.sha256(table).hexdigest().encode()
        shared[300:300 + len(line)] = line
    os._exit(0)
while True:
    with open(folder + "/ask") as file:
        word = file.read().strip()
    os.write(write, word.encode())
    while shared[300:300 + len(word)] != word.encode():
        os.sched_yield()
    with open(folder + "/answer", "w") as file:
        file.write(f"{os.getpid()} {child} {hashlib.sha256(table).hexdigest()} {bytes(shared[:12])} "
                   f"{bytes(shared[200:264])}\n")
"#;

/// Runs in namespaces of its own, as process 1.
const DUMP: &str = r#"
set -e
cd /
echo 1000 >/proc/sys/kernel/ns_last_pid
mkfifo "$DIR/ask" "$DIR/answer"
setsid env -i python3 "$DIR/program.py" "$DIR" </dev/null >/dev/null 2>&1 &
leader=$!
timeout 20 bash -c 'echo one >"$DIR/ask"; cat "$DIR/answer"' >"$DIR/said"
mkdir "$DIR/images"
"$CRIU" dump --tree "$leader" --images-dir "$DIR/images" --log-file "$DIR/dump.log" -v4 || { tail -n 20 "$DIR/dump.log" >&2; exit 1; }
"#;

/// The same, later. Each line says what became of a dump: how criu ended, and what the process said.
const RESTORE: &str = r#"
cd /
echo 5000 >/proc/sys/kernel/ns_last_pid
word=0
while read -r name dump; do
  word=$((word + 1))
  rm -f "$DIR/answer" "$DIR/ask"
  mkfifo "$DIR/ask" "$DIR/answer"
  timeout -s KILL 8 "$CRIU" restore --images-dir "$dump" --log-file "$DIR/log-$name" -v4 -d </dev/null >/dev/null 2>&1
  status=$?
  said=
  if [ $status = 0 ]; then
    said=$(timeout -s KILL 5 bash -c 'echo "$1" >"$DIR/ask"; cat "$DIR/answer"' ask "$word")
  fi
  kill -KILL -1
  for try in $(seq 100); do
    set -- /proc/[0-9]*
    [ $# = 1 ] && break
    sleep 0.02
  done
  echo "$name $status $said"
done <"$DIR/list"
"#;

fn inside(script: &str, directory: &Path, criu: &Path) -> String {
    let output = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/in-pid-namespace"))
        .args(["bash", "-c", script])
        .env("DIR", directory)
        .env("CRIU", criu)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stdout).unwrap()
}

/// A dump, and what was done to it.
struct Case {
    name: &'static str,
    plant: Plant,
}

/// What is known of the dump that all are made of.
struct Base {
    images: PathBuf,
    /// Pagemap and pages file of the first process.
    pagemap: String,
    pages: String,
    other: String,
    pid: u64,
    cases: Vec<Case>,
}

impl Base {
    fn new(images: &Path) -> Self {
        let plant = Plant::of(images);
        let tree = plant.json("pstree.img");
        let pids: Vec<u64> =
            tree["entries"].as_array().unwrap().iter().map(|one| one["pid"].as_u64().unwrap()).collect();
        let pagemap = format!("pagemap-{}.img", pids[0]);
        let pages = format!("pages-{}.img", plant.json(&pagemap)["entries"][0]["pages_id"]);
        let other = format!("pagemap-{}.img", pids[1]);
        Self { images: images.to_owned(), pagemap, pages, other, pid: pids[0], cases: Vec::new() }
    }

    fn case(&mut self, name: &'static str, harm: impl FnOnce(&Self, &Plant)) {
        let plant = Plant::of(&self.images);
        harm(self, &plant);
        self.cases.push(Case { name, plant });
    }

    /// Harm to the entries of the first pagemap.
    fn entries(&mut self, name: &'static str, harm: impl FnOnce(&mut Vec<Value>)) {
        self.case(name, |base, plant| plant.entries(&base.pagemap, harm));
    }

    /// Harm to the wire form of entry 2 of the first pagemap: its flags and number of pages.
    fn entry(&mut self, name: &'static str, flags: u64, pages: Option<u64>) {
        self.case(name, |base, plant| {
            let entry = &plant.json(&base.pagemap)["entries"][2];
            let vaddr = number(&entry["vaddr"]);
            let pages = pages.unwrap_or(entry["nr_pages"].as_u64().unwrap());
            plant.message(&base.pagemap, 2, |bytes| {
                *bytes = message().uint(1, vaddr).uint(2, 0).uint(4, flags).uint(5, pages).0;
            });
        });
    }

    /// As a chain of two: half of the entries of the first process are left to a parent.
    fn chain(&mut self, name: &'static str, harm: impl FnOnce(&Self, &Plant, &Path)) {
        self.case(name, |base, plant| {
            let parent = plant.path().join("before");
            fs::create_dir(&parent).unwrap();
            for file in ["inventory.img", &base.pagemap, &base.pages] {
                fs::copy(plant.image(file), parent.join(file)).unwrap();
            }
            symlink("before", plant.path().join("parent")).unwrap();
            let (mut at, mut left) = (0, Vec::new());
            let pages = fs::read(plant.image(&base.pages)).unwrap();
            plant.entries(&base.pagemap, |entries| {
                for (number, entry) in entries.iter_mut().enumerate().skip(1) {
                    let length = entry["nr_pages"].as_u64().unwrap() as usize * PAGE;
                    if number % 2 == 0 {
                        entry["flags"] = "PE_PARENT".into();
                    } else {
                        left.extend_from_slice(&pages[at..at + length]);
                    }
                    at += length;
                }
            });
            plant.write(&base.pages, &left);
            harm(base, plant, &parent);
        });
    }
}

/// An address in JSON.
fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| u64::from_str_radix(&value.as_str().unwrap()[2..], 16).unwrap())
}

fn memory(base: &mut Base) {
    base.case("pages-short-by-a-byte", |base, plant| plant.resize(&base.pages, plant.size(&base.pages) - 1));
    base.case("pages-short-by-half", |base, plant| plant.resize(&base.pages, plant.size(&base.pages) / 2));
    base.case("pages-empty", |base, plant| plant.resize(&base.pages, 0));
    base.case("pages-missing", |base, plant| plant.remove(&base.pages));
    base.case("pages-long", |base, plant| plant.resize(&base.pages, plant.size(&base.pages) + 5));
    base.case("pages-of-another", |base, plant| {
        let other = plant.json(&base.other)["entries"][0].clone();
        plant.entries(&base.pagemap, |entries| entries[0] = other);
    });
    base.case("pagemap-missing", |base, plant| plant.remove(&base.pagemap));
    base.case("pagemap-cut", |base, plant| plant.resize(&base.pagemap, plant.size(&base.pagemap) - 3));
    base.case("pagemap-cut-between-entries", |base, plant| {
        let last = plant.json(&base.pagemap)["entries"].as_array().unwrap().len() - 1;
        let bytes = fs::read(plant.image(&base.pagemap)).unwrap();
        let image = icecore::Image::open(&base.pagemap, bytes.into(), icecore::base::Limits::default()).unwrap();
        plant.resize(&base.pagemap, image.get(last).unwrap().offset());
    });
    base.entries("pagemap-overlap", |entries| entries[3]["vaddr"] = entries[2]["vaddr"].clone());
    base.entries("pagemap-descending", |entries| entries.swap(2, 3));
    base.entries("pagemap-unaligned", |entries| {
        entries[2]["vaddr"] = format!("{:#x}", number(&entries[2]["vaddr"]) + 16).into();
    });
    base.entries("pagemap-unmapped", |entries| entries[1]["vaddr"] = "0x10000".into());
    base.case("pagemap-in-shared-memory", |base, plant| {
        let mm = plant.json(&format!("mm-{}.img", base.pid));
        let vmas = mm["entries"][0]["vmas"].as_array().unwrap();
        let shared = vmas.iter().find(|vma| vma["flags"].as_u64().unwrap() & 1 == 1).unwrap();
        let start = shared["start"].clone();
        plant.entries(&base.pagemap, |entries| {
            let at = number(&start);
            let before = entries.iter().skip(1).rposition(|entry| number(&entry["vaddr"]) < at).unwrap() + 1;
            entries[before]["vaddr"] = start;
            let all = entries[before]["nr_pages"].as_u64().unwrap();
            assert!(all < 256);
        });
    });
    base.entry("pagemap-no-pages", 4, Some(0));
    base.entry("pagemap-too-many-pages", 4, Some(1 << 53));
    base.entry("pagemap-flags-unknown", 0x44, None);
    base.entry("pagemap-here-and-parent", 5, None);
    base.entry("pagemap-aligned-alone", 9, None);
    base.entry("pagemap-parent-without-one", 1, None);
    base.case("segment-missing", |_, plant| {
        let names = plant.names();
        let name = names.iter().find(|name| name.starts_with("pagemap-shmem-")).unwrap();
        plant.remove(name);
    });
    base.case("parent-dangling", |_, plant| symlink("nowhere", plant.path().join("parent")).unwrap());
}

fn chains(base: &mut Base) {
    base.chain("chain", |_, _, _| {});
    base.chain("chain-without-link", |_, plant, _| fs::remove_file(plant.path().join("parent")).unwrap());
    base.chain("chain-dangling", |_, _, parent| fs::rename(parent, parent.with_file_name("elsewhere")).unwrap());
    base.chain("chain-circle", |base, plant, parent| {
        fs::copy(plant.image(&base.pagemap), parent.join(&base.pagemap)).unwrap();
        symlink("..", parent.join("parent")).unwrap();
    });
    base.chain("chain-pagemap-missing", |base, _, parent| fs::remove_file(parent.join(&base.pagemap)).unwrap());
    base.chain("chain-pages-missing", |base, _, parent| fs::remove_file(parent.join(&base.pages)).unwrap());
    base.chain("chain-pages-short", |base, _, parent| {
        let pages = parent.join(&base.pages);
        let length = fs::metadata(&pages).unwrap().len();
        fs::OpenOptions::new().write(true).open(pages).unwrap().set_len(length / 2).unwrap();
    });
    base.chain("chain-hole", |base, plant, parent| {
        // the parent's pagemap ends before the last pages
        let count = plant.json(&base.pagemap)["entries"].as_array().unwrap().len();
        let bytes = fs::read(parent.join(&base.pagemap)).unwrap();
        let image = icecore::Image::open(&base.pagemap, bytes.into(), icecore::base::Limits::default()).unwrap();
        let end = image.get(count / 2).unwrap().offset();
        fs::OpenOptions::new().write(true).open(parent.join(&base.pagemap)).unwrap().set_len(end).unwrap();
    });
    base.chain("chain-pagemap-cut", |base, _, parent| {
        let file = fs::OpenOptions::new().write(true).open(parent.join(&base.pagemap)).unwrap();
        file.set_len(file.metadata().unwrap().len() / 2 + 1).unwrap();
    });
}

fn images(base: &mut Base) {
    for name in ["inventory.img", "pstree.img", "files.img"] {
        base.case(
            match name {
                "inventory.img" => "inventory-missing",
                "pstree.img" => "pstree-missing",
                _ => "files-missing",
            },
            |_, plant| plant.remove(name),
        );
    }
    base.case("core-missing", |base, plant| plant.remove(&format!("core-{}.img", base.pid)));
    base.case("mm-missing", |base, plant| plant.remove(&format!("mm-{}.img", base.pid)));
    base.case("mm-cut", |base, plant| {
        let mm = format!("mm-{}.img", base.pid);
        plant.resize(&mm, plant.size(&mm) - 7);
    });
    base.case("core-cut", |base, plant| plant.resize(&format!("core-{}.img", base.pid), 100));
    base.case("mm-magic", |base, plant| plant.bytes(&format!("mm-{}.img", base.pid), |bytes| bytes[4] ^= 1));
    base.case("inventory-version", |_, plant| {
        plant.entries("inventory.img", |entries| entries[0]["img_version"] = 7.into());
    });
    base.case("inventory-compress", |_, plant| {
        plant.entries("inventory.img", |entries| entries[0]["compress"] = 1.into());
    });
}

fn worst(found: &Found) -> Option<Severity> {
    found.findings.iter().map(|finding| finding.severity).max().filter(|worst| *worst > Severity::Note)
}

/// What CRIU does not mind, or not always, and `check` calls an error all the same; and why.
const STRICTER: &[(&str, &str)] = &[];

#[test]
fn criu_refuses_nothing_that_check_had_not_found() {
    let Some(criu) = oracle::criu() else { return };
    let folder = scratch();
    let directory = folder.path();
    fs::write(directory.join("program.py"), PROGRAM).unwrap();
    inside(DUMP, directory, &criu);
    let said = fs::read_to_string(directory.join("said")).unwrap();
    let mut base = Base::new(&directory.join("images"));
    base.case("whole", |_, _| {});
    memory(&mut base);
    chains(&mut base);
    images(&mut base);

    let mut list = String::new();
    let mut found: BTreeMap<&str, Found> = BTreeMap::new();
    for case in &base.cases {
        list += &format!("{} {}\n", case.name, case.plant.path().display());
        found.insert(case.name, checked(case.plant.path(), &Check::default()));
    }
    fs::write(directory.join("list"), list).unwrap();
    let told = inside(RESTORE, directory, &criu);
    let (mut wrong, mut refused, mut hung) = (Vec::new(), 0, 0);
    assert_eq!(told.lines().count(), base.cases.len(), "{told}");
    for line in told.lines() {
        let mut words = line.splitn(3, ' ');
        let (name, status, answer) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap_or(""));
        let found = &found[name];
        let is_restored = status == "0" && answer.trim() == said.trim();
        refused += u32::from(status != "0" && status != "137");
        hung += u32::from(status == "137");
        let worst = worst(found);
        let log = fs::read_to_string(directory.join(format!("log-{name}"))).unwrap_or_default();
        let mut errors = log.lines().filter(|line| line.contains("Error") && !line.contains("rlimit"));
        let last = errors.next().unwrap_or("").to_owned();
        eprintln!("{name}: criu {status}{}, check {worst:?}; {last}", if is_restored { ", itself" } else { "" });
        let is_stricter = STRICTER.iter().any(|(known, _)| *known == name);
        let is_right = match (is_restored, worst) {
            (true, Some(Severity::Error)) => is_stricter,
            (true, _) => !is_stricter,
            // CRIU noticed nothing, and the process is another
            (false, worst) if status == "0" => worst.is_some(),
            (false, worst) => worst == Some(Severity::Error),
        };
        if !is_right {
            wrong.push(format!("{name}: criu ended with {status}, restored {is_restored}\n{}", found.text()));
        }
    }
    assert_eq!(found["whole"].findings.iter().filter(|one| one.severity > Severity::Note).count(), 0);
    eprintln!("{} dumps: criu refused {refused}, hung on {hung}", base.cases.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(refused + hung >= 20, "{told}");
}
