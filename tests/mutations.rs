//! Real images cut at every byte and changed in ten thousand ways, the same ones on every run. Whatever comes of it is
//! an error or an answer that stays: what decodes and encodes again decodes to the same JSON. Nothing panics, and
//! memory stays within a bound that does not depend on what a file claims.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stderr
)]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use common::alloc::{self, Counting};
use common::corpus::{self, Distinct};
use common::random::{self, Generator};
use common::rng::Rng;
use common::tables;
use common::writer::{File, message};
use icecore::object::json::{self, Form};
use icecore::{Error, ErrorKind, Image, Limits};
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[derive(Default)]
struct Tally {
    tried: AtomicUsize,
    opened: AtomicUsize,
    decoded: AtomicUsize,
    encoded: AtomicUsize,
}

/// An error must say where it is.
fn placed(error: &Error, name: &str) {
    assert_eq!(error.image(), Some(name), "{error}");
    assert!(matches!(error.kind(), ErrorKind::Format | ErrorKind::Limit), "{error:?}");
    assert!(error.offset().is_some(), "{error}");
    assert!(!error.what().is_empty());
}

/// Everything that can be done with an image, on bytes that may be anything.
fn exercise(name: &str, bytes: Vec<u8>, tally: &Tally) {
    tally.tried.fetch_add(1, Ordering::Relaxed);
    let limits = Limits::default();
    let length = bytes.len();
    let image = match Image::open(name, bytes.into(), limits) {
        Ok(image) => image,
        Err(error) => return placed(&error, name),
    };
    tally.opened.fetch_add(1, Ordering::Relaxed);
    let mut sound = true;
    let mut end = 0;
    for (index, entry) in image.iter().enumerate() {
        match entry {
            Ok(entry) => {
                assert_eq!(image.get(index).unwrap().offset(), entry.offset());
                assert!(entry.offset() >= end);
                end = entry.payload_offset() + entry.payload().len() as u64;
                assert!(end as usize <= length);
                if let Err(error) = entry.check() {
                    placed(&error, name);
                    assert_eq!(error.entry(), Some(index as u64));
                    sound = false;
                }
                assert!(entry.records().all(|record| record.is_ok()));
            }
            Err(error) => {
                placed(&error, name);
                assert_eq!(error.entry(), Some(index as u64));
                sound = false;
            }
        }
    }
    for form in [Form::COMPACT, Form::PRETTY, Form::COMPACT.strict(), Form::PRETTY.strict()] {
        let mut text = Vec::new();
        let mut warned = 0;
        let decoded = json::decode(&image, &form, &mut text, &mut |error| {
            assert_eq!(error.image(), Some(name), "{error}");
            assert!(error.entry().is_some(), "{error}");
            warned += 1;
        });
        match decoded {
            // a broken image is an error where not strict, and a warning for each broken entry where strict
            Ok(()) => assert!(sound || warned > 0, "{form:?}: broken, and nobody said so"),
            Err(error) => {
                placed(&error, name);
                assert!(!sound && !form.strict, "{form:?}: {error}");
                continue;
            }
        }
        tally.decoded.fetch_add(1, Ordering::Relaxed);
        serde_json::from_slice::<serde::de::IgnoredAny>(&text)
            .unwrap_or_else(|error| panic!("{form:?}: no JSON: {error}"));
        let mut back = Vec::new();
        match json::encode(&text, &limits, &mut back) {
            Err(error) => {
                // what lacks a required field cannot be written, and a pagemap not without its head
                assert!(warned > 0, "{form:?}: {error}: {}", String::from_utf8_lossy(&text));
                continue;
            }
            Ok(()) => tally.encoded.fetch_add(1, Ordering::Relaxed),
        };
        let again = Image::open(name, back.clone().into(), limits).unwrap_or_else(|error| panic!("{form:?}: {error}"));
        let mut second = Vec::new();
        json::decode(&again, &form, &mut second, &mut |error| panic!("{form:?}: encoded, and then {error}")).unwrap();
        if second != text {
            panic!(
                "{name}: {form:?}: decoding what was encoded gives other JSON\n{}\n{}",
                String::from_utf8_lossy(&text),
                String::from_utf8_lossy(&second)
            );
        }
        let mut third = Vec::new();
        json::encode(&second, &limits, &mut third).unwrap();
        assert_eq!(third, back, "{name}: {form:?}");
    }
}

