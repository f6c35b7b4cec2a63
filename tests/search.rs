//! `search` and `strings` against a plain program over the flattened bytes: on every dump of `tests/data`, and on small
//! made-up processes with pages of all sorts.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::rng::Rng;
use common::writer::{File, Message, message};
use common::{corpus, flat};
use icecore::Checkpoint;
use icecore::base::report::{Cancel, Collect, Silent};
use icecore::tool::search::strings::{Strings, Text, strings};
use icecore::tool::search::{Count, Encoding, Filter, Grain, Match, Pattern, Search, count, search};
use regex::bytes::{Regex, RegexBuilder};

const PAGE: usize = 4096;

/// Cuts as small as they come, and the usual ones.
const GRAINS: [Grain; 3] = [
    Grain { part: 2 << 20, joined: 128 << 10, short: 1024, kept: 4096 },
    Grain { part: 4096, joined: 1, short: 64, kept: 3 },
    Grain { part: 700, joined: 5000, short: 1 << 20, kept: 1 },
];

fn query(pattern: &Pattern, pids: &[u32], grain: Grain) -> Search {
    let filter = Filter { pids: pids.to_vec(), ..Filter::default() };
    Search { pattern: pattern.clone(), filter, context: 16, max: None, grain }
}

fn found(dump: &Checkpoint, query: &Search) -> Collect<Match> {
    let mut rows = Collect::default();
    let summary = search(dump, query, (&Silent, &Cancel::default()), &mut rows).unwrap();
    assert_eq!(summary.found, rows.rows.len() as u64);
    rows
}

fn spans(rows: &Collect<Match>) -> Vec<(u64, usize)> {
    rows.rows.iter().map(|row| (row.address.0, row.length as usize)).collect()
}

fn counted(dump: &Checkpoint, query: &Search) -> u64 {
    let mut rows: Collect<Count> = Collect::default();
    let summary = count(dump, query, (&Silent, &Cancel::default()), &mut rows).unwrap();
    assert_eq!(rows.rows.iter().map(|row| row.count).sum::<u64>(), summary.found);
    let mappings: Vec<_> = rows.rows.iter().map(|row| (row.pid, row.place.mapping)).collect();
    assert!(mappings.windows(2).all(|pair| pair[0] < pair[1]), "a row for each mapping: {mappings:?}");
    summary.found
}

/// The processes whose memory is not too large for the plain program: some have mappings of GiB that nobody touched.
fn processes() -> Vec<(PathBuf, u32)> {
    let all = flat::data().into_iter().flat_map(|(dir, pids)| pids.into_iter().map(move |pid| (dir.clone(), pid)));
    let is_small = |(dir, pid): &(PathBuf, u32)| {
        let mm = Checkpoint::open(dir).unwrap().task(*pid).unwrap().mm().unwrap().unwrap();
        mm.mappings.iter().map(|mapping| mapping.size()).sum::<u64>() < 64 << 20
    };
    all.filter(is_small).collect()
}

/// Where a plain loop finds bytes: leftmost, without overlaps.
fn naive(needle: &[u8], bytes: &[u8]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at + needle.len() <= bytes.len() {
        if bytes[at] == needle[0] && &bytes[at..at + needle.len()] == needle {
            found.push((at, needle.len()));
            at += needle.len();
        } else {
            at += 1;
        }
    }
    found
}

fn by_crate(regex: &Regex, bytes: &[u8]) -> Vec<(usize, usize)> {
    regex.find_iter(bytes).filter(|found| !found.is_empty()).map(|found| (found.start(), found.len())).collect()
}

