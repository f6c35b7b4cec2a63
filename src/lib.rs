//! icecore reads CRIU checkpoint images zero-copy from memory maps.
//!
//! ```no_run
//! use icecore::{Checkpoint, Kind, v1::FileEntry};
//! use rayon::iter::ParallelIterator;
//!
//! let dump = Checkpoint::open("dump/")?;
//! for task in dump.tasks()?.all()? {                    // all of them, or the first error
//!     println!("{} has {} descriptors", task.pid(), task.fds()?.len());
//! }
//! let files = dump.image(Kind::Files)?;                 // mapped, nothing decoded
//! let file = files.get(17)?.decode::<FileEntry>()?;     // one entry; its bytes are slices of the map
//! let ids: Vec<u32> = files.par_iter().map(|entry| Ok(entry?.decode::<FileEntry>()?.id)).collect::<icecore::Result<_>>()?;
//! # Ok::<(), icecore::Error>(())
//! ```
//!
//! # Two levels
//!
//! [`Checkpoint`] is for those who want answers: tasks, descriptors, sockets, mounts. [`Image`] and [`Entry`] are for
//! those who know the format: spans and slices, without allocating. Between them, [`Entry::decode`] gives structs and
//! [`object::json`] gives crit's JSON, both ways.
//!
//! Memory is an [`AddressSpace`]: what is at an address of a process or at an offset of a segment, page by page or in
//! runs that are slices of the map, through a chain of incremental dumps. [`task.address_space()`] makes one for a
//! process, [`Checkpoint::segment`] for shared memory; its page has an example. On it stand [`tool::search`],
//! [`tool::restore`], [`tool::coredump`] and [`view::diff`].
//!
//! [`task.address_space()`]: checkpoint::task::Task::address_space
//!
//! What is broken costs only itself: lists come as a [`Listing`](base::Listing), which has the errors beside what could
//! be read. A plain loop over one passes the errors over; `all()` and `results()` do not.
//!
//! # The format, version 1
//!
//! ```text
//! image   = [first word] magic entry*         u32 each, little endian; v1.0 and inventories have no first word
//! entry   = size message payload              u32, as many bytes of protobuf, what the kind's row says
//! raw     = any bytes                         pages-*.img and what other programs wrote
//! ```
//!
//! An image ends where its file ends; there is no count, no length, no checksum. What kind it is, its magic says and
//! its name: `core-17.img` is the thread 17. [`image::kinds`] is the table of all kinds. What a process has is found
//! by following numbers from image to image:
//!
//! ```text
//! pstree.img ── pid ──► core-PID, mm-PID, fs-PID, ids-PID, pagemap-PID
//! ids-PID ── files_id ──► fdinfo-ID ── id ──► files.img, by type: files, pipes, sockets, ...
//! mm-PID: mappings; pagemap-PID: which pages are stored ── pages_id ──► pages-ID, raw
//! ```
//!
//! # What is safe
//!
//! Images may be hostile: every parser is bounded by its input and by [`Limits`], and gives an [`Error`] that says
//! where. Files must not be truncated while they are mapped: see [`base::map`].

#![cfg_attr(test, allow(clippy::cast_possible_truncation, clippy::arithmetic_side_effects))]

pub mod base;
pub mod checkpoint;
pub mod image;
pub mod memory;
pub mod object;
pub mod source;
pub mod tool;
pub mod view;
pub mod wire;

pub use base::{Error, ErrorKind, Limits, Result};
pub use checkpoint::{AddressSpace, Checkpoint};
pub use image::{Entry, Image, Kind};
pub use object::v1;
