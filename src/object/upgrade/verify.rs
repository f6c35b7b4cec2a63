//! The last net under a conversion: records are turned back before they are put, and what comes is compared with the file.

use std::io;

use crate::base::Result;
use crate::image::Image;
use crate::object::upgrade::back::Back;
use crate::object::upgrade::container;
use crate::object::upgrade::context::Context;
use crate::object::upgrade::image::{Out, Rec, items};
use crate::wire::v2::types;

/// A file, and the records that are to become it again.
pub(super) struct Check<'a> {
    back: Back<'a>,
    compare: Compare<'a>,
}

impl<'a> Check<'a> {
    pub(super) fn new(image: &'a Image, context: &'a Context<'a>) -> Self {
        let back = Back::new(image.kind(), image.id(), context);
        Self { back, compare: Compare { rest: image.bytes() } }
    }

    /// Whether what these records are stands next in the file. Each entry was turned back when it was converted; here
    /// they come together.
    pub(super) fn records(&mut self, outs: &mut [Out<'_>]) -> bool {
        outs.iter_mut().all(|out| self.record(out).is_ok())
    }

    fn record(&mut self, out: &mut Out<'_>) -> Result<()> {
        match out {
            Out::Record { object_type, count, payload, back } => {
                let record = Rec { object_type: *object_type, count: *count, payload, offset: 0 };
                match back.take() {
                    Some(piece) => {
                        items(&record)?;
                        self.back.piece(*count, piece, &mut self.compare)
                    }
                    None => self.back.records(&[record], &mut self.compare),
                }
            }
            Out::Blobs(bytes) => container::put_blobs(bytes, |payload| {
                let record = Rec { object_type: types::BLOB, count: 1, payload, offset: 0 };
                self.back.records(&[record], &mut self.compare)
            }),
        }
    }

    pub(super) fn finish(&mut self) -> bool {
        self.back.finish(&mut self.compare).is_ok() && self.compare.rest.is_empty()
    }
}

/// Takes what is written if it is what is expected.
struct Compare<'a> {
    rest: &'a [u8],
}

impl io::Write for Compare<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.rest.strip_prefix(bytes) {
            Some(rest) => {
                self.rest = rest;
                Ok(bytes.len())
            }
            None => Err(io::Error::from(io::ErrorKind::InvalidData)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
