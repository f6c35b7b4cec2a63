//! What the tests share. Nothing here uses the library's own reading code where it makes or judges images.
#![allow(dead_code, unreachable_pub)]
#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss, clippy::cast_lossless)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr)]

pub mod alloc;
pub mod chain;
pub mod corpus;
pub mod elf;
pub mod faults;
pub mod flat;
pub mod held;
pub mod judge;
pub mod living;
pub mod oracle;
pub mod packing;
pub mod pagemap;
pub mod plant;
pub mod planted;
pub mod process;
pub mod proto;
pub mod proto2;
pub mod protoc;
pub mod random;
pub mod rng;
pub mod runs2;
pub mod synthetic;
pub mod tables;
pub mod v2;
pub mod v2_source;
pub mod writer;
