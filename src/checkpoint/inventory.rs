//! What a dump says of itself: the inventory, and the statistics CRIU kept while dumping.

use serde::Serialize;

use crate::base::{Name, Result};
use crate::checkpoint::Checkpoint;
use crate::checkpoint::namespace::Ids;
use crate::image::Kind;
use crate::object::v1;

/// `inventory.img`.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Inventory {
    /// 1 is v1.0, 2 v1.1, 3 v1.2, whose pages may be compressed; 0 is a pre-dump.
    pub img_version: u32,
    /// Whether `fdinfo` images are numbered by descriptor table, not by task.
    pub fdinfo_per_id: bool,
    /// Whether images of namespaces are numbered by namespace, not by task.
    pub ns_per_id: bool,
    /// What CRIU itself lived in; a task with the same number shares it with CRIU.
    pub root_ids: Option<Ids>,
    /// The set of control groups of CRIU itself.
    pub root_cg_set: Option<u32>,
    /// The security module whose labels tasks have: `selinux`, `apparmor`.
    pub lsm: Option<&'static str>,
    /// Time since boot when the dump began, in microseconds.
    pub dump_uptime: Option<u64>,
    /// How a pre-dump read memory: `splice` or `read`.
    pub pre_dump_mode: Option<&'static str>,
    /// Whether TCP connections were closed instead of saved.
    pub tcp_close: bool,
    /// How the network was locked while dumping.
    pub network_lock: &'static str,
    /// Plugins that the dump needs; `None` where CRIU did not say.
    pub plugins: Option<Vec<Name>>,
    /// A number that CRIU gave the run.
    pub dump_criu_run_id: Option<Name>,
    /// Whether user-space probes were allowed.
    pub allow_uprobes: bool,
    /// How pages of this dump are compressed: `lz4`; `None` if they are not.
    pub compress: Option<&'static str>,
    /// Bytes of a compressed block, a hint.
    pub compress_block_size: Option<u32>,
}

/// `stats-dump`. Times are in microseconds.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct DumpStats {
    /// Until all tasks stood still.
    pub freezing_time: u32,
    /// How long they stood still.
    pub frozen_time: u32,
    /// Spent on taking memory.
    pub memdump_time: u32,
    /// Spent on writing memory.
    pub memwrite_time: u32,
    /// Pages looked at, those of shared memory included.
    pub pages_scanned: u64,
    /// Pages left to the parent.
    pub pages_skipped_parent: u64,
    /// Pages written.
    pub pages_written: u64,
    /// Pages left to be sent on demand.
    pub pages_lazy: u64,
}

impl Checkpoint {
    /// What the dump says of itself.
    ///
    /// Errors: there is no inventory, or it is broken.
    pub fn inventory(&self) -> Result<&Inventory> {
        self.cache.inventory.get_or_init(|| self.read_inventory()).as_ref().map_err(Clone::clone)
    }

    fn read_inventory(&self) -> Result<Inventory> {
        let entry = self.image(Kind::Inventory)?.get(0)?.decode::<v1::InventoryEntry>()?;
        Ok(Inventory {
            img_version: entry.img_version,
            fdinfo_per_id: entry.fdinfo_per_id(),
            ns_per_id: entry.ns_per_id(),
            root_ids: entry.root_ids.as_ref().map(Ids::new),
            root_cg_set: entry.root_cg_set,
            lsm: match entry.lsmtype() {
                v1::Lsmtype::NoLsm => None,
                v1::Lsmtype::Selinux => Some("selinux"),
                v1::Lsmtype::Apparmor => Some("apparmor"),
            },
            dump_uptime: entry.dump_uptime,
            pre_dump_mode: entry.pre_dump_mode.map(|mode| match mode {
                1 => "splice",
                2 => "read",
                _ => "unknown",
            }),
            tcp_close: entry.tcp_close(),
            network_lock: match entry.network_lock_method() {
                0 => "iptables",
                1 => "nftables",
                2 => "skip",
                _ => "unknown",
            },
            plugins: entry.plugins_entry.map(|entry| entry.plugins.into_iter().map(Name::from).collect()),
            dump_criu_run_id: entry.dump_criu_run_id.map(Name::from),
            allow_uprobes: entry.allow_uprobes.unwrap_or(false),
            compress: match entry.compress.unwrap_or(0) {
                0 => None,
                1 => Some("lz4"),
                _ => Some("unknown"),
            },
            compress_block_size: entry.compress_block_size,
        })
    }

    /// The statistics of the dump; `None` where `stats-dump` is not in the directory: CRIU writes it into its working
    /// directory, which often is another.
    ///
    /// Errors: the image is broken.
    pub fn dump_stats(&self) -> Result<Option<DumpStats>> {
        let Some(image) = self.find(Kind::Stats, 0)? else { return Ok(None) };
        let Some(dump) = image.get(0)?.decode::<v1::StatsEntry>()?.dump else { return Ok(None) };
        Ok(Some(DumpStats {
            freezing_time: dump.freezing_time,
            frozen_time: dump.frozen_time,
            memdump_time: dump.memdump_time,
            memwrite_time: dump.memwrite_time,
            pages_scanned: dump.pages_scanned.saturating_add(dump.shpages_scanned()),
            pages_skipped_parent: dump.pages_skipped_parent.saturating_add(dump.shpages_skipped_parent()),
            pages_written: dump.pages_written.saturating_add(dump.shpages_written()),
            pages_lazy: dump.pages_lazy,
        }))
    }
}
