//! Chains of small dumps of one pagemap, of any make.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::pagemap::{PAGE, Pagemap, Store, content};

/// The lowest address.
pub const BASE: u64 = 0x1000_0000;

/// An entry: pages to leave out before it, how many it has, how they are stored.
pub fn entry() -> impl Strategy<Value = (u64, Store)> {
    let pages = 1usize..9;
    let store =
        (pages, any::<u8>(), 0u8..9, 1usize..5, any::<bool>()).prop_map(|(pages, seed, how, per_block, random)| {
            let mut bytes = content(seed, pages);
            if seed % 5 == 0 {
                bytes.fill(0);
            }
            if random {
                // what does not compress
                let mut state = u64::from(seed) + 1;
                for word in bytes.chunks_mut(8).skip(2) {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    word.copy_from_slice(&state.to_le_bytes());
                }
            }
            match how {
                0..=2 => Store::Plain(bytes),
                3 => Store::Aligned(bytes),
                4 => Store::Blocks(bytes, per_block),
                5 => Store::AlignedBlocks(bytes, per_block),
                6 => Store::Parent(pages as u64),
                7 => Store::Lazy(pages as u64),
                _ => Store::Hole(pages as u64),
            }
        });
    (0u64..4, store)
}

pub fn pages_of(store: &Store) -> u64 {
    match store {
        Store::Plain(bytes) | Store::Aligned(bytes) | Store::Blocks(bytes, _) | Store::AlignedBlocks(bytes, _) => {
            (bytes.len() / PAGE) as u64
        }
        Store::Parent(pages) | Store::Lazy(pages) | Store::Hole(pages) => *pages,
    }
}

/// Writes the dumps, the newest first; gives its folder.
pub fn write(root: &Path, chain: &[Vec<(u64, Store)>], pid: u32) -> PathBuf {
    for (number, entries) in chain.iter().enumerate() {
        let dir = root.join(number.to_string());
        let mut pagemap = Pagemap::new(number as u64 + 1);
        let mut at = BASE;
        for (gap, store) in entries {
            at += gap * PAGE as u64;
            pagemap = pagemap.entry(at, store);
            at += pages_of(store) * PAGE as u64;
        }
        pagemap.write(&dir, pid);
        if number + 1 < chain.len() {
            symlink(format!("../{}", number + 1), dir.join("parent")).unwrap();
        }
    }
    root.join("0")
}
