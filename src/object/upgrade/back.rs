//! Records of one image as the V1 file they were made from, as they come.

use std::io;

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use crate::base::{Error, Result};
use crate::image::{Kind, Shape};
use crate::object::upgrade::context::Context;
use crate::object::upgrade::entry::{self, Of};
use crate::object::upgrade::framing;
use crate::object::upgrade::image::{LIST, Rec, items};
use crate::object::upgrade::payload::Wanted;
use crate::object::upgrade::schema::Type;
use crate::object::upgrade::v2::V1Image;
use crate::wire::v2::{Blob, types};

/// A V1 image that is being written.
pub(super) struct Back<'a> {
    of: Of<'a>,
    framing: V1Image,
    /// Whether the words in front of the entries are written.
    has_begun: bool,
    objects: u64,
    /// What the last object's BLOBs are to be, and how many bytes came.
    open: Option<(Wanted, u64)>,
}

/// Objects as entries, and what the BLOBs of the last one are to be.
pub(super) struct Piece {
    pub(super) bytes: Vec<u8>,
    pub(super) wanted: Option<Wanted>,
}

impl<'a> Back<'a> {
    pub(super) fn new(kind: Kind, id: u64, context: &'a Context<'a>) -> Self {
        let is_raw = matches!(kind.row().shape, Shape::Raw | Shape::OldPages | Shape::PluginPages);
        let open = is_raw.then(|| (Wanted { needed: None, padding: Vec::new() }, 0));
        Self { of: Of { kind, id, context }, framing: V1Image::default(), has_begun: false, objects: 0, open }
    }

    /// Writes what these records are; objects are converted in parallel.
    ///
    /// Errors: as those of [`down_image`](super::image::down_image).
    pub(super) fn records(&mut self, records: &[Rec<'_>], out: &mut dyn io::Write) -> Result<()> {
        let mut first = self.objects == 0;
        let marked: Vec<(&Rec<'_>, bool)> = records
            .iter()
            .map(|record| (record, is_object(record) && record.count > 0 && std::mem::take(&mut first)))
            .collect();
        let of = self.of;
        let one = |(record, is_first)| objects(of, record, is_first);
        let bytes: usize = records.iter().map(|record| record.payload.len()).sum();
        // to hand little work to another thread costs more than to do it
        let pieces: Vec<Option<Result<Piece>>> = if bytes > LIST.saturating_mul(2) && records.len() > 1 {
            marked.into_par_iter().map(one).collect()
        } else {
            marked.into_iter().map(one).collect()
        };
        for (record, piece) in records.iter().zip(pieces) {
            let written = match piece {
                Some(piece) => piece.and_then(|piece| self.piece(record.count, piece, out)),
                None => self.other(record, out),
            };
            written.map_err(|error| error.at_offset(record.offset))?;
        }
        Ok(())
    }

    /// Writes objects that are entries already.
    ///
    /// Errors: those before lack bytes; writing failed.
    pub(super) fn piece(&mut self, count: u32, piece: Piece, out: &mut dyn io::Write) -> Result<()> {
        self.close(out)?;
        self.begin(out)?;
        self.objects = self.objects.saturating_add(u64::from(count));
        put(out, &piece.bytes)?;
        self.open = piece.wanted.map(|wanted| (wanted, 0));
        Ok(())
    }

    fn other(&mut self, record: &Rec<'_>, out: &mut dyn io::Write) -> Result<()> {
        match record.object_type {
            types::BLOB => {
                self.begin(out)?;
                let blob = Blob::read(record.payload);
                let Blob { offset, data } = blob.map_err(|broken| Error::format(broken.to_string()))?;
                let Some((wanted, came)) = &mut self.open else {
                    return Err(Error::format("expected an object before its bytes, found a BLOB"));
                };
                // no holes: what nobody wrote would be made up
                if offset != *came {
                    let what = format!("expected bytes that go on at {came}, found a BLOB from {offset} on");
                    return Err(Error::format(what));
                }
                *came = came.saturating_add(data.len() as u64);
                if wanted.needed.is_some_and(|needed| *came > needed) {
                    return Err(Error::format("expected no more bytes than their object says, found more"));
                }
                put(out, data)
            }
            types::V1_IMAGE if !self.has_begun => {
                self.framing = framing::read(record.payload)?;
                Ok(())
            }
            types::V1_IMAGE => Err(Error::format("expected a V1_IMAGE before the objects, found it behind")),
            number if number & types::MUST != 0 => {
                Err(Error::format(format!("found objects of type {number:#x}, which must be understood"))
                    .hint("a newer version of this program may know them"))
            }
            _ => Ok(()),
        }
    }

    /// Writes what is behind the last entry.
    ///
    /// Errors: the last object lacks bytes; writing failed.
    pub(super) fn finish(&mut self, out: &mut dyn io::Write) -> Result<()> {
        self.close(out)?;
        self.begin(out)?;
        put(out, framing::tail(&self.framing))
    }

    fn begin(&mut self, out: &mut dyn io::Write) -> Result<()> {
        if self.has_begun {
            return Ok(());
        }
        self.has_begun = true;
        put(out, &framing::head(self.of.kind, &self.framing)?)
    }

    fn close(&mut self, out: &mut dyn io::Write) -> Result<()> {
        let Some((wanted, came)) = self.open.take() else { return Ok(()) };
        if let Some(needed) = wanted.needed.filter(|needed| *needed != came) {
            return Err(Error::format(format!("expected {needed} bytes behind the object, found {came}")));
        }
        put(out, &wanted.padding)
    }
}

fn is_object(record: &Rec<'_>) -> bool {
    Type::by_number(record.object_type).is_some_and(|ty| ty.message.is_some())
}

/// The objects of a record as entries, one behind the other; none if it has none.
fn objects(of: Of<'_>, record: &Rec<'_>, mut is_first: bool) -> Option<Result<Piece>> {
    let ty = Type::by_number(record.object_type).filter(|ty| ty.message.is_some())?;
    Some(items(record).and_then(|items| {
        let mut all = Piece { bytes: Vec::with_capacity(record.payload.len()), wanted: None };
        for item in items {
            // only the last object of a list may have BLOBs
            let before = all.wanted.take();
            if before.as_ref().and_then(|wanted| wanted.needed).is_some_and(|needed| needed > 0) {
                return Err(Error::format("expected an object's bytes behind it, found another object"));
            }
            all.bytes.extend(before.into_iter().flat_map(|wanted| wanted.padding));
            all.wanted = entry::down(of, std::mem::take(&mut is_first), ty, item, &mut all.bytes)?;
        }
        Ok(all)
    }))
}

fn put(out: &mut dyn io::Write, bytes: &[u8]) -> Result<()> {
    out.write_all(bytes).map_err(failed)
}

#[cold]
fn failed(error: io::Error) -> Error {
    Error::io("cannot write the image", error)
}
