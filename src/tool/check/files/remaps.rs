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
pub(super) const GHOST: u64 = 1;
const PROCFS: u64 = 2;

/// In dumps that have no types: a ghost.
pub(super) const IS_GHOST: u32 = 1 << 31;

pub(super) fn look(context: &Context<'_>, findings: &mut Findings<'_>) -> Result<()> {
    let dump = context.subject.dump;
    let Some(image) = spot::image(dump, Kind::RemapFpath, 0, findings)? else { return Ok(()) };
    let mut seen = Vec::new();
    spot::each(&image, |spot, look, entry| {
        let (Some(orig), Some(remap)) = (look.word("orig_id"), look.word("remap_id")) else { return Ok(()) };
        seen.push((orig, entry.index()));
        let kind = look.number("remap_type").unwrap_or(if remap & IS_GHOST == 0 { LINKED } else { GHOST });
        // that there is no file for it is told where references are looked at
        match kind {
            LINKED if !context.roll.has(FileType::REG, remap) => {
                let what = format!("expected file {remap} of type REG, whose name is another of the file, found none");
                let finding = Finding::error("remap-missing", what).advice("CRIU refuses the dump");
                findings.add(spot.field("remap_id", finding))
            }
            GHOST if !dump.has(Kind::GhostFile, u64::from(remap & !IS_GHOST)) => {
                let name = Kind::GhostFile.file_name(u64::from(remap & !IS_GHOST)).unwrap_or_default();
                let what = format!("expected the copy of the file in {name}, found no such image");
                let finding = Finding::error("remap-missing", what).advice("CRIU refuses the dump: the file is lost");
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
