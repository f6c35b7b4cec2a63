//! Dumps of one process that no machine here had, made by the writer.

use std::fs;

use super::writer::{File, Message, message};

pub const PAGE: u64 = 4096;

/// Registers by their places in CRIU's message, from 0.
#[derive(Clone, Default)]
pub struct X86 {
    pub general: [u64; 27],
    pub compat: bool,
    /// Words of xmm; all of them zero where it is empty.
    pub xmm: Vec<u64>,
}

pub struct Process {
    pid: u32,
    pub cpu: Option<X86>,
    pub auxv: Vec<u64>,
    /// The core image's machine and its thread_info, where it is not x86.
    other: Option<(u64, u32, Message)>,
    vmas: Vec<Message>,
    files: Vec<Message>,
    pagemap: Vec<(u64, Message)>,
    pages: Vec<u8>,
}

/// Bytes that compress.
pub fn plain(length: usize, seed: u8) -> Vec<u8> {
    (0..length).map(|at| (at / 64) as u8 ^ seed).collect()
}

impl Process {
    pub fn new(pid: u32) -> Self {
        Self {
            pid,
            cpu: Some(X86::default()),
            auxv: vec![6, PAGE],
            other: None,
            vmas: Vec::new(),
            files: Vec::new(),
            pagemap: Vec::new(),
            pages: Vec::new(),
        }
    }

    fn vma(&mut self, (start, end): (u64, u64), (prot, flags, status): (u64, u64, u64), pgoff: u64, shmid: u64) {
        let vma = message().uint(1, start).uint(2, end).uint(3, pgoff).uint(4, shmid);
        self.vmas.push(vma.uint(5, prot).uint(6, flags).uint(7, status).sint(8, -1));
    }

    pub fn map(&mut self, start: u64, end: u64, prot: u64, flags: u64, status: u64) {
        self.vma((start, end), (prot, flags, status), 0, 0);
    }

    /// A private mapping of a file from this page on.
    pub fn file(&mut self, start: u64, end: u64, prot: u64, page: u64, path: &str) {
        let id = self.files.len() as u64 + 1;
        let fown = (1..=5).fold(message(), |fown, number| fown.uint(number, 0));
        let reg = message().uint(1, id).uint(2, 0).uint(3, 0).message(5, &fown).bytes(6, path);
        self.files.push(message().uint(1, 1).uint(2, id).message(3, &reg));
        self.vma((start, end), (prot, 2, 0x41), page * PAGE, id);
    }

    fn run(&mut self, start: u64, pages: u64, flags: u64) {
        self.pagemap.push((start, message().uint(1, start).uint(2, pages).uint(4, flags)));
    }

    /// A page that is full of one byte.
    pub fn page(&mut self, address: u64, byte: u8) {
        self.run(address, 1, 4);
        self.pages.extend(vec![byte; PAGE as usize]);
    }

    pub fn in_parent(&mut self, address: u64, pages: u64) {
        self.run(address, pages, 1);
    }

    pub fn lazy(&mut self, address: u64, pages: u64) {
        self.run(address, pages, 2);
    }

    /// Blocks of so many pages, compressed; a block that is shorter than its pages is stored as it is.
    pub fn lz4(&mut self, address: u64, blocks: &[Vec<u8>], pages: u64) {
        let packed: Vec<Vec<u8>> = blocks
            .iter()
            .map(|block| match block.len() as u64 == pages * PAGE {
                true => lz4_flex::block::compress(block),
                false => block.clone(),
            })
            .collect();
        let sizes: Vec<u64> = packed.iter().map(|block| block.len() as u64).collect();
        let count = pages * blocks.len() as u64;
        let inner = message().packed(1, &sizes).uint(2, sizes.iter().sum()).uint(3, pages);
        self.pagemap.push((address, message().uint(1, address).uint(2, count).uint(4, 4).message(6, &inner)));
        packed.iter().for_each(|block| self.pages.extend(block));
    }

    /// x0 to x30 are 0x1000 on, the halves of v0 to v31 0x2000 on.
    pub fn arm(&mut self) {
        let regs = (0..31).fold(message(), |regs, at| regs.uint(1, 0x1000 + at));
        let regs = regs.uint(2, 0x7fff_0000).uint(3, 0x40_1004).uint(4, 0x6000_0000);
        let float = (0..64).fold(message(), |float, at| float.uint(1, 0x2000 + at)).uint(2, 0x200).uint(3, 0x300);
        let info = message().uint(1, 0).uint(2, 0x7777_0000).message(3, &regs).message(4, &float);
        self.other = Some((3, 8, info));
    }

    /// All of its registers are zero.
    pub fn riscv(&mut self) {
        let regs = (1..=32).fold(message(), |regs, number| regs.uint(number, 0));
        let info = message().uint(1, 0).uint(2, 0).message(3, &regs).message(4, &message().uint(2, 0));
        self.other = Some((8, 13, info));
    }

    fn core(&self) -> Message {
        let tc = message().uint(1, 1).uint(2, 0).uint(3, 0).uint(4, 0).uint(5, 0).bytes(6, "frozen");
        let (machine, number, info) = match (&self.other, &self.cpu) {
            (Some(other), _) => other.clone(),
            (None, cpu) => {
                let cpu = cpu.clone().unwrap_or_default();
                let general = (1..).zip(cpu.general).fold(message(), |all, (number, value)| all.uint(number, value));
                let general = general.uint(28, if cpu.compat { 2 } else { 1 });
                let float = [(1, 0x37f), (2, 0), (3, 0), (4, 0), (5, 0), (6, 0), (7, 0x1f80), (8, 0xffff)];
                let float = float.into_iter().fold(message(), |all, (number, value)| all.uint(number, value));
                let float = (0..32).fold(float, |all, _| all.uint(9, 0));
                let xmm = if cpu.xmm.is_empty() { vec![0; 64] } else { cpu.xmm };
                let float = xmm.into_iter().fold(float, |all, word| all.uint(10, word));
                (1, 2, message().uint(1, 0).message(2, &general).message(3, &float))
            }
        };
        let core = message().uint(1, machine);
        match number {
            2 => core.message(2, &info).message(3, &tc),
            number => core.message(3, &tc).message(number, &info),
        }
    }

    /// Writes the images into a folder of their own.
    pub fn write(mut self) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let pid = u64::from(self.pid);
        let image = |name: String, magic: &str, entries: &[Message]| {
            let file = entries.iter().fold(File::new(magic), |file, entry| file.entry(entry));
            fs::write(folder.path().join(name), file.0).unwrap();
        };
        let task = message().uint(1, pid).uint(2, 0).uint(3, pid).uint(4, pid).uint(5, pid);
        image("pstree.img".to_owned(), "PSTREE", &[task]);
        image(format!("core-{pid}.img"), "CORE", &[self.core()]);
        let mm = (1..=12).fold(message(), |mm, number| mm.uint(number, 0));
        let mm = self.auxv.iter().fold(mm, |mm, word| mm.uint(13, *word));
        let mm = self.vmas.iter().fold(mm, |mm, vma| mm.message(14, vma));
        image(format!("mm-{pid}.img"), "MM", &[mm]);
        image("files.img".to_owned(), "FILES", &self.files);
        let head = message().uint(1, pid);
        let entries: Vec<Message> = [head].into_iter().chain(self.pagemap.drain(..).map(|(_, entry)| entry)).collect();
        image(format!("pagemap-{pid}.img"), "PAGEMAP", &entries);
        fs::write(folder.path().join(format!("pages-{pid}.img")), &self.pages).unwrap();
        folder
    }
}
