//! A real dump compared with itself with known edits: what is told of each, and how the program ends.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_lossless,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr
)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{corpus, flat};
use icecore::Checkpoint;
use icecore::v1;
use prost::Message as _;
use serde_json::Value;

fn icecore(words: &[&str], from: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_icecore")).args(words).current_dir(from).output().unwrap()
}

/// Changes an image by its JSON.
fn edit(image: &Path, change: impl FnOnce(&mut Value)) {
    let json = image.with_extension("json");
    let run = |words: &[&str]| assert!(icecore(words, Path::new("/")).status.success());
    let (name, text) = (image.to_str().unwrap(), json.to_str().unwrap());
    run(&["crit", "decode", "-i", name, "-o", text]);
    let mut value: Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    change(&mut value);
    fs::write(&json, serde_json::to_vec(&value).unwrap()).unwrap();
    run(&["crit", "encode", "-i", text, "-o", name]);
    fs::remove_file(json).unwrap();
}

/// The rows of `diff` as JSON, without the summary, and the exit code.
fn rows(a: &Path, b: &Path, options: &[&str]) -> (Vec<Value>, i32) {
    let paths = [a.to_str().unwrap(), b.to_str().unwrap()];
    let output = icecore(&[&["diff", "--ndjson"], options, &paths].concat(), Path::new("/"));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let rows: Vec<Value> = lines.map(|line| serde_json::from_slice(line).unwrap()).collect();
    assert_eq!(rows[0]["row"], "summary");
    assert_eq!(rows[0]["different"], rows.len() > 1);
    (rows[1..].to_vec(), output.status.code().unwrap())
}

fn tree() -> (PathBuf, tempfile::TempDir) {
    let copy = tempfile::tempdir().unwrap();
    corpus::copy_dump(&corpus::data().join("tree"), copy.path());
    (corpus::data().join("tree"), copy)
}

fn field(name: &str, a: impl Into<Value>, b: impl Into<Value>) -> Value {
    serde_json::json!({ "name": name, "a": a.into(), "b": b.into() })
}

#[test]
fn a_task_that_changed() {
    let (a, b) = tree();
    edit(&b.path().join("core-102.img"), |core| {
        core["entries"][0]["tc"]["comm"] = "another".into();
        core["entries"][0]["thread_core"]["creds"]["euid"] = 42.into();
    });
    edit(&b.path().join("pstree.img"), |tree| {
        let tasks = tree["entries"].as_array_mut().unwrap();
        tasks.retain(|task| task["pid"] != 115);
        tasks.iter_mut().find(|task| task["pid"] == 103).unwrap()["ppid"] = 102.into();
    });
    let (found, code) = rows(&a, b.path(), &["--what", "tasks"]);
    assert_eq!(code, 1);
    let row = |change: &str, pid: u32, comm: &str, fields: Vec<Value>| {
        let pid_b = if change == "gone" { Value::Null } else { pid.into() };
        serde_json::json!({ "row": "task", "change": change, "pid": pid, "pid_b": pid_b, "comm": comm, "fields": fields })
    };
    let euid = common_uid(&a, 102);
    let want = vec![
        row("changed", 102, "pipe-writer", vec![field("comm", "pipe-writer", "another"), field("euid", euid, 42)]),
        row("changed", 103, "pipe-reader", vec![field("parent", 100, 102)]),
        row("gone", 115, "zombie", vec![]),
    ];
    assert_eq!(found, want);
    // with another number it is still the same task
    let (a, b) = tree();
    for name in ["core", "mm", "pagemap", "ids", "fs"] {
        fs::rename(b.path().join(format!("{name}-120.img")), b.path().join(format!("{name}-220.img"))).unwrap();
    }
    edit(&b.path().join("pstree.img"), |tree| {
        let tasks = tree["entries"].as_array_mut().unwrap();
        let task = tasks.iter_mut().find(|task| task["pid"] == 120).unwrap();
        task["pid"] = 220.into();
        task["threads"][0] = 220.into();
    });
    let (found, _) = rows(&a, b.path(), &[]);
    assert!(found.iter().any(|row| row["change"] == "gone" && row["pid"] == 120), "{found:?}");
    let (found, code) = rows(&a, b.path(), &["--map-pid", "120:220"]);
    assert_eq!((found.len(), code), (0, 0), "{found:?}");
}

