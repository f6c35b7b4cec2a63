//! Numbers of descriptors: each once in its table, and none higher than the kernel allows.

use crate::base::Result;
use crate::tool::check::Finding;
use crate::tool::check::files::Context;
use crate::tool::check::files::tables::{Held, Table};
use crate::tool::check::findings::Findings;
use crate::tool::check::spot::Spot;

/// fs.nr_open where nobody has raised it.
const NR_OPEN: u32 = 1 << 20;

pub(super) fn look(context: &Context<'_>, findings: &mut Findings<'_>) -> Result<()> {
    for table in &context.tables.tables {
        for pair in table.held.windows(2) {
            if let [before, held] = pair
                && before.fd == held.fd
            {
                let what =
                    format!("expected each descriptor once, found {} again, as in entry {}", held.fd, before.entry);
                let finding = Finding::error("fd-twice", what).advice("CRIU cannot put two files under one number");
                findings.add(spot(table, held).field("fd", finding))?;
            }
        }
        if let Some(held) = table.held.last()
            && held.fd >= NR_OPEN
        {
            let what = format!("expected descriptors below {NR_OPEN}, found {}", held.fd);
            let advice = "restoring fails unless fs.nr_open is higher than that: raise it before";
            findings.add(spot(table, held).field("fd", Finding::warning("fd-high", what).advice(advice)))?;
        }
        above_limit(table, findings)?;
    }
    Ok(())
}

fn spot<'t>(table: &'t Table, held: &Held) -> Spot<'t> {
    Spot::new(&table.image, held.entry)
}

/// A task may have lowered its limit after it opened files: nothing is wrong, but nothing new gets such a number.
fn above_limit(table: &Table, findings: &mut Findings<'_>) -> Result<()> {
    let (Some(held), Some(pid), Some(limit)) = (table.held.last(), table.pids.first(), table.limit) else {
        return Ok(());
    };
    if u64::from(held.fd) < limit {
        return Ok(());
    }
    let what = format!("task {pid} may open descriptors below {limit}, and has {} open", held.fd);
    findings.add(spot(table, held).field("fd", Finding::note("fd-above-limit", what)))
}
