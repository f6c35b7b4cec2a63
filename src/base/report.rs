//! What views and tools are handed to report to: typed rows go one by one to whoever asked, nothing is printed here.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::base::Result;

/// Takes rows one by one. An error ends the question that asked.
pub trait Rows<R> {
    /// Takes one row.
    fn row(&mut self, row: R) -> Result<()>;

    /// Takes an error that concerns one object; the question goes on with the next.
    fn problem(&mut self, error: crate::base::Error) -> Result<()>;
}

/// How far long work has come.
pub trait Progress: Sync {
    /// `done` of `total` units are done. Called often; costs little.
    fn advance(&self, done: u64, total: u64);
}

/// Nobody watches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn advance(&self, _done: u64, _total: u64) {}
}

/// Asks long work to end early; checked between pieces of it.
#[derive(Debug, Default)]
pub struct Cancel(AtomicBool);

impl Cancel {
    /// Asks the work to end.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the work was asked to end.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
