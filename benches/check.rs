//! `check`: a dump of 1 GiB without a look at its pages (aim: 50 ms, all rules), and every page of it with `--deep`
//! against summing the same bytes on as many threads (aim: 1.3 times as long), blocks against unpacking alone.
#![allow(missing_docs, clippy::unwrap_used, clippy::cast_possible_truncation, clippy::indexing_slicing)]
#![allow(clippy::print_stdout, clippy::panic, clippy::cast_precision_loss)]

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use icecore::base::report::{Cancel, Collect, Silent};
use icecore::memory::Compression;
use icecore::tool::check::{Check, Severity, check};
use icecore::tool::convert::pages::PageOptions;
use icecore::tool::convert::{Convert, Target, convert};
use rayon::prelude::*;

mod synthetic;
use synthetic::{in_turn, ratio};

const PAGE: u64 = 4096;
/// Where its memory begins.
const AT: u64 = 0x5500_0000_0000;

/// What a page is filled with: words of a text, so that it compresses about as heaps do.
fn fill(page: &mut [u8], number: u64) {
    let mut random = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for word in page.chunks_mut(16) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        word[..8].copy_from_slice(&random.to_le_bytes());
        word[8..].copy_from_slice(&[(random & 7) as u8; 8]);
    }
}

fn inventory(dir: &Path, fields: &[(u8, u64)]) {
    let mut bytes = 0x5831_3116u32.to_le_bytes().to_vec();
    synthetic::entry(&mut bytes, fields);
    fs::write(dir.join("inventory.img"), bytes).unwrap();
}

/// One process with so many pages, each an entry of its own (the worst there is), or in runs of 256.
fn dump(dir: &Path, pages: u64, run: u64) {
    let _ = fs::remove_dir_all(dir);
    fs::create_dir_all(dir).unwrap();
    let mut pagemap = synthetic::head("PAGEMAP", &[(1, 1)]);
    let gap = 1;
    for number in 0..pages / run {
        synthetic::entry(&mut pagemap, &[(1, AT + number * (run + gap) * PAGE), (2, 0), (4, 4), (5, run)]);
    }
    fs::write(dir.join("pagemap-7.img"), pagemap).unwrap();
    let mut file = File::create(dir.join("pages-1.img")).unwrap();
    let mut page = [0; PAGE as usize];
    let mut out = Vec::new();
    for number in 0..pages {
        fill(&mut page, number);
        out.extend(page);
        if out.len() == 4 << 20 {
            file.write_all(&out).unwrap();
            out.clear();
        }
    }
    file.write_all(&out).unwrap();
    rest(dir, AT + pages / run * (run + gap) * PAGE);
    inventory(dir, &[(1, 2), (2, 1)]);
}

/// What else the dump has: the process, and what is mapped.
fn rest(dir: &Path, end: u64) {
    let mapping = synthetic::message(&[(1, AT), (2, end), (3, 0), (4, 0), (5, 3), (6, 0x22), (7, 0x201), (8, 1)]);
    fs::write(dir.join("mm-7.img"), synthetic::mm(&[mapping])).unwrap();
    fs::write(dir.join("pstree.img"), synthetic::head("PSTREE", &[(1, 7), (2, 0), (3, 7), (4, 7), (5, 7)])).unwrap();
}

