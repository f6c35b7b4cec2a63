//! A dump made now, by the criu of this machine: processes are started, dumped, and read back. Needs root, and a criu
//! of version 4 or newer: `ICECORE_CRIU`, or `tests/tools/install-criu target/criu`, or one in PATH.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use common::corpus;
use common::judge::{Verdict, judge};
use common::oracle::{self, Crit};
use icecore::Checkpoint;
use icecore::checkpoint::file::What;

/// Runs in namespaces of its own, as process 1. A shell with two files, a pipe and two children, one of them renamed;
/// what /proc says of each goes to `$DIR/said` before criu dumps them.
const INSIDE: &str = r#"
set -e
cd /
setsid bash -c '
  exec 7</etc/passwd 8>>"$DIR/open file" 9> >(sleep 1002)
  echo some bytes >&8
  (exec -a child sleep 1000) &
  (cd /tmp && exec sleep 1001 6</etc/group) &
  # titles over arguments: one that fits, one that goes on over the environment
  (exec env -i A=1 B="two words" LONG=$(printf %0500d 7) perl -e "\$0 = q(a title); sleep 1003" first second) &
  (exec env -i A=1 LONG=$(printf %0500d 7) perl -e "\$0 = q(title ) x 30; sleep 1004" first) &
  wait' </dev/null >/dev/null 2>&1 &
leader=$!
for try in $(seq 100); do
  [ "$(ps -o comm= -s $leader | grep -c "sleep\|perl\|title")" = 5 ] && break
  sleep 0.1
done
pids=$(ps -o pid= -s $leader)
for pid in $pids; do
  echo "task $pid $(cat /proc/$pid/comm)"
  for fd in /proc/$pid/fd/*; do
    echo "fd $pid ${fd##*/} $(readlink "$fd")"
  done
  cat /proc/$pid/cmdline >"$DIR/cmdline-$pid"
  cat /proc/$pid/environ >"$DIR/environ-$pid"
done >"$DIR/said"
mkdir "$DIR/images"
"$CRIU" dump --tree $leader --images-dir "$DIR/images" --log-file "$DIR/dump.log" -v4 || { tail -n 20 "$DIR/dump.log" >&2; exit 1; }
"#;

#[test]
fn a_dump_made_now() {
    let Some(criu) = oracle::criu() else { return };
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/in-pid-namespace"))
        .args(["bash", "-c", INSIDE])
        .env("DIR", folder.path())
        .env("CRIU", criu)
        .output()
        .unwrap();
    assert!(output.status.success(), "no dump: {}", String::from_utf8_lossy(&output.stderr));

    let said = fs::read_to_string(folder.path().join("said")).unwrap();
    let mut tasks: BTreeMap<u32, (String, BTreeMap<u32, String>)> = BTreeMap::new();
    for line in said.lines() {
        let mut words = line.splitn(4, ' ');
        let (what, pid) = (words.next().unwrap(), words.next().unwrap().parse().unwrap());
        let task = tasks.entry(pid).or_default();
        match what {
            "task" => task.0 = line.splitn(3, ' ').nth(2).unwrap().to_owned(),
            _ => drop(task.1.insert(words.next().unwrap().parse().unwrap(), words.next().unwrap().to_owned())),
        }
    }
    assert!(tasks.len() >= 4, "{said}");

    let images = folder.path().join("images");
    let dump = Checkpoint::open(&images).unwrap();
    let found = dump.tasks().unwrap().all().unwrap();
    assert_eq!(found.iter().map(|task| task.pid()).collect::<Vec<_>>(), tasks.keys().copied().collect::<Vec<_>>());
    let (mut files, mut titles) = (0, 0);
    for task in &found {
        let (comm, fds) = &tasks[&task.pid()];
        assert_eq!(task.core().unwrap().unwrap().process.comm.to_string(), *comm);
        let told = |what: &str| fs::read(folder.path().join(format!("{what}-{}", task.pid()))).unwrap();
        let line = task.command_line().unwrap().unwrap();
        assert_eq!(line.bytes.escape_ascii().to_string(), told("cmdline").escape_ascii().to_string());
        titles += usize::from(line.is_title);
        let environment = task.environment().unwrap().unwrap();
        assert_eq!(environment.bytes.escape_ascii().to_string(), told("environ").escape_ascii().to_string());
        let opened = task.fds().unwrap().all().unwrap();
        assert_eq!(opened.iter().map(|fd| fd.fd).collect::<Vec<_>>(), fds.keys().copied().collect::<Vec<_>>());
        for fd in opened {
            let said = &fds[&fd.fd];
            match &fd.file.unwrap().what {
                What::Regular(regular) => assert_eq!(regular.path.to_string(), *said),
                What::Pipe(pipe) => assert!(said.starts_with("pipe:["), "{said}: {pipe:?}"),
                other => panic!("{said}: {other:?}"),
            }
            files += 1;
        }
    }

    let framed = corpus::framed(&images);
    let mut entries = 0;
    if let Some(launcher) = oracle::crit() {
        let mut crit = Crit::start(&launcher);
        for found in &framed {
            match judge(&mut crit, found, &found.read()) {
                Verdict::Equal { entries: some } => entries += some,
                Verdict::Known(what) => panic!("{}: {what}", found.name()),
                Verdict::Wrong(what) => panic!("{}: {what}", found.name()),
            }
        }
        assert!(entries > 30);
    }
    assert!(titles >= 1, "no title");
    eprintln!("{} tasks, {files} descriptors, {} images with {entries} entries", found.len(), framed.len());
}
