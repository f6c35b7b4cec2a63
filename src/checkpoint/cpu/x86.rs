//! The registers of an x86 processor, as the kernel keeps them.

use super::exactly;
use crate::base::{Error, Result};
use crate::object::v1;

/// The registers of a thread on x86.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct X86 {
    /// Whether it is a 32-bit task of a 64-bit machine.
    pub compat: bool,
    /// General registers.
    pub general: General,
    /// x87 and SSE.
    pub float: Float,
    /// What came after SSE; `None` of a processor without the XSAVE instruction.
    pub xsave: Option<Xsave>,
    /// Segments for variables of threads, which 32-bit tasks use.
    pub tls: Vec<Segment>,
}

/// General registers. Those of a 32-bit task are the low halves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct General {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub bp: u64,
    pub bx: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub ax: u64,
    pub cx: u64,
    pub dx: u64,
    pub si: u64,
    pub di: u64,
    pub orig_ax: u64,
    pub ip: u64,
    pub cs: u64,
    pub flags: u64,
    pub sp: u64,
    pub ss: u64,
    pub fs_base: u64,
    pub gs_base: u64,
    pub ds: u64,
    pub es: u64,
    pub fs: u64,
    pub gs: u64,
}

/// x87 and SSE registers, as the FXSAVE instruction stores them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Float {
    /// Control word.
    pub cwd: u16,
    /// Status word.
    pub swd: u16,
    /// Which registers are in use, a bit each.
    pub twd: u16,
    /// The last instruction.
    pub fop: u16,
    /// Where it is; in a 32-bit task offset and selector.
    pub rip: u64,
    /// Where its operand is; in a 32-bit task offset and selector.
    pub rdp: u64,
    /// Control and state of SSE.
    pub mxcsr: u32,
    /// Bits of it that this processor knows.
    pub mxcsr_mask: u32,
    /// st0 to st7, 16 bytes each.
    pub st_space: [u32; 32],
    /// xmm0 to xmm15, 16 bytes each.
    pub xmm_space: [u32; 64],
}

/// What the XSAVE instruction stores beside [`Float`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Xsave {
    /// Which components are not in their initial state, a bit each: 0 is x87, 1 is SSE.
    pub xstate_bv: u64,
    /// The components from bit 2 on that the processor has, ascending.
    pub components: Vec<Component>,
}

/// A component of the extended state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// Its bit in [`Xsave::xstate_bv`]: 2 the upper halves of ymm, 3 and 4 bounds, 5 mask registers, 6 the upper halves
    /// of zmm0 to zmm15, 7 zmm16 to zmm31, 9 keys of protection.
    pub bit: u32,
    /// Its bytes, little endian.
    pub bytes: Vec<u8>,
}

/// A segment for variables of a thread (`struct user_desc`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its place in the table of descriptors.
    pub entry_number: u32,
    /// Where it begins.
    pub base_addr: u32,
    /// How long it is.
    pub limit: u32,
    /// What it is, bits as in the kernel's struct.
    pub flags: u32,
}

impl X86 {
    pub(super) fn new(info: &v1::ThreadInfoX86) -> Result<Self> {
        let r = &info.gpregs;
        Ok(Self {
            compat: r.mode() == v1::UserX86RegsMode::Compat,
            general: General {
                r15: r.r15,
                r14: r.r14,
                r13: r.r13,
                r12: r.r12,
                bp: r.bp,
                bx: r.bx,
                r11: r.r11,
                r10: r.r10,
                r9: r.r9,
                r8: r.r8,
                ax: r.ax,
                cx: r.cx,
                dx: r.dx,
                si: r.si,
                di: r.di,
                orig_ax: r.orig_ax,
                ip: r.ip,
                cs: r.cs,
                flags: r.flags,
                sp: r.sp,
                ss: r.ss,
                fs_base: r.fs_base,
                gs_base: r.gs_base,
                ds: r.ds,
                es: r.es,
                fs: r.fs,
                gs: r.gs,
            },
            float: Float::new(&info.fpregs)?,
            xsave: info.fpregs.xsave.as_ref().map(Xsave::new).transpose()?,
            tls: info.tls.iter().map(Segment::new).collect(),
        })
    }
}

