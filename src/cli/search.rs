//! `search` and `strings`: what is in the memory of the processes.

use std::ops::Range;

use clap::builder::PossibleValue;
use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};

use super::args::Dump;
use super::out::{Report, Shown};
use super::progress::Bar;
use super::{Outcome, interrupt, range};
use crate::base::Result;
use crate::base::report::{Cancel, Rows};
use crate::checkpoint::Checkpoint;
use crate::checkpoint::mm::Backing;
use crate::tool::search::filter::Filter;
use crate::tool::search::strings::{Strings, Text, strings};
use crate::tool::search::{Count, Encoding, Grain, Match, Pattern, Search, Summary, Unsearched, count, search};

/// Options of `search`.
#[derive(Debug, Args)]
pub(crate) struct SearchMemory {
    /// Text to search for
    #[arg(index = 2, value_name = "PATTERN", required_unless_present_any = ["hex", "regex"])]
    text: Option<String>,
    /// Search for bytes instead: "de ad ?? be ef", ? stands for any digit
    #[arg(long, value_name = "BYTES", conflicts_with_all = ["text", "regex", "ignore_case"])]
    hex: Option<String>,
    /// Search for a regular expression instead, of the crate regex, on bytes: (?-u) and (?s) may be of use
    #[arg(long, value_name = "EXPRESSION", conflicts_with = "text")]
    regex: Option<String>,
    /// Take upper and lower case as the same
    #[arg(short, long)]
    ignore_case: bool,
    /// Show so many bytes before and behind each match
    #[arg(short = 'C', long, value_name = "BYTES", default_value_t = 16, value_parser = clap::value_parser!(u32).range(..=65536))]
    context: u32,
    /// Only count the matches, by process and mapping
    #[arg(short, long, conflicts_with = "max")]
    count: bool,
    /// End after so many matches
    #[arg(short, long, value_name = "MATCHES", value_parser = clap::value_parser!(u64).range(1..))]
    max: Option<u64>,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    dump: Dump,
}

/// Options of `strings`.
#[derive(Debug, Args)]
pub(crate) struct ListStrings {
    /// Characters that a string has at least
    #[arg(short = 'n', long, value_name = "CHARACTERS", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..))]
    min: u64,
    /// How characters are stored
    #[arg(short, long, value_name = "ENCODING", value_delimiter = ',', default_value = "ascii")]
    encoding: Vec<Stored>,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    dump: Dump,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Stored {
    Ascii,
    #[value(name = "utf-8")]
    Utf8,
    #[value(name = "utf-16le")]
    Utf16Le,
    /// utf-8, which has ascii in it, and utf-16le
    All,
}

/// Which memory.
#[derive(Debug, Args)]
#[command(next_help_heading = "Where")]
struct Where {
    /// Of this process alone; may be said again
    #[arg(short, long, value_name = "PID")]
    pid: Vec<u32>,
    /// In mappings of this kind
    #[arg(short, long, value_name = "KIND", value_delimiter = ',', value_parser = kinds())]
    kind: Vec<String>,
    /// In mappings that allow this: r, w, x or several of them
    #[arg(long, value_name = "RWX", value_parser = prot)]
    prot: Option<u32>,
    /// In mappings with this in their name, such as libc or [heap]; the whole name if there are * or ? in it
    #[arg(long, value_name = "NAME")]
    name: Vec<String>,
    /// At these addresses: ADDRESS-END or ADDRESS+LENGTH, as `mem` has them; may be said again
    #[arg(long, value_name = "RANGE", value_parser = range::range)]
    range: Vec<Range<u64>>,
    /// Memory that processes share for the first of them alone
    #[arg(long)]
    shared_once: bool,
}

impl Where {
    fn filter(&self) -> Filter {
        Filter {
            pids: self.pid.clone(),
            kinds: self
                .kind
                .iter()
                .map(|kind| if kind == "anon" { "anonymous".to_owned() } else { kind.clone() })
                .collect(),
            prot: self.prot.unwrap_or(0),
            names: self.name.clone(),
            ranges: self.range.clone(),
            shared_once: self.shared_once,
        }
    }
}

fn kinds() -> PossibleValuesParser {
    let value = |kind: &'static str| match kind {
        "anonymous" => PossibleValue::new(kind).alias("anon"),
        kind => PossibleValue::new(kind),
    };
    Backing::KINDS.map(value).into()
}

