//! `mem`: what it shows and writes is parsed back and held against a plain program.
#![allow(
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr
)]

mod common;

use std::ops::Range;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use common::process::{ANON, FILE_PRIVATE, PAGE, Process, REGULAR};
use common::{alloc, corpus, flat};
use icecore::base::report::{Cancel, Collect, Rows, Silent};
use icecore::checkpoint::AddressSpace;
use icecore::tool::raw;
use icecore::view::Of;
use icecore::view::hexdump::{Piece, Shown, hexdump};
use icecore::view::mem::Mem;
use icecore::{Checkpoint, Error, Result, view};
use proptest::prelude::*;

#[global_allocator]
static ALLOCATOR: alloc::Counting = alloc::Counting;

fn space(dir: &Path, pid: u32) -> AddressSpace {
    Checkpoint::open(dir).unwrap().task(pid).unwrap().address_space().unwrap().unwrap()
}

/// A hexdump as text.
#[derive(Default)]
struct Text(String, u64);

impl Rows<Piece> for Text {
    fn row(&mut self, piece: Piece) -> Result<()> {
        piece.text(12, &mut self.0).unwrap();
        self.1 += 1;
        Ok(())
    }

    fn problem(&mut self, error: Error) -> Result<()> {
        panic!("{error}");
    }
}

fn text(space: &AddressSpace, range: Range<u64>, all: bool) -> (String, Shown) {
    let mut text = Text::default();
    let shown = hexdump(space, range, all, &mut text).unwrap();
    (text.0, shown)
}

/// What a reader of the text takes from it: for each range of addresses its bytes, or that it has none.
fn parse(text: &str) -> Vec<(Range<u64>, Option<Vec<u8>>)> {
    let hex = |digits: &str| u64::from_str_radix(digits, 16).unwrap();
    let mut found: Vec<(Range<u64>, Option<Vec<u8>>)> = Vec::new();
    for line in text.lines() {
        let first = line.split([' ', ':']).next().unwrap();
        if first == "*" {
            let words: Vec<&str> = line.split_whitespace().collect();
            let count: u64 = words[1].parse().unwrap();
            let end = hex(words[7]);
            let (before, bytes) = found.last_mut().unwrap();
            assert_eq!(before.end + count, end, "{line}");
            let bytes = bytes.as_mut().unwrap();
            let pattern = bytes[bytes.len() - 16..].to_vec();
            assert!(count.is_multiple_of(16), "{line}");
            (0..count / 16).for_each(|_| bytes.extend(&pattern));
            before.end = end;
        } else if let Some((start, end)) = first.split_once('-') {
            assert_eq!(hex(end) - hex(start), line.split(' ').nth(1).unwrap().parse::<u64>().unwrap(), "{line}");
            found.push((hex(start)..hex(end), None));
        } else {
            let start = hex(first);
            let (columns, characters) = line[first.len()..].split_once('|').unwrap();
            let bytes: Vec<u8> = columns.split_whitespace().map(|byte| hex(byte) as u8).collect();
            // each byte stands in the column that the last digit of its address names
            for (position, byte) in bytes.iter().enumerate() {
                let column = (start as usize + position) % 16;
                let at = 2 + 3 * column + usize::from(column >= 8);
                assert_eq!(&columns[at..at + 2], format!("{byte:02x}"), "{line}");
                let shown = characters.as_bytes()[column];
                assert!(shown == *byte || shown == b'.' && !(0x20..0x7f).contains(byte), "{line}");
            }
            found.push((start..start + bytes.len() as u64, Some(bytes)));
        }
    }
    found
}

/// Joins neighbours of one kind.
fn joined(parts: Vec<(Range<u64>, Option<Vec<u8>>)>) -> Vec<(Range<u64>, Option<Vec<u8>>)> {
    let mut joined: Vec<(Range<u64>, Option<Vec<u8>>)> = Vec::new();
    for (range, bytes) in parts {
        match (joined.last_mut(), bytes) {
            (Some((before, Some(all))), Some(bytes)) if before.end == range.start => {
                before.end = range.end;
                all.extend(bytes);
            }
            (Some((before, None)), None) if before.end == range.start => before.end = range.end,
            (_, bytes) => joined.push((range, bytes)),
        }
    }
    joined
}