impl Float {
    fn new(float: &v1::UserX86FpregsEntry) -> Result<Self> {
        let half = |value: u32, field: &'static str| {
            u16::try_from(value)
                .map_err(|_| Error::format(format!("expected a number of 16 bits, found {value:#x}")).in_field(field))
        };
        Ok(Self {
            cwd: half(float.cwd, "thread_info.fpregs.cwd")?,
            swd: half(float.swd, "thread_info.fpregs.swd")?,
            twd: half(float.twd, "thread_info.fpregs.twd")?,
            fop: half(float.fop, "thread_info.fpregs.fop")?,
            rip: float.rip,
            rdp: float.rdp,
            mxcsr: float.mxcsr,
            mxcsr_mask: float.mxcsr_mask,
            st_space: exactly(&float.st_space, "thread_info.fpregs.st_space")?,
            xmm_space: exactly(&float.xmm_space, "thread_info.fpregs.xmm_space")?,
        })
    }
}

impl Xsave {
    fn new(xsave: &v1::UserX86XsaveEntry) -> Result<Self> {
        let narrow = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
        let wide = |words: &[u64]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
        // how long each is, Intel's and AMD's manuals say; CRIU leaves out what the processor lacks
        let found = [
            (2, "ymmh_space", narrow(&xsave.ymmh_space), 256),
            (3, "bndreg_state", wide(&xsave.bndreg_state), 64),
            (4, "bndcsr_state", wide(&xsave.bndcsr_state), 16),
            (5, "opmask_reg", wide(&xsave.opmask_reg), 64),
            (6, "zmm_upper", wide(&xsave.zmm_upper), 512),
            (7, "hi16_zmm", wide(&xsave.hi16_zmm), 1024),
            (9, "pkru", narrow(&xsave.pkru), 8),
        ];
        let mut components = Vec::new();
        for (bit, name, bytes, length) in found {
            // the kernel gives the bounds' control 64 bytes, of which 16 are in use
            if bytes.len() != length && !(bit == 4 && bytes.len() == 64) && !bytes.is_empty() {
                let what = format!("expected {length} bytes of registers, found {}", bytes.len());
                return Err(Error::format(what).in_field(format!("thread_info.fpregs.xsave.{name}")));
            }
            if !bytes.is_empty() {
                components.push(Component { bit, bytes });
            }
        }
        Ok(Self { xstate_bv: xsave.xstate_bv, components })
    }
}

impl Segment {
    fn new(entry: &v1::UserDescT) -> Self {
        let bit = |is_set: bool, at: u32| u32::from(is_set) << at;
        Self {
            entry_number: entry.entry_number,
            base_addr: entry.base_addr,
            limit: entry.limit,
            flags: bit(entry.seg_32bit, 0)
                | bit(entry.contents_l, 1)
                | bit(entry.contents_h, 2)
                | bit(entry.read_exec_only, 3)
                | bit(entry.limit_in_pages, 4)
                | bit(entry.seg_not_present, 5)
                | bit(entry.usable, 6),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_have_their_length() {
        let entry = v1::UserX86XsaveEntry { ymmh_space: vec![1; 64], pkru: vec![4, 0], ..Default::default() };
        let xsave = Xsave::new(&entry).unwrap();
        let found: Vec<_> = xsave.components.iter().map(|part| (part.bit, part.bytes.len())).collect();
        assert_eq!(found, [(2, 256), (9, 8)]);
        let short = v1::UserX86XsaveEntry { ymmh_space: vec![1; 63], ..Default::default() };
        let error = Xsave::new(&short).unwrap_err().to_string();
        assert_eq!(error, "field thread_info.fpregs.xsave.ymmh_space: expected 256 bytes of registers, found 252");
        assert!(Float::new(&v1::UserX86FpregsEntry { cwd: 0x1_0000, ..Default::default() }).is_err());
    }
}
