//! Indexing an image of ten million entries, against a loop that only hops over the size words. Aim: 1.5 times it.
#![allow(missing_docs, clippy::unwrap_used, clippy::cast_possible_truncation, clippy::indexing_slicing)]
#![allow(clippy::print_stdout)]

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use icecore::{Image, Limits};

mod synthetic;
use synthetic::{each, in_turn, ratio};

const ENTRIES: usize = 10_000_000;

/// Opens the image anew, which forgets the index, and builds it.
fn index(bytes: &Bytes) -> u64 {
    let image = Image::open("pagemap-1.img", bytes.clone(), Limits::default()).unwrap();
    image.len() as u64
}

/// The least that any reader must do: read a size, go on behind the entry.
fn hop(bytes: &[u8]) -> u64 {
    let mut at = 8;
    let mut entries = 0;
    while let Some(word) = bytes.get(at..at + 4) {
        at += 4 + u32::from_le_bytes([word[0], word[1], word[2], word[3]]) as usize;
        entries += 1;
    }
    entries
}

fn bench(criterion: &mut Criterion) {
    let bytes = Bytes::from(synthetic::pagemap(ENTRIES));
    assert_eq!(index(&bytes), hop(&bytes));

    let [own, least] = in_turn(15, [&mut || index(black_box(&bytes)), &mut || hop(black_box(&bytes))]);
    println!(
        "index: {:.2} ns an entry, hopping {:.2} ns: {:.2} times (aim: at most 1.5)",
        each(own, ENTRIES),
        each(least, ENTRIES),
        ratio(own, least)
    );

    let mut group = criterion.benchmark_group("index");
    group.sample_size(10).throughput(Throughput::Elements(ENTRIES as u64));
    group.bench_function("own", |b| b.iter(|| index(black_box(&bytes))));
    group.bench_function("hop", |b| b.iter(|| hop(black_box(&bytes))));
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