#[test]
fn bytes_on_every_dump() {
    let mut crossing = 0;
    let mut rng = Rng::new(17);
    for (dir, pid) in processes() {
        {
            let dump = Checkpoint::open(&dir).unwrap();
            let memory = flat::memory(&dir, pid);
            let mut needles: Vec<Vec<u8>> = vec![b"/usr/lib".to_vec(), b"a".to_vec(), b"\x7fELF".to_vec()];
            for range in &memory {
                // some over the end of a page
                let borders = range.bytes.len() / PAGE;
                if borders > 1 && needles.len() < 8 {
                    let length = 1 + rng.below(40);
                    let from = (1 + rng.below(borders - 1)) * PAGE - rng.below(length + 1);
                    needles.push(range.bytes[from..from + length].to_vec());
                }
                if needles.len() < 8 {
                    let length = 1 + rng.below(100);
                    let from = rng.below(range.bytes.len() - length);
                    needles.push(range.bytes[from..from + length].to_vec());
                }
            }
            // of zeros alone not all are found
            for needle in needles.into_iter().filter(|needle| needle.iter().any(|byte| *byte != 0)) {
                let mut want = Vec::new();
                for range in &memory {
                    want.extend(
                        naive(&needle, &range.bytes).into_iter().map(|(at, len)| (range.start + at as u64, len)),
                    );
                }
                let pattern = Pattern::bytes(&needle).unwrap();
                for grain in GRAINS {
                    let query = query(&pattern, &[pid], grain);
                    let rows = found(&dump, &query);
                    assert!(rows.problems.is_empty(), "{:?}", rows.problems);
                    assert!(spans(&rows) == want, "{} {pid}: {needle:x?} {grain:?}", dir.display());
                    assert_eq!(counted(&dump, &query), want.len() as u64);
                }
                let pages = |(at, len): &(u64, usize)| at / 4096 != (at + *len as u64 - 1) / 4096;
                crossing += want.iter().filter(|span| pages(span)).count();
            }
        }
    }
    assert!(crossing > 20, "{crossing}");
}

#[test]
fn expressions_on_every_dump() {
    let expressions = [
        r"(?-u)[a-z]+=[^\x00]{1,30}",
        r"(?-u)/[\w./-]{4,}",
        r"\b[Ee]rror\b",
        r"(?-u)[\x80-\xff]{7}[a-z]",
        r"(?i-u)path",
        r"[[:alpha:]]{3}\x00{1,9}[[:alpha:]]",
        r"(?m)^[a-z_]{6,20}$",
    ];
    let mut total = 0;
    for (dir, pid) in processes() {
        {
            let dump = Checkpoint::open(&dir).unwrap();
            let memory = flat::memory(&dir, pid);
            for expression in expressions {
                let regex = Regex::new(expression).unwrap();
                let mut want = Vec::new();
                for range in &memory {
                    want.extend(
                        by_crate(&regex, &range.bytes).into_iter().map(|(at, len)| (range.start + at as u64, len)),
                    );
                }
                total += want.len();
                let pattern = Pattern::regex(expression, false).unwrap();
                for grain in &GRAINS[..2] {
                    let query = query(&pattern, &[pid], *grain);
                    assert!(spans(&found(&dump, &query)) == want, "{} {pid}: {expression}", dir.display());
                    assert_eq!(counted(&dump, &query), want.len() as u64);
                }
            }
        }
    }
    assert!(total > 1000, "{total}");
}

/// Strings as strings(1) finds them.
fn plain_strings(bytes: &[u8], least: usize) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let length = bytes[at..].iter().take_while(|byte| matches!(byte, 0x20..=0x7e | 9)).count();
        if length >= least {
            found.push((at, String::from_utf8(bytes[at..at + length].to_vec()).unwrap()));
        }
        at += length + 1;
    }
    found
}

fn listed(dump: &Checkpoint, query: &Strings) -> Vec<(u64, String)> {
    let mut rows: Collect<Text> = Collect::default();
    strings(dump, query, (&Silent, &Cancel::default()), &mut rows).unwrap();
    assert!(rows.rows.windows(2).all(|pair| pair[0].pid < pair[1].pid || pair[0].address <= pair[1].address));
    rows.rows.into_iter().map(|row| (row.address.0, row.text)).collect()
}

