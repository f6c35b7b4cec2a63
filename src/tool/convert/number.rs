//! The number of a dump: the same for the same dump, whoever converts it.

use crate::base::Result;
use crate::source::listing::{Listing, What};

/// The first eight bytes of the BLAKE3 of names, sizes and contents of all files but those with pages, in the order of
/// their names. `is_pages` tells of a name whether it is such a file.
///
/// Errors: a file cannot be read.
pub(super) fn number(listing: &Listing, is_pages: impl Fn(&[u8]) -> bool) -> Result<u64> {
    let mut hasher = blake3::Hasher::new();
    let mut part = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    for item in &listing.items {
        part(&item.name);
        match &item.what {
            What::Link(target) => part(target),
            What::Directory => {}
            What::File if is_pages(&item.name) => {}
            What::File => part(&listing.content(&item.name)?),
        }
    }
    let hash = hasher.finalize();
    Ok(hash.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)))
}
