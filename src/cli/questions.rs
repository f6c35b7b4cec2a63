//! The verbs that ask the checkpoint a question and show the rows.

use super::Outcome;
use super::args::{Dump, OfTask, Ps, Show};
use super::out::{Cards, Report, Shown};
use super::progress::Bar;
use crate::base::Result;
use crate::checkpoint::Checkpoint;
use crate::view;

fn open(dump: &Dump) -> Result<Checkpoint> {
    Checkpoint::open_with(&dump.dir, dump.read.options())
}

/// Asks, shows, and tells how it went.
fn show<S: Shown>(mut report: S, ask: impl FnOnce(&mut S) -> Result<()>) -> Result<Outcome> {
    ask(&mut report)?;
    report.finish()
}

fn report(options: Show) -> Report {
    Report::new(options)
}

pub(super) fn info(dump: &Dump) -> Result<Outcome> {
    let checkpoint = open(dump)?;
    show(Cards::new(dump.show), |out| view::info::info(&checkpoint, out))
}

pub(super) fn ps(ps: &Ps) -> Result<Outcome> {
    let checkpoint = open(&ps.dump)?;
    let options = view::ps::Options { threads: ps.threads, args: ps.args };
    show(report(ps.dump.show), |out| view::ps::ps(&checkpoint, options, out))
}

pub(super) fn fds(of: &OfTask) -> Result<Outcome> {
    let checkpoint = open(&of.dump)?;
    show(report(of.dump.show), |out| view::fds::fds(&checkpoint, of.pid(), out))
}

pub(super) fn maps(of: &OfTask) -> Result<Outcome> {
    let checkpoint = open(&of.dump)?;
    show(report(of.dump.show), |out| view::maps::maps(&checkpoint, of.pid(), out))
}

pub(super) fn pages(of: &OfTask) -> Result<Outcome> {
    let checkpoint = open(&of.dump)?;
    let bar = Bar::new();
    show(report(of.dump.show), |out| view::pages::pages(&checkpoint, of.pid(), &bar, out))
}

pub(super) fn sockets(dump: &Dump) -> Result<Outcome> {
    let checkpoint = open(dump)?;
    show(report(dump.show), |out| view::sockets::sockets(&checkpoint, out))
}

pub(super) fn mounts(dump: &Dump) -> Result<Outcome> {
    let checkpoint = open(dump)?;
    show(report(dump.show), |out| view::mounts::mounts(&checkpoint, out))
}
