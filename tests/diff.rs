//! What differs between two dumps: against a plain program on real dumps, against a model on made ones.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_lossless,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr
)]

mod common;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::path::Path;

use common::{corpus, flat};
use icecore::Checkpoint;
use icecore::base::report::{Cancel, Collect, Silent};
use icecore::v1;
use icecore::view::diff::{Counts, Difference, MemoryDiff, NotComparable, Options, PageRun, State, Subject, Summary};
use proptest::prelude::*;
use prost::Message as _;

const PAGE: usize = 4096;

struct Found {
    summary: Summary,
    rows: Vec<Difference>,
    problems: Vec<icecore::Error>,
}

impl Found {
    fn pages(&self) -> &Counts {
        self.summary.pages.as_ref().unwrap()
    }

    fn memory(&self) -> Vec<&MemoryDiff> {
        let mut found = Vec::new();
        for row in &self.rows {
            if let Difference::Memory(memory) = row {
                found.push(&**memory);
            }
        }
        found
    }

    fn runs(&self) -> Vec<&PageRun> {
        let mut found = Vec::new();
        for row in &self.rows {
            if let Difference::Pages(run) = row {
                found.push(run);
            }
        }
        found
    }
}

/// Compares, on several threads and on one, which cut the work differently.
fn diff(a: &Path, b: &Path, options: &Options) -> Found {
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let (a, b) = (Checkpoint::open(a).unwrap(), Checkpoint::open(b).unwrap());
        let mut out: Collect<Difference> = Collect::default();
        let cancel = Cancel::default();
        let compare = || icecore::view::diff::diff(&a, &b, options, (&Silent, &cancel), &mut out);
        let is_different = pool.install(compare).unwrap();
        let mut rows = out.rows.into_iter();
        let Some(Difference::Summary(summary)) = rows.next() else { panic!("the summary comes first") };
        assert_eq!(is_different, summary.different);
        Found { summary: *summary, rows: rows.collect(), problems: out.problems }
    };
    let (one, several) = (on(1), on(3));
    let text = |found: &Found| serde_json::to_string(&(&found.summary, &found.rows)).unwrap();
    assert!(text(&one) == text(&several), "{} {}", a.display(), b.display());
    several
}

fn pages() -> Options {
    Options { what: vec![Subject::Pages], page_runs: true, ..Options::default() }
}

// what a plain program finds

/// A page that is in shared memory: the segment's number and the offset.
fn shared(dir: &Path, vmas: &[v1::VmaEntry], address: u64) -> Option<(u64, u64)> {
    let vma = vmas.iter().find(|vma| (vma.start..vma.end).contains(&address) && vma.status >> 16 & 1 == 0)?;
    let is = |bit: u32| vma.status >> bit & 1 == 1;
    let offset = vma.pgoff + (address - vma.start);
    match vma.flags & 1 == 1 {
        true if is(8) || is(10) => Some((vma.shmid, offset)),
        true if is(14) => Some((flat::memfd(dir, vma.shmid).0, offset)),
        _ => None,
    }
}

fn vmas(dir: &Path, pid: u32) -> Vec<v1::VmaEntry> {
    v1::MmEntry::decode(&flat::entries(&dir.join(format!("mm-{pid}.img")))[0][..]).unwrap().vmas
}

fn is_mapped(vmas: &[v1::VmaEntry], address: u64) -> bool {
    let at = |is_guard: bool| {
        vmas.iter().any(|vma| (vma.start..vma.end).contains(&address) && (vma.status >> 16 & 1 == 1) == is_guard)
    };
    at(false) && !at(true)
}

fn by_page(dir: &Path, pid: u32) -> BTreeMap<u64, Vec<u8>> {
    let mut found = BTreeMap::new();
    for range in flat::memory(dir, pid) {
        for (page, bytes) in range.bytes.chunks(PAGE).enumerate() {
            found.insert(range.start + (page * PAGE) as u64, bytes.to_vec());
        }
    }
    found
}

