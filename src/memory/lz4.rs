//! LZ4 blocks, and the few unpacked ones that are kept for the next lookup.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Unpacks a block; what is wrong if it does not give exactly as many bytes as there is room.
pub(crate) fn unpack(packed: &[u8], into: &mut [u8]) -> Result<(), String> {
    let room = into.len();
    match lz4_flex::block::decompress_into(packed, into) {
        Ok(length) if length == room => Ok(()),
        Ok(length) => Err(format!("expected an LZ4 block of {room} bytes, found one of {length}")),
        Err(error) => Err(format!("expected an LZ4 block of {room} bytes, found a broken one: {error}")),
    }
}

/// How many bytes `plain` takes as an LZ4 block of its own, at most as many as it has: what does not shrink is stored
/// as it is. `scratch` is where it is packed.
pub fn packed_size(plain: &[u8], scratch: &mut Vec<u8>) -> usize {
    let most = lz4_flex::block::get_maximum_output_size(plain.len());
    if scratch.len() < most {
        scratch.resize(most, 0);
    }
    lz4_flex::block::compress_into(plain, scratch).map_or(plain.len(), |size| size.min(plain.len()))
}

/// Which block: the number of its dump in the chain, of the file there, and its offset in that.
pub(crate) type Key = (usize, usize, u64);

/// The blocks unpacked last. A page is often asked for after its neighbour, and a block may hold many.
#[derive(Default)]
pub(crate) struct Unpacked(Mutex<VecDeque<(Key, Arc<[u8]>)>>);

/// So many bytes are kept, or one block if that is larger.
const KEPT: usize = 4 << 20;
/// And so many blocks, since they are looked through one by one.
const BLOCKS: usize = 32;

impl Unpacked {
    /// The block, if it is kept; else what `unpack` gives, which is kept then.
    pub(crate) fn get<E>(&self, key: Key, unpack: impl FnOnce() -> Result<Arc<[u8]>, E>) -> Result<Arc<[u8]>, E> {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, block)) = lock().iter().find(|(kept, _)| *kept == key) {
            return Ok(block.clone());
        }
        // not under the lock: others may unpack meanwhile, at worst the same
        let block = unpack()?;
        let mut blocks = lock();
        blocks.push_front((key, block.clone()));
        let mut bytes = 0usize;
        let fit = blocks.iter().take_while(|(_, block)| {
            bytes = bytes.saturating_add(block.len());
            bytes <= KEPT
        });
        let fit = fit.count().clamp(1, BLOCKS);
        blocks.truncate(fit);
        Ok(block)
    }
}
