//! ELF core files of tasks, as gdb reads them: threads with all their registers, and memory.
//!
//! A file is written in one pass from its beginning to its end, but for the program headers, which are told apart from
//! the runs of the address space twice, and never kept: memory stays flat.
//!
//! To add a machine: its registers in [`cpu`](crate::checkpoint::cpu), a row in `elf.rs`, a file of its own beside
//! `aarch64.rs`, and an arm in `process.rs`.

mod aarch64;
mod elf;
mod i386;
mod notes;
mod process;
mod segments;
mod write;
mod x86_64;
mod xsave;

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use bytes::Bytes;
use serde::Serialize;

use crate::base::made::Made;
use crate::base::report::{Cancel, Cell, Column, Progress, Row, Rows};
use crate::base::sink::Sink;
use crate::base::{Error, ErrorKind, Name, Result, left};
use crate::checkpoint::Checkpoint;
use crate::checkpoint::task::{State, Task};
use crate::memory::Content;
use elf::{Places, ProgramHeader, kind};
use process::Process;
use segments::{Plan, Said};
use write::{Out, Watch};

/// A core file that was written.
#[derive(Clone, Debug, Serialize)]
pub struct Written {
    /// The task.
    pub pid: u32,
    /// Its command.
    pub comm: Name,
    /// The file.
    pub file: Name,
    /// Threads in it.
    pub threads: u64,
    /// Ranges of memory in it (`PT_LOAD`).
    pub segments: u64,
    /// How long it is, in bytes; holes take no room.
    pub bytes: u64,
    /// Bytes of memory that were stored in the dump, in those before it, or in segments.
    pub stored: u64,
    /// Bytes of memory that are zero.
    pub zero: u64,
    /// Bytes of memory that only the mapped files have.
    pub in_files: u64,
    /// Bytes of memory that the dump should have and has not.
    pub missing: u64,
}

impl Row for Written {
    const COLUMNS: &'static [Column] = &[
        Column::number("PID", 0),
        Column::text("COMM", 1),
        Column::number("THREADS", 2),
        Column::number("SEGMENTS", 4),
        Column::number("BYTES", 1),
        Column::number("STORED", 2),
        Column::number("ZERO", 3),
        Column::number("IN FILES", 3),
        Column::number("MISSING", 2),
        Column::long("FILE", 0),
    ];

    fn cells(&self) -> Vec<Cell> {
        let missing = if self.missing == 0 { Cell::Empty } else { Cell::Odd(self.missing.to_string().into()) };
        vec![
            Cell::text(self.pid),
            Cell::text(&self.comm),
            Cell::text(self.threads),
            Cell::text(self.segments),
            Cell::Size(self.bytes),
            Cell::Size(self.stored),
            Cell::Size(self.zero),
            Cell::Size(self.in_files),
            missing,
            Cell::text(&self.file),
        ]
    }
}

/// Writes `core.PID` into the directory `target` for each of these tasks, or for all where `pids` is empty; the directory
/// is made if it is not there. Each file appears when it is complete, and only its owner may read it. Zombies are passed over with a note; what is missing
/// is a problem, and the rest is written.
///
/// Errors: a task is not in the dump, `target` cannot be written, asked to end, or not one file could be written though
/// there was a task that had something to write.
pub fn cores(
    dump: &Checkpoint,
    pids: &[u32],
    target: &Path,
    (progress, cancel): (&dyn Progress, &Cancel),
    out: &mut impl Rows<Written>,
) -> Result<()> {
    let tasks = tasks(dump, pids, out)?;
    let total = tasks.iter().filter_map(|task| task.page_count().ok()).fold(0u64, |sum, count| {
        let pages = count.here.saturating_add(count.parent);
        sum.saturating_add(pages.saturating_mul(dump.page_size()))
    });
    let watch = Watch::new(progress, cancel, total);
    let made = Made::make(target)?;
    left::sweep_all(target, |name| name.starts_with(b"core."));
    let mut written = 0u64;
    let mut failure: Option<Error> = None;
    for task in &tasks {
        watch.stop()?;
        match core(task, target, &watch, out) {
            Ok(Some(row)) => {
                written = written.saturating_add(1);
                out.row(row)?;
            }
            Ok(None) => {}
            Err(error) if error.kind() == ErrorKind::Cancelled => return Err(error),
            Err(error) => {
                // the last one is told at the end, where nothing was written
                if let Some(before) = failure.replace(of(task, error)) {
                    out.problem(before)?;
                }
            }
        }
    }
    if written > 0 {
        made.keep();
    }
    match failure {
        Some(error) if written == 0 => Err(error),
        Some(error) => out.problem(error),
        None => Ok(()),
    }
}

