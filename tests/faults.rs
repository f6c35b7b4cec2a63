//! Every step of a transaction interrupted: killed, told to end, told that a call failed. Afterwards the directory is
//! the old one or the new one, and the next run finds nothing that stands in its way, nor leaves anything.
//!
//! `ICECORE_FAULTS=all` tries every step with everything; without, as many as are done in a minute or so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr)]

mod common;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use common::faults::{Program, State, Step, copy, difference, in_memory, is_possible, is_thorough, some, state, steps};
use common::faults::{call, unsynced, without_left};
use common::{corpus, oracle};
use icecore::base::alike::Likeness;
use icecore::base::stage::{JOURNAL, STAGED, Stage};

const PROGRAM: &str = env!("CARGO_BIN_EXE_icecore");

/// Runs of each kind for a transaction, unless all are asked for.
const MOST: usize = 32;

/// How many were interrupted.
static INTERRUPTED: AtomicUsize = AtomicUsize::new(0);

/// What is interrupted: words for a folder, which stands in them as `{}`.
struct Transaction {
    name: &'static str,
    words: Vec<String>,
    environment: Vec<(String, String)>,
    started_in: &'static str,
    /// The folder before.
    old: tempfile::TempDir,
    /// Whether a state is one that may be found, given the old and the new one.
    fits: fn(&State, &State, &State) -> bool,
    /// Calls that may fail: it says so, and does the rest.
    optional: &'static [&'static str],
    /// Whether signals that ask it to end are heard.
    listens: bool,
}

impl Transaction {
    fn of(name: &'static str, words: &[&str], prepare: impl Fn(&Path)) -> Self {
        let old = in_memory();
        prepare(old.path());
        let words = [&[PROGRAM], words].concat().iter().map(|word| (*word).to_owned()).collect();
        Self {
            name,
            words,
            environment: Vec::new(),
            started_in: "/",
            old,
            fits: one_or_the_other,
            optional: &[],
            listens: true,
        }
    }

    /// This program itself, as one that changes a directory in this way.
    fn of_helper(name: &'static str, started_in: &'static str, target: &str, prepare: impl Fn(&Path)) -> Self {
        let own = std::env::current_exe().unwrap().to_str().unwrap().to_owned();
        let words = [&own, "--exact", "as_a_program", "--nocapture", "--test-threads=1"];
        Self {
            words: words.iter().map(|word| (*word).to_owned()).collect(),
            environment: vec![("ICECORE_FAULTS_TARGET".to_owned(), target.to_owned())],
            started_in,
            listens: false,
            ..Self::of(name, &[], prepare)
        }
    }

    /// A fresh folder, and the program in it.
    fn fresh(&self) -> (tempfile::TempDir, Program) {
        let folder = in_memory();
        copy(self.old.path(), folder.path());
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        let mut program = Program::new(&words, folder.path());
        program.started_in = self.started_in.into();
        for (name, value) in &self.environment {
            program.environment.push((name.clone(), value.replace("{}", folder.path().to_str().unwrap()).into()));
        }
        (folder, program)
    }

    /// Every step, in every way.
    fn try_all(&self) {
        let (folder, program) = self.fresh();
        let log = program.log();
        let problems = unsynced(&log, folder.path());
        assert!(problems.is_empty(), "{}:\n{}", self.name, problems.join("\n"));
        let (old, new) = (state(self.old.path()), state(folder.path()));
        assert!(!without_left(&new).1, "{}: {:?}", self.name, new.keys());
        assert!(old != new, "{}", self.name);
        let (changing, all) = (steps(&log, folder.path(), false), steps(&log, folder.path(), true));
        let all: Vec<Step> = all.into_iter().filter(|step| !self.optional.contains(&step.call.as_str())).collect();
        assert!(changing.len() > 4, "{}: {changing:?}", self.name);
        for step in some(&changing, MOST) {
            self.killed(&step, &old, &new);
        }
        if self.listens {
            for (at, step) in some(&changing, MOST).iter().enumerate() {
                let signals = ["SIGINT", "SIGTERM", "SIGHUP"];
                let (one, every) = ([signals[at % 3]], signals);
                let signals: &[&str] = if is_thorough() { &every } else { &one };
                signals.iter().for_each(|signal| self.told(step, signal, &old, &new));
            }
        }
        for (at, step) in some(&all, MOST).iter().enumerate() {
            let errors = ["ENOSPC", "EIO"];
            let (one, every) = ([errors[at % 2]], errors);
            let errors: &[&str] = if is_thorough() { &every } else { &one };
            errors.iter().for_each(|error| self.failed(step, error, &old, &new));
        }
        let _ = writeln!(
            std::io::stderr(),
            "{}: {} steps change something, {} touch it; {} transactions interrupted so far",
            self.name,
            changing.len(),
            all.len(),
            INTERRUPTED.load(Ordering::Relaxed)
        );
    }

