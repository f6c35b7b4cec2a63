//! The files of the new directory.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::base::alike::Likeness;
use crate::base::batch::Batch;
use crate::base::sink::Sink;
use crate::base::stage::Stage;
use crate::base::{Error, Result};
use crate::image::Kind;
use crate::tool::compress::survey::Survey;

/// The files that are written, until all are.
pub(super) struct Files<'s> {
    stage: &'s Stage,
    /// Whether the old ones stay.
    backups: bool,
    batch: Batch,
}

impl<'s> Files<'s> {
    pub(super) fn new(stage: &'s Stage, backups: bool) -> Self {
        Self { stage, backups, batch: Batch::default() }
    }

    /// Begins a file in the place of one that is there.
    ///
    /// Errors: there is a backup of it already; the system refused.
    pub(super) fn begin(&self, name: &str) -> Result<Sink> {
        let path: PathBuf = self.stage.path().join(name);
        let failed = |error| Error::io("cannot make place for a new one", error).in_image(name);
        if self.backups {
            let backup = format!("{name}.bak");
            keep(&path, &self.stage.path().join(&backup)).map_err(|error| match error.kind() {
                std::io::ErrorKind::AlreadyExists => Error::usage("is there already, and would be the backup")
                    .in_image(backup)
                    .hint("move it away; or --in-place keeps no backups"),
                _ => failed(error),
            })?;
        }
        fs::remove_file(&path).map_err(failed)?;
        Sink::create(&path)
    }

    /// Takes a file whose content is complete.
    ///
    /// Errors: the system refused.
    pub(super) fn end(&mut self, sink: Sink, like: &Likeness) -> Result<()> {
        sink.resemble(like)?;
        self.batch.add(sink)
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

    /// All that was begun is complete.
    ///
    /// Errors: the system refused.
    pub(super) fn commit(self) -> Result<()> {
        self.batch.commit()
    }
}

/// Gives a file another name, unless that is taken.
fn keep(path: &Path, backup: &Path) -> std::io::Result<()> {
    fs::hard_link(path, backup)
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
