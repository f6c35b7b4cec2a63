//! `mem`: memory by mapping, as a hexdump, as it is.

use std::io::{BufWriter, IsTerminal, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::Args;

use super::args::Dump;
use super::images::{named, stdout};
use super::out::{Report, Shown, failed};
use super::problems::Problems;
use super::progress::Bar;
use super::{Outcome, complain, interrupt, range, remark};
use crate::base::report::{Cancel, Rows};
use crate::base::sink::Sink;
use crate::base::{Error, Result};
use crate::checkpoint::mm::Backing;
use crate::checkpoint::task::Task;
use crate::checkpoint::{AddressSpace, Checkpoint};
use crate::tool::raw;
use crate::view;
use crate::view::hexdump::{Piece, hexdump};

/// Options of `mem`.
#[derive(Debug, Args)]
pub(crate) struct Mem {
    /// The task, and a range of its addresses; without a range, where the bytes of its mappings are; without both, of all
    ///
    /// RANGE is an address in base 16, for 256 bytes; ADDRESS+LENGTH, in base 10, or 16 behind 0x, K and M are units;
    /// or ADDRESS-END. In place of an address: heap or stack, whole where no length follows; arg, env, brk; pc and sp,
    /// the registers of the first thread.
    #[arg(index = 2, value_name = "PID] [RANGE", num_args = 0..=2)]
    words: Vec<String>,
    /// A segment of shared memory in place of a task, by the number that `maps` shows; addresses are offsets in it
    #[arg(long, value_name = "ID")]
    segment: Option<u64>,
    /// Show equal lines too
    #[arg(long, conflicts_with = "raw")]
    all: bool,
    /// Write the bytes as they are
    #[arg(long, conflicts_with_all = ["json", "ndjson"])]
    raw: bool,
    /// Where to write them; standard output, if it is no terminal, without
    #[arg(short, long, value_name = "FILE", requires = "raw")]
    output: Option<PathBuf>,
    /// Write this byte, such as 0 or 0xcc, where the dump has none, instead of refusing
    #[arg(long, value_name = "BYTE", requires = "raw", value_parser = byte)]
    fill: Option<u8>,
    #[command(flatten)]
    dump: Dump,
}

fn byte(text: &str) -> std::result::Result<u8, String> {
    let value = range::number(text).and_then(|value| u8::try_from(value).ok());
    value.ok_or_else(|| "expected a byte, such as 0, 255 or 0xcc".to_owned())
}

/// What is shown where no length is given.
const USUAL: u64 = 256;

/// What `mem` is about.
struct Target<'c> {
    task: Option<Task<'c>>,
    space: AddressSpace,
}

pub(super) fn mem(options: &Mem) -> Result<Outcome> {
    let dump = Checkpoint::open_with(&options.dump.dir, options.dump.read.options())?;
    let (pid, range) = match (options.segment, &options.words[..]) {
        (Some(_), [_, second, ..]) => {
            return Err(Error::usage(format!("expected one range of the segment, found {second} behind it")));
        }
        (Some(_), [range]) => (None, Some(range)),
        (None, [pid, rest @ ..]) => {
            let pid: u32 =
                pid.parse().map_err(|_| Error::usage(format!("expected the number of a task, found {pid}")))?;
            (Some(pid), rest.first())
        }
        (_, []) => (None, None),
    };
    let Some(range) = range else {
        if options.raw || options.all {
            return Err(Error::usage("expected a range of addresses").hint("such as 7ffc00000000+4096, or heap"));
        }
        let mut out = Report::new(options.dump.show);
        match options.segment {
            Some(id) => view::mem::segment(&dump, id, &mut out)?,
            None => view::mem::mem(&dump, pid, &mut out)?,
        }
        return out.finish();
    };
    let target = match (options.segment, pid) {
        (Some(id), _) => Target { task: None, space: dump.segment(id)? },
        (None, pid) => {
            let task = dump.task(pid.unwrap_or(0))?;
            match task.address_space()? {
                Some(space) => {
                    space.problems().iter().for_each(complain);
                    Target { task: Some(task), space }
                }
                None => return Err(Error::usage(dump.why_none("memory", pid))),
            }
        }
    };
    let range = target.range(range)?;
    match options.raw {
        true => write_raw(options, &target.space, range),
        false => show(options, &target.space, range),
    }
}

