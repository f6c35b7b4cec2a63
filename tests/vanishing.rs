//! A file that is cut short while it is mapped: the next access raises SIGBUS, which ends the process with a message
//! that names the file, and leaves nothing half-written behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr)]

mod common;

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use common::writer::{File, message};
use icecore::base::map::{self, Access};
use icecore::object::json::{self, Form};
use icecore::{Image, Limits};

/// A pagemap of so many entries.
fn pagemap(entries: u64) -> Vec<u8> {
    let mut file = File::new("PAGEMAP").entry(&message().uint(1, 1));
    for i in 1..entries {
        file = file.entry(&message().uint(1, i << 12).uint(2, 0).uint(4, 4).uint(5, 1));
    }
    file.0
}

fn truncate(path: &Path) {
    OpenOptions::new().write(true).open(path).unwrap().set_len(4096).unwrap();
}

const PATH: &str = "ICECORE_TEST_VANISHING";

/// Not a test of its own: what `the_library_says_which_file` runs as another process.
#[test]
fn child() {
    let Some(path) = std::env::var_os(PATH) else { return };
    let path = Path::new(&path);
    map::on_shrunk_file(42);
    let file = fs::File::open(path).unwrap();
    let other = map::content(&fs::File::open("/proc/self/exe").unwrap(), Path::new("other"), Access::Map).unwrap();
    let bytes = map::content(&file, path, Access::Map).unwrap();
    let image = Image::open("pagemap-1.img", bytes, Limits::default()).unwrap();
    assert!(other.len() > image.len() && image.len() > 10_000);
    truncate(path);
    let _ = json::decode(&image, &Form::COMPACT, &mut std::io::sink(), &mut |_| {});
    panic!("the file is shorter than its map, and yet was read");
}

#[test]
fn the_library_says_which_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pagemap-1.img");
    fs::write(&path, pagemap(20_000)).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(PATH, &path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(42), "{said}");
    let line = format!(
        "icecore: {}: the file shrank or could not be read while it was mapped (read it from a copy, or with --no-map)\n",
        path.display()
    );
    assert!(said.ends_with(&line), "{said}");
}

/// Reading instead of mapping: what was read is there, whatever happens to the file.
#[test]
fn what_is_read_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pagemap-1.img");
    fs::write(&path, pagemap(20_000)).unwrap();
    let bytes = map::content(&fs::File::open(&path).unwrap(), &path, Access::Read).unwrap();
    truncate(&path);
    let image = Image::open("pagemap-1.img", bytes, Limits::default()).unwrap();
    assert_eq!(image.iter().filter(|entry| entry.is_ok()).count(), 20_000);
}

/// A file that vanishes is still there for who has it open.
#[test]
fn what_is_removed_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pagemap-1.img");
    fs::write(&path, pagemap(20_000)).unwrap();
    let bytes = map::content(&fs::File::open(&path).unwrap(), &path, Access::Map).unwrap();
    fs::remove_file(&path).unwrap();
    let image = Image::open("pagemap-1.img", bytes, Limits::default()).unwrap();
    assert_eq!(image.iter().filter(|entry| entry.is_ok()).count(), 20_000);
}

/// The program, if it does these commands on a sound image.
fn program(probe: &[&str]) -> Option<Command> {
    let path = env!("CARGO_BIN_EXE_icecore");
    let output = Command::new(path).args(probe).output().unwrap();
    if !output.status.success() || output.stdout.is_empty() {
        eprintln!("\n  SKIPPED: the program cannot do `{}` yet\n", probe.join(" "));
        return None;
    }
    Some(Command::new(path))
}

/// Runs a command whose output waits in a pipe while its input is cut short.
fn cut_under(arguments: &[&str], path: &Path) -> Option<Output> {
    let mut child = program(arguments)?.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    // it has begun: the file is mapped, and it waits for us to read on
    stdout.read_exact(&mut [0; 1000]).unwrap();
    truncate(path);
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).unwrap();
    drop(stdout);
    Some(child.wait_with_output().unwrap())
}

#[test]
fn the_program_says_which_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pagemap-1.img");
    let name = path.to_str().unwrap();
    let image = pagemap(200_000);
    // crit's exit code for anything that goes wrong is 1, icecore's own for what it could not do is 2
    for (arguments, code) in [
        (&["crit", "decode", "-i", name][..], 1),
        (&["crit", "decode", "--pretty", "-i", name][..], 1),
        (&["crit", "show", name][..], 1),
        (&["show", folder.path().to_str().unwrap()][..], 2),
    ] {
        fs::write(&path, &image).unwrap();
        let Some(output) = cut_under(arguments, &path) else { continue };
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains("pagemap-1.img: the file shrank"), "{arguments:?}: {said}");
    }
}

/// With `-o`, nothing is left of what was written so far, and what was there before is still there.
#[test]
fn the_program_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let (path, out) = (folder.path().join("pagemap-1.img"), folder.path().join("out.json"));
    let image = pagemap(400_000);
    let mut met = 0;
    let arguments = ["crit", "decode", "-i", path.to_str().unwrap(), "-o", out.to_str().unwrap()];
    fs::write(&path, pagemap(10)).unwrap();
    if program(&arguments[..4]).is_none() {
        return;
    }
    for delay in (0..60).map(|step| Duration::from_millis(1 + 4 * step)) {
        fs::write(&path, &image).unwrap();
        fs::write(&out, "before").unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_icecore")).args(arguments).stderr(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(delay);
        truncate(&path);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        // too early: an image that is cut; too late: done
        if output.status.success() || !said.contains("the file shrank") {
            continue;
        }
        met += 1;
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert_eq!(fs::read_to_string(&out).unwrap(), "before");
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "{left:?}");
        if met > 2 {
            return;
        }
    }
    assert!(met > 0, "the file was never cut while it was read");
}

/// Standard output that nobody reads is no error worth a word.
#[test]
fn a_closed_pipe_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pagemap-1.img");
    fs::write(&path, pagemap(200_000)).unwrap();
    let arguments = ["show", folder.path().to_str().unwrap()];
    let Some(mut program) = program(&arguments) else { return };
    let mut child = program.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
    std::io::stderr().flush().unwrap();
}