/// What the pages with bytes on one side at least come to: of those that one side has no bytes of, how many.
fn plain(a: &Path, b: &Path, pids: &[u32]) -> (Counts, u64) {
    let (mut counts, mut cannot, mut seen) = (Counts::default(), 0, HashSet::new());
    for pid in pids {
        let (vmas_a, vmas_b) = (vmas(a, *pid), vmas(b, *pid));
        let (mut pages_a, mut pages_b) = (by_page(a, *pid), by_page(b, *pid));
        let addresses: BTreeSet<u64> = pages_a.keys().chain(pages_b.keys()).copied().collect();
        for address in addresses {
            if let (Some(this), Some(that)) = (shared(a, &vmas_a, address), shared(b, &vmas_b, address))
                && !seen.insert((this, that))
            {
                continue;
            }
            match (pages_a.remove(&address), pages_b.remove(&address)) {
                (Some(this), Some(that)) if this == that => counts.same += 1,
                (Some(this), Some(that)) => {
                    counts.changed += 1;
                    counts.bytes_changed += this.iter().zip(&that).filter(|(a, b)| a != b).count() as u64;
                    counts.was_zero += u64::from(this.iter().all(|byte| *byte == 0));
                    counts.became_zero += u64::from(that.iter().all(|byte| *byte == 0));
                }
                (Some(_), None) if is_mapped(&vmas_b, address) => cannot += 1,
                (None, Some(_)) if is_mapped(&vmas_a, address) => cannot += 1,
                (Some(_), None) => counts.gone += 1,
                (None, Some(_)) => counts.added += 1,
                (None, None) => panic!(),
            }
        }
    }
    (counts, cannot)
}

/// Tasks of both whose memory is not too much for the plain program.
fn small(a: &Path, b: &Path) -> Vec<u32> {
    let size = |dir: &Path, pid: u32| vmas(dir, pid).iter().map(|vma| vma.end - vma.start).sum::<u64>();
    let is_small = |pid: &u32| size(a, *pid).max(size(b, *pid)) < 1 << 29;
    let others = flat::pids(b);
    let order = Checkpoint::open(a).unwrap().tasks().unwrap().iter().map(|task| task.pid()).collect::<Vec<_>>();
    let has_memory = flat::pids(a);
    order.into_iter().filter(|pid| has_memory.contains(pid) && others.contains(pid)).filter(is_small).collect()
}

fn as_the_plain_program(a: &Path, b: &Path) -> Counts {
    let pids = small(a, b);
    assert!(!pids.is_empty(), "{} {}", a.display(), b.display());
    let found = diff(a, b, &Options { pids: pids.clone(), ..pages() });
    assert!(found.problems.is_empty(), "{:?}", found.problems);
    let counts = found.pages();
    let (want, cannot) = plain(a, b, &pids);
    let place = format!("{} {}", a.display(), b.display());
    let has_bytes = |state: State| matches!(state, State::Stored | State::Zero);
    let one = counts.not_comparable.iter().filter(|some| has_bytes(some.a) || has_bytes(some.b));
    assert_eq!(one.map(|some| some.pages).sum::<u64>(), cannot, "{place}");
    let known = Counts { same_unread: 0, not_comparable: Vec::new(), ..counts.clone() };
    assert_eq!(known, want, "{place}");
    // every sum is that of its parts
    let runs = found.runs();
    assert_eq!(runs.iter().map(|run| run.pages).sum::<u64>(), counts.changed, "{place}");
    assert_eq!(runs.iter().map(|run| run.bytes_changed).sum::<u64>(), counts.bytes_changed, "{place}");
    let by = |scope| found.memory().into_iter().filter(move |memory| memory.scope == scope);
    let changed = |scope| by(scope).map(|memory| memory.counts.changed).sum::<u64>();
    use icecore::view::diff::Scope;
    assert_eq!(changed(Scope::Task) + changed(Scope::Segment), counts.changed, "{place}");
    assert_eq!(changed(Scope::Task), changed(Scope::Mapping), "{place}");
    known
}

