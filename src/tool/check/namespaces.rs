//! Namespaces: the images that each needs which is not CRIU's own, and images of nobody.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::Result;
use crate::checkpoint::namespace::{Ids, NamespaceKind};
use crate::checkpoint::task::Task;
use crate::image::Kind;
use crate::tool::check::findings::Findings;
use crate::tool::check::spot::{self, Spot};
use crate::tool::check::{Checked, Finding, Subject};

/// The image that a namespace of each kind has, and the field with its number. Without it CRIU refuses to restore.
const NEEDED: &[(NamespaceKind, Kind, &str)] = &[
    (NamespaceKind::Uts, Kind::Utsns, "uts_ns_id"),
    (NamespaceKind::Ipc, Kind::IpcVar, "ipc_ns_id"),
    (NamespaceKind::Mnt, Kind::Mnts, "mnt_ns_id"),
    (NamespaceKind::User, Kind::Userns, "user_ns_id"),
    (NamespaceKind::Time, Kind::Timens, "time_ns_id"),
];

/// The images of each kind of namespace.
const IMAGES: &[(NamespaceKind, &[Kind])] = &[
    (NamespaceKind::Uts, &[Kind::Utsns]),
    (NamespaceKind::Ipc, &[Kind::IpcVar, Kind::IpcnsShm, Kind::IpcnsMsg, Kind::IpcnsSem]),
    (NamespaceKind::Mnt, &[Kind::Mnts]),
    (NamespaceKind::User, &[Kind::Userns]),
    (NamespaceKind::Net, &[Kind::Netns, Kind::Netdev, Kind::Ifaddr, Kind::Route, Kind::Route6, Kind::Rule]),
    (NamespaceKind::Net, &[Kind::Iptables, Kind::Ip6tables, Kind::Nftables, Kind::NetnfCt, Kind::NetnfExp]),
    (NamespaceKind::Time, &[Kind::Timens]),
    (NamespaceKind::Pid, &[Kind::Pidns]),
];

/// A kind that tasks below the first may have of their own, since others are restored for the first task only.
const NESTED: [NamespaceKind; 2] = [NamespaceKind::Mnt, NamespaceKind::Net];

pub(super) fn look(subject: &Subject<'_>, findings: &mut Findings<'_>, _: &mut Checked) -> Result<()> {
    let dump = subject.dump;
    // before v1.4 images of namespaces had the number of a task
    let (Ok(tasks), Ok(inventory)) = (dump.tasks(), dump.inventory()) else { return Ok(()) };
    if !inventory.ns_per_id || tasks.is_empty() {
        return Ok(());
    }
    let Some(criu) = &inventory.root_ids else { return Ok(()) };
    // each namespace, and the first task that is in it
    let mut found: BTreeMap<(NamespaceKind, u32), u32> = BTreeMap::new();
    let mut first: Option<Ids> = None;
    for task in &tasks {
        let Ok(Some(ids)) = task.ids() else { continue };
        for (kind, id) in &ids.namespaces {
            found.entry((*kind, *id)).or_insert(task.pid());
        }
        match &first {
            Some(first) => nested(task, &ids, first, criu, findings)?,
            None => first = Some(ids),
        }
    }
    for ((kind, id), pid) in &found {
        if *kind == NamespaceKind::Net && criu.namespaces.get(kind).is_some_and(|own| own != id) {
            network(subject, *id, *pid, findings)?;
        }
        let Some((_, image, field)) = NEEDED.iter().find(|(needs, ..)| needs == kind) else { continue };
        if criu.namespaces.get(kind) == Some(id) || dump.has(*image, u64::from(*id)) {
            continue;
        }
        // kinds that the dumping CRIU did not know of itself
        if !criu.namespaces.contains_key(kind) {
            continue;
        }
        let name = image.file_name(u64::from(*id)).unwrap_or_default();
        let what =
            format!("expected {kind} namespace {id} of task {pid} in {name}, found no such image", kind = kind.name());
        let advice = "without it the namespace cannot be made as it was";
        let ids = Kind::Ids.file_name(u64::from(*pid)).unwrap_or_default();
        let finding = Finding::error("namespace-missing", what).advice(advice);
        findings.add(Spot::new(&ids, 0).field(field, finding))?;
    }
    unused(subject, &found, findings)
}