impl Target<'_> {
    fn range(&self, text: &str) -> Result<Range<u64>> {
        let wrong = |what: String| Error::usage(what).hint(range::EXPECTED);
        let (first, rest) = range::parts(text);
        let (start, whole) = match range::address(first) {
            Some(start) => (start, None),
            None => self.place(first)?.ok_or_else(|| wrong(format!("{first} is no address")))?,
        };
        let end = range::end(text, start, &rest).map_err(wrong)?;
        let end = end.or(whole).unwrap_or_else(|| start.saturating_add(USUAL));
        if start < end { Ok(start..end) } else { Err(wrong(format!("{text} has no address in it"))) }
    }

    /// The address of something with a name, and its end if it has one.
    fn place(&self, name: &str) -> Result<Option<(u64, Option<u64>)>> {
        let Some(task) = &self.task else { return Ok(None) };
        let mapping = |backing: Backing, what: &str| {
            let found = self.space.mappings().iter().find(|mapping| mapping.backing == backing);
            let found = found.map(|mapping| (mapping.start.0, Some(mapping.end.0)));
            found.ok_or_else(|| Error::usage(format!("the dump lists no {what} of task {}", task.pid())))
        };
        let absent = || Error::usage(format!("the dump does not say where the {name} of task {} is", task.pid()));
        let mm = || task.mm()?.ok_or_else(absent);
        let registers = || task.core()?.and_then(|core| core.leader.registers).ok_or_else(absent);
        Ok(Some(match name {
            "heap" => mapping(Backing::Heap, "heap")?,
            "stack" => mapping(Backing::Stack, "stack")?,
            "arg" => mm().map(|mm| (mm.arg.0.0, Some(mm.arg.1.0)))?,
            "env" => mm().map(|mm| (mm.env.0.0, Some(mm.env.1.0)))?,
            "brk" => (mm()?.brk.0.0, None),
            "pc" => (registers()?.pc.0, None),
            "sp" => (registers()?.sp.ok_or_else(absent)?.0, None),
            _ => return Ok(None),
        }))
    }
}

fn show(options: &Mem, space: &AddressSpace, range: Range<u64>) -> Result<Outcome> {
    let show = options.dump.show;
    let shown = if show.json || show.ndjson {
        let mut out = Report::new(show);
        let shown = hexdump(space, range, options.all, &mut out)?;
        out.finish()?;
        shown
    } else {
        let width = format!("{:x}", range.end).len().max(8);
        let mut out =
            Lines { out: BufWriter::new(stdout()?), width, line: String::new(), problems: Problems::default() };
        let shown = hexdump(space, range, options.all, &mut out)?;
        out.out.flush().map_err(failed)?;
        shown
    };
    Ok(match (shown.bytes, shown.without) {
        (_, 0) => Outcome::Done,
        (0, _) => Outcome::Failed,
        _ => Outcome::Found,
    })
}

/// A hexdump as text.
struct Lines {
    out: BufWriter<std::fs::File>,
    width: usize,
    line: String,
    problems: Problems,
}

impl Rows<Piece> for Lines {
    fn row(&mut self, piece: Piece) -> Result<()> {
        self.line.clear();
        let _ = piece.text(self.width, &mut self.line);
        self.out.write_all(self.line.as_bytes()).map_err(failed)
    }

    fn problem(&mut self, error: Error) -> Result<()> {
        self.problems.tell(&error);
        Ok(())
    }
}

fn write_raw(options: &Mem, space: &AddressSpace, range: Range<u64>) -> Result<Outcome> {
    let output = named(options.output.as_deref());
    if output.is_none() && std::io::stdout().is_terminal() {
        return Err(Error::usage("standard output is a terminal").hint("name a file with -o, or show it without --raw"));
    }
    let (bar, cancel) = (Bar::new(), Cancel::default());
    interrupt::listen(&cancel)?;
    if options.fill.is_none() {
        // a file appears only if all is well; what went down a pipe cannot be taken back
        raw::check(space, range.clone(), output.is_none(), &cancel)?;
    }
    let watch = (&bar as _, &cancel);
    let filled = match output {
        Some(path) => to_file(path, |out| raw::write(space, range, options.fill, out, watch))?,
        None => raw::write(space, range, options.fill, &mut stdout()?, watch)?,
    };
    drop(bar);
    if filled == 0 {
        return Ok(Outcome::Done);
    }
    let fill = options.fill.unwrap_or(0);
    remark(&format!("{filled} bytes are not in the dump, and {fill:#04x} was written for each"));
    Ok(Outcome::Found)
}

fn to_file<T>(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<T>) -> Result<T> {
    let mut sink = Sink::create(path)?;
    let done = write(&mut sink)?;
    sink.finish()?;
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_to_fill_with() {
        assert_eq!((byte("0xcc"), byte("256").is_err(), byte("").is_err()), (Ok(0xcc), true, true));
    }
}
