//! What only several images together tell: sessions, terminals, connections, namespaces, memory that is elsewhere.

use std::collections::HashSet;

use rayon::prelude::*;

use crate::base::Result;
use crate::checkpoint::ImageName;
use crate::checkpoint::file::What;
use crate::checkpoint::namespace::NamespaceKind;
use crate::checkpoint::tty::Tty;
use crate::image::Kind;
use crate::memory::pagemap::{PE_LAZY, PE_PRESENT, Pagemap};
use crate::tool::check::Subject;
use crate::tool::check::needs::need::{Need, NeedKind};

pub(super) fn needs(subject: &Subject<'_>) -> Result<Vec<Need>> {
    let mut needs = Vec::new();
    session(subject, &mut needs);
    terminals(subject, &mut needs);
    connections(subject, &mut needs);
    namespaces(subject, &mut needs);
    let size = subject.dump.images_of(Kind::Mm).first().map(|image| (image.file.clone(), subject.dump.page_size()));
    if let Some((image, size)) = size {
        let why = "memory was cut into such pages";
        needs.push(Need::new(NeedKind::Machine, format!("pages of {size} bytes"), true, why).in_image(image));
    }
    Ok(needs)
}

/// The root of what was dumped belongs to a session that somebody outside leads.
fn session(subject: &Subject<'_>, needs: &mut Vec<Need>) {
    // an image that is broken is told elsewhere
    let Ok(tasks) = subject.dump.tasks() else { return };
    let pids: HashSet<u32> = tasks.items.iter().map(|task| task.pid()).collect();
    // below the root, a leader that is not there has ended, and CRIU makes the session without it
    let root = tasks.items.iter().find(|task| task.ppid() == 0 && task.is_known());
    if let Some(task) = root.filter(|task| !pids.contains(&task.sid())) {
        let why = format!("task {} is of session {}, whose leader is outside of the dump", task.pid(), task.sid());
        needs.push(Need::new(NeedKind::Option, "--shell-job", true, why).in_image("pstree.img"));
    }
    if !tasks.items.is_empty() {
        let why = "tasks get the numbers that they had";
        needs.push(Need::new(NeedKind::Privilege, "root or CAP_CHECKPOINT_RESTORE", true, why).in_image("pstree.img"));
    }
}

/// Terminals that somebody outside shows, and those of the old form.
fn terminals(subject: &Subject<'_>, needs: &mut Vec<Need>) {
    if subject.dump.images_of(Kind::TtyInfo).is_empty() {
        return;
    }
    let (Ok(files), Ok(tasks)) = (subject.dump.files(), subject.dump.tasks()) else { return };
    let pids: HashSet<u32> = tasks.items.iter().map(|task| task.pid()).collect();
    let ttys = || files.iter().filter_map(|file| if let What::Tty(tty) = &file.what { Some(tty) } else { None });
    let mut add = |found: Vec<&Tty>, name: &str, image: &str, why: &dyn Fn(&Tty) -> String| {
        if let Some(tty) = found.first() {
            let need = Need::new(NeedKind::Option, name, true, why(tty)).in_image(image);
            needs.push(need.times(found.len() as u64));
        }
    };
    let masters: HashSet<u32> = ttys().filter(|tty| tty.is_master).filter_map(|tty| tty.index).collect();
    // without a session nobody was left on the other side; CRIU restores that
    let is_orphan = |tty: &&Tty| {
        let has_master = tty.is_master || tty.index.is_none_or(|index| masters.contains(&index));
        tty.kind.as_deref() == Some("pty") && !has_master && tty.sid != 0 && !pids.contains(&tty.sid)
    };
    add(ttys().filter(is_orphan).collect(), "--shell-job", "tty-info.img", &|tty| {
        format!("whoever shows the terminal {tty} is outside of the dump")
    });
    let is_old = |tty: &&Tty| tty.regf_id.is_none() && tty.kind.as_deref() != Some("ext");
    add(ttys().filter(is_old).collect(), "--deprecated", "files.img", &|tty| {
        format!("the terminal {tty} has no file with its path, an old form")
    });
}

fn connections(subject: &Subject<'_>, needs: &mut Vec<Need>) {
    let streams = subject.dump.images_of(Kind::TcpStream);
    let Some(first) = streams.first() else { return };
    let times = streams.len() as u64;
    let is_closed = subject.dump.inventory().is_ok_and(|inventory| inventory.tcp_close);
    if !is_closed {
        let why = "TCP connections were open; --tcp-close drops them instead";
        let need = Need::new(NeedKind::Option, "--tcp-established", true, why);
        needs.push(need.in_image(&first.file).times(times));
    }
    let why = "the state of TCP connections is set";
    needs.push(Need::new(NeedKind::Privilege, "CAP_NET_ADMIN", true, why).in_image(&first.file).times(times));
}

