//! What knows nothing of CRIU: errors, limits, the memory map, the sink that writers use, and what tools report to.

pub mod error;
pub mod limits;
pub mod map;
pub mod report;
pub mod sink;

pub use error::{Error, ErrorKind, Result};
pub use limits::Limits;
