//! What no CRIU restores, whatever it is given.

use crate::base::Result;
use crate::image::Kind;
use crate::tool::check::findings::Findings;
use crate::tool::check::{Finding, Subject};

pub(super) fn look(subject: &Subject<'_>, findings: &mut Findings<'_>) -> Result<()> {
    // without one there is nothing to compare; that it lacks is told where references are
    let Ok(inventory) = subject.dump.inventory() else { return Ok(()) };
    let in_field = |finding: Finding, field: &str| finding.in_image("inventory.img").at_entry(0).in_field(field);
    let is_dump = !subject.dump.images_of(Kind::Pstree).is_empty();
    // a pre-dump says 0
    if is_dump && !matches!(inventory.img_version, 1..=3) {
        let what = format!("expected image version 1, 2 or 3, found {}", inventory.img_version);
        let advice = "no CRIU up to 4.3 restores it; a newer CRIU may";
        findings.add(in_field(Finding::error("img-version", what), "img_version").advice(advice))?;
    }
    if is_dump && !inventory.fdinfo_per_id {
        let what = "expected tables of descriptors numbered by themselves, found them numbered by task";
        let advice = "CRIU since 4.0 refuses it: restore it with the CRIU that dumped it, and dump it again";
        findings.add(in_field(Finding::error("fdinfo-per-id", what), "fdinfo_per_id").advice(advice))?;
    }
    if inventory.root_cg_set == Some(0) {
        let what = "expected the number of a set of control groups, found 0";
        let advice = "CRIU refuses 0; take the field out, or give the number of a set in cgroup.img";
        findings.add(in_field(Finding::error("root-cg-set", what), "root_cg_set").advice(advice))?;
    }
    match inventory.compress {
        Some("unknown") => {
            let what = "expected compression 0 or 1, found another";
            let advice = "no CRIU up to 4.3 restores it; a newer CRIU may";
            findings.add(in_field(Finding::error("compress-unknown", what), "compress").advice(advice))?;
        }
        Some(_) if inventory.img_version < 3 => {
            let what = format!("expected image version 3 of compressed pages, found {}", inventory.img_version);
            let advice = "CRIU refuses it; set img_version to 3 if pages are compressed, else take compress out";
            findings.add(in_field(Finding::error("compress-version", what), "img_version").advice(advice))?;
        }
        _ => {}
    }
    Ok(())
}
