//! Any chain of pagemaps, blocks and pages files, most of them sound up to some place: a page has the bytes that
//! adding up the sizes before it gives, or none; runs and lookups say the same.
#![no_main]

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use icecore::memory::{Content, PageState, Pages, Parents};
use icecore::object::v1::{PagemapBlocks, PagemapEntry};
use icecore::source::Source;
use icecore::{Error, Kind, Limits, Result};
use libfuzzer_sys::fuzz_target;
use prost::Message;

const LIMITS: Limits = Limits { memory: 8 << 20, depth: 100, files: 100, spool: 1 << 20, scan: 64 << 10, parents: 10 };
const PAGE: usize = 4096;
const LEVELS: usize = 3;

/// One dump: its pagemap's entries, and what is in its pages file.
#[derive(Default)]
struct Dump {
    image: Vec<u8>,
    entries: Vec<PagemapEntry>,
    pages: Vec<u8>,
    at: u64,
}

impl Dump {
    /// Eight bytes make an entry: how, the gap before it, pages, content, pages in a block, and what is wrong with it.
    fn add(&mut self, op: &[u8; 8]) {
        let [_, how, gap, pages, seed, per_block, twist, value] = *op;
        let pages = u64::from(pages % 8) + 1;
        let mut content = vec![seed; pages as usize * PAGE];
        for (number, page) in content.chunks_mut(PAGE).enumerate() {
            page[0] = number as u8;
        }
        if seed % 4 == 0 {
            content.fill(0);
        }
        let mut entry = PagemapEntry {
            vaddr: 0x10_0000 + self.at + u64::from(gap % 4) * PAGE as u64,
            flags: Some([4, 4, 12, 4, 12, 1, 2, 0, 6][usize::from(how) % 9]),
            nr_pages: Some(pages),
            ..PagemapEntry::default()
        };
        let flags = entry.flags.unwrap_or(0);
        if flags & 8 != 0 {
            self.pages.resize(self.pages.len().next_multiple_of(PAGE), 0);
        }
        let mut payload = Vec::new();
        if flags & 4 != 0 && matches!(how % 9, 3 | 4) {
            let per_block = usize::from(per_block % 4) + 1;
            let mut blocks = PagemapBlocks { pages_per_block: per_block as u32, ..PagemapBlocks::default() };
            for block in content.chunks(per_block * PAGE) {
                let packed = match block.iter().all(|byte| *byte == 0) {
                    true => Vec::new(),
                    // some as they are
                    false if seed % 3 == 0 => block.to_vec(),
                    false => lz4_flex::block::compress(block),
                };
                blocks.block_sizes.push(packed.len() as u32);
                payload.extend(packed);
            }
            blocks.total_payload_size = payload.len() as u64;
            entry.blocks = Some(blocks);
        } else if flags & 4 != 0 {
            payload = content;
        }
        let wide = u64::from(value);
        match twist % 16 {
            1 => entry.vaddr = entry.vaddr.wrapping_sub(wide << 8),
            2 => entry.flags = Some(flags ^ u32::from(value)),
            3 => entry.nr_pages = Some(wide << (value % 60)),
            4 => {
                if let Some(size) = entry.blocks.as_mut().and_then(|blocks| blocks.block_sizes.first_mut()) {
                    *size = size.wrapping_add(u32::from(value)).wrapping_sub(7);
                }
            }
            5 => {
                if let Some(blocks) = &mut entry.blocks {
                    blocks.total_payload_size = blocks.total_payload_size.wrapping_add(wide);
                }
            }
            6 => {
                if let Some(blocks) = &mut entry.blocks {
                    blocks.pages_per_block = u32::from(value) << (value % 24);
                }
            }
            7 => payload.truncate(usize::from(value)),
            8 => {
                let at = usize::from(value) * payload.len() / 256;
                if let Some(byte) = payload.get_mut(at) {
                    *byte ^= value;
                }
            }
            9 => entry.vaddr |= 0xffff_ffff_0000_0000,
            10 => entry.in_parent = Some(value & 1 != 0),
            11 => (entry.compat_nr_pages, entry.nr_pages) = (u32::from(value), None),
            _ => {}
        }
        let message = entry.encode_to_vec();
        self.image.extend((message.len() as u32).to_le_bytes());
        self.image.extend(message);
        self.pages.extend(payload);
        self.at = entry.vaddr.wrapping_sub(0x10_0000).wrapping_add(pages * PAGE as u64) & 0xff_ffff;
        self.entries.push(entry);
    }

