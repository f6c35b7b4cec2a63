//! Any bytes as an image of version 1: what is said of it in objects of version 2 comes back byte for byte, in an image
//! that stands alone and in one among others.
#![no_main]

use icecore::image::KINDS;
use icecore::object::upgrade::image::{Context, Put, Rec, Session, down_image, up_image};
use icecore::{Image, Limits, Result};
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits { memory: 8 << 20, depth: 100, files: 100, spool: 1 << 20, parents: 10, scan: 4096 };

#[derive(Default)]
struct Records(Vec<(u32, u32, Vec<u8>)>);

impl Put for Records {
    fn record(&mut self, object_type: u32, count: u32, payload: &[u8]) -> Result<()> {
        self.0.push((object_type, count, payload.to_vec()));
        Ok(())
    }
}

/// The first byte: 0 for a whole file, else the number of a kind, whose words are then put before the rest.
fn image(data: &[u8]) -> Option<Image> {
    let (&number, rest) = data.split_first()?;
    if number == 0 {
        return Image::by_magic("x", rest.to_vec().into(), LIMITS).ok();
    }
    let row = KINDS.get(usize::from(number) - 1)?;
    let mut bytes = Vec::new();
    if row.shape.is_framed() {
        bytes.extend(row.first_word.value().into_iter().flat_map(u32::to_le_bytes));
        bytes.extend(row.magic.to_le_bytes());
    }
    bytes.extend(rest);
    Image::of_kind("x", row.kind, 1, bytes.into(), LIMITS).ok()
}

fuzz_target!(|data: &[u8]| {
    let Some(image) = image(data) else { return };
    for context in
        [Context::alone(LIMITS), Context::of(LIMITS, |pid| Ok(Some(Session { sid: pid & 7, pgid: pid & 3 })))]
    {
        let mut records = Records::default();
        // None, or an error where it was found late: the file is then kept as it is
        let Ok(Some(_)) = up_image(&image, &context, &mut records) else { continue };
        let mut back = Vec::new();
        let mut all = records.0.iter().map(|(object_type, count, payload)| {
            Ok(Rec { object_type: *object_type, count: *count, payload, offset: 0 })
        });
        down_image(image.kind(), image.id(), &mut all, &context, &mut back).unwrap();
        assert!(back == image.bytes()[..], "{} {}", image.bytes().escape_ascii(), back.escape_ascii());
    }
});
