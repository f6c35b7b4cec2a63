//! Searching 1 GiB of pages: against memchr and regex over the same bytes, and with every page somewhere else in the
//! file. Each side maps the file anew, as the program does. Aims, on one core: a literal 1.1 times memmem's time, an
//! expression 1.3 times that of the crate regex; with scattered pages 2 and 3 times. On two cores a literal gains what
//! two threads gain that only sum the same bytes. Private memory stays under 64 MiB.
#![allow(missing_docs, clippy::unwrap_used, clippy::cast_possible_truncation, clippy::indexing_slicing)]
#![allow(clippy::print_stdout)]

use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use icecore::Checkpoint;
use icecore::base::report::{Cancel, Collect, Silent};
use icecore::memory::Content;
use icecore::tool::search::strings::{Strings, Text, strings};
use icecore::tool::search::{Count, Filter, Grain, Match, Pattern, Search, count, search};
use memchr::memmem;
use regex::bytes::Regex;

mod synthetic;
use synthetic::{in_turn, ratio};

const PAGE: usize = 4096;
const PAGES: usize = 1 << 18;
const BASE: u64 = 0x5500_0000_0000;
const NEEDLE: &[u8] = b"the needle in the ice";
const BOUNDED: &str = r"(?-u)needle (in|on) the [a-z]{3,8}";
const UNBOUNDED: &str = r"(?-u)[a-z]+@[a-z]+\.org";

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// A page of words, of noise, or mostly of zeros; one in 8192 has what is looked for.
fn page(number: usize, random: &mut Random, out: &mut Vec<u8>) {
    const WORDS: [&str; 12] =
        ["ice ", "core ", "layer\n", "frozen ", "at ", "=", "/usr/lib/", "the ", "in ", "\0", "process ", "9, "];
    out.clear();
    match random.next() % 4 {
        0 | 1 => {
            while out.len() < PAGE {
                out.extend_from_slice(WORDS[(random.next() >> 20) as usize % WORDS.len()].as_bytes());
            }
        }
        2 => {
            while out.len() < PAGE {
                out.extend_from_slice(&random.next().to_le_bytes());
            }
        }
        _ => {
            while out.len() < PAGE {
                out.extend_from_slice(&(random.next() >> 52).to_le_bytes());
            }
        }
    }
    out.truncate(PAGE);
    if number.is_multiple_of(8192) {
        let text = [NEEDLE, b" somebody@example.org "].concat();
        out[100..100 + text.len()].copy_from_slice(&text);
    }
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn message(fields: &[(u8, u64)]) -> Vec<u8> {
    let mut out = Vec::new();
    for &(number, value) in fields {
        out.push(number << 3);
        varint(&mut out, value);
    }
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

/// A dump of one process, without pages.
fn dump(directory: &Path, entries: Vec<Vec<u8>>) {
    fs::create_dir_all(directory).unwrap();
    let mut mm = message(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12].map(|number| (number, 0)));
    let end = BASE + (PAGES * PAGE) as u64;
    // private and anonymous
    let vma = message(&[(1, BASE), (2, end), (3, 0), (4, 0), (5, 3), (6, 0x22), (7, 0x201), (8, 1)]);
    mm.push(14 << 3 | 2);
    varint(&mut mm, vma.len() as u64);
    mm.extend(vma);
    image(&directory.join("pstree.img"), 0x5027_3030, &[message(&[(1, 1), (2, 0), (3, 1), (4, 1), (5, 1)])]);
    image(&directory.join("mm-1.img"), 0x5749_2820, &[mm]);
    image(&directory.join("pagemap-1.img"), 0x5608_4025, &entries);
}

/// The dumps: one with all pages one behind the other, and one with every other page in a parent.
fn dumps() -> (PathBuf, PathBuf) {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("search");
    let (together, scattered) = (root.join("together"), root.join("scattered"));
    if scattered.join("done").exists() {
        return (together, scattered);
    }
    let _ = fs::remove_dir_all(&root);
    let mut entries = vec![message(&[(1, 1)])];
    for first in (0..PAGES).step_by(256) {
        entries.push(message(&[(1, BASE + (first * PAGE) as u64), (2, 0), (4, 4), (5, 256)]));
    }
    dump(&together, entries);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut bytes, mut file) = (Vec::new(), BufWriter::new(File::create(together.join("pages-1.img")).unwrap()));
    for number in 0..PAGES {
        page(number, &mut random, &mut bytes);
        file.write_all(&bytes).unwrap();
    }
    file.flush().unwrap();
    scatter(&together, &scattered);
    fs::write(scattered.join("done"), "").unwrap();
    (together, scattered)
}

