//! Opening a file: by its last 56 bytes and its directory, or by a walk over its headers.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::OnceLock;

use bytes::Bytes;
use rustix::fs::OFlags;

use crate::base::map::{self, Access};
use crate::base::{Error, Limits, Result};
use crate::source::bundle::directory::{Directory, Tail};
use crate::source::bundle::frames::{Found, State};
use crate::source::bundle::survey::Survey;
use crate::source::bundle::{Bundle, Part, Section, is_version_2};
use crate::source::spool;
use crate::wire::v2::{ImageHeader, types};

/// What helps where a file is not whole.
const SALVAGE: &str = "icecore convert --salvage gets out of it what is whole";

/// What helps where it is none of version 2.
const OTHER: &str = "a checkpoint is a bundle or a directory of images; icecore show reads one image of version 1";

/// A file and what it holds of one dump.
pub(super) struct Opened {
    pub(super) part: Part,
    pub(super) dump: u64,
    pub(super) sections: Vec<Section>,
    pub(super) warnings: Vec<Error>,
}

impl Bundle {
    /// Opens a file: a bundle, a stream that was stored, or a single image. A directory is opened as
    /// [`open_dir`](Self::open_dir) does.
    ///
    /// Errors: it is not there, cannot be read, is none of version 2, or is not whole. Bytes behind its END are no
    /// error but a warning.
    pub fn open(path: &Path, access: Access, limits: Limits) -> Result<Self> {
        let name = path.to_string_lossy().into_owned();
        let failed = |error| Error::io("cannot open", error).in_image(name.clone());
        // NONBLOCK: opening a pipe would wait for who writes into it, and a bundle may say that its parent is one
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
        let file = File::options().read(true).custom_flags(flags).open(path).map_err(failed)?;
        match file.metadata() {
            Ok(meta) if meta.is_dir() => return Self::open_dir(path, access, limits),
            Ok(meta) if meta.is_file() => {}
            _ => return Err(Error::usage("is no file, expected a bundle").in_image(name)),
        }
        let bytes = map::content(&file, path, access)?;
        Self::of_part(Part::new(name, bytes, Some((path.to_path_buf(), file))), None, limits)
    }

    /// What comes from an open descriptor, such as a pipe, to its end.
    ///
    /// Errors: as [`open`](Self::open); what is long has no place in the temporary directory.
    pub fn read(fd: BorrowedFd<'_>, name: &str, access: Access, limits: Limits) -> Result<Self> {
        Self::from_bytes(name, spool::read(fd, name, access, &limits)?, limits)
    }

    /// What bytes hold, such as came from a pipe.
    ///
    /// Errors: as [`open`](Self::open).
    pub fn from_bytes(name: &str, bytes: Bytes, limits: Limits) -> Result<Self> {
        Self::of_part(Part::new(name.to_owned(), bytes, None), None, limits)
    }

    /// The numbers of all dumps that its file holds, the last one first: a chain of them can be in one bundle.
    ///
    /// Errors: it is no bundle in one file.
    pub fn dumps(&self) -> Result<Vec<u64>> {
        let [part] = self.parts.as_slice() else {
            return Err(Error::usage("expected one file that holds dumps").in_image(self.name()));
        };
        let tail = part.tail.filter(|tail| tail.chain(&part.bytes).all(|tail| tail.directory != 0));
        let found: Vec<u64> = match tail {
            Some(tail) => tail.chain(&part.bytes).filter_map(|tail| tail.dump(&part.bytes)).collect(),
            None => {
                let mut survey = Survey::new(&part.bytes, 0, &self.limits);
                survey.walk(0, &mut |_| {});
                let before = survey.frames.tails.len().max(1);
                survey
                    .frames
                    .images
                    .iter()
                    .rev()
                    .filter(|image| image.segment < before)
                    .map(|image| image.dump)
                    .collect()
            }
        };
        let mut known = std::collections::BTreeSet::new();
        Ok(found.into_iter().filter(|dump| known.insert(*dump)).collect())
    }

    /// Another dump of the same file, such as the parent of this one.
    ///
    /// Errors: there is no such dump in it; it is not whole.
    pub fn of_dump(&self, dump: u64) -> Result<Self> {
        let [part] = self.parts.as_slice() else {
            return Err(Error::usage("expected one file that holds dumps").in_image(self.name()));
        };
        let again = |file: &File| file.try_clone().map_err(|error| Error::io("cannot open", error));
        let file = part.file.as_ref().map(again).transpose()?;
        let part = Part::new(part.name.clone(), part.bytes.clone(), part.path.clone().zip(file));
        Self::of_part(part, Some(dump), self.limits)
    }

    fn of_part(part: Part, dump: Option<u64>, limits: Limits) -> Result<Self> {
        let Opened { part, dump, mut sections, warnings } = Opened::new(part, 0, dump, &limits)?;
        sections.sort_unstable();
        let (name, parts, blocks) = (part.name.clone(), vec![part], OnceLock::new());
        Ok(Self { name, parts, sections, dump, limits, blocks, warnings, is_several: false })
    }
}

impl Part {
    pub(super) fn new(name: String, bytes: Bytes, file: Option<(std::path::PathBuf, File)>) -> Self {
        let (path, file) = file.unzip();
        Self { name, bytes, path, file, is_beside: false, end: None, tail: None, tables: Vec::new() }
    }
}

