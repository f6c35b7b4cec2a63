//! Restoring the private memory of a process in bulk: a [`Plan`] says what goes where, and a [`Way`] carries it out,
//! here or at the addresses the process had. All ways give the same memory.
//!
//! ```no_run
//! use icecore::Checkpoint;
//! use icecore::base::report::{Cancel, Silent};
//! use icecore::tool::restore::{Options, Plan, Target, Way};
//!
//! let dump = Checkpoint::open("dump/")?;
//! let space = dump.task(17)?.address_space()?.expect("no zombie");
//! let plan = Plan::new(&space, &Options::default())?;
//! println!("{plan}");
//! let memory = plan.restore(Way::Map, Target::Anywhere, &Silent, &Cancel::default())?;
//! println!("{:?}", memory.bytes(0x7fff_0000_1000..0x7fff_0000_1010));
//! # Ok::<(), icecore::Error>(())
//! ```
//!
//! Pages of files that the process mapped and did not write to are not in the dump: they are left to the caller, their
//! addresses stay reserved. So is the kernel's own (vdso, vvar), and what others see as well (shared memory).

mod copy;
mod fit;
mod map;
pub mod memory;
pub mod plan;
mod text;

use crate::base::report::{Cancel, Progress};
use crate::base::{Error, Result};

pub use memory::Memory;
pub use plan::{Area, Fragment, Plan, What};

/// How a plan is carried out. A way that fills pages as they are touched (userfaultfd) has its place here: it is
/// handed the reserved memory as the others are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Way {
    /// Private maps of the pages files where the plan says so: no copy, and all who restore from the same dump share
    /// the pages until they write to them. The files must not be truncated while the memory lives. The rest is copied.
    Map,
    /// Everything is copied, on all cores, to huge pages where they fit.
    Copy,
}

impl Way {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Map => "map",
            Self::Copy => "copy",
        }
    }
}

/// Where memory is restored to, in the calling process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// Wherever there is room: mappings that were neighbours stay so, others may move against each other.
    Anywhere,
    /// To the addresses that the process had. Nothing that is mapped there already is replaced: that is an error.
    Exact,
}

/// What to do with pages that are not in the dump.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnMissing {
    /// There is no plan without them: an error that names the first.
    #[default]
    Refuse,
    /// The plan lists them; they stay reserved, and who touches them gets SIGSEGV.
    Leave,
}

/// What a plan is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How many maps the plan may ask for: where it would take more, the smallest fragments are copied instead. By
    /// default half of what the kernel lets a process have (`vm.max_map_count`).
    pub maps: usize,
    /// What to do with pages that are not in the dump.
    pub missing: OnMissing,
    /// Whether memory is protected as it was once it is restored; else all of it can be read and written.
    pub protect: bool,
    /// Whether to ask for huge pages where nearly all of one is copied, and the process had not refused them.
    pub huge: bool,
    /// Whether pages with checksums, as version 2 has them, are compared with those before anything is restored. Without it
    /// nothing is read that is mapped, and what is damaged is restored as it is.
    pub verify: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { maps: most_maps() / 2, missing: OnMissing::Refuse, protect: true, huge: true, verify: true }
    }
}

/// How many maps the kernel lets a process have.
fn most_maps() -> usize {
    let told = std::fs::read_to_string("/proc/sys/vm/max_map_count").ok();
    told.and_then(|text| text.trim().parse().ok()).unwrap_or(65530)
}

impl Plan<'_> {
    /// Carries the plan out. Progress is in bytes copied; maps take no time worth telling.
    ///
    /// Errors: addresses are taken, a file is cut short, a block is broken, the kernel refuses. They name the pages
    /// file and the address; nothing is restored then, and what was reserved is free again, but for a range that the
    /// kernel refused to map, which may be somebody else's by then.
    pub fn restore(&self, way: Way, target: Target, progress: &dyn Progress, cancel: &Cancel) -> Result<Memory> {
        self.check_files()?;
        let mut memory = Memory::reserve(self, target)?;
        map::lay(self, way, &mut memory, cancel)?;
        copy::fill(self, way, &mut memory, progress, cancel)?;
        map::protect(self, way, &mut memory)?;
        Ok(memory)
    }
}

fn cancelled() -> Error {
    Error::cancelled("restoring memory was asked to end; nothing is restored")
}
