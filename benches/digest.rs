//! Digests of files, against the blake3 crate's own tree hash over a map of the same bytes, in one run. The files are
//! in memory: what is measured is hashing.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use std::fs::{self, File};
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use icecore::base::map::{self, Access};
use icecore::base::report::{Cancel, Collect, Silent};
use icecore::checkpoint::Options;
use icecore::tool::check::digest;

const LARGE: usize = 1 << 30;
const SMALL: usize = 16 << 10;

/// Each in turn, the best of several times: other work on the machine then hits both alike.
fn best(rounds: usize, a: &mut dyn FnMut(), b: &mut dyn FnMut()) -> (Duration, Duration) {
    let time = |work: &mut dyn FnMut()| {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    (0..rounds)
        .map(|_| (time(a), time(b)))
        .fold((Duration::MAX, Duration::MAX), |best, now| (best.0.min(now.0), best.1.min(now.1)))
}

fn ours(folder: &Path) {
    let mut rows = Collect::default();
    black_box(digest(folder, &Options::default(), &mut rows, (&Silent, &Cancel::default())).unwrap());
}

fn tree(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = map::content(&File::open(&path).unwrap(), &path, Access::Map).unwrap();
        let mut hasher = blake3::Hasher::new();
        hasher.update_rayon(&bytes);
        black_box(hasher.finalize());
    }
}

fn main() {
    let noise = |length: usize, seed: u64| -> Vec<u8> {
        let mut state = seed | 1;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state ^ state >> 29).to_le_bytes()
        };
        (0..length / 8).flat_map(|_| next()).collect()
    };
    let folder = || tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let large = folder();
    fs::write(large.path().join("pages-1.img"), noise(LARGE, 1)).unwrap();
    let many = folder();
    for number in 0..4096 {
        fs::write(many.path().join(format!("core-{number}.img")), noise(SMALL, number)).unwrap();
    }
    for (what, path, bytes, rounds) in
        [("one file of 1 GiB", large.path(), LARGE, 7), ("4096 files of 16 KiB", many.path(), SMALL * 4096, 21)]
    {
        let (ours, tree) = best(rounds, &mut || ours(path), &mut || tree(path));
        let speed = |time: Duration| bytes as f64 / time.as_secs_f64() / 1e9;
        println!(
            "{what}: {:.2} GB/s, blake3's tree {:.2} GB/s, {:.2} of its speed",
            speed(ours),
            speed(tree),
            tree.as_secs_f64() / ours.as_secs_f64()
        );
    }
}
