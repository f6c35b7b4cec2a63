//! The command line: words in, words out. Everything that prints is here.
//!
//! # How to add a verb
//!
//! 1. A variant of [`Verb`](args::Verb) with its options: help, completions and man pages come from it.
//! 2. A row in [`run`], which hands the options to a function in a file of the verb's name.

mod args;
mod arguments;
mod check;
mod completions;
mod convert;
mod coredump;
mod crit;
mod crit_pages;
mod dedup;
mod diff;
mod digest;
mod flatten;
mod images;
mod interrupt;
mod man;
mod mem;
mod out;
mod problems;
mod progress;
mod questions;
mod range;
mod search;
mod show;
mod table;
mod wishes;

use std::ffi::OsString;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use crate::base::name::harmless;
use crate::base::{Error, Result, map};
use args::{Cli, Verb};

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It did what was asked.
    Done,
    /// It found a difference, a defect, or nothing.
    Found,
    /// It could not do it.
    Failed,
}

impl Outcome {
    /// The exit code, which never changes.
    fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Found => 1,
            Self::Failed => 2,
        }
    }
}

/// The whole program.
pub(crate) fn main() -> ExitCode {
    let mut words: Vec<OsString> = std::env::args_os().collect();
    let name = words.first().map(Path::new).and_then(Path::file_name);
    // crit's exit codes are its own, those of a wrong command line too
    if words.get(1).is_some_and(|verb| verb == "crit") {
        words.remove(0);
        return crit::main(words);
    } else if name.is_some_and(|name| name == "crit") {
        return crit::main(words);
    }
    map::on_shrunk_file(i32::from(Outcome::Failed.code()));
    let cli = match Cli::try_parse_from(words) {
        Ok(cli) => cli,
        Err(error) => {
            say(&error);
            return ExitCode::from(if error.use_stderr() { Outcome::Failed.code() } else { 0 });
        }
    };
    ExitCode::from(finish(run(cli.verb)).code())
}

/// A row per verb.
fn run(verb: Verb) -> Result<Outcome> {
    match verb {
        Verb::Info(dump) => questions::info(&dump),
        Verb::Ps(ps) => questions::ps(&ps),
        Verb::Fds(fds) => questions::fds(&fds),
        Verb::Maps(maps) => questions::maps(&maps),
        Verb::Mem(options) => mem::mem(&options),
        Verb::Pages(of) => questions::pages(&of),
        Verb::Cmdline(of) => arguments::cmdline(&of),
        Verb::Env(of) => arguments::env(&of),
        Verb::Sockets(dump) => questions::sockets(&dump),
        Verb::Mounts(dump) => questions::mounts(&dump),
        Verb::Search(options) => search::find(&options),
        Verb::Strings(options) => search::list(&options),
        Verb::Diff(options) => diff::diff(&options),
        Verb::Show(options) => show::show(&options),
        Verb::Check(options) => check::check(&options),
        Verb::Core(options) => coredump::core(&options),
        Verb::Convert(options) => convert::convert(&options),
        Verb::Flatten(options) => flatten::flatten(&options),
        Verb::Dedup(options) => dedup::dedup(&options),
        Verb::Completions(completions) => completions::write(&completions),
        Verb::Man(man) => man::write(&man),
        Verb::Crit(crit) => crit::run(crit),
    }
}

/// Tells of an error. A reader that has seen enough is no error.
fn finish(result: Result<Outcome>) -> Outcome {
    match result {
        Ok(outcome) => outcome,
        Err(error) if error.io_kind() == Some(ErrorKind::BrokenPipe) => Outcome::Done,
        Err(error) => {
            complain(&error);
            Outcome::Failed
        }
    }
}

/// Help, version, or what is wrong with the command line. A reader who leaves early is no failure.
fn say(error: &clap::Error) {
    // words may be names that a shell found in a stranger's directory; only plain ones are shown with colours around
    let text = error.render().to_string();
    let plain = harmless(&text);
    let _ = match plain == text {
        true => error.print(),
        false => write!(std::io::stderr(), "{plain}"),
    };
}

/// One line on standard error, with nothing in it that a terminal would act on.
pub(crate) fn complain(error: &Error) {
    remark(&error.to_string());
}

/// One line on standard error that is no error.
pub(crate) fn remark(text: &str) {
    anstream::eprintln!("icecore: {}", harmless(text).replace('\n', "\\n"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
        crit::Crit::command().debug_assert();
    }
}
