//! crit's JSON, both ways: a pagemap of a million entries, and the files of a real dump. The aims are for the whole
//! process against crit and go-criu's crit, which `benches/rivals/run` measures.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use std::hint::black_box;
use std::io::{self, Write};

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use icecore::object::json::{self, Form};
use icecore::{Image, Limits};

mod synthetic;
use synthetic::{each, in_turn, ratio};

const ENTRIES: usize = 1_000_000;
const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tree/files.img");

fn decode(image: &Image, form: &Form, out: &mut dyn Write) {
    json::decode(image, form, out, &mut |_| {}).unwrap();
}

fn encode(text: &[u8], out: &mut dyn Write) {
    json::encode(text, &Limits::default(), out).unwrap();
}

fn text(image: &Image) -> Vec<u8> {
    let mut text = Vec::new();
    decode(image, &Form::compact(), &mut text);
    text
}

fn bench(criterion: &mut Criterion) {
    let bytes = Bytes::from(synthetic::pagemap(ENTRIES));
    let image = Image::open("pagemap-1.img", bytes.clone(), Limits::default()).unwrap();
    let pagemap = text(&image);
    let mut again = Vec::new();
    encode(&pagemap, &mut again);
    assert!(again == bytes, "decoding and encoding gives the same image");

    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let (one, two) = (pool(1), pool(2));
    // output that is not looked at still has to be made and passed on
    let whole = |image: &Image, form: &Form| decode(image, form, &mut io::sink());
    let times = in_turn(
        9,
        [
            &mut || one.install(|| whole(&image, &Form::compact())),
            &mut || two.install(|| whole(&image, &Form::compact())),
            &mut || two.install(|| whole(&image, &Form::pretty())),
            &mut || one.install(|| encode(&pagemap, &mut io::sink())),
            &mut || two.install(|| encode(&pagemap, &mut io::sink())),
        ],
    );
    let [decode_one, decode_two, pretty, encode_one, encode_two] = times;
    for (what, time) in [
        ("decode, one core", decode_one),
        ("decode, two cores", decode_two),
        ("decode --pretty, two cores", pretty),
        ("encode, one core", encode_one),
        ("encode, two cores", encode_two),
    ] {
        println!("json: {what}: {:.1} ms, {:.1} ns an entry", time.as_secs_f64() * 1e3, each(time, ENTRIES));
    }
    println!("json: two cores decode {:.2} times as fast as one", ratio(decode_one, decode_two));

    let mut group = criterion.benchmark_group("json pagemap");
    group.sample_size(10).throughput(Throughput::Elements(ENTRIES as u64));
    group.bench_function("decode", |b| b.iter(|| whole(black_box(&image), &Form::compact())));
    group.bench_function("decode pretty", |b| b.iter(|| whole(black_box(&image), &Form::pretty())));
    group.bench_function("encode", |b| b.iter(|| encode(black_box(&pagemap), &mut io::sink())));
    group.finish();

    let files = Image::open("files.img", std::fs::read(FILES).unwrap().into(), Limits::default()).unwrap();
    let text = text(&files);
    let mut group = criterion.benchmark_group("json files");
    group.throughput(Throughput::Elements(files.len() as u64));
    group.bench_function("decode", |b| b.iter(|| whole(black_box(&files), &Form::compact())));
    group.bench_function("decode pretty", |b| b.iter(|| whole(black_box(&files), &Form::pretty())));
    group.bench_function("encode", |b| b.iter(|| encode(black_box(&text), &mut io::sink())));
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