    /// `kill -9` at a step.
    fn killed(&self, step: &Step, old: &State, new: &State) {
        let (folder, program) = self.fresh();
        let output = program.injected(step, "signal=SIGKILL");
        INTERRUPTED.fetch_add(1, Ordering::Relaxed);
        let place = || format!("{}: killed at {step:?}", self.name);
        assert_eq!(output.status.signal(), Some(9), "{}: {output:?}", place());
        let has_journal = self.in_force(folder.path());
        let (after, _) = without_left(&state(folder.path()));
        assert!(has_journal || (self.fits)(&after, old, new), "{}: {:?}", place(), difference(&after, old));
        self.again(&program, new, &place());
    }

    /// Ctrl-C and its kin at a step.
    fn told(&self, step: &Step, signal: &str, old: &State, new: &State) {
        let (folder, program) = self.fresh();
        let output = program.injected(step, &format!("signal={signal}"));
        INTERRUPTED.fetch_add(1, Ordering::Relaxed);
        let after = state(folder.path());
        let place = || format!("{}: {signal} at {step:?}: {output:?}", self.name);
        match output.status.code() {
            Some(0) => assert!(after == *new, "{}: {:?}", place(), difference(&after, new)),
            // each thread was told at its own step: the second time ends the program
            Some(130) if !step.only_first_thread => {
                let (after, _) = without_left(&after);
                assert!((self.fits)(&after, old, new), "{}: {:?}", place(), difference(&after, old));
            }
            Some(code) => {
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                assert!([1, 2].contains(&code) && said.contains("interrupted"), "{}", place());
                assert!((self.fits)(&after, old, new), "{}: {:?}", place(), difference(&after, old));
            }
            None => panic!("{}", place()),
        }
    }

    /// A call that fails.
    fn failed(&self, step: &Step, error: &str, old: &State, new: &State) {
        let (folder, program) = self.fresh();
        let output = program.injected(step, &format!("error={error}"));
        INTERRUPTED.fetch_add(1, Ordering::Relaxed);
        let after = state(folder.path());
        let place = || format!("{}: {error} at {step:?}: {output:?}", self.name);
        let (kept, was_left) = without_left(&after);
        // what cannot be removed stays until the next run
        let may_leave = step.call.starts_with("unlink")
            || step.call == "rmdir"
            || step.call.starts_with("open")
            || step.call.starts_with("getdents")
            || step.call == "statx"
            || self.in_force(folder.path());
        assert!(may_leave || !was_left, "{}: {:?}", place(), after.keys());
        if output.status.success() {
            assert!(kept == *new, "{}: {:?}", place(), difference(&kept, new));
        } else {
            let fits = (self.fits)(&kept, old, new) || self.in_force(folder.path());
            assert!(fits, "{}: {:?}", place(), difference(&kept, old));
        }
        self.again(&program, new, &place());
    }

    /// Whether a journal says what is left to do.
    fn in_force(&self, folder: &Path) -> bool {
        state(folder).keys().any(|name| name.ends_with(b".icecore-journal"))
    }

    /// The next run: it does what this one did not, or says that it is done; nothing else is left.
    fn again(&self, program: &Program, new: &State, place: &str) {
        let output = program.run();
        assert!(output.status.code().is_some_and(|code| code <= 2), "{place}, then {output:?}");
        // a helper that finishes a journal has it said
        if !output.status.success() {
            program.run();
        }
        let after = state(&program.folder);
        assert!(after == *new, "{place}, then {output:?}: {:?}", difference(&after, new));
    }
}

/// The old folder, or the new one.
fn one_or_the_other(after: &State, old: &State, new: &State) -> bool {
    after == old || after == new
}

