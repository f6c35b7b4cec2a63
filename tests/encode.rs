//! JSON that nobody's decode wrote: what encode makes of it, and what it refuses. Found by fuzzing, mostly.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::writer::{File, Message, message};
use icecore::object::json;
use icecore::{Error, ErrorKind, Limits};

fn encode(json: &str) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    json::encode(json.as_bytes(), &Limits::default(), &mut out)?;
    Ok(out)
}

fn image(magic: &str, entry: &str) -> String {
    format!("{{\"magic\": \"{magic}\", \"entries\": [{entry}]}}")
}

/// Of a key that stands twice the last counts, as in Python, wherever the two stand.
#[test]
fn keys_that_stand_twice() {
    let page = |flags: u64, nr_pages: u64| message().uint(1, 7).uint(2, 0).uint(4, flags).uint(5, nr_pages);
    let file = |entry: &Message| File::new("PAGEMAP").entry(&message().uint(1, 1)).entry(entry).0;
    for (entry, want) in [
        (r#"{"vaddr": 7, "compat_nr_pages": 0, "flags": 4, "flags": 6, "nr_pages": 1}"#, page(6, 1)),
        (
            r#"{"vaddr": 7, "compat_nr_pages": 0, "flags": 4, "x": 1, "compat_nr_pages": 0, "flags": 6, "nr_pages": 1}"#,
            page(6, 1),
        ),
        (r#"{"flags": 4, "vaddr": 7, "compat_nr_pages": 0, "flags": 6, "nr_pages": 1, "flags": 5}"#, page(5, 1)),
        (r#"{"nr_pages": 3, "vaddr": 9, "vaddr": 7, "compat_nr_pages": 0, "flags": 4, "nr_pages": 2}"#, page(4, 2)),
    ] {
        let json = image("PAGEMAP", &format!("{{\"pages_id\": 1}}, {entry}"));
        assert_eq!(encode(&json).unwrap(), file(&want), "{entry}");
    }
}

/// However often it stands: time is that of reading, not the square of it.
#[test]
fn a_key_that_stands_a_hundred_thousand_times() {
    let data = "AAAA".repeat(250_000);
    let again = ", \"tty_id\": 1, \"data\": \"AAAA\"".repeat(100_000);
    let json = image("TTY_DATA", &format!("{{\"tty_id\": 2, \"data\": \"{data}\"{again}, \"data\": \"{data}\"}}"));
    let start = std::time::Instant::now();
    let want = File::new("TTY_DATA").entry(&message().uint(1, 1).bytes(2, vec![0; 750_000])).0;
    assert!(encode(&json).unwrap() == want);
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

/// Fields that nobody knows, in no order: the same JSON before and after they are encoded.
#[test]
fn unknown_fields_out_of_order() {
    let file = File::new("FS").entry(&message().uint(23, 1).uint(1, 1).uint(15, 2).uint(2, 2).uint(23, 3));
    let json = |bytes: Vec<u8>| {
        let image = icecore::Image::by_magic("x", bytes.into(), Limits::default()).unwrap();
        let mut text = Vec::new();
        json::decode(&image, &json::Form::COMPACT, &mut text, &mut |error| panic!("{error}")).unwrap();
        String::from_utf8(text).unwrap()
    };
    let text = json(file.0);
    let back = encode(&text).unwrap();
    let sorted = message().uint(1, 1).uint(2, 2).uint(15, 2).uint(23, 1).uint(23, 3);
    assert_eq!(back, File::new("FS").entry(&sorted).0);
    assert_eq!(json(back), text);
}

/// The image of a plugin is one message: it cannot be none.
#[test]
fn plugins_have_one_entry() {
    let error = encode(r#"{"magic": "AMDGPU_KFD", "entries": []}"#).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Format);
    assert_eq!(error.what(), "expected one entry, found none");
}

#[test]
fn errors_say_where() {
    let wide = image("FS", r#"{"cwd_id": 1, "root_id": 2}, {"cwd_id": -1, "root_id": 2}"#);
    for (json, entry, text) in [
        ("", None, "offset 0 (0x0): expected a value, found the end of the JSON"),
        (
            &image("FS", r#"{"cwd_id": 1}"#)[..],
            Some(0),
            "entry 0: offset 28 (0x1c): field root_id: expected required field 2 of fs_entry, found none",
        ),
        (&wide[..], Some(1), "entry 1: offset 70 (0x46): field cwd_id: expected a number from 0 to 2^32 - 1, found -1"),
    ] {
        let error = encode(json).unwrap_err();
        assert_eq!((error.kind(), error.entry(), error.offset().is_some()), (ErrorKind::Format, entry, true), "{json}");
        assert_eq!(error.to_string(), text);
    }
}
