//! Restored memory is what the process had, whichever way it came there: one suite over all ways and targets, held
//! against a plain program.
#![allow(
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr
)]

mod common;

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use common::writer::{File, Message, message};
use common::{corpus, flat};
use icecore::base::report::{Cancel, Progress, Silent};
use icecore::checkpoint::AddressSpace;
use icecore::source::Source;
use icecore::tool::restore::{Memory, OnMissing, Options, Plan, Target, Way, What};
use icecore::{Checkpoint, Error, ErrorKind, Limits};
use proptest::prelude::*;

const PAGE: u64 = 4096;
const WAYS: [Way; 2] = [Way::Map, Way::Copy];
const TARGETS: [Target; 2] = [Target::Anywhere, Target::Exact];
/// Everything can be read and written, so that all of it can be compared.
const OPEN: Options = Options { maps: 1000, missing: OnMissing::Refuse, protect: false, huge: true, verify: true };

const PRESENT: u64 = 4;
const PARENT: u64 = 1;
const LAZY: u64 = 2;

fn space(dump: &Checkpoint, pid: u32) -> AddressSpace {
    dump.task(pid).unwrap().address_space().unwrap().unwrap()
}

fn restore(plan: &Plan<'_>, way: Way, target: Target) -> Result<Memory, Error> {
    plan.restore(way, target, &Silent, &Cancel::default())
}

/// Addresses of a dump that no other test uses, and nothing else of a process is at.
fn base() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0x10_0000_0000);
    NEXT.fetch_add(1 << 30, Ordering::Relaxed)
}

/// A dump that is being made: of process 1.
#[derive(Default)]
struct Dump {
    vmas: Vec<Message>,
    entries: Vec<Message>,
    pages: Vec<u8>,
}

impl Dump {
    /// A private mapping, of anonymous memory with status 0x201, of a file with 0x41.
    fn vma(mut self, start: u64, end: u64, prot: u64, status: u64) -> Self {
        let vma = message().uint(1, start).uint(2, end).uint(3, 0).uint(4, 0);
        self.vmas.push(vma.uint(5, prot).uint(6, 2).uint(7, status).sint(8, -1));
        self
    }

    fn entry(mut self, vaddr: u64, pages: u64, flags: u64) -> Self {
        self.entries.push(message().uint(1, vaddr).uint(2, 0).uint(4, flags).uint(5, pages));
        self
    }

    /// Pages with their bytes.
    fn stored(mut self, vaddr: u64, bytes: &[u8]) -> Self {
        self.pages.extend(bytes);
        self.entry(vaddr, bytes.len() as u64 / PAGE, PRESENT)
    }

    /// Pages in blocks of so many.
    fn packed(mut self, vaddr: u64, bytes: &[u8], pages: usize) -> Self {
        let mut sizes = Vec::new();
        for block in bytes.chunks(pages * PAGE as usize) {
            let mut packed = lz4_flex::block::compress(block);
            if block.iter().all(|byte| *byte == 0) {
                packed.clear();
            } else if packed.len() >= block.len() {
                packed = block.to_vec();
            }
            sizes.push(packed.len() as u64);
            self.pages.extend(packed);
        }
        let blocks = message().packed(1, &sizes).uint(2, sizes.iter().sum()).uint(3, pages as u64);
        let entry = message().uint(1, vaddr).uint(2, 0).uint(4, PRESENT).uint(5, bytes.len() as u64 / PAGE);
        self.entries.push(entry.message(6, &blocks));
        self
    }

    fn files(self) -> Vec<(&'static str, Vec<u8>)> {
        let mm = (1..=12).fold(message(), |mm, number| mm.uint(number, 0));
        let mm = self.vmas.iter().fold(mm, |mm, vma| mm.message(14, vma));
        let task = message().uint(1, 1).uint(2, 0).uint(3, 1).uint(4, 1).uint(5, 1);
        let pagemap = File::new("PAGEMAP").entry(&message().uint(1, 1));
        let pagemap = self.entries.iter().fold(pagemap, File::entry);
        vec![
            ("pstree.img", File::new("PSTREE").entry(&task).0),
            ("mm-1.img", File::new("MM").entry(&mm).0),
            ("pagemap-1.img", pagemap.0),
            ("pages-1.img", self.pages),
        ]
    }

