//! The entry of a file: its number, its type, and the part that belongs to the type.

use crate::base::Result;
use crate::checkpoint::file::FileType;
use crate::checkpoint::roll::FileImage;
use crate::object::Look;
use crate::tool::check::Finding;
use crate::tool::check::files::{Context, File, PARTS};
use crate::tool::check::findings::Findings;
use crate::tool::check::spot::{self, Spot};

/// So many entries are looked at before somebody may interrupt.
const WINDOW: usize = 4096;

pub(super) fn look(context: &Context<'_>, findings: &mut Findings<'_>) -> Result<()> {
    let Some(images) = findings.ok("entry", context.subject.dump.file_images())? else { return Ok(()) };
    for images in &images {
        spot::each(&images.image, |spot, look, entry| {
            if entry.index().is_multiple_of(WINDOW) {
                context.subject.go_on()?;
            }
            one(context, images, spot, look, findings)
        })?;
    }
    Ok(())
}

fn one(
    context: &Context<'_>,
    images: &FileImage,
    spot: Spot<'_>,
    look: Look<'_>,
    findings: &mut Findings<'_>,
) -> Result<()> {
    let Some((file_type, id, part)) = images.part(look) else { return Ok(()) };
    if images.file_type.is_none() && file_type.part_name().is_none() {
        let what = format!("expected a type of file from 1 to 20, found {}", file_type.0);
        let finding = Finding::error("file-type", what).advice("CRIU 4.3 refuses such a dump; a newer one wrote it");
        return findings.add(spot.field("type", finding));
    }
    let Some((name, part)) = part else {
        let what = format!("expected what belongs to a file of type {file_type}, found none");
        let advice = "CRIU ends with a segmentation fault when it restores this: take the dump again";
        return findings.add(spot.mark(Finding::error("file-part", what).advice(advice)));
    };
    let spot = spot.part(name);
    if let Some(inner) = part.word("id")
        && inner != id
    {
        let what = format!("expected the number of its entry, {id}, found {inner}");
        findings.add(spot.field("id", Finding::error("file-id", what).advice("CRIU refuses the dump")))?;
    }
    if images.file_type.is_none() {
        others(file_type, spot, look, findings)?;
    }
    let file = File { context, file_type, id, spot, part };
    match PARTS.iter().find(|(number, _)| *number == file_type.0) {
        Some((_, rule)) => rule(&file, findings),
        None => Ok(()),
    }
}

/// An entry may have the parts of other types: CRIU passes over them.
fn others(file_type: FileType, spot: Spot<'_>, look: Look<'_>, findings: &mut Findings<'_>) -> Result<()> {
    let own = file_type.part_name();
    for name in look.names().filter(|name| !["type", "id"].contains(name) && own != Some(name)) {
        let what = format!("expected nothing but what belongs to {file_type}, found `{name}` too");
        findings.add(spot.mark(Finding::warning("file-parts", what).advice("CRIU passes over it")))?;
    }
    Ok(())
}

/// Files that are there twice.
pub(super) fn twice(context: &Context<'_>, findings: &mut Findings<'_>) -> Result<()> {
    for (file_type, id, entry) in context.roll.again() {
        let Some(image) = context.subject.dump.file_image_name(file_type) else { continue };
        let what = format!("expected each file once, found number {id} of type {file_type} again");
        let advice = "CRIU restores the last of them for all who have one open";
        findings.add(Spot::new(&image, entry).mark(Finding::error("file-twice", what).advice(advice)))?;
    }
    Ok(())
}
