//! zstd frames.

use std::cell::RefCell;

use ::zstd::bulk::Decompressor;

thread_local! {
    /// Making one costs more than a small frame does.
    static UNPACKER: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Unpacks a frame; what is wrong if it does not give exactly as many bytes as there is room.
pub(crate) fn unpack(packed: &[u8], into: &mut [u8]) -> Result<(), String> {
    let room = into.len();
    let broken = |error| format!("expected a zstd frame of {room} bytes, found a broken one: {error}");
    UNPACKER.with(|unpacker| {
        let Ok(mut unpacker) = unpacker.try_borrow_mut() else { return Err("zstd is in use".to_owned()) };
        let unpacker = match &mut *unpacker {
            Some(unpacker) => unpacker,
            none => none.insert(Decompressor::new().map_err(broken)?),
        };
        match unpacker.decompress_to_buffer(packed, into) {
            Ok(length) if length == room => Ok(()),
            Ok(length) => Err(format!("expected a zstd frame of {room} bytes, found one of {length}")),
            Err(error) => Err(broken(error)),
        }
    })
}
