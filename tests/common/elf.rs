//! A plain reader of ELF core files: nothing of the library, nothing lazy.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

pub const PT_NULL: u64 = 0;
pub const PT_LOAD: u64 = 1;
pub const PT_NOTE: u64 = 4;

pub struct CoreFile {
    pub is_64: bool,
    pub machine: u64,
    pub headers: Vec<Header>,
    pub notes: Vec<Note>,
    pub bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
pub struct Header {
    pub kind: u64,
    pub flags: u64,
    pub offset: u64,
    pub address: u64,
    pub bytes: u64,
    pub memory: u64,
    pub align: u64,
}

pub struct Note {
    pub owner: String,
    pub kind: u64,
    pub bytes: Vec<u8>,
}

/// The number of `size` bytes at `at`.
pub fn number(bytes: &[u8], at: usize, size: usize) -> u64 {
    bytes[at..at + size].iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

impl CoreFile {
    pub fn read(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(bytes[..4], *b"\x7fELF");
        let is_64 = bytes[4] == 2;
        assert_eq!((bytes[5], bytes[6]), (1, 1), "little endian, version 1");
        let word = if is_64 { 8 } else { 4 };
        let (mut count, headers_at, sections_at) = (
            number(&bytes, if is_64 { 56 } else { 44 }, 2),
            number(&bytes, 24 + word, word),
            number(&bytes, 24 + 2 * word, word),
        );
        assert_eq!(number(&bytes, 16, 2), 4, "a core file");
        if count == 0xffff {
            let section = &bytes[sections_at as usize..];
            assert_eq!(number(&bytes, if is_64 { 60 } else { 48 }, 2), 1, "one section header");
            count = number(section, if is_64 { 44 } else { 28 }, 4);
        } else {
            assert_eq!(sections_at, 0);
        }
        let size = if is_64 { 56 } else { 32 };
        assert_eq!(number(&bytes, if is_64 { 54 } else { 42 }, 2), size);
        let header = |at: usize| {
            let part = &bytes[at..];
            let get = |place: usize, size: usize| number(part, place, size);
            match is_64 {
                true => Header {
                    kind: get(0, 4),
                    flags: get(4, 4),
                    offset: get(8, 8),
                    address: get(16, 8),
                    bytes: get(32, 8),
                    memory: get(40, 8),
                    align: get(48, 8),
                },
                false => Header {
                    kind: get(0, 4),
                    flags: get(24, 4),
                    offset: get(4, 4),
                    address: get(8, 4),
                    bytes: get(16, 4),
                    memory: get(20, 4),
                    align: get(28, 4),
                },
            }
        };
        let headers: Vec<Header> = (0..count).map(|index| header((headers_at + index * size) as usize)).collect();
        let notes = headers.iter().filter(|header| header.kind == PT_NOTE);
        let notes =
            notes.flat_map(|header| notes_of(&bytes[header.offset as usize..][..header.bytes as usize])).collect();
        Self { is_64, machine: number(&bytes, 18, 2), headers, notes, bytes }
    }

    pub fn loads(&self) -> impl Iterator<Item = &Header> {
        self.headers.iter().filter(|header| header.kind == PT_LOAD)
    }

    /// The bytes of a segment that are in the file.
    pub fn content(&self, header: &Header) -> &[u8] {
        &self.bytes[header.offset as usize..(header.offset + header.bytes) as usize]
    }

    /// Every page that a segment speaks of, by address; what is behind its bytes is zero.
    pub fn pages(&self) -> BTreeMap<u64, Vec<u8>> {
        let mut pages = BTreeMap::new();
        for header in self.loads() {
            let content = self.content(header);
            for at in (0..header.memory).step_by(4096) {
                let mut page = vec![0; 4096];
                if let Some(part) = content.get(at as usize..at as usize + 4096) {
                    page.copy_from_slice(part);
                } else {
                    assert!(at >= header.bytes, "half a page");
                }
                assert!(pages.insert(header.address + at, page).is_none(), "{:#x} twice", header.address + at);
            }
        }
        pages
    }

    pub fn notes_of(&self, owner: &str, kind: u64) -> Vec<&[u8]> {
        let found = self.notes.iter().filter(|note| note.owner == owner && note.kind == kind);
        found.map(|note| &note.bytes[..]).collect()
    }

    /// What is mapped where: start, end, offset in pages, path.
    pub fn files(&self) -> Vec<(u64, u64, u64, String)> {
        let Some(note) = self.notes_of("CORE", 0x4649_4c45).first().copied() else { return Vec::new() };
        let word = if self.is_64 { 8 } else { 4 };
        let count = number(note, 0, word) as usize;
        let mut names = note[(2 + 3 * count) * word..].split(|byte| *byte == 0);
        (0..count)
            .map(|index| {
                let get = |place: usize| number(note, (2 + 3 * index + place) * word, word);
                (get(0), get(1), get(2), String::from_utf8(names.next().unwrap().to_vec()).unwrap())
            })
            .collect()
    }
}

fn notes_of(segment: &[u8]) -> Vec<Note> {
    let mut notes = Vec::new();
    let mut at = 0;
    while at < segment.len() {
        let [name, length, kind] = [0, 4, 8].map(|place| number(segment, at + place, 4));
        let owner = &segment[at + 12..][..name as usize - 1];
        let bytes_at = at + 12 + (name as usize).next_multiple_of(4);
        notes.push(Note {
            owner: String::from_utf8(owner.to_vec()).unwrap(),
            kind,
            bytes: segment[bytes_at..][..length as usize].to_vec(),
        });
        at = bytes_at + (length as usize).next_multiple_of(4);
    }
    assert_eq!(at, segment.len());
    notes
}
