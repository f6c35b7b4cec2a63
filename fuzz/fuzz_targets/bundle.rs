//! Any bytes as a file of version 2: nothing panics; what is verified reads the same by its directory and by a walk over
//! it; what is salvaged is read without an error; a stream that is received is a bundle of the same images.
//!
//! The first byte says how bytes are made sound: checksums of headers and records are set right, so that what is
//! behind them is reached.
#![no_main]

use std::collections::BTreeMap;

use bytes::Bytes;
use icecore::Limits;
use icecore::base::report::{Cancel, Silent};
use icecore::source::bundle::{Bundle, receive};
use icecore::wire::v2::crc::crc32c;
use icecore::wire::v2::{PageBlock, Record};
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits { memory: 8 << 20, depth: 100, files: 1000, spool: 1 << 20, scan: 1 << 10, parents: 10 };

/// Records of all images that can be read.
type Content = BTreeMap<(u32, u64), Option<Vec<(u32, Vec<u8>)>>>;

fn content(bundle: &Bundle) -> Content {
    let records = |(kind, id)| {
        let records: Result<Vec<_>, _> = bundle
            .records(kind, id)
            .map(|found| found.map(|found| (found.record.header.object_type(), found.record.payload.to_vec())))
            .collect();
        ((kind, id), records.ok())
    };
    bundle.images().map(records).collect()
}

fn use_blocks(bundle: &Bundle) {
    let Ok(blocks) = bundle.blocks() else { return };
    for index in 0..blocks.len() {
        let at = blocks.get(index).unwrap();
        let Ok(record) = Record::read(bundle.bytes(at.part).unwrap(), at.offset as usize) else { continue };
        if record.check().is_ok() {
            let _ = PageBlock::read(record.payload);
        }
        let _ = (blocks.find(at.first), blocks.find(at.first.wrapping_add(at.pages)));
    }
}

/// Sets checksums of headers and records right, as far as a walk gets.
fn mend(bytes: &mut [u8]) {
    let (mut at, mut sum) = (0, 0);
    while at < bytes.len() {
        let rest = &mut bytes[at..];
        match rest[0] {
            0x0d if rest.len() >= 48 => {
                let checksum = crc32c(0, &rest[..44]);
                rest[44..48].copy_from_slice(&checksum.to_le_bytes());
                at += 48;
            }
            0x5d if rest.len() >= 24 => {
                let object_type = u32::from_le_bytes(rest[1..5].try_into().unwrap());
                let size = u64::from_le_bytes(rest[11..19].try_into().unwrap());
                let Some(end) = usize::try_from(size).ok().and_then(|size| size.checked_add(24)) else { return };
                if end > rest.len() {
                    return;
                }
                let covered = match object_type {
                    6 => PageBlock::read(&rest[24..end]).map_or(end, |block| 24 + block.data_at),
                    _ => end,
                };
                let checksum = match object_type {
                    // of an image in one section
                    2 => crc32c(sum, &rest[..20]),
                    _ => crc32c(crc32c(0, &rest[..20]), &rest[24..covered]),
                };
                rest[20..24].copy_from_slice(&checksum.to_le_bytes());
                sum = crc32c(if object_type == 1 { 0 } else { sum }, &rest[..24]);
                at += end;
            }
            _ => return,
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((how, bytes)) = input.split_first() else { return };
    let mut bytes = bytes.to_vec();
    if how & 1 == 1 {
        mend(&mut bytes);
    }
    let bytes = Bytes::from(bytes);
    let control = || (Silent, Cancel::default());
    let (progress, cancel) = control();
    if let Ok(bundle) = Bundle::from_bytes("x", bytes.clone(), LIMITS) {
        let opened = content(&bundle);
        use_blocks(&bundle);
        let verified = bundle.verify((&progress, &cancel)).unwrap();
        if verified.is_sound() {
            assert!(opened.values().all(Option::is_some), "verified, and cannot be read");
            assert!(bundle.blocks().is_ok());
            for dump in bundle.dumps().unwrap() {
                let of = bundle.of_dump(dump).unwrap();
                assert!(content(&of).values().all(Option::is_some));
                let walked = Bundle::salvage("x", bytes.clone(), Some(dump), LIMITS, (&progress, &cancel)).unwrap();
                assert_eq!(content(&walked.bundle), content(&of));
                assert!(walked.lost.is_empty() && walked.pages.is_empty(), "{:?}", walked.lost);
            }
            if bundle.end().is_some() && bundle.warnings().is_empty() {
                let (stored, _) = receive(&bytes[..], Vec::new(), &LIMITS).unwrap();
                assert!(stored.starts_with(&bytes));
                let stored = Bundle::from_bytes("stored", stored.into(), LIMITS).unwrap();
                assert_eq!(content(&stored), opened);
                assert!(stored.verify((&progress, &cancel)).unwrap().is_sound());
            }
        }
    }
    if let Ok(salvaged) = Bundle::salvage("x", bytes.clone(), None, LIMITS, (&progress, &cancel)) {
        let saved = content(&salvaged.bundle);
        assert_eq!(saved.len(), salvaged.whole.len());
        use_blocks(&salvaged.bundle);
    }
    let mut stored = Vec::new();
    let _ = receive(&bytes[..], &mut stored, &LIMITS);
});