/// Says which input a panic came from, so that it can be looked at.
fn watched(name: &str, what: &str, bytes: Vec<u8>, tally: &Tally) {
    let kept = bytes.clone();
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| exercise(name, bytes, tally)));
    if let Err(panic) = result {
        let hex: String = kept.iter().take(2000).map(|byte| format!("{byte:02x}")).collect();
        eprintln!("{name}, {what}: {} bytes {hex}", kept.len());
        std::panic::resume_unwind(panic);
    }
}

fn small_images() -> Vec<(String, Vec<u8>)> {
    let mut seen = Distinct::default();
    let mut images = Vec::new();
    for found in corpus::framed(&corpus::data()) {
        let bytes = found.read();
        if bytes.len() <= 8192 && seen.is_new(found.kind, &bytes) {
            images.push((found.name().to_owned(), bytes));
        }
    }
    assert!(images.len() > 50, "{} images", images.len());
    // kinds that tests/data lacks
    let generator = Generator::new();
    let mut rng = Rng::new(99);
    for row in tables::images().rows().filter(|row| row.get("raw") == "no" && row.get("magic") != "MEMFD_FILE") {
        let names: Vec<&str> =
            row.get("entry_messages").split(", then ").map(|name| name.split(['*', ' ']).next().unwrap()).collect();
        let name = row.get("template").replace("%lu", "7").replace("%u", "7").replace("%x", "7").replace("%s", "dump");
        for _ in 0..2 {
            let file = random::image(&generator, &mut rng, row.get("magic"), &names, false);
            images.push((name.clone(), file.0));
        }
    }
    images
}

fn report(what: &str, tally: &Tally, start: Instant, peak: usize) {
    let of = |count: &AtomicUsize| count.load(Ordering::Relaxed);
    eprintln!(
        "{what}: {} images, {} opened; {} decoded, {} encoded and decoded again; {:.1} s, {} KiB at most",
        of(&tally.tried),
        of(&tally.opened),
        of(&tally.decoded),
        of(&tally.encoded),
        start.elapsed().as_secs_f64(),
        peak >> 10
    );
    assert!(of(&tally.decoded) > 100);
}

/// What all threads together may have at once: mostly the JSON, several times.
const BOUND: usize = 64 << 20;

#[test]
fn cut_at_every_byte() {
    let _alone = alloc::alone();
    let images = small_images();
    let start = Instant::now();
    let tally = Tally::default();
    let (peak, ()) = alloc::peak(|| {
        images.par_iter().for_each(|(name, bytes)| {
            // of large ones the start, the end, and every 7th byte between
            for cut in (0..bytes.len())
                .filter(|cut| bytes.len() < 1500 || *cut < 200 || cut % 7 == 0 || *cut + 100 > bytes.len())
            {
                watched(name, &format!("cut at {cut}"), bytes[..cut].to_vec(), &tally);
            }
        });
    });
    report("cut at every byte", &tally, start, peak);
    assert!(peak < BOUND, "{peak} bytes");
}

