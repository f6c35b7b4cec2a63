//! Pages of version 1 as runs and blocks of version 2, and back: byte for byte, whatever the options.
#![allow(
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr
)]

mod common;

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use common::pagemap::{PAGE, Pagemap, Store, content};
use common::rng::Rng;
use common::writer::{File, message};
use common::{corpus, v2_source::V2};
use icecore::base::report::{Cancel, Silent};
use icecore::base::sink::Sink;
use icecore::memory::Parents;
use icecore::object::upgrade::container::{self, CheckpointHead};
use icecore::object::upgrade::pagemap;
use icecore::source::bundle::{Bundle, Writer};
use icecore::tool::convert::pages::{Compression, PageCounts, PageOptions, Survey, pages_file, survey, write};
use icecore::wire::v2::types;
use icecore::{Checkpoint, Kind, Limits};

/// A bundle that has what comes first.
fn begun(page_size: u64) -> Writer<Vec<u8>> {
    let mut writer = Writer::new(Vec::new(), 7);
    writer.image(types::KIND_CHECKPOINT, 0).unwrap();
    let head = CheckpointHead { page_size: Some(page_size), ..CheckpointHead::default() };
    writer.record(types::CHECKPOINT, 1, &container::encode_head(&head)).unwrap();
    writer.stop().unwrap();
    writer
}

/// A dump converted: what was said of it, and the bundle.
fn up(dump: &Checkpoint, options: &PageOptions) -> (Survey, PageCounts, Vec<u8>) {
    up_from(dump, None, options)
}

/// The same, beside a base.
fn up_from(dump: &Checkpoint, base: Option<&Parents>, options: &PageOptions) -> (Survey, PageCounts, Vec<u8>) {
    let survey = survey(dump).unwrap();
    let mut writer = begun(survey.page_size);
    let counts = write(dump, &survey, base, &mut writer, options, (&Silent, &Cancel::default())).unwrap();
    let (bytes, _) = writer.finish(&[]).unwrap();
    (survey, counts, bytes)
}

fn bundle(bytes: &[u8]) -> Arc<Bundle> {
    Arc::new(Bundle::from_bytes("test.criu", Bytes::copy_from_slice(bytes), Limits::default()).unwrap())
}

/// Looks whether each file of pages comes back as it was.
fn same(dir: &Path, survey: &Survey, parents: &Parents, scratch: &Path) {
    let bundle = parents.get(0).unwrap().unwrap().bundle().unwrap().clone();
    let mut left: HashSet<&String> = survey.files.iter().collect();
    for name in &survey.files {
        let Some((kind @ (Kind::Pagemap | Kind::PagemapShmem), id)) = Kind::from_file_name(name) else { continue };
        let back = pagemap::bytes(&bundle, kind, id, survey.page_size).unwrap();
        assert!(back == fs::read(dir.join(name)).unwrap(), "{} differs", dir.join(name).display());
        left.remove(name);
        let (facts, _) = pagemap::beside(&bundle, kind, id).unwrap();
        let pages = Kind::Pages.file_name(facts.pages_id).unwrap();
        assert_eq!(facts.is_absent, !dir.join(&pages).exists());
        if facts.is_absent {
            continue;
        }
        let path = scratch.join("pages");
        let mut sink = Sink::create(&path).unwrap();
        let length = pages_file(parents, (kind, id), survey.page_size, &mut sink, &Cancel::default()).unwrap();
        sink.finish().unwrap();
        let (back, was) = (fs::read(&path).unwrap(), fs::read(dir.join(&pages)).unwrap());
        assert_eq!(back.len() as u64, length);
        assert!(back == was, "{} differs: {} bytes, {}", dir.join(&pages).display(), back.len(), was.len());
        left.remove(&pages);
    }
    assert!(left.is_empty(), "{left:?}");
}

fn alone(bytes: &[u8]) -> Parents {
    Parents::of(Arc::new(V2::new(bundle(bytes), None)))
}

fn there_and_back(dir: &Path, options: &PageOptions) -> PageCounts {
    let dump = Checkpoint::open(dir).unwrap();
    let (survey, counts, bytes) = up(&dump, options);
    let scratch = tempfile::tempdir().unwrap();
    same(dir, &survey, &alone(&bytes), scratch.path());
    counts
}