/// Where no number is in both dumps, commands tell which task is which.
#[test]
fn tasks_of_another_pid_namespace() {
    let (a, b) = (corpus::data().join("python"), tempfile::tempdir().unwrap());
    corpus::copy_dump(&a, b.path());
    for name in ["core", "mm", "pagemap", "ids", "fs"] {
        fs::rename(b.path().join(format!("{name}-100.img")), b.path().join(format!("{name}-7.img"))).unwrap();
    }
    edit(&b.path().join("pstree.img"), |tree| {
        let task = &mut tree["entries"][0];
        for number in ["pid", "pgid", "sid"] {
            task[number] = 7.into();
        }
        task["threads"][0] = 7.into();
    });
    assert_eq!(rows(&a, b.path(), &[]), (Vec::new(), 0));
    let words = ["diff", "--json", a.to_str().unwrap(), b.path().to_str().unwrap()];
    let all: Value = serde_json::from_slice(&icecore(&words, Path::new("/")).stdout).unwrap();
    assert_eq!(all["summary"]["matched"], "command");
    assert!(all["summary"]["pages"]["same"].as_u64().unwrap() > 1000);
    let text = icecore(&["diff", a.to_str().unwrap(), b.path().to_str().unwrap()], Path::new("/"));
    assert_eq!(text.status.code(), Some(0));
    assert!(String::from_utf8(text.stdout).unwrap().contains("they are matched by command"));
}

fn common_uid(dir: &Path, pid: u32) -> u32 {
    let dump = Checkpoint::open(dir).unwrap();
    let core = dump.task(pid).unwrap().core().unwrap().unwrap();
    core.leader.credentials.unwrap().euid
}

#[test]
fn descriptors_and_sockets_that_changed() {
    let (a, b) = tree();
    let dump = Checkpoint::open(&a).unwrap();
    // all that a plain file tells: its position
    let task = dump.task(101).unwrap();
    let fds = task.fds().unwrap();
    let moved = fds.iter().find(|fd| matches!(fd.file.unwrap().what, icecore::checkpoint::file::What::Regular(_)));
    let moved = moved.unwrap();
    let holders: Vec<_> = dump.holders(moved.file.unwrap()).unwrap().collect();
    let mut pos = 0;
    edit(&b.path().join("files.img"), |files| {
        for file in files["entries"].as_array_mut().unwrap() {
            if file["type"] == "REG" && file["id"] == moved.id {
                pos = file["reg"]["pos"].as_u64().unwrap();
                file["reg"]["pos"] = (pos + 5).into();
            }
            if file["type"] == "INETSK" && file["isk"]["src_port"] == 7001 && file["isk"]["dst_port"] == 0 {
                file["isk"]["backlog"] = 77.into();
            }
        }
    });
    let (found, code) = rows(&a, b.path(), &["--what", "fds"]);
    assert_eq!(code, 1);
    let (files, sockets): (Vec<_>, Vec<_>) = found.iter().partition(|row| row["fields"][0]["name"] == "pos");
    assert_eq!(files.len(), holders.len());
    for (row, holder) in files.iter().zip(&holders) {
        assert_eq!((&row["pid"], &row["fd"]), (&holder.pid.into(), &holder.fd.into()));
        assert_eq!(row["fields"], Value::Array(vec![field("pos", pos, pos + 5)]));
    }
    assert_eq!(sockets.len(), 1, "{sockets:?}");
    assert_eq!((&sockets[0]["pid"], &sockets[0]["fd"]), (&106.into(), &3.into()));
    let (found, _) = rows(&a, b.path(), &["--what", "sockets"]);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["holder"], serde_json::json!({ "pid": 106, "fd": 3 }));
    assert_eq!(found[0]["fields"], sockets[0]["fields"]);
    assert_eq!(found[0]["fields"][0]["name"], "backlog");
    assert_eq!(found[0]["fields"][0]["b"], 77);
    let (found, code) = rows(&a, b.path(), &["--what", "sockets,maps", "--pid", "105"]);
    assert_eq!((found.len(), code), (0, 0));
    // one that is closed and one that is opened
    let (a, b) = tree();
    let id = task.ids().unwrap().unwrap().files_id;
    edit(&b.path().join(format!("fdinfo-{id}.img")), |table| {
        let fds = table["entries"].as_array_mut().unwrap();
        fds.iter_mut().find(|fd| fd["fd"] == moved.fd).unwrap()["fd"] = 999.into();
    });
    let (found, _) = rows(&a, b.path(), &["--what", "fds"]);
    let of_101: Vec<_> = found.iter().map(|row| (row["change"].as_str().unwrap(), row["fd"].clone())).collect();
    assert_eq!(of_101, [("gone", moved.fd.into()), ("added", 999.into())]);
}

