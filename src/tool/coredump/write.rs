//! Writing a core file: small things gathered, large ones straight from the map, zeros as holes.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::base::report::{Cancel, Progress};
use crate::base::sink::Sink;
use crate::base::{Error, Result};

/// Whom to tell how far the work has come, and who may end it.
pub(super) struct Watch<'w> {
    progress: &'w dyn Progress,
    cancel: &'w Cancel,
    done: AtomicU64,
    /// Stored bytes of all tasks, as their pagemaps say; shared memory comes on top.
    total: u64,
}

impl<'w> Watch<'w> {
    pub(super) fn new(progress: &'w dyn Progress, cancel: &'w Cancel, total: u64) -> Self {
        Self { progress, cancel, done: AtomicU64::new(0), total }
    }

    /// An error if the work was asked to end.
    pub(super) fn stop(&self) -> Result<()> {
        match self.cancel.is_cancelled() {
            true => Err(Error::cancelled("interrupted; the core file that was being written is not there")),
            false => Ok(()),
        }
    }

    fn advance(&self, bytes: u64) -> Result<()> {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        self.progress.advance(done.min(self.total), self.total);
        self.stop()
    }
}

/// A file that is written from its beginning to its end, with holes.
pub(super) struct Out<'w> {
    sink: Sink,
    watch: &'w Watch<'w>,
    /// What is to be written in front of `at`.
    buffer: Vec<u8>,
    at: u64,
}

/// What is gathered before it is written.
const BUFFER: usize = 1 << 20;
/// What is long enough to be written alone: copying it would cost more than another system call.
const LARGE: usize = 64 << 10;
/// After so much somebody may have asked to end.
const STEP: usize = 8 << 20;

impl<'w> Out<'w> {
    pub(super) fn new(sink: Sink, watch: &'w Watch<'w>) -> Self {
        Self { sink, watch, buffer: Vec::with_capacity(BUFFER), at: 0 }
    }

    /// Where the next byte goes.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<()> {
        if bytes.len() >= LARGE {
            self.flush()?;
            for step in bytes.chunks(STEP) {
                self.sink.write_all_at(step, self.at)?;
                self.at = self.at.saturating_add(step.len() as u64);
                self.watch.advance(step.len() as u64)?;
            }
            return Ok(());
        }
        if self.buffer.len().saturating_add(bytes.len()) > BUFFER {
            self.flush()?;
        }
        self.buffer.extend_from_slice(bytes);
        self.at = self.at.saturating_add(bytes.len() as u64);
        Ok(())
    }

    /// Goes on at another place; what lies between is a hole.
    pub(super) fn go(&mut self, to: u64) -> Result<()> {
        if to != self.at {
            self.flush()?;
            self.at = to;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        let length = self.buffer.len() as u64;
        self.sink.write_all_at(&self.buffer, self.at.saturating_sub(length))?;
        self.buffer.clear();
        self.watch.advance(length)
    }

    /// Makes the file as long as `length` and puts it in place.
    pub(super) fn finish(mut self, length: u64) -> Result<()> {
        self.flush()?;
        self.sink.set_length(length)?;
        self.sink.finish()
    }
}
