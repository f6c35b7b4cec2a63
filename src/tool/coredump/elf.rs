//! The headers of an ELF core file, of 64 and of 32 bits, byte for byte.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{Immutable, IntoBytes, Unaligned};

/// For which machine a core file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Format {
    /// Whether its words have 64 bits, else 32.
    pub(super) is_64: bool,
    /// The machine's number (`e_machine`).
    pub(super) machine: u16,
}

pub(super) const X86_64: Format = Format { is_64: true, machine: 62 };
pub(super) const I386: Format = Format { is_64: false, machine: 3 };
pub(super) const AARCH64: Format = Format { is_64: true, machine: 183 };

/// What a program header is about.
pub(super) mod kind {
    /// Nothing that readers act on.
    pub(in crate::tool::coredump) const NULL: u32 = 0;
    pub(in crate::tool::coredump) const LOAD: u32 = 1;
    pub(in crate::tool::coredump) const NOTE: u32 = 4;
}

/// So many program headers say that their number stands in the first section header.
const MANY: u64 = 0xffff;
const CORE: u16 = 4;

/// Where the parts of a core file are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    pub(super) format: Format,
    /// How many program headers it has.
    pub(super) headers: u64,
}

/// A program header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ProgramHeader {
    pub(super) kind: u32,
    /// 1 execute, 2 write, 4 read.
    pub(super) flags: u32,
    pub(super) offset: u64,
    pub(super) address: u64,
    /// Bytes in the file.
    pub(super) bytes: u64,
    /// Bytes in memory.
    pub(super) memory: u64,
    pub(super) align: u64,
}

#[derive(IntoBytes, Immutable, Unaligned)]
#[repr(C)]
struct FileHeader<Word> {
    ident: [u8; 16],
    kind: U16,
    machine: U16,
    version: U32,
    entry: Word,
    program_headers: Word,
    section_headers: Word,
    flags: U32,
    size: U16,
    program_header_size: U16,
    program_header_count: U16,
    section_header_size: U16,
    section_header_count: U16,
    section_names: U16,
}

#[derive(IntoBytes, Immutable, Unaligned)]
#[repr(C)]
struct ProgramHeader64 {
    kind: U32,
    flags: U32,
    offset: U64,
    address: U64,
    physical: U64,
    bytes: U64,
    memory: U64,
    align: U64,
}

#[derive(IntoBytes, Immutable, Unaligned)]
#[repr(C)]
struct ProgramHeader32 {
    kind: U32,
    offset: U32,
    address: U32,
    physical: U32,
    bytes: U32,
    memory: U32,
    flags: U32,
    align: U32,
}

#[derive(IntoBytes, Immutable, Unaligned)]
#[repr(C)]
struct SectionHeader<Word> {
    name: U32,
    kind: U32,
    flags: Word,
    address: Word,
    offset: Word,
    size: Word,
    link: U32,
    info: U32,
    align: Word,
    entry_size: Word,
}

/// The low 32 bits: what a core file of 32 bits can hold was looked at before.
pub(super) fn low(value: u64) -> u32 {
    (value & 0xffff_ffff) as u32
}

impl Format {
    fn header_size(self) -> u16 {
        if self.is_64 { 64 } else { 52 }
    }

    fn program_header_size(self) -> u16 {
        if self.is_64 { 56 } else { 32 }
    }

    fn section_header_size(self) -> u16 {
        if self.is_64 { 64 } else { 40 }
    }

    /// The first number that is too large for an address or an offset; `None` where all are good.
    pub(super) fn end(self) -> Option<u64> {
        (!self.is_64).then_some(1 << 32)
    }
}

impl Places {
    /// Whether the number of program headers is too large for the file's header.
    fn has_section(self) -> bool {
        self.headers >= MANY
    }

    /// Where the program headers begin: behind the file's header, and the section header if there is one.
    fn program_headers(self) -> u64 {
        let section = if self.has_section() { self.format.section_header_size() } else { 0 };
        u64::from(self.format.header_size()).saturating_add(u64::from(section))
    }

