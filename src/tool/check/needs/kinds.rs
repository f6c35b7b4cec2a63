//! What images need by being there.

use crate::base::Result;
use crate::image::Kind;
use crate::tool::check::Subject;
use crate::tool::check::needs::need::{Need, NeedKind};

/// Versions of CRIU that came with an image's kind, as a hundredfold; whether older ones refuse the dump without.
const SINCE: &[(Kind, u32, bool)] = &[
    (Kind::Files, 304, true),
    (Kind::Nftables, 314, false),
    (Kind::MemfdInode, 314, true),
    (Kind::Timens, 314, false),
    (Kind::BpfmapData, 315, true),
    (Kind::Pidns, 315, true),
    (Kind::Apparmor, 316, false),
];

/// Kinds that CRIU reads only if told to.
const DEPRECATED: &[Kind] =
    &[Kind::Rlimit, Kind::Itimers, Kind::PosixTimers, Kind::EventpollTfd, Kind::InotifyWd, Kind::FanotifyMark];

/// What a kind needs; files of at most so many bytes say nothing.
const NEEDS: &[(Kind, u64, NeedKind, &str, bool, &str)] = &[
    (Kind::FileLocks, 8, NeedKind::Option, "--file-locks", false, "tasks held locks on files"),
    (Kind::Cgroup, 8, NeedKind::Kernel, "control groups", true, "tasks were in groups of their own"),
    (Kind::Userns, 8, NeedKind::Kernel, "user namespaces", true, "the dump has its own"),
    (Kind::Autofs, 8, NeedKind::Kernel, "autofs", true, "such a file system was mounted"),
    (Kind::IpcnsShm, 8, NeedKind::Kernel, "System V shared memory", true, "the dump has segments"),
    (Kind::IpcnsMsg, 8, NeedKind::Kernel, "System V message queues", true, "the dump has some"),
    (Kind::IpcnsSem, 8, NeedKind::Kernel, "System V semaphores", true, "the dump has some"),
    (Kind::NetnfCt, 0, NeedKind::Kernel, "connection tracking", true, "the dump has its table"),
    (Kind::NetnfExp, 0, NeedKind::Kernel, "connection tracking", true, "the dump has its table"),
    (Kind::Ifaddr, 4, NeedKind::Program, "ip", true, "it restores addresses and routes"),
    (Kind::Route, 4, NeedKind::Program, "ip", true, "it restores addresses and routes"),
    (Kind::Route6, 4, NeedKind::Program, "ip", true, "it restores addresses and routes"),
    (Kind::Rule, 4, NeedKind::Program, "ip", true, "it restores addresses and routes"),
    (Kind::Iptables, 0, NeedKind::Program, "iptables-restore", true, "the dump has rules of netfilter"),
    (Kind::Ip6tables, 0, NeedKind::Program, "ip6tables-restore", true, "the dump has rules of netfilter"),
    (Kind::Nftables, 0, NeedKind::Criu, "built with nftables", true, "the dump has rules of nftables"),
    (Kind::TmpfsDev, 0, NeedKind::Program, "tar", true, "it restores what was in a tmpfs"),
    (Kind::TmpfsImg, 0, NeedKind::Program, "tar", true, "it restores what was in a tmpfs"),
    (Kind::AmdgpuKfd, 0, NeedKind::Plugin, "amdgpu", true, "the dump has memory of a GPU"),
    (Kind::AmdgpuRender, 0, NeedKind::Plugin, "amdgpu", true, "the dump has memory of a GPU"),
];

/// The first image of a kind that is larger than nothing, and how many of them there are.
fn first(subject: &Subject<'_>, kind: Kind, empty: u64) -> Option<(String, u64)> {
    let source = subject.dump.source();
    let images = subject.dump.images_of(kind).iter();
    let mut told = images.filter(|image| source.size(&image.file).is_ok_and(|size| size > empty));
    let first = told.next()?.file.clone();
    Some((first, (told.count() as u64).saturating_add(1)))
}

pub(super) fn needs(subject: &Subject<'_>, versions: &mut Vec<(u32, bool, Need)>) -> Result<Vec<Need>> {
    let mut needs = Vec::new();
    for (kind, since, is_refused) in SINCE {
        if let Some((image, times)) = first(subject, *kind, 8) {
            let why = format!("{} images came with it", kind.name());
            let need = Need::new(NeedKind::Criu, "", *is_refused, why).in_image(image).times(times);
            versions.push((*since, *is_refused, need));
        }
    }
    for kind in DEPRECATED {
        if let Some((image, times)) = first(subject, *kind, 8) {
            let why = format!("{} images are an old form", kind.name());
            needs.push(Need::new(NeedKind::Option, "--deprecated", true, why).in_image(image).times(times));
        }
    }
    for (kind, empty, sort, name, must, why) in NEEDS {
        if let Some((image, times)) = first(subject, *kind, *empty) {
            needs.push(Need::new(*sort, *name, *must, *why).in_image(image).times(times));
        }
    }
    Ok(needs)
}