/// What the plain program has of a range, with what it lacks in between.
fn wanted(memory: &[flat::Range], range: Range<u64>) -> Vec<(Range<u64>, Option<Vec<u8>>)> {
    let mut wanted = Vec::new();
    let mut at = range.start;
    for part in memory {
        let (start, end) = (part.start.max(range.start), (part.start + part.bytes.len() as u64).min(range.end));
        if start >= end {
            continue;
        }
        if at < start {
            wanted.push((at..start, None));
        }
        let bytes = part.bytes[(start - part.start) as usize..(end - part.start) as usize].to_vec();
        wanted.push((start..end, Some(bytes)));
        at = end;
    }
    if at < range.end {
        wanted.push((at..range.end, None));
    }
    wanted
}

fn same(found: &[(Range<u64>, Option<Vec<u8>>)], wanted: &[(Range<u64>, Option<Vec<u8>>)], what: &str) {
    let ranges = |parts: &[(Range<u64>, Option<Vec<u8>>)]| {
        parts.iter().map(|(range, bytes)| (range.clone(), bytes.is_some())).collect::<Vec<_>>()
    };
    assert_eq!(ranges(found), ranges(wanted), "{what}");
    assert!(found == wanted, "{what}: other bytes");
}

/// The processes of tests/data, and those of the corpus, without those with gigabytes of nothing.
fn processes() -> Vec<(std::path::PathBuf, u32)> {
    let mut dumps = flat::data();
    if let Some(large) = corpus::large() {
        // the last of a chain, and one in blocks of several pages: the plain program takes its time
        for dir in ["chain/chains/tracked/6", "compressed/compressed/craft2"] {
            dumps.push((large.join(dir), flat::pids(&large.join(dir))));
        }
    }
    let all = dumps.into_iter().flat_map(|(dir, pids)| pids.into_iter().map(move |pid| (dir.clone(), pid)));
    all.filter(|(dir, pid)| {
        let mm = Checkpoint::open(dir).unwrap().task(*pid).unwrap().mm().unwrap().unwrap();
        mm.mappings.iter().map(|mapping| mapping.size()).sum::<u64>() < 1 << 27
    })
    .collect()
}

#[test]
fn a_hexdump_says_what_a_plain_program_finds() {
    let _alone = alloc::alone();
    let mut count = 0;
    for (dir, pid) in processes() {
        let memory = flat::memory(&dir, pid);
        let space = space(&dir, pid);
        let what = format!("{} {pid}", dir.display());
        let whole = 0x1000..0xffff_ffff_ffff_0000;
        let (text, shown) = text(&space, whole.clone(), false);
        let found = joined(parse(&text));
        same(&found, &wanted(&memory, whole.clone()), &what);
        assert_eq!(shown.bytes, memory.iter().map(|part| part.bytes.len() as u64).sum::<u64>());
        assert_eq!(shown.bytes + shown.without, whole.end - whole.start);
        count += found.len();
    }
    assert!(count > 100, "{count}");
}

#[test]
fn raw_bytes_are_those_of_a_plain_program() {
    let _alone = alloc::alone();
    let cancel = Cancel::default();
    for (dir, pid) in processes() {
        let space = space(&dir, pid);
        let memory = flat::memory(&dir, pid);
        for part in &memory {
            let end = part.start + part.bytes.len() as u64;
            let mut out = Vec::new();
            raw::check(&space, part.start..end, true, &cancel).unwrap();
            assert_eq!(raw::write(&space, part.start..end, None, &mut out, (&Silent, &cancel)).unwrap(), 0);
            assert!(out == part.bytes, "{} {pid} {:#x}", dir.display(), part.start);
            // one byte more is not there, unless the next part of memory begins there
            let error = raw::check(&space, part.start..end + 1, false, &cancel).unwrap_err();
            assert!(error.to_string().contains(&format!("{end:#x}")), "{error}");
            let mut nothing = Vec::new();
            assert!(raw::write(&space, end..end + 1, None, &mut nothing, (&Silent, &cancel)).is_err());
            assert!(nothing.is_empty());
            let filled = raw::write(&space, end..end + 3, Some(0xcc), &mut nothing, (&Silent, &cancel)).unwrap();
            assert_eq!((filled, &nothing[..]), (3, &[0xcc; 3][..]));
        }
    }
}

