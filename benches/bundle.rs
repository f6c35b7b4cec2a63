//! Bundles of version 2, of any size and with any number of sections: opening by the directory is constant in size; a
//! walk over all headers; verifying against summing the same bytes.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::cast_possible_wrap,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss
)]

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use icecore::Limits;
use icecore::base::map::Access;
use icecore::base::report::{Cancel, Silent};
use icecore::source::bundle::{Bundle, Writer};
use icecore::wire::v2::block::Prefix;
use icecore::wire::v2::crc::crc32c;
use icecore::wire::v2::{Codec, types};

const BLOCK: usize = 1 << 20;

/// Leaves holes where a whole block is zero.
struct Sparse(File);

impl Write for Sparse {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if bytes.len() == BLOCK {
            self.0.seek(SeekFrom::Current(BLOCK as i64))?;
            return Ok(BLOCK);
        }
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

fn bundle(path: &Path, blocks: u64, sections: u64, with_directory: bool) {
    let mut writer = Writer::new(Sparse(File::create(path).unwrap()), 1);
    writer.image(types::KIND_CHECKPOINT, 0).unwrap();
    writer.stop().unwrap();
    let zeros = vec![0; BLOCK];
    let sums = [crc32c(0, &zeros[..64 << 10]); 16];
    writer.image(types::KIND_PAGES, 0).unwrap();
    for number in 0..blocks {
        let first = number * 256;
        let length = BLOCK as u64;
        let prefix = Prefix { first, pages: 256, codec: Codec::Raw, unit: 16, sizes: &[], sums: &sums, length };
        writer.block(&prefix, 4096, [&zeros[..]]).unwrap();
    }
    writer.stop().unwrap();
    for id in 0..sections {
        writer.image(3, id).unwrap();
        writer.record(80, 1, &[7; 100]).unwrap();
        writer.stop().unwrap();
    }
    if with_directory {
        writer.finish(&[]).unwrap()
    } else {
        writer.finish_stream().unwrap()
    };
}

/// The shortest of several times.
fn best(times: u32, mut work: impl FnMut()) -> Duration {
    (0..times)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed()
        })
        .min()
        .unwrap()
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn open(path: &Path) -> Bundle {
    Bundle::open(path, Access::Map, Limits::default()).unwrap()
}

fn main() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| -> PathBuf { directory.path().join(name) };
    for (name, blocks, sections) in [("10 MB", 10, 10), ("1 GB", 1000, 10), ("10 GB", 10_000, 10)] {
        bundle(&at("x"), blocks, sections, true);
        let opening = best(50, || drop(open(&at("x"))));
        let page = best(50, || {
            let bundle = open(&at("x"));
            let index = bundle.blocks().unwrap().find(blocks * 128).unwrap();
            let block = bundle.blocks().unwrap().get(index).unwrap();
            let bytes = bundle.bytes(block.part).unwrap();
            std::hint::black_box(bytes[(block.offset + u64::from(block.data)) as usize]);
        });
        println!(
            "bundle: {name}: opened in {:.0} us, with one page {:.0} us (aim: 200)",
            micros(opening),
            micros(page)
        );
        bundle(&at("x"), blocks, sections, false);
        println!("bundle: {name} without a directory: walked in {:.0} us", micros(best(10, || drop(open(&at("x"))))));
    }
    for sections in [1000, 10_000, 100_000] {
        bundle(&at("x"), 10, sections, true);
        let opening = best(20, || drop(open(&at("x"))));
        let lookup = best(20, || {
            let bundle = open(&at("x"));
            assert_eq!(bundle.records(3, sections / 2).count(), 1);
        });
        bundle(&at("x"), 10, sections, false);
        let walking = best(10, || drop(open(&at("x"))));
        println!(
            "bundle: {sections} sections: opened in {:.0} us, with one image {:.0} us; walked in {:.0} us",
            micros(opening),
            micros(lookup),
            micros(walking)
        );
    }
    // what is there, not holes: in the cache, so that both wait for memory alone
    bundle(&at("x"), 512, 1000, true);
    let bytes = std::fs::read(at("x")).unwrap();
    let whole = Bundle::from_bytes("x", bytes.clone().into(), Limits::default()).unwrap();
    let summing = best(5, || {
        use rayon::prelude::*;
        std::hint::black_box(bytes.par_chunks(4 << 20).map(|piece| crc32c(0, piece)).reduce(|| 0, |a, b| a ^ b));
    });
    let verifying = best(5, || assert!(whole.verify((&Silent, &Cancel::default())).unwrap().is_sound()));
    let salvaging = best(3, || {
        let (name, bytes) = ("x", bytes.clone().into());
        drop(Bundle::salvage(name, bytes, None, Limits::default(), (&Silent, &Cancel::default())).unwrap());
    });
    let copying = best(3, || drop(std::hint::black_box(bytes.clone())));
    let speed = |time: Duration| bytes.len() as f64 / time.as_secs_f64() / 1e9;
    println!(
        "bundle: verified at {:.1} GB/s, {:.2} x the time of its checksum alone ({:.1} GB/s); salvaged at {:.1} GB/s",
        speed(verifying),
        verifying.as_secs_f64() / summing.as_secs_f64(),
        speed(summing),
        speed(salvaging.saturating_sub(copying))
    );
}
