//! What knows nothing of CRIU: errors, limits, names, the memory map and memory at chosen addresses, the sink that
//! writers use, and what views and tools report to.

pub mod address;
pub mod alike;
pub mod batch;
pub mod error;
pub(crate) mod left;
pub mod limits;
pub mod listing;
pub(crate) mod made;
pub mod map;
pub mod name;
pub mod report;
pub mod reserve;
pub mod sink;
pub mod size;
pub mod stage;
mod temporary;

pub use address::Address;
pub use error::{Error, ErrorKind, Result};
pub use limits::Limits;
pub use listing::Listing;
pub use name::Name;
pub use size::Size;
