//! Ghost files: copies of what was deleted while open. Whole, and somebody's.

use crate::base::Result;
use crate::checkpoint::ImageName;
use crate::image::{Image, Kind};
use crate::tool::check::Finding;
use crate::tool::check::files::Context;
use crate::tool::check::findings::Findings;
use crate::tool::check::spot::{self, Spot};

/// The bits of a mode that say what it is.
const TYPE: u64 = 0o170_000;
const REGULAR: u64 = 0o100_000;
const SYMLINK: u64 = 0o120_000;
const CHARACTER: u64 = 0o020_000;
const BLOCK: u64 = 0o060_000;

pub(super) fn look(context: &Context<'_>, findings: &mut Findings<'_>) -> Result<()> {
    let dump = context.subject.dump;
    let ghosts = dump.images_of(Kind::GhostFile);
    if ghosts.is_empty() {
        return Ok(());
    }
    let remaps = spot::image(dump, Kind::RemapFpath, 0, findings)?;
    // the highest bit marks ghosts in dumps that have no types of remaps
    let used = spot::column(remaps.as_ref(), "remap_id")?;
    for name in ghosts {
        context.subject.go_on()?;
        if !spot::has(&used, name.id) && !spot::has(&used, name.id | 1 << 31) {
            unused(name, findings)?;
        }
        if let Some(image) = findings.ok("entry", dump.open_image(name))? {
            whole(&image, findings)?;
        }
    }
    Ok(())
}

fn unused(name: &ImageName, findings: &mut Findings<'_>) -> Result<()> {
    let what = format!("expected a remap that leads to ghost file {}, found none", name.id);
    let advice = "CRIU passes over it: either it is left over, or an entry of remap-fpath.img is lost";
    findings.add(Finding::warning("ghost-unused", what).in_image(name.file.clone()).advice(advice))
}

fn whole(image: &Image, findings: &mut Findings<'_>) -> Result<()> {
    let mut chunks = None;
    let mut end = 0u64;
    spot::each(image, |spot, look, entry| {
        if entry.index() == 0 {
            let mode = look.number("mode").unwrap_or(REGULAR) & TYPE;
            chunks = look.flag("chunks").then(|| look.number("size"));
            return head(spot, mode, &look, chunks, findings);
        }
        let (Some(off), Some(len)) = (look.number("off"), look.number("len")) else { return Ok(()) };
        let Some(Some(size)) = chunks else { return Ok(()) };
        let last = off.checked_add(len);
        if last.is_none_or(|last| last > size) {
            let what = format!("expected a piece inside the {size} bytes of the file, found {len} bytes at {off}");
            let finding =
                Finding::error("ghost-beyond", what).advice("CRIU restores a file that is longer than it was");
            findings.add(spot.field("off", finding))?;
        } else if off < end {
            let what = format!("expected a piece behind the last one, which ends at {end}, found one at {off}");
            let finding = Finding::warning("ghost-order", what).advice("the later of two pieces counts");
            findings.add(spot.field("off", finding))?;
        }
        end = last.unwrap_or(u64::MAX).max(end);
        Ok(())
    })
}

fn head(
    spot: Spot<'_>,
    mode: u64,
    look: &crate::object::Look<'_>,
    chunks: Option<Option<u64>>,
    findings: &mut Findings<'_>,
) -> Result<()> {
    let mut lacks = |field: &str, what: &str| {
        let what = format!("expected {what}, found none");
        findings.add(spot.field(field, Finding::error("ghost-head", what).advice("CRIU refuses to restore it")))
    };
    match mode {
        REGULAR if chunks == Some(None) => lacks("size", "the size of a file that is stored in pieces"),
        SYMLINK if !look.has("symlnk_target") => lacks("symlnk_target", "where the symbolic link leads"),
        CHARACTER | BLOCK if !look.has("rdev") => lacks("rdev", "the number of the device"),
        _ => Ok(()),
    }
}