#[test]
fn strings_on_every_dump() {
    let mut total = 0;
    for (dir, pid) in processes() {
        {
            let dump = Checkpoint::open(&dir).unwrap();
            let memory = flat::memory(&dir, pid);
            for least in [1, 4, 9] {
                let mut want = Vec::new();
                for range in &memory {
                    let strings = plain_strings(&range.bytes, least);
                    want.extend(strings.into_iter().map(|(at, text)| (range.start + at as u64, text)));
                }
                total += want.len();
                for grain in GRAINS {
                    let filter = Filter { pids: vec![pid], ..Filter::default() };
                    let query = Strings { filter, least: least as u64, grain, ..Strings::default() };
                    assert!(listed(&dump, &query) == want, "{} {pid} {least} {grain:?}", dir.display());
                }
            }
        }
    }
    assert!(total > 10_000, "{total}");
}

// ---- made-up processes

/// What a page of a made-up process is.
#[derive(Clone, Debug)]
enum Page {
    Stored(Vec<u8>),
    /// In a block of so many pages.
    Block(Vec<u8>),
    Parent(Vec<u8>),
    Untouched,
    Lazy,
}

/// A mapping: pages that lie between it and the one before, its protection, its status, its pages.
#[derive(Clone, Debug)]
struct Made {
    gap: u64,
    prot: u64,
    status: u64,
    pages: Vec<Page>,
}

const ANONYMOUS: u64 = 1 | 1 << 9;
const HEAP: u64 = ANONYMOUS | 1 << 5;
const FILE: u64 = 1 | 1 << 6;
const BASE: u64 = 0x10_0000;

/// A page that begins and ends with letters often, and has few in between.
fn content(rng: &mut Rng) -> Vec<u8> {
    let mut bytes = match rng.below(5) {
        0 => vec![b'a'; PAGE],
        1 => (0..PAGE).map(|_| *rng.pick(b"ab\0 ")).collect(),
        _ => vec![*rng.pick(&[0, 0x11, 0xff, 0x11]); PAGE],
    };
    for _ in 0..4 {
        let length = 1 + rng.below(30);
        let middle = 1 + rng.below(PAGE - length);
        let from = *rng.pick(&[0, PAGE - length, middle, 2]);
        for byte in &mut bytes[from..(from + length).min(PAGE)] {
            *byte = *rng.pick(b"aab\0A\xc3\xa9");
        }
    }
    bytes
}

fn made(rng: &mut Rng) -> Vec<Made> {
    let mapping = |rng: &mut Rng| {
        let status = *rng.pick(&[ANONYMOUS, ANONYMOUS, ANONYMOUS, HEAP, FILE]);
        let page = |rng: &mut Rng| match rng.below(10) {
            0..=3 => Page::Stored(content(rng)),
            4 | 5 => Page::Block(if rng.one_in(3) { vec![0; PAGE] } else { content(rng) }),
            6 => Page::Parent(content(rng)),
            7 | 8 => Page::Untouched,
            _ if rng.one_in(3) => Page::Lazy,
            _ => Page::Untouched,
        };
        let pages = (0..1 + rng.below(6)).map(|_| page(rng)).collect();
        Made { gap: *rng.pick(&[0, 0, 1, 7]), prot: *rng.pick(&[1, 3, 5]), status, pages }
    };
    (0..1 + rng.below(5)).map(|_| mapping(rng)).collect()
}

fn pagemap(pages_id: u64) -> File {
    File::new("PAGEMAP").entry(&message().uint(1, pages_id))
}

fn entry(address: u64, pages: u64, flags: u64) -> Message {
    message().uint(1, address).uint(2, 0).uint(4, flags).uint(5, pages)
}

