//! `crit compress` and `crit decompress`, with crit's options and what it prints.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::Outcome;
use super::args::bytes;
use super::interrupt;
use super::out::failed;
use super::progress::Bar;
use crate::base::Result;
use crate::base::name::harmless;
use crate::base::report::{Cancel, Progress};
use crate::tool::compress::{self, Compress, Counts, Decompress, Done};

/// Options of `compress`.
#[derive(Debug, Args)]
pub(super) struct CompressDump {
    dir: PathBuf,
    /// Skip creating backup files
    #[arg(long)]
    in_place: bool,
    /// LZ4 acceleration (1=default, higher=faster)
    #[arg(long, default_value_t = 1)]
    acceleration: u32,
    /// Bytes of pages in a block, up to 4M; a page by default, as crit has it (crit has no such option)
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    block: Option<u64>,
}

/// Options of `decompress`.
#[derive(Debug, Args)]
pub(super) struct DecompressDump {
    dir: PathBuf,
    /// Skip creating backup files
    #[arg(long)]
    in_place: bool,
}

/// `crit compress`.
pub(super) fn compress(options: &CompressDump) -> Result<Outcome> {
    let compress = Compress {
        block: options.block,
        acceleration: options.acceleration,
        backups: !options.in_place,
        ..Compress::default()
    };
    let dir = &options.dir;
    let done = with(dir, "Compressing", |began, control| compress::compress(dir, &compress, began, control))?;
    tell(&done, dir, "compressed", |Counts { file, pages, before, after }| {
        let saved = 100.0 * (1.0 - fraction(*after, *before));
        format!("  {file}: {pages} pages ({}K -> {}K, {saved:.1}% saved)", before / 1024, after / 1024)
    })
}

/// `crit decompress`.
pub(super) fn decompress(options: &DecompressDump) -> Result<Outcome> {
    let decompress = Decompress { backups: !options.in_place, ..Decompress::default() };
    let dir = &options.dir;
    let done = with(dir, "Decompressing", |began, control| compress::decompress(dir, &decompress, began, control))?;
    tell(&done, dir, "decompressed", |Counts { file, pages, before, after }| {
        format!("  {file}: {pages} pages ({}K -> {}K)", before / 1024, after / 1024)
    })
}

type Control<'c> = (&'c dyn Progress, &'c Cancel);

/// Runs the work with a bar, and with signals that end it.
fn with(
    dir: &Path,
    doing: &str,
    run: impl FnOnce(&mut dyn FnMut() -> Result<()>, Control<'_>) -> Result<Done>,
) -> Result<Done> {
    let cancel = Cancel::default();
    interrupt::listen(&cancel)?;
    let bar = Bar::new();
    run(&mut || print(&format!("{doing} checkpoint in {}", dir.display())), (&bar, &cancel))
}

/// Tells what was done, as crit does.
fn tell(done: &Done, dir: &Path, what: &str, line: impl Fn(&Counts) -> String) -> Result<Outcome> {
    match done {
        Done::Already => print(&format!("Checkpoint in {} is already {what}", dir.display()))?,
        Done::Nothing => print(&format!("No pagemap files found in {}", dir.display()))?,
        Done::All(counts) => {
            counts.iter().filter(|counts| counts.before > 0).try_for_each(|counts| print(&line(counts)))?;
            print("Done")?;
        }
    }
    Ok(Outcome::Done)
}

/// A line on standard output, with nothing in it that a terminal would act on.
fn print(line: &str) -> Result<()> {
    match writeln!(io::stdout(), "{}", harmless(line)) {
        // who reads no longer does not undo the work
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(failed(error)),
        _ => Ok(()),
    }
}

/// One number by another; precise enough for a percentage.
#[allow(clippy::cast_precision_loss)]
fn fraction(of: u64, all: u64) -> f64 {
    of as f64 / all.max(1) as f64
}
