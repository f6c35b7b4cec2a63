//! A checkpoint of version 2 as a source, for tests that have only pages.

use std::sync::Arc;

use bytes::Bytes;
use icecore::source::Source;
use icecore::source::bundle::Bundle;
use icecore::{Error, Result};

/// A bundle, and what it is an increment of.
pub struct V2 {
    bundle: Arc<Bundle>,
    parent: Option<Arc<dyn Source>>,
}

impl V2 {
    pub fn new(bundle: Arc<Bundle>, parent: Option<Arc<dyn Source>>) -> Self {
        Self { bundle, parent }
    }
}

impl Source for V2 {
    fn name(&self) -> &str {
        self.bundle.name()
    }

    fn files(&self) -> &[String] {
        &[]
    }

    fn open(&self, file: &str) -> Result<Bytes> {
        Err(Error::io("cannot open", std::io::Error::from(std::io::ErrorKind::NotFound)).in_image(file.to_owned()))
    }

    fn size(&self, _: &str) -> Result<u64> {
        Ok(0)
    }

    fn parent(&self) -> Result<Option<Arc<dyn Source>>> {
        Ok(self.parent.clone())
    }

    fn bundle(&self) -> Option<&Arc<Bundle>> {
        Some(&self.bundle)
    }
}
