//! `check --digest`: one digest for each file, and one for the whole.

use std::io::Write;
use std::path::Path;

use serde::Serialize;

use super::args::Dump;
use super::out::{Format, Out};
use super::progress::Bar;
use super::{Outcome, interrupt};
use crate::base::report::{Cancel, Rows};
use crate::base::sink::Sink;
use crate::base::{Error, Result};
use crate::tool::check::{Digest, FileDigest, digest};

/// Writes the text to `file`, and the digest of the whole, or with `-` the text, to standard output.
pub(super) fn write(dump: &Dump, file: &Path) -> Result<Outcome> {
    let sink = if file == Path::new("-") { None } else { Some(Sink::create(file)?) };
    let (bar, cancel) = (Bar::new(), Cancel::default());
    interrupt::listen(&cancel)?;
    let mut lines = Lines { out: Out::new(dump.show), sink, files: 0 };
    let whole = digest(&dump.dir, &dump.read.options(), &mut lines, (&bar, &cancel))?;
    drop(bar);
    lines.finish(&whole)
}

/// Writes lines as they come.
struct Lines {
    out: Out,
    sink: Option<Sink>,
    files: u64,
}

/// The last line of NDJSON, and the last key of the document.
#[derive(Serialize)]
struct Last<'d> {
    digest: &'d Digest,
}

impl Lines {
    fn finish(mut self, whole: &Digest) -> Result<Outcome> {
        if let Some(mut sink) = self.sink.take() {
            writeln!(sink, "{}", whole.line()).map_err(|error| Error::io("cannot write the digests", error))?;
            sink.finish()?;
        }
        match self.out.format {
            Format::Text => self.out.raw(&format!("{}\n", whole.line()))?,
            Format::Json => {
                let end = if self.files == 0 { "{\n\"files\": [],\n\"digest\": " } else { "\n],\n\"digest\": " };
                self.out.raw(end)?;
                self.out.json(whole)?;
                self.out.raw("\n}\n")?;
            }
            Format::Ndjson => {
                self.out.json(&Last { digest: whole })?;
                self.out.raw("\n")?;
            }
        }
        self.out.finish()
    }
}

impl Rows<FileDigest> for Lines {
    fn row(&mut self, file: FileDigest) -> Result<()> {
        self.files = self.files.saturating_add(1);
        if let Some(sink) = &mut self.sink {
            writeln!(sink, "{}", file.line()).map_err(|error| Error::io("cannot write the digests", error))?;
        }
        match self.out.format {
            Format::Text if self.sink.is_some() => Ok(()),
            Format::Text => self.out.raw(&format!("{}\n", file.line())),
            Format::Json => {
                self.out.raw(if self.files == 1 { "{\n\"files\": [\n" } else { ",\n" })?;
                self.out.json(&file)
            }
            Format::Ndjson => {
                self.out.json(&file)?;
                self.out.raw("\n")
            }
        }
    }

    fn problem(&mut self, error: Error) -> Result<()> {
        self.out.problem(&error)
    }
}
