//! The chain of dumps that a dump is an increment of, opened as far as somebody asked.

use std::sync::{Arc, Mutex, PoisonError};

use crate::base::Result;
use crate::source::Source;

/// A dump and its ancestors.
pub struct Parents {
    /// The dump itself, its parent, and so on; whether the last has none.
    chain: Mutex<(Vec<Arc<dyn Source>>, bool)>,
}

impl Parents {
    /// The chain that begins with `source`. Nothing is opened yet.
    pub fn of(source: Arc<dyn Source>) -> Self {
        Self { chain: Mutex::new((vec![source], false)) }
    }

    /// The dump `level` links away, 0 for the dump itself; `None` where the chain is shorter.
    ///
    /// Errors: a link leads nowhere, in a circle, or the chain is longer than the limits allow.
    pub fn get(&self, level: usize) -> Result<Option<Arc<dyn Source>>> {
        let mut chain = self.chain.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(source) = chain.0.get(level) {
                return Ok(Some(source.clone()));
            }
            let Some(last) = chain.0.last().filter(|_| !chain.1) else { return Ok(None) };
            match last.parent()? {
                Some(parent) => chain.0.push(parent),
                None => chain.1 = true,
            }
        }
    }
}
