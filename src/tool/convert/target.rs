//! Where images of version 2 are written to: one file, standard output, or a file for each image.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Stdout, Write};
use std::path::Path;

use crate::base::left;
use crate::base::sink::Sink;
use crate::base::stage::Stage;
use crate::base::{Error, Result};
use crate::object::upgrade::schema::KindRow;
use crate::source::bundle::Turn;

/// Bytes that are gathered before they are written.
const BUFFER: usize = 1 << 20;

/// What a [`Writer`](crate::source::bundle::Writer) writes to.
pub(super) enum Output {
    /// A file, and its bytes so far.
    Bundle(BufWriter<Sink>, u64),
    Stream(BufWriter<Stdout>, u64),
    Images(Images),
}

/// A directory of files, one for each image, which appear together.
pub(super) struct Images {
    stage: Stage,
    /// Those that are not complete, with what they have so far.
    open: BTreeMap<(u32, u64), (BufWriter<Sink>, u64)>,
    current: Option<(u32, u64)>,
    /// Bytes of all so far.
    length: u64,
}

impl Output {
    /// A file that appears when it is complete; only its owner may read it.
    ///
    /// Errors: it cannot be made.
    pub(super) fn bundle(path: &Path) -> Result<Self> {
        left::sweep(path);
        let sink = Sink::create(path)?;
        sink.only_for_owner()?;
        Ok(Self::Bundle(BufWriter::with_capacity(BUFFER, sink), 0))
    }

    /// Standard output.
    pub(super) fn stream() -> Self {
        Self::Stream(BufWriter::with_capacity(BUFFER, io::stdout()), 0)
    }

    /// A directory, which is made if it is not there.
    ///
    /// Errors: it cannot be made, or something is in it.
    pub(super) fn images(path: &Path) -> Result<Self> {
        let stage = Stage::create(path)?;
        Ok(Self::Images(Images { stage, open: BTreeMap::new(), current: None, length: 0 }))
    }

    /// What comes next belongs to this image. Gives where its file stands; none where all images are in one file.
    ///
    /// Errors: the file cannot be made.
    pub(super) fn turn(&mut self, turn: Turn) -> Result<Option<u64>> {
        let Self::Images(images) = self else { return Ok(None) };
        let (kind, id) = match turn {
            Turn::To(kind, id) => (kind, id),
            Turn::From(kind, id) => return images.done(kind, id).map(|()| None),
        };
        images.current = Some((kind, id));
        if let Some((_, length)) = images.open.get(&(kind, id)) {
            return Ok(Some(*length));
        }
        let name = KindRow::by_number(kind).map_or_else(|| format!("{kind}-{id}.criu"), |row| row.file_name(id));
        let sink = images.stage.file(Path::new(&name))?;
        sink.only_for_owner()?;
        images.open.insert((kind, id), (BufWriter::with_capacity(BUFFER, sink), 0));
        Ok(Some(0))
    }

    /// All is written: it appears. Gives how many bytes that are.
    ///
    /// Errors: what is left cannot be written, synced or put in place.
    pub(super) fn finish(self) -> Result<u64> {
        match self {
            Self::Bundle(file, length) => {
                file.into_inner().map_err(|error| failed(error.into_error()))?.finish()?;
                Ok(length)
            }
            Self::Stream(mut file, length) => {
                file.flush().map_err(failed)?;
                Ok(length)
            }
            Self::Images(mut images) => {
                for (_, (file, _)) in std::mem::take(&mut images.open) {
                    file.into_inner().map_err(|error| failed(error.into_error()))?.finish()?;
                }
                images.stage.commit()?;
                Ok(images.length)
            }
        }
    }
}

impl Images {
    /// An image is complete.
    fn done(&mut self, kind: u32, id: u64) -> Result<()> {
        let Some((file, _)) = self.open.remove(&(kind, id)) else { return Ok(()) };
        self.current = None;
        file.into_inner().map_err(|error| failed(error.into_error()))?.finish()
    }
}

fn failed(error: io::Error) -> Error {
    Error::io("cannot write", error)
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (written, length) = match self {
            Self::Bundle(file, length) => (file.write(bytes)?, length),
            Self::Stream(file, length) => (file.write(bytes)?, length),
            Self::Images(images) => {
                let current = images.current.and_then(|image| images.open.get_mut(&image));
                let Some((file, length)) = current else { return Err(io::ErrorKind::BrokenPipe.into()) };
                let written = file.write(bytes)?;
                *length = length.saturating_add(written as u64);
                (written, &mut images.length)
            }
        };
        *length = length.saturating_add(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Bundle(file, _) => file.flush(),
            Self::Stream(file, _) => file.flush(),
            Self::Images(images) => images.open.values_mut().try_for_each(|(file, _)| file.flush()),
        }
    }
}
