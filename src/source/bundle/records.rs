//! The records of one image, over all its sections.

use zerocopy::IntoBytes;

use crate::base::{Error, Result};
use crate::source::bundle::{Bundle, Section};
use crate::wire::v2::crc::crc32c;
use crate::wire::v2::header::{CONTINUES, MUST_FLAGS};
use crate::wire::v2::{Broken, ImageHeader, Problem, Record, types};

/// The records of an image in order, without START, STOP and PAD. Checksums are compared, but of runs and blocks of
/// pages, which are compared when they are first used. Ends behind the first error. Types that the reader does not know
/// are among them, for it to pass over; those that it must know are an error.
///
/// Sections are what the directory says they are, or an error: nothing of another image is handed out.
pub struct Records<'a> {
    bundle: &'a Bundle,
    sections: &'a [Section],
    /// Where it is: the section, its number, and the offset in the file.
    at: Option<(Section, u32, usize)>,
    /// Whether START is still to come in the section.
    needs_start: bool,
    headers: u32,
    checksum: u32,
    state: State,
    is_checked: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Records are still to come.
    Inside,
    /// The STOP was there.
    Stopped,
    /// An error was told.
    Ended,
}

/// A record, and which file it is in.
#[derive(Clone, Copy, Debug)]
pub struct In<'a> {
    /// Number of the file.
    pub part: usize,
    /// The record; its offset is in the file.
    pub record: Record<'a>,
}

impl<'a> Records<'a> {
    /// Those of an image whose sections these are.
    pub(super) fn of(bundle: &'a Bundle, sections: &'a [Section]) -> Self {
        Self {
            bundle,
            sections,
            at: None,
            needs_start: false,
            headers: 0,
            checksum: 0,
            state: State::Inside,
            is_checked: true,
        }
    }

    /// The same without comparing checksums of payloads: for who looks at headers only.
    #[must_use]
    pub fn unchecked(mut self) -> Self {
        self.is_checked = false;
        self
    }

    fn error(&self, part: usize, broken: Broken) -> Error {
        Error::format(broken.to_string()).at_offset(broken.offset as u64).in_image(self.bundle.part_name(part))
    }

    fn unstopped(&self) -> Error {
        let (part, offset) = self.at.map_or((0, 0), |(section, _, at)| (section.part, at));
        Error::format("expected the STOP of an image, found the end")
            .at_offset(offset as u64)
            .in_image(self.bundle.part_name(part))
            .hint("the file is cut, or was still being written")
    }

    /// Goes into the next section; none if there is none.
    fn enter(&mut self) -> Option<Result<()>> {
        let (section, rest) = self.sections.split_first()?;
        self.sections = rest;
        let number = match self.at {
            // a shard has an image of its own
            Some((before, ..)) if before.part != section.part => {
                if self.state != State::Stopped {
                    return Some(Err(self.unstopped()));
                }
                (self.state, self.headers, self.checksum) = (State::Inside, 0, 0);
                0
            }
            Some((_, number, _)) => number.saturating_add(1),
            None => 0,
        };
        let wrong = |what: String| {
            let name = self.bundle.part_name(section.part);
            Some(Err(Error::format(what).at_offset(section.offset as u64).in_image(name)))
        };
        let bytes = self.bundle.bytes(section.part)?;
        let end = section.offset.checked_add(section.size).filter(|end| *end <= bytes.len());
        let Some(end) = end.filter(|_| section.size >= size_of::<ImageHeader>()) else {
            return wrong(format!("expected a section of {} bytes, found the end of the file", section.size));
        };
        let header = match ImageHeader::read(bytes.get(section.offset..end).unwrap_or_default()) {
            Ok(header) => header,
            Err(broken) => return Some(Err(self.error(section.part, broken.at(section.offset)))),
        };
        if (header.kind(), header.id(), header.dump()) != (section.kind, section.id, self.bundle.dump) {
            return wrong(format!("expected image {} {}, found another", section.kind, section.id));
        }
        if (header.flags() & CONTINUES != 0) != (number != 0) {
            return wrong(format!("expected section {number} of image {} {}, found another", section.kind, section.id));
        }
        if header.flags() & MUST_FLAGS != 0 {
            let what =
                format!("expected an image without flags that this version does not know, found {:#x}", header.flags());
            return wrong(what);
        }
        self.at = Some((*section, number, section.offset.saturating_add(size_of::<ImageHeader>())));
        self.needs_start = true;
        Some(Ok(()))
    }

