//! The chain of dumps that a dump is an increment of, opened as far as somebody asked.

use std::sync::{Arc, Mutex, PoisonError};

use crate::base::Result;
use crate::memory::v2::PageBlocks;
use crate::source::Source;

/// A dump and its ancestors.
pub struct Parents {
    /// The dump itself, its parent, and so on; whether the last has none.
    chain: Mutex<(Vec<Link>, bool)>,
}

/// A dump of the chain.
#[derive(Clone)]
pub(crate) struct Link {
    pub(crate) source: Arc<dyn Source>,
    /// Its pages, in version 2, which all its address spaces share.
    pub(crate) blocks: Option<Arc<PageBlocks>>,
}

impl Link {
    fn new(source: Arc<dyn Source>) -> Self {
        let blocks = source.bundle().map(|bundle| Arc::new(PageBlocks::new(bundle.clone())));
        Self { source, blocks }
    }
}

impl Parents {
    /// The chain that begins with `source`. Nothing is opened yet.
    pub fn of(source: Arc<dyn Source>) -> Self {
        Self { chain: Mutex::new((vec![Link::new(source)], false)) }
    }

    /// The dump `level` links away, 0 for the dump itself; `None` where the chain is shorter.
    ///
    /// Errors: a link leads nowhere, in a circle, or the chain is longer than the limits allow.
    pub fn get(&self, level: usize) -> Result<Option<Arc<dyn Source>>> {
        Ok(self.link(level)?.map(|link| link.source))
    }

    /// How many pages without a checksum were handed out so far, over all dumps of version 2 in the chain.
    pub fn unchecked(&self) -> u64 {
        let chain = self.chain.lock().unwrap_or_else(PoisonError::into_inner);
        let blocks = chain.0.iter().filter_map(|link| link.blocks.as_ref());
        blocks.fold(0, |sum: u64, blocks| sum.saturating_add(blocks.unchecked()))
    }

    /// How many bytes of pages the dump itself has, of all processes, if it is of version 2; pages files of version 1
    /// are as long as that.
    pub fn stored(&self, page_size: u64) -> Option<u64> {
        Some(self.link(0).ok()??.blocks?.bytes(page_size))
    }

    pub(crate) fn link(&self, level: usize) -> Result<Option<Link>> {
        let mut chain = self.chain.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(link) = chain.0.get(level) {
                return Ok(Some(link.clone()));
            }
            let Some(last) = chain.0.last().filter(|_| !chain.1) else { return Ok(None) };
            match last.source.parent()? {
                Some(parent) => chain.0.push(Link::new(parent)),
                None => chain.1 = true,
            }
        }
    }
}
