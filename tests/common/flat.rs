//! The memory of a dumped process, by a plain program: no index, no laziness, nothing of the library but its prost
//! structs. What lookups, searches and copies are held against.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use icecore::v1;
use prost::Message;

/// Pages by address; `None` for those that are nowhere.
type Pages = BTreeMap<u64, Option<Vec<u8>>>;

const PAGE: usize = 4096;
const PRESENT: u32 = 4;
const PARENT: u32 = 1;
const ALIGNED: u32 = 8;

/// The messages of an image with entries.
pub fn entries(file: &Path) -> Vec<Vec<u8>> {
    let bytes = fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let mut at = if bytes[..4] == 0x5456_4319u32.to_le_bytes() { 8 } else { 4 };
    let mut found = Vec::new();
    while at < bytes.len() {
        let size = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        found.push(bytes[at + 4..at + 4 + size].to_vec());
        at += 4 + size;
    }
    found
}

/// The stored pages of a pagemap, its parents' included, by address.
pub fn stored(dir: &Path, pagemap: &str) -> Pages {
    let mut messages = entries(&dir.join(pagemap)).into_iter();
    let head = v1::PagemapHead::decode(&messages.next().unwrap()[..]).unwrap();
    let pages = fs::read(dir.join(format!("pages-{}.img", head.pages_id))).unwrap_or_default();
    let mut parent = None;
    let mut found = BTreeMap::new();
    let mut offset = 0usize;
    for message in messages {
        let entry = v1::PagemapEntry::decode(&message[..]).unwrap();
        let count = entry.nr_pages.unwrap_or(u64::from(entry.compat_nr_pages));
        let in_parent = entry.in_parent == Some(true);
        let flags = if in_parent { entry.flags.unwrap_or(0) | PARENT } else { entry.flags.unwrap_or(PRESENT) };
        let address = |page: u64| {
            let address = entry.vaddr.wrapping_add(page * PAGE as u64);
            if address >> 32 == 0xffff_ffff { address & 0xffff_ffff } else { address }
        };
        if flags & PARENT != 0 {
            let parent = parent.get_or_insert_with(|| {
                let parent = dir.join("parent");
                if parent.join(pagemap).exists() { stored(&parent, pagemap) } else { BTreeMap::new() }
            });
            for page in 0..count {
                found.insert(address(page), parent.get(&address(page)).cloned().flatten());
            }
        } else if flags & PRESENT != 0 {
            if flags & ALIGNED != 0 {
                offset = offset.next_multiple_of(PAGE);
            }
            let bytes = match &entry.blocks {
                None => {
                    let end = offset + count as usize * PAGE;
                    let bytes = pages.get(offset..end).map(<[u8]>::to_vec);
                    offset = end;
                    bytes
                }
                Some(blocks) => {
                    let mut bytes = Vec::new();
                    for &size in &blocks.block_sizes {
                        let left = count as usize * PAGE - bytes.len();
                        let room = left.min(blocks.pages_per_block as usize * PAGE);
                        let packed = &pages[offset..offset + size as usize];
                        match size as usize {
                            0 => bytes.resize(bytes.len() + room, 0),
                            size if size == room => bytes.extend_from_slice(packed),
                            _ => bytes.extend(lz4_flex::block::decompress(packed, room).unwrap()),
                        }
                        offset += size as usize;
                    }
                    assert_eq!(bytes.len(), count as usize * PAGE);
                    Some(bytes)
                }
            };
            for page in 0..count {
                let from = page as usize * PAGE;
                found.insert(address(page), bytes.as_ref().map(|bytes| bytes[from..from + PAGE].to_vec()));
            }
        } else if flags != 0 {
            for page in 0..count {
                found.insert(address(page), None);
            }
        }
    }
    found
}

/// Consecutive bytes of a process: what is stored and what is zero, neighbours joined.
pub struct Range {
    pub start: u64,
    pub bytes: Vec<u8>,
}

