//! Any bytes as a pagemap entry: the hand-written decoder says what the check and prost say.
#![no_main]

use icecore::memory::pagemap::PagemapEntry;
use icecore::{Image, v1};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|message: &[u8]| {
    let Ok(length) = u32::try_from(message.len()) else { return };
    let mut bytes = vec![0x19, 0x43, 0x56, 0x54, 0x25, 0x40, 0x08, 0x56, 2, 0, 0, 0, 8, 7];
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(message);
    let image = Image::open("pagemap-1.img", bytes.into(), Default::default()).unwrap();
    let entry = image.get(1).unwrap();
    match (PagemapEntry::decode(&entry), entry.decode::<v1::PagemapEntry>()) {
        (Ok(ours), Ok(theirs)) => {
            assert_eq!(
                (ours.vaddr, ours.compat_nr_pages, ours.in_parent, ours.flags, ours.nr_pages),
                (theirs.vaddr, theirs.compat_nr_pages, theirs.in_parent, theirs.flags, theirs.nr_pages)
            );
            let blocks = ours.blocks.map(|blocks| {
                (blocks.block_sizes().collect::<Vec<_>>(), blocks.total_payload_size(), blocks.pages_per_block())
            });
            let theirs =
                theirs.blocks.map(|blocks| (blocks.block_sizes, blocks.total_payload_size, blocks.pages_per_block));
            assert_eq!(blocks, theirs);
        }
        (Err(ours), Err(theirs)) => assert_eq!(ours.to_string(), theirs.to_string()),
        // bits above 64, which protobuf drops and prost refuses
        (Ok(_), Err(theirs)) => assert!(theirs.what().contains("invalid varint"), "{theirs}"),
        (ours, theirs) => panic!("{ours:?}, but prost: {theirs:?}"),
    }
});
