//! V1 messages become V2 messages and come back byte for byte: every entry of the corpus, and random ones.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr)]

mod common;

use std::collections::BTreeMap;

use common::corpus;
use common::random::Generator;
use common::rng::Rng;
use icecore::object::upgrade::{self, Kept, Message};
use icecore::wire::field::{Fields, Value};
use icecore::{Image, Kind, Limits};

/// Bytes of one message in both versions, added up.
#[derive(Default)]
struct Sizes {
    count: u64,
    v1: u64,
    v2: u64,
    rest: u64,
}

/// There, back, and the same; whether the original had to be kept.
fn round(message: &'static Message, v1: &[u8], sizes: &mut BTreeMap<&'static str, Sizes>) -> Kept {
    let limits = Limits::default();
    let mut v2 = Vec::new();
    let kept = upgrade::checked_up(message, v1, &limits, &mut v2);
    let mut back = Vec::new();
    let unknown = upgrade::down(message, &v2, &limits, &mut back).unwrap();
    assert_eq!(unknown, 0, "{}", message.name);
    assert_eq!(back, v1, "{}", message.name);
    let sizes = sizes.entry(message.v1).or_default();
    sizes.count += 1;
    sizes.v1 += v1.len() as u64;
    sizes.v2 += v2.len() as u64;
    for field in Fields::new(&v2).flatten() {
        if field.number == 15 {
            sizes.rest += (field.end - field.start) as u64;
        }
    }
    kept
}

fn report(sizes: &BTreeMap<&'static str, Sizes>) {
    eprintln!("{:28} {:>8} {:>10} {:>10} {:>10} {:>6}", "message", "count", "V1", "V2", "v1_rest", "V2/V1");
    for (name, size) in sizes {
        let ratio = size.v2 * 100 / size.v1.max(1);
        eprintln!("{name:28} {:8} {:10} {:10} {:10} {ratio:5}%", size.count, size.v1, size.v2, size.rest);
    }
}

/// The members of V1's union of files, by their numbers.
fn member(number: u32) -> Option<&'static Message> {
    let union = icecore::object::schema::Message::by_name("file_entry").unwrap();
    let field = union.fields.iter().find(|field| field.number == number)?;
    match field.ty {
        icecore::object::schema::Type::Message(inner) => Message::by_v1(inner.name),
        _ => None,
    }
}

#[test]
fn every_entry_of_the_corpus_comes_back() {
    let mut sizes = BTreeMap::new();
    let mut distinct = corpus::Distinct::default();
    let mut kept = 0;
    for root in [Some(corpus::data()), corpus::large()].into_iter().flatten() {
        for found in corpus::framed(&root) {
            if [Kind::Pagemap, Kind::PagemapShmem].contains(&found.kind) {
                continue;
            }
            let content = found.read();
            if !distinct.is_new(found.kind, &content) {
                continue;
            }
            let Ok(image) = Image::open(found.name(), content.into(), Limits::default()) else { continue };
            for entry in image.iter() {
                let Ok(entry) = entry else { break };
                let message = Message::by_v1(entry.message_name()).unwrap();
                let v1 = entry.message();
                if round(message, v1, &mut sizes) == Kept::Raw {
                    kept += 1;
                    eprintln!("{}: {}: kept as it was", found.path.display(), message.v1);
                }
                if entry.message_name() == "file_entry" {
                    for field in Fields::new(v1).flatten() {
                        if let (Value::Bytes(value), Some(message)) = (field.value, member(field.number))
                            && round(message, value, &mut sizes) == Kept::Raw
                        {
                            kept += 1;
                            eprintln!("{}: {}: kept as it was", found.path.display(), message.v1);
                        }
                    }
                }
            }
        }
    }
    report(&sizes);
    assert_eq!(kept, 0, "entries that CRIU wrote and that the tables cannot say");
}

#[test]
fn random_messages_come_back() {
    let generator = Generator::new();
    let mut sizes = BTreeMap::new();
    for message in Message::all() {
        let mut rng = Rng::new(7);
        for _ in 0..60 {
            let v1 = generator.message(&mut rng, message.v1, &[]).0;
            if round(message, &v1, &mut sizes) == Kept::Raw {
                eprintln!("RAW {} {}", message.v1, v1.len());
            }
        }
        round(message, &generator.least(message.v1).0, &mut sizes);
        round(message, &[], &mut sizes);
    }
}
