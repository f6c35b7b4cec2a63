//! What the benchmarks read, and how they compare: made anew on each run, the same each time.

#![allow(dead_code, clippy::cast_possible_truncation, clippy::indexing_slicing)]

use std::hint::black_box;
use std::time::{Duration, Instant};

/// A pagemap with `entries` entries as CRIU 4.3 writes them, about 18 bytes each: addresses that grow from
/// 0x550000000000, runs of 1 to 256 pages (mostly short ones), gaps between them.
pub(crate) fn pagemap(entries: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(entries * 19 + 64);
    for word in [0x5456_4319u32, 0x5608_4025] {
        bytes.extend(word.to_le_bytes());
    }
    entry(&mut bytes, &[(1, 1)]);
    let mut vaddr = 0x5500_0000_0000u64;
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    for _ in 0..entries {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let pages = match random & 7 {
            0 => 1 + (random >> 8) % 256,
            1 | 2 => 1 + (random >> 8) % 32,
            _ => 1 + (random >> 8) % 4,
        };
        entry(&mut bytes, &[(1, vaddr), (2, 0), (4, 4), (5, pages)]);
        vaddr += (pages + 1 + (random >> 40) % 8) * 4096;
    }
    bytes
}

/// An image with the first word, the magic and an entry.
pub(crate) fn head(magic: &str, fields: &[(u8, u64)]) -> Vec<u8> {
    let magic = match magic {
        "PAGEMAP" => 0x5608_4025u32,
        "PSTREE" => 0x5027_3030,
        _ => 0x5749_2820,
    };
    let mut bytes = 0x5456_4319u32.to_le_bytes().to_vec();
    bytes.extend(magic.to_le_bytes());
    entry(&mut bytes, fields);
    bytes
}

/// A message with varint fields.
pub(crate) fn message(fields: &[(u8, u64)]) -> Vec<u8> {
    let mut out = Vec::new();
    for &(number, value) in fields {
        out.push(number << 3);
        varint(&mut out, value);
    }
    out
}

/// What the kernel keeps of a task's memory: these mappings, each a message.
pub(crate) fn mm(mappings: &[Vec<u8>]) -> Vec<u8> {
    let mut message = message(&(1..=12).map(|number| (number, 0)).collect::<Vec<_>>());
    for mapping in mappings {
        message.push(14 << 3 | 2);
        varint(&mut message, mapping.len() as u64);
        message.extend(mapping);
    }
    let mut bytes = [0x5456_4319u32, 0x5749_2820].map(u32::to_le_bytes).concat();
    bytes.extend((message.len() as u32).to_le_bytes());
    bytes.extend(message);
    bytes
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// One entry with varint fields.
pub(crate) fn entry(out: &mut Vec<u8>, fields: &[(u8, u64)]) {
    let start = out.len();
    out.extend([0; 4]);
    for &(number, value) in fields {
        out.push(number << 3);
        varint(out, value);
    }
    let size = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&size.to_le_bytes());
}

/// Runs every function in turn, `rounds` times, and gives the shortest time of each: what other programs on the
/// machine take away hits all of them alike.
pub(crate) fn in_turn<const N: usize, R>(rounds: usize, mut run: [&mut dyn FnMut() -> R; N]) -> [Duration; N] {
    let mut best = [Duration::MAX; N];
    for _ in 0..rounds {
        for (best, run) in best.iter_mut().zip(&mut run) {
            let start = Instant::now();
            black_box(run());
            *best = (*best).min(start.elapsed());
        }
    }
    best
}

/// How many times as long `a` takes as `b`.
pub(crate) fn ratio(a: Duration, b: Duration) -> f64 {
    a.as_secs_f64() / b.as_secs_f64()
}

/// Nanoseconds for each of `count` things.
pub(crate) fn each(time: Duration, count: usize) -> f64 {
    time.as_secs_f64() * 1e9 / count as f64
}
