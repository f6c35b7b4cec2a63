//! A directory of images in memory, made of any bytes.

use std::sync::Arc;

use bytes::Bytes;
use icecore::source::Source;
use icecore::{Error, Limits, Result};

pub const LIMITS: Limits =
    Limits { memory: 8 << 20, depth: 100, files: 100, spool: 1 << 20, scan: 64 << 10, parents: 10 };

/// Files in memory: a length of 8 bits and a name, a length of 16 bits and the content; again and again.
pub struct Files {
    pub names: Vec<String>,
    pub contents: Vec<Bytes>,
}

impl Files {
    pub fn new(mut data: &[u8]) -> Option<Self> {
        let mut files = Self { names: Vec::new(), contents: Vec::new() };
        while let Some((&length, rest)) = data.split_first() {
            let (name, rest) = rest.split_at_checked(length.into())?;
            let (length, rest) = rest.split_first_chunk()?;
            let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
            let (content, rest) = rest.split_at(length);
            files.names.push(std::str::from_utf8(name).ok()?.to_owned());
            files.contents.push(Bytes::copy_from_slice(content));
            data = rest;
        }
        Some(files)
    }

    fn position(&self, file: &str) -> Result<usize> {
        self.names.iter().position(|name| name == file).ok_or_else(|| Error::usage("no such file"))
    }
}

impl Source for Files {
    fn name(&self) -> &str {
        "fuzz"
    }

    fn files(&self) -> &[String] {
        &self.names
    }

    fn open(&self, file: &str) -> Result<Bytes> {
        self.position(file).map(|at| self.contents[at].clone())
    }

    fn size(&self, file: &str) -> Result<u64> {
        self.position(file).map(|at| self.contents[at].len() as u64)
    }

    fn parent(&self) -> Result<Option<Arc<dyn Source>>> {
        Ok(None)
    }
}
