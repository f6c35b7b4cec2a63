//! The mounts.

use serde::Serialize;

use crate::base::report::{Cell, Column, Row, Rows};
use crate::base::{Listing, Result};
use crate::checkpoint::Checkpoint;
use crate::checkpoint::mount::Mount;

/// A mount.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct MountRow(pub Mount);

impl MountRow {
    fn propagation(&self) -> Cell {
        let shared = self.0.shared_id.map(|id| format!("shared {id}"));
        let master = self.0.master_id.map(|id| format!("slave of {id}"));
        match (shared, master) {
            (None, None) => Cell::Empty,
            (shared, master) => Cell::text(shared.into_iter().chain(master).collect::<Vec<_>>().join(", ")),
        }
    }

    fn options(&self) -> Cell {
        let Mount { flags, sb_flags, options, ext_key, deleted, .. } = &self.0;
        let mut words = flags.clone();
        // how events pass has a column of its own
        words.retain(|word| !["shared", "slave", "private"].contains(&word.as_str()));
        words.extend(sb_flags.iter().filter(|flag| !flags.contains(flag)).cloned());
        if !options.is_empty() {
            words.push(options.to_string());
        }
        words.extend(ext_key.as_ref().map(|key| format!("external={key}")));
        words.extend(deleted.then(|| "deleted".to_owned()));
        Cell::text(words.join(","))
    }
}

impl Row for MountRow {
    const COLUMNS: &'static [Column] = &[
        Column::number("NS", 3),
        Column::number("ID", 2),
        Column::number("ON", 4),
        Column::long("MOUNTPOINT", 0),
        Column::text("TYPE", 0),
        Column::long("SOURCE", 1),
        Column::long("ROOT", 2),
        Column::text("DEVICE", 5),
        Column::text("PROPAGATION", 4),
        Column::long("OPTIONS", 3),
    ];

    fn cells(&self) -> Vec<Cell> {
        let mount = &self.0;
        vec![
            Cell::text(mount.ns_id),
            Cell::text(mount.mnt_id),
            Cell::text(mount.parent_mnt_id),
            Cell::text(&mount.mountpoint),
            Cell::text(&mount.fstype),
            Cell::text(&mount.source),
            Cell::text(&mount.root),
            Cell::text(mount.dev),
            self.propagation(),
            self.options(),
        ]
    }
}

/// The mounts of all mount namespaces that are part of the dump, by namespace and path.
///
/// Errors: an image of mounts cannot be opened, or `out` ends the question.
pub fn mounts(dump: &Checkpoint, out: &mut impl Rows<MountRow>) -> Result<()> {
    let Listing { items: mut mounts, problems } = dump.mounts()?;
    if mounts.is_empty() && problems.is_empty() {
        return out.note(&dump.why_no_mounts());
    }
    mounts.sort_by(|a, b| (a.ns_id, &a.mountpoint, a.mnt_id).cmp(&(b.ns_id, &b.mountpoint, b.mnt_id)));
    mounts.into_iter().try_for_each(|mount| out.row(MountRow(mount)))?;
    out.problems(problems)
}