#[test]
fn mappings_and_pages_that_changed() {
    let (a, b) = tree();
    // a mapping that is longer, and one with other protection
    let mut ranges = Vec::new();
    edit(&b.path().join("mm-121.img"), |mm| {
        let vmas = mm["entries"][0]["vmas"].as_array_mut().unwrap();
        let heap = vmas.iter_mut().find(|vma| vma["status"].as_u64().unwrap() >> 5 & 1 == 1).unwrap();
        let range = |vma: &Value| (vma["start"].as_u64().unwrap(), vma["end"].as_u64().unwrap());
        ranges.push(range(heap));
        heap["end"] = (ranges[0].1 + 0x3000).into();
        vmas[0]["prot"] = 3.into();
    });
    let (found, _) = rows(&a, b.path(), &["--what", "maps"]);
    let text = |number: u64| format!("{number:#x}");
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[0]["fields"], Value::Array(vec![field("prot", "r--", "rw-")]));
    let (start, end) = ranges[0];
    let grown = vec![field("end", text(end), text(end + 0x3000)), field("size", end - start, end - start + 0x3000)];
    assert_eq!(found[1]["fields"], Value::Array(grown));
    assert_eq!((&found[1]["start"], &found[1]["what"]), (&text(start).into(), &"[heap]".into()));
    let (found, _) = rows(&a, b.path(), &["--what", "pages"]);
    let kinds: Vec<_> = found.iter().map(|row| row["scope"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["task", "mapping"], "{found:?}");
    assert_eq!(found[1]["counts"]["added"], 3);

    // bytes of pages: the first two pages that task 110 has in its own file
    let (a, b) = tree();
    let messages = flat::entries(&a.join("pagemap-110.img"));
    let head = v1::PagemapHead::decode(&messages[0][..]).unwrap();
    let first = v1::PagemapEntry::decode(&messages[1][..]).unwrap();
    let pages_file = b.path().join(format!("pages-{}.img", head.pages_id));
    let mut bytes = fs::read(&pages_file).unwrap();
    for at in [0, 1, 4095] {
        bytes[at] ^= 1;
    }
    fs::write(&pages_file, &bytes).unwrap();
    let (found, code) = rows(&a, b.path(), &["--what", "pages", "--pages"]);
    assert_eq!(code, 1);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[..2].iter().all(|row| row["counts"]["changed"] == 1 && row["counts"]["bytes_changed"] == 3));
    assert_eq!(found[2]["row"], "pages");
    assert_eq!(found[2]["address"], text(first.vaddr));
    assert_eq!((&found[2]["pages"], &found[2]["bytes_changed"], &found[2]["pid"]), (&1.into(), &3.into(), &110.into()));
    // a byte of shared memory, which two tasks map or one: told once
    let (a, b) = tree();
    let messages = flat::entries(&a.join("pagemap-shmem-751.img"));
    let head = v1::PagemapHead::decode(&messages[0][..]).unwrap();
    let pages_file = b.path().join(format!("pages-{}.img", head.pages_id));
    let mut bytes = fs::read(&pages_file).unwrap();
    bytes[7] ^= 0xff;
    fs::write(&pages_file, &bytes).unwrap();
    let (found, _) = rows(&a, b.path(), &["--pages"]);
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!((&found[0]["scope"], &found[0]["counts"]["changed"]), (&"segment".into(), &1.into()));
    assert_eq!((&found[1]["segment"], &found[1]["bytes_changed"]), (&true.into(), &1.into()));
}

