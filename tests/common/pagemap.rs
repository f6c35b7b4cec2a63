//! Dumps of one process, or a segment, written page by page: any flags, blocks, parents, in old and new style.

use std::fs;
use std::path::Path;

use super::writer::{File, Message, message};

pub const PAGE: usize = 4096;

/// How the pages of an entry are stored.
#[derive(Clone, Debug)]
pub enum Store {
    /// As they are.
    Plain(Vec<u8>),
    /// As they are, from a multiple of the page size on.
    Aligned(Vec<u8>),
    /// In blocks of so many pages.
    Blocks(Vec<u8>, usize),
    /// The same, the first block at a multiple of the page size.
    AlignedBlocks(Vec<u8>, usize),
    /// So many pages in the parent, left to a server, or nowhere.
    Parent(u64),
    Lazy(u64),
    Hole(u64),
}

/// A pagemap and its pages file as they grow.
pub struct Pagemap {
    pub file: File,
    pub pages: Vec<u8>,
    id: u64,
}

impl Pagemap {
    pub fn new(id: u64) -> Self {
        Self { file: File::new("PAGEMAP").entry(&message().uint(1, id)), pages: Vec::new(), id }
    }

    pub fn entry(mut self, address: u64, store: &Store) -> Self {
        let start = |flags: u64, pages: u64| message().uint(1, address).uint(2, 0).uint(4, flags).uint(5, pages);
        let entry = match store {
            Store::Plain(bytes) => {
                self.pages.extend_from_slice(bytes);
                start(4, (bytes.len() / PAGE) as u64)
            }
            Store::Aligned(bytes) => {
                self.align();
                self.pages.extend_from_slice(bytes);
                start(4 | 8, (bytes.len() / PAGE) as u64)
            }
            Store::Blocks(bytes, per_block) => {
                let blocks = self.blocks(bytes, *per_block);
                start(4, (bytes.len() / PAGE) as u64).message(6, &blocks)
            }
            Store::AlignedBlocks(bytes, per_block) => {
                self.align();
                let blocks = self.blocks(bytes, *per_block);
                start(4 | 8, (bytes.len() / PAGE) as u64).message(6, &blocks)
            }
            Store::Parent(pages) => start(1, *pages),
            Store::Lazy(pages) => start(2, *pages),
            Store::Hole(pages) => start(0, *pages),
        };
        self.file = self.file.entry(&entry);
        self
    }

    pub fn raw(mut self, entry: &Message) -> Self {
        self.file = self.file.entry(entry);
        self
    }

    fn align(&mut self) {
        self.pages.resize(self.pages.len().next_multiple_of(PAGE), 0);
    }

    fn blocks(&mut self, bytes: &[u8], per_block: usize) -> Message {
        let mut sizes = Vec::new();
        for block in bytes.chunks(per_block * PAGE) {
            let packed = lz4_flex::block::compress(block);
            let stored = if block.iter().all(|byte| *byte == 0) {
                &[][..]
            } else if packed.len() >= block.len() {
                block
            } else {
                &packed
            };
            self.pages.extend_from_slice(stored);
            sizes.push(stored.len() as u64);
        }
        message().packed(1, &sizes).uint(2, sizes.iter().sum()).uint(3, per_block as u64)
    }

    /// Writes `pagemap-PID.img` and its pages file into a folder.
    pub fn write(self, dir: &Path, pid: u32) {
        self.write_as(dir, &format!("pagemap-{pid}.img"));
    }

    pub fn write_as(self, dir: &Path, name: &str) {
        fs::create_dir_all(dir).unwrap();
        fs::write(dir.join(name), &self.file.0).unwrap();
        fs::write(dir.join(format!("pages-{}.img", self.id)), self.pages).unwrap();
    }
}

/// Pages that can be told apart: each begins with its number and `seed`, the rest is the same byte.
pub fn content(seed: u8, pages: usize) -> Vec<u8> {
    let page = |number: usize| {
        let mut page = vec![seed; PAGE];
        page[..8].copy_from_slice(&(number as u64).to_le_bytes());
        page[8] = seed;
        page
    };
    (0..pages).flat_map(page).collect()
}

/// The one process of the dump: its tree, and what is mapped (start, end, status, flags, shmid, pgoff).
pub fn process(dir: &Path, pid: u32, mappings: &[(u64, u64, u64, u64, u64, u64)]) {
    fs::create_dir_all(dir).unwrap();
    let tree = message().uint(1, pid.into()).uint(2, 0).uint(3, pid.into()).uint(4, pid.into()).uint(5, pid.into());
    fs::write(dir.join("pstree.img"), File::new("PSTREE").entry(&tree).0).unwrap();
    let mut mm = message();
    for number in 1..=11 {
        mm = mm.uint(number, 0);
    }
    mm = mm.uint(12, 1).packed(13, &[6, PAGE as u64]);
    for (start, end, status, flags, shmid, pgoff) in mappings {
        let vma = message()
            .uint(1, *start)
            .uint(2, *end)
            .uint(3, *pgoff)
            .uint(4, *shmid)
            .uint(5, 3)
            .uint(6, *flags)
            .uint(7, *status)
            .sint(8, -1);
        mm = mm.message(14, &vma);
    }
    fs::write(dir.join(format!("mm-{pid}.img")), File::new("MM").entry(&mm).0).unwrap();
}