/// Each file changes by itself, and is complete at any time.
fn one_by_one(after: &State, old: &State, new: &State) -> bool {
    let known = |(name, what): (&Vec<u8>, &(u32, Vec<u8>))| [old.get(name), new.get(name)].contains(&Some(what));
    after.iter().all(known) && old.keys().all(|name| after.contains_key(name))
}

/// Each page is there or a hole; nothing else changes.
fn page_by_page(after: &State, old: &State, new: &State) -> bool {
    let whole = |name: &Vec<u8>| {
        let (is, was, will) = (&after[name], &old[name], &new[name]);
        let mut pages = is.1.chunks(4096).zip(was.1.chunks(4096)).zip(will.1.chunks(4096));
        is.0 == was.0 && is.1.len() == was.1.len() && pages.all(|((is, was), will)| is == was || is == will)
    };
    after.keys().eq(old.keys()) && after.keys().all(whole)
}

/// A small dump, a file that is no image, a link, a directory.
fn dump(folder: &Path) -> PathBuf {
    let dump = folder.join("dump");
    fs::create_dir_all(dump.join("sub")).unwrap();
    corpus::copy_dump(&corpus::data().join("python"), &dump);
    fs::write(dump.join("dump.log"), "a log\n").unwrap();
    fs::write(dump.join("sub/more"), "more\n").unwrap();
    std::os::unix::fs::symlink("dump.log", dump.join("link")).unwrap();
    fs::set_permissions(&dump, fs::Permissions::from_mode(0o750)).unwrap();
    dump
}

fn plainly(words: &[&str]) {
    let output = Command::new(PROGRAM).args(words).output().unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
}

/// A bundle, and nothing else.
fn bundle(folder: &Path) {
    let dump = dump(folder);
    plainly(&["convert", dump.to_str().unwrap(), "-o", folder.join("it.criu").to_str().unwrap()]);
    fs::remove_dir_all(dump).unwrap();
}

#[test]
fn convert_to_a_directory_of_version_1() {
    if is_possible() {
        Transaction::of("a directory of version 1", &["convert", "{}/it.criu", "-o", "{}/out"], bundle).try_all();
    }
}

#[test]
fn convert_to_an_empty_directory() {
    if is_possible() {
        let prepare = |folder: &Path| {
            bundle(folder);
            fs::create_dir(folder.join("out")).unwrap();
            fs::set_permissions(folder.join("out"), fs::Permissions::from_mode(0o711)).unwrap();
        };
        Transaction::of("an empty directory", &["convert", "{}/it.criu", "-o", "{}/out"], prepare).try_all();
        let mut here = Transaction::of("the directory around us", &["convert", "{}/it.criu", "-o", "{}/out"], prepare);
        here.started_in = "out";
        here.try_all();
    }
}

#[test]
fn convert_to_a_file_for_each_image() {
    if is_possible() {
        let words = ["convert", "{}/dump", "--to", "v2", "-o", "{}/out"];
        Transaction::of("a file for each image", &words, |folder| drop(dump(folder))).try_all();
        let words = ["convert", "{}/it.criu", "--to", "v2", "-o", "{}/out"];
        Transaction::of("by way of version 1", &words, bundle).try_all();
    }
}

#[test]
fn convert_to_a_bundle() {
    if is_possible() {
        let words = ["convert", "{}/dump", "-o", "{}/out.criu"];
        Transaction::of("a bundle", &words, |folder| drop(dump(folder))).try_all();
        let prepare = |folder: &Path| {
            dump(folder);
            fs::write(folder.join("out.criu"), "an old one").unwrap();
        };
        Transaction::of("a bundle over an old one", &words, prepare).try_all();
    }
}

#[test]
fn core_files() {
    if is_possible() {
        let prepare = |folder: &Path| {
            dump(folder);
            fs::create_dir(folder.join("out")).unwrap();
        };
        let mut cores = Transaction::of("core files", &["core", "{}/dump", "-o", "{}/out"], prepare);
        cores.fits = one_by_one;
        cores.optional = &["openat", "pread64", "statx", "readlink", "getdents64"];
        cores.try_all();
    }
}

/// A dump whose pages are compressed.
fn compressed(folder: &Path) {
    let dump = dump(folder);
    plainly(&["crit", "compress", "--in-place", dump.to_str().unwrap()]);
}

