//! Any bytes as V1 messages: as V2 messages and back they are the same bytes. Any bytes as V2 messages: a V1 message that
//! comes back in its turn, or an error.
#![no_main]

use icecore::object::upgrade::{self, Message};
use icecore::{Image, Limits};
use libfuzzer_sys::fuzz_target;

/// Small enough that what they stop is met.
const LIMITS: Limits = Limits { memory: 1 << 20, depth: 20, files: 100, spool: 1 << 20, parents: 10, scan: 4096 };

fn there_and_back(message: &'static Message, v1: &[u8]) {
    let mut v2 = Vec::new();
    upgrade::checked_up(message, v1, &LIMITS, &mut v2);
    assert!(v2.len() <= v1.len() * 12 + 64, "{}: {} of {}", message.name, v2.len(), v1.len());
    let mut back = Vec::new();
    assert_eq!(upgrade::down(message, &v2, &LIMITS, &mut back).unwrap(), 0);
    assert_eq!(back, v1, "{}", message.name);
}

fuzz_target!(|data: &[u8]| {
    let Some((&number, rest)) = data.split_first() else { return };
    if number == 0 {
        // a whole image, as for the target `image`
        let Ok(image) = Image::by_magic("x", rest.to_vec().into(), LIMITS) else { return };
        for entry in image.iter().flatten() {
            if let Some(message) = Message::by_v1(entry.message_name()) {
                there_and_back(message, entry.message());
            }
        }
        return;
    }
    let Some(message) = Message::all().nth(usize::from(number) - 1) else { return };
    there_and_back(message, rest);
    let mut v1 = Vec::new();
    if upgrade::down(message, rest, &LIMITS, &mut v1).is_ok() {
        assert!(v1.len() <= rest.len() * 40 + 1000, "{}: {} of {}", message.name, v1.len(), rest.len());
        there_and_back(message, &v1);
    }
});
