//! Moves content into the file that is written: finds what belongs together, and reads it; a second thread writes.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread::{Builder, Scope, ScopedJoinHandle};

use crate::base::{Error, Result};
use crate::tool::flatten::filling::{Filling, From, Key, ROOM};
use crate::tool::flatten::writer::{Job, Stretch, Writer};

/// So many files are kept open.
const OPEN: usize = 64;
/// So much work is a thread worth.
const MUCH: u64 = 4 << 20;
/// Buffers that wait to be written.
const WAITING: usize = 2;

/// Moves content into one file.
pub(super) struct Mover<'s, 'w> {
    hand: Hand<'s, 'w>,
    /// From here on a stretch is moved from file to file: that costs a call for each, and less for each byte.
    long: Arc<AtomicU64>,
    files: HashMap<Key, From>,
    /// A stretch that may go on.
    stretch: Option<(Key, Stretch)>,
    filling: Filling,
    /// What is gathered goes in front of this.
    at: u64,
}

/// Who writes.
enum Hand<'s, 'w> {
    Own(Writer<'w>),
    Other { jobs: SyncSender<Job>, free: Receiver<Vec<u8>>, thread: ScopedJoinHandle<'s, Result<Writer<'w>>> },
}

impl<'s, 'w: 's> Mover<'s, 'w> {
    /// Begins to move so many `bytes`.
    ///
    /// Errors: there are no more threads.
    pub(super) fn new<'e>(scope: &'s Scope<'s, 'e>, writer: Writer<'w>, bytes: u64) -> Result<Self> {
        let long = writer.long();
        let hand = if bytes < MUCH || rayon::current_num_threads() < 2 {
            Hand::Own(writer)
        } else {
            let (jobs, todo) = sync_channel(WAITING);
            let (back, free) = channel();
            let mut writer = writer;
            let write = move || {
                for job in todo {
                    if let Some(buffer) = writer.carry_out(job)? {
                        // who reads may have come to the end
                        let _ = back.send(buffer);
                    }
                }
                Ok(writer)
            };
            let thread = Builder::new().name("flatten".into()).spawn_scoped(scope, write);
            let thread = thread.map_err(|error| Error::io("cannot start a thread", error))?;
            Hand::Other { jobs, free, thread }
        };
        Ok(Self { hand, long, files: HashMap::new(), stretch: None, filling: Filling::new(), at: 0 })
    }

    /// Puts `length` bytes of a file at `at`; `open` opens it where it is not open yet.
    pub(super) fn take(
        &mut self,
        key: Key,
        (offset, length): (u64, u64),
        at: u64,
        open: impl FnOnce() -> Result<From>,
    ) -> Result<()> {
        if length == 0 {
            return Ok(());
        }
        if let Some((open, stretch)) = &mut self.stretch
            && *open == key
            && stretch.offset.saturating_add(stretch.length) == offset
            && stretch.at.saturating_add(stretch.length) == at
        {
            stretch.length = stretch.length.saturating_add(length);
            return Ok(());
        }
        self.end_stretch()?;
        if !self.files.contains_key(&key) {
            if self.files.len() >= OPEN {
                self.flush()?;
                self.files.clear();
            }
            self.files.insert(key, open()?);
        }
        self.stretch = Some((key, Stretch { offset, length, at }));
        Ok(())
    }

    /// Puts bytes that are in no file at `at`.
    pub(super) fn put(&mut self, mut bytes: &[u8], mut at: u64) -> Result<()> {
        self.end_stretch()?;
        while !bytes.is_empty() {
            self.room(at)?;
            let some = self.filling.put(bytes);
            bytes = bytes.get(some..).unwrap_or_default();
            at = at.saturating_add(some as u64);
            self.at = at;
        }
        Ok(())
    }

    /// Writes what is left and makes the file as long as this. Gives how many bytes went from file to file, and how many
    /// were written.
    ///
    /// Errors: `moved`, what came of moving all, or what came of writing it.
    pub(super) fn finish(mut self, moved: Result<u64>) -> Result<(u64, u64)> {
        let moved = moved.and_then(|length| self.end_stretch().and_then(|()| self.flush()).map(|()| length));
        let mut writer = match self.hand {
            Hand::Own(writer) => writer,
            Hand::Other { jobs, thread, .. } => {
                drop(jobs);
                // if it failed, that is why nobody took what was sent
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?
            }
        };
        writer.finish(moved?)?;
        Ok((writer.moved, writer.written))
    }

    fn end_stretch(&mut self) -> Result<()> {
        let Some((key, mut stretch)) = self.stretch.take() else { return Ok(()) };
        if stretch.length >= self.long.load(Ordering::Relaxed)
            && let Some(From::File(file)) = self.files.get(&key)
        {
            let file = file.clone();
            self.flush()?;
            return self.hand(Job::Copy(file, stretch));
        }
        while stretch.length > 0 {
            self.room(stretch.at)?;
            let some = usize::try_from(stretch.length).unwrap_or(usize::MAX).min(self.filling.room());
            self.filling.want(key, stretch.offset, some);
            stretch.forward(some as u64);
            self.at = stretch.at;
        }
        Ok(())
    }

    /// Makes room for something at `at`.
    fn room(&mut self, at: u64) -> Result<()> {
        if at != self.at || self.filling.room() == 0 {
            self.flush()?;
            self.at = at;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        if self.filling.used() == 0 {
            return Ok(());
        }
        self.filling.fill(&self.files)?;
        let another = match &self.hand {
            Hand::Own(_) => Vec::new(),
            Hand::Other { free, .. } => free.try_recv().unwrap_or_else(|_| vec![0; ROOM]),
        };
        let (buffer, length) = self.filling.swap(another);
        self.hand(Job::Write { buffer, length, at: self.at.saturating_sub(length as u64) })
    }

    fn hand(&mut self, job: Job) -> Result<()> {
        match &mut self.hand {
            Hand::Own(writer) => {
                if let Some(buffer) = writer.carry_out(job)? {
                    self.filling.swap(buffer);
                }
                Ok(())
            }
            Hand::Other { jobs, .. } => {
                jobs.send(job).map_err(|_| Error::io("cannot write", std::io::ErrorKind::BrokenPipe))
            }
        }
    }
}
