//! What a dump is, in short. Reads names, sizes and a handful of images, however large the dump.

mod card;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::base::report::{Once, Rows};
use crate::base::{Listing, Name, Result};
use crate::checkpoint::Checkpoint;
use crate::checkpoint::inventory::{DumpStats, Inventory};
use crate::checkpoint::namespace::NamespaceKind;
use crate::checkpoint::task::{State, Task};
use crate::image::{Kind, Status};
use crate::object::upgrade::V1Files;
use card::plural;

/// What a dump is.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Info {
    /// Where it is.
    pub path: String,
    /// Of version 2 of the format, what its files say of themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<Container>,
    /// Version of its images as CRIU's sources call it: `v1.1`.
    pub image_version: Option<&'static str>,
    /// Whether it holds memory alone, taken while the tasks ran on.
    pub is_pre_dump: bool,
    /// What it says of itself.
    pub inventory: Option<Inventory>,
    /// Its first task.
    pub root: Option<Root>,
    /// Tasks, zombies included.
    pub tasks: usize,
    /// Threads of all tasks that are not zombies; `None` where the dump does not say, as a pre-dump.
    pub threads: Option<usize>,
    /// Tasks that have ended.
    pub zombies: usize,
    /// Memory.
    pub memory: Memory,
    /// Open files by type.
    pub files: BTreeMap<String, usize>,
    /// Kinds of namespace that the first task does not share with CRIU, and their numbers.
    pub namespaces: BTreeMap<NamespaceKind, u32>,
    /// Kinds of images that not every dump has, and how many there are.
    pub extras: BTreeMap<&'static str, usize>,
    /// How the dump went.
    pub stats: Option<DumpStats>,
    /// Files that are images.
    pub images: usize,
    /// Files that are not.
    pub other_files: usize,
    /// Bytes of all files.
    pub bytes: u64,
    /// What is odd about it.
    pub warnings: Vec<String>,
}

/// What files of version 2 of the format say of themselves.
#[derive(Clone, Debug, Serialize)]
pub struct Container {
    /// The version.
    pub version: u32,
    /// The number that all its images have.
    pub dump: String,
    /// What wrote it.
    pub writer: Option<String>,
    /// Bytes of a page.
    pub page_size: Option<u64>,
    /// Images.
    pub images: usize,
    /// Blocks of pages.
    pub blocks: usize,
}

/// The first task of a dump.
#[derive(Clone, Debug, Serialize)]
pub struct Root {
    /// Its number.
    pub pid: u32,
    /// Its command.
    pub comm: Name,
    /// The program it runs.
    pub exe: Option<Name>,
    /// The machine's architecture.
    pub arch: Option<&'static str>,
    /// Whether it is a 32-bit task on a 64-bit machine.
    pub compat: bool,
}

/// How much memory a dump holds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Memory {
    /// Bytes of the files with pages.
    pub bytes: u64,
    /// Files with pages.
    pub files: usize,
    /// Pagemaps of tasks.
    pub pagemaps: usize,
    /// Pagemaps of shared memory.
    pub shared_pagemaps: usize,
    /// Dumps that this one is an increment of.
    pub parents: usize,
}

/// The kinds of images that say something by being there: the key in JSON, and what one of them is called.
const EXTRAS: &[(Kind, &str, &str)] = &[
    (Kind::GhostFile, "ghost_files", "ghost file"),
    (Kind::TcpStream, "tcp_connections", "TCP connection"),
    (Kind::FileLocks, "file_locks", "file lock"),
    (Kind::SkQueues, "queued_packets", "queued packet"),
    (Kind::PipesData, "pipes_with_data", "pipe with data"),
    (Kind::FifoData, "fifos_with_data", "fifo with data"),
    (Kind::TtyInfo, "terminals", "terminal"),
    (Kind::MemfdInode, "memfds", "memfd"),
    (Kind::IpcnsShm, "sysv_segments", "System V segment"),
    (Kind::IpcnsMsg, "sysv_queues", "System V queue"),
    (Kind::IpcnsSem, "sysv_semaphore_sets", "System V semaphore set"),
    (Kind::BpfmapData, "bpf_maps_with_data", "BPF map with data"),
    (Kind::Mnts, "mounts", "mount"),
    (Kind::TmpfsDev, "tmpfs_contents", "tmpfs content"),
    (Kind::Apparmor, "apparmor_images", "AppArmor image"),
];

