//! Comparing two dumps of 1 GiB each, nearly equal and with a tenth of the pages changed. Aims: at most 1.3 times as
//! long as memcmp over both pages files, mapped anew as a dump is; at most 64 MiB of memory of its own. Then pages that
//! all lie apart, the worst case of walking, and an increment whose other pages both sides have from one file.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::indexing_slicing)]
#![allow(clippy::cast_possible_truncation)]

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use icecore::Checkpoint;
use icecore::base::map::{Access, content};
use icecore::base::report::{Cancel, Collect, Silent};
use icecore::view::diff::{Difference, Options, Subject, diff};

mod synthetic;
use synthetic::{in_turn, ratio};

const PAGE: usize = 4096;
const PAGES: usize = 1 << 18;
/// Pages of one entry of a pagemap, as CRIU writes them.
const ENTRY: usize = 256;
const START: u64 = 0x7f00_0000_0000;
const ROUNDS: usize = 7;

fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

fn entry(out: &mut Vec<u8>, message: &[u8]) {
    out.extend((message.len() as u32).to_le_bytes());
    out.extend(message);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn fields(fields: &[(u8, u64)]) -> Vec<u8> {
    let mut message = Vec::new();
    for &(number, value) in fields {
        message.push(number << 3);
        varint(&mut message, value);
    }
    message
}

/// How the pages of a dump lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// One behind the other.
    Joined,
    /// Each with a gap behind it.
    Apart,
    /// Those that changed here, the others in the dump `base`.
    Increment,
}

fn pagemap(shape: Shape, is_changed: impl Fn(usize) -> bool) -> Vec<u8> {
    const PRESENT: u64 = 4;
    const PARENT: u64 = 1;
    let mut pagemap = Vec::new();
    for word in [0x5456_4319u32, 0x5608_4025] {
        pagemap.extend(word.to_le_bytes());
    }
    entry(&mut pagemap, &fields(&[(1, 1)]));
    let mut add = |vaddr: u64, pages: usize, flags: u64| {
        entry(&mut pagemap, &fields(&[(1, vaddr), (2, pages as u64), (4, flags)]));
    };
    match shape {
        Shape::Joined => (0..PAGES).step_by(ENTRY).for_each(|page| add(START + (page * PAGE) as u64, ENTRY, PRESENT)),
        Shape::Apart => (0..PAGES).for_each(|page| add(START + (2 * page * PAGE) as u64, 1, PRESENT)),
        Shape::Increment => (0..PAGES).for_each(|page| {
            add(START + (page * PAGE) as u64, 1, if is_changed(page) { PRESENT } else { PARENT });
        }),
    }
    pagemap
}

/// A pre-dump: a pagemap and pages, some of them changed.
fn write(directory: &Path, shape: Shape, is_changed: impl Fn(usize) -> bool) {
    let _ = fs::remove_dir_all(directory);
    fs::create_dir_all(directory).unwrap();
    fs::write(directory.join("pagemap-1.img"), pagemap(shape, &is_changed)).unwrap();
    if shape == Shape::Increment {
        std::os::unix::fs::symlink("../base", directory.join("parent")).unwrap();
    }
    let mut pages = BufWriter::with_capacity(1 << 20, File::create(directory.join("pages-1.img")).unwrap());
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut page = vec![0u8; PAGE];
    for number in 0..PAGES {
        for word in page.as_chunks_mut::<8>().0 {
            *word = random(&mut state).to_le_bytes();
        }
        if is_changed(number) {
            for at in (number % 64..PAGE).step_by(97) {
                page[at] ^= 0x55;
            }
        }
        if shape != Shape::Increment || is_changed(number) {
            pages.write_all(&page).unwrap();
        }
    }
    pages.flush().unwrap();
}

fn compare(a: &Path, b: &Path) -> u64 {
    let (a, b) = (Checkpoint::open(a).unwrap(), Checkpoint::open(b).unwrap());
    let options = Options { what: vec![Subject::Pages], page_runs: true, ..Options::default() };
    let mut rows: Collect<Difference> = Collect::default();
    diff(&a, &b, &options, (&Silent, &Cancel::default()), &mut rows).unwrap();
    assert!(rows.problems.is_empty());
    let Some(Difference::Summary(summary)) = rows.rows.first() else { panic!("no summary") };
    summary.pages.as_ref().unwrap().changed
}

