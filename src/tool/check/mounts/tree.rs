//! The tree of one mount namespace.

use std::collections::{BTreeMap, HashMap};

use crate::base::{Name, Result};
use crate::image::Image;
use crate::tool::check::Finding;
use crate::tool::check::circles::circles;
use crate::tool::check::findings::Findings;
use crate::tool::check::mounts::{Mount, is_below};

const REFUSES: &str = "CRIU refuses to restore the mounts";

fn name(path: &[u8]) -> Name {
    Name::from(bytes::Bytes::copy_from_slice(path))
}

pub(super) fn look(image: &Image, mounts: &[Mount<'_>], findings: &mut Findings<'_>) -> Result<()> {
    let mut by_id: HashMap<u32, &Mount<'_>> = HashMap::with_capacity(mounts.len());
    for mount in mounts {
        if by_id.insert(mount.mnt_id, mount).is_some() {
            let what = format!("expected one mount with number {}, found two", mount.mnt_id);
            let advice = "CRIU mounts both, and takes one for the other: dump again";
            findings.add(mount.spot.field("mnt_id", Finding::error("mount-twice", what).advice(advice)))?;
        }
    }
    let mut root: Option<u32> = None;
    let mut parents = BTreeMap::new();
    for mount in mounts {
        for (field, path) in [("root", mount.root), ("mountpoint", mount.place)] {
            // of old dumps, the key of an external mount is where the root is
            if path.first() != Some(&b'/') && !(field == "root" && mount.is_external) {
                let what = format!("expected a path from the root, found \"{}\"", name(path));
                findings.add(mount.spot.field(field, Finding::error("mount-path", what).advice(REFUSES)))?;
            }
        }
        let parent = by_id.get(&mount.parent).filter(|_| mount.parent != mount.mnt_id);
        let Some(parent) = parent else {
            match root {
                None if mount.is_root() => root = Some(mount.mnt_id),
                None => {
                    let what =
                        format!("expected mount {}, which mount {} is on, found none", mount.parent, mount.mnt_id);
                    let finding = Finding::error("mount-parent", what).advice(REFUSES);
                    findings.add(mount.spot.field("parent_mnt_id", finding))?;
                }
                Some(root) => {
                    let what = format!("expected one root, found mount {} beside mount {root}", mount.mnt_id);
                    let finding = Finding::error("mount-parent", what).advice(REFUSES);
                    findings.add(mount.spot.field("parent_mnt_id", finding))?;
                }
            }
            continue;
        };
        parents.insert(mount.mnt_id, mount.parent);
        if !is_below(mount.place, parent.place) {
            let (place, above) = (name(mount.place), name(parent.place));
            let what = format!("expected a place below {above}, where mount {} is, found {place}", mount.parent);
            findings.add(mount.spot.field("mountpoint", Finding::error("mount-place", what).advice(REFUSES)))?;
        }
    }
    if root.is_none() && !mounts.is_empty() {
        let what = "expected a mount at / that is on no other of the namespace, found none";
        findings.add(Finding::error("mount-root", what).in_image(image.name()).advice(REFUSES))?;
    }
    for mnt_id in circles(&parents) {
        let Some(mount) = by_id.get(&mnt_id) else { continue };
        let what = format!("expected a tree of mounts, found mount {mnt_id} on itself, or on one that is on it");
        let finding = Finding::error("mount-circle", what).advice("CRIU never mounts it");
        findings.add(mount.spot.field("parent_mnt_id", finding))?;
    }
    same_place(mounts, findings)
}

/// Two mounts at one place of the same mount.
fn same_place(mounts: &[Mount<'_>], findings: &mut Findings<'_>) -> Result<()> {
    let mut order: Vec<&Mount<'_>> = mounts.iter().filter(|mount| mount.parent != mount.mnt_id).collect();
    // stable: those at one place stay in the order of the dump
    order.sort_by(|a, b| (a.parent, a.place).cmp(&(b.parent, b.place)));
    for pair in order.windows(2) {
        if let [before, mount] = pair
            && (before.parent, before.place) == (mount.parent, mount.place)
            && before.mnt_id != mount.mnt_id
        {
            let (place, parent) = (name(mount.place), mount.parent);
            let what = format!("expected one mount at {place} of mount {parent}, found mount {} too", before.mnt_id);
            findings.add(mount.spot.field("mountpoint", Finding::error("mount-twice", what).advice(REFUSES)))?;
        }
    }
    Ok(())
}