/// Writes the dump, and its parent; which bytes a process has where, and whether they are stored.
fn write(dir: &Path, mappings: &[Made], rng: &mut Rng) -> Vec<(u64, Vec<u8>, bool)> {
    let (mut map, mut pages) = (pagemap(1), Vec::new());
    let (mut parent_map, mut parent_pages) = (pagemap(1), Vec::new());
    let mut mm = (1..=12).fold(message(), |mm, number| mm.uint(number, 0));
    let mut memory = Vec::new();
    let mut at = BASE;
    for mapping in mappings {
        at += mapping.gap * PAGE as u64;
        let end = at + (mapping.pages.len() * PAGE) as u64;
        let vma = message().uint(1, at).uint(2, end).uint(3, 0).uint(4, 0).uint(5, mapping.prot);
        mm = mm.message(14, &vma.uint(6, 0x22).uint(7, mapping.status).sint(8, -1));
        let mut rest = &mapping.pages[..];
        while let Some(page) = rest.first() {
            let mut count = 1;
            match page {
                Page::Stored(bytes) => {
                    map = map.entry(&entry(at, 1, 4));
                    pages.extend_from_slice(bytes);
                    memory.push((at, bytes.clone(), true));
                }
                Page::Block(_) => {
                    // as many as there are, in blocks of one to three
                    let blocks: Vec<&[u8]> = rest
                        .iter()
                        .map_while(|page| if let Page::Block(bytes) = page { Some(&bytes[..]) } else { None })
                        .collect();
                    count = blocks.len();
                    let each = 1 + rng.below(3);
                    let mut sizes = Vec::new();
                    for (number, block) in blocks.chunks(each).enumerate() {
                        let bytes = block.concat();
                        let packed = lz4_flex::block::compress(&bytes);
                        let is_zero = bytes.iter().all(|byte| *byte == 0);
                        let payload = match (is_zero, packed.len() < bytes.len()) {
                            (true, _) => Vec::new(),
                            (_, true) => packed,
                            _ => bytes.clone(),
                        };
                        sizes.push(payload.len() as u64);
                        pages.extend(payload);
                        for (page, bytes) in block.iter().enumerate() {
                            let page = at + ((number * each + page) * PAGE) as u64;
                            memory.push((page, bytes.to_vec(), !is_zero));
                        }
                    }
                    let total = sizes.iter().sum();
                    let blocks = message().packed(1, &sizes).uint(2, total).uint(3, each as u64);
                    map = map.entry(&entry(at, count as u64, 4).message(6, &blocks));
                }
                Page::Parent(bytes) => {
                    map = map.entry(&entry(at, 1, 1));
                    parent_map = parent_map.entry(&entry(at, 1, 4));
                    parent_pages.extend_from_slice(bytes);
                    memory.push((at, bytes.clone(), true));
                }
                Page::Untouched if mapping.status != FILE => memory.push((at, vec![0; PAGE], false)),
                Page::Untouched => {}
                Page::Lazy => map = map.entry(&entry(at, 1, 2)),
            }
            at += (count * PAGE) as u64;
            rest = &rest[count..];
        }
    }
    let parent = dir.join("parent");
    fs::create_dir(&parent).unwrap();
    let tree = File::new("PSTREE").entry(&message().uint(1, 7).uint(2, 0).uint(3, 7).uint(4, 7).uint(5, 7));
    for (path, bytes) in [
        (dir.join("pstree.img"), &tree.0),
        (dir.join("mm-7.img"), &File::new("MM").entry(&mm).0),
        (dir.join("pagemap-7.img"), &map.0),
        (dir.join("pages-1.img"), &pages),
        (parent.join("pagemap-7.img"), &parent_map.0),
        (parent.join("pages-1.img"), &parent_pages),
    ] {
        fs::write(path, bytes).unwrap();
    }
    memory
}

