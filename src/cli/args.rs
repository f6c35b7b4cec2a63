//! What can be said on the command line: the one definition behind parsing, help, completions and man pages.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use super::crit::Crit;
use super::search::{ListStrings, SearchMemory};
use crate::base::Limits;
use crate::base::map::Access;
use crate::checkpoint::Options;

/// Looks into checkpoints made by CRIU
///
/// Exit codes: 0 done, 1 found a defect, a difference or nothing, 2 could not do it.
#[derive(Debug, Parser)]
#[command(name = "icecore", version, max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Say in short what a dump holds
    Info(Dump),
    /// List the tasks as a tree
    Ps(Ps),
    /// List what tasks have open, and who has the other end
    Fds(OfTask),
    /// List the mappings of tasks
    Maps(OfTask),
    /// Show memory of a task: by mapping, as a hexdump, or as it is
    Mem(super::mem::Mem),
    /// List what pages of each mapping are in the dump, and what could be saved
    Pages(OfTask),
    /// Show the command line of a task, or of all
    Cmdline(OfArguments),
    /// Show the environment that a task was started with
    Env(OfArguments),
    /// List the sockets, what waits in them, and who has them open
    Sockets(Dump),
    /// List the mounts
    Mounts(Dump),
    /// Search the memory of processes: text, bytes or a regular expression
    ///
    /// Exit codes: 0 found, 1 found nothing, 2 could not search.
    Search(SearchMemory),
    /// List the printable strings in the memory of processes
    Strings(ListStrings),
    /// Say what differs between two dumps
    ///
    /// Exit codes: 0 nothing differs, 1 something does or could not be read, 2 could not do it.
    Diff(DiffOf),
    /// Show images of a dump, or one image, entry by entry
    Show(ShowImages),
    /// Say whether a checkpoint is whole, and what is wrong with it if not
    ///
    /// Exit codes: 0 whole, 1 something is wrong, 2 could not look.
    Check(super::check::CheckDump),
    /// Write ELF core files of tasks, for gdb
    Core(CoreFiles),
    /// Convert a checkpoint between version 1 of the format and version 2
    ///
    /// Version 2 to version 2, to pack it otherwise or to need no parent, goes by way of version 1 in a temporary
    /// directory beside the target.
    Convert(super::convert::ConvertTo),
    /// Make one whole dump of an incremental one and its ancestors, which CRIU restores without them
    Flatten(super::flatten::FlattenTo),
    /// Free the room that a chain of dumps does not need: pages of ancestors that later dumps have themselves
    ///
    /// They become holes. The memory of the dump stays the same; its ancestors can no longer be restored alone, nor
    /// can other dumps that are increments of them: those beside the chain are found, others cannot be.
    Dedup(super::dedup::DedupChain),
    /// Do what crit does, with its options and output
    Crit(Crit),
    /// Write completions for a shell to standard output
    Completions(Completions),
    /// Write man pages into a directory, or the program's to standard output
    Man(Man),
}

/// A dump and how to show it.
#[derive(Debug, Args)]
pub(crate) struct Dump {
    /// Directory of images, bundle, directory of .criu files, or - for standard input
    // under the arguments, whatever heading goes before
    #[arg(help_heading = None::<&'static str>)]
    pub(crate) dir: PathBuf,
    #[command(flatten)]
    pub(crate) show: Show,
    #[command(flatten)]
    pub(crate) read: Read,
}

/// Options of `ps`.
#[derive(Debug, Args)]
pub(crate) struct Ps {
    /// List threads too
    #[arg(short, long)]
    pub(crate) threads: bool,
    /// Show command lines in place of commands
    #[arg(short, long)]
    pub(crate) args: bool,
    #[command(flatten)]
    pub(crate) dump: Dump,
}

/// Options of what is asked of one task or of all.
#[derive(Debug, Args)]
pub(crate) struct OfTask {
    /// Of this task alone
    #[arg(index = 2, value_name = "PID")]
    task: Option<u32>,
    /// The same, as `search` and `diff` have it
    #[arg(short, long, value_name = "PID", conflicts_with = "task")]
    pid: Option<u32>,
    #[command(flatten)]
    pub(crate) dump: Dump,
}

impl OfTask {
    /// The task that is asked about; all without.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.task.or(self.pid)
    }
}

/// Options of `cmdline` and `env`.
#[derive(Debug, Args)]
pub(crate) struct OfArguments {
    /// Of this task alone, a string a line
    #[arg(index = 2)]
    pub(crate) pid: Option<u32>,
    /// Write the bytes as they are in memory, with NUL behind each string; needs a PID
    #[arg(short = '0', long, conflicts_with_all = ["json", "ndjson"], requires = "pid")]
    pub(crate) null: bool,
    #[command(flatten)]
    pub(crate) dump: Dump,
}

