//! Writes what was gathered, and moves long stretches from file to file: they pass through no buffer of the program, and
//! file systems that can share them do.

use std::fs::File;
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::Advice;
use rustix::io::Errno;

use crate::base::{Error, Result};
use crate::tool::flatten::filling::ROOM;
use crate::tool::flatten::work::Work;

/// Bytes that are moved between two looks at the clock.
const STEP: usize = 8 << 20;
/// Bytes that are handed to the disk together.
const BEGUN: u64 = 8 << 20;

/// What is to be done next.
pub(super) enum Job {
    /// The first `length` bytes go to `at`.
    Write { buffer: Vec<u8>, length: usize, at: u64 },
    /// These bytes of a file go to `at`.
    Copy(Arc<File>, Stretch),
}

/// Consecutive bytes of a file, and where they go.
pub(super) struct Stretch {
    pub(super) offset: u64,
    pub(super) length: u64,
    pub(super) at: u64,
}

/// Writes one file.
pub(super) struct Writer<'w> {
    out: File,
    path: PathBuf,
    work: &'w Work<'w>,
    /// Bytes that were moved from file to file, and those that were written.
    pub(super) moved: u64,
    pub(super) written: u64,
    /// Up to where the disk has begun to take what was written.
    begun: u64,
    long: Arc<AtomicU64>,
}

impl<'w> Writer<'w> {
    pub(super) fn new(out: File, path: &Path, work: &'w Work<'w>) -> Self {
        const EXT: u64 = 0xef53;
        const TMPFS: u64 = 0x0102_1994;
        let kind = rustix::fs::fstatfs(&out).ok().and_then(|stat| u64::try_from(stat.f_type).ok());
        let long = Arc::new(AtomicU64::new(match kind {
            // these share nothing, and the system copies with one core what is read and written here with two; where
            // one call does much, that is as fast and costs less
            Some(EXT | TMPFS) => 1 << 20,
            _ => 64 << 10,
        }));
        Self { out, path: path.to_path_buf(), work, moved: 0, written: 0, begun: 0, long }
    }

    /// From how many bytes on a stretch is better moved from file to file; more once the system has refused to.
    pub(super) fn long(&self) -> Arc<AtomicU64> {
        self.long.clone()
    }

    /// Does it, and gives the buffer back.
    ///
    /// Errors: the file cannot be written; one that is read has become shorter; asked to end.
    pub(super) fn carry_out(&mut self, job: Job) -> Result<Option<Vec<u8>>> {
        self.work.go_on()?;
        match job {
            Job::Write { buffer, length, at } => {
                self.write(buffer.get(..length).unwrap_or_default(), at)?;
                Ok(Some(buffer))
            }
            Job::Copy(file, stretch) => self.copy(&file, stretch).map(|()| None),
        }
    }

    /// Makes the file as long as this. What nobody wrote is a hole.
    pub(super) fn finish(&mut self, length: u64) -> Result<()> {
        self.out.set_len(length).map_err(|error| self.failed("cannot make the file as long as it has to be", error))
    }

    fn failed(&self, what: &'static str, error: impl Into<std::io::Error>) -> Error {
        Error::io(what, error).in_image(self.path.to_string_lossy())
    }

    fn write(&mut self, bytes: &[u8], at: u64) -> Result<()> {
        self.out.write_all_at(bytes, at).map_err(|error| self.failed("cannot write", error))?;
        self.written = self.written.saturating_add(bytes.len() as u64);
        self.did(at, bytes.len() as u64);
        Ok(())
    }

    fn copy(&mut self, file: &File, mut stretch: Stretch) -> Result<()> {
        let mut buffer = Vec::new();
        while stretch.length > 0 {
            self.work.go_on()?;
            let some = usize::try_from(stretch.length).unwrap_or(usize::MAX).min(STEP);
            let (mut from, mut to) = (stretch.offset, stretch.at);
            let done = match rustix::fs::copy_file_range(file, Some(&mut from), &self.out, Some(&mut to), some) {
                Ok(0) => return Err(shorter()),
                Ok(moved) => {
                    self.moved = self.moved.saturating_add(moved as u64);
                    self.did(stretch.at, moved as u64);
                    moved
                }
                Err(Errno::INTR) => 0,
                // two file systems, or one that cannot
                Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::BADF | Errno::PERM) => {
                    self.long.store(u64::MAX, Ordering::Relaxed);
                    buffer.resize(some.min(ROOM), 0);
                    let read = file.read_at(&mut buffer, stretch.offset);
                    match read.map_err(|error| Error::io("cannot read pages", error))? {
                        0 => return Err(shorter()),
                        read => {
                            self.write(buffer.get(..read).unwrap_or_default(), stretch.at)?;
                            read
                        }
                    }
                }
                Err(error) => return Err(self.failed("cannot copy pages", error)),
            };
            stretch.forward(done as u64);
        }
        Ok(())
    }

    /// Tells of bytes that are written at `at`, and lets the disk begin with them: syncing at the end then waits for
    /// the rest only.
    fn did(&mut self, at: u64, bytes: u64) {
        self.work.did(bytes);
        let end = at.saturating_add(bytes);
        let length = end.saturating_sub(self.begun);
        if length >= BEGUN {
            // pages that are dirty are not dropped, their way to the disk begins
            let _ = rustix::fs::fadvise(&self.out, self.begun, NonZeroU64::new(length), Advice::DontNeed);
            self.begun = end;
        }
    }
}

impl Stretch {
    pub(super) fn forward(&mut self, bytes: u64) {
        self.offset = self.offset.saturating_add(bytes);
        self.at = self.at.saturating_add(bytes);
        self.length = self.length.saturating_sub(bytes);
    }
}

#[cold]
pub(super) fn shorter() -> Error {
    Error::fault("a file with pages became shorter while it was read").hint("flatten a copy of the chain")
}