fn all_options() -> Vec<PageOptions> {
    let plain = PageOptions::default();
    vec![
        plain.clone(),
        PageOptions { share: false, ..plain.clone() },
        PageOptions { block: 8 << 12, unit: Some(3 << 12), ..plain.clone() },
        PageOptions { compression: Compression::Lz4, ..plain.clone() },
        PageOptions { compression: Compression::Lz4, unit: Some(1 << 12), block: 5 << 12, ..plain.clone() },
        PageOptions { compression: Compression::Zstd(3), share: false, ..plain },
    ]
}

/// Pages of which some are zero, some equal to others, and some can be packed.
fn some(rng: &mut Rng, pages: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..pages {
        match rng.below(6) {
            0 => bytes.extend([0; PAGE]),
            1 => bytes.extend([rng.below(4) as u8; PAGE]),
            2 => bytes.extend(content(rng.below(3) as u8, 1)),
            3 => bytes.extend(rng.bytes(PAGE)),
            _ => {
                let word = rng.bytes(8);
                bytes.extend(word.repeat(PAGE / 8));
            }
        }
    }
    bytes
}

/// A random dump of several processes and segments.
fn random(dir: &Path, rng: &mut Rng) {
    for number in 1..=(1 + rng.below(4)) as u64 {
        let mut map = Pagemap::new(number);
        let mut address = 0x10_0000u64;
        for _ in 0..rng.below(12) {
            address += (rng.below(3) * PAGE) as u64;
            let pages = 1 + rng.below(9);
            let store = match rng.below(12) {
                0 => Store::Parent(pages as u64),
                1 => Store::Lazy(pages as u64),
                2 => Store::Hole(pages as u64),
                3 => Store::Aligned(some(rng, pages)),
                4 => Store::Blocks(some(rng, pages), 1),
                5 => Store::Blocks(some(rng, pages), 1 + rng.below(5)),
                6 => Store::AlignedBlocks(some(rng, pages), 1 + rng.below(5)),
                _ => Store::Plain(some(rng, pages)),
            };
            map = map.entry(address, &store);
            address += (pages * PAGE) as u64;
        }
        if rng.one_in(5) {
            map.pages.extend(rng.bytes(100));
        }
        match rng.one_in(3) {
            true => map.write_as(dir, &format!("pagemap-shmem-{number}.img")),
            false => map.write(dir, number as u32),
        }
        if rng.one_in(8) {
            fs::remove_file(dir.join(format!("pages-{number}.img"))).unwrap();
        }
    }
}

#[test]
fn random_dumps_there_and_back() {
    for seed in 0..60 {
        let mut rng = Rng::new(seed);
        let dir = tempfile::tempdir().unwrap();
        random(dir.path(), &mut rng);
        for options in all_options() {
            let dump = Checkpoint::open(dir.path()).unwrap();
            assert!(survey(&dump).unwrap().kept.is_empty(), "seed {seed}");
            there_and_back(dir.path(), &options);
        }
    }
}

/// All folders with pagemaps below one.
fn dumps(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let mut is_dump = false;
        for entry in fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            }
            is_dump |= entry.file_name().to_string_lossy().starts_with("pagemap-");
        }
        if is_dump {
            found.push(folder);
        }
    }
    found.sort();
    found
}

#[test]
fn real_dumps_there_and_back() {
    let roots = [Some(corpus::data()), corpus::large()];
    let (mut count, mut all) = (0, PageCounts::default());
    for dir in roots.iter().flatten().flat_map(|root| dumps(root)) {
        for options in [&all_options()[0], &all_options()[3]] {
            let dump = Checkpoint::open(&dir).unwrap();
            let kept = survey(&dump).unwrap().kept;
            assert!(kept.is_empty(), "{}: {kept:?}", dir.display());
            let counts = there_and_back(&dir, options);
            assert_eq!(counts.noted, 0, "{}", dir.display());
            if options.compression == Compression::None {
                all.pages += counts.pages;
                all.zero += counts.zero;
                all.shared += counts.shared;
                all.stored += counts.stored;
                all.runs += counts.runs;
                all.pagemap_entries += counts.pagemap_entries;
            }
        }
        count += 1;
    }
    assert!(count >= 3, "{count}");
    eprintln!("{count} dumps: {all:?}");
}