/// All that a process can read and the dump knows, in ascending order. What is in files that are mapped, what the
/// kernel makes and what is missing is left out, and parts what is around it.
pub fn memory(dir: &Path, pid: u32) -> Vec<Range> {
    let own = stored(dir, &format!("pagemap-{pid}.img"));
    let mm = v1::MmEntry::decode(&entries(&dir.join(format!("mm-{pid}.img")))[0][..]).unwrap();
    let mut segments: BTreeMap<u64, Option<Pages>> = BTreeMap::new();
    let mut pages: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    for vma in &mm.vmas {
        let is = |bit: u32| vma.status & 1 << bit != 0;
        let is_private = vma.flags & 1 == 0;
        let (mut segment, mut size) = (None, u64::MAX);
        if is(8) || is(10) {
            segment = Some(vma.shmid);
        } else if is(14) {
            let (id, length) = memfd(dir, vma.shmid);
            (segment, size) = (Some(id), length.next_multiple_of(PAGE as u64));
        }
        let is_file = is(6) || is(7);
        let is_zero =
            segment.is_some() || !is_file && !is(2) && !is(3) && !is(11) && !is(12) && !is(13) && !is(17) && !is(27);
        let shared = segment.map(|id| {
            segments.entry(id).or_insert_with(|| {
                let name = format!("pagemap-shmem-{id}.img");
                dir.join(&name).exists().then(|| stored(dir, &name))
            })
        });
        for address in (vma.start..vma.end).step_by(PAGE) {
            if segment.is_none() || is_private {
                match own.get(&address) {
                    Some(Some(bytes)) => {
                        pages.insert(address, bytes.clone());
                        continue;
                    }
                    Some(None) => continue,
                    None => {}
                }
            }
            let offset = vma.pgoff + (address - vma.start);
            match &shared {
                Some(None) => continue,
                Some(Some(_)) if offset >= size => continue,
                Some(Some(shared)) => match shared.get(&offset) {
                    Some(Some(bytes)) => {
                        pages.insert(address, bytes.clone());
                        continue;
                    }
                    Some(None) => continue,
                    None => {}
                },
                None => {}
            }
            if is_zero {
                pages.insert(address, vec![0; PAGE]);
            }
        }
    }
    for vma in mm.vmas.iter().filter(|vma| vma.status & 1 << 16 != 0) {
        pages.retain(|address, _| !(vma.start..vma.end).contains(address));
    }
    // what is stored and not mapped
    for (address, bytes) in own {
        if !mm.vmas.iter().any(|vma| (vma.start..vma.end).contains(&address))
            && let Some(bytes) = bytes
        {
            pages.insert(address, bytes);
        }
    }
    let mut ranges: Vec<Range> = Vec::new();
    for (address, bytes) in pages {
        match ranges.last_mut() {
            Some(range) if range.start + range.bytes.len() as u64 == address => range.bytes.extend(bytes),
            _ => ranges.push(Range { start: address, bytes }),
        }
    }
    ranges
}

/// Which pagemap has the content of an open memfd, and its size.
pub fn memfd(dir: &Path, file: u64) -> (u64, u64) {
    let files = entries(&dir.join("files.img"));
    let inode = files
        .iter()
        .map(|message| v1::FileEntry::decode(&message[..]).unwrap())
        .find(|entry| entry.memfd.is_some() && u64::from(entry.id) == file)
        .and_then(|entry| Some(entry.memfd?.inode_id))
        .unwrap_or_else(|| panic!("no memfd {file}"));
    let inodes = entries(&dir.join("memfd.img"));
    let inodes = inodes.iter().map(|message| v1::MemfdInodeEntry::decode(&message[..]).unwrap());
    let entry = inodes.into_iter().find(|entry| entry.inode_id == u64::from(inode)).unwrap();
    (u64::from(entry.shmid), entry.size)
}

/// The processes of a dump that have memory, ascending.
pub fn pids(dir: &Path) -> Vec<u32> {
    let mut pids: Vec<u32> = fs::read_dir(dir)
        .unwrap()
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().ok()?;
            name.strip_prefix("mm-")?.strip_suffix(".img")?.parse().ok()
        })
        .collect();
    pids.sort_unstable();
    pids
}

/// Every dump in `tests/data` with the processes that have memory.
pub fn data() -> Vec<(PathBuf, Vec<u32>)> {
    super::corpus::dumps(&super::corpus::data()).into_iter().map(|dir| (dir.clone(), pids(&dir))).collect()
}
