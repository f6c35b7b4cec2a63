//! What CRIU does with planted defects of tasks, their images and the numbers that lead from one to another: processes
//! are dumped, a defect planted in a copy of the dump, and the copy restored. Where CRIU refuses or hangs, `check` had
//! said so. Needs root, python3, and a criu of version 4 or newer: `ICECORE_CRIU`, or `tests/tools/install-criu
//! target/criu`, or one in PATH.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use common::oracle;
use common::plant::Plant;
use icecore::tool::check::Severity;
use serde_json::{Value, json};

/// A task with a second thread, a timer and a terminal; a child that is filtered; and one that has ended.
const PROGRAM: &str = r#"
import ctypes, os, pty, signal, struct, sys, threading, time
folder = sys.argv[1]
libc = ctypes.CDLL(None, use_errno=True)
memory = os.memfd_create("memory")
os.write(memory, b"m" * 8192)
event = os.eventfd(7)
master, slave = pty.openpty()
if os.fork() == 0:
    os._exit(3)
if os.fork() == 0:
    program = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0x7fff0000))
    filters = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", 1, ctypes.addressof(program)))
    assert libc.prctl(38, 1, 0, 0, 0) == 0
    assert libc.prctl(22, 2, filters, 0, 0) == 0
    open(f"{folder}/filtered", "w").close()
    while True:
        time.sleep(1)
own = os.eventfd(9)
signal.setitimer(signal.ITIMER_VIRTUAL, 1000, 1000)
event_of = ctypes.create_string_buffer(struct.pack("QiiQQQQQQ", 0, 0, 1, 0, 0, 0, 0, 0, 0))
timer = ctypes.c_void_p()
assert libc.timer_create(1, event_of, ctypes.byref(timer)) == 0
threading.Thread(target=lambda: time.sleep(1 << 30), daemon=True).start()
while not os.path.exists(f"{folder}/filtered"):
    time.sleep(0.01)
open(f"{folder}/ready", "w").close()
while True:
    time.sleep(1)
"#;

const DUMP: &str = r#"
set -e
cd /
echo 6000 >/proc/sys/kernel/ns_last_pid
setsid env -i python3 "$DIR/program.py" "$DIR" </dev/null >/dev/null 2>&1 &
leader=$!
for try in $(seq 200); do [ -e "$DIR/ready" ] && break; sleep 0.05; done
mkdir "$DIR/images"
"$CRIU" dump --tree "$leader" --images-dir "$DIR/images" --log-file "$DIR/dump.log" -v4 \
  || { tail -n 20 "$DIR/dump.log" >&2; exit 1; }
"#;

/// Restores each dump it is given. Exit status 0 is restored, 124 hung.
const RESTORE: &str = r#"
cd /
for dump in "$@"; do
  rm -f "$DIR/pid"
  timeout -k 1 10 "$CRIU" restore --images-dir "$dump" --log-file "$DIR/restore.log" -v4 -d --pidfile "$DIR/pid" \
    >/dev/null 2>&1
  status=$?
  [ -e "$DIR/pid" ] && kill -9 "$(cat "$DIR/pid")" 2>/dev/null
  sleep 0.05
  echo "$status $dump $(grep -a Error "$DIR/restore.log" | grep -v RLIMIT_NOFILE | cut -d: -f2- | head -n 1)"
  # what a failed restore left behind would be in the way of the next
  kill -9 -1 2>/dev/null
done
exit 0
"#;

/// What CRIU does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Does {
    /// It refuses, dies or hangs.
    Stops,
    /// It restores something else than was dumped.
    Restores,
}
use Does::{Restores, Stops};

type Change = Box<dyn Fn(&Plant)>;

/// Who is who in the dump.
struct Base {
    leader: u64,
    thread: u64,
    filtered: u64,
    zombie: u64,
}

impl Base {
    fn of(plant: &Plant) -> Self {
        let document = plant.json("pstree.img");
        let tasks = document["entries"].as_array().unwrap();
        let pid = |task: &Value| task["pid"].as_u64().unwrap();
        let leader = tasks.iter().find(|task| task["ppid"] == 0).unwrap();
        let is_zombie = |task: &&Value| {
            plant.json(&format!("core-{}.img", pid(task)))["entries"][0]["tc"]["task_state"] == 2
                || !plant.image(&format!("mm-{}.img", pid(task))).exists()
        };
        let zombie = pid(tasks.iter().find(is_zombie).unwrap());
        let filtered = tasks.iter().map(pid).find(|other| *other != pid(leader) && *other != zombie).unwrap();
        let thread = leader["threads"].as_array().unwrap().iter().filter_map(Value::as_u64);
        let thread = thread.into_iter().find(|tid| *tid != pid(leader)).unwrap();
        Self { leader: pid(leader), thread, filtered, zombie }
    }
}

/// Changes the first entry of an image.
fn head(image: String, change: impl Fn(&mut Value) + 'static) -> Change {
    Box::new(move |plant| plant.entries(&image, |entries| change(&mut entries[0])))
}

