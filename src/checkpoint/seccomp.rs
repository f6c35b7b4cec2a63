//! Filters of system calls.

use crate::base::Result;
use crate::checkpoint::Checkpoint;
use crate::image::Kind;
use crate::object::v1;

/// A filter of system calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SeccompFilter {
    /// Bytes of its program: instructions of BPF, eight each.
    pub size: usize,
    /// The filter that was there before it and is asked too: its position in the list.
    pub prev: Option<u32>,
}

impl Checkpoint {
    /// The filters of all threads, which threads name by their positions; none where the dump has no list of them.
    ///
    /// Errors: their image is broken.
    pub fn seccomp_filters(&self) -> Result<Vec<SeccompFilter>> {
        let Some(image) = self.find(Kind::Seccomp, 0)? else { return Ok(Vec::new()) };
        let entry = image.get(0)?.decode::<v1::SeccompEntry>()?;
        let filter = |entry: &v1::SeccompFilter| SeccompFilter { size: entry.filter.len(), prev: entry.prev };
        Ok(entry.seccomp_filters.iter().map(filter).collect())
    }
}
