//! `cmdline` and `env`: of one task a line for each argument or variable, of all a table.

use std::fmt::Display;
use std::io::{BufWriter, Write};

use super::Outcome;
use super::args::OfArguments;
use super::images::stdout;
use super::out::{Report, Shown, failed};
use super::problems::Problems;
use super::remark;
use crate::base::report::Collect;
use crate::base::{Error, Result};
use crate::checkpoint::Checkpoint;
use crate::checkpoint::task::Task;
use crate::view;

pub(super) fn cmdline(of: &OfArguments) -> Result<Outcome> {
    let dump = Checkpoint::open_with(&of.dump.dir, of.dump.read.options())?;
    if let (Some(pid), true) = (of.pid, of.null) {
        let bytes = |task: &Task<'_>| Ok(task.command_line()?.map(|line| line.bytes));
        return raw(&dump, pid, "command line", bytes);
    }
    if is_lines(of) {
        let mut rows = Collect::default();
        view::cmdline::cmdline(&dump, of.pid, &mut rows)?;
        return lines(rows.rows.iter().flat_map(|row| &row.args), rows.problems, rows.notes);
    }
    let mut out = Report::new(of.dump.show);
    view::cmdline::cmdline(&dump, of.pid, &mut out)?;
    out.finish()
}

pub(super) fn env(of: &OfArguments) -> Result<Outcome> {
    let dump = Checkpoint::open_with(&of.dump.dir, of.dump.read.options())?;
    if let (Some(pid), true) = (of.pid, of.null) {
        let bytes = |task: &Task<'_>| Ok(task.environment()?.map(|environment| environment.bytes));
        return raw(&dump, pid, "environment", bytes);
    }
    if is_lines(of) {
        let mut rows = Collect::default();
        view::env::env(&dump, of.pid, &mut rows)?;
        return lines(&rows.rows, rows.problems, rows.notes);
    }
    let mut out = Report::new(of.dump.show);
    view::env::env(&dump, of.pid, &mut out)?;
    out.finish()
}

fn is_lines(of: &OfArguments) -> bool {
    of.pid.is_some() && !of.dump.show.json && !of.dump.show.ndjson
}

/// One escaped text a line.
fn lines<T: Display>(texts: impl IntoIterator<Item = T>, errors: Vec<Error>, notes: Vec<String>) -> Result<Outcome> {
    let mut out = BufWriter::new(stdout()?);
    for text in texts {
        writeln!(out, "{text}").map_err(failed)?;
    }
    out.flush().map_err(failed)?;
    let mut problems = Problems::default();
    errors.iter().for_each(|error| problems.tell(error));
    if problems.is_empty() {
        notes.iter().for_each(|note| remark(note));
    }
    Ok(problems.finish())
}

fn raw<B: AsRef<[u8]>>(
    dump: &Checkpoint,
    pid: u32,
    what: &str,
    bytes: impl Fn(&Task<'_>) -> Result<Option<B>>,
) -> Result<Outcome> {
    match bytes(&dump.task(pid)?)? {
        Some(bytes) => stdout()?.write_all(bytes.as_ref()).map_err(failed)?,
        None => remark(&dump.why_none(what, Some(pid))),
    }
    Ok(Outcome::Done)
}