#[test]
fn every_byte_of_a_mapping_is_counted_once() {
    let _alone = alloc::alone();
    for (dir, pid) in processes() {
        let dump = Checkpoint::open(&dir).unwrap();
        let memory = flat::memory(&dir, pid);
        let mut rows: Collect<Mem> = Collect::default();
        view::mem::mem(&dump, Some(pid), &mut rows).unwrap();
        let total = rows.rows.pop().unwrap();
        assert_eq!(total.of, Of::Total);
        let sum = |row: &Mem| {
            let places = row.places;
            let bytes = places.here + places.in_parents + places.shared + places.zero;
            (bytes, bytes + places.file + places.missing)
        };
        let mut bytes = 0;
        for row in &rows.rows {
            let (have, all) = sum(row);
            bytes += have;
            let (start, end) = (row.start.unwrap().0, row.end.unwrap().0);
            // what guards cover cannot be asked for, and guards have nothing
            if row.of == Of::Mapping && row.what != "[guard]" && !rows.rows.iter().any(|row| row.what == "[guard]") {
                assert_eq!(all, end - start, "{} {pid} {row:?}", dir.display());
                let wanted = wanted(&memory, start..end);
                let wanted: u64 = wanted.iter().map(|(_, bytes)| bytes.as_ref().map_or(0, Vec::len) as u64).sum();
                assert_eq!(have, wanted, "{} {pid} {row:?}", dir.display());
            }
        }
        assert_eq!((bytes, bytes), (sum(&total).0, memory.iter().map(|part| part.bytes.len() as u64).sum()));
    }
}

const BASE: u64 = 0x10000;

