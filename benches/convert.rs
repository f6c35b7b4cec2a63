//! `icecore convert` of a dump with 256 MiB of pages, like those of a heap, like logs, and of words that are hard to pack, beside `cp` of its pages
//! followed by `sync -d`, and beside `crit compress` followed by the same, each on one core. Aims: to a bundle at most
//! twice the time of the copy, back at most 1.5 times; packed with LZ4 three times as fast as crit, and faster with
//! more cores. crit is `$ICECORE_CRIT`, or `crit` in the path.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const PAGE: usize = 4096;
const PAGES: usize = (256 << 20) / PAGE;
const ROUNDS: usize = 9;
const START: u64 = 0x5500_0000_0000;

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn message(fields: &[(u8, u64)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (number, value) in fields {
        varint(&mut out, u64::from(*number) << 3);
        varint(&mut out, *value);
    }
    out
}

fn image(path: &Path, words: &[u32], entries: &[Vec<u8>]) {
    let mut out: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    for entry in entries {
        out.extend((entry.len() as u32).to_le_bytes());
        out.extend(entry);
    }
    fs::write(path, out).unwrap();
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Objects of a few sizes: pointers into the heap, small numbers, short strings, and room that nobody uses.
fn heap(random: &mut Random, _: &[Vec<u8>], page: &mut [u8]) {
    for (index, word) in page.chunks_exact_mut(8).enumerate() {
        let r = random.next();
        let value = match (index % 8, r % 8) {
            (0, _) => START + (r >> 20 & 0xfff_fff0),
            (1, _) => r >> 60,
            (2, 0..4) => START + (r >> 30 & 0x00ff_fff0),
            (3, 0..2) => u64::from_le_bytes(*b"name_of\0"),
            (4, 0) => r,
            _ => 0,
        };
        word.copy_from_slice(&value.to_le_bytes());
    }
}

/// Lines of a log: the same words again and again, and numbers that change.
fn text(random: &mut Random, _: &[Vec<u8>], page: &mut [u8]) {
    let mut all = Vec::with_capacity(page.len() + 200);
    while all.len() < page.len() {
        let r = random.next();
        let level = ["INFO", "WARN", "DEBUG", "INFO"][(r % 4) as usize];
        let path = ["/api/v1/items", "/api/v1/users/profile", "/static/app.js", "/health"][(r >> 2 & 3) as usize];
        let line = format!(
            "2026-11-22T{:02}:{:02}:{:02}.{:03}Z {level} worker[{}] request id={:016x} path={path}/{} status={} took={}us\n",
            r >> 10 & 15,
            (r >> 14 & 63) % 60,
            (r >> 20 & 63) % 60,
            (r >> 26 & 1023) % 1000,
            r >> 36 & 31,
            random.next(),
            r >> 41 & 0xffff,
            [200, 200, 200, 404][(r >> 57 & 3) as usize],
            r >> 44 & 0xfffff,
        );
        all.extend_from_slice(line.as_bytes());
    }
    page.copy_from_slice(&all[..page.len()]);
}

/// Words of no language, the first of them often: hard to pack.
fn words(random: &mut Random, words: &[Vec<u8>], page: &mut [u8]) {
    let mut at = 0;
    while at < page.len() {
        let r = random.next();
        let most = 1usize << (1 + r % 11);
        let word = &words[(r >> 8) as usize % most.min(words.len())];
        let some = word.len().min(page.len() - at);
        page[at..at + some].copy_from_slice(&word[..some]);
        at += some;
    }
}

/// Fills a page.
type Fill = fn(&mut Random, &[Vec<u8>], &mut [u8]);

/// A process with one mapping. One page of 16 is zero, and one is the same as one before.
fn dump(dir: &Path, fill: Fill) {
    fs::create_dir(dir).unwrap();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let words: Vec<Vec<u8>> = (0..2048)
        .map(|_| {
            let length = 2 + random.next() % 9;
            let mut word: Vec<u8> = (0..length).map(|_| b'a' + (random.next() % 26) as u8).collect();
            word.push(b' ');
            word
        })
        .collect();
    let mut content = vec![0u8; PAGES * PAGE];
    for number in 0..PAGES {
        let (before, page) = content.split_at_mut(number * PAGE);
        match number % 16 {
            7 => {}
            11 => page[..PAGE].copy_from_slice(&before[(number / 2 + 1) / 16 * 16 * PAGE..][..PAGE]),
            _ => fill(&mut random, &words, &mut page[..PAGE]),
        }
    }
    fs::write(dir.join("pages-1.img"), content).unwrap();
    let run = 64;
    let entry = |index: u64| message(&[(1, START + index * (run + 1) * PAGE as u64), (2, 0), (4, 4), (5, run)]);
    let entries: Vec<Vec<u8>> = std::iter::once(message(&[(1, 1)])).chain((0..PAGES as u64 / run).map(entry)).collect();
    image(&dir.join("pagemap-7.img"), &[0x5456_4319, 0x5608_4025], &entries);
    image(&dir.join("inventory.img"), &[0x5831_3116], &[message(&[(1, 2)])]);
}

/// How long commands take to their end, one after the other.
fn timed(commands: &mut [Command]) -> Duration {
    let start = Instant::now();
    for command in commands {
        let done = command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        assert!(done.success(), "{command:?}");
    }
    start.elapsed()
}

fn command(words: &[&dyn AsRef<std::ffi::OsStr>]) -> Command {
    let mut command = Command::new(words[0].as_ref());
    command.args(words[1..].iter().map(|word| word.as_ref()));
    command
}

/// Two ways that take turns: the medians of their times.
fn pairs(rounds: usize, mut own: impl FnMut() -> Duration, mut rival: impl FnMut() -> Duration) -> (f64, f64) {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        theirs.push(rival());
        ours.push(own());
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort();
        times[times.len() / 2].as_secs_f64() * 1e3
    };
    (median(&mut ours), median(&mut theirs))
}

fn crit() -> Option<PathBuf> {
    let named = std::env::var_os("ICECORE_CRIT").map(PathBuf::from);
    let name = named.unwrap_or_else(|| "crit".into());
    let runs = Command::new(&name).arg("compress").arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status();
    runs.is_ok_and(|status| status.success()).then_some(name)
}

fn main() {
    // `cargo test --benches` only asks whether it runs
    let rounds = if std::env::args().any(|word| word == "--bench") { ROUNDS } else { 1 };
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let icecore = env!("CARGO_BIN_EXE_icecore");
    let crit = crit();
    for (name, fill) in [("heap", heap as Fill), ("text", text), ("words", words)] {
        let dir = folder.path().join(name);
        dump(&dir, fill);
        let (pages, copy) = (dir.join("pages-1.img"), folder.path().join("copy"));
        let (target, back) = (folder.path().join("dump.criu"), folder.path().join("back"));
        let copied = || {
            let time = timed(&mut [command(&[&"cp", &pages, &copy]), command(&[&"sync", &"-d", &copy])]);
            fs::remove_file(&copy).unwrap();
            time
        };
        let convert = |cores: &str, options: &[&str]| {
            let mut made = command(&[&"taskset", &"-c", &cores, &icecore, &"convert", &dir, &"-o", &target]);
            made.args(options);
            let time = timed(&mut [made]);
            let size = fs::metadata(&target).unwrap().len();
            fs::remove_file(&target).unwrap();
            (time, size)
        };
        let mut size = 0;
        for (what, options) in [("shared", &[][..]), ("not shared", &["--no-share"])] {
            let own = || {
                let (time, bytes) = convert("0-1", options);
                size = bytes;
                time
            };
            let (own, rival) = pairs(rounds, own, copied);
            println!(
                "convert: {name}, {what:10}: {own:7.1} ms, cp and sync {rival:7.1} ms, {:.2} times (aim: 2); {} MiB",
                own / rival,
                size >> 20
            );
        }
        for (what, options) in [("raw", &[][..]), ("lz4", &["--compress", "lz4"])] {
            timed(&mut [{
                let mut made = command(&[&icecore, &"convert", &dir, &"-o", &target]);
                made.args(options);
                made
            }]);
            let own = || {
                let time = timed(&mut [command(&[&icecore, &"convert", &target, &"-o", &back, &"--to", &"v1"])]);
                fs::remove_dir_all(&back).unwrap();
                time
            };
            let (own, rival) = pairs(rounds, own, copied);
            fs::remove_file(&target).unwrap();
            println!(
                "convert: {name}, {what} back  : {own:7.1} ms, cp and sync {rival:7.1} ms, {:.2} times (aim: 1.5)",
                own / rival
            );
        }
        for codec in ["lz4", "zstd:1", "zstd:3"] {
            let options = ["--compress", codec];
            let (one, two) = pairs(rounds, || convert("0", &options).0, || convert("0-1", &options).0);
            println!("convert: {name}, {codec:6}: one core {one:7.1} ms, two {two:7.1} ms, {:.2} times", one / two);
        }
        let Some(crit) = &crit else {
            println!("convert: SKIPPED beside crit: there is none that compresses (ICECORE_CRIT)");
            continue;
        };
        let packed = folder.path().join("packed");
        let mut crit_size = 0;
        let rival = || {
            fs::create_dir(&packed).unwrap();
            for file in fs::read_dir(&dir).unwrap() {
                let file = file.unwrap();
                fs::copy(file.path(), packed.join(file.file_name())).unwrap();
            }
            timed(&mut [command(&[&"sync"])]);
            let pages = packed.join("pages-1.img");
            let time = timed(&mut [
                command(&[&"taskset", &"-c", &"0", crit, &"compress", &"--in-place", &packed]),
                command(&[&"sync", &"-d", &pages]),
            ]);
            crit_size = fs::metadata(&pages).unwrap().len();
            fs::remove_dir_all(&packed).unwrap();
            time
        };
        let own = || {
            let (time, bytes) = convert("0", &["--compress", "lz4"]);
            size = bytes;
            time
        };
        let (own, rival) = pairs(rounds.min(5), own, rival);
        println!(
            "convert: {name}, lz4 on one core: {own:7.1} ms, crit compress {rival:7.1} ms, {:.2} times as fast (aim: 3); {} and {} MiB",
            rival / own,
            size >> 20,
            crit_size >> 20
        );
    }
}
