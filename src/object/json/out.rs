//! Where JSON is put together: a buffer that goes on to its destination when it is full, and the layout of both forms.

use std::io::{self, Write};

/// The buffer is passed on when it holds this much.
const FULL: usize = 256 << 10;

pub(crate) struct Out<'a> {
    pub(crate) buffer: Vec<u8>,
    pub(crate) pretty: bool,
    indent: usize,
    destination: Option<&'a mut dyn Write>,
    /// How many writers may still take back what they wrote.
    held: usize,
    failed: Option<io::Error>,
}

impl<'a> Out<'a> {
    /// A buffer that keeps everything, for a part of the text that begins `indent` levels deep.
    pub(crate) fn part(buffer: Vec<u8>, pretty: bool, indent: usize) -> Self {
        Out { buffer, pretty, indent, destination: None, held: 0, failed: None }
    }

    pub(crate) fn to(destination: &'a mut dyn Write, pretty: bool, indent: usize) -> Self {
        let buffer = Vec::with_capacity(FULL.saturating_mul(2));
        Out { buffer, pretty, indent, destination: Some(destination), held: 0, failed: None }
    }

    /// A place to come back to with [`rewind`](Self::rewind). Nothing is passed on until [`release`](Self::release).
    pub(crate) fn hold(&mut self) -> (usize, usize) {
        self.held = self.held.saturating_add(1);
        (self.buffer.len(), self.indent)
    }

    pub(crate) fn release(&mut self) {
        self.held = self.held.saturating_sub(1);
    }

    pub(crate) fn rewind(&mut self, (length, indent): (usize, usize)) {
        self.buffer.truncate(length);
        self.indent = indent;
    }

    #[inline]
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Passes the buffer on if it is full. Called between values, so that memory stays flat.
    #[inline]
    pub(crate) fn relieve(&mut self) {
        if self.buffer.len() >= FULL && self.held == 0 {
            self.pass_on();
        }
    }

    #[cold]
    fn pass_on(&mut self) {
        let Some(destination) = &mut self.destination else { return };
        if self.failed.is_none() {
            self.failed = destination.write_all(&self.buffer).err();
        }
        self.buffer.clear();
    }

    /// Passes on what was put together elsewhere, without copying it.
    pub(crate) fn pass(&mut self, bytes: &[u8]) {
        self.pass_on();
        if let (Some(destination), None) = (&mut self.destination, &self.failed) {
            self.failed = destination.write_all(bytes).err();
        }
    }

    /// Whether the destination took everything so far.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.pass_on();
        match self.failed.take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Whether the destination refused something.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    pub(crate) fn open(&mut self, bracket: u8) {
        self.buffer.push(bracket);
        self.indent = self.indent.saturating_add(1);
    }

    /// Closes an object or array; `empty` ones stay on their line.
    #[inline]
    pub(crate) fn close(&mut self, bracket: u8, empty: bool) {
        self.indent = self.indent.saturating_sub(1);
        if self.pretty && !empty {
            self.line();
        }
        self.buffer.push(bracket);
    }

    /// What stands before an element or a key.
    #[inline]
    pub(crate) fn separate(&mut self, first: bool) {
        if self.pretty {
            if !first {
                self.buffer.push(b',');
            }
            self.line();
        } else if !first {
            self.raw(b", ");
        }
    }

    fn line(&mut self) {
        self.buffer.push(b'\n');
        let length = self.buffer.len().saturating_add(self.indent.saturating_mul(4));
        self.buffer.resize(length, b' ');
    }

    /// A key that is not a field's.
    pub(crate) fn key(&mut self, first: bool, name: &str) {
        self.separate(first);
        self.buffer.push(b'"');
        self.raw(name.as_bytes());
        self.raw(b"\": ");
    }
}
