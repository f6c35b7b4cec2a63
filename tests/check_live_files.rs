//! What CRIU does with planted defects of files and sockets: a process is dumped, a defect planted in a copy of its
//! dump, and the copy restored. Where CRIU refuses or hangs, `check` had said so. Needs root, python3, and a criu of
//! version 4 or newer: `ICECORE_CRIU`, or `tests/tools/install-criu target/criu`, or one in PATH.
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

/// One process that has a file of most types open.
const PROGRAM: &str = r#"
import array, ctypes, fcntl, os, pty, select, socket, sys, time
folder = sys.argv[1]
libc = ctypes.CDLL(None)
read, write = os.pipe()
os.write(write, b"in the pipe")
event = os.eventfd(7)
timer = libc.timerfd_create(1, 0)
notify = libc.inotify_init()
for name in ("a", "b"):
    open(f"{folder}/{name}", "w").write(name)
    libc.inotify_add_watch(notify, f"{folder}/{name}".encode(), 2)
memory = os.memfd_create("memory")
os.write(memory, b"m" * 8192)
poll = select.epoll()
poll.register(read, select.EPOLLIN)
poll.register(event, select.EPOLLIN)
os.mkfifo(f"{folder}/fifo")
fifo = os.open(f"{folder}/fifo", os.O_RDWR)
os.write(fifo, b"in the fifo")
ghost = open(f"{folder}/ghost", "w+b")
ghost.write(b"g" * 100)
ghost.flush()
os.unlink(f"{folder}/ghost")
large = open(f"{folder}/large", "w+b")
large.write(b"L" * 20000)
large.flush()
os.unlink(f"{folder}/large")
locked = open(f"{folder}/locked", "w+b")
fcntl.lockf(locked, fcntl.LOCK_EX, 10, 0)
flocked = open(f"{folder}/flocked", "w+b")
fcntl.flock(flocked, fcntl.LOCK_EX)
one, two = socket.socketpair()
one.sendmsg([b"take this"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [event]))])
three, four = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
abstract = socket.socket(socket.AF_UNIX)
abstract.bind(f"\0icecore-{os.getpid()}")
abstract.listen()
other = socket.socket(socket.AF_UNIX)
other.bind(f"\0icecore-other-{os.getpid()}")
other.listen()
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
served, _ = server.accept()
client.send(b"on its way")
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagrams.bind(("127.0.0.1", 0))
link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
link.bind((0, 0))
master, slave = pty.openpty()
open(f"{folder}/ready", "w").close()
while True:
    time.sleep(1)
"#;

const DUMP: &str = r#"
set -e
cd /
echo 5000 >/proc/sys/kernel/ns_last_pid
setsid env -i python3 "$DIR/program.py" "$DIR" </dev/null >/dev/null 2>&1 &
leader=$!
for try in $(seq 200); do [ -e "$DIR/ready" ] && break; sleep 0.05; done
mkdir "$DIR/images"
"$CRIU" dump --tree "$leader" --images-dir "$DIR/images" --log-file "$DIR/dump.log" -v4 --tcp-established --file-locks \
  || { tail -n 20 "$DIR/dump.log" >&2; exit 1; }
"#;