#[test]
fn crit_compress() {
    if is_possible() {
        let prepare = |folder: &Path| drop(dump(folder));
        Transaction::of("compress, old files kept", &["crit", "compress", "{}/dump"], prepare).try_all();
        let words = ["crit", "compress", "--in-place", "."];
        let mut here = Transaction::of("compress in place and here", &words, prepare);
        here.started_in = "dump";
        here.try_all();
    }
}

#[test]
fn crit_decompress() {
    if is_possible() {
        let words = ["crit", "decompress", "--in-place", "{}/dump"];
        Transaction::of("decompress in place", &words, compressed).try_all();
    }
}

#[test]
fn flatten() {
    if is_possible() {
        let words = ["flatten", "{}/dump", "--decompress", "-o", "{}/out"];
        let mut flatten = Transaction::of("flatten", &words, compressed);
        // a file whose rights it cannot see is for its owner alone
        flatten.optional = &["statx"];
        flatten.try_all();
    }
}

#[test]
fn dedup() {
    if is_possible() {
        // the dump has all pages that its parent has
        let prepare = |folder: &Path| {
            let dump = folder.join("dump");
            copy(&corpus::data().join("tree"), &dump);
            copy(&dump, &folder.join("base"));
            std::os::unix::fs::symlink("../base", dump.join("parent")).unwrap();
        };
        let mut dedup = Transaction::of("dedup", &["dedup", "{}/dump"], prepare);
        dedup.fits = page_by_page;
        dedup.try_all();
    }
}

/// What a writer of a directory that is there does.
fn change(target: &Path) -> icecore::base::Result<()> {
    // there and changed already: nothing is to do
    Stage::recover(target)?;
    if target.join("dump.log.bak").exists() {
        return Ok(());
    }
    let stage = Stage::replace(target)?;
    stage.keep_old(Path::new("dump.log"))?;
    for (name, content) in [("dump.log", "another log\n"), ("new.img", "new\n"), ("sub/new", "new\n")] {
        let mut sink = stage.file(Path::new(name))?;
        sink.write_all(content.as_bytes()).map_err(|error| icecore::Error::io("cannot write", error))?;
        let like = target.join("pstree.img");
        sink.resemble(&Likeness::of(&fs::File::open(&like).unwrap(), &like)?)?;
        sink.finish()?;
    }
    stage.remove(Path::new("stats-dump"))?;
    stage.commit()
}

/// No test of its own: this program, started again by those that interrupt it.
#[test]
fn as_a_program() {
    if let Some(target) = std::env::var_os("ICECORE_FAULTS_TARGET") {
        change(Path::new(&target)).unwrap();
    }
}

#[test]
fn a_directory_is_replaced() {
    if is_possible() {
        Transaction::of_helper("a directory exchanged", "/", "{}/dump", |folder| drop(dump(folder))).try_all();
        Transaction::of_helper("a directory changed by a journal", "dump", "{}/dump", |folder| drop(dump(folder)))
            .try_all();
    }
}

/// A change.
type Meanwhile = fn(&Path);
/// What somebody else may do to a dump.
const CHANGES: [(&str, Meanwhile); 5] = [
    ("added", |dump| fs::write(dump.join("added"), "").unwrap()),
    ("removed", |dump| fs::remove_file(dump.join("mm-100.img")).unwrap()),
    ("grown", |dump| {
        let mut file = fs::OpenOptions::new().append(true).open(dump.join("pages-1.img")).unwrap();
        file.write_all(b"more").unwrap();
    }),
    ("cut", |dump| fs::File::options().write(true).open(dump.join("pages-1.img")).unwrap().set_len(100).unwrap()),
    ("replaced", |dump| {
        fs::copy(dump.join("mm-100.img"), dump.join("mm-new")).unwrap();
        fs::rename(dump.join("mm-new"), dump.join("mm-100.img")).unwrap();
    }),
];

/// Whether there is something that will take the place of something.
fn is_staged(folder: &Path) -> bool {
    let names = |path: &Path| -> Vec<String> {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    };
    names(folder).iter().any(|name| name.ends_with(".tmp"))
        || names(&folder.join("dump")).iter().any(|name| name == STAGED)
}

