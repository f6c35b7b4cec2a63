//! Images to JSON and back, for files, pipes and directories: what `crit decode`, `encode`, `info`, `show` do.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;

use bytes::Bytes;

use super::interrupt;
use super::out::failed;
use crate::base::report::{Cancel, Progress};
use crate::base::sink::Sink;
use crate::base::{Error, Result, map};
use crate::checkpoint::{Checkpoint, ImageName, Options};
use crate::image::Image;
use crate::object::json::{self, Form};
use crate::source::bundle::is_version_2;
use crate::source::spool;
use crate::tool::crit;

/// A file to read or write; `None` is standard input or output, as `-` is.
pub(super) type Place<'p> = Option<&'p Path>;

/// `-` is no file.
pub(super) fn named(place: Place<'_>) -> Place<'_> {
    place.filter(|path| path.as_os_str() != "-")
}

/// The bytes of a file, or of standard input, and what to call them.
pub(super) fn input(place: Place<'_>, options: Options) -> Result<(String, Bytes)> {
    let Options { access, limits } = options;
    let Some(path) = named(place) else {
        return Ok(("standard input".to_owned(), spool::stdin(access, &limits)?));
    };
    let name = path.to_string_lossy().into_owned();
    let file = File::open(path).map_err(|error| Error::io("cannot open", error).in_image(name.clone()))?;
    // a pipe by name is read to its end, as standard input is
    let bytes = match file.metadata().is_ok_and(|meta| meta.is_file() || meta.is_dir()) {
        true => map::content(&file, path, access)?,
        false => spool::read(file.as_fd(), &name, access, &limits)?,
    };
    Ok((name, bytes))
}

/// What there is to read.
pub(super) enum Input {
    /// A dump; of version 2, it may be one image alone.
    Dump(Box<Checkpoint>),
    /// An image of version 1: its name and bytes.
    Image(String, Bytes),
}

impl Input {
    /// A directory, a file or standard input.
    ///
    /// Errors: it cannot be read.
    pub(super) fn open(place: Place<'_>, options: Options) -> Result<Self> {
        let path = named(place);
        if let Some(directory) = path.filter(|path| path.is_dir()) {
            return Checkpoint::open_with(directory, options).map(Self::dump);
        }
        let (name, bytes) = input(place, options)?;
        match path.filter(|path| path.is_file()) {
            _ if !is_version_2(&bytes) => Ok(Self::Image(name, bytes)),
            // from where it lies there is a way to its parent
            Some(path) => Checkpoint::open_with(path, options).map(Self::dump),
            None => Checkpoint::from_bytes(&name, bytes, options).map(Self::dump),
        }
    }

    fn dump(dump: Checkpoint) -> Self {
        Self::Dump(Box::new(dump))
    }

    /// One image: of version 1, or what a file of version 2 has for it.
    ///
    /// Errors: it is none, or more than one.
    fn image(self, options: Options) -> Result<Image> {
        match self {
            Self::Image(name, bytes) => crit::open(&name, bytes, options.limits),
            Self::Dump(dump) => match with_entries(&dump).as_slice() {
                [image] => dump.open_image(image),
                images => Err(Error::usage(format!("expected one image, found {}", images.len()))
                    .in_image(dump.source().name().to_owned())
                    .hint("icecore show takes the name of one behind it")),
            },
        }
    }
}

/// The images that can be said in JSON.
fn with_entries(dump: &Checkpoint) -> Vec<&ImageName> {
    dump.images().iter().filter(|image| !image.kind.row().messages.is_empty()).collect()
}

/// Standard output, without the buffer that looks for line ends.
pub(super) fn stdout() -> Result<File> {
    io::stdout().as_fd().try_clone_to_owned().map(File::from).map_err(failed)
}

/// Hands what is to be written to `write`. A file appears only when it is complete; standard output gets a newline at
/// the end where `line` says so.
fn output(place: Place<'_>, line: bool, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    match named(place) {
        Some(path) => {
            let mut sink = Sink::create(path)?;
            write(&mut sink)?;
            sink.finish()
        }
        None => {
            let mut out = stdout()?;
            write(&mut out)?;
            let end: &[u8] = if line { b"\n" } else { b"" };
            out.write_all(end).map_err(failed)
        }
    }
}

/// How to read, and whom to tell.
pub(super) struct Work<'w> {
    pub(super) options: Options,
    pub(super) progress: &'w dyn Progress,
    pub(super) cancel: &'w Cancel,
    pub(super) warn: &'w mut dyn FnMut(Error),
}

impl Work<'_> {
    /// An image to JSON; all images of a directory or bundle to a directory of JSON.
    pub(super) fn decode(&mut self, from: Place<'_>, to: Place<'_>, form: Form) -> Result<()> {
        let is_directory = named(from).is_some_and(Path::is_dir);
        let input = match Input::open(from, self.options)? {
            Input::Dump(dump) if is_directory || with_entries(&dump).len() > 1 => {
                let target = directory(to)?;
                interrupt::listen(self.cancel)?;
                crit::decode_directory(&dump, &form, target, (self.progress, self.cancel), self.warn)?;
                return Ok(());
            }
            input => input,
        };
        let image = input.image(self.options)?;
        output(to, true, |out| json::decode(&image, &form, out, self.warn))
    }

    /// JSON to an image; a directory of JSON to a directory of images.
    pub(super) fn encode(&mut self, from: Place<'_>, to: Place<'_>) -> Result<()> {
        let Options { access, limits } = self.options;
        if let Some(source) = named(from).filter(|path| path.is_dir()) {
            let target = directory(to)?;
            interrupt::listen(self.cancel)?;
            crit::encode_directory(source, &limits, access, target, (self.progress, self.cancel))?;
            return Ok(());
        }
        let (name, bytes) = input(from, self.options)?;
        output(to, false, |out| json::encode(&bytes, &limits, out).map_err(|error| error.in_image(name)))
    }

    /// The magic and the number of entries of an image, as crit prints them.
    pub(super) fn info(&mut self, from: &Path) -> Result<()> {
        let image = match from.is_dir() {
            // says that it is none
            true => input(Some(from), self.options).map(|(name, bytes)| Input::Image(name, bytes)),
            false => Input::open(Some(from), self.options),
        };
        let (magic, count) = crit::info(&image?.image(self.options)?)?;
        let text = format!("{{\n    \"magic\": \"{magic}\",\n    \"count\": {count}\n}}\n");
        stdout()?.write_all(text.as_bytes()).map_err(failed)
    }
}

fn directory(place: Place<'_>) -> Result<&Path> {
    named(place).ok_or_else(|| {
        Error::usage("the input has many images, so the output must be a directory").hint("name it with -o DIR")
    })
}
