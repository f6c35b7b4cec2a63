//! Memory of version 2, written byte by byte as the tests say: runs, blocks, and what frames them; right or wrong.

use std::collections::BTreeMap;

pub const NOWHERE: u64 = u64::MAX;
pub const PARENT: u32 = 1;
pub const LAZY: u32 = 2;
pub const PRESENT: u32 = 4;
pub const ZERO: u32 = 256;
pub const CONT: u32 = 512;
pub const BY_ADDRESS: u32 = 2048;

/// Kinds of images.
pub const PAGEMAP: u32 = 7;
pub const PAGES: u32 = 9;

/// CRC-32C, bit by bit but for a table.
pub fn crc(before: u32, bytes: &[u8]) -> u32 {
    static TABLE: std::sync::OnceLock<[u32; 256]> = std::sync::OnceLock::new();
    let table = TABLE.get_or_init(|| {
        std::array::from_fn(|byte| {
            (0..8).fold(byte as u32, |crc, _| if crc % 2 == 1 { (crc / 2) ^ 0x82f6_3b78 } else { crc / 2 })
        })
    });
    !bytes.iter().fold(!before, |crc, byte| (crc / 256) ^ table[((crc ^ u32::from(*byte)) % 256) as usize])
}

fn fixed32(out: &mut Vec<u8>, number: u8, value: u32) {
    out.push(number * 8 + 5);
    out.extend(value.to_le_bytes());
}

fn fixed64(out: &mut Vec<u8>, number: u8, value: u64) {
    out.push(number * 8 + 1);
    out.extend(value.to_le_bytes());
}

fn bytes(out: &mut Vec<u8>, number: u8, value: &[u8]) {
    out.push(number * 8 + 2);
    super::writer::varint(out, value.len() as u64);
    out.extend(value);
}

/// Consecutive pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    pub vaddr: u64,
    pub pages: u64,
    pub page: u64,
    pub flags: u32,
}

impl Run {
    pub fn new(vaddr: u64, pages: u64, page: u64, flags: u32) -> Self {
        Self { vaddr, pages, page, flags }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        fixed64(&mut out, 1, self.vaddr);
        fixed64(&mut out, 2, self.pages);
        fixed64(&mut out, 3, self.page);
        fixed32(&mut out, 4, self.flags);
        out
    }
}

/// A block of pages as the tests want it.
#[derive(Clone, Debug)]
pub struct Block {
    pub first: u64,
    pub pages: u32,
    pub codec: u32,
    pub unit: u32,
    /// What is stored of each unit.
    pub units: Vec<Vec<u8>>,
    pub sums: bool,
    /// Its data begin at a multiple of this.
    pub align: usize,
}

impl Block {
    /// A block of these pages, packed.
    pub fn new(first: u64, content: &[u8], page: usize, codec: u32, unit: u32) -> Self {
        let units = content.chunks(page * unit as usize).map(|plain| {
            let packed = match codec {
                0 => return plain.to_vec(),
                1 => lz4_flex::block::compress(plain),
                _ => zstd::bulk::compress(plain, 1).unwrap(),
            };
            if plain.iter().all(|byte| *byte == 0) {
                Vec::new()
            } else if packed.len() >= plain.len() {
                plain.to_vec()
            } else {
                packed
            }
        });
        let pages = (content.len() / page) as u32;
        Self { first, pages, codec, unit, units: units.collect(), sums: true, align: 4096 }
    }
}

/// A file of version 2 as it grows.
pub struct File {
    pub bytes: Vec<u8>,
    dump: u64,
    open: Option<(u32, u64, usize)>,
    images: BTreeMap<(u32, u64), (u32, u32, u32)>,
    rows: Vec<(u32, u64, usize, usize)>,
    blocks: Vec<(u64, u32, usize, usize)>,
}

impl File {
    pub fn new(dump: u64) -> Self {
        let (images, rows, blocks) = (BTreeMap::new(), Vec::new(), Vec::new());
        let mut file = Self { bytes: Vec::new(), dump, open: None, images, rows, blocks };
        file.image(200, 0);
        file.record(12, 1, &[]);
        file.stop(200, 0);
        file
    }

    /// The next records belong to this image.
    pub fn image(&mut self, kind: u32, id: u64) {
        if self.open.is_some_and(|(open, number, _)| (open, number) == (kind, id)) {
            return;
        }
        self.close();
        let at = self.bytes.len();
        let state = self.images.entry((kind, id)).or_default();
        let number = state.0;
        state.0 += 1;
        let mut header = Vec::new();
        fixed32(&mut header, 1, u32::from_le_bytes(*b"CRIU"));
        fixed32(&mut header, 2, 2);
        fixed32(&mut header, 3, kind);
        fixed32(&mut header, 4, u32::from(number > 0));
        fixed64(&mut header, 5, id);
        fixed64(&mut header, 6, self.dump);
        fixed32(&mut header, 7, 1);
        let sum = crc(0, &header[..43]);
        fixed32(&mut header, 8, sum);
        // the tag of the checksum is in it as well
        let sum = crc(0, &header[..44]);
        header[44..].copy_from_slice(&sum.to_le_bytes());
        self.bytes.extend(header);
        self.open = Some((kind, id, at));
        self.record(1, number, &[]);
    }