    fn write(self, folder: &Path) {
        for (name, bytes) in self.files() {
            fs::write(folder.join(name), bytes).unwrap();
        }
    }

    fn temporary(self) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        self.write(folder.path());
        folder
    }
}

/// Bytes that look like nothing else.
fn noise(pages: u64, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let words = (0..pages * PAGE / 8).flat_map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.collect()
}

/// All of the plan's areas is what the plain program finds, and what that does not find was not restored; how many
/// pages those are that were.
fn compare(plan: &Plan<'_>, memory: &Memory, truth: &[flat::Range], which: &str) -> u64 {
    let mut pages = 0;
    for area in plan.areas() {
        let mut at = area.start.0;
        while at < area.end.0 {
            let end = |range: &flat::Range| range.start + range.bytes.len() as u64;
            match truth.get(truth.partition_point(|range| end(range) <= at)) {
                Some(range) if range.start <= at => {
                    let end = end(range).min(area.end.0);
                    let want = &range.bytes[(at - range.start) as usize..(end - range.start) as usize];
                    assert!(memory.bytes(at..end) == Some(want), "{which}: {at:#x}-{end:#x}");
                    pages += (end - at) / PAGE;
                    at = end;
                }
                _ => {
                    assert!(memory.bytes(at..at + PAGE).is_none(), "{which}: {at:#x}");
                    at += PAGE;
                }
            }
        }
    }
    pages
}

/// The suite: all ways to all targets, with some limits of maps; how many pages were compared.
fn suite(dir: &Path, pid: u32, limits: &[usize]) -> u64 {
    let dump = Checkpoint::open(dir).unwrap();
    let space = space(&dump, pid);
    let truth = flat::memory(dir, pid);
    let mut pages = 0;
    for &maps in limits {
        let plan = Plan::new(&space, &Options { maps, ..OPEN }).unwrap();
        for (way, target) in WAYS.into_iter().flat_map(|way| TARGETS.map(|target| (way, target))) {
            let which = format!("{} {pid} {way:?} {target:?} {maps}", dir.display());
            match restore(&plan, way, target) {
                Ok(memory) => pages += compare(&plan, &memory, &truth, &which),
                // this process may use addresses that the dumped one used
                Err(error) => {
                    assert!(target == Target::Exact, "{which}: {error}");
                    assert_eq!(error.io_kind(), Some(std::io::ErrorKind::AlreadyExists), "{error}");
                }
            }
        }
    }
    pages
}

#[test]
fn every_process_of_the_data() {
    let mut pages = 0;
    for (dir, pids) in flat::data() {
        for pid in pids {
            pages += suite(&dir, pid, &[1000, 5]);
        }
    }
    assert!(pages > 10_000, "{pages}");
}

#[test]
fn chains_and_private_memfds() {
    let Some(large) = corpus::large() else {
        eprintln!("\n  SKIPPED: no large corpus: unpack one and set ICECORE_CORPUS to its folder\n");
        return;
    };
    // the last has a memfd mapped privately, and beyond its end
    let folders = [
        "chain/chains/tracked/1",
        "chain/chains/tracked/6",
        "compressed/compressed/b",
        "zdtm/all/h/static-shmemfd-priv",
    ];
    for dir in folders.iter().flat_map(|folder| corpus::dumps(&large.join(folder))) {
        for pid in flat::pids(&dir) {
            assert!(suite(&dir, pid, &[1000]) > 0);
        }
    }
}