    /// The bytes of a page, by adding up; `Err` where the page is in no entry or leads to the parent.
    fn page(&self, address: u64) -> Result<Option<Vec<u8>>, bool> {
        let mut offset = 0usize;
        for entry in &self.entries {
            let pages = entry.nr_pages.unwrap_or(u64::from(entry.compat_nr_pages));
            let length = pages.wrapping_mul(PAGE as u64);
            let mut flags = entry.flags.unwrap_or(4);
            if entry.in_parent == Some(true) {
                flags = entry.flags.unwrap_or(0) | 1;
            }
            let start = match entry.vaddr >> 32 {
                0xffff_ffff => entry.vaddr & 0xffff_ffff,
                _ => entry.vaddr,
            };
            if flags & 12 == 12 {
                offset = offset.next_multiple_of(PAGE);
            }
            let inside = address.checked_sub(start).filter(|inside| *inside < length);
            if let Some(inside) = inside.map(|inside| inside as usize) {
                if flags & 1 != 0 {
                    return Err(true);
                }
                if flags & 4 == 0 {
                    return Ok(None);
                }
                let Some(blocks) = &entry.blocks else {
                    let from = offset.wrapping_add(inside);
                    return Ok(self.pages.get(from..from.wrapping_add(PAGE)).map(<[u8]>::to_vec));
                };
                let block = (blocks.pages_per_block as usize).wrapping_mul(PAGE).max(1);
                let number = inside / block;
                let before: usize = blocks.block_sizes.iter().take(number).map(|size| *size as usize).sum();
                let Some(size) = blocks.block_sizes.get(number) else { return Ok(None) };
                let room = block.min((length as usize).saturating_sub(number * block));
                let from = offset.wrapping_add(before);
                // zeros take no bytes, so that it does not matter where they are
                let packed = self.pages.get(from..from.wrapping_add(*size as usize)).or((*size == 0).then_some(&[]));
                let Some(packed) = packed else { return Ok(None) };
                let unpacked = match *size as usize {
                    0 => vec![0; room],
                    size if size == room => packed.to_vec(),
                    _ => match lz4_flex::block::decompress(packed, room) {
                        Ok(unpacked) => unpacked,
                        Err(_) => return Ok(None),
                    },
                };
                let at = inside % block;
                return Ok(unpacked.get(at..at + PAGE).map(<[u8]>::to_vec));
            }
            if flags & 4 != 0 {
                offset = offset.wrapping_add(match &entry.blocks {
                    Some(blocks) => blocks.total_payload_size as usize,
                    None => length as usize,
                });
            }
        }
        Err(false)
    }
}

/// The dumps as sources, each with the next as its parent.
struct Link {
    files: Vec<String>,
    dumps: Arc<Vec<(Bytes, Bytes)>>,
    level: usize,
}

impl Source for Link {
    fn name(&self) -> &str {
        "fuzz"
    }

    fn files(&self) -> &[String] {
        &self.files
    }

    fn open(&self, file: &str) -> Result<Bytes> {
        let (pagemap, pages) = &self.dumps[self.level];
        match file {
            "pagemap-1.img" => Ok(pagemap.clone()),
            "pages-1.img" => Ok(pages.clone()),
            _ => Err(Error::usage("no such file")),
        }
    }

    fn size(&self, file: &str) -> Result<u64> {
        self.open(file).map(|bytes| bytes.len() as u64)
    }

    fn parent(&self) -> Result<Option<Arc<dyn Source>>> {
        let level = self.level + 1;
        if level == self.dumps.len() {
            return Ok(None);
        }
        Ok(Some(Arc::new(Link { files: self.files.clone(), dumps: self.dumps.clone(), level })))
    }
}

/// Nobody looks at more pages than these.
const RANGE: Range<u64> = 0xf_0000..0x18_0000;

fuzz_target!(|data: &[u8]| {
    let (ops, _) = data.as_chunks::<8>();
    let mut dumps: [Dump; LEVELS] = Default::default();
    for op in ops.iter().take(64) {
        dumps[usize::from(op[0]) % LEVELS].add(op);
    }
    let files = dumps
        .iter()
        .map(|dump| {
            let head = vec![0x19, 0x43, 0x56, 0x54, 0x25, 0x40, 0x08, 0x56, 2, 0, 0, 0, 8, 1];
            ([head, dump.image.clone()].concat().into(), dump.pages.clone().into())
        })
        .collect();
    let source = Link { files: Vec::new(), dumps: Arc::new(files), level: 0 };
    let parents = Parents::of(Arc::new(source));
    let pages = Pages::open(&parents, Kind::Pagemap, 1, Some(PAGE as u64), &LIMITS).unwrap().unwrap();
    let mut found = Vec::new();
    let mut scratch = Vec::new();
    let mut end = 0;
    for run in pages.runs(RANGE) {
        assert!(end <= run.start && run.start < run.end && run.end <= RANGE.end, "{run:?}");
        end = run.end;
        let bytes = match &run.content {
            Content::Stored(stored) => stored.bytes(&mut scratch).ok().map(<[u8]>::to_vec),
            Content::Zero => Some(vec![0; run.len() as usize]),
            _ => None,
        };
        if let Some(bytes) = &bytes {
            assert_eq!(bytes.len() as u64, run.len());
        }
        for page in 0..run.len() / PAGE as u64 {
            let at = page as usize * PAGE;
            found.push((run.start + page * PAGE as u64, bytes.as_ref().map(|bytes| bytes[at..at + PAGE].to_vec())));
        }
    }
    let mut found = found.into_iter().peekable();
    for address in RANGE.step_by(PAGE) {
        let of_run = found.next_if(|(at, _)| *at == address).map(|(_, bytes)| bytes);
        let looked_up = match pages.page(address + 1) {
            Ok(None) => None,
            Ok(Some(PageState::Stored(bytes))) => Some(Some(bytes.to_vec())),
            Ok(Some(PageState::Missing(_))) | Err(_) => Some(None),
        };
        assert!(of_run == looked_up, "{address:#x}");
        if let Some(Some(bytes)) = looked_up {
            let mut level = 0;
            let want = loop {
                match dumps[level].page(address) {
                    Err(true) if level + 1 < LEVELS => level += 1,
                    Err(_) => panic!("{address:#x} has bytes and is in no entry"),
                    Ok(want) => break want,
                }
            };
            assert!(want.as_deref() == Some(&bytes[..]), "{address:#x}: other bytes");
        }
    }
    assert!(found.next().is_none());
});
