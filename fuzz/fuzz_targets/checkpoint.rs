//! Any bytes as a directory of images: every question that can be asked of a checkpoint has an answer or an error.
#![no_main]

use std::sync::Arc;

use bytes::Bytes;
use icecore::source::Source;
use icecore::{Checkpoint, Error, Limits, Result};
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits { memory: 8 << 20, depth: 100, files: 100, spool: 1 << 20, scan: 64 << 10, parents: 10 };

/// Files in memory: a length of 8 bits and a name, a length of 16 bits and the content; again and again.
struct Files {
    names: Vec<String>,
    contents: Vec<Bytes>,
}

impl Files {
    fn new(mut data: &[u8]) -> Option<Self> {
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

fuzz_target!(|data: &[u8]| {
    let Some(files) = Files::new(data) else { return };
    let dump = Checkpoint::from_source(Arc::new(files), LIMITS);
    let _ = (dump.inventory().is_ok(), dump.dump_stats().is_ok(), dump.census().is_ok(), dump.page_size());
    let _ = (dump.mounts().is_ok(), dump.locks().is_ok(), dump.ipc().is_ok(), dump.cgroups().is_ok());
    let _ = (dump.namespaces().is_ok(), dump.ghosts().is_ok(), dump.tree().is_ok(), dump.fd_problems().is_ok());
    let _ = dump.queue_problems().len();
    if let Ok(files) = dump.files() {
        for file in files {
            let _ = (format!("{file:?}"), dump.queue(file), dump.holders(file).map(Iterator::count).is_ok());
        }
    }
    let Ok(tasks) = dump.tasks() else { return };
    for task in tasks.items {
        let _ = (task.core().is_ok(), task.threads(), task.ids().is_ok(), task.fs().is_ok(), task.exe().is_ok());
        let _ = (task.fds().is_ok(), task.mm().is_ok(), task.mappings().is_ok(), task.page_count().is_ok());
    }
});