/// The bytes of consecutive addresses, of untouched zeros only those next to stored bytes.
fn joined(memory: &[(u64, Vec<u8>, bool)], keep: usize) -> Vec<(u64, Vec<u8>)> {
    let mut ranges: Vec<(u64, Vec<u8>)> = Vec::new();
    let mut add = |at: u64, bytes: &[u8]| match ranges.last_mut() {
        _ if bytes.is_empty() => {}
        Some(range) if range.0 + range.1.len() as u64 == at => range.1.extend_from_slice(bytes),
        _ => ranges.push((at, bytes.to_vec())),
    };
    let mut number = 0;
    while let Some((at, bytes, is_stored)) = memory.get(number) {
        if *is_stored {
            add(*at, bytes);
            number += 1;
            continue;
        }
        let pages = memory[number..]
            .iter()
            .enumerate()
            .take_while(|(page, (address, _, is_stored))| !is_stored && *address == at + (page * PAGE) as u64)
            .count();
        let length = pages * PAGE;
        let is_behind = number > 0 && memory[number - 1].2 && memory[number - 1].0 + PAGE as u64 == *at;
        let next = memory.get(number + pages);
        let is_before = next.is_some_and(|next| next.0 == at + length as u64);
        let kept = keep.min(length);
        if is_behind && is_before && length <= 2 * keep {
            add(*at, &vec![0; length]);
        } else {
            if is_behind {
                add(*at, &vec![0; kept]);
            }
            if is_before {
                add(at + (length - kept) as u64, &vec![0; kept]);
            }
        }
        number += pages;
    }
    ranges
}

/// Expressions, and how many untouched zeros they see.
const EXPRESSIONS: [(&str, usize); 14] = [
    ("[ab]{3,9}", 8),
    (r"a\x00{1,20}b", 21),
    (r"(?-u)a+", 4096),
    (r"\b[ab]{2}\b", 1 + 4),
    (r"(?m)^ab?$", 1 + 4),
    (r"^(?s-u).{2}", 1 + 4),
    (r"(?s-u).{3}$", 2 + 4),
    (r"(?i)a\xc3?", 1),
    ("(?s-u)b.{0,200}?A", 201),
    (r"\x00{3,7}", 6),
    (r"(?-u)[^a]*", 4096),
    (r"(?-u)a|\x00a", 1),
    (r"(?s-u)[ab]..", 2),
    ("\u{e9}+", 4096),
];

fn as_plain(seed: u64) {
    let mut rng = Rng::new(seed);
    let mappings = made(&mut rng);
    let folder = tempfile::tempdir().unwrap();
    let memory = write(folder.path(), &mappings, &mut rng);
    let dump = Checkpoint::open(folder.path()).unwrap();
    let lazy: usize =
        mappings.iter().flat_map(|mapping| &mapping.pages).filter(|page| matches!(page, Page::Lazy)).count();
    let check = |what: &str, pattern: &Pattern, want: &[(u64, usize)]| {
        for grain in GRAINS {
            let query = Search { context: 0, ..query(pattern, &[], grain) };
            let rows = found(&dump, &query);
            assert_eq!(spans(&rows), want, "seed {seed}: {what} {grain:?}");
            assert_eq!(counted(&dump, &query), want.len() as u64, "seed {seed}: {what} {grain:?}");
            assert_eq!(rows.problems.is_empty(), lazy == 0, "seed {seed}: {:?}", rows.problems);
        }
    };
    // literals, over the ends of pages too
    let whole = joined(&memory, usize::MAX / 4);
    for _ in 0..8 {
        let Some((_, bytes)) = whole.get(rng.below(whole.len().max(1))) else { break };
        let longest = *rng.pick(&[3, 20, 6000]);
        let length = 1 + rng.below(longest).min(bytes.len() - 1);
        let border = rng.below(bytes.len() / PAGE) * PAGE;
        let from = (border + rng.below(8)).saturating_sub(rng.below(length)).min(bytes.len() - length);
        let needle = &bytes[from..from + length];
        let mut want = Vec::new();
        // what has a byte in it is found wherever it is; of zeros those next to what is stored
        let keep = if needle.iter().any(|byte| *byte != 0) { usize::MAX / 4 } else { length - 1 };
        for (start, bytes) in joined(&memory, keep) {
            want.extend(naive(needle, &bytes).into_iter().map(|(at, len)| (start + at as u64, len)));
        }
        check(&format!("{length} bytes"), &Pattern::bytes(needle).unwrap(), &want);
    }
    for (expression, keep) in EXPRESSIONS {
        let regex = RegexBuilder::new(expression).build().unwrap();
        let mut want = Vec::new();
        for (start, bytes) in joined(&memory, keep) {
            want.extend(by_crate(&regex, &bytes).into_iter().map(|(at, len)| (start + at as u64, len)));
        }
        check(expression, &Pattern::regex(expression, false).unwrap(), &want);
    }
    for encoding in [Encoding::Ascii, Encoding::Utf8, Encoding::Utf16Le] {
        let mut want = Vec::new();
        for (start, bytes) in &whole {
            let found = match encoding {
                Encoding::Ascii => plain_strings(bytes, 3),
                _ => by_character(bytes, encoding, 3),
            };
            want.extend(found.into_iter().map(|(at, text)| (start + at as u64, text)));
        }
        for grain in GRAINS {
            let query = Strings { least: 3, encodings: vec![encoding], grain, ..Strings::default() };
            assert_eq!(listed(&dump, &query), want, "seed {seed}: {encoding:?} {grain:?}");
        }
    }
}

