//! What differs between two dumps: tasks, descriptors, sockets, mappings, pages.
//!
//! Tasks are matched by their numbers, or as the asker says; where no number is in both dumps, by their commands in
//! order, and the summary says so. Of a task that is in one dump alone nothing else is listed: it is that task that
//! came or went. Registers, timers and signals are not compared: a running program never has the same twice.
//!
//! ```
//! use icecore::Checkpoint;
//! use icecore::base::report::{Cancel, Collect, Silent};
//! use icecore::view::diff::{Difference, Options, Subject, diff};
//!
//! let (a, b) = (Checkpoint::open("tests/data/tree")?, Checkpoint::open("tests/data/tree")?);
//! let options = Options { what: vec![Subject::Pages], ..Options::default() };
//! let mut found = Collect::default();
//! let is_different = diff(&a, &b, &options, (&Silent, &Cancel::default()), &mut found)?;
//! assert!(!is_different && matches!(found.rows[..], [Difference::Summary(_)]));
//! # Ok::<(), icecore::Error>(())
//! ```

mod bytes;
mod change;
mod counts;
mod descriptors;
mod facts;
mod mappings;
mod memory;
mod origin;
mod pages;
mod pairs;
mod shared;
mod sockets;
mod summary;
mod tasks;
mod walk;

use serde::Serialize;

pub use change::{Change, Field};
pub use counts::{Counts, NotComparable, State};
pub use descriptors::DescriptorDiff;
pub use mappings::MappingDiff;
pub use memory::{MemoryDiff, PageRun, Scope};
pub use pairs::Matched;
pub use sockets::SocketDiff;
pub use summary::{Line, Summary, Tally};
pub use tasks::TaskDiff;

use crate::base::report::{Cancel, Once, Progress, Rows};
use crate::base::{Error, Result};
use crate::checkpoint::Checkpoint;
use facts::Known;
use pairs::Pairs;

/// What to compare.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Only these subjects; all if there is none.
    pub what: Vec<Subject>,
    /// Only tasks that have one of these numbers in either dump; all if there is none.
    pub pids: Vec<u32>,
    /// Tasks that have another number in the second dump.
    pub map_pids: Vec<(u32, u32)>,
    /// The summary alone.
    pub summary: bool,
    /// Each run of changed pages too.
    pub page_runs: bool,
}

/// What can differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Subject {
    Tasks,
    Descriptors,
    Sockets,
    Mappings,
    Pages,
}

/// A row of the answer: the summary comes first, then what differs, subject by subject.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "row", rename_all = "snake_case")]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum Difference {
    Summary(Box<Summary>),
    Task(TaskDiff),
    Descriptor(DescriptorDiff),
    Socket(SocketDiff),
    Mapping(MappingDiff),
    Memory(Box<MemoryDiff>),
    Pages(PageRun),
}

/// So many runs of changed pages wait for the summary that is told before them; of more, pages are compared again,
/// and the runs handed out as they are found.
const WAITING: usize = 1 << 17;

/// Compares two dumps; whether anything differs. Everything is compared before the first row is handed out.
///
/// Errors: the tasks or files of a dump cannot be listed, `options` name a task that is not there, the work was
/// cancelled, or `out` ends the question.
pub fn diff(
    a: &Checkpoint,
    b: &Checkpoint,
    options: &Options,
    (progress, cancel): (&dyn Progress, &Cancel),
    out: &mut impl Rows<Difference>,
) -> Result<bool> {
    let mut out = Once::new(out);
    let mut pairs = Pairs::new(a, b, &options.map_pids, &mut out)?;
    pairs.only(&options.pids)?;
    let pairs = &pairs;
    let has = |subject: Subject| options.what.is_empty() || options.what.contains(&subject);
    let mut summary = Summary {
        a: a.source().name().to_owned(),
        b: b.source().name().to_owned(),
        matched: pairs.matched,
        different: false,
        tasks: None,
        descriptors: None,
        sockets: None,
        mappings: None,
        pages: None,
    };
    let mut rows = Waiting { rows: Vec::new(), is_wanted: !options.summary };
    if has(Subject::Tasks) {
        summary.tasks = Some(tasks::tasks((a, b), pairs, &mut out, |row| rows.add(Difference::Task(row)))?);
    }
    let mut known = (Known::new(a, |pid| pairs.number(pid)), Known::new(b, |pid| pid));
    if has(Subject::Descriptors) {
        let known = (&mut known.0, &mut known.1);
        let each = |row| rows.add(Difference::Descriptor(row));
        summary.descriptors = Some(descriptors::descriptors(known, pairs, &mut out, each)?);
    }
    if has(Subject::Sockets) {
        let pids = pairs.both.iter().map(|(a, b)| (a.pid(), b.pid()));
        let (mut these, mut those): (Vec<u32>, Vec<u32>) = pids.unzip();
        these.extend(pairs.gone.iter().map(|task| task.pid()));
        those.extend(pairs.added.iter().map(|task| task.pid()));
        let pids = (!options.pids.is_empty()).then_some((&these[..], &those[..]));
        let each = |row| rows.add(Difference::Socket(row));
        summary.sockets = Some(sockets::sockets((&mut known.0, &mut known.1), pids, &mut out, each)?);
    }
    if has(Subject::Mappings) {
        let each = |row| rows.add(Difference::Mapping(row));
        summary.mappings = Some(mappings::mappings(pairs, &mut out, each)?);
    }
    let mut runs = Vec::new();
    let mut are_too_many = false;
    if has(Subject::Pages) {
        let mut keep = |run| {
            if runs.len() >= WAITING {
                are_too_many = true;
                runs = Vec::new();
            }
            if !are_too_many {
                runs.push(run);
            }
            Ok(())
        };
        let takers = pages::Takers {
            problem: &mut |error| Rows::<Difference>::problem(&mut out, error),
            memory: &mut |row| rows.add(Difference::Memory(Box::new(row))),
            run: if options.page_runs { Some(&mut keep) } else { None },
        };
        summary.pages = Some(pages::pages((a, b), pairs, (progress, cancel), takers)?);
    }
    summary.conclude();
    let is_different = summary.different;
    out.row(Difference::Summary(Box::new(summary)))?;
    rows.rows.into_iter().try_for_each(|row| out.row(row))?;
    runs.into_iter().try_for_each(|run| out.row(Difference::Pages(run)))?;
    if are_too_many {
        let takers = pages::Takers {
            // they were told
            problem: &mut |_| Ok(()),
            memory: &mut |_| {},
            run: Some(&mut |run| out.row(Difference::Pages(run))),
        };
        pages::pages((a, b), pairs, (progress, cancel), takers)?;
    }
    Ok(is_different)
}

/// An error of one of the two dumps, whose images are called alike: it names the dump too.
fn named(dump: &Checkpoint, error: Error) -> Error {
    match error.image() {
        // those of parents do
        Some(image) if !image.contains('/') => {
            let name = format!("{}/{image}", dump.source().name());
            error.renamed(name)
        }
        _ => error,
    }
}

fn of<T>(dump: &Checkpoint, result: Result<T>) -> Result<T> {
    result.map_err(|error| named(dump, error))
}

/// Rows that wait for the summary.
struct Waiting {
    rows: Vec<Difference>,
    is_wanted: bool,
}

impl Waiting {
    fn add(&mut self, row: Difference) {
        if self.is_wanted {
            self.rows.push(row);
        }
    }
}
