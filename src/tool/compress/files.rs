//! The files of the new directory.

use std::io::{BufWriter, Write};
use std::path::Path;

use crate::base::alike::Likeness;
use crate::base::sink::Sink;
use crate::base::stage::Stage;
use crate::base::{Error, ErrorKind, Result};
use crate::image::Kind;
use crate::tool::compress::survey::Survey;

/// The files that are written.
pub(super) struct Files<'s> {
    stage: &'s Stage,
    /// Whether the old ones stay.
    backups: bool,
}

impl<'s> Files<'s> {
    pub(super) fn new(stage: &'s Stage, backups: bool) -> Self {
        Self { stage, backups }
    }

    /// Begins a file in the place of one that is there.
    ///
    /// Errors: there is a backup of it already; the system refused.
    pub(super) fn begin(&self, name: &str) -> Result<Sink> {
        if self.backups {
            self.stage.keep_old(Path::new(name)).map_err(|error| match error.kind() {
                ErrorKind::Usage => error.hint("move it away; or --in-place keeps no backups"),
                _ => error,
            })?;
        }
        self.stage.file(Path::new(name))
    }

    /// Takes a file whose content is complete.
    ///
    /// Errors: the system refused.
    pub(super) fn end(&mut self, sink: Sink, like: &Likeness) -> Result<()> {
        sink.resemble(like)?;
        sink.finish()
    }

    /// Writes the inventory.
    ///
    /// Errors: as [`begin`](Self::begin).
    pub(super) fn inventory(&mut self, survey: &Survey<'_>, content: &[u8]) -> Result<()> {
        let name = Kind::Inventory.file_name(0).unwrap_or_default();
        let mut sink = self.begin(&name)?;
        sink.write_all(content).map_err(|error| Error::io("cannot write", error).in_image(name))?;
        self.end(sink, &survey.inventory)
    }
}

/// A pagemap's image as it is written.
pub(super) struct Entries {
    out: BufWriter<Sink>,
    name: String,
}

impl Entries {
    /// Begins with what stands before the first entry about pages.
    ///
    /// Errors: the system refused.
    pub(super) fn begin(sink: Sink, name: &str, head: &[u8]) -> Result<Self> {
        let mut entries = Self { out: BufWriter::with_capacity(256 << 10, sink), name: name.to_owned() };
        entries.write(head)?;
        Ok(entries)
    }

    /// Adds bytes.
    ///
    /// Errors: the system refused.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(|error| Error::io("cannot write", error).in_image(self.name.as_str()))
    }

    /// The complete file.
    ///
    /// Errors: the system refused.
    pub(super) fn end(self) -> Result<Sink> {
        let Self { out, name } = self;
        out.into_inner().map_err(|error| Error::io("cannot write", error.into_error()).in_image(name))
    }
}
