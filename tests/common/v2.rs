//! Writes version 2 byte by byte from its description; shares no code with the library.

/// CRC-32C, bit by bit from a table made here.
pub fn crc(before: u32, bytes: &[u8]) -> u32 {
    static TABLE: std::sync::LazyLock<[u32; 256]> = std::sync::LazyLock::new(|| {
        std::array::from_fn(|index| {
            (0..8).fold(index as u32, |value, _| if value & 1 == 1 { value >> 1 ^ 0x82f6_3b78 } else { value >> 1 })
        })
    });
    !bytes.iter().fold(!before, |sum, byte| sum >> 8 ^ TABLE[((sum ^ u32::from(*byte)) & 0xff) as usize])
}

pub const PAD: u32 = 0;
pub const START: u32 = 1;
pub const STOP: u32 = 2;
pub const DIRECTORY: u32 = 4;
pub const END: u32 = 5;
pub const BLOCK: u32 = 6;
pub const TABLE: u32 = 7;
pub const RUN: u32 = 64;

pub const PAGES: u32 = 9;
pub const CHECKPOINT: u32 = 200;
pub const LIST: u32 = 201;

pub fn fixed32(number: u8, value: u32) -> Vec<u8> {
    [&[number << 3 | 5][..], &value.to_le_bytes()].concat()
}

pub fn fixed64(number: u8, value: u64) -> Vec<u8> {
    [&[number << 3 | 1][..], &value.to_le_bytes()].concat()
}

pub fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

pub fn bytes(number: u8, value: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2][..], &varint(value.len() as u64), value].concat()
}

/// The header of a section.
pub fn image(kind: u32, id: u64, dump: u64, flags: u32) -> Vec<u8> {
    let mut out = [
        fixed32(1, u32::from_le_bytes(*b"CRIU")),
        fixed32(2, 2),
        fixed32(3, kind),
        fixed32(4, flags),
        fixed64(5, id),
        fixed64(6, dump),
        fixed32(7, 1),
        vec![0x45],
    ]
    .concat();
    let sum = crc(0, &out[..44]);
    out.extend(sum.to_le_bytes());
    out
}

/// A header with this checksum.
pub fn header(object_type: u32, count: u32, size: u64, sum: u32) -> Vec<u8> {
    [fixed32(11, object_type), fixed32(12, count), fixed64(13, size), fixed32(14, sum)].concat()
}

/// A record; `covered` bytes of its payload are under its checksum.
pub fn record(object_type: u32, count: u32, payload: &[u8], covered: usize) -> Vec<u8> {
    let mut out = header(object_type, count, payload.len() as u64, 0);
    let sum = crc(crc(0, &out[..20]), &payload[..covered]);
    out[20..24].copy_from_slice(&sum.to_le_bytes());
    out.extend(payload);
    out
}

/// A raw block of pages of `page` bytes, in units of so many pages.
pub fn block(first: u64, page: usize, unit: u32, data: &[u8]) -> (Vec<u8>, u32) {
    let pages = (data.len() / page) as u32;
    let sums: Vec<u8> = data.chunks(page * unit as usize).flat_map(|unit| crc(0, unit).to_le_bytes()).collect();
    let mut payload = [fixed64(1, first), fixed32(2, pages), fixed32(3, 0), fixed32(4, unit), bytes(6, &sums)].concat();
    payload.push(0x42);
    payload.extend(varint(data.len() as u64));
    let covered = payload.len();
    payload.extend(data);
    (record(BLOCK, 1, &payload, covered), covered as u32 + 24)
}

/// What is known of an image.
#[derive(Clone, Default)]
struct State {
    sections: u32,
    headers: u32,
    sum: u32,
    is_stopped: bool,
}

/// A file that is being written; nothing keeps it from being wrong.
#[derive(Clone, Default)]
pub struct File {
    pub out: Vec<u8>,
    pub dump: u64,
    images: std::collections::BTreeMap<(u32, u64), State>,
    open: Option<(u32, u64)>,
    /// kind, id, offset, size
    pub rows: Vec<(u32, u64, u64, u64)>,
    /// first, pages, offset, data
    pub blocks: Vec<(u64, u64, u64, u32)>,
    pub previous: u64,
}

impl File {
    pub fn new(dump: u64) -> Self {
        Self { dump, ..Self::default() }
    }

    /// Another dump is written behind what is there.
    pub fn next(self, dump: u64) -> Self {
        Self { out: self.out, dump, previous: self.previous, ..Self::default() }
    }

