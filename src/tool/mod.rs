//! Effects: what writes files or bytes. Tools are handed where to write and whom to tell; they print nothing.

pub mod check;
pub mod compress;
pub mod convert;
pub mod coredump;
pub mod crit;
pub mod dedup;
pub mod flatten;
pub mod raw;
pub mod restore;
pub mod search;
pub mod show;
