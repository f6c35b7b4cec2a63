//! `dedup`: holes where a later dump of the chain has the page itself.

use std::path::PathBuf;

use clap::Args;

use super::args::{Read, Show};
use super::out::{Report, Shown};
use super::progress::Bar;
use super::{Outcome, interrupt, remark};
use crate::base::report::Cancel;
use crate::base::{Result, Size};
use crate::tool::dedup::{self, Dedup};

/// Options of `dedup`.
#[derive(Debug, Args)]
pub(crate) struct DedupChain {
    /// Directory of images: the newest dump of the chain, whose memory stays the same
    dir: PathBuf,
    /// Say what would be freed, and change nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Go on where another dump may need pages of the ancestors
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    show: Show,
    #[command(flatten)]
    read: Read,
}

pub(super) fn dedup(options: &DedupChain) -> Result<Outcome> {
    let how = Dedup { read: options.read.options(), dry_run: options.dry_run, force: options.force };
    let cancel = Cancel::default();
    interrupt::listen(&cancel)?;
    let mut report = Report::new(options.show);
    let done = {
        let bar = Bar::new();
        dedup::dedup(&options.dir, &how, (&bar, &cancel), &mut report)?
    };
    let outcome = report.finish()?;
    for (other, ancestor) in &done.others {
        let what = if options.dry_run { "would lose pages that it needs" } else { "may have lost pages" };
        remark(&format!("{other} is an increment of {ancestor} too, and {what}"));
    }
    let room = Size(if options.dry_run { done.allocated } else { done.freed });
    match (done.ancestors, done.pages) {
        (0, _) => remark("it has no parent: there is nothing to free"),
        (_, 0) => remark("the dumps of the chain have no page twice: there is nothing to free"),
        _ if options.dry_run => remark(&format!("would free {room}; the ancestors could then not be restored alone")),
        _ => remark(&format!("freed {room}; the ancestors can no longer be restored alone, the dump can")),
    }
    Ok(outcome)
}
