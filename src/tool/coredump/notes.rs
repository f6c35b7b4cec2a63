//! The notes of a core file: what it says of the process and its threads, apart from memory.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{Immutable, IntoBytes, Unaligned};

use crate::base::{Error, Result};
use crate::checkpoint::file::Remap;
use crate::checkpoint::mm::Backing;
use crate::tool::coredump::elf::{Format, low};
use crate::tool::coredump::segments::{Plan, Segment};
use crate::tool::coredump::write::Out;

/// Owners of notes.
pub(super) const CORE: &str = "CORE";
pub(super) const LINUX: &str = "LINUX";

/// What a note is about.
pub(super) mod kind {
    pub(in crate::tool::coredump) const PRSTATUS: u32 = 1;
    pub(in crate::tool::coredump) const FPREGSET: u32 = 2;
    pub(in crate::tool::coredump) const PRPSINFO: u32 = 3;
    pub(in crate::tool::coredump) const AUXV: u32 = 6;
    pub(in crate::tool::coredump) const SIGINFO: u32 = 0x5349_4749;
    pub(in crate::tool::coredump) const FILE: u32 = 0x4649_4c45;
    pub(in crate::tool::coredump) const PRXFPREG: u32 = 0x46e6_2b7f;
    pub(in crate::tool::coredump) const I386_TLS: u32 = 0x200;
    pub(in crate::tool::coredump) const X86_XSTATE: u32 = 0x202;
    pub(in crate::tool::coredump) const ARM_TLS: u32 = 0x401;
}

/// Writes notes one behind the other.
pub(super) struct Notes<'o, 'w> {
    out: &'o mut Out<'w>,
    format: Format,
}

/// The numbers by which a process is known.
#[derive(Clone, Copy, Debug, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct Numbers {
    pub(super) pid: U32,
    pub(super) ppid: U32,
    pub(super) pgrp: U32,
    pub(super) sid: U32,
}

/// A thread, apart from its registers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Status {
    /// The signal that stopped it; 0 is none.
    pub(super) signal: u32,
    /// Signals sent to it, and those it blocks: bit `k` is signal `k + 1`.
    pub(super) pending: u64,
    pub(super) blocked: u64,
    /// Its own number is the first.
    pub(super) numbers: Numbers,
}

/// What `ps` would show of the process.
#[derive(Clone, Debug)]
pub(super) struct Person {
    /// The kernel's number of its state, and the letter.
    pub(super) state: (u8, u8),
    pub(super) nice: i32,
    pub(super) flags: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) numbers: Numbers,
    pub(super) comm: Vec<u8>,
    pub(super) args: Vec<u8>,
}

/// `elf_prstatus` up to the registers: 112 bytes, or 72.
#[derive(IntoBytes, Immutable, Unaligned)]
#[repr(C)]
struct PrstatusHead<Word> {
    si_signo: U32,
    si_code: U32,
    si_errno: U32,
    cursig: U16,
    padding: U16,
    sigpend: Word,
    sighold: Word,
    numbers: Numbers,
    /// User and system time, its own and its children's: CRIU does not store them.
    times: [[Word; 2]; 4],
}

/// `elf_prpsinfo` of 64 bits: 136 bytes.
#[derive(IntoBytes, Immutable, Unaligned)]
#[repr(C)]
struct Prpsinfo64 {
    state: [u8; 4],
    padding: U32,
    flag: U64,
    uid: U32,
    gid: U32,
    numbers: Numbers,
    fname: [u8; 16],
    psargs: [u8; 80],
}

/// `elf_prpsinfo` of i386: 124 bytes.
#[derive(IntoBytes, Immutable, Unaligned)]
#[repr(C)]
struct Prpsinfo32 {
    state: [u8; 4],
    flag: U32,
    uid: U16,
    gid: U16,
    numbers: Numbers,
    fname: [u8; 16],
    psargs: [u8; 80],
}

/// The last pair of the auxiliary vector.
const AT_NULL: u64 = 0;

impl<'o, 'w> Notes<'o, 'w> {
    pub(super) fn new(out: &'o mut Out<'w>, format: Format) -> Self {
        Self { out, format }
    }

    /// A note with these bytes.
    pub(super) fn note(&mut self, owner: &str, kind: u32, bytes: &[u8]) -> Result<()> {
        self.begin(owner, kind, bytes.len() as u64)?;
        self.out.put(bytes)?;
        self.end(bytes.len() as u64)
    }

    fn begin(&mut self, owner: &str, kind: u32, length: u64) -> Result<()> {
        let length =
            u32::try_from(length).map_err(|_| Error::limit("a note of a core file would be longer than 4 GiB"))?;
        let name = owner.len().saturating_add(1);
        let words = [low(name as u64), length, kind].map(U32::new);
        self.out.put(words.as_bytes())?;
        self.out.put(owner.as_bytes())?;
        self.out.put(&[0])?;
        self.end(name as u64)
    }

    /// Fills up to a multiple of four bytes.
    fn end(&mut self, length: u64) -> Result<()> {
        let zeros = usize::try_from(length.wrapping_neg() & 3).unwrap_or(0);
        self.out.put([0; 4].get(..zeros).unwrap_or_default())
    }

    /// A thread and its general registers. What follows up to the next is about this thread.
    pub(super) fn status(&mut self, status: &Status, registers: &[u8]) -> Result<()> {
        let mut bytes = match self.format.is_64 {
            true => head(status, U64::new).as_bytes().to_vec(),
            false => head(status, |value| U32::new(low(value))).as_bytes().to_vec(),
        };
        bytes.extend_from_slice(registers);
        // there are floating point registers
        bytes.extend_from_slice(U32::new(1).as_bytes());
        if self.format.is_64 {
            bytes.extend_from_slice(&[0; 4]);
        }
        self.note(CORE, kind::PRSTATUS, &bytes)
    }