    fn put(&mut self, record: &[u8]) {
        if let Some(state) = self.open.and_then(|open| self.images.get_mut(&open)) {
            state.headers += 1;
            state.sum = crc(state.sum, &record[..24]);
        }
        self.out.extend(record);
        if let Some(row) = self.rows.last_mut().filter(|_| self.open.is_some()) {
            row.3 = self.out.len() as u64 - row.2;
        }
    }

    /// A section of an image; the second is continued.
    pub fn section(&mut self, kind: u32, id: u64) -> &mut Self {
        let state = self.images.entry((kind, id)).or_default();
        if state.is_stopped {
            *state = State::default();
        }
        if state.sections == 0 {
            // perhaps written again
            self.rows.retain(|row| (row.0, row.1) != (kind, id));
        }
        let number = state.sections;
        state.sections += 1;
        self.open = Some((kind, id));
        self.rows.push((kind, id, self.out.len() as u64, 0));
        let header = image(kind, id, self.dump, u32::from(number > 0));
        self.out.extend(header);
        self.put(&record(START, number, &[], 0));
        self
    }

    pub fn record(&mut self, object_type: u32, count: u32, payload: &[u8]) -> &mut Self {
        self.put(&record(object_type, count, payload, payload.len()));
        self
    }

    pub fn block(&mut self, first: u64, page: usize, unit: u32, data: &[u8]) -> &mut Self {
        let (record, at) = block(first, page, unit, data);
        self.blocks.push((first, (data.len() / page) as u64, self.out.len() as u64, at));
        self.put(&record);
        self
    }

    pub fn stop(&mut self) -> &mut Self {
        let state = self.images.get_mut(&self.open.unwrap()).unwrap();
        state.is_stopped = true;
        let head = header(STOP, state.headers, 0, 0);
        let stop = header(STOP, state.headers, 0, crc(state.sum, &head[..20]));
        self.put(&stop);
        self.open = None;
        self
    }

    /// An image with one record.
    pub fn small(&mut self, kind: u32, id: u64, payload: &[u8]) -> &mut Self {
        self.section(kind, id).record(80, 1, payload).stop()
    }

    pub fn images(&self) -> u32 {
        self.images.values().filter(|state| state.is_stopped).count() as u32
    }

    pub fn end(&mut self, directory: u64, images: u32) -> &mut Self {
        let at = self.out.len() as u64;
        let end = [fixed64(1, directory), fixed64(2, at + 56), fixed64(3, self.previous), fixed32(4, images)].concat();
        self.open = None;
        self.out.extend(record(END, 1, &end, 32));
        self.previous = at;
        self.images.clear();
        self
    }

    /// END without a directory.
    pub fn stream(&mut self) -> &mut Self {
        let images = self.images();
        self.end(0, images)
    }

    /// Directory and END.
    pub fn bundle(&mut self) -> &mut Self {
        let images = self.images() + 1;
        self.directory(images)
    }

    /// Directory and END, which says so many images.
    pub fn directory(&mut self, images: u32) -> &mut Self {
        let mut rows = self.rows.clone();
        rows.sort_unstable();
        let array = |rows: &[(u32, u64, u64, u64)]| -> Vec<u8> {
            let row = |row: &(u32, u64, u64, u64)| {
                [fixed32(1, row.0), fixed64(2, row.1), fixed64(3, row.2), fixed64(4, row.3)].concat()
            };
            rows.iter().flat_map(row).collect()
        };
        let at = self.out.len() as u64;
        self.section(LIST, 0);
        self.record(DIRECTORY, rows.len() as u32, &array(&rows));
        let mut blocks = self.blocks.clone();
        blocks.sort_unstable();
        let table: Vec<u8> = blocks
            .iter()
            .flat_map(|row| [fixed64(1, row.0), fixed64(2, row.1), fixed64(3, row.2), fixed32(4, row.3)].concat())
            .collect();
        if !blocks.is_empty() {
            self.record(TABLE, blocks.len() as u32, &table);
        }
        self.stop();
        self.rows.pop();
        self.end(at, images)
    }
}

/// A run of pages.
pub fn run(vaddr: u64, pages: u64, page: u64, flags: u32) -> Vec<u8> {
    [fixed64(1, vaddr), fixed64(2, pages), fixed64(3, page), fixed32(4, flags)].concat()
}
