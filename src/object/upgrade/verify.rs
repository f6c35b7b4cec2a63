//! The last net under a conversion: records are turned back before they are put, and what comes is compared with the file.

use std::io;

use crate::image::Image;
use crate::object::upgrade::back::Back;
use crate::object::upgrade::container;
use crate::object::upgrade::context::Context;
use crate::object::upgrade::image::{Out, Rec};
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

    pub(super) fn records(&mut self, outs: &[Out<'_>]) -> bool {
        let mut run = Vec::new();
        for out in outs {
            match out {
                Out::Record { object_type, count, payload } => {
                    run.push(Rec { object_type: *object_type, count: *count, payload, offset: 0 });
                }
                Out::Blobs(bytes) => {
                    if self.back.records(&run, &mut self.compare).is_err() {
                        return false;
                    }
                    run.clear();
                    let same = container::put_blobs(bytes, |payload| {
                        let record = Rec { object_type: types::BLOB, count: 1, payload, offset: 0 };
                        self.back.records(&[record], &mut self.compare)
                    });
                    if same.is_err() {
                        return false;
                    }
                }
            }
        }
        self.back.records(&run, &mut self.compare).is_ok()
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
