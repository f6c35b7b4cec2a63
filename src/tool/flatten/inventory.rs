//! The inventory of the whole dump: which version of the format it now is.

use crate::base::{Error, Result};
use crate::image::Image;
use crate::wire::field::{self, Fields, Value};
use crate::wire::varint;

const IMG_VERSION: u32 = 1;
const COMPRESS: u32 = 15;
const COMPRESS_BLOCK_SIZE: u32 = 16;

/// The inventory as bytes of its image, corrected: `blocks` is whether pages are in blocks, and how many bytes of pages
/// the largest has.
///
/// Errors: it is broken, or its message is.
pub(super) fn corrected(image: &Image, blocks: Option<u64>) -> Result<Vec<u8>> {
    let entry = image.get(0)?;
    entry.check()?;
    let message = entry.message();
    let wrong = |error: crate::wire::WireError| entry.locate(Error::format(error.to_string()), error.offset);
    let number = |number: u32| field::last_varint(message, number).map_err(wrong);
    let version = number(IMG_VERSION)?.unwrap_or(0);
    let compress = number(COMPRESS)?;
    let mut changes: Vec<(u32, Option<u64>)> = Vec::new();
    match blocks {
        Some(block) => {
            if version >= 2 {
                changes.push((IMG_VERSION, Some(3)));
            }
            if compress.unwrap_or(0) == 0 {
                changes.push((COMPRESS, Some(1)));
                changes.push((COMPRESS_BLOCK_SIZE, Some(block)));
            }
        }
        None => {
            if version > 2 {
                changes.push((IMG_VERSION, Some(2)));
            }
            // 0 says that it is not compressed, and stays
            if compress.unwrap_or(0) != 0 {
                changes.push((COMPRESS, None));
            }
            changes.push((COMPRESS_BLOCK_SIZE, None));
        }
    }
    let mut changed = Vec::with_capacity(message.len().saturating_add(16));
    let mut left = changes.iter().peekable();
    let put = |out: &mut Vec<u8>, (number, value): &(u32, Option<u64>)| {
        if let Some(value) = value {
            field::write_key(out, *number, 0);
            varint::write(out, *value);
        }
    };
    for found in Fields::new(message) {
        let found = found.map_err(wrong)?;
        while let Some(change) = left.next_if(|change| change.0 <= found.number) {
            put(&mut changed, change);
        }
        let is_changed = changes.iter().any(|change| change.0 == found.number);
        if !is_changed || !matches!(found.value, Value::Varint(_)) {
            changed.extend_from_slice(message.get(found.start..found.end).unwrap_or_default());
        }
    }
    left.for_each(|change| put(&mut changed, change));
    let size = u32::try_from(changed.len()).map_err(|_| Error::limit("an entry is larger than 4 GiB"))?;
    let place = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
    let bytes = image.bytes();
    let mut out = bytes.get(..place(entry.offset())).unwrap_or_default().to_vec();
    out.extend_from_slice(&size.to_le_bytes());
    out.extend_from_slice(&changed);
    out.extend_from_slice(bytes.get(place(entry.message_offset()).saturating_add(message.len())..).unwrap_or_default());
    Ok(out)
}
