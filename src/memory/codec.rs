//! Unpacking blocks of pages, however they are packed.

use crate::memory::{lz4, zstd};
use crate::wire::v2::Codec;

/// Unpacks a block; what is wrong if it does not give exactly as many bytes as there is room.
pub(crate) fn unpack(codec: Codec, packed: &[u8], into: &mut [u8]) -> Result<(), String> {
    match codec {
        Codec::Lz4 => lz4::unpack(packed, into),
        Codec::Zstd => zstd::unpack(packed, into),
        Codec::Raw if packed.len() == into.len() => {
            into.copy_from_slice(packed);
            Ok(())
        }
        Codec::Raw => Err(format!("expected {} bytes of pages, found {}", into.len(), packed.len())),
    }
}
