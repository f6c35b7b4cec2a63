//! crit's own command line: its commands, options, output and exit codes, 0 or 1.

use std::ffi::OsString;
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use super::crit_pages::{self, CompressDump, DecompressDump};
use super::images::Work;
use super::out::failed;
use super::progress::Bar;
use super::{Outcome, complain, finish, say};
use crate::base::name::harmless;
use crate::base::report::{Cancel, Rows};
use crate::base::{Error, Result, map};
use crate::checkpoint::{Checkpoint, Options};
use crate::object::json::Form;
use crate::view::crit_x;

/// CRiu Image Tool
#[derive(Debug, Parser)]
#[command(name = "crit", version = VERSION, disable_version_flag = true, disable_help_subcommand = true)]
pub(crate) struct Crit {
    /// show program's version number and exit
    #[arg(long, action = clap::ArgAction::Version)]
    version: Option<bool>,
    #[command(subcommand)]
    verb: Option<CritVerb>,
}

/// The crit whose output this is.
const VERSION: &str = concat!("4.3 (icecore ", env!("CARGO_PKG_VERSION"), ")");

#[derive(Debug, Subcommand)]
enum CritVerb {
    /// convert criu image from binary type to json
    Decode(Decode),
    /// convert criu image from json type to binary
    Encode(Encode),
    /// show info about image
    Info(Info),
    /// explore image dir
    X(Explore),
    /// convert criu image from binary to human-readable json
    Show(ShowImage),
    /// Compress memory pages in a checkpoint directory
    Compress(CompressDump),
    /// Decompress memory pages in a checkpoint directory
    Decompress(DecompressDump),
}

#[derive(Debug, Args)]
struct Decode {
    /// Multiline with indents and some numerical fields in field-specific format
    #[arg(long)]
    pretty: bool,
    /// criu image in binary format to be decoded (stdin by default)
    #[arg(short, long = "in", value_name = "IN")]
    input: Option<PathBuf>,
    /// where to put criu image in json format (stdout by default)
    #[arg(short, long = "out", value_name = "OUT")]
    output: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Encode {
    /// criu image in json format to be encoded (stdin by default)
    #[arg(short, long = "in", value_name = "IN")]
    input: Option<PathBuf>,
    /// where to put criu image in binary format (stdout by default)
    #[arg(short, long = "out", value_name = "OUT")]
    output: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Info {
    #[arg(value_name = "in")]
    input: PathBuf,
}

#[derive(Debug, Args)]
struct Explore {
    dir: PathBuf,
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    Ps,
    Fds,
    Mems,
    Rss,
}

#[derive(Debug, Args)]
struct ShowImage {
    #[arg(value_name = "in")]
    input: PathBuf,
    /// do not show entry payload (if exists)
    #[arg(long)]
    nopl: bool,
}

/// The program when it is called crit, or its first word is.
pub(super) fn main(words: Vec<OsString>) -> ExitCode {
    map::on_shrunk_file(1);
    let crit = match Crit::try_parse_from(words) {
        Ok(crit) => crit,
        Err(error) => {
            say(&error);
            return ExitCode::from(u8::from(error.use_stderr()));
        }
    };
    let is_done = finish(run(crit)) == Outcome::Done;
    ExitCode::from(u8::from(!is_done))
}

/// Runs one of crit's commands.
pub(super) fn run(crit: Crit) -> Result<Outcome> {
    match crit.verb {
        Some(CritVerb::X(explore)) => x(&explore),
        Some(CritVerb::Decode(decode)) => images(|work| {
            let form = if decode.pretty { Form::PRETTY } else { Form::COMPACT };
            work.decode(decode.input.as_deref(), decode.output.as_deref(), form)
        }),
        Some(CritVerb::Encode(encode)) => images(|work| work.encode(encode.input.as_deref(), encode.output.as_deref())),
        Some(CritVerb::Info(info)) => images(|work| work.info(&info.input)),
        Some(CritVerb::Show(show)) => images(|work| {
            let form = Form { payloads: !show.nopl, ..Form::PRETTY };
            work.decode(Some(&show.input), None, form)
        }),
        Some(CritVerb::Compress(compress)) => crit_pages::compress(&compress),
        Some(CritVerb::Decompress(decompress)) => crit_pages::decompress(&decompress),
        None => {
            anstream::eprintln!("{}\ncrit: error: too few arguments", Crit::command().render_usage());
            Ok(Outcome::Failed)
        }
    }
}

/// So many warnings are told; a broken image may have one for each of a million entries.
const TOLD: u64 = 20;

/// What turns images to JSON or back. A warning, as of a missing field, costs no exit code: crit says nothing at all.
fn images(run: impl FnOnce(&mut Work<'_>) -> Result<()>) -> Result<Outcome> {
    let (bar, cancel) = (Bar::new(), Cancel::default());
    let mut warnings = 0u64;
    let mut warn = |error: Error| {
        warnings = warnings.saturating_add(1);
        if warnings <= TOLD {
            complain(&error);
        }
    };
    let done = run(&mut Work { options: Options::default(), progress: &bar, cancel: &cancel, warn: &mut warn });
    if warnings > TOLD {
        complain(&Error::format(format!("{} more such warnings", warnings.saturating_sub(TOLD))));
    }
    done.map(|()| Outcome::Done)
}

/// Lines as they are; on a terminal without what it would act on.
struct Lines {
    stdout: BufWriter<StdoutLock<'static>>,
    is_terminal: bool,
    outcome: Outcome,
}

impl Rows<String> for Lines {
    fn row(&mut self, line: String) -> Result<()> {
        // the tabs are crit's own
        let line = if self.is_terminal { harmless(&line).replace("\\t", "\t") } else { line };
        writeln!(self.stdout, "{line}").map_err(failed)
    }

    fn problem(&mut self, error: Error) -> Result<()> {
        self.outcome = Outcome::Found;
        complain(&error);
        Ok(())
    }
}

fn x(explore: &Explore) -> Result<Outcome> {
    let dump = Checkpoint::open(&explore.dir)?;
    let stdout = io::stdout();
    let is_terminal = stdout.is_terminal();
    let mut out = Lines { stdout: BufWriter::new(stdout.lock()), is_terminal, outcome: Outcome::Done };
    match explore.what {
        What::Ps => crit_x::ps(&dump, &mut out),
        What::Fds => crit_x::fds(&dump, &mut out),
        What::Mems => crit_x::mems(&dump, &mut out),
        What::Rss => crit_x::rss(&dump, &mut out),
    }?;
    out.stdout.flush().map_err(failed)?;
    Ok(out.outcome)
}
