//! Memory: which pages a process or segment has in the dump and its ancestors, and their content as slices of the map.
//!
//! [`Pages`] answers from pagemaps alone. What is mapped where no pagemap speaks, the checkpoint knows: see
//! [`AddressSpace`](crate::checkpoint::AddressSpace).

pub mod blocks;
mod codec;
mod compressed;
mod cursor;
pub mod file;
mod level;
mod lz4;
pub mod missing;
mod pack;
mod page;
pub mod pagemap;
pub mod pages;
pub mod parents;
mod pieces;
pub mod run;
pub mod runs;
mod span;
mod store;
mod table;
pub mod twins;
mod v2;
mod zstd;

pub use blocks::Blocks;
pub(crate) use codec::unpack;
pub(crate) use compressed::{Block, Compressed};
pub use file::PagesFile;
pub(crate) use level::Level;
pub use lz4::packed_size;
pub use missing::Missing;
pub use pack::Compression;
pub(crate) use pack::{pack, pack_block};
pub use pagemap::{Pagemap, PagemapEntry};
pub use pages::{PageState, Pages};
pub use parents::Parents;
pub(crate) use pieces::Pieces;
pub use run::{Content, Page, PageBytes, Run, Stored};
pub use runs::Runs;
pub(crate) use span::{Origin, Span};
pub use twins::Twins;
pub use v2::PageRuns;
pub(crate) use v2::{Located, PageBlocks, What};

/// The low 32 bits: what protobuf makes of a longer number in such a field.
#[inline]
fn low(value: u64) -> u32 {
    (value & 0xffff_ffff) as u32
}