#[test]
fn blocks_payloads_parents_and_zeros() {
    let base = base();
    let parent = Dump::default().stored(base + 0x2000, &noise(4, 1)).packed(base + 0x40_0000, &noise(3, 2), 2);
    let blocks = [noise(2, 3), vec![0; 8192], vec![7; 8192], noise(1, 4)].concat();
    let dump = Dump::default()
        .vma(base, base + 0x180_0000, 3, 0x201)
        .vma(base + 0x180_0000, base + 0x190_0000, 1, 0x201)
        .vma(base + 0x2000_0000, base + 0x2000_8000, 5, 0x41)
        .stored(base, &noise(1, 5))
        .entry(base + 0x2000, 4, PARENT)
        .packed(base + 0x7000, &blocks, 2)
        // behind blocks nothing is aligned
        .stored(base + 0x2_0000, &noise(600, 6))
        .entry(base + 0x40_0000, 3, PARENT)
        .packed(base + 0x100_0000, &vec![9; 5 << 20], 64)
        .stored(base + 0x180_0000, &noise(3, 7))
        .stored(base + 0x2000_1000, &noise(1, 8));
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (folder.path().join("old"), folder.path().join("new"));
    fs::create_dir(&old).unwrap();
    fs::create_dir(&new).unwrap();
    parent.write(&old);
    dump.write(&new);
    std::os::unix::fs::symlink("../old", new.join("parent")).unwrap();
    let pages = suite(&new, 1, &[1000]);
    assert_eq!(pages, 4 * (0x190_0000 / 4096 + 1));
    let dump = Checkpoint::open(&new).unwrap();
    let space = space(&dump, 1);
    let plan = Plan::new(&space, &OPEN).unwrap();
    for (kind, want) in [(0, 4), (1, 4), (2, 2)] {
        let found = plan.count(|what| match what {
            What::Map { .. } => kind == 0,
            What::Copy { .. } => kind == 1,
            What::Unpack => kind == 2,
            _ => false,
        });
        assert_eq!(found.0, want, "{kind}\n{plan}");
    }
}

#[test]
fn a_plan_as_text() {
    let base = 0x4000_0000;
    let dump = Dump::default()
        .vma(base, base + 0x40_0000, 3, 0x201)
        .vma(base + 0x40_0000, base + 0x41_0000, 5, 0x41)
        .vma(base + 0x50_0000, base + 0x50_1000, 5, 0x9)
        .stored(base, &noise(1, 1))
        .stored(base + 0x1000, &noise(2, 2))
        .packed(base + 0x10_0000, &[vec![1; 4096], vec![0; 4096], vec![2; 4096]].concat(), 1)
        .stored(base + 0x20_0000, &noise(1, 3))
        .entry(base + 0x30_0000, 1, LAZY)
        .stored(base + 0x40_2000, &noise(1, 4));
    let folder = dump.temporary();
    let dump = Checkpoint::open(folder.path()).unwrap();
    let space = space(&dump, 1);
    let plan = Plan::new(&space, &Options { missing: OnMissing::Leave, ..OPEN }).unwrap();
    let want = "\
fragments: 1 mapped (12K), 4 copied (16K), 2 left to files (60K), 1 missing (4K); maps: 7, at most 1000
0x40000000-0x40400000      4M  rw-  [anon]
0x40000000-0x40003000     12K    map pages-1.img at 0x0
0x40003000-0x40100000   1012K    nothing
0x40100000-0x40101000      4K    unpack
0x40101000-0x40102000      4K    nothing
0x40102000-0x40103000      4K    unpack
0x40103000-0x40200000   1012K    nothing
0x40200000-0x40201000      4K    copy pages-1.img at 0x3036
0x40201000-0x40300000   1020K    nothing
0x40300000-0x40301000      4K    missing: no page at 0x40300000: it was left to a server of pages (lazy) and is not in \
the dump
0x40301000-0x40400000   1020K    nothing
0x40400000-0x40410000     64K  r-x  [file]
0x40400000-0x40402000      8K    left to the file at 0x0
0x40402000-0x40403000      4K    copy pages-1.img at 0x4036
0x40403000-0x40410000     52K    left to the file at 0x3000
0x40500000-0x40501000      4K  not private: [vdso]
";
    assert_eq!(plan.to_string(), want, "\n{plan}");
    let json = serde_json::to_value(&plan).unwrap();
    assert_eq!(json["areas"][0]["fragments"][0]["what"], "map");
    assert_eq!(json["images"][0]["name"], "pages-1.img");
    assert_eq!(json["left_out"][0]["backing"], "vdso");
    for way in WAYS {
        let memory = restore(&plan, way, Target::Anywhere).unwrap();
        assert!(memory.bytes(base..base + 0x30_0000).is_some());
        assert!(
            memory.bytes(base + 0x30_0000..base + 0x30_1000).is_none(),
            "what is missing is not passed off as zeros"
        );
    }
}

