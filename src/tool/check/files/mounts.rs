//! The mount that a file is on: one of a mount namespace of the dump.

use crate::base::Result;
use crate::checkpoint::namespace::NamespaceKind;
use crate::image::Kind;
use crate::tool::check::files::File;
use crate::tool::check::findings::Findings;
use crate::tool::check::{Finding, Subject, spot};

/// The numbers of all mounts; `None` where tasks share CRIU's mount namespace, and none are restored.
#[derive(Debug)]
pub(super) struct Mounts(Option<Vec<u64>>);

impl Mounts {
    pub(super) fn read(subject: &Subject<'_>, findings: &mut Findings<'_>) -> Result<Self> {
        let dump = subject.dump;
        let own =
            dump.tasks().ok().and_then(|tasks| tasks.first()?.ids().ok()??.namespaces.remove(&NamespaceKind::Mnt));
        let criu = dump.inventory().ok().and_then(|inventory| inventory.root_ids.as_ref()).map(|ids| &ids.namespaces);
        let is_criu = own.is_none() || criu.is_none_or(|ids| ids.get(&NamespaceKind::Mnt) == own.as_ref());
        let images = dump.images_of(Kind::Mnts);
        // an image that is lost is told where namespaces are looked at
        if is_criu || images.is_empty() {
            return Ok(Self(None));
        }
        let mut numbers = Vec::new();
        for name in images {
            // of what cannot be read nobody knows what is in it
            let Some(image) = findings.ok("entry", dump.open_image(name))? else { return Ok(Self(None)) };
            if image.fault().is_some() {
                return Ok(Self(None));
            }
            numbers.extend(spot::column(Some(&image), "mnt_id")?);
        }
        numbers.sort_unstable();
        Ok(Self(Some(numbers)))
    }
}

/// A number of a mount, from a field of the file; below 0 is none.
pub(super) fn known(file: &File<'_>, field: &str, mnt_id: Option<i64>, findings: &mut Findings<'_>) -> Result<()> {
    let (Some(mounts), Some(Ok(mnt_id))) = (&file.context.mounts.0, mnt_id.map(u64::try_from)) else { return Ok(()) };
    if !spot::has(mounts, mnt_id) {
        let what = format!("expected mount {mnt_id} in a mount namespace of the dump, found none");
        let advice = "CRIU does not know where to open the file and gives up: the entry of the mount is lost";
        findings.add(file.spot.field(field, Finding::error("mount-unknown", what).advice(advice)))?;
    }
    Ok(())
}

/// A unix socket with a path is on a mount.
pub(super) fn unix(file: &File<'_>, findings: &mut Findings<'_>) -> Result<()> {
    known(file, "mnt_id", file.part.signed("mnt_id"), findings)
}