/// Somebody changes the directory while it is replaced: before the last look at it, and after.
#[test]
fn what_somebody_else_changes_meanwhile() {
    if !is_possible() {
        return;
    }
    for (what, change) in CHANGES {
        for (call, started_in) in [("syncfs", "/"), ("renameat2", "/"), ("syncfs", "dump")] {
            let of = Transaction::of_helper("changed meanwhile", started_in, "{}/dump", |folder| drop(dump(folder)));
            let (folder, program) = of.fresh();
            let step = Step { call: call.to_owned(), number: 1, only_first_thread: false };
            let output: Output = thread::scope(|scope| {
                let running = scope.spawn(|| program.injected(&step, "delay_enter=400000"));
                // it has begun when there is another directory, and all is written soon after
                let has_begun = || is_staged(folder.path());
                (0..2000).take_while(|_| !has_begun()).for_each(|_| thread::sleep(Duration::from_millis(2)));
                thread::sleep(Duration::from_millis(150));
                change(&folder.path().join("dump"));
                running.join().unwrap()
            });
            let place = format!("{what} before {call}: {output:?}");
            assert!(!output.status.success(), "{place}");
            let said = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned();
            assert!(said.contains("was changed by somebody else meanwhile"), "{place}");
            let expected = in_memory();
            copy(of.old.path(), expected.path());
            change(&expected.path().join("dump"));
            let (expected, found) = (state(expected.path()), state(folder.path()));
            assert!(expected == found, "{place}: {:?}", difference(&expected, &found));
            INTERRUPTED.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Somebody changes what is converted while it is read. What comes of it is complete, or nothing comes of it.
#[test]
fn a_source_that_changes_meanwhile() {
    if !is_possible() {
        return;
    }
    for (what, change) in CHANGES {
        for target in ["out.criu", "out"] {
            let words = ["convert", "{}/dump", "--to", "v2", "-o", &format!("{{}}/{target}")];
            let words = if target == "out" { &words[..] } else { &[words[0], words[1], words[4], words[5]] };
            let of = Transaction::of("a source that changes", words, |folder| drop(dump(folder)));
            let (_folder, program) = of.fresh();
            let log = program.log();
            // when the memory's map is opened, and when its content is
            let opened = log.iter().filter_map(|line| call(line)).filter(|(_, name, _)| *name == "openat");
            let opened = (1u32..).zip(opened).filter(|(_, (_, _, arguments))| {
                arguments.contains("/dump/mm-100.img") || arguments.contains("/dump/pages-1.img")
            });
            let numbers: Vec<u32> = opened.map(|(number, _)| number).collect();
            assert!(numbers.len() > 1, "{log:?}");
            for number in numbers {
                let (folder, program) = of.fresh();
                let step = Step { call: "openat".to_owned(), number, only_first_thread: true };
                let output: Output = thread::scope(|scope| {
                    let running = scope.spawn(|| program.injected(&step, "delay_enter=60000"));
                    thread::sleep(Duration::from_millis(40));
                    change(&folder.path().join("dump"));
                    running.join().unwrap()
                });
                INTERRUPTED.fetch_add(1, Ordering::Relaxed);
                let place = format!("{what} before the open number {number}: {output:?}");
                let out = folder.path().join(target);
                match output.status.code() {
                    Some(0) => {
                        let back = folder.path().join("back");
                        plainly(&["convert", out.to_str().unwrap(), "--to", "v1", "-o", back.to_str().unwrap()]);
                    }
                    Some(2) => assert!(!out.exists(), "{place}"),
                    _ => panic!("{place}"),
                }
                // a map that became shorter ends the program at once
                if String::from_utf8_lossy(&output.stderr).contains("shrank") {
                    program.run();
                }
                assert!(!without_left(&state(folder.path())).1, "{place}");
            }
        }
    }
}

/// A dump in a layer of a container's file system: no directory of it can be exchanged, and links have other numbers.
#[test]
fn overlays() {
    let can = Command::new("unshare").args(["-m", "mount", "-t", "tmpfs", "none", "/mnt"]).output();
    if !can.is_ok_and(|output| output.status.success()) {
        oracle::skipped("no file system may be mounted here: no overlay is tried");
        return;
    }
    let folder = in_memory();
    ["lower", "layer", "merged"].iter().for_each(|name| fs::create_dir(folder.path().join(name)).unwrap());
    let dump = dump(&folder.path().join("lower"));
    // once with both layers on one file system, once not
    let script = "set -e; cd \"$1\"; [ $2 = one ] || mount -t tmpfs none layer; mkdir layer/upper layer/work\n\
        mount -t overlay overlay -o lowerdir=lower,upperdir=layer/upper,workdir=layer/work merged || exit 77\n\
        $3 crit compress merged/dump; $3 crit decompress --in-place merged/dump; rm -r layer/work\n\
        ls -A merged; cd merged/dump; ls -A; for kept in *.bak; do cmp $kept ../../lower/dump/${kept%.bak}; rm $kept; done\n\
        diff -r -x inventory.img . ../../lower/dump && echo same";
    for layers in ["one", "two"] {
        let words = ["-m", "sh", "-c", script, "sh", folder.path().to_str().unwrap(), layers, PROGRAM];
        let output = Command::new("unshare").args(words).output().unwrap();
        if output.status.code() == Some(77) {
            oracle::skipped("no overlay may be mounted here");
            return;
        }
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && said.ends_with("same\n") && !said.contains(".icecore"), "{output:?}");
        fs::read_dir(folder.path().join("layer"))
            .unwrap()
            .flatten()
            .for_each(|left| fs::remove_dir_all(left.path()).unwrap());
    }
    assert!(dump.exists());
}

#[test]
fn check_tells_of_a_journal() {
    let folder = in_memory();
    let dump = dump(folder.path());
    plainly(&["check", dump.to_str().unwrap()]);
    fs::write(dump.join(JOURNAL), "icecore journal 1\0put\0mm-100.img\0end").unwrap();
    let output = Command::new(PROGRAM).args(["check", "--json", dump.to_str().unwrap()]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.code() == Some(1) && said.contains("\"change-unfinished\""), "{output:?}");
    assert!(said.contains("\".icecore-journal\""), "{said}");
}

/// File systems of every size up to one that is large enough; the target in it, or the whole of it.
#[test]
fn file_systems_that_fill_up() {
    let can = Command::new("unshare").args(["-m", "mount", "-t", "tmpfs", "none", "/mnt"]).output();
    if !can.is_ok_and(|output| output.status.success()) {
        oracle::skipped("no file system may be mounted here: none that fills up is tried");
        return;
    }
    let folder = in_memory();
    let (source, at) = (folder.path().join("source"), folder.path().join("at"));
    [&source, &at].iter().for_each(|path| fs::create_dir(path).unwrap());
    bundle(&source);
    let dump = dump(&source);
    plainly(&["convert", source.join("it.criu").to_str().unwrap(), "-o", source.join("v1").to_str().unwrap()]);
    plainly(&["convert", dump.to_str().unwrap(), "--to", "v2", "-o", source.join("v2").to_str().unwrap()]);
    let script = "set -e; mount -t tmpfs -o size=$1k,mode=755 none \"$2\"; program=$3 source=$4 to=$5 target=$2$6 like=$7\n\
        set +e; \"$program\" convert \"$source\" --to \"$to\" -o \"$target\" >/dev/null 2>&1; code=$?\n\
        if [ $code = 0 ]; then diff -r \"$target\" \"$like\" >&2 || exit 9; ls -A \"$2\"\n\
        else ls -A \"$2\"; find \"$2\" -mindepth 1 >&2; fi; exit $code";
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    for (from, to, like) in [("it.criu", "v1", "v1"), ("dump", "v2", "v2")] {
        for below in ["/out", ""] {
            let mut codes = Vec::new();
            let last = fs::read_dir(source.join(like)).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len());
            let enough = last.sum::<u64>() / 1024 + 256;
            for size in (1..=8).map(|part| enough * part / 8) {
                let mut command = Command::new("unshare");
                command.args(["-m", "sh", "-c", script, "sh"]).arg(size.to_string()).arg(text(&at)).arg(PROGRAM);
                let command = command.arg(text(&source.join(from))).arg(to).arg(below).arg(text(&source.join(like)));
                let output = command.output().unwrap();
                let place = format!("{from} to {to} in {size}K{below}: {output:?}");
                match output.status.code() {
                    Some(0) => assert!(below.is_empty() || output.stdout == b"out\n", "{place}"),
                    Some(2) => assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{place}"),
                    _ => panic!("{place}"),
                }
                codes.extend(output.status.code());
            }
            assert!(codes.first() == Some(&2) && codes.last() == Some(&0), "{from} to {to}{below}: {codes:?}");
        }
    }
}