/// Options of `diff`.
#[derive(Debug, Args)]
pub(crate) struct DiffOf {
    /// Directory of images, or a checkpoint of version 2, as all verbs take it
    pub(crate) a: PathBuf,
    /// Another one, which is compared with it
    pub(crate) b: PathBuf,
    /// Of these tasks alone
    #[arg(short, long, value_name = "PID")]
    pub(crate) pid: Vec<u32>,
    /// The task with the first number is the one that has the second number in the second dump
    #[arg(long, value_name = "PID:PID", value_parser = pid_pair)]
    pub(crate) map_pid: Vec<(u32, u32)>,
    /// Compare only these, separated by commas
    #[arg(long, value_name = "SUBJECTS", value_delimiter = ',')]
    pub(crate) what: Vec<Subject>,
    /// Tell only how much differs
    #[arg(short, long)]
    pub(crate) summary: bool,
    /// List each run of changed pages
    #[arg(long, conflicts_with = "summary")]
    pub(crate) pages: bool,
    #[command(flatten)]
    pub(crate) show: Show,
    #[command(flatten)]
    pub(crate) read: Read,
}

/// What `diff` compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Subject {
    Tasks,
    Fds,
    Sockets,
    Maps,
    Pages,
}

/// Options of `show`.
#[derive(Debug, Args)]
pub(crate) struct ShowImages {
    /// Directory of images, bundle, directory of .criu files, an image, or - for standard input
    pub(crate) source: PathBuf,
    /// Images of it: by file name with or without .img, or by kind, such as CORE; all without
    #[arg(value_name = "IMAGE")]
    pub(crate) images: Vec<String>,
    /// Leave payloads out, only say how large they are
    #[arg(long)]
    pub(crate) nopl: bool,
    #[command(flatten)]
    pub(crate) show: Show,
    #[command(flatten)]
    pub(crate) read: Read,
}

/// Options of `core`.
#[derive(Debug, Args)]
pub(crate) struct CoreFiles {
    /// Of these tasks; of all without
    #[arg(index = 2, value_name = "PID")]
    pub(crate) pids: Vec<u32>,
    /// Directory for the files, which are called core.PID
    #[arg(short, long, value_name = "OUT")]
    pub(crate) output: PathBuf,
    // behind the verb's own options: its headings go on to what follows
    #[command(flatten)]
    pub(crate) dump: Dump,
}

/// How answers are shown.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct Show {
    /// Write one JSON document: an array, or an object where there is one answer
    #[arg(long)]
    pub(crate) json: bool,
    /// Write a JSON object a line
    #[arg(long, conflicts_with = "json")]
    pub(crate) ndjson: bool,
    /// When to use colour; NO_COLOR in the environment is heard too
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: Color,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

/// How images are read.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Reading")]
pub(crate) struct Read {
    /// Read images instead of mapping them: for files that may shrink meanwhile
    #[arg(long)]
    pub(crate) no_map: bool,
    /// Memory that decoding one entry may take, such as 512M
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub(crate) max_memory: Option<u64>,
    /// How deep messages may be nested
    #[arg(long, value_name = "LEVELS")]
    pub(crate) max_depth: Option<u32>,
    /// How many files the directory may hold
    #[arg(long, value_name = "FILES")]
    pub(crate) max_files: Option<usize>,
    /// How many dumps the chain of parents may have
    #[arg(long, value_name = "DUMPS")]
    pub(crate) max_parents: Option<u32>,
}

impl Read {
    /// As the library takes it.
    pub(crate) fn options(self) -> Options {
        let usual = Limits::default();
        Options {
            access: if self.no_map { Access::Read } else { Access::Map },
            limits: Limits {
                memory: self.max_memory.unwrap_or(usual.memory),
                depth: self.max_depth.unwrap_or(usual.depth),
                files: self.max_files.unwrap_or(usual.files),
                parents: self.max_parents.unwrap_or(usual.parents),
                ..usual
            },
        }
    }
}

/// Options of `completions`.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: Shell,
}

/// Options of `man`.
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Directory for one page per verb
    pub(crate) dir: Option<PathBuf>,
}

/// A count of bytes: a number, with a unit of 1024 if wanted.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = text.get(digits.len()..).unwrap_or_default().to_ascii_lowercase();
    let shift = match unit.trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Err("expected a number of bytes, such as 1048576, 64K, 512M, 2G".to_owned()),
    };
    // parse would take a sign
    let number = digits.parse::<u64>().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let number = number.ok_or("expected a number of bytes, such as 64K or 512M")?;
    number.checked_mul(1 << shift).ok_or_else(|| "more bytes than there are addresses".to_owned())
}

/// Two numbers of tasks.
fn pid_pair(text: &str) -> Result<(u32, u32), String> {
    let pair = text.split_once(':').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    pair.ok_or_else(|| "expected two numbers of tasks, such as 17:42".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_bytes() {
        assert_eq!(bytes("17"), Ok(17));
        assert_eq!(bytes("64K"), Ok(65536));
        assert_eq!(bytes("2GiB"), Ok(2 << 30));
        for wrong in ["", "M", "1x", "-1", "+1", "1.5M", "99999999999T"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }
}
