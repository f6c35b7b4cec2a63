//! Packing pages: LZ4 blocks and zstd frames.

use std::cell::RefCell;

use lz4_flex::block::{CompressTable, compress_into_with_table, get_maximum_output_size};
use zstd::bulk::Compressor;

use crate::memory::page::{PAGE, PagePacker};
use crate::wire::v2::Codec;

/// How pages are packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// They are not.
    #[default]
    None,
    /// LZ4 blocks.
    Lz4,
    /// zstd frames of a level.
    Zstd(i32),
}

impl Compression {
    /// What blocks of it say.
    pub(crate) fn codec(self) -> Codec {
        match self {
            Self::None => Codec::Raw,
            Self::Lz4 => Codec::Lz4,
            Self::Zstd(_) => Codec::Zstd,
        }
    }
}

/// What one thread packs with: making it anew would cost more than packing a unit.
#[derive(Default)]
struct Packer {
    out: Vec<u8>,
    /// For short input and for long: which one is used must not depend on what was packed before.
    lz4: [Option<CompressTable>; 2],
    zstd: Option<(i32, Compressor<'static>)>,
    page: Option<Box<PagePacker>>,
}

impl Packer {
    /// `plain` as an LZ4 block, whatever it takes.
    fn lz4(&mut self, plain: &[u8]) -> Option<&[u8]> {
        let most = get_maximum_output_size(plain.len());
        if self.out.len() < most {
            self.out.resize(most, 0);
        }
        let [short, long] = &mut self.lz4;
        let table = match plain.len() < SHORT {
            true => short.get_or_insert_with(CompressTable::small),
            false => long.get_or_insert_with(CompressTable::large),
        };
        let length = compress_into_with_table(plain, &mut self.out, table).ok()?;
        self.out.get(..length)
    }
}

/// What a table of 16-bit entries is for.
const SHORT: usize = 0xffff;

thread_local! {
    static PACKER: RefCell<Packer> = RefCell::default();
}

/// Packs a block of pages of its own behind what is in `out`, if that takes less than `limit` bytes; gives whether it
/// does. `acceleration` is how much a quicker pass over what does not pack well is worth, from 1, as LZ4 counts it.
pub(crate) fn pack_block(plain: &[u8], acceleration: u32, limit: usize, out: &mut Vec<u8>) -> bool {
    PACKER.with(|packer| {
        let Ok(mut packer) = packer.try_borrow_mut() else { return false };
        if let (Some(page), true) = (plain.first_chunk::<PAGE>(), plain.len() == PAGE) {
            return packer.page.get_or_insert_with(PagePacker::new).pack(page, acceleration, limit, out);
        }
        let packed = packer.lz4(plain).filter(|packed| packed.len() < limit);
        packed.map(|packed| out.extend_from_slice(packed)).is_some()
    })
}

/// What `plain` is packed to; `None` where that is not shorter.
pub(crate) fn pack(compression: Compression, plain: &[u8]) -> Option<Vec<u8>> {
    PACKER.with(|packer| {
        let packer = &mut *packer.try_borrow_mut().ok()?;
        let length = match compression {
            Compression::None => return None,
            Compression::Lz4 => packer.lz4(plain)?.len(),
            Compression::Zstd(level) => {
                // what is longer than the plain bytes is not wanted
                if packer.out.len() < plain.len() {
                    packer.out.resize(plain.len(), 0);
                }
                let fits = packer.zstd.as_ref().is_some_and(|(made, _)| *made == level);
                if !fits {
                    packer.zstd = Some((level, Compressor::new(level).ok()?));
                }
                let (_, compressor) = packer.zstd.as_mut()?;
                compressor.compress_to_buffer(plain, &mut packer.out[..]).ok()?
            }
        };
        packer.out.get(..length).filter(|packed| packed.len() < plain.len()).map(<[u8]>::to_vec)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_shrink_is_not_packed() {
        let text = b"the same words again and again, ".repeat(200);
        let noise: Vec<u8> =
            (0..6400u64).map(|n| (n.wrapping_mul(n | 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u8).collect();
        for compression in [Compression::Lz4, Compression::Zstd(1), Compression::Zstd(9)] {
            let packed = pack(compression, &text).unwrap();
            assert!(packed.len() < 200, "{compression:?}: {}", packed.len());
            // the same again, whatever was packed before
            assert_eq!(pack(compression, &noise), None);
            assert_eq!(pack(compression, &text).unwrap(), packed);
            let mut plain = vec![0; text.len()];
            match compression {
                Compression::Lz4 => drop(lz4_flex::block::decompress_into(&packed, &mut plain).unwrap()),
                _ => drop(zstd::bulk::decompress_to_buffer(&packed, &mut plain).unwrap()),
            }
            assert_eq!(plain, text);
        }
    }
}