fn tree(change: impl Fn(&mut Vec<Value>) + 'static) -> Change {
    Box::new(move |plant| plant.entries("pstree.img", &change))
}

fn remove(image: String) -> Change {
    Box::new(move |plant| plant.remove(&image))
}

fn first(kind: &'static str, change: impl Fn(&mut Value) + 'static) -> Change {
    Box::new(move |plant| {
        let (at, _) = plant.find("files.img", |file| file["type"] == kind);
        plant.entries("files.img", |entries| change(&mut entries[at]));
    })
}

fn take(value: &mut Value, field: &str) {
    value.as_object_mut().unwrap().remove(field).unwrap_or_else(|| panic!("no {field} in {value}"));
}

/// The defects: the rule that finds each, what CRIU does, and how to plant it.
fn defects(base: &Base) -> Vec<(&'static str, Does, Change)> {
    let &Base { leader, thread, filtered, zombie } = base;
    let core = move |of: u64| format!("core-{of}.img");
    let mm = move |of: u64| format!("mm-{of}.img");
    let of_mm = |change: fn(&mut Value)| head(mm(filtered), change);
    let of_core = |change: fn(&mut Value)| head(core(filtered), change);
    vec![
        ("core-missing", Stops, remove(core(thread))),
        ("core-missing", Stops, remove(core(zombie))),
        ("mm-missing", Stops, remove(mm(filtered))),
        ("fs-missing", Stops, remove(format!("fs-{filtered}.img"))),
        ("ids-missing", Stops, remove(format!("ids-{filtered}.img"))),
        (
            "fdinfo-missing",
            Restores,
            Box::new(move |plant| {
                let table = plant.json(&format!("ids-{leader}.img"))["entries"][0]["files_id"].clone();
                plant.remove(&format!("fdinfo-{table}.img"));
            }),
        ),
        ("inventory-missing", Stops, remove("inventory.img".to_owned())),
        ("pstree-missing", Stops, remove("pstree.img".to_owned())),
        ("parent-missing", Stops, tree(|tasks| tasks[1]["ppid"] = 9999.into())),
        ("parent-later", Stops, tree(|tasks| tasks.reverse())),
        ("root-twice", Stops, tree(|tasks| tasks[1]["ppid"] = 0.into())),
        ("task-twice", Stops, tree(|tasks| tasks.push(tasks[1].clone()))),
        (
            "thread-twice",
            Stops,
            tree(move |tasks| {
                let with = tasks.iter().position(|task| task["pid"] == filtered).unwrap();
                tasks[with]["threads"].as_array_mut().unwrap().push(thread.into());
            }),
        ),
        ("pid-zero", Stops, tree(|tasks| tasks[1]["pid"] = 0.into())),
        ("task-state", Stops, of_core(|core| core["tc"]["task_state"] = 9.into())),
        ("sigactions", Stops, of_core(|core| drop(core["tc"]["sigactions"].as_array_mut().unwrap().pop()))),
        ("rlimit", Restores, of_core(|core| core["tc"]["rlimits"]["rlimits"][3] = json!({"cur": 8, "max": 7}))),
        (
            "rlimit",
            Restores,
            of_core(|core| {
                let limits = core["tc"]["rlimits"]["rlimits"].as_array_mut().unwrap();
                limits.push(limits[0].clone());
            }),
        ),
        ("timer", Stops, head(core(leader), |core| core["tc"]["timers"]["virt"]["vusec"] = 1_000_000.into())),
        (
            "timer",
            Stops,
            head(core(leader), |core| core["tc"]["timers"]["posix"][0]["insec"] = 1_000_000_000u64.into()),
        ),
        ("registers-missing", Stops, of_core(|core| take(core, "thread_info"))),
        ("arch-differs", Stops, of_core(|core| core["mtype"] = "AARCH64".into())),
        ("core-part", Stops, of_core(|core| take(core, "tc"))),
        ("seccomp-missing", Stops, of_core(|core| core["thread_core"]["seccomp_filter"] = 7.into())),
        ("seccomp-missing", Stops, remove("seccomp.img".to_owned())),
        ("seccomp-prev", Stops, head("seccomp.img".to_owned(), |image| image["seccomp_filters"][0]["prev"] = 7.into())),
        (
            "seccomp-circle",
            Stops,
            head("seccomp.img".to_owned(), |image| image["seccomp_filters"][0]["prev"] = 0.into()),
        ),
        (
            "seccomp-filter",
            Stops,
            head("seccomp.img".to_owned(), |image| image["seccomp_filters"][0]["filter"] = "".into()),
        ),
        ("mapping-empty", Stops, of_mm(|mm| mm["vmas"][2]["end"] = mm["vmas"][2]["start"].clone())),
        (
            "mapping-aligned",
            Stops,
            of_mm(|mm| {
                let text = mm["vmas"][1]["start"].as_u64().unwrap();
                mm["vmas"][1]["start"] = (text + 1).into();
            }),
        ),
        ("mapping-order", Stops, of_mm(|mm| mm["vmas"].as_array_mut().unwrap().swap(2, 3))),
        (
            "mapping-order",
            Restores,
            of_mm(|mm| {
                mm["vmas"][1]["end"] = (mm["vmas"][2]["start"].as_u64().unwrap() + 4096).into();
            }),
        ),
        ("mapping-flags", Stops, of_mm(|mm| mm["vmas"][0]["flags"] = 0.into())),
        ("mapping-offset", Stops, of_mm(|mm| mm["vmas"][0]["pgoff"] = 5.into())),
        ("mapping-file", Stops, of_mm(|mm| mm["vmas"][0]["shmid"] = 999_999.into())),
        ("mm-order", Stops, of_mm(|mm| mm["mm_brk"] = (mm["mm_start_brk"].as_u64().unwrap() - 4096).into())),
        ("reference", Stops, of_mm(|mm| mm["exe_file_id"] = 999_999.into())),
        ("reference", Stops, head(format!("fs-{filtered}.img"), |fs| fs["cwd_id"] = 999_999.into())),
        ("reference", Stops, first("TTY", |file| file["tty"]["tty_info_id"] = 999_999.into())),
        ("reference", Stops, first("MEMFD", |file| file["memfd"]["inode_id"] = 999_999.into())),
        ("reference", Stops, of_core(|core| core["thread_core"]["cg_set"] = 999_999.into())),
        (
            "reference",
            Stops,
            first("EVENTFD", |file| {
                file["id"] = 999_999.into();
                file["efd"]["id"] = 999_999.into();
            }),
        ),
        (
            "entry",
            Stops,
            Box::new(move |plant| {
                plant.message(&mm(leader), 0, |message| drop(message.drain(..7)));
            }),
        ),
        ("framing", Stops, Box::new(move |plant| plant.resize(&core(leader), plant.size(&core(leader)) - 3))),
        ("framing", Stops, Box::new(|plant| plant.bytes("files.img", |bytes| bytes.extend([9, 0])))),
        ("magic", Stops, Box::new(move |plant| plant.bytes(&core(leader), |bytes| bytes[5] ^= 1))),
        ("first-word", Stops, Box::new(move |plant| plant.bytes(&core(leader), |bytes| drop(bytes.drain(..4))))),
        ("first-word", Stops, head("inventory.img".to_owned(), |inventory| inventory["img_version"] = 1.into())),
        ("image-empty", Stops, Box::new(move |plant| plant.resize(&core(leader), 0))),
        ("entry-missing", Stops, Box::new(move |plant| plant.resize(&core(leader), 8))),
    ]
}

