//! Resource limits.

use serde::Serialize;

use crate::checkpoint::names;
use crate::object::v1;

/// A resource limit. `None` is infinity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Limit {
    /// Its name, without `RLIMIT_`.
    pub name: &'static str,
    /// What holds now.
    pub cur: Option<u64>,
    /// How far the task may raise it.
    pub max: Option<u64>,
}

/// The limits, which are in the order of the kernel's numbers.
pub(crate) fn limits(entries: Vec<v1::RlimitEntry>) -> Vec<Limit> {
    let finite = |value: u64| (value != u64::MAX).then_some(value);
    let limit = |(position, entry): (usize, v1::RlimitEntry)| Limit {
        name: names::LIMITS.get(position).copied().unwrap_or("unknown"),
        cur: finite(entry.cur),
        max: finite(entry.max),
    };
    entries.into_iter().enumerate().map(limit).collect()
}