/// A dump of one process with one entry made by hand, and what follows its pages.
fn odd(dir: &Path, entries: &[common::writer::Message], head: Option<common::writer::Message>, pages: usize) {
    let head = head.unwrap_or_else(|| message().uint(1, 1));
    let mut file = File::new("PAGEMAP").entry(&head);
    for entry in entries {
        file = file.entry(entry);
    }
    fs::create_dir_all(dir).unwrap();
    fs::write(dir.join("pagemap-5.img"), file.0).unwrap();
    fs::write(dir.join("pages-1.img"), content(7, pages)).unwrap();
}

#[test]
fn what_other_versions_wrote() {
    let at = |page: u64| 0x1000_0000 + page * PAGE as u64;
    type Case = (&'static str, Vec<common::writer::Message>, Option<common::writer::Message>, usize, u64);
    let cases: Vec<Case> = vec![
        ("flags and field 2", vec![message().uint(1, at(0)).uint(2, 3).uint(4, 4)], None, 3, 0),
        (
            "in_parent",
            vec![
                message().uint(1, at(0)).uint(2, 3),
                message().uint(1, at(3)).uint(2, 2).uint(3, 1),
                message().uint(1, at(9)).uint(2, 1),
            ],
            None,
            4,
            0,
        ),
        ("in_parent 0", vec![message().uint(1, at(0)).uint(2, 3).uint(3, 0)], None, 3, 0),
        (
            "a field of the future",
            vec![message().uint(1, at(0)).uint(2, 0).uint(4, 4).uint(5, 2).uint(9, 77)],
            None,
            2,
            0,
        ),
        ("another order", vec![message().uint(2, 0).uint(1, at(0)).uint(4, 4).uint(5, 2)], None, 2, 1),
        (
            "a head of the future",
            vec![message().uint(1, at(0)).uint(2, 0).uint(4, 4).uint(5, 2)],
            Some(message().uint(1, 1).uint(2, 5)),
            2,
            0,
        ),
        (
            "addresses of 32 bits",
            vec![
                message().uint(1, 0x7fff_f000).uint(2, 0).uint(4, 4).uint(5, 1),
                message().uint(1, 0xffff_ffff_8000_0000).uint(2, 0).uint(4, 4).uint(5, 2),
                message().uint(1, 0xffff_ffff_f7fc_0000).uint(2, 0).uint(4, 4).uint(5, 1),
            ],
            None,
            4,
            0,
        ),
        (
            "addresses of 32 bits, one without its sign",
            vec![
                message().uint(1, 0xffff_ffff_8000_0000).uint(2, 0).uint(4, 4).uint(5, 2),
                message().uint(1, 0xf7fc_0000).uint(2, 0).uint(4, 4).uint(5, 1),
            ],
            None,
            3,
            1,
        ),
    ];
    for (what, entries, head, pages, noted) in cases {
        let dir = tempfile::tempdir().unwrap();
        odd(dir.path(), &entries, head, pages);
        let kept = survey(&Checkpoint::open(dir.path()).unwrap()).unwrap().kept;
        assert!(kept.is_empty(), "{what}: {kept:?}");
        for options in all_options() {
            assert_eq!(there_and_back(dir.path(), &options).noted, noted, "{what}");
        }
    }
}

#[test]
fn what_runs_cannot_say_is_left() {
    let entry = |vaddr: u64, flags: u64, pages: u64| message().uint(1, vaddr).uint(2, 0).uint(4, flags).uint(5, pages);
    let cases = [
        ("the same twice", vec![entry(0x5000, 4, 1), entry(0x5000, 4, 1)], 2),
        ("no pages", vec![entry(0x5000, 4, 0)], 0),
        ("an address within a page", vec![entry(0x5001, 4, 1)], 1),
        ("unknown flags", vec![entry(0x5000, 4 | 64, 1)], 1),
        ("present and in the parent", vec![entry(0x5000, 5, 1)], 1),
        ("beyond the address space", vec![entry(0xefff_ffff_ffff_f000, 0, 1 << 50)], 1),
        ("a file cut short", vec![entry(0x5000, 4, 2)], 1),
        ("a file much longer", vec![entry(0x5000, 4, 2)], 400),
        ("no required field", vec![message().uint(1, 0x5000)], 1),
    ];
    for (what, entries, pages) in cases {
        let dir = tempfile::tempdir().unwrap();
        odd(dir.path(), &entries, None, pages);
        let survey = survey(&Checkpoint::open(dir.path()).unwrap()).unwrap();
        assert_eq!((survey.kept.len(), survey.files.len()), (1, 0), "{what}");
    }
}

#[test]
fn equal_pages_are_stored_once() {
    let dir = tempfile::tempdir().unwrap();
    let page = |seed: u8| content(seed, 1);
    let zero = vec![0; PAGE];
    // the same pages in two processes and a segment, at other addresses, in another order
    Pagemap::new(1)
        .entry(0x1_0000, &Store::Plain([page(1), page(2), zero.clone(), page(3)].concat()))
        .write(dir.path(), 1);
    Pagemap::new(2).entry(0x7_0000, &Store::Plain([page(3), page(1), page(1)].concat())).write(dir.path(), 2);
    Pagemap::new(3)
        .entry(0x0, &Store::Plain([page(2), page(3), page(4)].concat()))
        .write_as(dir.path(), "pagemap-shmem-9.img");
    let counts = there_and_back(dir.path(), &PageOptions::default());
    assert_eq!((counts.pages, counts.zero, counts.shared, counts.stored), (10, 1, 5, 4));
    assert_eq!(counts.stored_bytes, 4 * PAGE as u64);
    let counts = there_and_back(dir.path(), &PageOptions { share: false, ..PageOptions::default() });
    assert_eq!((counts.shared, counts.stored), (0, 9));
}

#[test]
fn threads_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut rng = Rng::new(99);
    for number in 1..=3u64 {
        let mut map = Pagemap::new(number);
        for entry in 0..40u64 {
            map = map.entry(0x100_0000 * entry, &Store::Plain(some(&mut rng, 1 + entry as usize * 3)));
        }
        map.write(dir.path(), number as u32);
    }
    for options in all_options() {
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| up(&Checkpoint::open(dir.path()).unwrap(), &options).2)
        };
        let one = with(1);
        assert!(one == with(2) && one == with(5), "{options:?}");
    }
}