/// Lines of the list of this process's maps that lie in a range.
fn maps(range: std::ops::Range<u64>) -> Vec<String> {
    let text = fs::read_to_string("/proc/self/maps").unwrap();
    let is_in = |line: &&str| {
        let start = u64::from_str_radix(line.split('-').next().unwrap(), 16).unwrap();
        range.contains(&start)
    };
    text.lines().filter(is_in).map(str::to_owned).collect()
}

#[test]
fn too_many_maps_become_copies() {
    let base = base();
    let mut dump = Dump::default().vma(base, base + 0x1000_0000, 3, 0x201);
    // with gaps, and those at the end in larger pieces
    let mut at = base;
    for number in 0..300 {
        let pages = if number < 200 { 1 } else { 3 };
        dump = dump.stored(at, &noise(pages, number));
        at += (pages + number % 2) * PAGE;
    }
    let folder = dump.temporary();
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    let space = space(&checkpoint, 1);
    let all = Plan::new(&space, &OPEN).unwrap();
    for limit in [1, 2, 50, 100, 250] {
        let options = Options { maps: limit, ..OPEN };
        let plan = Plan::new(&space, &options).unwrap();
        assert!(plan.maps() <= limit && all.maps() > limit, "{} {}", plan.maps(), all.maps());
        let again = Plan::new(&space, &options).unwrap();
        assert_eq!(plan.to_string(), again.to_string());
        let sizes = |mapped: bool| {
            let fragments = plan.areas().iter().flat_map(|area| &area.fragments);
            let sizes = fragments.filter(move |fragment| match fragment.what {
                What::Map { .. } => mapped,
                What::Copy { .. } => !mapped,
                _ => false,
            });
            sizes.map(|fragment| fragment.len())
        };
        assert!(sizes(false).max().unwrap() <= sizes(true).min().unwrap_or(u64::MAX));
        let memory = restore(&plan, Way::Map, Target::Exact).unwrap();
        assert!(maps(base..base + 0x1000_0000).len() <= limit, "{limit}");
        compare(&plan, &memory, &flat::memory(folder.path(), 1), "few maps");
    }
    suite(folder.path(), 1, &[1000]);
}

#[test]
fn a_cut_file_is_told_and_nothing_restored() {
    let base = base();
    let stored = || Dump::default().vma(base, base + 0x40_0000, 3, 0x201).stored(base, &noise(600, 1));
    let folder = stored().temporary();
    let dump = Checkpoint::open(folder.path()).unwrap();
    let whole = space(&dump, 1);
    let plan = Plan::new(&whole, &OPEN).unwrap();
    let pages = fs::OpenOptions::new().write(true).open(folder.path().join("pages-1.img")).unwrap();
    // the map must not be touched any more
    pages.set_len(100 * PAGE + 5).unwrap();
    for way in WAYS {
        let error = restore(&plan, way, Target::Exact).unwrap_err();
        assert_eq!((error.kind(), error.image()), (ErrorKind::Format, Some("pages-1.img")), "{error}");
        assert!(error.what().contains(&format!("page {:#x}", base + 599 * PAGE)), "{error}");
        assert_eq!(maps(base..base + 0x40_0000), Vec::<String>::new());
    }
    let dump = Checkpoint::open(folder.path()).unwrap();
    let short = space(&dump, 1);
    let error = Plan::new(&short, &OPEN).err().unwrap();
    assert_eq!((error.kind(), error.image()), (ErrorKind::Format, Some("pages-1.img")), "{error}");
    assert!(error.what().contains(&format!("page {:#x}", base + 100 * PAGE)), "{error}");
    // what is there can be had
    let plan = Plan::new(&short, &Options { missing: OnMissing::Leave, ..OPEN }).unwrap();
    let memory = restore(&plan, Way::Map, Target::Anywhere).unwrap();
    assert_eq!(memory.bytes(base..base + 100 * PAGE).unwrap(), &noise(600, 1)[..100 * PAGE as usize]);
    assert!(memory.bytes(base..base + 101 * PAGE).is_none());
}

