//! Core files of processes with 64 MiB of pages, beside `cp` of the pages file followed by `sync -d`, which is what
//! writing and syncing as many bytes takes. Aim: at most twice its time. Private memory is polled meanwhile.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PAGE: u64 = 4096;
const PAGES: u64 = (64 << 20) / PAGE;
const ROUNDS: usize = 15;
const START: u64 = 0x5500_0000_0000;
const PSTREE: u32 = 0x5027_3030;
const CORE: u32 = 0x5505_3847;
const MM: u32 = 0x5749_2820;
const PAGEMAP: u32 = 0x5608_4025;

/// Adds a field with a varint to a message.
fn field(out: &mut Vec<u8>, number: u8, value: u64) {
    varint(out, u64::from(number) << 3);
    varint(out, value);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn bytes(out: &mut Vec<u8>, number: u8, value: &[u8]) {
    varint(out, u64::from(number) << 3 | 2);
    varint(out, value.len() as u64);
    out.extend(value);
}

fn numbers(values: &[(u8, u64)]) -> Vec<u8> {
    let mut out = Vec::new();
    values.iter().for_each(|&(number, value)| field(&mut out, number, value));
    out
}

fn image(path: &Path, magic: u32, entries: &[Vec<u8>]) {
    let mut out = Vec::new();
    out.extend(0x5456_4319u32.to_le_bytes());
    out.extend(magic.to_le_bytes());
    for entry in entries {
        out.extend((entry.len() as u32).to_le_bytes());
        out.extend(entry);
    }
    fs::write(path, out).unwrap();
}

/// A process with one mapping, whose pages are stored in runs of `run` pages with a page of zeros behind each.
fn dump(dir: &Path, run: u64) {
    fs::create_dir(dir).unwrap();
    let runs = PAGES / run;
    let end = START + runs * (run + 1) * PAGE;
    image(&dir.join("pstree.img"), PSTREE, &[numbers(&[(1, 7), (2, 0), (3, 7), (4, 7), (5, 7)])]);
    let mut general: Vec<(u8, u64)> = (1..=27).map(|number| (number, 0)).collect();
    general.push((28, 1));
    let mut float = numbers(&[(1, 0x37f), (2, 0), (3, 0), (4, 0), (5, 0), (6, 0), (7, 0x1f80), (8, 0xffff)]);
    (0..32).for_each(|_| field(&mut float, 9, 0));
    (0..64).for_each(|_| field(&mut float, 10, 0));
    let mut info = numbers(&[(1, 0)]);
    bytes(&mut info, 2, &numbers(&general));
    bytes(&mut info, 3, &float);
    let mut tc = numbers(&[(1, 1), (2, 0), (3, 0), (4, 0), (5, 0)]);
    bytes(&mut tc, 6, b"frozen");
    let mut core = numbers(&[(1, 1)]);
    bytes(&mut core, 2, &info);
    bytes(&mut core, 3, &tc);
    image(&dir.join("core-7.img"), CORE, &[core]);
    let mut mm = numbers(&(1..=12).map(|number| (number, 0)).collect::<Vec<_>>());
    bytes(&mut mm, 14, &numbers(&[(1, START), (2, end), (3, 0), (4, 0), (5, 3), (6, 0x22), (7, 0x201), (8, 1)]));
    image(&dir.join("mm-7.img"), MM, &[mm]);
    let mut content = vec![0u8; (PAGES * PAGE) as usize];
    for (page, chunk) in content.chunks_mut(PAGE as usize).enumerate() {
        chunk.fill(page as u8 | 1);
    }
    fs::write(dir.join("pages-1.img"), content).unwrap();
    let entry = |index: u64| numbers(&[(1, START + index * (run + 1) * PAGE), (2, run), (4, 4)]);
    let entries: Vec<Vec<u8>> = [numbers(&[(1, 1)])].into_iter().chain((0..runs).map(entry)).collect();
    image(&dir.join("pagemap-7.img"), PAGEMAP, &entries);
}

/// How long a command takes to its end.
fn timed(command: &mut Command) -> Duration {
    let start = Instant::now();
    assert!(command.stdout(Stdio::null()).status().unwrap().success());
    start.elapsed()
}

/// The most private memory that a command was seen with, in KiB.
fn private(command: &mut Command) -> u64 {
    let mut child: Child = command.stdout(Stdio::null()).spawn().unwrap();
    let path = format!("/proc/{}/status", child.id());
    let mut most = 0;
    while child.try_wait().unwrap().is_none() {
        let status = fs::read_to_string(&path).unwrap_or_default();
        let lines = status.lines().filter(|line| line.starts_with("RssAnon:") || line.starts_with("RssShmem:"));
        most = most.max(lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum());
    }
    most
}

fn main() {
    // `cargo test --benches` only asks whether it runs
    let rounds = if std::env::args().any(|word| word == "--bench") { ROUNDS } else { 1 };
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    for run in [PAGES, 16, 1] {
        let dir = folder.path().join(format!("dump-{run}"));
        dump(&dir, run);
        let (pages, copy, target) = (dir.join("pages-1.img"), folder.path().join("copy"), folder.path().join("cores"));
        let core = || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_icecore"));
            command.arg("core").arg(&dir).arg("-o").arg(&target);
            command
        };
        let (mut own, mut rival) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            rival.push(
                timed(Command::new("cp").arg(&pages).arg(&copy)) + timed(Command::new("sync").arg("-d").arg(&copy)),
            );
            fs::remove_file(&copy).unwrap();
            own.push(timed(&mut core()));
            fs::remove_file(target.join("core.7")).unwrap();
        }
        own.sort();
        rival.sort();
        let (own, rival) = (own[own.len() / 2], rival[rival.len() / 2]);
        println!(
            "core: 64 MiB in runs of {run:5} pages: {:6.1} ms, cp and sync {:6.1} ms, {:.2} times (aim: 2); {} KiB private (aim: 65536)",
            own.as_secs_f64() * 1e3,
            rival.as_secs_f64() * 1e3,
            own.as_secs_f64() / rival.as_secs_f64(),
            private(&mut core()),
        );
    }
}