#[test]
fn blocks_unpacked_are_the_plain_images() {
    let Some(root) = corpus::large().map(|root| root.join("compressed/compressed")) else {
        eprintln!("skipped: no ICECORE_CORPUS");
        return;
    };
    // crit unpacked craft2; the form before stands beside
    let scratch = tempfile::tempdir().unwrap();
    let options = PageOptions { decompress: true, ..PageOptions::default() };
    for (packed, plain) in [("craft", "craft2"), ("b", "t")] {
        let dump = Checkpoint::open(root.join(packed)).unwrap();
        let (survey, _, bytes) = up(&dump, &options);
        same(&root.join(plain), &survey, &alone(&bytes), scratch.path());
    }
}

#[test]
fn holes_stay_holes() {
    let dir = tempfile::tempdir().unwrap();
    let mut pages = content(1, 64);
    pages[16 * PAGE..48 * PAGE].fill(0);
    Pagemap::new(1).entry(0x10_0000, &Store::Plain(pages.clone())).write(dir.path(), 1);
    // punched, as `criu dedup` does
    let file = fs::OpenOptions::new().write(true).open(dir.path().join("pages-1.img")).unwrap();
    let flags = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
    if rustix::fs::fallocate(&file, flags, (20 * PAGE) as u64, (8 * PAGE) as u64).is_err() {
        eprintln!("skipped: no holes here");
        return;
    }
    let dump = Checkpoint::open(dir.path()).unwrap();
    let (survey, _, bytes) = up(&dump, &PageOptions::default());
    let bundle = bundle(&bytes);
    let runs: Vec<_> = pagemap::Runs::new(&bundle, Kind::Pagemap, 1, 4096).map(Result::unwrap).collect();
    let said: Vec<_> = runs.iter().map(|run| (run.pages(), run.flags())).collect();
    assert_eq!(said, [(16, 4), (4, 0x304), (8, 0x704), (20, 0x304), (16, 0x204)]);
    let scratch = tempfile::tempdir().unwrap();
    same(dir.path(), &survey, &alone(&bytes), scratch.path());
    use std::os::unix::fs::MetadataExt;
    let blocks = fs::metadata(scratch.path().join("pages")).unwrap().blocks();
    assert!(blocks * 512 <= 56 * PAGE as u64, "{blocks}");
}