#[test]
fn a_broken_block_is_told_and_nothing_restored() {
    let base = base();
    let mut dump = Dump::default().vma(base, base + 0x40_0000, 3, 0x201).packed(base + 0x1000, &vec![5; 1 << 20], 16);
    let middle = dump.pages.len() / 2;
    dump.pages[middle..].fill(0xff);
    let folder = dump.temporary();
    let dump = Checkpoint::open(folder.path()).unwrap();
    let space = space(&dump, 1);
    let plan = Plan::new(&space, &OPEN).unwrap();
    for way in WAYS {
        let error = restore(&plan, way, Target::Exact).unwrap_err();
        assert_eq!((error.kind(), error.image()), (ErrorKind::Format, Some("pages-1.img")), "{error}");
        assert!(error.what().starts_with("page 0x10") && error.what().contains("LZ4"), "{error}");
        assert_eq!(maps(base..base + 0x40_0000), Vec::<String>::new());
    }
}

#[test]
fn missing_pages_are_refused() {
    let base = base();
    let vma = || Dump::default().vma(base, base + 0x40_0000, 3, 0x201).stored(base, &noise(1, 1));
    for (dump, why) in [
        (vma().entry(base + 0x3000, 2, LAZY), "server of pages"),
        (vma().entry(base + 0x3000, 2, PARENT), "no parent link"),
    ] {
        let folder = dump.temporary();
        let dump = Checkpoint::open(folder.path()).unwrap();
        let space = space(&dump, 1);
        let error = Plan::new(&space, &OPEN).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Fault);
        assert!(error.what().contains(&format!("{:#x}", base + 0x3000)) && error.what().contains(why), "{error}");
        let plan = Plan::new(&space, &Options { missing: OnMissing::Leave, ..OPEN }).unwrap();
        assert_eq!(plan.count(|what| what == What::Missing), (1, 2 * PAGE));
    }
}

#[test]
fn nothing_of_the_process_is_overwritten() {
    let base = base();
    let folder = Dump::default()
        .vma(base, base + 0x4000, 3, 0x201)
        .vma(base + 0x8000, base + 0xa000, 3, 0x201)
        .stored(base, &noise(1, 1))
        .temporary();
    let dump = Checkpoint::open(folder.path()).unwrap();
    let space = space(&dump, 1);
    let plan = Plan::new(&space, &OPEN).unwrap();
    for way in WAYS {
        let mut memory = restore(&plan, way, Target::Exact).unwrap();
        memory.bytes_mut(base + 0x9000..base + 0xa000).unwrap().fill(8);
        for again in WAYS {
            let error = restore(&plan, again, Target::Exact).unwrap_err();
            assert_eq!(error.io_kind(), Some(std::io::ErrorKind::AlreadyExists));
            assert!(error.to_string().contains(&format!("{base:#x}-{:#x}", base + 0x4000)), "{error}");
            restore(&plan, again, Target::Anywhere).unwrap();
        }
        assert_eq!(memory.bytes(base + 0x8fff..base + 0x9001).unwrap(), [0, 8]);
        drop(memory);
        assert_eq!(maps(base..base + 0xa000), Vec::<String>::new(), "dropping frees");
    }
    let memory = restore(&plan, Way::Copy, Target::Exact).unwrap();
    let at = memory.address(base + 17).unwrap();
    assert_eq!(at as u64, base + 17);
    memory.keep();
    let mut page = vec![0; PAGE as usize];
    fs::File::open("/proc/self/mem").unwrap().read_exact_at(&mut page, base).unwrap();
    assert_eq!(page, noise(1, 1));
}