/// Strings of wider characters, by the expression that says what they are.
fn by_character(bytes: &[u8], encoding: Encoding, least: usize) -> Vec<(usize, String)> {
    let expression = match encoding {
        Encoding::Utf8 => format!("[\\t -~\u{a0}-\u{10ffff}]{{{least},}}"),
        _ => format!("(?-u)(?:[\\t -~\\xa0-\\xff]\\x00){{{least},}}"),
    };
    let regex = Regex::new(&expression).unwrap();
    let text = |bytes: &[u8]| match encoding {
        Encoding::Utf8 => String::from_utf8(bytes.to_vec()).unwrap(),
        _ => bytes.chunks(2).map(|pair| char::from(pair[0])).collect(),
    };
    regex.find_iter(bytes).map(|found| (found.start(), text(found.as_bytes()))).collect()
}

#[test]
fn made_up_processes() {
    for seed in 0..40 {
        as_plain(seed);
    }
}

/// A broken block and missing pages cost only themselves.
#[test]
fn what_is_broken_is_told() {
    let page = |text: &str| {
        let mut bytes = vec![b'.'; PAGE];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        bytes
    };
    let pages =
        vec![Page::Stored(page("needle")), Page::Block(page("needle")), Page::Lazy, Page::Stored(page("needle"))];
    let mappings = [Made { gap: 0, prot: 3, status: ANONYMOUS, pages }];
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &mappings, &mut Rng::new(1));
    let path = folder.path().join("pages-1.img");
    let mut content = fs::read(&path).unwrap();
    content[PAGE..PAGE + 4].fill(0xff);
    fs::write(&path, content).unwrap();
    let dump = Checkpoint::open(folder.path()).unwrap();
    let rows = found(&dump, &query(&Pattern::text("needle", false).unwrap(), &[], Grain::default()));
    assert_eq!(spans(&rows), [(BASE, 6), (BASE + 3 * PAGE as u64, 6)]);
    let told: Vec<_> = rows.problems.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].starts_with("process 7: 4096 bytes from 0x102000 on were not searched: it was left to"),
        "{told:?}"
    );
    assert!(
        told[1].starts_with("process 7: 4096 bytes from 0x101000 on were not searched: pages-1.img: offset 4096"),
        "{told:?}"
    );
    let output =
        Command::new(env!("CARGO_BIN_EXE_icecore")).arg("search").arg(folder.path()).arg("needle").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap().lines().count(), 2);
}