#[test]
fn broken_stores_are_told() {
    let dir = tempfile::tempdir().unwrap();
    Pagemap::new(1).entry(0x10_0000, &Store::Plain(content(1, 40))).write(dir.path(), 1);
    let (survey, _, bytes) = up(&Checkpoint::open(dir.path()).unwrap(), &PageOptions::default());
    let scratch = tempfile::tempdir().unwrap();
    // in the middle of the pages, and in what stands before them
    let data = bytes.windows(PAGE).position(|window| window == &content(1, 1)[..]).unwrap();
    for at in [data + 5 * PAGE + 9, data - 5000.min(data / 2)] {
        let mut broken = bytes.clone();
        broken[at] ^= 1;
        let Ok(bundle) = Bundle::from_bytes("broken.criu", broken.into(), Limits::default()) else { continue };
        let parents = Parents::of(Arc::new(V2::new(Arc::new(bundle), None)));
        let mut sink = Sink::create(&scratch.path().join("pages")).unwrap();
        let read = pages_file(&parents, (Kind::Pagemap, 1), survey.page_size, &mut sink, &Cancel::default());
        if at > data {
            assert!(read.is_err(), "{at}");
        }
    }
}

/// The chain of a bundle and those before it, the nearest first.
fn chain(bundles: &[Vec<u8>]) -> Arc<dyn icecore::source::Source> {
    let mut last: Option<Arc<dyn icecore::source::Source>> = None;
    for bytes in bundles {
        last = Some(Arc::new(V2::new(bundle(bytes), last.take())));
    }
    last.unwrap()
}

/// Converts a chain of dumps, the oldest first, each beside the one before, and looks whether all come back and whether
/// memory is the same. Gives the counts of the last.
fn convert_chain(dirs: &[PathBuf], options: &PageOptions) -> PageCounts {
    let scratch = tempfile::tempdir().unwrap();
    let mut bundles: Vec<Vec<u8>> = Vec::new();
    let mut last = PageCounts::default();
    for dir in dirs {
        let dump = Checkpoint::open(dir).unwrap();
        let base = (!bundles.is_empty()).then(|| Parents::of(chain(&bundles)));
        let (survey, counts, bytes) = up_from(&dump, base.as_ref(), options);
        bundles.push(bytes);
        let parents = Parents::of(chain(&bundles));
        same(dir, &survey, &parents, scratch.path());
        for kind in [Kind::Pagemap, Kind::PagemapShmem] {
            for image in dump.images_of(kind) {
                let open = |parents| icecore::memory::Pages::open(parents, kind, image.id, Some(4096), dump.limits());
                let (old, new) = (open(dump.parents()).unwrap().unwrap(), open(&parents).unwrap().unwrap());
                let runs = |pages: &icecore::memory::Pages| {
                    let mut all = Vec::new();
                    for run in pages.runs(0..u64::MAX) {
                        for address in (run.start..run.end).step_by(PAGE) {
                            let page = pages.page(address).unwrap();
                            let bytes = match page {
                                Some(icecore::memory::PageState::Stored(bytes)) => Some(bytes.to_vec()),
                                _ => None,
                            };
                            all.push((address, bytes));
                        }
                    }
                    all
                };
                assert!(runs(&old) == runs(&new), "{} {}", dir.display(), image.file);
            }
        }
        last = counts;
    }
    last
}

