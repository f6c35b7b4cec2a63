//! Memory as it is, to a file or a pipe.

use std::io::Write;
use std::ops::Range;

use crate::base::report::{Cancel, Progress};
use crate::base::{Error, Result};
use crate::checkpoint::AddressSpace;
use crate::memory::{Content, Run};

/// What is written at once, where it is scattered or is no slice of the map, in bytes.
const PIECE: usize = 1 << 20;

/// Says before anything is written whether all of a range can be. `unpack` tries compressed blocks too, which takes as
/// long as writing them.
///
/// Errors: names the first address that has no bytes in the dump; a block is broken; or `cancel` asked to end.
pub fn check(space: &AddressSpace, range: Range<u64>, unpack: bool, cancel: &Cancel) -> Result<()> {
    let mut scratch = Vec::new();
    let mut at = range.start;
    for run in space.runs(range.clone()).flat_map(|run| run.sound_if(unpack)) {
        if run.start > at {
            break;
        }
        match &run.content {
            Content::Stored(stored) => {
                go_on(cancel)?;
                if unpack && !stored.is_plain() {
                    stored.bytes(&mut scratch)?;
                }
            }
            Content::Zero => {}
            _ => return Err(lacking(space, run.start)),
        }
        at = run.end;
    }
    if at < range.end { Err(lacking(space, at)) } else { Ok(()) }
}

fn go_on(cancel: &Cancel) -> Result<()> {
    if cancel.is_cancelled() { Err(Error::cancelled("interrupted")) } else { Ok(()) }
}

fn lacking(space: &AddressSpace, address: u64) -> Error {
    space.fault(address).hint("--fill BYTE puts a byte of yours where there is none")
}

/// Writes the bytes of a range, `fill` where there are none; how many times that was. Memory stays flat.
///
/// Errors: an address has no bytes and there is nothing to fill in, `out` cannot be written, or `cancel` asked to end.
pub fn write(
    space: &AddressSpace,
    range: Range<u64>,
    fill: Option<u8>,
    out: &mut dyn Write,
    (progress, cancel): (&dyn Progress, &Cancel),
) -> Result<u64> {
    let mut writer = Writer { out, range: range.clone(), waiting: Vec::new(), done: 0, progress, cancel };
    let (mut scratch, mut filled) = (Vec::new(), 0u64);
    let mut fill_in = |writer: &mut Writer<'_>, part: Range<u64>, why: Option<Error>| match fill {
        Some(byte) => {
            filled = filled.saturating_add(part.end.saturating_sub(part.start));
            writer.repeat(byte, part.end.saturating_sub(part.start))
        }
        None => Err(why.unwrap_or_else(|| lacking(space, part.start))),
    };
    let mut at = range.start;
    for run in space.runs(range.clone()).flat_map(Run::sound) {
        let Run { start, end, content } = run;
        if start > at {
            fill_in(&mut writer, at..start, None)?;
        }
        at = end;
        match content {
            Content::Stored(stored) => match stored.bytes(&mut scratch) {
                Ok(bytes) => writer.bytes(bytes)?,
                Err(error) => fill_in(&mut writer, start..end, Some(error))?,
            },
            Content::Zero => writer.repeat(0, end.saturating_sub(start))?,
            _ => fill_in(&mut writer, start..end, None)?,
        }
    }
    if at < range.end {
        fill_in(&mut writer, at..range.end, None)?;
    }
    writer.flush()?;
    Ok(filled)
}

struct Writer<'w> {
    out: &'w mut dyn Write,
    range: Range<u64>,
    /// What is too little to be written alone.
    waiting: Vec<u8>,
    done: u64,
    progress: &'w dyn Progress,
    cancel: &'w Cancel,
}

impl Writer<'_> {
    /// Large slices go out as they are, small ones together.
    fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        for piece in bytes.chunks(PIECE) {
            if self.waiting.len().saturating_add(piece.len()) > PIECE {
                self.flush()?;
            }
            if piece.len() >= PIECE / 4 && self.waiting.is_empty() {
                self.put(piece.len(), |out, _| out.write_all(piece))?;
            } else {
                self.waiting.extend_from_slice(piece);
            }
        }
        Ok(())
    }

    fn repeat(&mut self, byte: u8, count: u64) -> Result<()> {
        let mut left = count;
        while left > 0 {
            if self.waiting.len() >= PIECE {
                self.flush()?;
            }
            let room = PIECE.saturating_sub(self.waiting.len());
            let now = usize::try_from(left).unwrap_or(room).min(room);
            self.waiting.resize(self.waiting.len().saturating_add(now), byte);
            left = left.saturating_sub(now as u64);
            // the same bytes again: what was made once can be written many times
            while self.waiting.len() == now && now == PIECE && left >= PIECE as u64 {
                self.put(now, |out, waiting| out.write_all(waiting))?;
                left = left.saturating_sub(PIECE as u64);
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.put(self.waiting.len(), |out, waiting| out.write_all(waiting))?;
        self.waiting.clear();
        Ok(())
    }

    fn put(&mut self, length: usize, write: impl FnOnce(&mut dyn Write, &[u8]) -> std::io::Result<()>) -> Result<()> {
        go_on(self.cancel)?;
        write(self.out, &self.waiting).map_err(|error| Error::io("cannot write memory", error))?;
        self.done = self.done.saturating_add(length as u64);
        self.progress.advance(self.done, self.range.end.saturating_sub(self.range.start));
        Ok(())
    }
}
