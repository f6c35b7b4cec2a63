//! Address spaces: opening one of 100,000 pagemap entries, and random page lookups through a chain of three parents.
//! Aims: 3 ms; 5 million lookups a second on one core.
#![allow(missing_docs, clippy::unwrap_used, clippy::cast_possible_truncation, clippy::indexing_slicing)]
#![allow(clippy::print_stdout, clippy::panic)]

use std::fs::{self, File};
use std::hint::black_box;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use icecore::checkpoint::AddressSpace;
use icecore::memory::Page;
use icecore::{Checkpoint, Kind};

mod synthetic;
use synthetic::{each, in_turn, ratio};

const PAGE: u64 = 4096;
const LOOKUPS: usize = 1_000_000;

/// Four dumps, the newest first. Each entry of the last is stored; of the others one in four, the rest in the parent.
fn chain(root: &Path, entries: usize) -> PathBuf {
    let _ = fs::remove_dir_all(root);
    for level in 0..4u64 {
        let dir = root.join(level.to_string());
        fs::create_dir_all(&dir).unwrap();
        let mut random = 0x9e37_79b9_7f4a_7c15u64;
        let (mut vaddr, mut stored) = (0x5500_0000_0000u64, 0u64);
        let mut pagemap = synthetic::head("PAGEMAP", &[(1, 1)]);
        for _ in 0..entries {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let pages = 1 + (random >> 8) % 4;
            // each level cuts and stores others
            let is_here = level == 3 || (random >> (16 + 2 * level)) & 3 == 0;
            synthetic::entry(&mut pagemap, &[(1, vaddr), (2, 0), (4, if is_here { 4 } else { 1 }), (5, pages)]);
            stored += if is_here { pages } else { 0 };
            vaddr += (pages + (random >> 40) % 2) * PAGE;
        }
        fs::write(dir.join("pagemap-7.img"), pagemap).unwrap();
        // what is in the pages does not matter to a lookup
        File::create(dir.join("pages-1.img")).unwrap().set_len(stored * PAGE).unwrap();
        if level < 3 {
            symlink(format!("../{}", level + 1), dir.join("parent")).unwrap();
        }
        let mapping =
            synthetic::message(&[(1, 0x5500_0000_0000), (2, vaddr), (3, 0), (4, 0), (5, 3), (6, 0x22), (7, 1), (8, 1)]);
        fs::write(dir.join("mm-7.img"), synthetic::mm(&[mapping])).unwrap();
        fs::write(dir.join("pstree.img"), synthetic::head("PSTREE", &[(1, 7), (2, 0), (3, 7), (4, 7), (5, 7)]))
            .unwrap();
    }
    root.join("0")
}

fn space(dir: &Path) -> AddressSpace {
    Checkpoint::open(dir).unwrap().task(7).unwrap().address_space().unwrap().unwrap()
}

/// Looks up pages here and there; how many have bytes.
fn lookups(space: &AddressSpace, end: u64) -> u64 {
    let mut random = 0x2545_f491_4f6c_dd1du64;
    let mut found = 0;
    for _ in 0..LOOKUPS {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let address = 0x5500_0000_0000 + random % (end - 0x5500_0000_0000);
        found += u64::from(matches!(black_box(space.page(address)), Ok(Page::Stored(_))));
    }
    found
}

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tmp/bench-memory");
    let dir = chain(&root.join("100k"), 100_000);
    let alone = root.join("100k/3");
    let pagemap = fs::read(alone.join("pagemap-7.img")).unwrap();
    let image = icecore::Image::of_kind("x", Kind::Pagemap, 7, pagemap.into(), Default::default()).unwrap();
    let _ = image.len();
    let [open, walk, open_chain] = in_turn(
        20,
        [
            &mut || space(&alone).page_size(),
            &mut || icecore::memory::Pagemap::open(&image).unwrap().iter().map(|entry| entry.unwrap().pages()).sum(),
            &mut || space(&dir).page_size(),
        ],
    );
    println!(
        "open an address space of 100,000 entries: {:.2} ms (aim: 3); decoding its entries alone {:.2} ms; with three \
         parents of as many {:.2} ms",
        open.as_secs_f64() * 1e3,
        walk.as_secs_f64() * 1e3,
        open_chain.as_secs_f64() * 1e3
    );
    for (entries, name) in [(100_000, "100k"), (2_000_000, "2m")] {
        let dir = chain(&root.join(name), entries);
        let space = space(&dir);
        let end = space.mappings()[0].end.0;
        let hits = lookups(&space, end);
        let dumps = space.own().unwrap().dumps().len();
        // a table of as many addresses, searched as often: what no lookup can be faster than
        let starts: Vec<u64> = space.own().unwrap().runs(0..u64::MAX).map(|run| run.start).collect();
        let [lookup, search] = in_turn(
            5,
            [&mut || lookups(&space, end), &mut || {
                let mut random = 0x2545_f491_4f6c_dd1du64;
                let mut sum = 0;
                for _ in 0..LOOKUPS {
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    let address = 0x5500_0000_0000 + random % (end - 0x5500_0000_0000);
                    sum += black_box(starts.partition_point(|start| *start <= address)) as u64;
                }
                sum
            }],
        );
        println!(
            "{entries} entries in each of {dumps} dumps: {:.1} million lookups a second (aim: 5), {:.0} ns each, {:.2} \
             times a binary search of the {} runs' addresses; {:.0} % had bytes",
            1e3 / each(lookup, LOOKUPS),
            each(lookup, LOOKUPS),
            ratio(lookup, search),
            starts.len(),
            hits as f64 * 100.0 / LOOKUPS as f64
        );
    }
    let _ = fs::remove_dir_all(&root);
}