fn namespaces(subject: &Subject<'_>, needs: &mut Vec<Need>) {
    let Ok(listing) = subject.dump.namespaces() else { return };
    let mut is_first = true;
    for namespace in listing.items.iter().filter(|namespace| !namespace.is_criu) {
        // without the inventory nobody knows which of them are the dump's own
        let images = match namespace.kind {
            NamespaceKind::Cgroup | NamespaceKind::Time | NamespaceKind::User | NamespaceKind::Pid => None,
            NamespaceKind::Net => Some(Kind::Netns),
            NamespaceKind::Ipc => Some(Kind::IpcVar),
            NamespaceKind::Uts => Some(Kind::Utsns),
            NamespaceKind::Mnt => Some(Kind::Mnts),
        };
        let id = u64::from(namespace.id);
        let image = images.and_then(|kind| subject.dump.images_of(kind).iter().find(|image| image.id == id));
        let named = |need: Need| match image {
            Some(image) => need.in_image(&image.file),
            None => need,
        };
        let why = format!("tasks live in a {} namespace of their own", namespace.kind.name());
        let mut need = Need::new(NeedKind::Kernel, format!("{} namespaces", namespace.kind.name()), true, why.clone());
        need.shown_at = Some(match namespace.kind {
            NamespaceKind::Pid => "/proc/self/ns/pid",
            NamespaceKind::Net => "/proc/self/ns/net",
            NamespaceKind::Ipc => "/proc/self/ns/ipc",
            NamespaceKind::Uts => "/proc/self/ns/uts",
            NamespaceKind::Mnt => "/proc/self/ns/mnt",
            NamespaceKind::User => "/proc/self/ns/user",
            NamespaceKind::Cgroup => "/proc/self/ns/cgroup",
            NamespaceKind::Time => "/proc/self/ns/time",
        });
        needs.push(named(need));
        if std::mem::take(&mut is_first) {
            needs.push(named(Need::new(NeedKind::Privilege, "CAP_SYS_ADMIN", true, why)));
        }
        // --empty-ns net leaves the namespace's images out but the one that says that it is there
        let is_empty = namespace.kind == NamespaceKind::Net
            && image.is_some()
            && !subject.dump.images_of(Kind::Netdev).iter().any(|image| image.id == id);
        if is_empty {
            let why = "it was dumped so: the network namespace has no devices";
            needs.push(named(Need::new(NeedKind::Option, "--empty-ns net", true, why)));
        }
    }
}

/// What pagemaps say.
#[derive(Clone, Copy, Default)]
pub(super) struct Pagemaps {
    /// Entries that were left to a server of pages.
    pub(super) lazy: (u64, Option<usize>),
    /// Entries with as many pages as fit 64 bits, which CRIU before 4.2 does not see.
    pub(super) wide: (u64, Option<usize>),
    /// Entries of blocks.
    pub(super) blocks: (u64, Option<usize>),
}

impl Pagemaps {
    fn join(self, other: Self) -> Self {
        let join = |a: (u64, Option<usize>), b: (u64, Option<usize>)| {
            (a.0.saturating_add(b.0), [a.1, b.1].into_iter().flatten().min())
        };
        Self {
            lazy: join(self.lazy, other.lazy),
            wide: join(self.wide, other.wide),
            blocks: join(self.blocks, other.blocks),
        }
    }

    /// Looks at all pagemaps.
    pub(super) fn look(subject: &Subject<'_>) -> Self {
        let images: Vec<(usize, &ImageName)> = subject.dump.images().iter().enumerate().collect();
        let pagemaps = images.par_iter().filter(|(_, name)| matches!(name.kind, Kind::Pagemap | Kind::PagemapShmem));
        pagemaps.map(|(number, name)| Self::one(subject, *number, name)).reduce(Self::default, Self::join)
    }

    fn one(subject: &Subject<'_>, number: usize, name: &ImageName) -> Self {
        let (mut lazy, mut wide, mut blocks) = (0u64, 0u64, 0u64);
        if let Ok(image) = subject.dump.open_image(name)
            && let Ok(pagemap) = Pagemap::open(&image)
        {
            for entry in pagemap.iter().map_while(|entry| entry.ok()) {
                lazy = lazy.saturating_add(u64::from(entry.pe_flags() & (PE_LAZY | PE_PRESENT) == PE_LAZY));
                wide = wide.saturating_add(u64::from(entry.nr_pages.is_some() && entry.compat_nr_pages == 0));
                blocks = blocks.saturating_add(u64::from(entry.blocks.is_some()));
            }
        }
        let seen = |count: u64| (count, (count > 0).then_some(number));
        Self { lazy: seen(lazy), wide: seen(wide), blocks: seen(blocks) }
    }
}