/// Only mount and network namespaces may be different below the first task.
fn nested(task: &Task<'_>, ids: &Ids, first: &Ids, criu: &Ids, findings: &mut Findings<'_>) -> Result<()> {
    for (kind, id) in &ids.namespaces {
        let Some(own) = first.namespaces.get(kind).filter(|own| *own != id) else { continue };
        let is_made = criu.namespaces.get(kind) != Some(own);
        if NESTED.contains(kind) && is_made {
            continue;
        }
        let name = Kind::Ids.file_name(u64::from(task.pid())).unwrap_or_default();
        let what = format!("expected the first task's {} namespace, {own}, found {id}", kind.name());
        let finding = Finding::error("namespace-nested", what).advice("CRIU refuses tasks in other namespaces");
        findings.add(Spot::new(&name, 0).mark(finding))?;
    }
    Ok(())
}

/// What a network namespace has unless it was dumped empty or comes from outside. (What iptables, nftables and connection
/// tracking say depends on the machine.)
const NETWORK: [Kind; 6] = [Kind::Netns, Kind::Netdev, Kind::Ifaddr, Kind::Route, Kind::Route6, Kind::Rule];

/// A network namespace has all of its images or, dumped with --empty-ns, none.
fn network(subject: &Subject<'_>, id: u32, pid: u32, findings: &mut Findings<'_>) -> Result<()> {
    let dump = subject.dump;
    let ids = Kind::Ids.file_name(u64::from(pid)).unwrap_or_default();
    let spot = Spot::new(&ids, 0);
    let kinds = IMAGES.iter().filter(|(kind, _)| *kind == NamespaceKind::Net).flat_map(|(_, images)| *images);
    if !kinds.into_iter().any(|kind| dump.has(*kind, u64::from(id))) {
        let what = format!("network namespace {id} of task {pid} has no images: it is restored without devices");
        let finding = Finding::note("namespace-empty", what).advice("right if it was dumped with --empty-ns net");
        return findings.add(spot.field("net_ns_id", finding));
    }
    let mut is_outside = false;
    if let Some(image) = spot::image(dump, Kind::Netns, u64::from(id), findings)? {
        spot::each(&image, |_, look, _| {
            is_outside |= look.has("ext_key");
            Ok(())
        })?;
    }
    for kind in NETWORK.iter().filter(|kind| !dump.has(**kind, u64::from(id)) && !is_outside) {
        let name = kind.file_name(u64::from(id)).unwrap_or_default();
        let what = format!("expected network namespace {id} of task {pid} in {name}, found no such image");
        let advice = "CRIU restores the namespace without what it says: settings, devices, addresses or routes";
        findings.add(spot.field("net_ns_id", Finding::error("namespace-missing", what).advice(advice)))?;
    }
    Ok(())
}

/// Images of namespaces that no task and no file leads to.
fn unused(
    subject: &Subject<'_>,
    found: &BTreeMap<(NamespaceKind, u32), u32>,
    findings: &mut Findings<'_>,
) -> Result<()> {
    let mut named: BTreeSet<u64> = BTreeSet::new();
    for name in subject.dump.images_of(Kind::Netns) {
        let Some(image) = findings.ok("entry", subject.dump.open_image(name))? else { continue };
        spot::each(&image, |_, look, _| {
            named.extend(look.inners("nsids").filter_map(|nsid| nsid.number("target_ns_id")));
            Ok(())
        })?;
    }
    for images in subject.dump.file_images().unwrap_or_default() {
        subject.go_on()?;
        spot::each(&images.image, |_, look, _| {
            if let Some((_, _, Some((part_name, part)))) = images.part(look)
                && ["nsf", "isk", "usk", "nlsk", "psk", "tunf"].contains(&part_name)
            {
                named.extend(part.number("ns_id"));
            }
            Ok(())
        })?;
    }
    for (kind, images) in IMAGES {
        for name in images.iter().flat_map(|image| subject.dump.images_of(*image)) {
            let id = u32::try_from(name.id).unwrap_or(u32::MAX);
            // what CRIU's own clocks said has number 0
            if found.contains_key(&(*kind, id)) || named.contains(&name.id) || (*kind, id) == (NamespaceKind::Time, 0) {
                continue;
            }
            let what = format!("expected a task in {} namespace {id}, found none", kind.name());
            let advice = "CRIU passes over it: either it is left over, or a task is lost";
            findings.add(Finding::warning("namespace-unused", what).in_image(name.file.clone()).advice(advice))?;
        }
    }
    Ok(())
}
