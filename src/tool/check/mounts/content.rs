//! What was in file systems that exist in memory alone.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::Result;
use crate::checkpoint::Checkpoint;
use crate::image::Kind;
use crate::tool::check::Finding;
use crate::tool::check::findings::Findings;
use crate::tool::check::mounts::binds::Devices;
use crate::tool::check::mounts::{Mount, fstype};

pub(super) fn look(
    dump: &Checkpoint,
    mounts: &[Mount<'_>],
    devices: &Devices<'_>,
    findings: &mut Findings<'_>,
) -> Result<()> {
    // of each device, the first mount that is made anew; whether its content is there under the number of any
    let mut made: BTreeMap<u32, (&Mount<'_>, bool)> = BTreeMap::new();
    let mut known: BTreeSet<u64> = BTreeSet::new();
    for mount in mounts {
        known.insert(u64::from(mount.dev));
        let (kind, old) = match mount.fstype {
            fstype::TMPFS => (Kind::TmpfsDev, dump.has(Kind::TmpfsImg, u64::from(mount.mnt_id))),
            fstype::AUTOFS => (Kind::Autofs, false),
            _ => continue,
        };
        if mount.is_whole() && !devices.is_outside(mount) {
            let has = old || dump.has(kind, u64::from(mount.dev));
            made.entry(mount.dev).or_insert((mount, false)).1 |= has;
        }
    }
    for (dev, (mount, _)) in made.iter().filter(|(_, (_, has))| !has) {
        let (kind, what) = match mount.fstype {
            fstype::AUTOFS => (Kind::Autofs, "the settings of the automounter"),
            _ => (Kind::TmpfsDev, "what was in the tmpfs"),
        };
        let name = kind.file_name(u64::from(*dev)).unwrap_or_default();
        let what = format!("expected {what} in {name}, found no such image");
        let finding = Finding::error("mount-content", what).advice("CRIU refuses to restore the mount");
        findings.add(mount.spot.field("root_dev", finding))?;
    }
    if dump.images_of(Kind::Mnts).is_empty() {
        return Ok(());
    }
    for kind in [Kind::TmpfsDev, Kind::Autofs] {
        for name in dump.images_of(kind).iter().filter(|name| !known.contains(&name.id)) {
            let what = format!("expected a mount of device {}, found none", name.id);
            let advice = "CRIU passes over it: either it is left over, or the entry of a mount is lost";
            findings.add(Finding::warning("mount-unused", what).in_image(name.file.clone()).advice(advice))?;
        }
    }
    Ok(())
}
