//! Man pages.

use std::io::{self, Write};
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_mangen::Man as Page;

use super::Outcome;
use super::args::{Cli, Man};
use super::out::failed;
use crate::base::batch::Batch;
use crate::base::sink::Sink;
use crate::base::{Error, Result};

/// Writes a page for each verb into a directory, or the program's to standard output.
pub(super) fn write(man: &Man) -> Result<Outcome> {
    let mut command = Cli::command();
    command.build();
    match &man.dir {
        Some(dir) => {
            std::fs::create_dir_all(dir)
                .map_err(|error| Error::io("cannot make the directory", error).in_image(dir.to_string_lossy()))?;
            let mut batch = Batch::default();
            pages(&command, "icecore", dir, &mut batch)?;
            batch.commit()?;
        }
        None => {
            let mut text = Vec::new();
            Page::new(command).render(&mut text).map_err(failed)?;
            io::stdout().lock().write_all(&text).map_err(failed)?;
        }
    }
    Ok(Outcome::Done)
}

/// The page of a command and those of its own commands.
fn pages(command: &Command, name: &str, dir: &Path, batch: &mut Batch) -> Result<()> {
    let path = dir.join(format!("{name}.1"));
    let failed = |error| Error::io("cannot write", error).in_image(path.to_string_lossy());
    let mut sink = Sink::create(&path)?;
    Page::new(command.clone()).title(name).render(&mut sink).map_err(failed)?;
    batch.add(sink)?;
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        pages(inner, &format!("{name}-{}", inner.get_name()), dir, batch)?;
    }
    Ok(())
}