#[test]
fn real_dumps_as_a_plain_program() {
    let data = corpus::data();
    for name in ["tree", "python", "container"] {
        let counts = as_the_plain_program(&data.join(name), &data.join(name));
        assert!(counts.same > 100, "{name}");
        assert_eq!(counts, Counts { same: counts.same, ..Counts::default() }, "{name}");
    }
    let counts = as_the_plain_program(&data.join("tree"), &data.join("python"));
    assert!(counts.added > 1000 && counts.gone > 50);
}

#[test]
fn a_dump_does_not_differ_from_itself() {
    for dir in corpus::dumps(&corpus::data()) {
        let found = diff(&dir, &dir, &Options { page_runs: true, ..Options::default() });
        assert!(!found.summary.different && found.rows.is_empty() && found.problems.is_empty(), "{}", dir.display());
        let tallies = [found.summary.tasks, found.summary.descriptors, found.summary.mappings];
        assert!(tallies.iter().all(|tally| tally.unwrap().same > 0));
        // nor from a copy of it, whose files are others
        let copy = tempfile::tempdir().unwrap();
        corpus::copy_dump(&dir, copy.path());
        let other = diff(&dir, copy.path(), &Options { page_runs: true, ..Options::default() });
        assert!(!other.summary.different && other.rows.is_empty(), "{}", dir.display());
        assert_eq!(other.pages(), found.pages());
    }
}

#[test]
fn a_chain_of_increments() {
    let Some(large) = corpus::large() else {
        eprintln!("\n  SKIPPED: no large corpus: unpack one and set ICECORE_CORPUS to its folder\n");
        return;
    };
    let chain = large.join("chain/chains/tracked");
    let step = |number: u32| chain.join(number.to_string());
    for a in 1..=6 {
        for b in a..=6 {
            let counts = as_the_plain_program(&step(a), &step(b));
            assert_eq!(counts.changed > 0, a != b, "{a} {b}");
        }
    }
}

// dumps that are made

/// What a page is in the model.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Model {
    Unmapped,
    Stored(Vec<u8>),
    Zero,
    File(u32, u64),
    Missing(State),
}

const WINDOW: usize = 40;
const START: u64 = 0x1000_0000;

/// Of what a dump is made: what maps how many pages, and what is in each page.
#[derive(Clone, Debug)]
struct Recipe {
    mappings: Vec<(u8, usize)>,
    pages: Vec<(u8, u8)>,
    blocks: u8,
}

fn recipe() -> impl Strategy<Value = Recipe> {
    let mappings = proptest::collection::vec((0u8..6, 1usize..12), 1..8);
    let pages = proptest::collection::vec((0u8..10, 0u8..6), WINDOW);
    (mappings, pages, 0u8..5).prop_map(|(mappings, pages, blocks)| Recipe { mappings, pages, blocks })
}

/// Two recipes that agree in most.
fn recipes() -> impl Strategy<Value = (Recipe, Recipe)> {
    (recipe(), recipe(), any::<bool>(), proptest::collection::vec(0u8..4, WINDOW)).prop_map(
        |(a, mut b, has_same_mappings, picks)| {
            if has_same_mappings {
                b.mappings.clone_from(&a.mappings);
            }
            for (page, pick) in picks.into_iter().enumerate().filter(|(_, pick)| *pick > 0) {
                b.pages[page] = a.pages[page];
                let _ = pick;
            }
            (a, b)
        },
    )
}

