//! Any bytes as JSON. What encode takes is a sound image, whose JSON gives the same bytes again.
#![no_main]

use icecore::image::KINDS;
use icecore::object::json::{self, Form};
use icecore::{ErrorKind, Image, Limits};
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits { memory: 8 << 20, depth: 100, files: 100, spool: 1 << 20, scan: 64 << 10, parents: 10 };

/// The image in `bytes`: by its magic, or by the name in the JSON where its kind has none.
fn open(text: &[u8], bytes: Vec<u8>) -> Option<Image> {
    if let Ok(image) = Image::by_magic("x", bytes.clone().into(), LIMITS) {
        return Some(image);
    }
    let row = KINDS.iter().find(|row| {
        let name = format!("\"{}\"", row.name);
        row.magic == 0 && !row.messages.is_empty() && text.windows(name.len()).any(|part| part == name.as_bytes())
    })?;
    Image::of_kind("x", row.kind, 1, bytes.into(), LIMITS).ok()
}

fuzz_target!(|text: &[u8]| {
    let mut bytes = Vec::new();
    if let Err(error) = json::encode(text, &LIMITS, &mut bytes) {
        assert!(matches!(error.kind(), ErrorKind::Format | ErrorKind::Limit), "{error:?}");
        return;
    }
    let Some(image) = open(text, bytes.clone()) else { return };
    if image.kind().row().messages.is_empty() {
        return;
    }
    assert!(image.fault().is_none(), "{:?}", image.fault());
    for form in [Form::COMPACT.strict(), Form::PRETTY.strict()] {
        let mut again = Vec::new();
        json::decode(&image, &form, &mut again, &mut |error| panic!("{form:?}: {error}")).unwrap();
        let mut second = Vec::new();
        json::encode(&again, &LIMITS, &mut second)
            .unwrap_or_else(|error| panic!("{form:?}: {error}: {}", String::from_utf8_lossy(&again)));
        assert_eq!(bytes, second, "{form:?}: {}", String::from_utf8_lossy(&again));
    }
});