/// The tasks that have memory and registers.
fn tasks<'d>(dump: &'d Checkpoint, pids: &[u32], out: &mut impl Rows<Written>) -> Result<Vec<Task<'d>>> {
    let tasks = match pids {
        [] => {
            let listing = dump.tasks()?;
            if listing.items.is_empty() && listing.problems.is_empty() {
                out.note(&dump.why_none("tasks", None))?;
            }
            out.problems(listing.problems)?;
            listing.items
        }
        pids => {
            let mut pids = pids.to_vec();
            pids.sort_unstable();
            pids.dedup();
            pids.into_iter().map(|pid| dump.task(pid)).collect::<Result<_>>()?
        }
    };
    let mut alive = Vec::new();
    for task in tasks {
        // what is wrong with its image is told when it is its turn
        match task.core() {
            Ok(Some(core)) if core.process.state == State::Zombie => {
                out.note(&format!("task {} is a zombie: it has neither memory nor registers any more", task.pid()))?;
            }
            _ => alive.push(task),
        }
    }
    Ok(alive)
}

fn of(task: &Task<'_>, error: Error) -> Error {
    match error.image() {
        Some(_) => error,
        None => error.in_image(format!("task {}", task.pid())),
    }
}

/// Writes the core file of one task; `None` if it turns out to have nothing.
fn core(task: &Task<'_>, target: &Path, watch: &Watch<'_>, out: &mut impl Rows<Written>) -> Result<Option<Written>> {
    let process = Process::read(task)?;
    let plan = Plan::new(&process.space, process.format, watch)?;
    let path = target.join(format!("core.{}", task.pid()));
    let sink = Sink::create(&path)?;
    sink.only_for_owner()?;
    let mut file = Out::new(sink, watch);

    let places = Places { format: process.format, headers: plan.count.headers.saturating_add(1) };
    file.go(places.notes())?;
    let mut problems = process.space.problems().to_vec();
    let threads = process.notes(task, &plan, &mut file, &mut problems)?;
    let notes = places.notes()..file.at();

    let page_size = process.space.page_size();
    let first = notes.end.checked_next_multiple_of(page_size).unwrap_or(u64::MAX);
    file.go(0)?;
    file.put(&places.head())?;
    let header = ProgramHeader {
        kind: kind::NOTE,
        flags: 0,
        offset: notes.start,
        address: 0,
        bytes: notes.end.saturating_sub(notes.start),
        memory: 0,
        align: 4,
    };
    let end = headers(&plan, header, (first, page_size), &mut file)?;
    if process.format.end().is_some_and(|limit| end >= limit) {
        return Err(Error::limit("the core file of a 32-bit task cannot be longer than 4 GiB"));
    }
    file.go(first)?;
    contents(&plan, &mut file)?;
    file.finish(end)?;

    out.problems(problems)?;
    let count = &plan.count;
    if let Some(why) = &count.why {
        let text = format!("{} bytes of its memory are not in the dump, nor in the core file: {why}", count.missing);
        out.problem(Error::fault(text).in_image(format!("task {}", task.pid())))?;
    }
    if count.beyond > 0 {
        let text =
            format!("{} bytes of a 32-bit task lie beyond 4 GiB, where its core file has no addresses", count.beyond);
        out.problem(Error::format(text).in_image(format!("task {}", task.pid())))?;
    }
    Ok(Some(Written {
        pid: task.pid(),
        comm: process.core.process.comm.clone(),
        file: Name::from(Bytes::copy_from_slice(path.as_os_str().as_bytes())),
        threads,
        segments: count.loads,
        bytes: end,
        stored: count.stored,
        zero: count.zero,
        in_files: count.in_files,
        missing: count.missing,
    }))
}

/// Writes the program headers: that of the notes, and those of memory, whose bytes begin at `first`. Gives where they end.
fn headers(plan: &Plan<'_>, notes: ProgramHeader, (first, align): (u64, u64), file: &mut Out<'_>) -> Result<u64> {
    let format = plan.format();
    let mut bytes = Vec::new();
    notes.write(format, &mut bytes);
    file.put(&bytes)?;
    let mut offset = first;
    for segment in plan.segments() {
        let length = segment.length();
        let in_file = if segment.said == Said::Bytes { length } else { 0 };
        let header = ProgramHeader {
            kind: if segment.said == Said::Nothing { kind::NULL } else { kind::LOAD },
            flags: segment.flags(),
            offset,
            address: segment.start,
            bytes: in_file,
            memory: length,
            align,
        };
        bytes.clear();
        header.write(format, &mut bytes);
        file.put(&bytes)?;
        offset = offset.saturating_add(in_file);
    }
    Ok(offset)
}

/// Writes the bytes of memory.
fn contents(plan: &Plan<'_>, file: &mut Out<'_>) -> Result<()> {
    let mut scratch = Vec::new();
    for piece in plan.pieces().filter(|piece| piece.said == Said::Bytes) {
        match &piece.run.content {
            Content::Stored(stored) => file.put(stored.bytes(&mut scratch)?)?,
            _ => file.go(file.at().saturating_add(piece.run.len()))?,
        }
    }
    Ok(())
}