fn map(directory: &Path) -> bytes::Bytes {
    let path = directory.join("pages-1.img");
    content(&File::open(&path).unwrap(), &path, Access::Map).unwrap()
}

/// Compares slices page by page, so that it looks at every page; how many differ.
fn memcmp(a: &[u8], b: &[u8]) -> u64 {
    chunks(a, b, PAGE)
}

/// Compares slices in chunks, each up to its first difference; how many differ.
fn chunks(a: &[u8], b: &[u8], size: usize) -> u64 {
    a.chunks(size).zip(b.chunks(size)).filter(|(a, b)| a != b).count() as u64
}

/// The highest RssAnon there was while `work` ran, in KiB.
fn anonymous(work: impl FnOnce()) -> u64 {
    use std::sync::atomic::{AtomicBool, Ordering};
    let rss = || {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap_or("0 kB");
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0)
    };
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = rss();
            while !is_done.load(Ordering::Relaxed) {
                most = most.max(rss());
                std::thread::sleep(std::time::Duration::from_micros(500));
            }
            most
        });
        work();
        is_done.store(true, Ordering::Relaxed);
        watch.join().unwrap()
    })
}

fn main() {
    let root = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("diff");
    let _ = fs::remove_dir_all(&root);
    let base = root.join("base");
    write(&base, Shape::Joined, |_| false);
    let other = root.join("other");
    for (name, every, shape) in [
        ("8 pages changed", PAGES / 8, Shape::Joined),
        ("10% of the pages changed", 10, Shape::Joined),
        ("10% changed, no page beside another", 10, Shape::Apart),
    ] {
        let is_changed = |number: usize| number % every == every / 2;
        let base = if shape == Shape::Apart { root.join("apart") } else { base.clone() };
        if shape == Shape::Apart {
            write(&base, shape, |_| false);
        }
        write(&other, shape, is_changed);
        measure(name, &base, &other);
    }
    let is_changed = |number: usize| number % 10 == 5;
    write(&other, Shape::Increment, is_changed);
    let [own] = in_turn(ROUNDS, [&mut || compare(&base, &other)]);
    println!("diff: 1 GiB and an increment of it with 10% of the pages: {:.1} ms", own.as_secs_f64() * 1e3);
    let _ = fs::remove_dir_all(&root);
}

fn measure(name: &str, base: &Path, other: &Path) {
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let (one, two) = (pool(1), pool(2));
    let warm = (map(base), map(other));
    let [own, fresh, kept, both, large] = in_turn(
        ROUNDS,
        [
            &mut || one.install(|| compare(base, other)),
            &mut || memcmp(&map(base), &map(other)),
            &mut || memcmp(&warm.0, &warm.1),
            &mut || two.install(|| compare(base, other)),
            &mut || chunks(&map(base), &map(other), 1 << 20),
        ],
    );
    assert_eq!(compare(base, other), memcmp(&warm.0, &warm.1));
    drop(warm);
    let most = anonymous(|| assert!(compare(base, other) > 0));
    println!("diff: 2 x 1 GiB, {name}, {ROUNDS} rounds, the shortest of each");
    println!("  one thread   {:7.1} ms", own.as_secs_f64() * 1e3);
    println!("  two threads  {:7.1} ms", both.as_secs_f64() * 1e3);
    println!(
        "  memcmp       {:7.1} ms over new maps, {:.1} ms over maps with all pages in",
        fresh.as_secs_f64() * 1e3,
        kept.as_secs_f64() * 1e3
    );
    println!(
        "  {:.2} times memcmp (aim: 1.3), {:.2} times with two threads; {:.2} times over maps with all pages in",
        ratio(own, fresh),
        ratio(both, fresh),
        ratio(own, kept)
    );
    // where much differs, large chunks are hardly looked at
    if compare(base, other) < 100 {
        println!("  {:.2} times memcmp of 1 MiB at a time", ratio(own, large));
    }
    println!("  RssAnon {:.1} MiB at most (aim: 64)", most as f64 / 1024.0);
}
