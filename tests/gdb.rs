//! What gdb says of core files: of a program that is dumped here at a known place, of real dumps, and of machines that
//! are not here. Needs gdb (`ICECORE_GDB`, or the one in PATH), for some gdb-multiarch, root, a C compiler and a criu.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::synthetic::{PAGE, Process, X86};
use common::{corpus, oracle};
use icecore::Checkpoint;
use icecore::base::report::{Cancel, Collect, Silent};
use icecore::memory::Content;
use icecore::tool::coredump::cores;

/// A debugger, if there is one.
fn debugger(variable: &str, name: &str) -> Option<PathBuf> {
    let path = oracle::tool(variable, name).unwrap_or_else(|| name.into());
    let works = Command::new(&path).arg("--version").output().is_ok_and(|output| output.status.success());
    if !works {
        oracle::skipped(&format!("no {name}: install it, or set {variable}"));
    }
    works.then_some(path)
}

fn gdb() -> Option<PathBuf> {
    debugger("ICECORE_GDB", "gdb")
}

/// What gdb writes when it opens a core file and runs these commands; what it complains of comes apart.
fn ask(gdb: &Path, program: Option<&Path>, core: &Path, commands: &[&str]) -> (String, Vec<String>) {
    let mut command = Command::new(gdb);
    command.args(["-nx", "-batch", "-iex", "set debuginfod enabled off", "-iex", "set auto-load safe-path /"]);
    command.args(["-iex", "set width 0", "-iex", "set style enabled off"]);
    command.args(program);
    command.arg("-c").arg(core);
    for text in commands {
        command.args(["-ex", &format!("echo \\n--- {text}\\n"), "-ex", text]);
    }
    let output = command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("LC_ALL", "C")
        .env("HOME", "/nonexistent")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    (said, told.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect())
}

/// The part of what gdb wrote that answers a command.
fn answer<'s>(said: &'s str, command: &str) -> &'s str {
    let head = format!("--- {command}\n");
    let start = said.find(&head).unwrap_or_else(|| panic!("no answer to {command} in {said}"));
    let rest = &said[start + head.len()..];
    rest.find("\n--- ").map_or(rest, |end| &rest[..end]).trim()
}

/// The one word that `x` shows; nothing if gdb cannot read it.
fn word(answer: &str) -> &str {
    answer.rsplit(':').next().unwrap_or_default().trim()
}

/// Runs in namespaces of its own, as process 1.
const INSIDE: &str = r#"
set -e
cd /
setsid "$DIR/frozen" </dev/null >/dev/null 2>&1 &
leader=$!
for try in $(seq 100); do
  # all four are in pause
  [ "$(cat /proc/$leader/task/*/syscall 2>/dev/null | grep -c '^34 ')" = 4 ] && break
  sleep 0.1
done
echo $leader >"$DIR/leader"
mkdir "$DIR/images"
"$CRIU" dump --tree $leader --images-dir "$DIR/images" --log-file "$DIR/dump.log" -v4 || { tail -n 20 "$DIR/dump.log" >&2; exit 1; }
"#;

/// The program, compiled; `None` if there is no compiler.
fn compiled(folder: &Path) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gdb/frozen.c");
    let program = folder.join("frozen");
    let compiler = Command::new("cc").args(["-g", "-O0", "-pthread", "-o"]).arg(&program).arg(source).output();
    match compiler {
        Ok(output) if output.status.success() => Some(program),
        Ok(output) => panic!("cc: {}", String::from_utf8_lossy(&output.stderr)),
        Err(_) => {
            oracle::skipped("no C compiler called cc");
            None
        }
    }
}