/// Contents: zeros, alike pages, pages that do not compress.
fn content(kind: u8) -> Vec<u8> {
    let mut page = vec![0u8; PAGE];
    match kind {
        0 => {}
        1 => page[4095] = 1,
        2 => page.fill(7),
        3 => {
            page.fill(7);
            page[17] = 8;
            page[4000] = 9;
        }
        _ => {
            let mut state = 0x1234_5678u32 + u32::from(kind);
            for byte in &mut page {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *byte = (state >> 24) as u8;
            }
        }
    }
    page
}

fn image(name: &str, kind: &str, messages: &[Vec<u8>], dir: &Path) {
    let mut file = common::writer::File::new(kind);
    for message in messages {
        file = file.entry(&common::writer::Message(message.clone()));
    }
    fs::write(dir.join(name), file.0).unwrap();
}

/// Writes the pages that have a content, as they are or in blocks; what a reader sees of each.
struct PagesFile {
    bytes: Vec<u8>,
    entries: Vec<Vec<u8>>,
}

impl PagesFile {
    fn new(pages_id: u32) -> Self {
        Self { bytes: Vec::new(), entries: vec![v1::PagemapHead { pages_id }.encode_to_vec()] }
    }

    fn entry(&mut self, vaddr: u64, pages: usize, flags: u32, blocks: Option<v1::PagemapBlocks>) {
        let entry = v1::PagemapEntry {
            vaddr,
            compat_nr_pages: 0,
            in_parent: None,
            flags: Some(flags),
            nr_pages: Some(pages as u64),
            blocks,
        };
        self.entries.push(entry.encode_to_vec());
    }

    /// Consecutive pages; whether each is told as stored, or as zeros.
    fn stored(&mut self, vaddr: u64, pages: &[Vec<u8>], per_block: usize) -> Vec<bool> {
        if per_block == 0 {
            pages.iter().for_each(|page| self.bytes.extend(page));
            self.entry(vaddr, pages.len(), 4, None);
            return vec![true; pages.len()];
        }
        let (mut sizes, mut total, mut told) = (Vec::new(), 0, Vec::new());
        for block in pages.chunks(per_block) {
            let all = block.concat();
            let packed = lz4_flex::block::compress(&all);
            let is_zero = all.iter().all(|byte| *byte == 0);
            let bytes: &[u8] = match () {
                () if is_zero => &[],
                () if packed.len() < all.len() => &packed,
                () => &all,
            };
            told.extend(vec![!is_zero; block.len()]);
            sizes.push(bytes.len() as u32);
            total += bytes.len() as u64;
            self.bytes.extend(bytes);
        }
        let blocks =
            v1::PagemapBlocks { block_sizes: sizes, total_payload_size: total, pages_per_block: per_block as u32 };
        self.entry(vaddr, pages.len(), 4, Some(blocks));
        told
    }

    fn write(self, dir: &Path, pid: u32) {
        image(&format!("pagemap-{pid}.img"), "PAGEMAP", &self.entries, dir);
        fs::write(dir.join("pages-1.img"), self.bytes).unwrap();
    }
}

