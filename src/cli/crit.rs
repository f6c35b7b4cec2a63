//! crit's own command line: its commands, options, output and exit codes, 0 or 1.

use std::ffi::OsString;
use std::io::{self, BufWriter, ErrorKind, IsTerminal, StdoutLock, Write};
use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use super::complain;
use super::out::failed;
use crate::base::name::harmless;
use crate::base::report::Rows;
use crate::base::{Error, Result};
use crate::checkpoint::Checkpoint;
use crate::view::crit_x;

/// CRiu Image Tool
#[derive(Debug, Parser)]
#[command(name = "crit", version = VERSION, disable_version_flag = true)]
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

/// The program when it is called crit.
pub(super) fn main(words: Vec<OsString>) -> u8 {
    match Crit::try_parse_from(words) {
        Ok(crit) => run(crit),
        Err(error) => {
            let _ = error.print();
            u8::from(error.use_stderr())
        }
    }
}

/// Runs one of crit's commands and tells its exit code.
pub(super) fn run(crit: Crit) -> u8 {
    let Some(verb) = crit.verb else {
        anstream::eprintln!("{}\ncrit: error: too few arguments", Crit::command().render_usage());
        return 1;
    };
    let result = match verb {
        CritVerb::X(explore) => x(&explore),
        CritVerb::Decode(Decode { input, .. }) => later(input),
        CritVerb::Encode(Encode { input, .. }) => later(input),
        CritVerb::Info(Info { input }) => later(Some(input)),
        CritVerb::Show(ShowImage { input, .. }) => later(Some(input)),
    };
    match result {
        Ok(code) => code,
        Err(error) if error.io_kind() == Some(ErrorKind::BrokenPipe) => 0,
        Err(error) => {
            complain(&error);
            1
        }
    }
}

fn later(_input: Option<PathBuf>) -> Result<u8> {
    Err(Error::usage("this command is not part of this build"))
}

/// Lines as they are; on a terminal without what it would act on.
struct Lines {
    stdout: BufWriter<StdoutLock<'static>>,
    is_terminal: bool,
    code: u8,
}

impl Rows<String> for Lines {
    fn row(&mut self, line: String) -> Result<()> {
        // the tabs are crit's own
        let line = if self.is_terminal { harmless(&line).replace("\\t", "\t") } else { line };
        writeln!(self.stdout, "{line}").map_err(failed)
    }

    fn problem(&mut self, error: Error) -> Result<()> {
        self.code = 1;
        complain(&error);
        Ok(())
    }
}

fn x(explore: &Explore) -> Result<u8> {
    let dump = Checkpoint::open(&explore.dir)?;
    let stdout = io::stdout();
    let is_terminal = stdout.is_terminal();
    let mut out = Lines { stdout: BufWriter::new(stdout.lock()), is_terminal, code: 0 };
    match explore.what {
        What::Ps => crit_x::ps(&dump, &mut out),
        What::Fds => crit_x::fds(&dump, &mut out),
        What::Mems => crit_x::mems(&dump, &mut out),
        What::Rss => crit_x::rss(&dump, &mut out),
    }?;
    out.stdout.flush().map_err(failed)?;
    Ok(out.code)
}
