//! Completions for shells.

use std::io::{self, Write};

use clap::CommandFactory;

use super::Outcome;
use super::args::{Cli, Completions};
use super::out::failed;
use crate::base::Result;

/// Writes them to standard output.
pub(super) fn write(completions: &Completions) -> Result<Outcome> {
    let mut script = Vec::new();
    clap_complete::generate(completions.shell, &mut Cli::command(), "icecore", &mut script);
    io::stdout().lock().write_all(&script).map_err(failed)?;
    Ok(Outcome::Done)
}
