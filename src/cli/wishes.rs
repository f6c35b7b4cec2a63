//! `check --v1`: the complaints about version 1, measured; as text a few lines each.

use super::args::Dump;
use super::out::{Format, Out};
use super::progress::Bar;
use super::{Outcome, interrupt};
use crate::base::report::{Cancel, Cell, Rows};
use crate::base::{Error, Result};
use crate::checkpoint::Checkpoint;
use crate::tool::check::{Wish, wishes};

pub(super) fn show(dump: &Dump) -> Result<Outcome> {
    let (bar, cancel) = (Bar::new(), Cancel::default());
    interrupt::listen(&cancel)?;
    let opened = Checkpoint::open_with(&dump.dir, dump.read.options())?;
    let mut told = Told { out: Out::new(dump.show), wishes: 0 };
    wishes(&opened, &mut told, (&bar, &cancel))?;
    drop(bar);
    told.finish()
}

struct Told {
    out: Out,
    wishes: u64,
}

/// Columns before what is said.
const INDENT: usize = 15;

impl Told {
    fn text(&mut self, wish: &Wish) -> Result<()> {
        let style = self.out.style;
        let bytes = |bytes: Option<u64>| bytes.map(|bytes| format!(" ({bytes} bytes)")).unwrap_or_default();
        let gap = if self.wishes == 1 { "" } else { "\n" };
        self.out.raw(&format!("{gap}{:>2}  {}\n", wish.number, style.heading(wish.complaint)))?;
        let here = format!("{}{}", wish.here, bytes(wish.v1_bytes));
        let version2 = format!("{}{}", wish.version2, bytes(wish.v2_bytes));
        for (name, what) in [("here", here), ("version 2", version2)] {
            let mut name = name;
            for line in style.wrapped(&Cell::Text(what.into()), INDENT) {
                self.out.raw(&format!("    {name:11}{line}\n"))?;
                name = "";
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Outcome> {
        if self.out.format == Format::Json {
            self.out.raw(if self.wishes == 0 { "[]\n" } else { "\n]\n" })?;
        }
        self.out.finish()
    }
}

impl Rows<Wish> for Told {
    fn row(&mut self, wish: Wish) -> Result<()> {
        self.wishes = self.wishes.saturating_add(1);
        match self.out.format {
            Format::Text => self.text(&wish),
            Format::Json => {
                self.out.raw(if self.wishes == 1 { "[\n" } else { ",\n" })?;
                self.out.json(&wish)
            }
            Format::Ndjson => {
                self.out.json(&wish)?;
                self.out.raw("\n")
            }
        }
    }

    fn problem(&mut self, error: Error) -> Result<()> {
        self.out.problem(&error)
    }
}