// as a program

#[test]
fn exit_codes_and_wrong_words() {
    let data = corpus::data();
    let run = |words: &[&str]| {
        let output = icecore(words, &data);
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(run(&["diff", "tree", "tree"]).0, Some(0));
    assert_eq!(run(&["diff", "tree", "python"]).0, Some(1));
    for (words, told) in [
        (&["diff", "tree", "nowhere"][..], "nowhere"),
        (&["diff", "tree", "."], "the directory has no images of a dump"),
        (&["diff", "tree", "python", "--pid", "999"], "no task 999 in either dump"),
        (&["diff", "tree", "python", "--map-pid", "100:7"], "no task 7 in the second dump"),
        (&["diff", "tree", "tree", "--map-pid", "100:101", "--map-pid", "102:101"], "expected each task in one pair"),
        (&["diff", "tree", "python", "--map-pid", "100"], "such as 17:42"),
        (&["diff", "tree", "python", "--what", "files"], "files"),
        (&["diff", "tree"], "<B>"),
    ] {
        let (code, stdout, stderr) = run(words);
        assert_eq!((code, &*stdout), (Some(2), ""), "{words:?}");
        assert!(stderr.contains(told), "{words:?}: {stderr}");
    }
    let (_, document, _) = run(&["diff", "tree", "python", "--json", "--pages"]);
    let document: Value = serde_json::from_str(&document).unwrap();
    let (_, lines, _) = run(&["diff", "tree", "python", "--ndjson", "--pages"]);
    let mut lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(document["summary"], lines.remove(0));
    let keys = ["tasks", "descriptors", "sockets", "mappings", "memory", "pages"];
    let all: Vec<Value> = keys.iter().flat_map(|key| document[key].as_array().unwrap().clone()).collect();
    assert_eq!(all, lines);
    let (_, document, _) = run(&["diff", "tree", "tree", "--json", "--summary"]);
    let document: Value = serde_json::from_str(&document).unwrap();
    assert!(keys.iter().all(|key| document[key].as_array().unwrap().is_empty()));
}

#[test]
fn golden_files() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/diff");
    let is_blessing = std::env::var_os("ICECORE_BLESS").is_some_and(|value| value != "0");
    let mut problems = Vec::new();
    for (words, file) in [
        (&["tree", "python"][..], "tree-python.txt"),
        (&["tree", "python", "--json"], "tree-python.json"),
        (&["python", "tree", "--ndjson", "--pages"], "python-tree.ndjson"),
        (&["tree", "container", "--summary"], "tree-container.txt"),
        (&["python", "container", "--map-pid", "100:1", "--pid", "100"], "python-container.txt"),
        (&["tree", "tree"], "tree-tree.txt"),
        (&["tree", "tree", "--map-pid", "104:105", "--map-pid", "105:104", "--what", "tasks,fds"], "tree-swapped.txt"),
    ] {
        let output = icecore(&[&["diff"], words].concat(), &corpus::data());
        let found = String::from_utf8(output.stdout).unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{words:?}");
        let path = golden.join(file);
        if is_blessing {
            fs::create_dir_all(&golden).unwrap();
            fs::write(&path, found).unwrap();
        } else if fs::read_to_string(&path).unwrap_or_default() != found {
            problems.push(format!("{file}: icecore diff {}", words.join(" ")));
        }
    }
    assert!(
        problems.is_empty(),
        "not as the golden files:\n{}\n\nIf that is right: ICECORE_BLESS=1 cargo test --test diff, and look at the \
         difference.",
        problems.join("\n")
    );
}