impl Opened {
    /// What a file holds of a dump; of the last one, if none is asked for.
    pub(super) fn new(part: Part, index: usize, dump: Option<u64>, limits: &Limits) -> Result<Self> {
        let name = part.name.clone();
        let opened = Self::of(part, index, dump, limits);
        opened.map_err(|error| error.in_image(name.as_str()))
    }

    fn of(part: Part, index: usize, dump: Option<u64>, limits: &Limits) -> Result<Self> {
        let first = ImageHeader::read(&part.bytes).map_err(|broken| {
            let error = Error::format(broken.to_string()).at_offset(broken.offset as u64);
            if is_version_2(&part.bytes) { error } else { error.hint(OTHER) }
        })?;
        let tail = Tail::find(&part.bytes, limits.scan);
        match tail.filter(|tail| tail.directory != 0 && tail.is_proven(&part.bytes, first.dump())) {
            Some(tail) => Self::by_directory(part, index, tail, dump, limits),
            None => Self::by_walk(part, index, dump, limits),
        }
    }

    fn by_directory(mut part: Part, index: usize, last: Tail, dump: Option<u64>, limits: &Limits) -> Result<Self> {
        let mut chain = last.chain(&part.bytes);
        let tail = match dump {
            None => Some(last),
            Some(dump) => chain.find(|tail| tail.dump(&part.bytes) == Some(dump)),
        };
        drop(chain);
        let Some(tail) = tail else { return Self::by_walk(part, index, dump, limits) };
        let directory = Directory::read(&part.bytes, &tail, index, limits)
            .map_err(|error| if error.kind() == crate::ErrorKind::Format { error.hint(SALVAGE) } else { error })?;
        let warnings = behind(&part, &last).into_iter().collect();
        part.tables = directory.tables;
        part.end = Some(tail.checksum);
        part.tail = Some(last);
        let mut sections = directory.sections;
        sections.push(directory.own);
        Ok(Self { part, dump: directory.dump, sections, warnings })
    }

    /// Where there is no directory, or none that is in its place.
    fn by_walk(mut part: Part, index: usize, dump: Option<u64>, limits: &Limits) -> Result<Self> {
        let bytes = part.bytes.clone();
        let mut survey = Survey::new(&bytes, index, limits);
        survey.walk(0, &mut |_| {});
        survey.frames.check()?;
        let Some(last) = survey.frames.tails.last().copied() else {
            return Self::alone(part, survey);
        };
        if last.directory != 0 && dump.is_none() {
            // a cut append, longer than what was scanned for its END
            return Self::by_directory(part, index, last, dump, limits);
        }
        let before = |error: &&Error| error.offset().is_none_or(|offset| offset < last.length);
        if let Some(error) = survey.frames.problems.list.iter().find(before) {
            return Err(error.clone().hint(SALVAGE));
        }
        let images = survey.frames.images.iter().filter(|image| image.segment < survey.frames.tails.len());
        let images = images.filter(|image| image.kind != types::KIND_DIRECTORY);
        let Some(dump) = dump.or_else(|| images.clone().next_back().map(|image| image.dump)) else {
            return Err(Error::format("expected images before END, found none"));
        };
        let mut latest: BTreeMap<(u32, u64), &Found> = BTreeMap::new();
        let mut segment = None;
        for image in images.filter(|image| image.dump == dump) {
            latest.insert((image.kind, image.id), image);
            segment = Some(image.segment);
        }
        let Some(tail) = segment.and_then(|segment| survey.frames.tails.get(segment)) else {
            return Err(Error::usage(format!("expected dump {dump:#018x} in the file, found others")));
        };
        let sections = latest.into_values().flat_map(|image| image.sections.iter().copied()).collect();
        let warnings = behind(&part, &last).into_iter().collect();
        part.end = Some(tail.checksum);
        part.tail = Some(last);
        Ok(Self { part, dump, sections, warnings })
    }

    /// One image, which needs no END.
    fn alone(part: Part, survey: Survey<'_>) -> Result<Self> {
        let image = match survey.frames.images.as_slice() {
            // with nothing else it is the beginning of a bundle; a directory has the rest beside it
            [image] if image.kind != types::KIND_CHECKPOINT || part.is_beside => image,
            _ => {
                let error = survey.frames.problems.list.into_iter().next();
                let error = error.unwrap_or_else(|| Error::format("expected the END of a bundle, found the end"));
                return Err(error.hint(SALVAGE));
            }
        };
        let (dump, mut sections) = (image.dump, image.sections.clone());
        if let Some(section) = sections.last_mut().filter(|_| image.state != State::Whole) {
            // who reads it comes to what is wrong with it
            section.size = part.bytes.len().saturating_sub(section.offset);
        }
        let is_more = image.state == State::Whole && !survey.frames.problems.list.is_empty();
        let warnings = survey.frames.problems.list.into_iter().filter(|_| is_more).collect();
        Ok(Self { part, dump, sections, warnings })
    }
}

/// A warning of what stands behind the last END.
fn behind(part: &Part, tail: &Tail) -> Option<Error> {
    let length = usize::try_from(tail.length).unwrap_or(usize::MAX);
    let rest = part.bytes.get(length..).filter(|rest| !rest.is_empty())?;
    let what = match ImageHeader::read(rest) {
        Ok(_) => "something was being appended, and has no END",
        Err(_) => "they are passed over",
    };
    let what = format!("{} bytes stand behind the END of the bundle: {what}", rest.len());
    Some(Error::format(what).at_offset(tail.length).in_image(part.name.as_str()))
}
