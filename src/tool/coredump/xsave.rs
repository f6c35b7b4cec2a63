//! The areas that FXSAVE and XSAVE write: x87, SSE, and what came later.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{Immutable, IntoBytes, Unaligned};

use crate::checkpoint::cpu::x86::{Float, X86};

/// What FXSAVE writes: 512 bytes.
#[derive(IntoBytes, Immutable, Unaligned)]
#[repr(C)]
struct Fxsave {
    cwd: U16,
    swd: U16,
    twd: U16,
    fop: U16,
    rip: U64,
    rdp: U64,
    mxcsr: U32,
    mxcsr_mask: U32,
    st_space: [U32; 32],
    xmm_space: [U32; 64],
    reserved: [u8; 48],
    /// The kernel's and gdb's place for the components that the system has switched on (XCR0).
    xcr0: U64,
    rest: [u8; 40],
}

/// Behind it in what XSAVE writes: 64 bytes.
#[derive(IntoBytes, Immutable, Unaligned)]
#[repr(C)]
struct Header {
    xstate_bv: U64,
    xcomp_bv: U64,
    reserved: [u8; 48],
}

/// Where a component begins in the area, and where the area ends that has none behind it: by their bits. The places are
/// those of Intel's processors, wherever the dump was made: which places are meant, gdb tells by what the area has and by
/// how long it is.
const PLACES: [(u32, usize, usize); 7] = [
    (2, 576, 832),
    (3, 960, 1088),
    (4, 1024, 1088),
    (5, 1088, 2688),
    (6, 1152, 2688),
    (7, 1664, 2688),
    (9, 2688, 2696),
];
const FIRST: usize = 576;

/// x87 and SSE: 512 bytes.
pub(super) fn fxsave(float: &Float) -> Vec<u8> {
    area(float, 0).as_bytes().to_vec()
}

fn area(float: &Float, xcr0: u64) -> Fxsave {
    Fxsave {
        cwd: U16::new(float.cwd),
        swd: U16::new(float.swd),
        twd: U16::new(float.twd),
        fop: U16::new(float.fop),
        rip: U64::new(float.rip),
        rdp: U64::new(float.rdp),
        mxcsr: U32::new(float.mxcsr),
        mxcsr_mask: U32::new(float.mxcsr_mask),
        st_space: float.st_space.map(U32::new),
        xmm_space: float.xmm_space.map(U32::new),
        reserved: [0; 48],
        xcr0: U64::new(xcr0),
        rest: [0; 40],
    }
}

/// The whole area; `None` of a processor that has none.
pub(super) fn xsave(cpu: &X86) -> Option<Vec<u8>> {
    let xsave = cpu.xsave.as_ref()?;
    let places = || {
        xsave.components.iter().filter_map(|part| {
            let (_, start, end) = PLACES.iter().find(|(bit, ..)| *bit == part.bit)?;
            Some((part, *start, *end))
        })
    };
    let xcr0 = places().fold(3, |bits: u64, (part, ..)| bits | 1 << part.bit);
    let length = places().map(|(.., end)| end).max().unwrap_or(FIRST);
    let mut bytes = area(&cpu.float, xcr0).as_bytes().to_vec();
    // the kernel keeps more in there, which is not the process's own
    let header = Header { xstate_bv: U64::new(xsave.xstate_bv & xcr0), xcomp_bv: U64::new(0), reserved: [0; 48] };
    bytes.extend_from_slice(header.as_bytes());
    bytes.resize(length, 0);
    for (part, start, _) in places() {
        let to = bytes.get_mut(start..).unwrap_or_default();
        to.iter_mut().zip(&part.bytes).for_each(|(to, from)| *to = *from);
    }
    Some(bytes)
}
