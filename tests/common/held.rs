//! Dumps whose pages are in bytes of version 2, and chains of them.

use std::sync::Arc;

use bytes::Bytes;
use icecore::source::Source;
use icecore::source::bundle::Bundle;
use icecore::source::dir::Dir;
use icecore::{Limits, Result};

/// A source of what it is given: a bundle with pages, a directory with everything else, a parent.
pub struct Held {
    pub name: String,
    pub files: Vec<String>,
    pub bundle: Option<Arc<Bundle>>,
    pub dir: Option<Dir>,
    pub parent: Option<Arc<dyn Source>>,
}

impl Held {
    pub fn bundle(name: &str, bytes: Vec<u8>, parent: Option<Arc<dyn Source>>) -> Result<Arc<dyn Source>> {
        let bundle = Bundle::from_bytes(&format!("{name}.criu"), bytes.into(), Limits::default())?;
        Ok(Self::of(name, bundle, parent))
    }

    pub fn of(name: &str, bundle: Bundle, parent: Option<Arc<dyn Source>>) -> Arc<dyn Source> {
        let bundle = Some(Arc::new(bundle));
        Arc::new(Self { name: name.to_owned(), files: Vec::new(), bundle, dir: None, parent })
    }
}

impl Source for Held {
    fn name(&self) -> &str {
        &self.name
    }

    fn files(&self) -> &[String] {
        self.dir.as_ref().map_or(&self.files, Source::files)
    }

    fn open(&self, file: &str) -> Result<Bytes> {
        match &self.dir {
            Some(dir) => dir.open(file),
            None => Err(icecore::Error::io("cannot open", std::io::Error::from(std::io::ErrorKind::NotFound))),
        }
    }

    fn size(&self, file: &str) -> Result<u64> {
        self.open(file).map(|bytes| bytes.len() as u64)
    }

    fn parent(&self) -> Result<Option<Arc<dyn Source>>> {
        Ok(self.parent.clone())
    }

    fn bundle(&self) -> Option<&Arc<Bundle>> {
        self.bundle.as_ref()
    }
}