/// Makes a dump and says what it holds.
fn make(recipe: &Recipe, dir: &Path) -> Vec<Model> {
    let parent = dir.join("parent");
    fs::create_dir_all(&parent).unwrap();
    let task = v1::PstreeEntry { pid: 1, ppid: 0, pgid: 1, sid: 1, threads: vec![1] };
    image("pstree.img", "PSTREE", &[task.encode_to_vec()], dir);
    let file = |id: u32| {
        let reg = v1::RegFileEntry { id, name: format!("/file/{id}").into_bytes().into(), ..Default::default() };
        v1::FileEntry { r#type: 1, id, reg: Some(reg), ..Default::default() }.encode_to_vec()
    };
    image("files.img", "FILES", &[file(1), file(2)], dir);
    let mut model = vec![Model::Unmapped; WINDOW];
    let mut vmas = Vec::new();
    let mut at = 0;
    for &(kind, length) in &recipe.mappings {
        let end = (at + length).min(WINDOW);
        let (start, stop) = (START + (at * PAGE) as u64, START + (end * PAGE) as u64);
        let mut vma = v1::VmaEntry { start, end: stop, prot: 3, flags: 0x22, fd: -1, ..Default::default() };
        let otherwise = |page: usize| match kind {
            0 => Model::Unmapped,
            1..=2 => Model::Zero,
            3..=4 => Model::File(u32::from(kind) - 2, ((page - at) * PAGE) as u64),
            _ => Model::Missing(State::Kernel),
        };
        (at..end).for_each(|page| model[page] = otherwise(page));
        (vma.status, vma.shmid) = match kind {
            3 | 4 => (1 << 6, u64::from(kind) - 2),
            5 => (1 << 12, 0),
            _ => (1 << 9, 0),
        };
        if kind != 0 && start < stop {
            vmas.push(vma);
        }
        at = end;
    }
    let mm = v1::MmEntry { vmas, mm_saved_auxv: vec![6, PAGE as u64], ..Default::default() };
    image("mm-1.img", "MM", &[mm.encode_to_vec()], dir);
    let (mut own, mut older) = (PagesFile::new(1), PagesFile::new(1));
    let mut page = 0;
    while page < WINDOW {
        let (state, _) = recipe.pages[page];
        let is_mapped = |page: usize| !matches!(model[page], Model::Unmapped | Model::Missing(_));
        if !is_mapped(page) {
            page += 1;
            continue;
        }
        let mut end = page + 1;
        while end < WINDOW && is_mapped(end) && recipe.pages[end].0 == state {
            end += 1;
        }
        let vaddr = START + (page * PAGE) as u64;
        let contents: Vec<Vec<u8>> = (page..end).map(|page| content(recipe.pages[page].1)).collect();
        match state {
            // stored here, as it is or in blocks
            0..=3 => {
                let told = own.stored(vaddr, &contents, if state < 2 { 0 } else { usize::from(recipe.blocks) });
                for ((page, bytes), is_stored) in (page..end).zip(contents).zip(told) {
                    model[page] = if is_stored { Model::Stored(bytes) } else { Model::Zero };
                }
            }
            // in the parent
            4..=5 => {
                own.entry(vaddr, end - page, 1, None);
                let told = older.stored(vaddr, &contents, if state == 4 { 0 } else { usize::from(recipe.blocks) });
                for ((page, bytes), is_stored) in (page..end).zip(contents).zip(told) {
                    model[page] = if is_stored { Model::Stored(bytes) } else { Model::Zero };
                }
            }
            6 => {
                own.entry(vaddr, end - page, 1, None);
                (page..end).for_each(|page| model[page] = Model::Missing(State::NotInParent));
            }
            7 => {
                own.entry(vaddr, end - page, 2, None);
                (page..end).for_each(|page| model[page] = Model::Missing(State::Lazy));
            }
            _ => {}
        }
        page = end;
    }
    own.write(dir, 1);
    older.write(&parent, 1);
    model
}

fn expected(a: &[Model], b: &[Model]) -> (Counts, Vec<(u64, u64)>) {
    let (mut counts, mut changed) = (Counts::default(), Vec::new());
    let mut cannot: BTreeMap<(State, State), u64> = BTreeMap::new();
    let zeros = vec![0u8; PAGE];
    for (page, (a, b)) in a.iter().zip(b).enumerate() {
        let bytes = |model: &Model| match model {
            Model::Stored(bytes) => Some(bytes.clone()),
            Model::Zero => Some(zeros.clone()),
            _ => None,
        };
        match (bytes(a), bytes(b)) {
            (Some(this), Some(that)) if this == that => counts.same += 1,
            (Some(this), Some(that)) => {
                let differing = this.iter().zip(&that).filter(|(a, b)| a != b).count() as u64;
                counts.changed += 1;
                counts.bytes_changed += differing;
                counts.was_zero += u64::from(this == zeros);
                counts.became_zero += u64::from(that == zeros);
                changed.push((START + (page * PAGE) as u64, differing));
            }
            (Some(_), None) if *b == Model::Unmapped => counts.gone += 1,
            (None, Some(_)) if *a == Model::Unmapped => counts.added += 1,
            _ if *a == Model::Unmapped || *b == Model::Unmapped => {}
            _ if a == b && matches!(a, Model::File(..)) => counts.same_unread += 1,
            _ => {
                let state = |model: &Model| match model {
                    Model::Stored(_) => State::Stored,
                    Model::Zero => State::Zero,
                    Model::File(..) => State::File,
                    Model::Missing(state) => *state,
                    Model::Unmapped => panic!(),
                };
                *cannot.entry((state(a), state(b))).or_default() += 1;
            }
        }
    }
    counts.not_comparable = cannot.into_iter().map(|((a, b), pages)| NotComparable { a, b, pages }).collect();
    (counts, changed)
}

/// The pages of runs, one by one; of a run of several the bytes are only known together.
fn flattened(runs: &[&PageRun]) -> (Vec<u64>, u64) {
    let pages = runs.iter().flat_map(|run| (0..run.pages).map(|page| run.address.0 + page * PAGE as u64));
    (pages.collect(), runs.iter().map(|run| run.bytes_changed).sum())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn made_dumps_as_the_model((a, b) in recipes()) {
        let dir = tempfile::tempdir().unwrap();
        let dirs = [dir.path().join("a"), dir.path().join("b")];
        let models = [make(&a, &dirs[0]), make(&b, &dirs[1])];
        for (this, that) in [(0, 1), (1, 0), (0, 0), (1, 1)] {
            let found = diff(&dirs[this], &dirs[that], &pages());
            prop_assert!(found.problems.is_empty(), "{:?}", found.problems);
            let (counts, changed) = expected(&models[this], &models[that]);
            prop_assert_eq!(found.pages(), &counts);
            prop_assert_eq!(found.summary.different, counts.is_different());
            let (addresses, bytes) = flattened(&found.runs());
            prop_assert_eq!(addresses, changed.iter().map(|(address, _)| *address).collect::<Vec<_>>());
            prop_assert_eq!(bytes, changed.iter().map(|(_, bytes)| bytes).sum::<u64>());
        }
    }
}

/// More than one piece of parallel work, and runs that go over their borders.
#[test]
fn runs_go_on_over_the_borders_of_parts() {
    let dir = tempfile::tempdir().unwrap();
    let count = 5000usize;
    let write = |name: &str, fill: &dyn Fn(usize) -> u8| {
        let dir = dir.path().join(name);
        fs::create_dir(&dir).unwrap();
        let mut own = PagesFile::new(1);
        for page in (0..count).step_by(100) {
            let pages: Vec<Vec<u8>> = (page..page + 100).map(|page| vec![fill(page); PAGE]).collect();
            own.stored(START + (page * PAGE) as u64, &pages, 0);
        }
        own.write(&dir, 1);
        dir
    };
    let a = write("a", &|_| 1);
    let b = write("b", &|page| if (500..4500).contains(&page) { 2 } else { 1 });
    let found = diff(&a, &b, &pages());
    let runs = found.runs();
    assert_eq!(runs.len(), 1);
    assert_eq!((runs[0].address.0, runs[0].pages), (START + (500 * PAGE) as u64, 4000));
    assert_eq!(runs[0].bytes_changed, (4000 * PAGE) as u64);
    assert_eq!((found.pages().same, found.pages().changed), (1000, 4000));
    // a pre-dump does not say what is mapped, so nothing is gone
    let c = write("c", &|_| 1);
    fs::write(c.join("pagemap-1.img"), &fs::read(a.join("pagemap-1.img")).unwrap()[..200]).unwrap_or(());
    let found = diff(&a, &c, &pages());
    assert!(!found.problems.is_empty(), "the pagemap is cut");
    assert_eq!((found.pages().gone, found.pages().added), (0, 0));
    assert!(found.pages().not_comparable() > 4000 && found.summary.different);
}

/// More runs of changed pages than wait for the summary.
#[test]
fn runs_beyond_what_is_kept_are_all_told() {
    let dir = tempfile::tempdir().unwrap();
    let count = (1usize << 18) + 10;
    let write = |name: &str, is_even: bool| {
        let dir = dir.path().join(name);
        fs::create_dir(&dir).unwrap();
        // one entry in blocks, nearly all of them zeros: hardly a byte on disk
        let mut own = PagesFile::new(1);
        let mut page = vec![0u8; PAGE];
        page[9] = 1;
        let packed = lz4_flex::block::compress(&page);
        let is_set = |number: usize| is_even && number.is_multiple_of(2);
        let sizes = (0..count).map(|number| if is_set(number) { packed.len() as u32 } else { 0 });
        let block_sizes: Vec<u32> = sizes.collect();
        let total = block_sizes.iter().map(|size| u64::from(*size)).sum();
        block_sizes.iter().filter(|size| **size > 0).for_each(|_| own.bytes.extend(&packed));
        let blocks = v1::PagemapBlocks { block_sizes, total_payload_size: total, pages_per_block: 1 };
        own.entry(START, count, 4, Some(blocks));
        own.write(&dir, 1);
        dir
    };
    let found = diff(&write("a", true), &write("b", false), &pages());
    let runs = found.runs();
    assert_eq!(runs.len(), count / 2);
    assert!(runs.iter().all(|run| run.pages == 1 && run.bytes_changed == 1));
    assert!(runs.windows(2).all(|pair| pair[0].address.0 + 2 * PAGE as u64 == pair[1].address.0));
    assert_eq!(found.pages().became_zero, count as u64 / 2);
}

#[test]
fn what_is_broken_is_told_and_not_compared() {
    let dir = tempfile::tempdir().unwrap();
    let recipe = Recipe { mappings: vec![(1, WINDOW)], pages: vec![(2, 2); WINDOW], blocks: 4 };
    let dirs = [dir.path().join("a"), dir.path().join("b")];
    dirs.iter().for_each(|dir| drop(make(&recipe, dir)));
    // the first block no longer unpacks
    let mut bytes = fs::read(dirs[1].join("pages-1.img")).unwrap();
    let block = bytes.len() / (WINDOW / 4);
    bytes[..block].fill(0xff);
    fs::write(dirs[1].join("pages-1.img"), &bytes).unwrap();
    let found = diff(&dirs[0], &dirs[1], &pages());
    assert_eq!(found.problems.len(), 1, "{:?}", found.problems);
    let told = found.problems[0].to_string();
    assert!(told.starts_with(&format!("{}/pages-1.img: offset 0", dirs[1].display())), "{told}");
    assert_eq!(found.pages().same, WINDOW as u64 - 4);
    assert_eq!(found.pages().not_comparable, [NotComparable { a: State::Stored, b: State::Broken, pages: 4 }]);
    // the last is cut off
    fs::write(dirs[1].join("pages-1.img"), &bytes[..bytes.len() - 1]).unwrap();
    let found = diff(&dirs[0], &dirs[1], &pages());
    assert_eq!(found.problems.len(), 2, "{:?}", found.problems);
    assert_eq!(found.pages().not_comparable(), 8);
}

#[test]
fn a_comparison_ends_when_it_is_asked_to() {
    let tree = Checkpoint::open(corpus::data().join("tree")).unwrap();
    let cancel = Cancel::default();
    cancel.cancel();
    let mut out: Collect<Difference> = Collect::default();
    let error = icecore::view::diff::diff(&tree, &tree, &pages(), (&Silent, &cancel), &mut out).unwrap_err();
    assert_eq!(error.kind(), icecore::ErrorKind::Cancelled);
    assert!(out.rows.is_empty());
}
