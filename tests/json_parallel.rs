//! JSON is the same whatever the number of threads: places where entries begin are guessed, and guesses may be wrong.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;

use icecore::object::json::{self, Form};
use icecore::{Image, Limits};

fn on<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

fn encode(text: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    json::encode(text.as_bytes(), &Limits::default(), &mut out).map_err(|error| error.to_string()).map(|()| out)
}

fn decode(bytes: &[u8]) -> String {
    let image = Image::by_magic("an image", bytes.to_vec().into(), Limits::default()).unwrap();
    let mut out = Vec::new();
    json::decode(&image, &Form::compact(), &mut out, &mut |_| {}).unwrap();
    String::from_utf8(out).unwrap()
}

fn same(text: &str) -> Result<Vec<u8>, String> {
    let one = on(1, || encode(text));
    for threads in [2, 5] {
        assert_eq!(on(threads, || encode(text)), one);
    }
    one
}

/// A pagemap; `odd` may replace the text of an entry.
fn pagemap(entries: usize, odd: impl Fn(usize) -> Option<&'static str>) -> String {
    let mut text = String::from("{\"magic\": \"PAGEMAP\", \"entries\": [{\"pages_id\": 1}");
    for number in 0..entries {
        match odd(number) {
            Some(odd) => write!(text, ", {odd}").unwrap(),
            None => {
                let vaddr = 0x5500_0000_0000u64 + number as u64 * 8192;
                let pages = number % 300;
                write!(text, ", {{\"vaddr\": {vaddr}, \"compat_nr_pages\": 0, \"flags\": 4, \"nr_pages\": {pages}}}")
                    .unwrap();
            }
        }
    }
    text + "]}"
}

#[test]
fn pagemaps() {
    let text = pagemap(60_000, |_| None);
    let bytes = same(&text).unwrap();
    for threads in [1, 2, 5] {
        assert_eq!(on(threads, || decode(&bytes)), text);
    }
    let spaced = text.replace(", {", ",\n\t {");
    assert_eq!(same(&spaced).unwrap(), bytes);
}

#[test]
fn not_only_numbers() {
    let odd = |number| match number % 1000 {
        0 => Some("{\"vaddr\": 4096, \"compat_nr_pages\": 1, \"in_parent\": true}"),
        1 => Some("{\"flags\": 4, \"vaddr\": 4096, \"compat_nr_pages\": 1}"),
        2 => Some(
            "{\"vaddr\": 4096, \"compat_nr_pages\": 0, \"nr_pages\": 2, \"blocks\": \
             {\"block_sizes\": [1, 2], \"total_payload_size\": 3, \"pages_per_block\": 1}}",
        ),
        _ => None,
    };
    let bytes = same(&pagemap(60_000, odd)).unwrap();
    let text = decode(&bytes);
    assert_eq!(on(1, || decode(&bytes)), text);
    assert_eq!(same(&text).unwrap(), bytes);
}

#[test]
fn errors_are_where_they_are() {
    for at in [0, 1, 30_000, 59_999] {
        let error = same(&pagemap(60_000, |number| (number == at).then_some("{\"vaddr\": 4096}"))).unwrap_err();
        assert!(error.contains(&format!("entry {}: ", at + 1)), "{error}");
        assert!(error.contains("compat_nr_pages"), "{error}");
    }
    let text = pagemap(60_000, |_| None);
    assert!(same(&text[..text.len() - 2]).is_err());
    assert!(same(&text[..text.len() / 2]).is_err());
    assert!(same(&(text.clone() + "x")).is_err());
}

#[test]
fn places_that_only_look_like_entries() {
    // objects in objects, and text that looks like them
    let inner = "{\"vaddr\": 4096, \"compat_nr_pages\": 0}";
    let list = vec![inner; 20].join(", ");
    let entry = format!(
        "{{\"vaddr\": 4096, \"compat_nr_pages\": 0, \"note\": [{list}], \"text\": \"}}, {}\"}}",
        inner.replace('"', "\\\"")
    );
    let entries = vec![entry; 3000].join(", ");
    let text = format!("{{\"magic\": \"PAGEMAP\", \"entries\": [{{\"pages_id\": 1}}, {entries}]}}");
    assert!(text.len() > 2 << 20);
    same(&text).unwrap();
}
