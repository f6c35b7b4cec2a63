//! Memory of version 2: scanning ten million runs where they lie in the map, opening a bundle of any size and looking
//! up a page, and random lookups. Aims: scanning 1.3 times summing the same bytes, 2.2 with the first verification, 5
//! times as fast as decoding version 1, 15 times as fast as prost does that; opening and a lookup 200 us.
#![allow(missing_docs, clippy::unwrap_used, clippy::cast_possible_truncation, clippy::indexing_slicing)]
#![allow(clippy::print_stdout, clippy::panic)]

use std::fs::{self, File};
use std::hint::black_box;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use icecore::base::map::Access;
use icecore::memory::pagemap::Pagemap;
use icecore::memory::{PageRuns, PageState, Pages, Parents};
use icecore::source::Source;
use icecore::source::bundle::{Bundle, Writer};
use icecore::wire::v2::array::{Array, NOWHERE, ZERO};
use icecore::wire::v2::block::{Codec, Prefix};
use icecore::wire::v2::crc::crc32c;
use icecore::wire::v2::{PageRun, types};
use icecore::{Image, Kind, Limits, Result, v1};
use prost::Message;
use zerocopy::IntoBytes;

mod synthetic;
use synthetic::{each, in_turn, ratio};

const RUNS: usize = 10_000_000;
const LOOKUPS: usize = 1_000_000;
/// Runs of a record: 1 MiB of them.
const BATCH: usize = 32 << 10;
const PAGE: u64 = 4096;

/// A source of one bundle.
struct Held(Arc<Bundle>);

impl Source for Held {
    fn name(&self) -> &str {
        self.0.name()
    }
    fn files(&self) -> &[String] {
        &[]
    }
    fn open(&self, _: &str) -> Result<Bytes> {
        Err(icecore::Error::usage("has no files"))
    }
    fn size(&self, _: &str) -> Result<u64> {
        Ok(0)
    }
    fn parent(&self) -> Result<Option<Arc<dyn Source>>> {
        Ok(None)
    }
    fn bundle(&self) -> Option<&Arc<Bundle>> {
        Some(&self.0)
    }
}

/// A file with holes where zeros are written.
struct Sparse(File);

