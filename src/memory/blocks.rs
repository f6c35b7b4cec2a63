//! How the pages of a pagemap entry are cut into blocks, in compressed dumps of CRIU 4.3 and later.

use std::fmt;

use crate::memory::low;
use crate::wire::field::{Fields, Value};
use crate::wire::varint;

/// Number of the field of blocks in a pagemap entry.
pub(crate) const NUMBER: u32 = 6;

/// How the pages of one entry are cut into blocks. The sizes stay in the map until they are asked for.
#[derive(Clone, Copy)]
pub struct Blocks<'a> {
    /// The whole entry: protobuf lets a message be cut in several fields, whose elements follow each other.
    entry: &'a [u8],
    /// Bytes that the blocks take together.
    pub total_payload_size: u64,
    /// Pages in one block; the last may have fewer.
    pub pages_per_block: u32,
}

impl<'a> Blocks<'a> {
    /// Checks one more run of blocks; what it says wins over what was said before.
    pub(crate) fn merged(before: Option<Self>, entry: &'a [u8], inner: &[u8]) -> Option<Self> {
        let mut blocks = before.unwrap_or(Self { entry, total_payload_size: 0, pages_per_block: 0 });
        let mut seen = 0u32;
        for field in Fields::new(inner) {
            let field = field.ok()?;
            match (field.number, field.value) {
                (1, Value::Varint(_)) => {}
                (1, Value::Bytes(run)) => {
                    let mut at = 0usize;
                    while at < run.len() {
                        at = varint::read(run, at).ok()?.1;
                    }
                }
                (2, Value::Varint(value)) => {
                    blocks.total_payload_size = value;
                    seen |= 1;
                }
                (3, Value::Varint(value)) => {
                    blocks.pages_per_block = low(value);
                    seen |= 2;
                }
                (1..=3, _) => return None,
                _ => {}
            }
        }
        (seen == 3).then_some(blocks)
    }

    /// Size of every block in bytes, in order.
    pub fn block_sizes(&self) -> impl Iterator<Item = u32> + use<'a> {
        numbered(self.entry, NUMBER).flat_map(|inner| numbered(inner, 1)).flat_map(|run| {
            let mut at = 0usize;
            std::iter::from_fn(move || {
                let (value, end) = varint::read(run, at).ok()?;
                at = end;
                Some(low(value))
            })
        })
    }
}

impl PartialEq for Blocks<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.total_payload_size == other.total_payload_size
            && self.pages_per_block == other.pages_per_block
            && self.block_sizes().eq(other.block_sizes())
    }
}

impl Eq for Blocks<'_> {}

impl fmt::Debug for Blocks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocks")
            .field("block_sizes", &self.block_sizes().count())
            .field("total_payload_size", &self.total_payload_size)
            .field("pages_per_block", &self.pages_per_block)
            .finish()
    }
}

/// The bytes of all fields with this number, without keys and lengths.
fn numbered(message: &[u8], number: u32) -> impl Iterator<Item = &[u8]> {
    Fields::new(message)
        .map_while(|field| field.ok())
        .filter(move |field| field.number == number)
        .filter_map(|field| message.get(field.body..field.end))
}