    /// The next record of any type; none at the end of the last section.
    fn step(&mut self) -> Option<Result<In<'a>>> {
        loop {
            let place = self.at.filter(|(section, _, at)| *at < section.offset.saturating_add(section.size));
            let Some((section, number, at)) = place else {
                match self.enter()? {
                    Ok(()) => continue,
                    Err(error) => return Some(Err(error)),
                }
            };
            let bytes = self.bundle.bytes(section.part)?;
            let end = section.offset.saturating_add(section.size);
            let record = match Record::read(bytes.get(..end).unwrap_or(bytes), at) {
                Ok(record) => record,
                Err(broken) => return Some(Err(self.error(section.part, broken))),
            };
            self.at = Some((section, number, record.end()));
            return Some(Ok(In { part: section.part, record }));
        }
    }

    fn frame(&mut self, found: &In<'a>) -> Result<()> {
        let (header, number) = (found.record.header, self.at.map_or(0, |(_, number, _)| number));
        let bundle = self.bundle;
        let wrong = |what: String| {
            Error::format(what).at_offset(found.record.offset as u64).in_image(bundle.part_name(found.part))
        };
        if self.state == State::Stopped {
            return Err(wrong("expected the end of the image behind its STOP, found a record".to_owned()));
        }
        let needs_start = std::mem::take(&mut self.needs_start);
        if needs_start != (header.object_type() == types::START) {
            return Err(wrong("expected one START at the top of a section, found another record".to_owned()));
        }
        match header.object_type() {
            types::START if header.count() != number => {
                Err(wrong(format!("expected section {number} of the image, found {}", header.count())))
            }
            types::END => Err(wrong("expected records of an image, found an END".to_owned())),
            other if other & types::MUST != 0 => {
                let what = format!("expected a type of record that this version knows, found {other:#x}");
                Err(wrong(what).hint("a newer version wrote it, and says that it must be understood"))
            }
            types::STOP => {
                if header.count() != self.headers {
                    return Err(wrong(format!("expected {} records, found {}", header.count(), self.headers)));
                }
                let computed = crc32c(self.checksum, header.head());
                if header.checksum() != computed {
                    let problem = Problem::Checksum { stored: header.checksum(), computed };
                    return Err(self.error(found.part, Broken { offset: found.record.offset, problem }));
                }
                self.state = State::Stopped;
                Ok(())
            }
            other => {
                let later = matches!(other, types::PAGE_RUN | types::PAGE_BLOCK | types::BLOCK_TABLE);
                if self.is_checked && !later {
                    found.record.check().map_err(|broken| self.error(found.part, broken))?;
                }
                Ok(())
            }
        }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<In<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.state == State::Ended {
            return None;
        }
        loop {
            let found = match self.step() {
                None if self.state == State::Stopped || self.at.is_none() => return None,
                None => {
                    self.state = State::Ended;
                    return Some(Err(self.unstopped()));
                }
                Some(Err(error)) => {
                    self.state = State::Ended;
                    return Some(Err(error));
                }
                Some(Ok(found)) => found,
            };
            if let Err(error) = self.frame(&found) {
                self.state = State::Ended;
                return Some(Err(error));
            }
            let header = found.record.header;
            self.headers = self.headers.saturating_add(1);
            self.checksum = crc32c(self.checksum, header.as_bytes());
            if !matches!(header.object_type(), types::START | types::STOP | types::PAD) {
                return Some(Ok(found));
            }
        }
    }
}
