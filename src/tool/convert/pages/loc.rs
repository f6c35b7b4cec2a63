//! Where the bytes of a page can be read again: to compare them, and to write them.

use bytes::Bytes;

use crate::memory::unpack;
use crate::wire::v2::Codec;

/// Where the bytes of a page are: in a file as they are, or in a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Loc {
    /// Offset in the file; of a block, where that begins.
    pub(super) offset: u64,
    /// Number of the file, from 1; 0 for one that is not kept open.
    pub(super) file: u32,
    /// Bytes of the block in the file; 0 for pages that are as they are.
    pub(super) packed: u32,
    /// Bytes that the block unpacks to.
    pub(super) unpacked: u32,
    /// Where the page is among these.
    pub(super) at: u32,
}

impl Loc {
    /// That of a page `bytes` further on.
    pub(super) fn further(self, bytes: u64) -> Self {
        match self.packed {
            0 => Self { offset: self.offset.saturating_add(bytes), ..self },
            _ => Self { at: self.at.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX)), ..self },
        }
    }
}

/// So many files are kept open. Pages of those beyond are compared with those before, and not remembered.
const FILES: usize = 1 << 14;

/// The files that pages met before are in.
#[derive(Default)]
pub(super) struct Files(Vec<(Bytes, Codec)>);

/// The last block that was unpacked.
#[derive(Default)]
pub(super) struct Scratch {
    file: u32,
    offset: u64,
    bytes: Vec<u8>,
}

impl Files {
    /// The number of a file whose blocks are packed like this; 0 if there are too many.
    pub(super) fn add(&mut self, bytes: &Bytes, codec: Codec) -> u32 {
        if self.0.len() >= FILES {
            return 0;
        }
        self.0.push((bytes.clone(), codec));
        u32::try_from(self.0.len()).unwrap_or(0)
    }

    /// Whether these are the bytes at a place.
    pub(super) fn is_equal(&self, loc: Loc, page: &[u8], scratch: &mut Scratch) -> bool {
        let mut equal = || {
            let (file, codec) = self.0.get(usize::try_from(loc.file).ok()?.checked_sub(1)?)?;
            let from = usize::try_from(loc.offset).ok()?;
            if loc.packed == 0 {
                return Some(file.get(from..from.checked_add(page.len())?)? == page);
            }
            if (scratch.file, scratch.offset) != (loc.file, loc.offset) {
                scratch.file = 0;
                scratch.bytes.resize(usize::try_from(loc.unpacked).ok()?, 0);
                let packed = file.get(from..from.checked_add(usize::try_from(loc.packed).ok()?)?)?;
                unpack(*codec, packed, &mut scratch.bytes).ok()?;
                (scratch.file, scratch.offset) = (loc.file, loc.offset);
            }
            let at = usize::try_from(loc.at).ok()?;
            Some(scratch.bytes.get(at..at.checked_add(page.len())?)? == page)
        };
        equal().unwrap_or_default()
    }
}