#[test]
fn increments_refer_to_what_is_there() {
    let root = tempfile::tempdir().unwrap();
    let dir = |number: u32| root.path().join(number.to_string());
    let page = |seed: u8| content(seed, 1);
    let zero = vec![0; PAGE];
    Pagemap::new(1)
        .entry(0x10_0000, &Store::Plain([page(1), page(2), page(3), zero.clone(), page(4)].concat()))
        .entry(0x20_0000, &Store::Plain([page(5), page(5)].concat()))
        .write(&dir(1), 7);
    // the first two and the zeros are in the parent; one changed, one was written again as it was, one moved
    Pagemap::new(1)
        .entry(0x10_0000, &Store::Parent(2))
        .entry(0x10_2000, &Store::Plain(page(9)))
        .entry(0x10_3000, &Store::Parent(1))
        .entry(0x10_4000, &Store::Plain(page(4)))
        .entry(0x20_0000, &Store::Plain([page(8), page(1), page(2), page(7)].concat()))
        .write(&dir(2), 7);
    // by way of the second to the first
    Pagemap::new(1)
        .entry(0x10_0000, &Store::Parent(5))
        .entry(0x20_0000, &Store::Parent(1))
        .entry(0x20_1000, &Store::Plain([page(9), page(6)].concat()))
        .write(&dir(3), 7);
    for number in 2..=3 {
        std::os::unix::fs::symlink(format!("../{}", number - 1), dir(number).join("parent")).unwrap();
    }
    for options in all_options() {
        let counts = convert_chain(&[dir(1), dir(2)], &options);
        let (inherited, stored) = if options.share { (3, 3) } else { (1, 5) };
        assert_eq!((counts.inherited, counts.stored, counts.zero), (inherited, stored, 0), "{options:?}");
        let counts = convert_chain(&[dir(1), dir(2), dir(3)], &options);
        let (inherited, stored) = if options.share { (1, 1) } else { (0, 2) };
        assert_eq!((counts.inherited, counts.stored), (inherited, stored), "{options:?}");
    }
    // all places are known
    let base = up(&Checkpoint::open(dir(1)).unwrap(), &PageOptions::default()).2;
    let dump = Checkpoint::open(dir(2)).unwrap();
    let parents = Parents::of(chain(std::slice::from_ref(&base)));
    let child = up_from(&dump, Some(&parents), &PageOptions::default()).2;
    let (base, child) = (bundle(&base), bundle(&child));
    let runs: Vec<_> = pagemap::Runs::new(&child, Kind::Pagemap, 7, 4096).map(Result::unwrap).collect();
    let said: Vec<_> = runs.iter().map(|run| (run.pages(), run.flags(), run.page())).collect();
    let none = u64::MAX;
    assert_eq!(
        said,
        [(2, 0x1_0001, 0), (1, 4, 0), (1, 0x101, none), (1, 0x1_0004, 3), (1, 4, 1), (2, 0x1_0204, 0), (1, 0x204, 2)]
    );
    // another bundle than the parent's is found out
    drop(base);
    let other = tempfile::tempdir().unwrap();
    Pagemap::new(1).entry(0x10_0000, &Store::Plain([page(1), page(3)].concat())).write(other.path(), 7);
    let wrong = up(&Checkpoint::open(other.path()).unwrap(), &PageOptions::default()).2;
    let wrong = Parents::of(chain(&[wrong]));
    let survey = survey(&dump).unwrap();
    let mut writer = begun(4096);
    let written =
        write(&dump, &survey, Some(&wrong), &mut writer, &PageOptions::default(), (&Silent, &Cancel::default()));
    let error = written.unwrap_err();
    assert!(error.to_string().contains("page 0x101000 is another than in the parent"), "{error}");
}

#[test]
fn random_chains_there_and_back() {
    for seed in 0..25 {
        let mut rng = Rng::new(seed);
        let root = tempfile::tempdir().unwrap();
        let mut dirs = Vec::new();
        // which pages a dump knows: the next may leave those to it
        let mut known: Vec<bool> = vec![false; 64];
        for number in 0..4 {
            let dir = root.path().join(number.to_string());
            let mut map = Pagemap::new(1);
            let mut at = 0usize;
            while at < known.len() {
                let pages = (1 + rng.below(6)).min(known.len() - at);
                let all_known = known[at..at + pages].iter().all(|known| *known);
                let store = match rng.below(5) {
                    0 => None,
                    1 | 2 if all_known && number > 0 => Some(Store::Parent(pages as u64)),
                    3 => Some(Store::Blocks(some(&mut rng, pages), 1 + rng.below(3))),
                    _ => Some(Store::Plain(some(&mut rng, pages))),
                };
                if let Some(store) = &store {
                    map = map.entry(0x10_0000 + (at * PAGE) as u64, store);
                }
                known[at..at + pages].fill(store.is_some());
                at += pages;
            }
            map.write(&dir, 3);
            if number > 0 {
                std::os::unix::fs::symlink(format!("../{}", number - 1), dir.join("parent")).unwrap();
            }
            dirs.push(dir);
        }
        for options in [&all_options()[0], &all_options()[2], &all_options()[4], &all_options()[5]] {
            convert_chain(&dirs, options);
        }
    }
}