/// What a dump is.
///
/// Errors: `out` ends the question. What is broken is a problem, and the rest is told.
pub fn info(dump: &Checkpoint, out: &mut impl Rows<Info>) -> Result<()> {
    let out = &mut Once::new(out);
    let mut info = Info { path: dump.source().name().to_owned(), ..Info::default() };
    count_files(dump, &mut info);
    if let Some(files) = dump.v1_files() {
        info.container = Some(container(files));
        info.warnings.extend(files.bundle_warnings().map(ToString::to_string));
    }
    if let Some(inventory) = out.ok(dump.inventory())? {
        info.image_version = match inventory.img_version {
            1 => Some("v1.0"),
            2 => Some("v1.1"),
            3 => Some("v1.2"),
            _ => None,
        };
        if !matches!(inventory.img_version, 0..=3) {
            info.warnings.push(format!("image version {} is newer than this program", inventory.img_version));
        }
        info.inventory = Some(inventory.clone());
    }
    info.is_pre_dump = dump.is_pre_dump();
    tasks(dump, &mut info, out)?;
    if let Some(census) = out.ok(dump.census())? {
        let by_type = census.by_type.iter();
        info.files = by_type.map(|(file_type, count)| (file_type.to_string().to_lowercase(), *count)).collect();
        out.problems(census.problems)?;
    }
    for &(kind, key, _) in EXTRAS {
        // where one image holds one object, the images count; else their entries
        let mut count = 0usize;
        for image in dump.images_of(kind) {
            count = count.saturating_add(match kind {
                Kind::GhostFile | Kind::TcpStream | Kind::TmpfsDev => 1,
                _ => dump.open_image(image).map_or(0, |image| image.len()),
            });
        }
        if count > 0 {
            info.extras.insert(key, count);
        }
    }
    info.stats = out.ok(dump.dump_stats())?.flatten();
    let mut parent = out.ok(dump.source().parent())?.flatten();
    while let Some(source) = parent {
        info.memory.parents = info.memory.parents.saturating_add(1);
        parent = out.ok(source.parent())?.flatten();
    }
    warn(dump, &mut info);
    out.row(info)
}

fn container(files: &V1Files) -> Container {
    let (head, bundle) = (files.head(), files.container());
    Container {
        version: 2,
        dump: format!("{:016x}", bundle.dump()),
        writer: head.writer.clone(),
        page_size: head.page_size,
        images: bundle.images().count(),
        blocks: bundle.blocks().map_or(0, |blocks| blocks.len()),
    }
}

fn count_files(dump: &Checkpoint, info: &mut Info) {
    let source = dump.source();
    let size = |file: &str| source.size(file).unwrap_or(0);
    info.images = dump.images().len();
    info.other_files = source.files().len().saturating_sub(info.images);
    info.bytes = source.files().iter().map(|file| size(file)).fold(0, u64::saturating_add);
    let pages = dump.images_of(Kind::Pages);
    info.memory.files = pages.len();
    info.memory.bytes = dump.stored_bytes();
    info.memory.pagemaps = dump.images_of(Kind::Pagemap).len();
    info.memory.shared_pagemaps = dump.images_of(Kind::PagemapShmem).len();
}

fn tasks(dump: &Checkpoint, info: &mut Info, out: &mut impl Rows<Info>) -> Result<()> {
    let Some(Listing { items: tasks, problems }) = out.ok(dump.tasks())? else { return Ok(()) };
    out.problems(problems)?;
    info.tasks = tasks.len();
    let mut threads = 0usize;
    for task in &tasks {
        // a task without memory is a zombie, or its image is missing: then its core image tells
        let has_memory =
            dump.images_of(Kind::Mm).binary_search_by_key(&u64::from(task.pid()), |image| image.id).is_ok();
        if !has_memory
            && let Ok(Some(core)) = task.core()
            && core.process.state == State::Zombie
        {
            info.zombies = info.zombies.saturating_add(1);
        } else {
            threads = threads.saturating_add(task.tids().len());
        }
    }
    info.threads = (!info.is_pre_dump).then_some(threads);
    let Some(root) = tasks.iter().find(|task| task.ppid() == 0).or(tasks.first()).filter(|_| !info.is_pre_dump) else {
        return Ok(());
    };
    info.root = Some(describe(root, out)?);
    let namespaces = out.ok(root.ids())?.flatten().map(|ids| ids.namespaces).unwrap_or_default();
    let criu = info.inventory.as_ref().and_then(|inventory| inventory.root_ids.as_ref());
    let is_own = |(kind, id): &(NamespaceKind, u32)| criu.is_none_or(|criu| criu.namespaces.get(kind) != Some(id));
    info.namespaces = namespaces.into_iter().filter(is_own).collect();
    Ok(())
}

fn describe(root: &Task<'_>, out: &mut impl Rows<Info>) -> Result<Root> {
    let core = out.ok(root.core())?.flatten();
    let registers = core.as_ref().and_then(|core| core.leader.registers);
    Ok(Root {
        pid: root.pid(),
        exe: out.ok(root.exe())?.flatten(),
        arch: registers.map(|registers| registers.arch),
        compat: registers.is_some_and(|registers| registers.compat),
        comm: core.map(|core| core.process.comm).unwrap_or_default(),
    })
}

fn warn(dump: &Checkpoint, info: &mut Info) {
    let pagemaps = info.memory.pagemaps.saturating_add(info.memory.shared_pagemaps);
    if info.memory.files < pagemaps {
        let files = plural(info.memory.files, "pages file");
        let text = format!("{} but {files}: some memory is not here", plural(pagemaps, "pagemap"));
        info.warnings.push(text);
    }
    let historic = dump.images().iter().filter(|image| image.kind.row().status == Status::Historic).count();
    if historic > 0 {
        let images = plural(historic, "image");
        info.warnings.push(format!("{images} of kinds that today's CRIU no longer writes"));
    }
    if dump.images().is_empty() {
        info.warnings.push("no images here".to_owned());
    } else if info.tasks == 0 {
        info.warnings.push("no tasks".to_owned());
    }
}
