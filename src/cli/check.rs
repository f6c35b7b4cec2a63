//! `check`: whether a checkpoint is whole.

use std::io::ErrorKind;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::args::Dump;
use super::out::{Format, Out};
use super::progress::Bar;
use super::table::Style;
use super::{Outcome, digest, interrupt, wishes};
use crate::base::name::harmless;
use crate::base::report::{Cancel, Card, Cell, Progress, Rows};
use crate::base::{Error, Result};
use crate::tool::check::{self, Check, Checked, Finding, Severity};

/// Options of `check`.
#[derive(Debug, Args)]
pub(crate) struct CheckDump {
    /// Read every page, unpack every block, compare every checksum
    #[arg(long)]
    deep: bool,
    /// Compare what restoring needs with this machine
    #[arg(long)]
    here: bool,
    /// Write one digest for each file and one for the whole, to FILE if that is given, and look no further
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "-")]
    #[arg(conflicts_with_all = ["deep", "here"])]
    digest: Option<PathBuf>,
    /// Measure what CRIU's wiki complains about in version 1 of the format, and how version 2 answers it, and look no
    /// further
    #[arg(long, conflicts_with_all = ["deep", "here", "digest", "verify"])]
    v1: bool,
    /// Compare the files with the digests in FILE, and look no further
    #[arg(long, value_name = "FILE", conflicts_with_all = ["deep", "here", "digest"])]
    verify: Option<PathBuf>,
    // behind the verb's own options: its headings go on to what follows
    #[command(flatten)]
    dump: Dump,
}

pub(super) fn check(options: &CheckDump) -> Result<Outcome> {
    if let Some(file) = &options.digest {
        return digest::write(&options.dump, file);
    }
    if options.v1 {
        return wishes::show(&options.dump);
    }
    let check = Check { read: options.dump.read.options(), deep: options.deep, here: options.here };
    let (bar, cancel) = (Bar::new(), Cancel::default());
    interrupt::listen(&cancel)?;
    let mut told = Told { out: Out::new(options.dump.show), findings: 0, is_whole: true };
    let (source, control) = (&options.dump.dir, (&bar as &dyn Progress, &cancel));
    let checked = match &options.verify {
        Some(list) => check::verify(source, list, &check.read, &mut told, control),
        None => check::check(source, &check, &mut told, control),
    };
    drop(bar);
    let (is_whole, outcome) = match checked {
        Ok(checked) => (checked.is_whole, or_unheard(told.finish(&checked))?),
        // who reads has seen enough, and there was something to see
        Err(error) if is_unheard(&error) && !told.is_whole => return Ok(Outcome::Found),
        Err(error) => return Err(error),
    };
    Ok(if outcome == Outcome::Done && !is_whole { Outcome::Found } else { outcome })
}

/// Whether nobody reads any more what is written.
fn is_unheard(error: &Error) -> bool {
    error.io_kind() == Some(ErrorKind::BrokenPipe)
}

/// The exit code says whether a checkpoint is whole also to who does not read to the end.
fn or_unheard(told: Result<Outcome>) -> Result<Outcome> {
    told.or_else(|error| if is_unheard(&error) { Ok(Outcome::Done) } else { Err(error) })
}

/// Writes findings as they come, and the verdict behind them.
struct Told {
    out: Out,
    findings: u64,
    is_whole: bool,
}

/// The last line of NDJSON, and the last key of the document.
#[derive(Serialize)]
struct Last<'c> {
    checked: &'c Checked,
}

impl Told {
    fn text(&mut self, finding: &Finding) -> Result<()> {
        let style: Style = self.out.style;
        let name = finding.severity.name();
        let severity = match finding.severity {
            Severity::Note => name.to_owned(),
            Severity::Warning | Severity::Error => style.odd(name),
        };
        let gap = " ".repeat(INDENT.saturating_sub(name.len()));
        let place = finding.place();
        let colon = if place.is_empty() { "" } else { ": " };
        // a name with a newline must not make up a line of its own, such as another verdict
        let one_line = |text: &str| Cell::text(harmless(text).replace('\n', "\\n"));
        let what = one_line(&format!("{place}{colon}{} [{}]", finding.what, finding.rule));
        let advice = finding.advice.as_deref().map(one_line);
        let mut before = format!("{severity}{gap}");
        for cell in std::iter::once(what).chain(advice) {
            for line in style.wrapped(&cell, INDENT) {
                self.out.raw(&format!("{before}{line}\n"))?;
                before = " ".repeat(INDENT);
            }
        }
        Ok(())
    }

    fn finish(mut self, checked: &Checked) -> Result<Outcome> {
        match self.out.format {
            Format::Text => {
                if self.findings > 0 {
                    self.out.raw("\n")?;
                }
                self.out.card(&checked.facts())?;
            }
            Format::Json => {
                self.out.raw(if self.findings == 0 {
                    "{\n\"findings\": [],\n\"checked\": "
                } else {
                    "\n],\n\"checked\": "
                })?;
                self.out.json(checked)?;
                self.out.raw("\n}\n")?;
            }
            Format::Ndjson => {
                self.out.json(&Last { checked })?;
                self.out.raw("\n")?;
            }
        }
        self.out.finish()
    }
}

/// Columns before what a finding says.
const INDENT: usize = 9;

impl Rows<Finding> for Told {
    fn row(&mut self, finding: Finding) -> Result<()> {
        self.findings = self.findings.saturating_add(1);
        self.is_whole &= finding.severity == Severity::Note;
        let written = self.write(&finding);
        // before the first that counts, whether there is one is still to be found
        written.or_else(|error| if is_unheard(&error) && self.is_whole { Ok(()) } else { Err(error) })
    }

    fn problem(&mut self, error: Error) -> Result<()> {
        self.out.problem(&error)
    }

    fn note(&mut self, why: &str) -> Result<()> {
        self.out.note(why)
    }
}

impl Told {
    fn write(&mut self, finding: &Finding) -> Result<()> {
        match self.out.format {
            Format::Text => self.text(finding),
            Format::Json => {
                self.out.raw(if self.findings == 1 { "{\n\"findings\": [\n" } else { ",\n" })?;
                self.out.json(finding)
            }
            Format::Ndjson => {
                self.out.json(finding)?;
                self.out.raw("\n")
            }
        }
    }
}
