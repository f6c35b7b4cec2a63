//! What hostile containers of version 2 cost: memory in proportion to the file, whatever it says; no time that grows
//! faster than the file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::time::{Duration, Instant};

use common::alloc::{Counting, alone, peak};
use common::v2::{self, File};
use icecore::Limits;
use icecore::base::report::{Cancel, Silent};
use icecore::source::bundle::{Bundle, receive};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const DUMP: u64 = 5;

/// All that can be done with bytes; how many bytes it took at most, and how long.
fn cost(bytes: &[u8], limits: Limits) -> (usize, Duration) {
    let shared: bytes::Bytes = bytes.to_vec().into();
    let start = Instant::now();
    let (bytes, ()) = peak(|| {
        let cancel = Cancel::default();
        if let Ok(bundle) = Bundle::from_bytes("x", shared.clone(), limits) {
            let _ = bundle.verify((&Silent, &cancel));
            let _ = bundle.dumps();
            let _ = bundle.blocks();
            for (kind, id) in bundle.images() {
                std::hint::black_box(bundle.records(kind, id).count());
            }
        }
        let _ = Bundle::salvage("x", shared.clone(), None, limits, (&Silent, &cancel));
        let _ = receive(&shared[..], std::io::sink(), &limits);
    });
    (bytes, start.elapsed())
}

fn head() -> File {
    let mut file = File::new(DUMP);
    file.small(v2::CHECKPOINT, 0, b"c");
    file
}

#[test]
fn sizes_are_not_believed() {
    let _alone = alone();
    for (object_type, count, size) in [
        (80, u32::MAX, u64::MAX),
        (80, 1, 64 << 20),
        (v2::RUN, u32::MAX, 64 << 20),
        (v2::DIRECTORY, u32::MAX, 64 << 20),
        (v2::TABLE, u32::MAX, 64 << 20),
        (v2::BLOCK, 1, 1 << 30),
    ] {
        let mut file = head();
        let at = file.out.len() as u64;
        file.section(v2::LIST, 0);
        file.out.extend(v2::header(object_type, count, size, 0));
        file.end(at, 2);
        let (bytes, _) = cost(&file.out, Limits::default());
        assert!(bytes < 4 << 20, "{object_type} {size}: {bytes} bytes");
    }
    // a block whose fields say that they are long
    let mut file = head();
    let mut payload = [v2::fixed64(1, 0), v2::fixed32(2, u32::MAX), v2::fixed32(3, 1), v2::fixed32(4, 1)].concat();
    payload.push(0x2a);
    payload.extend(v2::varint(60 << 20));
    file.section(v2::PAGES, 0).record(v2::BLOCK, 1, &payload).stop().stream();
    let (bytes, _) = cost(&file.out, Limits::default());
    assert!(bytes < 4 << 20, "{bytes} bytes");
}

#[test]
fn memory_is_in_proportion() {
    let _alone = alone();
    let mut file = head();
    for id in 0..20_000 {
        file.section(3, id).stop();
    }
    file.bundle();
    let length = file.out.len();
    let (bytes, time) = cost(&file.out, Limits::default());
    assert!(bytes < 8 * length, "{bytes} bytes for {length}");
    assert!(time < Duration::from_secs(20), "{time:?}");
    // refused before it costs that
    let (bytes, _) = cost(&file.out, Limits { files: 100, ..Limits::default() });
    assert!(bytes < 2 * length, "{bytes} bytes for {length}");
}

#[test]
fn time_is_in_proportion() {
    let _alone = alone();
    // a directory of many images, and very many ENDs that lead to it, or to each other
    let mut file = head();
    for id in 0..2000 {
        file.section(3, id).stop();
    }
    file.bundle();
    let directory = file.out.len() as u64 - 56;
    for _ in 0..20_000 {
        file.end(directory - 100, 1);
    }
    // headers that are none, in what cannot be read
    file.out.extend([7]);
    for _ in 0..5_000 {
        let mut header = v2::image(3, 1, DUMP, 0);
        header[47] ^= 1;
        file.out.extend(header);
    }
    // small sections that are damaged, each
    for id in 0..5_000 {
        let mut image = File::new(DUMP).small(3, id, b"x").out.clone();
        let last = image.len() - 1;
        image[last] ^= 1;
        file.out.extend(image);
    }
    let (_, time) = cost(&file.out, Limits::default());
    assert!(time < Duration::from_secs(30), "{time:?}");
    eprintln!("{} bytes: {time:?}", file.out.len());
}