#[test]
fn writing_does_not_reach_the_dump() {
    let base = base();
    let folder = Dump::default().vma(base, base + 0x8000, 3, 0x201).stored(base, &noise(8, 1)).temporary();
    let dump = Checkpoint::open(folder.path()).unwrap();
    let space = space(&dump, 1);
    let plan = Plan::new(&space, &OPEN).unwrap();
    for way in WAYS {
        for target in TARGETS {
            let mut memory = restore(&plan, way, target).unwrap();
            memory.bytes_mut(base..base + 0x8000).unwrap().fill(3);
            assert_eq!(memory.bytes(base + 0x1000..base + 0x1003).unwrap(), [3, 3, 3]);
            assert_eq!(fs::read(folder.path().join("pages-1.img")).unwrap(), noise(8, 1));
        }
    }
}

#[test]
fn memory_is_protected_as_it_was() {
    let base = base();
    let folder = (0..8)
        .fold(Dump::default(), |dump, prot| {
            let start = base + prot * 0x10_0000;
            // mapped, copied, not stored; and a mapping with nothing stored
            let dump = dump.vma(start, start + 0x4_0000, prot, 0x201).stored(start, &noise(2, prot));
            dump.packed(start + 0x3000, &vec![prot as u8 + 1; 4096], 1).vma(
                start + 0x8_0000,
                start + 0x9_0000,
                prot,
                0x201,
            )
        })
        .temporary();
    let dump = Checkpoint::open(folder.path()).unwrap();
    let space = space(&dump, 1);
    let plan = Plan::new(&space, &Options { protect: true, ..OPEN }).unwrap();
    let memory = fs::File::open("/proc/self/mem").unwrap();
    for way in WAYS {
        let restored = restore(&plan, way, Target::Exact).unwrap();
        for prot in 0..8 {
            let start = base + prot * 0x10_0000;
            let letters: String = [(1, 'r'), (2, 'w'), (4, 'x')]
                .map(|(bit, c)| if prot & bit > 0 { c } else { '-' })
                .into_iter()
                .collect();
            let found = maps(start..start + 0x10_0000);
            assert!(!found.is_empty());
            for line in found {
                assert_eq!(line.split(' ').nth(1).unwrap(), format!("{letters}p"), "{line}");
            }
            assert_eq!(restored.bytes(start..start + 0x4_0000).is_some(), prot & 1 > 0);
            // a debugger's eyes see what is protected
            let mut page = vec![0; 4 << 12];
            memory.read_exact_at(&mut page, start).unwrap();
            assert!(page == [noise(2, prot), vec![0; 4096], vec![prot as u8 + 1; 4096]].concat(), "{way:?} {prot}");
        }
    }
    suite(folder.path(), 1, &[1000]);
}

#[test]
fn work_can_be_watched_and_ended() {
    struct Watch(AtomicU64, AtomicU64);
    impl Progress for Watch {
        fn advance(&self, done: u64, total: u64) {
            self.0.fetch_max(done, Ordering::Relaxed);
            self.1.store(total, Ordering::Relaxed);
        }
    }
    let base = base();
    let folder =
        Dump::default().vma(base, base + 0x200_0000, 3, 0x201).stored(base + 0x5000, &noise(5000, 1)).temporary();
    let dump = Checkpoint::open(folder.path()).unwrap();
    let space = space(&dump, 1);
    let plan = Plan::new(&space, &OPEN).unwrap();
    let watch = Watch(AtomicU64::new(0), AtomicU64::new(0));
    plan.restore(Way::Copy, Target::Anywhere, &watch, &Cancel::default()).unwrap();
    assert_eq!((watch.0.into_inner(), watch.1.into_inner()), (5000 * PAGE, 5000 * PAGE));
    let cancel = Cancel::default();
    cancel.cancel();
    for way in WAYS {
        let error = plan.restore(way, Target::Exact, &Silent, &cancel).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
        assert_eq!(maps(base..base + 0x200_0000), Vec::<String>::new());
    }
}