#[test]
fn it_ends_when_it_is_asked_to() {
    let dump = Checkpoint::open(corpus::data().join("python")).unwrap();
    let cancel = Cancel::default();
    cancel.cancel();
    let mut rows: Collect<Match> = Collect::default();
    let query = query(&Pattern::text("a", false).unwrap(), &[], Grain::default());
    let error = search(&dump, &query, (&Silent, &cancel), &mut rows).unwrap_err();
    assert_eq!((error.kind(), rows.rows.len()), (icecore::ErrorKind::Cancelled, 0));
}

/// A mapping of a TiB that nobody touched, with a page in the middle, costs no more than the page.
#[test]
fn untouched_memory_costs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let page = [&b"needle"[..], &[0; PAGE - 6]].concat();
    let pages = vec![Page::Stored(page)];
    write(folder.path(), &[Made { gap: 1 << 27, prot: 3, status: ANONYMOUS, pages }], &mut Rng::new(1));
    let vma = message().uint(1, BASE).uint(2, BASE + (1 << 40)).uint(3, 0).uint(4, 0).uint(5, 3);
    let vma = vma.uint(6, 0x22).uint(7, ANONYMOUS).sint(8, -1);
    let mm = (1..=12).fold(message(), |mm, number| mm.uint(number, 0)).message(14, &vma);
    fs::write(folder.path().join("mm-7.img"), File::new("MM").entry(&mm).0).unwrap();
    let dump = Checkpoint::open(folder.path()).unwrap();
    let at = BASE + (1 << 39);
    let started = std::time::Instant::now();
    for (pattern, want) in [
        (Pattern::bytes(b"\0\0needle\0"), vec![(at - 2, 9)]),
        (Pattern::regex(r"(?-u)\x00+needle", false), vec![(at - 4096, 4102)]),
        (Pattern::regex(r"(?-u)needle\x00+", false), vec![(at, 8192)]),
        // of zeros alone those at a stored page: behind the needle 4090 of its own
        (Pattern::bytes(&[0; 4096]), vec![(at + 6, 4096)]),
    ] {
        let rows = found(&dump, &query(&pattern.unwrap(), &[], Grain::default()));
        assert_eq!(spans(&rows), want);
    }
    assert!(started.elapsed() < std::time::Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn mappings_may_share_a_block() {
    for seed in 0..6 {
        let mut rng = Rng::new(seed);
        let folder = tempfile::tempdir().unwrap();
        let pages: Vec<Vec<u8>> = (0..6).map(|_| content(&mut rng)).collect();
        let made = Made {
            gap: 0,
            prot: 3,
            status: ANONYMOUS,
            pages: pages.iter().map(|page| Page::Block(page.clone())).collect(),
        };
        let memory = write(folder.path(), &[made], &mut rng);
        let mm = (1..=12).fold(message(), |mm, number| mm.uint(number, 0));
        let mm = memory.iter().fold(mm, |mm, (at, ..)| {
            let vma = message().uint(1, *at).uint(2, at + PAGE as u64).uint(3, 0).uint(4, 0).uint(5, 3);
            mm.message(14, &vma.uint(6, 0x22).uint(7, ANONYMOUS).sint(8, -1))
        });
        fs::write(folder.path().join("mm-7.img"), File::new("MM").entry(&mm).0).unwrap();
        let dump = Checkpoint::open(folder.path()).unwrap();
        let whole = pages.concat();
        for border in 1..6 {
            let needle = &whole[border * PAGE - 5..border * PAGE + 5];
            if needle.iter().all(|byte| *byte == 0) {
                continue;
            }
            let want: Vec<_> = naive(needle, &whole).into_iter().map(|(at, len)| (BASE + at as u64, len)).collect();
            for grain in GRAINS {
                assert_eq!(spans(&found(&dump, &query(&Pattern::bytes(needle).unwrap(), &[], grain))), want);
            }
        }
    }
}
