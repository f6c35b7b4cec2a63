//! `core`: ELF core files of tasks.

use super::Outcome;
use super::args::CoreFiles;
use super::interrupt;
use super::out::{Report, Shown};
use super::progress::Bar;
use crate::base::Result;
use crate::base::report::Cancel;
use crate::checkpoint::Checkpoint;
use crate::tool::coredump;

pub(super) fn core(options: &CoreFiles) -> Result<Outcome> {
    let dump = Checkpoint::open_with(&options.dump.dir, options.dump.read.options())?;
    let cancel = Cancel::default();
    interrupt::listen(&cancel)?;
    let mut report = Report::new(options.dump.show);
    let done = {
        let bar = Bar::new();
        coredump::cores(&dump, &options.pids, &options.output, (&bar, &cancel), &mut report)
    };
    // what was written before it failed is there, so it is told
    let outcome = report.finish()?;
    done.map(|()| outcome)
}
