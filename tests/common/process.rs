//! Small dumps made up for a test: one process, its mappings, its pages.

use std::path::Path;

use super::writer::{File, Message, message};

pub const PAGE: usize = 4096;

/// Bits of a mapping's status.
pub const REGULAR: u64 = 1;
pub const FILE_PRIVATE: u64 = 1 << 6;
pub const ANON: u64 = 1 << 9;

/// A process, as its images say.
#[derive(Clone, Debug, Default)]
pub struct Process {
    /// Start, end and status of each mapping.
    pub mappings: Vec<(u64, u64, u64)>,
    /// Address of each stored page, and its bytes.
    pub pages: Vec<(u64, Vec<u8>)>,
    /// Start and end of the command line, of the environment.
    pub arg: (u64, u64),
    pub env: (u64, u64),
}

impl Process {
    /// Writes the dump of it, as process 1.
    pub fn write(&self, dir: &Path) {
        let put = |name: &str, magic: &str, entries: &[Message]| {
            let file = entries.iter().fold(File::new(magic), |file, entry| file.entry(entry));
            std::fs::write(dir.join(name), file.0).unwrap();
        };
        put("pstree.img", "PSTREE", &[message().uint(1, 1).uint(2, 0).uint(3, 1).uint(4, 1).uint(5, 1)]);
        put("mm-1.img", "MM", &[self.mm()]);
        let mut entries = vec![message().uint(1, 1)];
        let mut pages = Vec::new();
        for (address, bytes) in &self.pages {
            let count = (bytes.len() / PAGE) as u64;
            entries.push(message().uint(1, *address).uint(2, count).uint(4, 4));
            pages.extend(bytes);
        }
        put("pagemap-1.img", "PAGEMAP", &entries);
        std::fs::write(dir.join("pages-1.img"), pages).unwrap();
    }

    fn mm(&self) -> Message {
        let mm = (1..=7).fold(message(), |mm, number| mm.uint(number, 0));
        let mm = mm.uint(8, self.arg.0).uint(9, self.arg.1).uint(10, self.env.0).uint(11, self.env.1).uint(12, 0);
        self.mappings.iter().fold(mm, |mm, (start, end, status)| {
            let vma = message().uint(1, *start).uint(2, *end).uint(3, 0).uint(4, 0).uint(5, 3).uint(6, 2);
            mm.message(14, &vma.uint(7, *status).sint(8, -1))
        })
    }
}
