//! Questions to a checkpoint. Each hands typed rows, one by one, to whoever asked, and prints nothing.
//!
//! # How to add a question
//!
//! 1. Write a file here: a row type with `Serialize` (its JSON) and [`Row`](crate::base::report::Row) (its table),
//!    and a function that takes the checkpoint and a [`Rows`](crate::base::report::Rows). Where it has no row to give,
//!    a note says why.
//! 2. Add a verb to `cli/`.
//! 3. Run the tests with `ICECORE_BLESS=1`: the new verb gets a golden file for every dump in `tests/data`.

pub mod cmdline;
pub mod crit_x;
pub mod diff;
pub mod env;
pub mod fds;
pub mod hexdump;
pub mod info;
pub mod maps;
pub mod mem;
pub mod mounts;
pub mod pages;
pub mod ps;
pub mod sockets;

use serde::Serialize;

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Of {
    /// A mapping.
    Mapping,
    /// Pages where the dump lists no mapping: all of a pre-dump.
    Elsewhere,
    /// A segment of shared memory.
    Segment,
    /// A task as a whole, or all rows before.
    Total,
}
