//! Chains of small dumps of one pagemap, of any make.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use icecore::v1;
use proptest::prelude::*;

use super::pagemap::{PAGE, Pagemap, Store, content};
use super::writer::{File, Message, message};

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

/// A folder where many small files cost little.
pub fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

/// What is in a folder, sorted.
pub fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Whether a name is that of a pagemap.
pub fn is_pagemap(name: &str) -> bool {
    name.starts_with("pagemap-") && name.ends_with(".img")
}

/// A chain of three dumps out of a real one: its pages are dealt out, the first dump says of those it lacks that they
/// are in its parent. What this returns is the newest.
pub fn dealt(dump: &Path, root: &Path) -> PathBuf {
    let count = 3;
    for level in 0..count {
        let dir = root.join(level.to_string());
        fs::create_dir(&dir).unwrap();
        if level == 0 {
            super::corpus::copy_dump(dump, &dir);
        }
        if level + 1 < count {
            symlink(format!("../{}", level + 1), dir.join("parent")).unwrap();
        }
    }
    for name in names(dump).into_iter().filter(|name| name.starts_with("pagemap-")) {
        let messages = super::flat::entries(&dump.join(&name));
        let head: v1::PagemapHead = prost::Message::decode(&messages[0][..]).unwrap();
        let pages = fs::read(dump.join(format!("pages-{}.img", head.pages_id))).unwrap();
        let mut made: Vec<(File, Vec<u8>)> = (0..count)
            .map(|_| (File::new("PAGEMAP").entry(&message().uint(1, u64::from(head.pages_id))), Vec::new()))
            .collect();
        let mut at = 0;
        for (number, found) in messages[1..].iter().enumerate() {
            let entry: v1::PagemapEntry = prost::Message::decode(&found[..]).unwrap();
            let (flags, pages_of) = (entry.flags.unwrap(), entry.nr_pages.unwrap());
            if flags & 4 == 0 {
                made[0].0 = made[0].0.clone().entry(&Message(found.clone()));
                continue;
            }
            for page in 0..pages_of {
                let address = entry.vaddr.wrapping_add(page * PAGE as u64);
                let owner = (number + page as usize / 3) % count;
                let bytes = &pages[at..at + PAGE];
                at += PAGE;
                for (level, (file, content)) in made.iter_mut().enumerate() {
                    // what an older dump had there was something else
                    let flags = if level < owner { 1 } else { u64::from(flags) };
                    *file = file.clone().entry(&message().uint(1, address).uint(2, 0).uint(4, flags).uint(5, 1));
                    match level.cmp(&owner) {
                        std::cmp::Ordering::Less => {}
                        std::cmp::Ordering::Equal => content.extend_from_slice(bytes),
                        std::cmp::Ordering::Greater => content.extend([0xee; PAGE]),
                    }
                }
            }
        }
        for (level, (file, content)) in made.into_iter().enumerate() {
            let dir = root.join(level.to_string());
            fs::write(dir.join(&name), file.0).unwrap();
            fs::write(dir.join(format!("pages-{}.img", head.pages_id)), content).unwrap();
        }
    }
    root.join("0")
}