/// A dump that lies in memory, as one from an archive.
struct InMemory(Vec<String>, Vec<(&'static str, Vec<u8>)>);

impl Source for InMemory {
    fn name(&self) -> &str {
        "memory"
    }

    fn files(&self) -> &[String] {
        &self.0
    }

    fn open(&self, file: &str) -> Result<Bytes, Error> {
        let found = self.1.iter().find(|(name, _)| *name == file);
        found.map(|(_, bytes)| Bytes::from(bytes.clone())).ok_or_else(|| Error::usage("no such file"))
    }

    fn size(&self, file: &str) -> Result<u64, Error> {
        Ok(self.open(file)?.len() as u64)
    }

    fn parent(&self) -> Result<Option<Arc<dyn Source>>, Error> {
        Ok(None)
    }
}

#[test]
fn what_is_no_file_is_copied() {
    let base = base();
    let files = Dump::default().vma(base, base + 0x100_0000, 3, 0x201).stored(base, &noise(3000, 1)).files();
    let names = files.iter().map(|(name, _)| (*name).to_owned()).collect();
    let dump = Checkpoint::from_source(Arc::new(InMemory(names, files)), Limits::default());
    let space = space(&dump, 1);
    let plan = Plan::new(&space, &OPEN).unwrap();
    assert_eq!(plan.count(|what| matches!(what, What::Map { .. })).0, 0);
    for way in WAYS {
        let memory = restore(&plan, way, Target::Anywhere).unwrap();
        assert_eq!(memory.bytes(base..base + 3000 * PAGE).unwrap(), noise(3000, 1));
    }
}

#[test]
fn huge_pages_where_they_fit() {
    let base = base();
    let mut dump = Dump::default().vma(base, base + 0x200_0000, 3, 0x201).stored(base + 0x1000, &noise(2048, 1));
    // one page in many: no huge ones
    for at in (0x100_0000..0x200_0000).step_by(0x2000) {
        dump = dump.stored(base + at, &noise(1, at));
    }
    let folder = dump.temporary();
    assert!(suite(folder.path(), 1, &[1000]) > 0);
    let enabled = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_default();
    if enabled.contains("[never]") || enabled.is_empty() {
        eprintln!("\n  SKIPPED: huge pages are off on this machine\n");
        return;
    }
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    let space = space(&checkpoint, 1);
    for (huge, want) in [(true, 4 << 11), (false, 0)] {
        let plan = Plan::new(&space, &Options { huge, ..OPEN }).unwrap();
        let memory = restore(&plan, Way::Copy, Target::Exact).unwrap();
        let smaps = fs::read_to_string("/proc/self/smaps").unwrap();
        let mut inside = false;
        let mut found = 0u64;
        for line in smaps.lines() {
            if let Some((start, _)) = line.split(' ').next().unwrap().split_once('-') {
                inside = (base..base + 0x200_0000).contains(&u64::from_str_radix(start, 16).unwrap());
            } else if inside && let Some(size) = line.strip_prefix("AnonHugePages:") {
                found += size.trim().trim_end_matches(" kB").parse::<u64>().unwrap();
            }
        }
        // the kernel gives them when it has some
        assert!(if huge { found <= want } else { found == 0 || enabled.contains("[always]") }, "{found}");
        drop(memory);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Any mixture of entries, the ways agree with the plain program.
    #[test]
    fn any_mixture(
        pieces in prop::collection::vec((0u64..6, 1u64..40, 0u64..4, any::<u64>()), 1..30), maps in 1usize..30
    ) {
        let base = base();
        let mut dump = Dump::default().vma(base, base + 0x4_0000, 3, 0x201).vma(base + 0x4_0000, base + 0x80_0000, 1, 0x201);
        let mut at = base;
        for (kind, pages, gap, seed) in pieces {
            let mut bytes = noise(pages, seed);
            if kind > 2 {
                // half of it can be compressed, some blocks are zeros
                bytes.chunks_mut(3000).step_by(2).for_each(|part| part.fill(0));
                bytes.chunks_mut(PAGE as usize).step_by(3).for_each(|part| part.fill(0));
            }
            dump = match kind {
                0..3 => dump.stored(at, &bytes),
                _ => dump.packed(at, &bytes, kind as usize - 2),
            };
            at += (pages + gap) * PAGE;
        }
        let folder = dump.temporary();
        suite(folder.path(), 1, &[maps]);
    }
}