/// A process with pages of few different lines, some not stored, one mapping of a file, and a hole.
fn odd(lines: &[u8], pages: &[bool]) -> Process {
    let mut content = Vec::new();
    for (number, line) in lines.iter().cycle().take(pages.len() * PAGE / 16).enumerate() {
        // mostly one of few lines, some with one byte of their own
        let mut bytes = [line % 3; 16];
        if line % 7 == 0 {
            bytes[number % 16] ^= line / 16;
        }
        content.extend(bytes);
    }
    let end = BASE + content.len() as u64;
    let file = end + 0x3000..end + 0x5000;
    Process {
        mappings: vec![(BASE, end, REGULAR | ANON), (file.start, file.end, REGULAR | FILE_PRIVATE)],
        pages: content
            .chunks(PAGE)
            .zip(pages)
            .enumerate()
            .filter(|(_, (_, stored))| **stored)
            .map(|(number, (bytes, _))| (BASE + (number * PAGE) as u64, bytes.to_vec()))
            .collect(),
        ..Process::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_squeezed_can_be_unfolded(
        lines in proptest::collection::vec(any::<u8>(), 1..400),
        pages in proptest::collection::vec(any::<bool>(), 1..5),
        from in 0u64..0x6000,
        length in 1u64..0x9000,
        all in any::<bool>(),
    ) {
        let _alone = alloc::alone();
        let folder = tempfile::tempdir().unwrap();
        odd(&lines, &pages).write(folder.path());
        let memory = flat::memory(folder.path(), 1);
        let space = space(folder.path(), 1);
        let range = BASE - 0x800 + from..BASE - 0x800 + from + length;
        let (text, shown) = text(&space, range.clone(), all);
        same(&joined(parse(&text)), &wanted(&memory, range.clone()), &text);
        prop_assert_eq!(shown.bytes + shown.without, length);
        prop_assert!(!all || text.lines().all(|line| !line.starts_with('*')));
        // two lines that are shown one after the other differ, or there is a reason between them
        if !all {
            let lines: Vec<&str> = text.lines().collect();
            let bytes = |line: &str| line.split_once("  ").map(|(_, bytes)| bytes.to_owned());
            prop_assert!(lines.windows(2).all(|pair| bytes(pair[0]).is_none() || bytes(pair[0]) != bytes(pair[1])));
        }
        let mut rows: Collect<Piece> = Collect::default();
        hexdump(&space, range.clone(), all, &mut rows).unwrap();
        let mut at = range.start;
        for piece in &rows.rows {
            prop_assert_eq!(piece.address.0, at);
            at = piece.end.0;
        }
        prop_assert_eq!(at, range.end);
        let mut filled = Vec::new();
        let count = raw::write(&space, range.clone(), Some(0x5a), &mut filled, (&Silent, &Cancel::default())).unwrap();
        let want: Vec<u8> = wanted(&memory, range)
            .into_iter()
            .flat_map(|(range, bytes)| bytes.unwrap_or_else(|| vec![0x5a; (range.end - range.start) as usize]))
            .collect();
        prop_assert!(filled == want);
        prop_assert_eq!(count, shown.without);
    }
}

#[test]
fn huge_ranges_are_shown_at_once() {
    let _alone = alloc::alone();
    let started = Instant::now();
    let space = space(&corpus::data().join("tree"), 121);
    // four gigabytes of which one page is stored
    let (peak, (shown, _)) = alloc::peak(|| text(&space, 0..u64::MAX, false));
    assert!(
        shown.contains(
            "100000000000  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................| not stored\n"
        )
    );
    assert!(shown.contains("*             4294967280 bytes more like these, to 100100000000\n"), "{shown}");
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert!(peak < 4 << 20, "{peak}");
    // all addresses there are
    let folder = tempfile::tempdir().unwrap();
    let all = Process { mappings: vec![(0, !4095, REGULAR | ANON)], ..Process::default() };
    all.write(folder.path());
    let space = self::space(folder.path(), 1);
    let (text, shown) = text(&space, 3..u64::MAX, false);
    assert_eq!(text.lines().count(), 4, "{text}");
    assert_eq!((shown.bytes, shown.without), ((!4095) - 3, 4095));
    let mut rows = Collect::default();
    view::mem::mem(&Checkpoint::open(folder.path()).unwrap(), None, &mut rows).unwrap();
    assert_eq!(rows.rows[1].places.zero, !4095);
}

/// Takes bytes and keeps none of them.
struct Sum(u64);

impl std::io::Write for Sum {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn long_raw_writes_take_no_memory_and_can_be_ended() {
    let _alone = alloc::alone();
    let space = space(&corpus::data().join("tree"), 121);
    let range = 0x1000_0000_0000..0x1000_0000_0000 + (1 << 30);
    let mut sum = Sum(0);
    let cancel = Cancel::default();
    let (peak, filled) = alloc::peak(|| raw::write(&space, range.clone(), None, &mut sum, (&Silent, &cancel)).unwrap());
    assert_eq!((filled, sum.0), (0, 1 << 30));
    assert!(peak < 8 << 20, "{peak}");
    cancel.cancel();
    assert_eq!(
        raw::write(&space, range, None, &mut sum, (&Silent, &cancel)).unwrap_err().kind(),
        icecore::ErrorKind::Cancelled
    );
}

fn icecore(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_icecore")).args(words).current_dir(corpus::data()).output().unwrap()
}

fn told(words: &[&str], code: i32) -> String {
    let output = icecore(words);
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{words:?}\n{out}\n{error}");
    format!("{out}{error}")
}

#[test]
fn ranges_and_exit_codes() {
    let mem = |range: &str, code: i32| told(&["mem", "tree", "121", range], code);
    // 256 bytes, from an address with 0x or without
    let usual = mem("10000000", 0);
    assert_eq!(usual, mem("0x10000000", 0));
    assert_eq!(usual, mem("10000000+256", 0));
    assert_eq!(usual, mem("0x10000000+0x100", 0));
    assert_eq!(usual, mem("10000000-10000100", 0));
    assert!(usual.starts_with("10000000  66 72 6f 7a 65 6e 20 6e  65 65 64 6c 65 20 30 30  |frozen needle 00|\n"));
    assert!(usual.ends_with("*         224 bytes more like these, to 10000100\n"), "{usual}");
    assert_eq!(mem("10000000+1K", 0), mem("10000000+1024", 0));
    // places with names
    assert!(mem("heap", 0).starts_with("3545c000  "));
    assert!(mem("stack+1", 0).starts_with("7ffc7d8eb000  "));
    assert!(mem("sp", 0).starts_with("7ffc7d90a468  "));
    let line = icecore(&["cmdline", "-0", "tree", "121"]).stdout;
    assert_eq!((&line[..], &icecore(&["mem", "tree", "121", "arg", "--raw"]).stdout), (&b"/srv/tree\0"[..], &line));
    // a part is in a file, nothing is
    let part = mem("10700ff0+32", 1);
    assert!(part.starts_with("10700ff0-10701000: 16 bytes not in the dump: the file /srv/mapped has them at 0xff0\n"));
    assert!(part.contains("|written over the|"), "{part}");
    assert!(mem("1+16", 2).contains("00000001-11: 16 bytes: nothing is mapped there"));
    assert!(mem("7f63777ce000+1", 2).contains("1 bytes not in the dump: the kernel makes this page anew"));
    for wrong in ["", "xyz", "10+", "10+0", "10-10", "10-f", "10+1x", "ffffffffffffffff+1", "10++1", "0x", "-5", "sp-3"]
    {
        let told = mem(wrong, 2);
        assert!(told.starts_with("icecore: ") || wrong.starts_with('-'), "{wrong}: {told}");
    }
    assert!(told(&["mem", "tree", "115", "10"], 2).contains("task 115 is a zombie: it has no memory any more"));
    assert!(told(&["mem", "tree", "115"], 0).contains("task 115 is a zombie"));
    told(&["mem", "tree", "9999"], 2);
    told(&["mem", "tree", "x"], 2);
    told(&["mem", "tree", "121", "heap", "more"], 2);
    // segments
    let shown = told(&["mem", "tree", "--segment", "751"], 0);
    assert!(shown.lines().count() == 2 && shown.contains("[shared 751]"), "{shown}");
    assert!(told(&["mem", "tree", "--segment", "751", "0+16"], 0).starts_with("00000000  "));
    assert!(told(&["mem", "tree", "--segment", "751", "4M"], 2).contains("is no address"));
    assert!(told(&["mem", "tree", "--segment", "751", "400000"], 2).contains("the segment ends before"));
    told(&["mem", "tree", "--segment", "999"], 2);
    told(&["mem", "tree", "--segment", "751", "121", "0"], 2);
}

#[test]
fn raw_from_the_command_line() {
    let output = icecore(&["mem", "tree", "121", "10000000+20", "--raw"]);
    assert_eq!((output.status.code(), &*output.stdout), (Some(0), &b"frozen needle 00\0\0\0\0"[..]));
    let output = icecore(&["mem", "tree", "121", "10700000+8K", "--raw"]);
    assert_eq!((output.status.code(), &*output.stdout), (Some(2), &b""[..]));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("no page at 0x10700000: it is in the file /srv/mapped at 0x0, not in the dump"),
        "{stderr}"
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("out");
    let path = file.to_str().unwrap();
    told(&["mem", "tree", "121", "10701000+8K", "--raw", "-o", path], 2);
    assert!(!file.exists(), "nothing half-written");
    let told = told(&["mem", "tree", "121", "10701000+8K", "--raw", "--fill", "0xcc", "-o", path], 1);
    assert!(told.contains("4096 bytes are not in the dump, and 0xcc was written for each"), "{told}");
    let written = std::fs::read(&file).unwrap();
    assert_eq!(written.len(), 8192);
    assert!(written.starts_with(b"written over the") && written[4096..].iter().all(|byte| *byte == 0xcc));
}

#[test]
fn a_broken_block_is_told_and_never_shown() {
    let Some(large) = corpus::large() else {
        eprintln!("\n  SKIPPED: no large corpus: unpack one and set ICECORE_CORPUS to its folder\n");
        return;
    };
    let from = large.join("compressed/compressed/craft");
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(&from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            let mut content = std::fs::read(entry.path()).unwrap();
            if entry.file_name().to_str().unwrap().starts_with("pages-") {
                // a literal run that is longer than the block
                content.iter_mut().for_each(|byte| *byte = 0xff);
            }
            std::fs::write(folder.path().join(entry.file_name()), content).unwrap();
        }
    }
    let dump = Checkpoint::open(folder.path()).unwrap();
    let mut broken = 0;
    for task in dump.tasks().unwrap() {
        let Some(space) = task.address_space().unwrap() else { continue };
        let (text, _) = text(&space, 0..u64::MAX, false);
        broken += text.lines().filter(|line| line.contains("expected an LZ4 block")).count();
        for line in text.lines().filter(|line| line.contains("expected an LZ4 block")) {
            let start = u64::from_str_radix(line.split('-').next().unwrap(), 16).unwrap();
            let mut out = Vec::new();
            assert!(raw::check(&space, start..start + 16, true, &Cancel::default()).is_err());
            let result = raw::write(&space, start..start + 16, None, &mut out, (&Silent, &Cancel::default()));
            assert!(result.is_err() && out.is_empty());
            let cancel = Cancel::default();
            cancel.cancel();
            let error = raw::check(&space, start..start + 16, true, &cancel).unwrap_err();
            assert_eq!(error.kind(), icecore::ErrorKind::Cancelled);
        }
    }
    assert!(broken > 0);
}
