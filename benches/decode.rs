//! Decoding all entries of a pagemap: the hand-written decoder, prost in the same loop, and two cores. Aims: 2.5 times
//! as fast as prost; two cores 1.7 times one, or what two threads gain that only sum the same bytes.
#![allow(missing_docs, clippy::unwrap_used, clippy::cast_possible_truncation, clippy::indexing_slicing)]
#![allow(clippy::print_stdout)]

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use icecore::memory::pagemap::{Pagemap, PagemapEntry};
use icecore::{Image, Limits, v1};
use prost::Message;
use rayon::iter::ParallelIterator;

mod synthetic;
use synthetic::{each, in_turn, ratio};

const ENTRIES: usize = 10_000_000;

fn own(image: &Image) -> u64 {
    Pagemap::open(image).unwrap().iter().map(|entry| entry.unwrap()).fold(0, sum_own)
}

fn sum_own(sum: u64, entry: PagemapEntry<'_>) -> u64 {
    sum.wrapping_add(entry.vaddr).wrapping_add(entry.pages()).wrapping_add(u64::from(entry.pe_flags()))
}

fn with_prost(image: &Image) -> u64 {
    let decode = |entry: icecore::Result<icecore::Entry<'_>>| v1::PagemapEntry::decode(entry.unwrap().message());
    image.iter().skip(1).map(|entry| decode(entry).unwrap()).fold(0, |sum: u64, entry| {
        sum.wrapping_add(entry.vaddr)
            .wrapping_add(entry.nr_pages.unwrap())
            .wrapping_add(u64::from(entry.flags.unwrap()))
    })
}

/// Nothing but finding the entries.
fn entries(image: &Image) -> u64 {
    image.iter().skip(1).fold(0, |sum, entry| sum + entry.unwrap().message().len() as u64)
}

fn parallel(image: &Image) -> u64 {
    let sum = |sum: u64, entry: icecore::Result<PagemapEntry<'_>>| sum_own(sum, entry.unwrap());
    Pagemap::open(image).unwrap().par_iter().fold(|| 0, sum).reduce(|| 0, u64::wrapping_add)
}

fn words(bytes: &[u8]) -> u64 {
    let (words, _) = bytes.as_chunks::<8>();
    words.iter().fold(0, |sum: u64, word| sum.wrapping_add(u64::from_le_bytes(*word)))
}

fn words_twice(bytes: &[u8]) -> u64 {
    let (left, right) = bytes.split_at((bytes.len() / 2) & !7);
    let (left, right) = rayon::join(|| words(left), || words(right));
    left.wrapping_add(right)
}

fn bench(criterion: &mut Criterion) {
    let bytes = Bytes::from(synthetic::pagemap(ENTRIES));
    let image = Image::open("pagemap-1.img", bytes.clone(), Limits::default()).unwrap();
    assert_eq!(own(&image), with_prost(&image));
    assert_eq!(own(&image), parallel(&image));

    let two = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    let image = black_box(&image);
    let bytes = black_box(&bytes);
    let [one, prost, walk, both, sum, sum_both] = in_turn(
        9,
        [
            &mut || own(image),
            &mut || with_prost(image),
            &mut || entries(image),
            &mut || two.install(|| parallel(image)),
            &mut || words(bytes),
            &mut || two.install(|| words_twice(bytes)),
        ],
    );
    println!(
        "decode: {:.1} ns an entry ({:.1} of them finding it), prost {:.1} ns: {:.2} times as fast (aim: 2.5)",
        each(one, ENTRIES),
        each(walk, ENTRIES),
        each(prost, ENTRIES),
        ratio(prost, one)
    );
    println!(
        "two cores: {:.1} ns an entry, {:.2} times one (aim: 1.7); summing the bytes gains {:.2} times",
        each(both, ENTRIES),
        ratio(one, both),
        ratio(sum, sum_both)
    );

    let mut group = criterion.benchmark_group("decode");
    group.sample_size(10).throughput(Throughput::Elements(ENTRIES as u64));
    group.bench_function("own", |b| b.iter(|| own(image)));
    group.bench_function("prost", |b| b.iter(|| with_prost(image)));
    group.bench_function("entries", |b| b.iter(|| entries(image)));
    group.bench_function("two cores", |b| b.iter(|| two.install(|| parallel(image))));
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