/// The same pages, the even ones in the dump and the odd ones in its parent: each is a run of its own.
fn scatter(together: &Path, scattered: &Path) {
    let parent = scattered.join("parent");
    let address = |page: usize| (1, BASE + (page * PAGE) as u64);
    let entry = |page: usize, flags: u64| message(&[address(page), (2, 0), (4, flags), (5, 1)]);
    let head = || std::iter::once(message(&[(1, 1)]));
    dump(scattered, head().chain((0..PAGES).map(|page| entry(page, if page % 2 == 0 { 4 } else { 1 }))).collect());
    dump(&parent, head().chain((1..PAGES).step_by(2).map(|page| entry(page, 4))).collect());
    let mut from = std::io::BufReader::new(File::open(together.join("pages-1.img")).unwrap());
    let mut to = [scattered, &*parent].map(|dir| BufWriter::new(File::create(dir.join("pages-1.img")).unwrap()));
    let mut bytes = vec![0; PAGE];
    for page in 0..PAGES {
        from.read_exact(&mut bytes).unwrap();
        to[page % 2].write_all(&bytes).unwrap();
    }
    to.iter_mut().for_each(|file| file.flush().unwrap());
}

fn query(pattern: Pattern) -> Search {
    Search { pattern, filter: Filter::default(), context: 16, max: None, grain: Grain::default() }
}

fn ours(dir: &Path, query: &Search) -> usize {
    let mut rows: Collect<Match> = Collect::default();
    search(&Checkpoint::open(dir).unwrap(), query, (&Silent, &Cancel::default()), &mut rows).unwrap();
    rows.rows.len()
}

/// The one slice that the process's memory is.
fn rival(dir: &Path, search: impl Fn(&[u8]) -> usize) -> usize {
    let dump = Checkpoint::open(dir).unwrap();
    let space = dump.task(1).unwrap().address_space().unwrap().unwrap();
    let run = space.runs(0..u64::MAX).next().unwrap();
    let Content::Stored(stored) = &run.content else { return 0 };
    search(stored.map().unwrap())
}

fn words(bytes: &[u8]) -> u64 {
    bytes.as_chunks::<8>().0.iter().fold(0, |sum: u64, word| sum.wrapping_add(u64::from_le_bytes(*word)))
}

/// Watches the private memory of this process until it is told to stop.
fn watch(stop: &AtomicBool, peak: &AtomicU64) {
    while !stop.load(Ordering::Relaxed) {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        let kib: u64 = line.split_whitespace().next().unwrap().parse().unwrap();
        peak.fetch_max(kib, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn main() {
    let (together, scattered) = dumps();
    let [one, two] = [1, 2].map(|threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap());
    let (stop, peak) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| watch(&stop, &peak));
        let literal = query(Pattern::bytes(NEEDLE).unwrap());
        let finder = memmem::Finder::new(NEEDLE);
        let [plain, own, both, apart, sum, sum_both] = in_turn(
            5,
            [
                &mut || rival(&together, |bytes| finder.find_iter(bytes).count()),
                &mut || one.install(|| ours(&together, &literal)),
                &mut || two.install(|| ours(&together, &literal)),
                &mut || one.install(|| ours(&scattered, &literal)),
                &mut || rival(&together, |bytes| words(bytes) as usize),
                &mut || {
                    rival(&together, |bytes| {
                        let (left, right) = bytes.split_at((bytes.len() / 2) & !7);
                        let (left, right) = two.install(|| rayon::join(|| words(left), || words(right)));
                        left.wrapping_add(right) as usize
                    })
                },
            ],
        );
        println!(
            "literal: memmem {plain:.2?}; own {:.2} times that (aim: 1.1), scattered {:.2} times (aim: 2)",
            ratio(own, plain),
            ratio(apart, plain)
        );
        println!("two cores: {:.2} times one; summing gains {:.2} times", ratio(own, both), ratio(sum, sum_both));
        for expression in [BOUNDED, UNBOUNDED] {
            let own_query = query(Pattern::regex(expression, false).unwrap());
            let regex = Regex::new(expression).unwrap();
            let [plain, own, apart] = in_turn(
                3,
                [
                    &mut || rival(&together, |bytes| regex.find_iter(bytes).count()),
                    &mut || one.install(|| ours(&together, &own_query)),
                    &mut || one.install(|| ours(&scattered, &own_query)),
                ],
            );
            println!(
                "{expression}: regex {plain:.2?}; own {:.2} times that (aim: 1.3), scattered {:.2} times (aim: 3)",
                ratio(own, plain),
                ratio(apart, plain)
            );
        }
        let dense = query(Pattern::bytes(b"e").unwrap());
        let mut rows: Collect<Count> = Collect::default();
        let opened = Checkpoint::open(&together).unwrap();
        let begin = std::time::Instant::now();
        let summary = count(&opened, &dense, (&Silent, &Cancel::default()), &mut rows).unwrap();
        println!("{} matches of one byte counted in {:.2?}", summary.found, begin.elapsed());
        let mut texts = Discard(0);
        let begin = std::time::Instant::now();
        strings(&opened, &Strings::default(), (&Silent, &Cancel::default()), &mut texts).unwrap();
        println!("{} strings in {:.2?}", texts.0, begin.elapsed());
        stop.store(true, Ordering::Relaxed);
    });
    println!("private memory: at most {} KiB (aim: 65536)", peak.load(Ordering::Relaxed));
}

/// Counts the rows that it drops.
struct Discard(u64);

impl icecore::base::report::Rows<Text> for Discard {
    fn row(&mut self, _row: Text) -> icecore::Result<()> {
        self.0 += 1;
        Ok(())
    }

    fn problem(&mut self, error: icecore::Error) -> icecore::Result<()> {
        Err(error)
    }
}