fn inside(script: &str, folder: &Path, criu: &Path, arguments: &[String]) -> std::process::Output {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/in-pid-namespace"))
        .args(["bash", "-c", script, "inside"])
        .args(arguments)
        .env("DIR", folder)
        .env("CRIU", criu)
        .output()
        .unwrap()
}

#[test]
fn where_criu_stops_check_had_said_so() {
    let Some(criu) = oracle::criu() else { return };
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("program.py"), PROGRAM).unwrap();
    let output = inside(DUMP, folder.path(), &criu, &[]);
    assert!(output.status.success(), "no dump: {}", String::from_utf8_lossy(&output.stderr));
    let images = folder.path().join("images");

    let untouched = Plant::of(&images);
    untouched.check().assert_whole();
    let base = Base::of(&untouched);
    let mut plants = vec![("", Restores, untouched)];
    for (rule, does, change) in defects(&base) {
        let plant = Plant::of(&images);
        change(&plant);
        let found = plant.check();
        assert!(found.of(rule).any(|finding| finding.severity == Severity::Error), "{rule}: {}", found.text());
        plants.push((rule, does, plant));
    }
    plants.push(("", Restores, Plant::of(&images)));
    let dumps: Vec<String> = plants.iter().map(|(.., plant)| plant.path().display().to_string()).collect();
    let output = inside(RESTORE, folder.path(), &criu, &dumps);
    let said = String::from_utf8_lossy(&output.stdout);
    let statuses: BTreeMap<&str, (&str, &str)> = said
        .lines()
        .filter_map(|line| {
            let mut words = line.splitn(3, ' ');
            let (status, dump) = (words.next()?, words.next()?);
            Some((dump, (status, words.next().unwrap_or(""))))
        })
        .collect();
    let mut other = Vec::new();
    for ((rule, does, _), dump) in plants.iter().zip(&dumps) {
        let (status, why) = statuses[dump.as_str()];
        eprintln!("{rule}: {status} {why}");
        assert!(!rule.is_empty() || status == "0", "the dump itself: {why}");
        if (status == "0") != (*does == Restores) {
            other.push(format!("{rule}: {status} {why}"));
        }
    }
    assert!(other.is_empty(), "CRIU does something else:\n{}", other.join("\n"));
}