#[test]
fn real_chains_there_and_back() {
    let Some(root) = corpus::large().map(|root| root.join("chain/chains/tracked")) else {
        eprintln!("skipped: no ICECORE_CORPUS");
        return;
    };
    let dirs: Vec<PathBuf> = (1..=6).map(|number| root.join(number.to_string())).collect();
    let counts = convert_chain(&dirs, &PageOptions::default());
    eprintln!("the last of six: {counts:?}");
    assert!(counts.inherited * 10 > counts.pages * 3, "{counts:?}");
}

#[test]
fn what_is_longer_than_a_window() {
    // one entry over several windows, between others; packed windows are shorter
    let dir = tempfile::tempdir().unwrap();
    let pages = 9000;
    let mut bytes = content(3, pages);
    bytes[100 * PAGE..200 * PAGE].fill(0);
    let (start, end) = bytes.split_at(4000 * PAGE);
    bytes = [start, &content(3, 50)[..], end].concat();
    Pagemap::new(1)
        .entry(0x10_0000, &Store::Plain(content(9, 3)))
        .entry(0x1000_0000, &Store::Plain(bytes))
        .entry(0x9000_0000, &Store::Blocks(content(4, 2000), 3))
        .write(dir.path(), 1);
    Pagemap::new(2).entry(0, &Store::Plain(content(3, 500))).write(dir.path(), 2);
    for options in [&all_options()[0], &all_options()[3]] {
        let counts = there_and_back(dir.path(), options);
        // the first 53 and the 500 come again, but for those that became zero; which 100 are zero in one
        assert_eq!((counts.pages, counts.zero), (3 + 9050 + 2000 + 500, 100), "{counts:?}");
        // the first 53 are stored, those of the second file are among them but for the zeros; a table finds nearly all
        let (least, most) = (3 + 8900 + 2000, 3 + 8900 + 2000 + 150);
        assert!((least..=most).contains(&counts.stored), "{counts:?}");
    }
}

#[test]
fn no_flipped_bit_gives_other_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let text = b"some words that are worth packing ".repeat(3 * PAGE / 30);
    Pagemap::new(1)
        .entry(0x10_0000, &Store::Plain(text[..2 * PAGE].to_vec()))
        .entry(0x20_0000, &Store::Blocks(text[PAGE..3 * PAGE].to_vec(), 1))
        .entry(0x30_0000, &Store::Lazy(3))
        .write(dir.path(), 1);
    let options = PageOptions { compression: Compression::Lz4, ..PageOptions::default() };
    let (survey, _, bytes) = up(&Checkpoint::open(dir.path()).unwrap(), &options);
    let files = ["pagemap-1.img", "pages-1.img"].map(|name| fs::read(dir.path().join(name)).unwrap());
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("pages");
    let mut found = 0;
    for at in 0..bytes.len() {
        let mut broken = bytes.clone();
        broken[at] ^= 1 << (at % 8);
        let Ok(bundle) = Bundle::from_bytes("broken.criu", broken.into(), Limits::default()) else { continue };
        let bundle = Arc::new(bundle);
        match pagemap::bytes(&bundle, Kind::Pagemap, 1, survey.page_size) {
            Ok(back) => assert!(back == files[0], "{at}"),
            Err(_) => found += 1,
        }
        let mut sink = Sink::create(&path).unwrap();
        let parents = Parents::of(Arc::new(V2::new(bundle, None)));
        if pages_file(&parents, (Kind::Pagemap, 1), survey.page_size, &mut sink, &Cancel::default()).is_ok() {
            sink.finish().unwrap();
            assert!(fs::read(&path).unwrap() == files[1], "{at}");
        }
    }
    assert!(found > 100, "{found} of {}", bytes.len());
}
