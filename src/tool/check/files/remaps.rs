//! Files whose path no longer leads to them: what is restored in their place.

use crate::base::Result;
use crate::checkpoint::file::FileType;
use crate::image::Kind;
use crate::tool::check::Finding;
use crate::tool::check::files::Context;
use crate::tool::check::findings::Findings;
use crate::tool::check::spot;

/// Types of a remap, as CRIU numbers them.
const LINKED: u64 = 0;
const GHOST: u64 = 1;
const PROCFS: u64 = 2;

/// In dumps that have no types: a ghost.
const IS_GHOST: u32 = 1 << 31;

pub(super) fn look(context: &Context<'_>, findings: &mut Findings<'_>) -> Result<()> {
    let dump = context.subject.dump;
    let Some(image) = spot::image(dump, Kind::RemapFpath, 0, findings)? else { return Ok(()) };
    let mut seen = Vec::new();
    spot::each(&image, |spot, look, entry| {
        let (Some(orig), Some(remap)) = (look.word("orig_id"), look.word("remap_id")) else { return Ok(()) };
        seen.push((orig, entry.index()));
        // that there is no such file at all is told where references are looked at
        let wrong = |id| context.roll.has_any(id) && !context.roll.has(FileType::REG, id);
        if wrong(orig) {
            let what = format!("expected file {orig} to be one with a path (REG), found another type");
            let finding = Finding::error("remap-file", what).advice("CRIU refuses the dump");
            findings.add(spot.field("orig_id", finding))?;
        }
        let kind = look.number("remap_type").unwrap_or(if remap & IS_GHOST == 0 { LINKED } else { GHOST });
        match kind {
            LINKED if wrong(remap) => {
                let what = format!("expected file {remap} to be one with a path (REG), found another type");
                let finding = Finding::error("remap-file", what).advice("CRIU refuses the dump");
                findings.add(spot.field("remap_id", finding))
            }
            LINKED | GHOST => Ok(()),
            PROCFS if remap == 0 || i32::try_from(remap).is_err() => {
                let what = format!("expected the number of a task that has ended, found {remap}");
                let finding = Finding::error("remap-pid", what).advice("CRIU cannot make a task with this number");
                findings.add(spot.field("remap_id", finding))
            }
            PROCFS => Ok(()),
            other => {
                let what = format!("expected a type of remap from 0 to 2, found {other}");
                let finding = Finding::error("remap-type", what).advice("CRIU 4.3 refuses such a dump");
                findings.add(spot.field("remap_type", finding))
            }
        }
    })?;
    seen.sort_unstable();
    for pair in seen.windows(2) {
        if let [(before, _), (orig, entry)] = pair
            && before == orig
        {
            let what = format!("expected one remap of each file, found another of file {orig}");
            let finding = Finding::warning("remap-twice", what).advice("the last one counts for CRIU");
            findings.add(spot::Spot::new(image.name(), *entry as u64).field("orig_id", finding))?;
        }
    }
    Ok(())
}
