//! Effects: what writes files or bytes. Tools are handed where to write and whom to tell; they print nothing.

pub mod crit;
pub mod restore;
pub mod show;
