//! The hand-written decoder of pagemap entries against the schema's check and prost: any bytes mean the same to both.
#![allow(clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation)]

use icecore::memory::pagemap::PagemapEntry;
use icecore::wire::{field, varint};
use icecore::{Error, Image, v1};
use proptest::prelude::*;
use prost::Message as _;

/// A pagemap with a head and these entries.
fn image(entries: &[&[u8]]) -> Image {
    let mut bytes = vec![0x19, 0x43, 0x56, 0x54, 0x25, 0x40, 0x08, 0x56, 2, 0, 0, 0, 8, 7];
    for entry in entries {
        bytes.extend_from_slice(&(entry.len() as u32).to_le_bytes());
        bytes.extend_from_slice(entry);
    }
    Image::open("pagemap-1.img", bytes.into(), Default::default()).unwrap()
}

fn same(ours: &PagemapEntry<'_>, theirs: &v1::PagemapEntry) {
    assert_eq!(ours.vaddr, theirs.vaddr);
    assert_eq!(ours.compat_nr_pages, theirs.compat_nr_pages);
    assert_eq!(ours.in_parent, theirs.in_parent);
    assert_eq!(ours.flags, theirs.flags);
    assert_eq!(ours.nr_pages, theirs.nr_pages);
    assert_eq!(ours.blocks.is_some(), theirs.blocks.is_some());
    if let (Some(ours), Some(theirs)) = (&ours.blocks, &theirs.blocks) {
        assert_eq!(ours.block_sizes().collect::<Vec<_>>(), theirs.block_sizes);
        assert_eq!(ours.total_payload_size(), theirs.total_payload_size);
        assert_eq!(ours.pages_per_block(), theirs.pages_per_block);
    }
}

/// Whether prost refuses a number for its bits above 64, which CRIU's own decoder drops as ours does.
fn is_too_large(error: &Error) -> bool {
    error.what().contains("invalid varint")
}

fn agree(message: &[u8]) {
    let image = image(&[message]);
    let entry = image.get(1).unwrap();
    match (PagemapEntry::decode(&entry), entry.decode::<v1::PagemapEntry>()) {
        (Ok(ours), Ok(theirs)) => same(&ours, &theirs),
        (Err(ours), Err(theirs)) => assert_eq!(ours.to_string(), theirs.to_string()),
        (Ok(_), Err(theirs)) if is_too_large(&theirs) => {}
        (ours, theirs) => panic!("{message:02x?}: {ours:?}, but prost: {theirs:?}"),
    }
}

/// Fields as they come, and as they should not: any number, wire type and value, known ones more often.
fn field() -> impl Strategy<Value = Vec<u8>> {
    let number = prop_oneof![4 => 1u32..=6, 1 => 7u32..40];
    let value = prop_oneof![0u64..300, any::<u64>(), (0u32..64).prop_map(|bit| 1 << bit)];
    (number, 0u8..8, value, prop::collection::vec(any::<u8>(), 0..12), any::<bool>()).prop_map(
        |(number, wire, value, run, usual)| {
            let mut out = Vec::new();
            let wire = if usual { if number == 6 { 2 } else { 0 } } else { wire };
            field::write_key(&mut out, number, wire);
            match wire {
                2 if usual => {
                    let blocks = v1::PagemapBlocks {
                        block_sizes: run.iter().map(|&byte| u32::from(byte) << 5).collect(),
                        total_payload_size: value,
                        pages_per_block: 64,
                    };
                    out.extend(blocks.encode_length_delimited_to_vec());
                }
                2 => {
                    varint::write(&mut out, run.len() as u64);
                    out.extend(run);
                }
                1 => out.extend(value.to_le_bytes()),
                5 => out.extend((value as u32).to_le_bytes()),
                _ => varint::write(&mut out, value),
            }
            out
        },
    )
}

proptest! {
    #[test]
    fn any_bytes(message in prop::collection::vec(any::<u8>(), 0..40)) {
        agree(&message);
    }

    #[test]
    fn any_fields(fields in prop::collection::vec(field(), 0..8), cut in 0usize..6) {
        let mut message = vec![0x08, 0x80, 0x20, 0x10, 0];
        message.extend(fields.concat());
        agree(&message);
        message.truncate(message.len() - cut.min(message.len()));
        agree(&message);
    }

    #[test]
    fn what_prost_writes(
        vaddr: u64, compat_nr_pages: u32, in_parent: Option<bool>, flags: Option<u32>, nr_pages: Option<u64>,
        blocks: Option<(Vec<u32>, u64, u32)>,
    ) {
        let blocks = blocks.map(|(block_sizes, total_payload_size, pages_per_block)| {
            v1::PagemapBlocks { block_sizes, total_payload_size, pages_per_block }
        });
        let theirs = v1::PagemapEntry { vaddr, compat_nr_pages, in_parent, flags, nr_pages, blocks };
        let message = theirs.encode_to_vec();
        same(&PagemapEntry::from_message(&message).unwrap(), &theirs);
        agree(&message);
    }
}

#[test]
fn blocks_in_several_fields() {
    let message = [
        0x08, 1, 0x10, 0, // vaddr, compat_nr_pages
        0x32, 8, 0x0a, 2, 5, 6, 0x10, 11, 0x18, 64, // sizes packed
        0x32, 8, 0x08, 7, 0x08, 8, 0x10, 15, 0x18, 64, // sizes one by one
    ];
    agree(&message);
}
