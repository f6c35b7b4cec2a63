//! A whole image as JSON: in parallel where its entries are small, flat in memory always.

use std::io::Write;
use std::ops::Range;

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use crate::base::{Error, Result};
use crate::image::{Entry, FirstWord, Image, Kind};
use crate::object::json::Form;
use crate::object::json::out::Out;
use crate::object::json::part::{self, PART, Part, Problem};

/// A part larger than this is written directly instead of being put together first.
const LARGE: usize = 256 << 10;

/// Writes `image` as crit's JSON, without a newline at the end.
///
/// An entry that cannot be shown is left out and told to `warn`, where the form is strict; else it is an error, but
/// for a missing required field, which is told to `warn` while the entry is written without it, as crit does.
///
/// Errors: an entry is broken (not strict), the image has no entries by its kind, the destination refuses.
pub fn decode(image: &Image, form: &Form, out: &mut dyn Write, warn: &mut dyn FnMut(Error)) -> Result<()> {
    if image.kind().row().messages.is_empty() {
        return Err(Error::usage(format!("{} images are raw bytes, expected one with entries", image.kind().name()))
            .in_image(image.name()));
    }
    let mut text = Out::to(out, form.pretty, 0);
    text.open(b'{');
    text.key(true, "magic");
    text.raw(format!("\"{}\"", image.kind().magic_name()).as_bytes());
    if let Some(word) = unusual_first_word(image) {
        text.key(false, "@first_word");
        text.raw(format!("\"{word}\"").as_bytes());
    }
    text.key(false, "entries");
    text.open(b'[');
    text.flush().map_err(refused)?;

    let mut decoder = Decoder { image, form, text, any: false, problems: Vec::new(), spare: Vec::new(), warn };
    if image.bytes().len() <= PART {
        // not worth waking threads for
        decoder.directly(0..image.len())?;
        return decoder.end();
    }
    // few enough for flat memory on any machine
    let full = rayon::current_num_threads().saturating_mul(2).min(16);
    let mut batch = Vec::new();
    let mut written = Vec::new();
    for (range, bytes) in image.parts(PART) {
        // messages nested in their own kind become hundreds of times as long by their indent
        let large = bytes > LARGE || image.kind() == Kind::Cgroup;
        if !large {
            batch.push(range.clone());
        }
        if large || batch.len() >= full {
            written = decoder.turn(written, std::mem::take(&mut batch))?;
        }
        if large {
            decoder.turn(std::mem::take(&mut written), Vec::new())?;
            decoder.directly(range)?;
        }
        if decoder.text.has_failed() {
            break;
        }
    }
    written = decoder.turn(written, batch)?;
    decoder.turn(written, Vec::new())?;
    decoder.end()
}

/// What was written so far, and with what.
struct Decoder<'a, 'o> {
    image: &'a Image,
    form: &'a Form,
    text: Out<'o>,
    any: bool,
    problems: Vec<Problem>,
    /// Buffers to use again: new ones would cost a page fault every 4 KiB.
    spare: Vec<Vec<u8>>,
    warn: &'a mut dyn FnMut(Error),
}

impl Decoder<'_, '_> {
    /// Writes what was put together before while the next batch is put together.
    fn turn(&mut self, done: Vec<Part>, next: Vec<Range<usize>>) -> Result<Vec<Part>> {
        let (image, form) = (self.image, self.form);
        let next: Vec<_> =
            next.into_iter().map(|range| (range, self.spare.pop().unwrap_or_else(|| part::buffer(form)))).collect();
        // the destination need not be Sync, so this thread writes while the others put together
        let mut parts = Vec::new();
        rayon::in_place_scope(|scope| {
            if !next.is_empty() {
                scope.spawn(|_| {
                    parts = next.into_par_iter().map(|(range, text)| part::part(image, form, range, text)).collect();
                });
            }
            for part in done {
                if part.any {
                    if std::mem::replace(&mut self.any, true) {
                        self.text.raw(if form.pretty { b"," } else { b", " });
                    }
                    self.text.pass(part.text.get(..part.length).unwrap_or_default());
                }
                self.problems.extend(part.problems);
                if part.text.capacity() <= LARGE {
                    self.spare.push(part.text);
                }
            }
        });
        self.tell()?;
        Ok(parts)
    }

    /// Writes entries without putting them together first.
    fn directly(&mut self, range: Range<usize>) -> Result<()> {
        part::entries(self.image, self.form, &mut self.text, range, &mut self.any, &mut self.problems, true);
        self.tell()
    }

    fn tell(&mut self) -> Result<()> {
        for problem in self.problems.drain(..) {
            if problem.fatal && !self.form.strict {
                return Err(problem.error);
            }
            (self.warn)(problem.error);
        }
        Ok(())
    }

    fn end(mut self) -> Result<()> {
        if let Some(fault) = self.image.fault() {
            if !self.form.strict {
                return Err(fault.clone());
            }
            (self.warn)(fault.clone());
        }
        self.text.close(b']', !self.any);
        self.text.close(b'}', false);
        self.text.flush().map_err(refused)
    }
}

fn refused(error: std::io::Error) -> Error {
    Error::io("cannot write JSON", error)
}

/// One entry as a JSON object, appended to `out`.
///
/// Errors: as [`decode`]; what was appended is then incomplete.
pub fn entry(entry: &Entry<'_>, form: &Form, out: &mut Vec<u8>) -> Result<()> {
    let mut text = Out::part(std::mem::take(out), form.pretty, 0);
    let mut problems = Vec::new();
    let result = entry.schema().and_then(|schema| part::object(entry, schema, form, &mut text, &mut problems));
    *out = text.buffer;
    result
}

/// The first word, where it is not the one that encoding would write.
fn unusual_first_word(image: &Image) -> Option<&'static str> {
    if image.first_word() == image.kind().row().first_word {
        return None;
    }
    Some(match image.first_word() {
        FirstWord::Absent => "none",
        FirstWord::Common => "common",
        FirstWord::Service => "service",
    })
}