    /// Where the notes begin: behind the program headers.
    pub(super) fn notes(self) -> u64 {
        let bytes = self.headers.saturating_mul(u64::from(self.format.program_header_size()));
        self.program_headers().saturating_add(bytes)
    }

    /// All up to the program headers.
    pub(super) fn head(self) -> Vec<u8> {
        if self.format.is_64 {
            self.head_of::<U64>(U64::new)
        } else {
            self.head_of::<U32>(|value| U32::new(low(value)))
        }
    }

    fn head_of<Word: IntoBytes + Immutable + Unaligned>(self, word: impl Fn(u64) -> Word) -> Vec<u8> {
        let Format { is_64, machine } = self.format;
        let count = u16::try_from(self.headers).unwrap_or(u16::MAX);
        let section = u16::from(self.has_section());
        let mut ident = [0; 16];
        let first = [0x7f, b'E', b'L', b'F', if is_64 { 2 } else { 1 }, 1, 1];
        ident.iter_mut().zip(first).for_each(|(to, from)| *to = from);
        let header = FileHeader {
            ident,
            kind: U16::new(CORE),
            machine: U16::new(machine),
            version: U32::new(1),
            entry: word(0),
            program_headers: word(self.program_headers()),
            section_headers: word(u64::from(section.saturating_mul(self.format.header_size()))),
            flags: U32::new(0),
            size: U16::new(self.format.header_size()),
            program_header_size: U16::new(self.format.program_header_size()),
            program_header_count: U16::new(count),
            section_header_size: U16::new(section.saturating_mul(self.format.section_header_size())),
            section_header_count: U16::new(section),
            section_names: U16::new(0),
        };
        let mut bytes = header.as_bytes().to_vec();
        if self.has_section() {
            let section = SectionHeader {
                name: U32::new(0),
                kind: U32::new(0),
                flags: word(0),
                address: word(0),
                offset: word(0),
                size: word(1),
                link: U32::new(0),
                info: U32::new(low(self.headers)),
                align: word(0),
                entry_size: word(0),
            };
            bytes.extend_from_slice(section.as_bytes());
        }
        bytes
    }
}

impl ProgramHeader {
    /// Appends its bytes.
    pub(super) fn write(&self, format: Format, out: &mut Vec<u8>) {
        if format.is_64 {
            let header = ProgramHeader64 {
                kind: U32::new(self.kind),
                flags: U32::new(self.flags),
                offset: U64::new(self.offset),
                address: U64::new(self.address),
                physical: U64::new(0),
                bytes: U64::new(self.bytes),
                memory: U64::new(self.memory),
                align: U64::new(self.align),
            };
            out.extend_from_slice(header.as_bytes());
        } else {
            let word = |value: u64| U32::new(low(value));
            let header = ProgramHeader32 {
                kind: U32::new(self.kind),
                offset: word(self.offset),
                address: word(self.address),
                physical: word(0),
                bytes: word(self.bytes),
                memory: word(self.memory),
                flags: U32::new(self.flags),
                align: word(self.align),
            };
            out.extend_from_slice(header.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_those_of_the_format() {
        for format in [X86_64, I386, AARCH64] {
            let few = Places { format, headers: 3 };
            assert_eq!(few.head().len(), usize::from(format.header_size()));
            let many = Places { format, headers: 0xffff };
            assert_eq!(many.head().len() as u64, many.program_headers());
            assert_eq!(many.head()[if format.is_64 { 56 } else { 44 }..][..2], [0xff, 0xff]);
            let mut bytes = Vec::new();
            let header = ProgramHeader { kind: 1, flags: 5, offset: 0, address: 0, bytes: 0, memory: 0, align: 1 };
            header.write(format, &mut bytes);
            assert_eq!(bytes.len(), usize::from(format.program_header_size()));
        }
    }
}