    /// The process.
    pub(super) fn person(&mut self, of: &Person) -> Result<()> {
        let (number, letter) = of.state;
        let state = [number, letter, 0, of.nice.to_le_bytes().first().copied().unwrap_or(0)];
        let (fname, psargs) = (text(&of.comm), text(&of.args));
        if self.format.is_64 {
            let info = Prpsinfo64 {
                state,
                padding: U32::new(0),
                flag: U64::new(u64::from(of.flags)),
                uid: U32::new(of.uid),
                gid: U32::new(of.gid),
                numbers: of.numbers,
                fname,
                psargs,
            };
            return self.note(CORE, kind::PRPSINFO, info.as_bytes());
        }
        // what does not fit the kernel calls user 65534
        let short = |id: u32| U16::new(u16::try_from(id).unwrap_or(65534));
        let info = Prpsinfo32 {
            state,
            flag: U32::new(of.flags),
            uid: short(of.uid),
            gid: short(of.gid),
            numbers: of.numbers,
            fname,
            psargs,
        };
        self.note(CORE, kind::PRPSINFO, info.as_bytes())
    }

    /// The signal that stopped the process: `struct siginfo`, of which the dump has the number alone.
    pub(super) fn signal(&mut self, signal: u32) -> Result<()> {
        let mut bytes = U32::new(signal).as_bytes().to_vec();
        bytes.resize(128, 0);
        self.note(CORE, kind::SIGINFO, &bytes)
    }

    /// What the kernel told the program at its start: words as they were in memory, 64 bits each whatever the task.
    pub(super) fn auxv(&mut self, words: &[u64]) -> Result<()> {
        // a pair of 32-bit words is one of these
        let (step, kind) = if self.format.is_64 { (2, u64::MAX) } else { (1, 0xffff_ffff) };
        let pairs = words.chunks(step).take_while(|pair| pair.first().is_some_and(|word| word & kind != AT_NULL));
        let mut bytes: Vec<u8> = pairs.flatten().flat_map(|word| word.to_le_bytes()).collect();
        if bytes.is_empty() {
            return Ok(());
        }
        // the kernel's own ends so, and CRIU does not always store the end
        (0..step).for_each(|_| bytes.extend_from_slice(&AT_NULL.to_le_bytes()));
        self.note(CORE, kind::AUXV, &bytes)
    }

    /// Which files are mapped where.
    pub(super) fn files(&mut self, plan: &Plan<'_>, page_size: u64) -> Result<()> {
        let word = if self.format.is_64 { 8u64 } else { 4 };
        let (mut count, mut bytes) = (0u64, 0u64);
        for file in plan.files() {
            count = count.saturating_add(1);
            let name = path(&file).iter().map(|part| part.len() as u64).fold(1, u64::saturating_add);
            bytes = bytes.saturating_add(name);
        }
        if count == 0 {
            return Ok(());
        }
        let length = count.saturating_mul(3).saturating_add(2).saturating_mul(word).saturating_add(bytes);
        self.begin(CORE, kind::FILE, length)?;
        self.words([count, page_size])?;
        for file in plan.files() {
            let behind = file
                .mapping
                .map_or(0, |mapping| mapping.pgoff.saturating_add(file.start.saturating_sub(mapping.start.0)));
            let page = behind.checked_div(page_size).unwrap_or(0);
            self.words([file.start, file.end, page])?;
        }
        for file in plan.files() {
            for part in path(&file) {
                self.out.put(part)?;
            }
            self.out.put(&[0])?;
        }
        self.end(length)
    }

    fn words<const N: usize>(&mut self, words: [u64; N]) -> Result<()> {
        match self.format.is_64 {
            true => self.out.put(words.map(U64::new).as_bytes()),
            false => self.out.put(words.map(|word| U32::new(low(word))).as_bytes()),
        }
    }
}

/// The path of the file that is mapped there, as the kernel writes it: what is no longer there by that name is marked, so
/// that nobody takes another file for it.
fn path<'a>(segment: &Segment<'a>) -> [&'a [u8]; 2] {
    let Some(mapping) = segment.mapping else { return [&[], &[]] };
    let Backing::File(Some(name)) = &mapping.backing else { return [&[], &[]] };
    // a name ends at its first zero
    let name = name.as_bytes().split(|byte| *byte == 0).next().unwrap_or_default();
    let is_gone = matches!(mapping.remap, Some(Remap::Ghost(_) | Remap::Linked(_)));
    [name, if is_gone { b" (deleted)" } else { b"" }]
}

fn head<Word>(status: &Status, word: impl Fn(u64) -> Word) -> PrstatusHead<Word> {
    let time = || [word(0), word(0)];
    PrstatusHead {
        si_signo: U32::new(status.signal),
        si_code: U32::new(0),
        si_errno: U32::new(0),
        cursig: U16::new(u16::try_from(status.signal).unwrap_or(0)),
        padding: U16::new(0),
        sigpend: word(status.pending),
        sighold: word(status.blocked),
        numbers: status.numbers,
        times: [time(), time(), time(), time()],
    }
}

/// The beginning of a text, with at least one zero behind it.
fn text<const N: usize>(from: &[u8]) -> [u8; N] {
    let mut text = [0; N];
    text.iter_mut().zip(from).take(N.saturating_sub(1)).for_each(|(to, from)| *to = *from);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_those_of_the_kernel() {
        assert_eq!((size_of::<PrstatusHead<U64>>(), size_of::<PrstatusHead<U32>>()), (112, 72));
        assert_eq!((size_of::<Prpsinfo64>(), size_of::<Prpsinfo32>()), (136, 124));
        assert_eq!(text::<4>(b"abcdef"), *b"abc\0");
    }
}
