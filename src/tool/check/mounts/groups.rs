//! Propagation: groups of mounts that share events, and groups that get them from others.

use std::collections::{BTreeMap, HashMap};

use crate::base::Result;
use crate::tool::check::Finding;
use crate::tool::check::findings::Findings;
use crate::tool::check::mounts::Mount;
use crate::tool::check::mounts::binds::Devices;

pub(super) fn look(mounts: &[Mount<'_>], devices: &Devices<'_>, findings: &mut Findings<'_>) -> Result<()> {
    // each group by what it shares and whom it listens to, with one of its mounts
    let mut groups: BTreeMap<(u32, u32), &Mount<'_>> = BTreeMap::new();
    let mut outside: HashMap<(u32, u32), bool> = HashMap::new();
    for mount in mounts.iter().filter(|mount| mount.shared_id != 0 || mount.master_id != 0) {
        let key = (mount.shared_id, mount.master_id);
        groups.entry(key).or_insert(mount);
        *outside.entry(key).or_default() |= devices.is_outside(mount);
    }
    let mut by_shared: HashMap<u32, u32> = HashMap::new();
    for (shared_id, _) in groups.keys() {
        let count = by_shared.entry(*shared_id).or_default();
        *count = count.saturating_add(1);
    }
    for ((shared_id, master_id), mount) in groups.iter().filter(|((_, master_id), _)| *master_id != 0) {
        let is_outside = outside.get(&(*shared_id, *master_id)).copied().unwrap_or(false);
        match by_shared.get(master_id).copied().unwrap_or(0) {
            0 if !is_outside => {
                let what = format!("expected a mount that shares as group {master_id}, found none");
                let advice = "the master is outside and cannot be reached: restore with --enable-external-masters, or \
                              external mounts that lead to it";
                findings.add(mount.spot.field("master_id", Finding::error("mount-master", what).advice(advice)))?;
            }
            0 | 1 => {}
            more => {
                let what = format!("expected the mounts of group {master_id} to have one master, found {more}");
                let finding = Finding::error("mount-groups", what).advice("CRIU refuses to restore the mounts");
                findings.add(mount.spot.field("master_id", finding))?;
            }
        }
    }
    Ok(())
}