/// The numbers of threads and the names of their frames, innermost first.
fn backtraces(said: &str) -> Vec<(u32, Vec<String>)> {
    let mut threads = Vec::new();
    for line in said.lines() {
        if let Some(rest) = line.strip_prefix("Thread ") {
            let lwp = rest.split("LWP ").nth(1).unwrap().split(')').next().unwrap();
            threads.push((lwp.parse().unwrap(), Vec::new()));
        } else if line.starts_with('#') {
            let words: Vec<&str> = line.split_whitespace().collect();
            let name = if words[2] == "in" { words[3] } else { words[1] };
            threads.last_mut().unwrap().1.push(name.to_owned());
        }
    }
    threads.sort();
    threads
}

#[test]
fn a_program_dumped_at_a_known_place() {
    let (Some(gdb), Some(criu)) = (gdb(), oracle::criu()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = compiled(folder.path()) else { return };
    let output = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/in-pid-namespace"))
        .args(["bash", "-c", INSIDE])
        .env("DIR", folder.path())
        .env("CRIU", criu)
        .output()
        .unwrap();
    assert!(output.status.success(), "no dump: {}", String::from_utf8_lossy(&output.stderr));
    let leader: u32 = fs::read_to_string(folder.path().join("leader")).unwrap().trim().parse().unwrap();
    let dump = Checkpoint::open(folder.path().join("images")).unwrap();
    let mut rows = Collect::default();
    cores(&dump, &[], &folder.path().join("cores"), (&Silent, &Cancel::default()), &mut rows).unwrap();
    assert!(rows.problems.is_empty(), "{:?}", rows.problems);
    assert_eq!(rows.rows[0].threads, 4);
    let core = folder.path().join(format!("cores/core.{leader}"));

    let (said, told) = ask(
        &gdb,
        Some(&program),
        &core,
        &[
            "thread apply all bt",
            "info threads",
            "p place",
            "p saying",
            "p quarter",
            "p table",
            "info proc mappings",
            "info auxv",
        ],
    );
    // every file is there, so there is nothing to complain of
    assert!(told.is_empty(), "{told:#?}");
    assert!(said.contains("Core was generated by"), "{said}");
    let threads = backtraces(answer(&said, "thread apply all bt"));
    let tids = dump.task(leader).unwrap().tids().to_vec();
    assert_eq!(threads.iter().map(|(lwp, _)| *lwp).collect::<Vec<_>>(), tids, "{said}");
    assert_eq!(threads[0].1, ["park", "inner", "main"], "{said}");
    for (_, frames) in &threads[1..] {
        assert_eq!(frames[..4], ["park", "inner", "middle", "worker"], "{said}");
        assert!(frames.len() >= 5, "the C library's are there too: {said}");
    }
    assert_eq!(answer(&said, "info threads").lines().filter(|line| line.contains("LWP")).count(), 4);
    assert!(
        answer(&said, "info threads")
            .lines()
            .any(|line| line.starts_with("* 1") && line.contains(&format!("LWP {leader}")))
    );
    assert!(answer(&said, "p place").ends_with("{x = 17, y = -4}"), "{said}");
    assert!(answer(&said, "p saying").ends_with("\"read without melting it\""), "{said}");
    assert!(answer(&said, "p quarter").ends_with("= 0.25"), "{said}");
    assert!(answer(&said, "p table").ends_with("{1, 10, 100, 1000}"), "{said}");
    let mappings = answer(&said, "info proc mappings");
    assert!(mappings.lines().filter(|line| line.ends_with("/frozen")).count() >= 4, "{mappings}");
    assert!(mappings.contains("libc.so.6"), "{mappings}");
    assert!(answer(&said, "info auxv").contains(&format!("\"{}\"", program.display())), "{said}");

    // variables and registers of each thread
    let has = |name: &str| ask_one(&gdb, &program, &core, &format!("p {name}")) == "1";
    let (has_avx, has_avx512) = (has("has_avx"), has("has_avx512"));
    for thread in 1..=4 {
        let select = format!("thread {thread}");
        let (said, told) = ask(
            &gdb,
            Some(&program),
            &core,
            &[
                &select,
                "p number",
                "p/x $r12",
                "p/x $xmm7.v2_int64",
                "p/x $ymm9.v4_int64",
                "p/x $zmm20.v8_int64",
                "p/x $k3",
                "p $st0",
                "p/x $orig_rax",
                "x/i $rip",
                "p $_siginfo.si_signo",
                "frame function inner",
                "p depth",
                "p local",
                "p word",
                "p mine",
            ],
        );
        let told: Vec<_> = told.iter().filter(|line| !line.contains("thread-local")).collect();
        let depth: u64 = answer(&said, "p depth").rsplit(' ').next().unwrap().parse().unwrap();
        assert!(depth == 7 && thread == 1 || (1..=3).contains(&depth), "{said}");
        let number = 0x1100 + depth;
        assert!(answer(&said, "p number").ends_with(&format!("= {number}")), "{said}");
        assert!(answer(&said, "p/x $r12").ends_with(&format!("= {number:#x}")), "{said}");
        assert!(answer(&said, "p/x $xmm7.v2_int64").ends_with(&format!("{{{number:#x}, 0x0}}")), "{said}");
        if has_avx {
            let all = [2 * number; 4].map(|word| format!("{word:#x}")).join(", ");
            assert!(answer(&said, "p/x $ymm9.v4_int64").ends_with(&format!("{{{all}}}")), "{said}");
        }
        if has_avx512 {
            let word = 3 * number;
            assert!(
                answer(&said, "p/x $zmm20.v8_int64").contains(&format!("{{{word:#x} <repeats 8 times>}}"))
                    || answer(&said, "p/x $zmm20.v8_int64")
                        .ends_with(&format!("{{{}}}", [word; 8].map(|word| format!("{word:#x}")).join(", "))),
                "{said}"
            );
            assert!(answer(&said, "p/x $k3").ends_with(&format!("= {:#x}", word & 0xffff)), "{said}");
        }
        assert!(answer(&said, "p $st0").contains("3.14159265358979"), "{said}");
        assert!(answer(&said, "x/i $rip").contains("syscall"), "{said}");
        assert!(answer(&said, "p $_siginfo.si_signo").ends_with("= 0"), "{said} {told:?}");
        let local = format!("{{x = {}, y = {}}}", depth * 2, depth * 3);
        assert!(answer(&said, "p local").ends_with(&local), "{said}");
        let word = if depth == 7 { "\"the leader\"".to_owned() } else { format!("\"thread number {depth}\"") };
        assert!(answer(&said, "p word").ends_with(&word), "{said}");
        // found only through the C library's own debugging library
        let mine = answer(&said, "p mine");
        assert!(mine.is_empty() || mine.ends_with(&format!("= {}", depth + 1000)), "{said}");
    }
}

fn ask_one(gdb: &Path, program: &Path, core: &Path, command: &str) -> String {
    let (said, _) = ask(gdb, Some(program), core, &[command]);
    answer(&said, command).rsplit(' ').next().unwrap().to_owned()
}

/// What gdb may say of a dump whose files are not on this machine.
const MAY_LACK: [&str; 3] = [
    "warning: Can't open file ",
    "warning: core file may not match specified executable file",
    "warning: Could not load shared library symbols",
];

/// gdb opens the core file of each process without complaint, and reads the bytes that the address space has.
fn opens(gdb: &Path, dir: &Path) -> usize {
    let target = tempfile::tempdir().unwrap();
    let dump = Checkpoint::open(dir).unwrap();
    let mut rows = Collect::default();
    cores(&dump, &[], target.path(), (&Silent, &Cancel::default()), &mut rows).unwrap();
    assert!(rows.problems.is_empty(), "{}: {:?}", dir.display(), rows.problems);
    for row in &rows.rows {
        let task = dump.task(row.pid).unwrap();
        let space = task.address_space().unwrap().unwrap();
        // a word here and there, of each kind
        let mut places = BTreeMap::new();
        let runs: Vec<_> = space.runs(0..u64::MAX).collect();
        for run in runs.iter().step_by(runs.len() / 40 + 1) {
            let mut word = [0; 8];
            match &run.content {
                Content::Stored(_) | Content::Zero => {
                    let middle = run.start + run.len() / 2;
                    space.read(middle, &mut word).unwrap();
                    places.insert(middle, Some(u64::from_le_bytes(word)));
                }
                Content::Missing(_) => drop(places.insert(run.start, None)),
                _ => {}
            }
        }
        let commands: Vec<String> = places.keys().map(|address| format!("x/1xg {address:#x}")).collect();
        let commands: Vec<&str> = ["info threads"].into_iter().chain(commands.iter().map(String::as_str)).collect();
        let (said, told) = ask(gdb, None, &target.path().join(format!("core.{}", row.pid)), &commands);
        let wrong: Vec<_> = told
            .iter()
            .filter(|line| {
                !MAY_LACK.iter().any(|may| line.starts_with(may)) && !line.starts_with("Cannot access memory at")
            })
            .collect();
        assert!(wrong.is_empty(), "{} {}: {wrong:#?}", dir.display(), row.pid);
        assert_eq!(
            answer(&said, "info threads").lines().filter(|line| line.contains("LWP")).count() as u64,
            row.threads
        );
        for (address, want) in places {
            let found = answer(&said, &format!("x/1xg {address:#x}"));
            match want {
                Some(want) => assert_eq!(word(found), format!("0x{want:016x}"), "{address:#x}"),
                None => assert_eq!(word(found), "", "{address:#x}"),
            }
        }
    }
    rows.rows.len()
}

#[test]
fn real_dumps_open() {
    let Some(gdb) = gdb() else { return };
    let mut dumps = vec![corpus::data().join("container"), corpus::data().join("python")];
    match corpus::large() {
        Some(large) => {
            dumps.extend(corpus::dumps(&large.join("postgres")));
            let chain = large.join("chain/chains/tracked/6");
            dumps.extend(chain.is_dir().then_some(chain));
            // tasks of 32 bits
            let compat = corpus::dumps(&large.join("zdtm"))
                .into_iter()
                .filter(|dir| dir.components().any(|part| part.as_os_str() == "compat32"));
            dumps.extend(compat.filter(|dir| dir.ends_with("static-pthread01") || dir.ends_with("static-env00")));
        }
        None => eprintln!("\n  SKIPPED: no large corpus: unpack one and set ICECORE_CORPUS to its folder\n"),
    }
    let count: usize = dumps.iter().map(|dir| opens(&gdb, dir)).sum();
    assert!(count >= 6, "{count}");
}

#[test]
fn machines_that_are_not_here() {
    let Some(gdb) = debugger("ICECORE_GDB_MULTIARCH", "gdb-multiarch") else { return };
    let mut arm = Process::new(7);
    arm.arm();
    arm.map(0x40_0000, 0x40_2000, 5, 2, 0x201);
    arm.page(0x40_1000, 0x33);
    let mut compat = Process::new(8);
    let mut cpu = X86 { compat: true, ..X86::default() };
    (cpu.general[16], cpu.general[5], cpu.xmm) = (0x0804_9010, 0x1234_5678, (0..64).collect());
    compat.cpu = Some(cpu);
    compat.map(0x0804_8000, 0x0804_a000, 5, 2, 0x201);
    compat.page(0x0804_9000, 0x44);
    for (process, pid, asked) in [
        (
            arm,
            7,
            &[
                ("p/x $x30", "= 0x101e"),
                ("p/x $pc", "= 0x401004"),
                ("p/x $sp", "= 0x7fff0000"),
                ("p/x $v31.d.u", "{0x203e, 0x203f}"),
                ("p/x $fpcr", "= 0x300"),
                ("p/x $tpidr", "= 0x77770000"),
                ("x/1xw 0x401000", "0x33333333"),
            ][..],
        ),
        (
            compat,
            8,
            &[
                ("p/x $eip", "= 0x8049010"),
                ("p/x $ebx", "= 0x12345678"),
                ("p/x $xmm1.v4_int32", "{0x4, 0x5, 0x6, 0x7}"),
                ("x/1xw 0x8049000", "0x44444444"),
            ],
        ),
    ] {
        let dump = process.write();
        let target = tempfile::tempdir().unwrap();
        let checkpoint = Checkpoint::open(dump.path()).unwrap();
        cores(&checkpoint, &[], target.path(), (&Silent, &Cancel::default()), &mut Collect::default()).unwrap();
        let commands: Vec<&str> = asked.iter().map(|(command, _)| *command).collect();
        let (said, told) = ask(&gdb, None, &target.path().join(format!("core.{pid}")), &commands);
        assert!(told.is_empty(), "{told:#?}");
        for (command, want) in asked {
            assert!(answer(&said, command).ends_with(want), "{command}: {said}");
        }
    }
}

#[test]
fn more_segments_than_a_header_can_count() {
    let Some(gdb) = gdb() else { return };
    let start = |index: u64| 0x10_0000_0000 + index * 2 * PAGE;
    let mut process = Process::new(7);
    for index in 0..66_000 {
        process.map(start(index), start(index) + PAGE, 3, 0x22, 0x201);
    }
    process.page(start(65_999), 0x66);
    let dump = process.write();
    let target = tempfile::tempdir().unwrap();
    let checkpoint = Checkpoint::open(dump.path()).unwrap();
    cores(&checkpoint, &[], target.path(), (&Silent, &Cancel::default()), &mut Collect::default()).unwrap();
    let last = format!("x/1xw {:#x}", start(65_999));
    let (said, told) = ask(&gdb, None, &target.path().join("core.7"), &["x/1xw 0x1000000000", &last]);
    assert!(told.is_empty(), "{told:#?}");
    assert_eq!((word(answer(&said, "x/1xw 0x1000000000")), word(answer(&said, &last))), ("0x00000000", "0x66666666"));
}

/// What the dump lacks gdb does not read as zeros, nor from the file that was mapped there.
#[test]
fn what_is_missing_is_not_zero() {
    let Some(gdb) = gdb() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mapped");
    fs::write(&file, vec![b'F'; 4 * 4096]).unwrap();
    let base = 0x20_0000;
    let mut process = Process::new(7);
    process.file(base, base + 4 * PAGE, 3, 0, file.to_str().unwrap());
    process.page(base + PAGE, 0x55);
    process.in_parent(base + 2 * PAGE, 1);
    process.map(base + 8 * PAGE, base + 10 * PAGE, 3, 0x22, 0x201);
    process.lazy(base + 8 * PAGE, 1);
    let dump = process.write();
    let target = folder.path().join("cores");
    let checkpoint = Checkpoint::open(dump.path()).unwrap();
    let mut rows = Collect::default();
    cores(&checkpoint, &[], &target, (&Silent, &Cancel::default()), &mut rows).unwrap();
    assert_eq!((rows.rows[0].missing, rows.problems.len()), (2 * PAGE, 1));
    let places = [0, 1, 2, 3, 8, 9].map(|page| format!("x/1xw {:#x}", base + page * PAGE));
    let commands: Vec<&str> = places.iter().map(String::as_str).collect();
    let found = |said: &str| places.each_ref().map(|place| word(answer(said, place)).to_owned());
    let (said, told) = ask(&gdb, None, &target.join("core.7"), &commands);
    assert_eq!(found(&said), ["0x46464646", "0x55555555", "", "0x46464646", "", "0x00000000"]);
    assert_eq!(told.len(), 2, "{told:#?}");
    // nor where the file is gone
    fs::remove_file(&file).unwrap();
    let (said, _) = ask(&gdb, None, &target.join("core.7"), &commands);
    assert_eq!(found(&said), ["", "0x55555555", "", "", "", "0x00000000"]);
}