fn prot(text: &str) -> Result<u32, String> {
    text.chars().try_fold(0, |bits, letter| match letter {
        'r' => Ok(bits | 1),
        'w' => Ok(bits | 2),
        'x' => Ok(bits | 4),
        '-' => Ok(bits),
        _ => Err("expected letters of rwx".to_owned()),
    })
}

/// Searches, shows, and tells how it went: whether there is a match is what the exit code says.
pub(super) fn find(options: &SearchMemory) -> Result<Outcome> {
    let pattern = match (&options.hex, &options.regex, &options.text) {
        (Some(hex), ..) => Pattern::hex(hex)?,
        (_, Some(regex), _) => Pattern::regex(regex, options.ignore_case)?,
        (.., text) => Pattern::text(text.as_deref().unwrap_or_default(), options.ignore_case)?,
    };
    let wanted = Search {
        pattern,
        filter: options.place.filter(),
        context: u64::from(options.context),
        max: options.max,
        grain: Grain::default(),
    };
    let dump = Checkpoint::open_with(&options.dump.dir, options.dump.read.options())?;
    let (bar, cancel) = (Bar::new(), Cancel::default());
    interrupt::listen(&cancel)?;
    let mut report = Report::new(options.dump.show);
    let Summary { found, unsearched } = match options.count {
        true => count(&dump, &wanted, (&bar, &cancel), &mut report)?,
        false => search(&dump, &wanted, (&bar, &cancel), &mut report)?,
    };
    drop(bar);
    if found == 0 {
        let what = format!("found nothing{}", left_out(unsearched));
        match options.count {
            true => Rows::<Count>::note(&mut report, &what)?,
            false => Rows::<Match>::note(&mut report, &what)?,
        }
    }
    report.finish()?;
    Ok(if found > 0 { Outcome::Done } else { Outcome::Found })
}

pub(super) fn list(options: &ListStrings) -> Result<Outcome> {
    let encodings = options.encoding.iter().flat_map(|stored| match stored {
        Stored::Ascii => vec![Encoding::Ascii],
        Stored::Utf8 => vec![Encoding::Utf8],
        Stored::Utf16Le => vec![Encoding::Utf16Le],
        Stored::All => vec![Encoding::Utf8, Encoding::Utf16Le],
    });
    let mut encodings: Vec<Encoding> = encodings.collect();
    if encodings.contains(&Encoding::Utf8) {
        // which has all of them
        encodings.retain(|encoding| *encoding != Encoding::Ascii);
    }
    let wanted = Strings { filter: options.place.filter(), least: options.min, encodings, grain: Grain::default() };
    let dump = Checkpoint::open_with(&options.dump.dir, options.dump.read.options())?;
    let (bar, cancel) = (Bar::new(), Cancel::default());
    interrupt::listen(&cancel)?;
    let mut report = Report::new(options.dump.show);
    let unsearched = strings(&dump, &wanted, (&bar, &cancel), &mut report)?;
    drop(bar);
    if report.is_empty() {
        Rows::<Text>::note(&mut report, &format!("found no strings{}", left_out(unsearched)))?;
    }
    report.finish()
}

fn left_out(unsearched: Unsearched) -> String {
    match unsearched.in_files {
        0 => String::new(),
        bytes => format!("; {bytes} bytes of mapped files are not in the dump"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protections() {
        assert_eq!((prot("rw"), prot("r-x"), prot("q").is_err()), (Ok(3), Ok(5), true));
    }
}