impl Write for Sparse {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if bytes.len() >= 1 << 20 && bytes[0] == 0 {
            self.0.seek(SeekFrom::Current(i64::try_from(bytes.len()).unwrap()))?;
            return Ok(bytes.len());
        }
        self.0.write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn writer(path: &Path) -> Writer<Sparse> {
    let mut writer = Writer::new(Sparse(File::create(path).unwrap()), 7);
    writer.image(types::KIND_CHECKPOINT, 0).unwrap();
    writer.record(types::CHECKPOINT, 1, &[]).unwrap();
    writer.stop().unwrap();
    writer
}

fn pagemap(writer: &mut Writer<Sparse>, runs: &[PageRun]) {
    writer.image(Kind::Pagemap.number(), 1).unwrap();
    for batch in runs.chunks(BATCH) {
        writer.record(types::PAGE_RUN, batch.len() as u32, batch.as_bytes()).unwrap();
    }
    writer.stop().unwrap();
}

fn open(path: &Path) -> Arc<Bundle> {
    Arc::new(Bundle::open(path, Access::Map, Limits::default()).unwrap())
}

fn scan(array: &Array<'_, PageRun>) -> u64 {
    let sum = |sum: u64, run: &PageRun| {
        sum.wrapping_add(run.vaddr()).wrapping_add(run.pages()).wrapping_add(u64::from(run.flags() & 0xff))
    };
    array.as_slice().unwrap().iter().fold(0, sum)
}

fn all(runs: &PageRuns) -> u64 {
    (0..runs.batches()).fold(0, |sum: u64, batch| sum.wrapping_add(scan(&runs.batch(batch).unwrap())))
}

fn words(bytes: &[u8]) -> u64 {
    let (words, _) = bytes.as_chunks::<8>();
    words.iter().fold(0, |sum: u64, word| sum.wrapping_add(u64::from_le_bytes(*word)))
}

fn own(image: &Image) -> u64 {
    Pagemap::open(image).unwrap().iter().map(|entry| entry.unwrap()).fold(0, |sum: u64, entry| {
        sum.wrapping_add(entry.vaddr).wrapping_add(entry.pages()).wrapping_add(u64::from(entry.pe_flags()))
    })
}

/// The runs that the entries of an image are.
fn list(image: &Image) -> Vec<PageRun> {
    let entries = image.iter().skip(1).map(|entry| v1::PagemapEntry::decode(entry.unwrap().message()).unwrap());
    entries.map(|entry| PageRun::new(entry.vaddr, entry.nr_pages.unwrap(), NOWHERE, 4 | ZERO)).collect()
}

/// The same entries in both versions.
fn scanning(root: &Path) {
    let bytes = Bytes::from(synthetic::pagemap(RUNS));
    let image = Image::open("pagemap-1.img", bytes, Limits::default()).unwrap();
    let list = list(&image);
    let path = root.join("runs.criu");
    let mut writer = writer(&path);
    pagemap(&mut writer, &list);
    writer.finish(&[]).unwrap();
    drop(list);
    let bundle = open(&path);
    let whole = bundle.bytes(0).unwrap().clone();
    let fresh = || PageRuns::open(&bundle, Kind::Pagemap, 1, PAGE).unwrap().unwrap();
    let verified = fresh();
    let want = all(&verified);
    assert_eq!(own(&image), want);
    let (small_image, small) = small(&path.with_extension("small"));
    let sum_small = || (0..REPEAT).fold(0u64, |sum, _| sum.wrapping_add(words(black_box(small_bytes(&small)))));
    let [sum, once, first, v1, with_prost, few, few_own, few_sum] = in_turn(
        7,
        [
            &mut || words(black_box(&whole)),
            &mut || all(black_box(&verified)),
            &mut || all(black_box(&fresh())),
            &mut || own(black_box(&image)),
            &mut || {
                image.iter().skip(1).fold(0u64, |sum, entry| {
                    let entry = v1::PagemapEntry::decode(entry.unwrap().message()).unwrap();
                    let sum = sum.wrapping_add(entry.vaddr).wrapping_add(entry.nr_pages.unwrap());
                    sum.wrapping_add(u64::from(entry.flags.unwrap()))
                })
            },
            &mut || (0..REPEAT).fold(0, |sum: u64, _| sum.wrapping_add(all(black_box(&small)))),
            &mut || (0..REPEAT).fold(0, |sum: u64, _| sum.wrapping_add(own(black_box(&small_image)))),
            &mut || sum_small(),
        ],
    );
    println!(
        "scan of {RUNS} runs: {:.2} ns each, {:.2} times summing their bytes (aim: 1.3); with the first verification \
         {:.2} ns, {:.2} times (aim: 2.2); summing reads {:.1} GB/s",
        each(once, RUNS),
        ratio(once, sum),
        each(first, RUNS),
        ratio(first, sum),
        whole.len() as f64 / sum.as_secs_f64() / 1e9
    );
    println!(
        "version 1: {:.2} ns an entry, {:.2} times as long (aim: 5); with the first verification {:.2}; prost {:.2} ns, \
         {:.2} times (aim: 15)",
        each(v1, RUNS),
        ratio(v1, once),
        ratio(v1, first),
        each(with_prost, RUNS),
        ratio(with_prost, once)
    );
    println!(
        "of {SMALL} entries, which the cache holds: {:.2} ns a run, {:.2} times summing their bytes; version 1 {:.2} \
         ns, {:.2} times as long",
        each(few, SMALL * REPEAT),
        ratio(few, few_sum),
        each(few_own, SMALL * REPEAT),
        ratio(few_own, few)
    );
}

/// So many entries fit the cache in both versions.
const SMALL: usize = 10_000;
const REPEAT: usize = 200;

fn small(path: &Path) -> (Image, PageRuns) {
    let image = Image::open("pagemap-1.img", synthetic::pagemap(SMALL).into(), Limits::default()).unwrap();
    let list = list(&image);
    let mut writer = writer(path);
    pagemap(&mut writer, &list);
    writer.finish(&[]).unwrap();
    (image, PageRuns::open(&open(path), Kind::Pagemap, 1, PAGE).unwrap().unwrap())
}

fn small_bytes(runs: &PageRuns) -> &[u8] {
    runs.batch(0).unwrap().as_slice().unwrap().as_bytes()
}

/// A bundle of a process with so many pages, in blocks of so many; every 64 pages a run.
fn sparse(path: &Path, pages: u64, block: u64) {
    let mut writer = writer(path);
    let runs: Vec<PageRun> =
        (0..pages / 64).map(|run| PageRun::new(0x5500_0000_0000 + run * 65 * PAGE, 64, run * 64, 4)).collect();
    pagemap(&mut writer, &runs);
    writer.image(types::KIND_PAGES, 0).unwrap();
    let zeros = vec![0u8; 64 << 20];
    let sum = crc32c(0, &zeros[..64 << 10]);
    for first in (0..pages).step_by(block as usize) {
        let count = block.min(pages - first);
        let sums = vec![sum; count.div_ceil(16) as usize];
        let length = count * PAGE;
        let prefix =
            Prefix { first, pages: count as u32, codec: Codec::Raw, unit: 16, sizes: &[], sums: &sums, length };
        let mut left = length;
        let data = std::iter::from_fn(|| {
            let now = left.min(zeros.len() as u64);
            left -= now;
            (now > 0).then(|| &zeros[..now as usize])
        });
        writer.block(&prefix, PAGE, data).unwrap();
    }
    writer.stop().unwrap();
    writer.finish(&[]).unwrap();
}

/// Opens a bundle and looks up a page.
fn first_lookup(path: &Path, address: u64) -> [Duration; 3] {
    let start = Instant::now();
    let parents = Parents::of(Arc::new(Held(open(path))));
    let opened = start.elapsed();
    let pages = Pages::open(&parents, Kind::Pagemap, 1, Some(PAGE), &Limits::default()).unwrap().unwrap();
    let runs = start.elapsed();
    match pages.page(address) {
        Ok(Some(PageState::Stored(bytes))) => black_box(bytes[100]),
        other => panic!("{other:?}"),
    };
    [opened, runs, start.elapsed()]
}

fn opening(root: &Path) {
    for (block, what) in [(1 << 18, "1 GiB"), (1 << 8, "1 MiB")] {
        for size in [10u64 << 20, 100 << 20, 1 << 30, 10 << 30] {
            let path = root.join(format!("sparse-{size}-{block}.criu"));
            let pages = size / PAGE;
            sparse(&path, pages, block);
            let address = |round: u64| {
                let page = round * 7919 * 64 % pages;
                0x5500_0000_0000 + (page / 64 * 65 + page % 64) * PAGE
            };
            // what was never read is in no cache, and a disk is slower than any reader
            for round in 0..100 {
                first_lookup(&path, address(round));
            }
            let mut times: Vec<[Duration; 3]> = (0..100).map(|round| first_lookup(&path, address(round))).collect();
            times.sort_unstable_by_key(|time| time[2]);
            let us = |time: Duration| time.as_secs_f64() * 1e6;
            let [opened, runs, all] = times[50];
            println!(
                "{:>6} MiB in blocks of {what}, {} runs: open and look up a page {:.0} us (opening {:.0}, finding the runs \
                 {:.0}; fastest {:.0}, of 100 the 90th {:.0}; aim: 200)",
                size >> 20,
                pages / 64,
                us(all),
                us(opened),
                us(runs - opened),
                us(times[0][2]),
                us(times[90][2])
            );
            fs::remove_file(&path).unwrap();
        }
    }
}

fn lookups(root: &Path) {
    for count in [100_000u64, 2_000_000] {
        let path = root.join("lookups.criu");
        let mut writer = writer(&path);
        let mut random = 0x9e37_79b9_7f4a_7c15u64;
        let (mut vaddr, mut page) = (0x5500_0000_0000u64, 0);
        let runs: Vec<PageRun> = (0..count)
            .map(|_| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let pages = 1 + (random >> 8) % 4;
                let run = PageRun::new(vaddr, pages, page, 4);
                vaddr += (pages + (random >> 40) % 2) * PAGE;
                page += pages;
                run
            })
            .collect();
        pagemap(&mut writer, &runs);
        writer.image(types::KIND_PAGES, 0).unwrap();
        let zeros = vec![0u8; 64 << 20];
        let sum = crc32c(0, &zeros[..64 << 10]);
        for first in (0..page).step_by(1 << 14) {
            let count = (1 << 14).min(page - first);
            let tail = count % 16 * PAGE;
            let mut sums = vec![sum; (count / 16) as usize];
            if tail > 0 {
                sums.push(crc32c(0, &zeros[..tail as usize]));
            }
            let length = count * PAGE;
            let prefix =
                Prefix { first, pages: count as u32, codec: Codec::Raw, unit: 16, sizes: &[], sums: &sums, length };
            writer.block(&prefix, PAGE, [&zeros[..length as usize]]).unwrap();
        }
        writer.stop().unwrap();
        writer.finish(&[]).unwrap();
        let parents = Parents::of(Arc::new(Held(open(&path))));
        let pages = Pages::open(&parents, Kind::Pagemap, 1, Some(PAGE), &Limits::default()).unwrap().unwrap();
        let mut look = || {
            let mut random = 0x2545_f491_4f6c_dd1du64;
            let mut found = 0u64;
            for _ in 0..LOOKUPS {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let address = 0x5500_0000_0000 + random % (vaddr - 0x5500_0000_0000);
                found += u64::from(matches!(black_box(pages.page(address)), Ok(Some(PageState::Stored(_)))));
            }
            found
        };
        let starts: Vec<u64> = runs.iter().map(PageRun::vaddr).collect();
        let mut search = || {
            let mut random = 0x2545_f491_4f6c_dd1du64;
            let mut sum = 0;
            for _ in 0..LOOKUPS {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let address = 0x5500_0000_0000 + random % (vaddr - 0x5500_0000_0000);
                sum += black_box(starts.partition_point(|start| *start <= address)) as u64;
            }
            sum
        };
        let [lookup, search] = in_turn(5, [&mut look, &mut search]);
        println!(
            "{count} runs: {:.1} million lookups a second, {:.0} ns each, {:.2} times a binary search of their addresses",
            1e3 / each(lookup, LOOKUPS),
            each(lookup, LOOKUPS),
            ratio(lookup, search)
        );
        fs::remove_file(&path).unwrap();
    }
}

fn main() {
    let only = std::env::args().nth(1).filter(|only| !only.starts_with('-'));
    let wants = |what: &str| only.as_ref().is_none_or(|only| only == what);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tmp/bench-pageruns");
    let _ = fs::remove_dir_all(&root);
    fs::create_dir_all(&root).unwrap();
    if wants("open") {
        opening(&root);
    }
    if wants("lookup") {
        lookups(&root);
    }
    if wants("scan") {
        scanning(&root);
    }
    let _ = fs::remove_dir_all(&root);
}
