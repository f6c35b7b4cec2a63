//! Bulk restore of 1 GiB. Aims: `map` at most 4 µs a fragment; `copy` 3.5 times one thread that reads into fresh small
//! pages, and 1.6 times one that reads into huge pages. Every time is from before the plan or the file to the last
//! byte; freeing is not timed.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use icecore::Checkpoint;
use icecore::base::report::{Cancel, Silent};
use icecore::checkpoint::AddressSpace;
use icecore::tool::restore::{Memory, Options, Plan, Target, Way, What};
use memmap2::{Advice, MmapMut};

const PAGE: u64 = 4096;
const GIB: u64 = 1 << 30;
const BASE: u64 = 0x5500_0000_0000;
const FRAGMENTS: usize = 30_000;

fn field(out: &mut Vec<u8>, number: u8, value: u64) {
    out.push(number << 3);
    varint(out, value);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn image(magic: u32, messages: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = [0x5456_4319u32.to_le_bytes(), magic.to_le_bytes()].concat();
    for message in messages {
        bytes.extend((message.len() as u32).to_le_bytes());
        bytes.extend(message);
    }
    bytes
}

fn message(fields: &[(u8, u64)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    fields.iter().for_each(|(number, value)| field(&mut bytes, *number, *value));
    bytes
}

/// A dump of process 1 with one mapping, and these pages of it: address and count.
fn dump(name: &str, pages: u64, mapping: u64, entries: impl Iterator<Item = (u64, u64)>) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let vma = message(&[(1, BASE), (2, BASE + mapping), (3, 0), (4, 0), (5, 3), (6, 0x22), (7, 0x201), (8, 0)]);
    let mut mm = message(&(1..=12).map(|number| (number, 0)).collect::<Vec<_>>());
    mm.push(14 << 3 | 2);
    varint(&mut mm, vma.len() as u64);
    mm.extend(vma);
    let mut pagemap = vec![message(&[(1, 1)])];
    pagemap.extend(entries.map(|(at, pages)| message(&[(1, at), (2, 0), (4, 4), (5, pages)])));
    let task = message(&[(1, 1), (2, 0), (3, 1), (4, 1), (5, 1)]);
    std::fs::write(folder.join("pstree.img"), image(0x5027_3030, &[task])).unwrap();
    std::fs::write(folder.join("mm-1.img"), image(0x5749_2820, &[mm])).unwrap();
    std::fs::write(folder.join("pagemap-1.img"), image(0x5608_4025, &pagemap)).unwrap();
    let file = folder.join("pages-1.img");
    if file.metadata().map_or(0, |meta| meta.len()) != pages * PAGE {
        let mut out = File::create(&file).unwrap();
        let mut word = 1u64;
        for _ in 0..pages {
            word = word.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            std::io::Write::write_all(&mut out, &word.to_le_bytes().repeat(512)).unwrap();
        }
    }
    folder
}

fn space(folder: &Path) -> AddressSpace {
    let dump = Checkpoint::open(folder).unwrap();
    dump.task(1).unwrap().address_space().unwrap().unwrap()
}

fn restore(plan: &Plan<'_>, way: Way) -> Memory {
    plan.restore(way, Target::Anywhere, &Silent, &Cancel::default()).unwrap()
}

/// Times what is handed to it, and drops what it gives outside of that.
fn timed<T>(run: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    let done = run();
    let time = start.elapsed();
    drop(done);
    time
}

/// One thread that reads the file into fresh memory.
fn pread(file: &File, length: u64, advice: Advice) -> MmapMut {
    let mut map = MmapMut::map_anon(length as usize).unwrap();
    map.advise(advice).unwrap();
    for (number, part) in map.chunks_mut(1 << 20).enumerate() {
        file.read_exact_at(part, (number as u64) << 20).unwrap();
    }
    map
}

/// The same with all threads.
fn pread_all(file: &File, length: u64) -> MmapMut {
    let mut map = MmapMut::map_anon(length as usize).unwrap();
    map.advise(Advice::HugePage).unwrap();
    let threads = std::thread::available_parallelism().unwrap().get();
    let share = (length as usize / threads).next_multiple_of(2 << 20);
    std::thread::scope(|scope| {
        for (number, share_of) in map.chunks_mut(share).enumerate() {
            scope.spawn(move || {
                for (step, part) in share_of.chunks_mut(1 << 20).enumerate() {
                    file.read_exact_at(part, (number * share + (step << 20)) as u64).unwrap();
                }
            });
        }
    });
    map
}

fn status(word: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with(word)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

fn private() -> u64 {
    status("RssAnon") + status("RssShmem")
}

/// Processor time of all threads until now.
fn processor() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap();
    let behind = text.rsplit(')').next().unwrap();
    let ticks = behind.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum::<u64>();
    Duration::from_millis(ticks * 10)
}

fn rate(time: Duration) -> f64 {
    GIB as f64 / time.as_secs_f64() / 1e9
}

fn copying(rounds: usize) {
    let folder = dump("restore-copy", GIB / PAGE, GIB, (0..GIB / PAGE / 256).map(|at| (BASE + at * 256 * PAGE, 256)));
    let file = File::open(folder.join("pages-1.img")).unwrap();
    let options = Options::default();
    let before = private();
    // the dump is opened anew each time, so that nothing of it is mapped already
    let restored = |options: &Options| {
        let space = space(&folder);
        restore(&Plan::new(&space, options).unwrap(), Way::Copy)
    };
    let memory = restored(&options);
    println!(
        "copy: {:.1} MiB of private memory besides what is restored",
        (private() - before).saturating_sub(GIB) as f64 / f64::from(1 << 20)
    );
    drop(memory);
    let small_pages = Options { huge: false, ..options };
    let mut best = [Duration::MAX; 5];
    let mut used = [Duration::ZERO; 5];
    for _ in 0..rounds {
        let mut time = |number: usize, run: &dyn Fn() -> Duration| {
            let before = processor();
            best[number] = best[number].min(run());
            used[number] += processor() - before;
        };
        time(0, &|| timed(|| restored(&options)));
        time(1, &|| timed(|| restored(&small_pages)));
        time(2, &|| timed(|| pread(&file, GIB, Advice::NoHugePage)));
        time(3, &|| timed(|| pread(&file, GIB, Advice::HugePage)));
        time(4, &|| timed(|| pread_all(&file, GIB)));
    }
    let names = [
        ("copy", ""),
        ("copy to small pages", ""),
        ("one thread to small pages", " (aim: 3.5)"),
        ("one thread to huge pages", " (aim: 1.6)"),
        ("all threads to huge pages", ""),
    ];
    for (((name, aim), best_of), used) in names.iter().zip(best).zip(used) {
        println!(
            "{name:<26} {:5.2} GB/s, {:.2} s of a processor: copy is {:.2} times as fast{aim}",
            rate(best_of),
            used.as_secs_f64() / rounds as f64,
            best_of.as_secs_f64() / best[0].as_secs_f64()
        );
    }
}

fn mapping(rounds: usize, name: &str, folder: &Path, maps: usize) {
    let space = space(folder);
    let options = Options { maps, ..Options::default() };
    let before = private();
    let plan = Plan::new(&space, &options).unwrap();
    let memory = restore(&plan, Way::Map);
    let (fragments, _) = plan.count(|what| matches!(what, What::Map { .. }));
    let (copied, bytes) = plan.count(|what| matches!(what, What::Copy { .. }));
    let used = (private() - before).saturating_sub(bytes) as f64 / f64::from(1 << 20);
    drop((memory, plan));
    let [mut planned, mut all] = [Duration::MAX; 2];
    for _ in 0..rounds {
        planned = planned.min(timed(|| Plan::new(&space, &options).unwrap()));
        all = all.min(timed(|| restore(&Plan::new(&space, &options).unwrap(), Way::Map)));
    }
    let each = |time: Duration| time.as_secs_f64() * 1e6 / FRAGMENTS as f64;
    println!(
        "map, {name}: {fragments} mapped, {copied} copied: {:.2} ms, {:.2} us a fragment (aim: 4)",
        all.as_secs_f64() * 1e3,
        each(all),
    );
    println!("     {:.2} us of it the plan; {used:.1} MiB of private memory besides what is restored", each(planned));
}

fn main() {
    let rounds = std::env::var("ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(9);
    let enabled = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_default();
    println!("huge pages: {}", enabled.trim());
    // fragments of 1 to 16 pages, mostly short ones, and as much between them; in the file they are neighbours
    let sizes = || {
        [1, 1, 2, 1, 4, 1, 2, 16].into_iter().cycle().take(FRAGMENTS).scan(0, |at, pages| {
            let start = *at;
            *at += 2 * pages;
            Some((start, pages))
        })
    };
    let total = sizes().map(|(_, pages)| pages).sum::<u64>();
    let apart = sizes().map(|(at, pages)| (BASE + at * PAGE, pages));
    let apart = dump("restore-apart", total, total * 2 * PAGE, apart);
    let most = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap().trim().parse::<usize>().unwrap();
    mapping(rounds, "with gaps, all maps", &apart, most);
    mapping(rounds, "with gaps, half of vm.max_map_count", &apart, most / 2);
    let joined = dump("restore-joined", total, total * PAGE, sizes().map(|(at, pages)| (BASE + at / 2 * PAGE, pages)));
    mapping(rounds, "neighbours joined", &joined, most / 2);
    copying(rounds);
}
