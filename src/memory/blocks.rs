//! How the pages of a pagemap entry are cut into blocks, in compressed dumps of CRIU 4.3 and later.

use std::fmt;

use crate::memory::low;
use crate::wire::field::{self, Fields, Value};
use crate::wire::varint;

/// Number of the field of blocks in a pagemap entry.
pub(crate) const NUMBER: u32 = 6;
/// Bits of its required fields, by number: `total_payload_size` and `pages_per_block`.
const REQUIRED: u32 = 1 << 2 | 1 << 3;

/// How the pages of one entry are cut into blocks. Nothing is copied: every method reads the map.
#[derive(Clone, Copy)]
pub struct Blocks<'a> {
    /// The whole entry: protobuf lets a message be cut in several fields, whose elements follow each other and whose
    /// numbers are those of the last.
    entry: &'a [u8],
}

impl<'a> Blocks<'a> {
    /// The blocks of an entry whose fields with this number were all [checked](check).
    pub(crate) fn new(entry: &'a [u8]) -> Self {
        Self { entry }
    }

    /// Bytes that the blocks take together.
    pub fn total_payload_size(&self) -> u64 {
        self.last(2)
    }

    /// Pages in one block; the last may have fewer.
    pub fn pages_per_block(&self) -> u32 {
        low(self.last(3))
    }

    /// The sizes as they are in the entry, where they stand together in one field, as CRIU writes them.
    pub(crate) fn packed(&self) -> Option<&'a [u8]> {
        let mut blocks = Fields::new(self.entry).filter_map(|field| field.ok()).filter(|field| field.number == NUMBER);
        let inner = blocks.next().and_then(|field| self.entry.get(field.body..field.end))?;
        if blocks.next().is_some() {
            return None;
        }
        let mut runs = Fields::new(inner).filter_map(|field| field.ok()).filter(|field| field.number == 1);
        let run = match runs.next() {
            Some(field) => match field.value {
                Value::Bytes(run) => run,
                _ => return None,
            },
            None => &[],
        };
        runs.next().is_none().then_some(run)
    }

    fn last(&self, number: u32) -> u64 {
        let values = numbered(self.entry, NUMBER).filter_map(|inner| field::last_varint(inner, number).ok()?);
        values.last().unwrap_or_default()
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

/// Whether the bytes are a `pagemap_blocks` with all it requires.
pub(crate) fn check(message: &[u8]) -> Option<()> {
    let mut seen = 0u32;
    for field in Fields::new(message) {
        let field = field.ok()?;
        match (field.number, field.value) {
            (1, Value::Bytes(run)) => {
                let mut at = 0usize;
                while at < run.len() {
                    at = varint::read(run, at).ok()?.1;
                }
            }
            (1..=3, Value::Varint(_)) => seen |= 1 << field.number,
            (1..=3, _) => return None,
            _ => {}
        }
    }
    (seen & REQUIRED == REQUIRED).then_some(())
}

impl PartialEq for Blocks<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.total_payload_size() == other.total_payload_size()
            && self.pages_per_block() == other.pages_per_block()
            && self.block_sizes().eq(other.block_sizes())
    }
}

impl Eq for Blocks<'_> {}

impl fmt::Debug for Blocks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocks")
            .field("block_sizes", &self.block_sizes().count())
            .field("total_payload_size", &self.total_payload_size())
            .field("pages_per_block", &self.pages_per_block())
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