fn mutate(rng: &mut Rng, bytes: &mut Vec<u8>, others: &[(String, Vec<u8>)]) {
    for _ in 0..=rng.below(4) {
        if bytes.is_empty() {
            return;
        }
        let at = rng.below(bytes.len());
        match rng.below(9) {
            0 | 1 => bytes[at] ^= 1 << rng.below(8),
            2 => bytes[at] = *rng.pick(&[0, 1, 0x7f, 0x80, 0xff, 8, 10]),
            // a word, as the size before an entry is one
            3 if at + 4 <= bytes.len() => {
                let word = *rng.pick(&[0u32, 1, 0x7fff_ffff, 0x8000_0000, u32::MAX, bytes.len() as u32]);
                bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
            }
            // the size of the first entry
            4 if bytes.len() >= 12 => {
                let size = u32::from_le_bytes(bytes[8..12].try_into().unwrap());
                let size = size.wrapping_add(rng.below(9) as u32).wrapping_sub(4);
                bytes[8..12].copy_from_slice(&size.to_le_bytes());
            }
            5 => {
                let end = (at + rng.below(20)).min(bytes.len());
                bytes.drain(at..end);
            }
            6 => {
                let length = rng.below(12);
                let some = rng.bytes(length);
                bytes.splice(at..at, some);
            }
            // a piece of another image
            7 => {
                let other = &rng.pick(others).1;
                let from = rng.below(other.len());
                let end = (from + rng.below(60)).min(other.len());
                bytes.splice(at..at, other[from..end].iter().copied());
            }
            // a piece of itself again
            _ => {
                let end = (at + rng.below(40)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
}

#[test]
fn ten_thousand_mutations() {
    let _alone = alloc::alone();
    let images: Vec<_> = small_images().into_iter().filter(|image| !image.1.is_empty()).collect();
    let start = Instant::now();
    let tally = Tally::default();
    let seeds: Vec<u64> = (0..10_000).collect();
    let (peak, ()) = alloc::peak(|| {
        seeds.par_iter().for_each(|&seed| {
            let mut rng = Rng::new(seed);
            let (name, bytes) = rng.pick(&images);
            let mut bytes = bytes.clone();
            mutate(&mut rng, &mut bytes, &images);
            watched(name, &format!("seed {seed}"), bytes, &tally);
        });
    });
    report("mutations", &tally, start, peak);
    assert!(peak < BOUND, "{peak} bytes");
}

/// Few bytes in the file that would be many in memory: refused before they are.
#[test]
fn bombs() {
    let _alone = alloc::alone();
    let least = Generator::new().least("creds_entry");
    let twice = 3_000_000;
    for (what, name, entry, limit) in [
        ("empty messages", "cgroup.img", message().raw(b"\x12\x00".repeat(twice)), true),
        ("empty names", "cgroup.img", message().message(2, &message().raw(b"\x0a\x00".repeat(twice))), false),
        ("numbers in a run", "creds-1.img", least.bytes(14, vec![0; 2 * twice]), false),
        ("one field again and again", "fs-1.img", message().raw(b"\x08\x01".repeat(twice)).uint(2, 1), false),
        ("unknown fields", "fs-1.img", message().uint(1, 1).uint(2, 2).raw(b"\x48\x01".repeat(twice)), false),
        ("two fields in turn", "fs-1.img", message().raw(b"\x10\x01\x08\x01".repeat(twice / 2)), false),
    ] {
        let kind = icecore::Kind::from_file_name(name).unwrap().0;
        let file = File::new(kind.magic_name()).entry(&entry);
        let size = file.0.len();
        let image = Image::open(name, file.0.into(), Limits::default()).unwrap();
        let (peak, checked) = alloc::peak(|| image.get(0).unwrap().check());
        assert!(peak < 1 << 16, "{what}: checking took {peak} bytes");
        if limit {
            assert_eq!(checked.unwrap_err().kind(), ErrorKind::Limit, "{what}");
        } else if let Err(error) = checked {
            assert_eq!(error.kind(), ErrorKind::Limit, "{what}: {error}");
        }
        // JSON is written as it is made: what is large stays in the file
        let (peak, decoded) = alloc::peak(|| {
            json::decode(&image, &Form::COMPACT, &mut std::io::sink(), &mut |_| {}).map_err(|error| error.kind())
        });
        eprintln!("{what}: {size} bytes, {peak} in memory, {decoded:?}");
        assert!(peak < (256 << 20) + 16 * size, "{what}: decoding took {peak} bytes");
    }
}

/// Messages in messages, each with its fields out of order: time must not double with every level.
#[test]
fn deep_and_out_of_order() {
    let inner = (0..97).fold(message().bytes(1, "x"), |inner, _| message().message(3, &inner).bytes(1, "x"));
    let file = File::new("APPARMOR").entry(&message().message(1, &inner));
    let size = file.0.len();
    let image = Image::open("apparmor.img", file.0.into(), Limits::default()).unwrap();
    let start = Instant::now();
    let mut text = Vec::new();
    json::decode(&image, &Form::COMPACT.strict(), &mut text, &mut |error| panic!("{error}")).unwrap();
    let mut back = Vec::new();
    json::encode(&text, &Limits::default(), &mut back).unwrap();
    assert_eq!(back.len(), size, "the same fields in another order");
    assert!(start.elapsed().as_secs() < 10, "{:?} for {size} bytes", start.elapsed());
}
