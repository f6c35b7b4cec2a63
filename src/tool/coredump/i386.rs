//! Notes of 32-bit tasks on x86: registers as the kernel's 32-bit structs order them.

use zerocopy::little_endian::U32;
use zerocopy::{Immutable, IntoBytes, Unaligned};

use crate::base::Result;
use crate::checkpoint::cpu::X86;
use crate::checkpoint::cpu::x86::Segment;
use crate::tool::coredump::elf::low;
use crate::tool::coredump::notes::{CORE, LINUX, Notes, kind};
use crate::tool::coredump::xsave;

/// x87 as the FSAVE instruction writes it: 108 bytes.
#[derive(IntoBytes, Immutable, Unaligned)]
#[repr(C)]
struct Fsave {
    cwd: U32,
    swd: U32,
    twd: U32,
    fip: U32,
    fcs: U32,
    foo: U32,
    fos: U32,
    st_space: [[u8; 10]; 8],
}

#[derive(IntoBytes, Immutable, Unaligned)]
#[repr(C)]
struct UserDesc {
    entry_number: U32,
    base_addr: U32,
    limit: U32,
    flags: U32,
}

/// 17 registers.
pub(super) fn general(cpu: &X86) -> Vec<u8> {
    let r = &cpu.general;
    [r.bx, r.cx, r.dx, r.si, r.di, r.bp, r.ax, r.ds, r.es, r.fs, r.gs, r.orig_ax, r.ip, r.cs, r.flags, r.sp, r.ss]
        .map(|value| U32::new(low(value)))
        .as_bytes()
        .to_vec()
}

/// What follows the general registers of a thread.
pub(super) fn others(cpu: &X86, notes: &mut Notes<'_, '_>) -> Result<()> {
    notes.note(CORE, kind::FPREGSET, fsave(cpu).as_bytes())?;
    notes.note(LINUX, kind::PRXFPREG, &xsave::fxsave(&cpu.float))?;
    if let Some(area) = xsave::xsave(cpu) {
        notes.note(LINUX, kind::X86_XSTATE, &area)?;
    }
    let tls: Vec<UserDesc> = cpu.tls.iter().map(descriptor).collect();
    if tls.is_empty() { Ok(()) } else { notes.note(LINUX, kind::I386_TLS, tls.as_bytes()) }
}

fn descriptor(of: &Segment) -> UserDesc {
    UserDesc {
        entry_number: U32::new(of.entry_number),
        base_addr: U32::new(of.base_addr),
        limit: U32::new(of.limit),
        flags: U32::new(of.flags),
    }
}

/// The x87 part of what FXSAVE wrote, as a 64-bit kernel tells it of its 32-bit tasks: it does not know the selectors at
/// the last exception, and gives the present ones.
fn fsave(cpu: &X86) -> Fsave {
    const UNUSED: u32 = 0xffff_0000;
    let float = &cpu.float;
    let (registers, _) = float.st_space.as_chunks::<4>();
    let mut st_space = [[0; 10]; 8];
    for (to, words) in st_space.iter_mut().zip(registers) {
        let bytes = words.iter().flat_map(|word| word.to_le_bytes());
        to.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    }
    Fsave {
        cwd: U32::new(u32::from(float.cwd) | UNUSED),
        swd: U32::new(u32::from(float.swd) | UNUSED),
        twd: U32::new(u32::from(tags(float.twd, float.swd, registers)) | UNUSED),
        fip: U32::new(low(float.rip)),
        fcs: U32::new(low(cpu.general.cs)),
        foo: U32::new(low(float.rdp)),
        fos: U32::new(low(cpu.general.ds) | UNUSED),
        st_space,
    }
}

/// Two bits a register, by its place and not by its number on the stack: 0 a number, 1 zero, 2 something special, 3 empty.
fn tags(in_use: u16, status: u16, registers: &[[u32; 4]]) -> u16 {
    let top = usize::from(status >> 11 & 7);
    (0..8usize).fold(0, |tags, place| {
        let tag = match registers.get((place.wrapping_sub(top)) & 7) {
            Some([low, high, exponent, _]) if in_use >> place & 1 == 1 => match exponent & 0x7fff {
                0x7fff => 2,
                0 if *low == 0 && *high == 0 => 1,
                0 => 2,
                // a number has the topmost bit of its fraction
                _ if high >> 31 == 1 => 0,
                _ => 2,
            },
            _ => 3,
        };
        tags | tag << (2 * place)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_the_registers_in_use() {
        let mut registers = [[0; 4]; 8];
        // top is 6: st0 is in place 6, st1 in 7, st2 in 0
        registers[0] = [0, 1 << 31, 0x3fff, 0];
        registers[2] = [0, 0, 0x7fff, 0];
        assert_eq!(tags(0b1100_0001, 6 << 11, &registers), 0b0100_1111_1111_1110);
        assert_eq!(tags(0, 0, &registers), 0xffff);
        assert_eq!((size_of::<Fsave>(), size_of::<UserDesc>()), (108, 16));
    }
}
