//! Restores the private memory of one process of a real dump at the addresses it had, in a child of this program, each
//! way; times it, and compares every page with what the dump says.
//!
//!     cargo run --release --example restore -- DUMP PID
//!
//! Where the child itself uses one of the addresses it starts again: the kernel lays out each start differently.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process::{Command, ExitCode};
use std::time::Instant;

use icecore::base::report::{Cancel, Silent};
use icecore::memory::Content;
use icecore::tool::restore::{OnMissing, Options, Plan, Target, Way, What};
use icecore::{Checkpoint, Error, Result};

/// How often a child starts again.
const TRIES: usize = 100;
/// How a child says that an address is taken.
const TAKEN: i32 = 75;
const WAYS: [Way; 2] = [Way::Map, Way::Copy];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        [dump, pid] => parent(dump, pid),
        ["--child", way, dump, pid] => match child(way, dump, pid) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                let is_taken = error.io_kind() == Some(std::io::ErrorKind::AlreadyExists);
                eprintln!("{error}");
                ExitCode::from(if is_taken { 75 } else { 2 })
            }
        },
        _ => {
            eprintln!("usage: restore DUMP PID");
            ExitCode::from(2)
        }
    }
}

fn parent(dump: &str, pid: &str) -> ExitCode {
    println!(
        "{:<5} {:>9} {:>6} {:>12} {:>9} {:>8} {:>14}",
        "way", "fragments", "maps", "bytes", "ms", "GB/s", "pages compared"
    );
    for way in WAYS {
        let mut why = String::new();
        let done = (0..TRIES).find_map(|_| {
            let own = std::env::current_exe().ok()?;
            let output = Command::new(own).args(["--child", way.name(), dump, pid]).output().ok()?;
            why = String::from_utf8_lossy(&output.stderr).into_owned();
            (output.status.code() != Some(TAKEN)).then_some(output)
        });
        match done {
            Some(output) if output.status.success() => print!("{}", String::from_utf8_lossy(&output.stdout)),
            _ => {
                eprint!("{}: {why}", way.name());
                return ExitCode::from(2);
            }
        }
    }
    ExitCode::SUCCESS
}

fn child(way: &str, dump: &str, pid: &str) -> Result<()> {
    let way = WAYS.into_iter().find(|found| found.name() == way).ok_or_else(|| Error::usage("no such way"))?;
    let pid = pid.parse().map_err(|_| Error::usage(format!("{pid} is no number of a process")))?;
    let dump = Checkpoint::open(dump)?;
    let Some(space) = dump.task(pid)?.address_space()? else {
        return Err(Error::usage(format!("{pid} is a zombie: it has no memory")));
    };
    let start = Instant::now();
    let plan = Plan::new(&space, &Options { missing: OnMissing::Refuse, ..Options::default() })?;
    let memory = plan.restore(way, Target::Exact, &Silent, &Cancel::default())?;
    let time = start.elapsed();

    // through the eyes of a debugger, who may read what is protected
    let own = File::open("/proc/self/mem").map_err(|error| Error::io("cannot read its own memory", error))?;
    let (mut pages, mut scratch, mut found) = (0, Vec::new(), Vec::new());
    for area in plan.areas() {
        for run in space.runs(area.start.0..area.end.0) {
            let wanted = match &run.content {
                Content::Stored(stored) => Some(stored.bytes(&mut scratch)?),
                Content::Zero => None,
                _ => continue,
            };
            for at in (run.start..run.end).step_by(PART) {
                let length = usize::try_from(run.end - at).unwrap_or(usize::MAX).min(PART);
                found.resize(length, 0);
                own.read_exact_at(&mut found, at).map_err(|error| Error::io(format!("cannot read {at:#x}"), error))?;
                let behind = usize::try_from(at - run.start).unwrap_or(usize::MAX);
                let same = match wanted {
                    Some(wanted) => wanted.get(behind..behind + length) == Some(&found[..]),
                    None => found.iter().all(|byte| *byte == 0),
                };
                if !same {
                    return Err(Error::fault(format!(
                        "{at:#x} and the {length} bytes from there differ from the dump"
                    )));
                }
                pages += length as u64 / space.page_size();
            }
        }
    }
    let (fragments, bytes) = plan.count(|what| matches!(what, What::Map { .. } | What::Copy { .. } | What::Unpack));
    let maps = if way == Way::Map { plan.maps() } else { plan.areas().len() };
    println!(
        "{:<5} {fragments:>9} {maps:>6} {bytes:>12} {:>9.2} {:>8.2} {pages:>14}",
        way.name(),
        time.as_secs_f64() * 1e3,
        bytes as f64 / 1e9 / time.as_secs_f64()
    );
    drop(memory);
    Ok(())
}

/// Bytes compared at once.
const PART: usize = 1 << 20;