/// Restores each dump it is given. Exit status 0 is restored, 124 hung.
const RESTORE: &str = r#"
cd /
for dump in "$@"; do
  rm -f "$DIR/pid"
  timeout -k 1 15 "$CRIU" restore --images-dir "$dump" --log-file "$DIR/restore.log" -v4 -d --pidfile "$DIR/pid" \
    --tcp-established --file-locks >/dev/null 2>&1
  status=$?
  [ -e "$DIR/pid" ] && kill -9 "$(cat "$DIR/pid")" 2>/dev/null
  sleep 0.05
  echo "$status $dump $(grep -a Error "$DIR/restore.log" | grep -v RLIMIT_NOFILE | cut -d: -f2- | head -n 1)"
  # what a failed restore left behind would be in the way of the next
  kill -9 -1 2>/dev/null
  rm -f "$DIR"/*.cr.*.ghost
done
exit 0
"#;

type Change = Box<dyn Fn(&Plant)>;

/// Changes the first file of a type.
fn first(kind: &'static str, change: impl Fn(&mut Value) + 'static) -> Change {
    Box::new(move |plant| {
        let (at, _) = plant.find("files.img", |file| file["type"] == kind);
        plant.entries("files.img", |entries| change(&mut entries[at]));
    })
}

/// Changes the first entry of an image.
fn head(image: &'static str, change: impl Fn(&mut Value) + 'static) -> Change {
    Box::new(move |plant| plant.entries(image, |entries| change(&mut entries[0])))
}

fn take(value: &mut Value, field: &str) {
    value.as_object_mut().unwrap().remove(field).unwrap_or_else(|| panic!("no {field} in {value}"));
}

fn image_of(plant: &Plant, start: &str) -> String {
    plant.names().into_iter().find(|name| name.starts_with(start)).unwrap_or_else(|| panic!("no {start}"))
}

/// The defects: the rule that finds each, and how to plant it.
fn defects() -> Vec<(&'static str, Change)> {
    vec![
        ("file-id", first("PIPE", |file| file["pipe"]["id"] = 9999.into())),
        ("file-part", first("EVENTFD", |file| take(file, "efd"))),
        ("file-type", first("EVENTFD", |file| file["type"] = 65534.into())),
        (
            "fd-twice",
            Box::new(|plant| {
                let table = image_of(plant, "fdinfo-");
                plant.entries(&table, |entries| entries[4]["fd"] = entries[5]["fd"].clone());
            }),
        ),
        (
            "path-relative",
            Box::new(|plant| {
                let (at, _) = plant.find("files.img", |file| {
                    file["reg"]["name"].as_str().is_some_and(|name| name.ends_with("/locked"))
                });
                plant.entries("files.img", |entries| entries[at]["reg"]["name"] = "elsewhere/locked".into());
            }),
        ),
        ("path-file", first("FIFO", |file| take(&mut file["fifo"], "regf_id"))),
        (
            "pipe-overfull",
            Box::new(|plant| {
                plant.entries("pipes-data.img", |entries| {
                    let data = entries.iter_mut().find(|data| data["bytes"] != 0).unwrap();
                    (data["bytes"], data["size"]) = (9000.into(), 4096.into());
                    data["extra"] = "AAAA".repeat(3000).into();
                })
            }),
        ),
        ("pipe-size", head("pipes-data.img", |data| data["size"] = 0x8000_0000u32.into())),
        ("epoll-target", first("EVENTPOLL", |file| file["epfd"]["tfd"][0]["tfd"] = 555.into())),
        (
            "epoll-twice",
            first("EVENTPOLL", |file| file["epfd"]["tfd"][0]["tfd"] = file["epfd"]["tfd"][1]["tfd"].clone()),
        ),
        (
            "epoll-itself",
            Box::new(|plant| {
                let table = image_of(plant, "fdinfo-");
                let (_, itself) = plant.find(&table, |held| held["type"] == "EVENTPOLL");
                let (at, _) = plant.find("files.img", |file| file["type"] == "EVENTPOLL");
                plant.entries("files.img", |entries| entries[at]["epfd"]["tfd"][0]["tfd"] = itself["fd"].clone());
            }),
        ),
        ("watch-number", first("INOTIFY", |file| file["ify"]["wd"][0]["wd"] = file["ify"]["wd"][1]["wd"].clone())),
        ("watch-number", first("INOTIFY", |file| file["ify"]["wd"][0]["wd"] = 0.into())),
        (
            "watch-place",
            first("INOTIFY", |file| {
                take(&mut file["ify"]["wd"][0]["f_handle"], "path");
                file["ify"]["wd"][0]["f_handle"]["bytes"] = 0.into();
            }),
        ),
        ("timer-clock", first("TIMERFD", |file| file["tfd"]["clockid"] = 4.into())),
        (
            "timer-value",
            first("TIMERFD", |file| (file["tfd"]["vsec"], file["tfd"]["vnsec"]) = (5.into(), 2_000_000_000.into())),
        ),
        ("memfd-size", head("memfd.img", |memfd| memfd["hugetlb_flag"] = (4 | 21 << 26).into())),
        ("memfd-name", head("memfd.img", |memfd| memfd["name"] = "n".repeat(250).into())),
        ("memfd-seals", head("memfd.img", |memfd| memfd["seals"] = 0x100.into())),
        ("tty-type", head("tty-info.img", |tty| take(tty, "pty"))),
        ("tty-type", head("tty-info.img", |tty| tty["type"] = "CONSOLE".into())),
        ("tty-device", head("tty-info.img", |tty| tty["rdev"] = 0x0103.into())),
        ("tty-settings", head("tty-info.img", |tty| take(tty, "winsize"))),
        ("tty-settings", head("tty-info.img", |tty| tty["termios"]["c_cc"] = json!([1, 2, 3]))),
        ("lock-fd", head("filelocks.img", |lock| lock["fd"] = 400.into())),
        ("lock-kind", head("filelocks.img", |lock| lock["flag"] = 16.into())),
        ("lock-type", head("filelocks.img", |lock| lock["type"] = 5.into())),
        (
            "lock-range",
            Box::new(|plant| {
                plant.entries("filelocks.img", |entries| {
                    entries.iter_mut().find(|lock| lock["flag"] == 1).unwrap()["start"] = (-10).into();
                })
            }),
        ),
        ("remap-type", head("remap-fpath.img", |remap| remap["remap_type"] = 3.into())),
        ("remap-missing", Box::new(|plant| plant.remove(&image_of(plant, "ghost-file-")))),
        ("memfd-content", Box::new(|plant| plant.remove(&image_of(plant, "pagemap-shmem-")))),
        (
            "ghost-head",
            Box::new(|plant| {
                let image = plant.names().into_iter().filter(|name| name.starts_with("ghost-file-"));
                let chunked = image.filter(|name| plant.json(name)["entries"][0]["chunks"] == true).collect::<Vec<_>>();
                plant.entries(&chunked[0], |entries| take(&mut entries[0], "size"));
            }),
        ),
        ("inet-socket", first("INETSK", |file| file["isk"]["family"] = 7.into())),
        ("inet-socket", first("INETSK", |file| file["isk"]["type"] = 5.into())),
        ("inet-socket", first("INETSK", |file| file["isk"]["src_addr"] = json!([]))),
        ("tcp-stream-missing", Box::new(|plant| plant.remove(&image_of(plant, "tcp-stream-")))),
        (
            "tcp-stream",
            Box::new(|plant| {
                plant.entries(&image_of(plant, "tcp-stream-"), |entries| take(&mut entries[0], "unsq_len"))
            }),
        ),
        (
            "tcp-stream",
            Box::new(|plant| {
                plant.entries(&image_of(plant, "tcp-stream-"), |entries| take(&mut entries[0], "rcv_wscale"))
            }),
        ),
        (
            "tcp-stream",
            Box::new(|plant| {
                plant.entries(&image_of(plant, "tcp-stream-"), |entries| entries[0]["snd_wscale"] = 15.into())
            }),
        ),
        (
            "unix-socket",
            Box::new(|plant| {
                let (at, _) = plant.find("files.img", |file| file["usk"]["state"] == 10);
                plant.entries("files.img", |entries| entries[at]["usk"]["type"] = 4.into());
            }),
        ),
        ("unix-name", first("UNIXSK", |file| file["usk"]["name"] = "a".repeat(109).into())),
        (
            "unix-listen",
            Box::new(|plant| {
                let (at, _) = plant.find("files.img", |file| file["usk"]["state"] == 10);
                plant.entries("files.img", |entries| entries[at]["usk"]["name"] = "".into());
            }),
        ),
        (
            "unix-listen",
            Box::new(|plant| {
                let (at, _) = plant.find("files.img", |file| file["usk"]["state"] == 10);
                plant.entries("files.img", |entries| entries[at]["usk"]["type"] = 2.into());
            }),
        ),
        (
            "unix-peer-missing",
            Box::new(|plant| {
                let (at, _) = plant.find("files.img", |file| file["usk"]["type"] == 2);
                plant.entries("files.img", |entries| entries[at]["usk"]["peer"] = 123.into());
            }),
        ),
        (
            "reference",
            Box::new(|plant| {
                let (_, pipe) = plant.find("files.img", |file| file["type"] == "PIPE");
                plant.entries("remap-fpath.img", |entries| entries[0]["orig_id"] = pipe["id"].clone());
            }),
        ),
        (
            "unix-name-twice",
            Box::new(|plant| {
                plant.entries("files.img", |entries| {
                    let mut listening = entries.iter_mut().filter(|file| file["usk"]["state"] == 10);
                    let (first, second) = (listening.next().unwrap(), listening.next().unwrap());
                    second["usk"]["name"] = first["usk"]["name"].clone();
                })
            }),
        ),
        (
            "queue-rights",
            Box::new(|plant| {
                plant.entries("sk-queues.img", |entries| {
                    let packet = entries.iter_mut().find(|packet| !packet["scm"].is_null()).unwrap();
                    packet["scm"][0]["type"] = 2.into();
                })
            }),
        ),
        (
            "queue-rights",
            Box::new(|plant| {
                plant.entries("sk-queues.img", |entries| {
                    let packet = entries.iter_mut().find(|packet| !packet["scm"].is_null()).unwrap();
                    let scm = packet["scm"][0].clone();
                    packet["scm"].as_array_mut().unwrap().push(scm);
                })
            }),
        ),
        ("netlink-groups", first("NETLINKSK", |file| file["nlsk"]["groups"] = json!([1, 2]))),
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
fn where_criu_refuses_check_had_said_so() {
    let Some(criu) = oracle::criu() else { return };
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("program.py"), PROGRAM).unwrap();
    let output = inside(DUMP, folder.path(), &criu, &[]);
    assert!(output.status.success(), "no dump: {}", String::from_utf8_lossy(&output.stderr));
    let images = folder.path().join("images");

    let untouched = Plant::of(&images);
    untouched.check().assert_whole();
    let mut plants = vec![("", untouched)];
    for (rule, change) in defects() {
        let plant = Plant::of(&images);
        change(&plant);
        let found = plant.check();
        assert!(found.of(rule).any(|finding| finding.severity == Severity::Error), "{rule}: {}", found.text());
        plants.push((rule, plant));
    }
    plants.push(("", Plant::of(&images)));
    let dumps: Vec<String> = plants.iter().map(|(_, plant)| plant.path().display().to_string()).collect();
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
    let mut restored = Vec::new();
    for ((rule, _), dump) in plants.iter().zip(&dumps) {
        let (status, why) = statuses[dump.as_str()];
        eprintln!("{rule}: {status} {why}");
        match *rule {
            "" => assert_eq!(status, "0", "the dump itself: {why}"),
            _ if status == "0" => restored.push(*rule),
            _ => {}
        }
    }
    assert!(restored.is_empty(), "restored all the same: {restored:?}");
}