/// The same, in LZ4 blocks of so many pages; the sizes of all blocks.
fn compressed(from: &Path, dir: &Path, pages: u64, per_block: u64) -> Vec<(u64, u32)> {
    let _ = fs::remove_dir_all(dir);
    fs::create_dir_all(dir).unwrap();
    let plain = fs::read(from.join("pages-1.img")).unwrap();
    let block = (per_block * PAGE) as usize;
    let packed: Vec<Vec<u8>> = plain.par_chunks(block).map(lz4_flex::block::compress).collect();
    let run = 256;
    let mut pagemap = synthetic::head("PAGEMAP", &[(1, 1)]);
    let mut file = File::create(dir.join("pages-1.img")).unwrap();
    let (mut at, mut places) = (0u64, Vec::new());
    for (number, blocks) in packed.chunks((run / per_block) as usize).enumerate() {
        let mut sizes = Vec::new();
        let mut sum = 0;
        for block in blocks {
            assert!(block.len() < (per_block * PAGE) as usize);
            places.push((at, block.len() as u32));
            varint(&mut sizes, block.len() as u64);
            file.write_all(block).unwrap();
            at += block.len() as u64;
            sum += block.len() as u64;
        }
        let mut inner = vec![0x0a];
        varint(&mut inner, sizes.len() as u64);
        inner.extend(sizes);
        inner.extend(synthetic::message(&[(2, sum), (3, per_block)]));
        let mut message = synthetic::message(&[(1, AT + number as u64 * (run + 1) * PAGE), (2, 0), (4, 4), (5, run)]);
        message.push(6 << 3 | 2);
        varint(&mut message, inner.len() as u64);
        message.extend(inner);
        pagemap.extend((message.len() as u32).to_le_bytes());
        pagemap.extend(message);
    }
    fs::write(dir.join("pagemap-7.img"), pagemap).unwrap();
    rest(dir, AT + pages / run * (run + 1) * PAGE);
    inventory(dir, &[(1, 3), (2, 1), (15, 1)]);
    places
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn checked(path: &Path, deep: bool) {
    let mut out = Collect::default();
    let options = Check { deep, ..Check::default() };
    let checked = check(path, &options, &mut out, (&Silent, &Cancel::default())).unwrap();
    assert!(checked.pages > 0);
    // a made-up dump lacks cores and files; its memory is right
    let odd = |rule: &str| rule.starts_with("page") || rule.starts_with("block") || rule.starts_with("container");
    let wrong = out.rows.iter().find(|one| one.severity == Severity::Error && odd(one.rule));
    assert!(wrong.is_none(), "{wrong:?}");
}

/// Sums the words of a map on all threads.
fn sum(file: &Path) -> u64 {
    let file = File::open(file).unwrap();
    let bytes = icecore::base::map::content(&file, Path::new("pages"), icecore::base::map::Access::Map).unwrap();
    let chunk = |bytes: &[u8]| {
        let words = bytes.as_chunks::<8>().0;
        words.iter().fold(0u64, |sum, word| sum.wrapping_add(u64::from_le_bytes(*word)))
    };
    bytes.par_chunks(2 << 20).map(chunk).reduce(|| 0, u64::wrapping_add)
}

/// Sums what is read with system calls, into a buffer that stays in the cache.
fn sum_read(path: &Path) -> u64 {
    let file = File::open(path).unwrap();
    let length = file.metadata().unwrap().len();
    let pieces: Vec<u64> = (0..length.div_ceil(2 << 20)).collect();
    let piece = |room: &mut Vec<u8>, number: &u64| {
        let mut sum = 0u64;
        let (mut at, end) = (number * (2 << 20), ((number + 1) * (2 << 20)).min(length));
        while at < end {
            let take = (end - at).min(128 << 10) as usize;
            room.resize(take, 0);
            file.read_exact_at(room, at).unwrap();
            for word in room.as_chunks::<8>().0 {
                sum = sum.wrapping_add(u64::from_le_bytes(*word));
            }
            at += take as u64;
        }
        sum
    };
    pieces.par_iter().map_init(Vec::new, piece).reduce(|| 0, u64::wrapping_add)
}

/// Unpacks the blocks, and nothing else.
fn unpacked(path: &Path, places: &[(u64, u32)], block: usize) -> u64 {
    let file = File::open(path).unwrap();
    let bytes = icecore::base::map::content(&file, Path::new("pages"), icecore::base::map::Access::Map).unwrap();
    let one = |room: &mut Vec<u8>, place: &(u64, u32)| {
        room.resize(block, 0);
        let packed = &bytes[place.0 as usize..][..place.1 as usize];
        lz4_flex::block::decompress_into(packed, room).unwrap() as u64
    };
    places.par_iter().with_min_len(64).map_init(Vec::new, one).sum()
}

/// The number, for nobody: it is only to be worked out.
fn quiet(number: u64) {
    std::hint::black_box(number);
}

fn main() {
    let root = std::env::temp_dir().join(format!("icecore-check-{}", std::process::id()));
    let base = PathBuf::from("/dev/shm");
    let root = if base.is_dir() { base.join(root.file_name().unwrap()) } else { root };
    let gib: u64 = if std::env::args().any(|arg| arg == "--large") { 1 } else { 0 };
    let pages = if gib > 0 { 262_144 } else { 65_536 };
    let (worst, runs, lz4) = (root.join("worst"), root.join("runs"), root.join("lz4"));
    dump(&worst, pages, 1);
    dump(&runs, pages, 256);
    let places = compressed(&runs, &lz4, pages, 16);
    let bundle = root.join("it.criu");
    let packed = root.join("packed.criu");
    let control = (&Silent as &dyn icecore::base::report::Progress, &Cancel::default());
    let options = PageOptions { share: false, ..PageOptions::default() };
    convert(&runs, Target::Bundle(&bundle), &Convert { pages: options.clone(), ..Convert::default() }, control)
        .unwrap();
    let options = PageOptions { compression: Compression::Lz4, ..options };
    convert(&runs, Target::Bundle(&packed), &Convert { pages: options, ..Convert::default() }, control).unwrap();
    let mib = (pages * PAGE) >> 20;
    println!("{mib} MiB of pages, {} threads", rayon::current_num_threads());

    let start = Instant::now();
    checked(&worst, false);
    let cold = start.elapsed();
    let quick = in_turn(
        9,
        [&mut || checked(&worst, false), &mut || checked(&runs, false), &mut || checked(&lz4, false), &mut || {
            checked(&bundle, false)
        }],
    );
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "without --deep: {:.1} ms with an entry a page ({:.1} the first time), {:.1} in runs, {:.1} LZ4, {:.1} version 2",
        ms(quick[0]),
        ms(cold),
        ms(quick[1]),
        ms(quick[2]),
        ms(quick[3])
    );

    let file = runs.join("pages-1.img");
    let lz4_file = lz4.join("pages-1.img");
    let deep = in_turn(
        5,
        [
            &mut || quiet(sum(&file)),
            &mut || quiet(sum_read(&file)),
            &mut || checked(&runs, true),
            &mut || checked(&worst, true),
            &mut || quiet(unpacked(&lz4_file, &places, 16 * PAGE as usize)),
            &mut || checked(&lz4, true),
            &mut || quiet(sum(&bundle)),
            &mut || checked(&bundle, true),
            &mut || checked(&packed, true),
        ],
    );
    println!("sum of a map {:.0} ms, sum of what is read {:.0} ms", ms(deep[0]), ms(deep[1]));
    println!(
        "--deep of plain pages: {:.0} ms, {:.2} of the sum; an entry a page {:.2}",
        ms(deep[2]),
        ratio(deep[2], deep[0]),
        ratio(deep[3], deep[0])
    );
    println!("--deep of LZ4 blocks: {:.0} ms, {:.2} of unpacking alone", ms(deep[5]), ratio(deep[5], deep[4]));
    println!(
        "--deep of version 2: {:.0} ms, {:.2} of the sum; packed {:.0} ms",
        ms(deep[7]),
        ratio(deep[7], deep[6]),
        ms(deep[8])
    );
    fs::remove_dir_all(&root).unwrap();
}