    fn close(&mut self) {
        if let Some((kind, id, at)) = self.open.take() {
            self.rows.push((kind, id, at, self.bytes.len() - at));
        }
    }

    /// The bytes of a header whose checksum is also that of `payload`, which may be shorter than `size`.
    fn header(object: u32, count: u32, size: u64, before: u32, payload: &[u8]) -> Vec<u8> {
        let mut header = Vec::new();
        fixed32(&mut header, 11, object);
        fixed32(&mut header, 12, count);
        fixed64(&mut header, 13, size);
        header.push(14 * 8 + 5);
        let sum = crc(crc(before, &header), payload);
        header.extend(sum.to_le_bytes());
        header
    }

    fn count(&mut self, header: &[u8]) {
        let (kind, id, _) = self.open.unwrap();
        let state = self.images.get_mut(&(kind, id)).unwrap();
        state.1 += 1;
        state.2 = crc(state.2, header);
    }

    pub fn record(&mut self, object: u32, count: u32, payload: &[u8]) {
        let header = Self::header(object, count, payload.len() as u64, 0, payload);
        self.count(&header);
        self.bytes.extend(header);
        self.bytes.extend(payload);
    }

    /// A batch of runs; where it begins.
    pub fn runs(&mut self, runs: &[Run]) -> usize {
        let at = self.bytes.len();
        let payload: Vec<u8> = runs.iter().flat_map(Run::bytes).collect();
        self.record(64, runs.len() as u32, &payload);
        at
    }

    /// A block; where its data begin.
    pub fn block(&mut self, block: &Block) -> usize {
        let mut prefix = Vec::new();
        fixed64(&mut prefix, 1, block.first);
        fixed32(&mut prefix, 2, block.pages);
        fixed32(&mut prefix, 3, block.codec);
        fixed32(&mut prefix, 4, block.unit);
        let data: Vec<u8> = block.units.concat();
        if block.codec != 0 {
            let sizes: Vec<u8> = block.units.iter().flat_map(|unit| (unit.len() as u32).to_le_bytes()).collect();
            bytes(&mut prefix, 5, &sizes);
        }
        if block.sums {
            let sums: Vec<u8> = block.units.iter().flat_map(|unit| crc(0, unit).to_le_bytes()).collect();
            bytes(&mut prefix, 6, &sums);
        }
        let mut end = vec![8 * 8 + 2];
        super::writer::varint(&mut end, data.len() as u64);
        let at = self.bytes.len();
        for padding in 0..3 * block.align {
            let mut whole = prefix.clone();
            if padding > 0 {
                bytes(&mut whole, 7, &vec![0; padding - 1]);
            }
            whole.extend(&end);
            if (at + 24 + whole.len()).is_multiple_of(block.align) {
                prefix = whole;
                break;
            }
        }
        let header = Self::header(6, 1, (prefix.len() + data.len()) as u64, 0, &prefix);
        self.count(&header);
        self.bytes.extend(header);
        self.bytes.extend(prefix);
        let start = self.bytes.len();
        self.bytes.extend(data);
        self.blocks.push((block.first, block.pages, at, start - at));
        start
    }

    pub fn stop(&mut self, kind: u32, id: u64) {
        self.image(kind, id);
        let (_, headers, sum) = self.images[&(kind, id)];
        let header = Self::header(2, headers, 0, sum, &[]);
        self.bytes.extend(header);
        self.close();
    }

    /// The end of a bundle with its directory, or of one without.
    pub fn finish(mut self, directory: bool) -> Vec<u8> {
        self.close();
        let at = self.bytes.len();
        let images = self.images.len() as u32;
        if directory {
            let mut rows = std::mem::take(&mut self.rows);
            rows.sort_unstable();
            let mut blocks = std::mem::take(&mut self.blocks);
            blocks.sort_unstable();
            self.image(201, 0);
            let mut payload = Vec::new();
            for (kind, id, offset, size) in &rows {
                fixed32(&mut payload, 1, *kind);
                fixed64(&mut payload, 2, *id);
                fixed64(&mut payload, 3, *offset as u64);
                fixed64(&mut payload, 4, *size as u64);
            }
            self.record(4, rows.len() as u32, &payload);
            let mut payload = Vec::new();
            for (first, pages, offset, data) in &blocks {
                fixed64(&mut payload, 1, *first);
                fixed64(&mut payload, 2, u64::from(*pages));
                fixed64(&mut payload, 3, *offset as u64);
                fixed32(&mut payload, 4, *data as u32);
            }
            self.record(7, blocks.len() as u32, &payload);
            self.stop(201, 0);
        }
        let mut end = Vec::new();
        fixed64(&mut end, 1, if directory { at as u64 } else { 0 });
        fixed64(&mut end, 2, (self.bytes.len() + 56) as u64);
        fixed64(&mut end, 3, 0);
        fixed32(&mut end, 4, images + u32::from(directory));
        let header = Self::header(5, 1, 32, 0, &end);
        self.bytes.extend(header);
        self.bytes.extend(end);
        self.bytes
    }
}
