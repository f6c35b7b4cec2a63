//! Files that exist in the kernel alone: namespaces, tun devices, timers, BPF maps.

use std::collections::{HashMap, HashSet};

use crate::base::{Name, Result};
use crate::checkpoint::file::FileType;
use crate::image::Kind;
use crate::tool::check::files::{Context, File};
use crate::tool::check::findings::Findings;
use crate::tool::check::{Finding, Subject, spot};

/// Flags of clone for each kind of namespace, by its name in `/proc/PID/ns`.
const FLAGS: [(u64, &str); 8] = [
    (0x80, "time"),
    (0x2_0000, "mnt"),
    (0x200_0000, "cgroup"),
    (0x400_0000, "uts"),
    (0x800_0000, "ipc"),
    (0x1000_0000, "user"),
    (0x2000_0000, "pid"),
    (0x4000_0000, "net"),
];

/// Clocks that a timer may have.
const CLOCKS: [u64; 5] = [0, 1, 7, 8, 9];

const SECOND: u64 = 1_000_000_000;

/// Names of the tun devices of each network namespace.
#[derive(Debug, Default)]
pub(super) struct Networks(HashMap<u64, HashSet<Vec<u8>>>);

impl Networks {
    pub(super) fn read(subject: &Subject<'_>, findings: &mut Findings<'_>) -> Result<Self> {
        let mut networks = HashMap::new();
        for name in subject.dump.images_of(Kind::Netdev) {
            let Some(image) = findings.ok("entry", subject.dump.open_image(name))? else { continue };
            let mut tuns = HashSet::new();
            spot::each(&image, |_, look, _| {
                tuns.extend(look.bytes("name").filter(|_| look.has("tun")).map(<[u8]>::to_vec));
                Ok(())
            })?;
            networks.insert(name.id, tuns);
        }
        Ok(Self(networks))
    }
}

pub(super) fn namespace(file: &File<'_>, findings: &mut Findings<'_>) -> Result<()> {
    let (Some(ns_id), Some(flag)) = (file.part.word("ns_id"), file.part.number("ns_cflag")) else { return Ok(()) };
    // that there is no such namespace is told where references are looked at
    let context = file.context;
    let is_net = context.subject.dump.has(Kind::Netns, u64::from(ns_id)).then_some("net");
    let Some(kind) = context.tables.namespaces.get(&ns_id).copied().or(is_net) else { return Ok(()) };
    let said = FLAGS.iter().find(|(known, _)| *known == flag).map(|(_, name)| *name);
    if said != Some(kind) {
        let said = said.map_or_else(|| format!("{flag:#x}"), |said| format!("that of a {said} namespace"));
        let what = format!("expected the flag of a {kind} namespace, which {ns_id} is, found {said}");
        let finding = Finding::error("ns-file-kind", what).advice("CRIU refuses to restore it");
        findings.add(file.spot.field("ns_cflag", finding))?;
    }
    Ok(())
}

/// A descriptor of a tun device is opened by its path, and leads to a device of its namespace.
pub(super) fn tun(file: &File<'_>, findings: &mut Findings<'_>) -> Result<()> {
    if !file.context.roll.has(FileType::REG, file.id) {
        let what = format!("expected the path of the device in a file of the same number, {}, found none", file.id);
        findings.add(file.spot.mark(Finding::error("path-file", what).advice("CRIU refuses the dump")))?;
    }
    let (Some(netdev), Some(ns_id)) = (file.part.bytes("netdev"), file.part.word("ns_id")) else { return Ok(()) };
    if file.context.networks.0.get(&u64::from(ns_id)).is_some_and(|tuns| !tuns.contains(netdev)) {
        let name = Name::from(bytes::Bytes::copy_from_slice(netdev));
        let what = format!("expected a tun device {name} in network namespace {ns_id}, found none");
        let finding = Finding::error("tun-device", what).advice("CRIU refuses to restore it");
        findings.add(file.spot.field("netdev", finding))?;
    }
    Ok(())
}

pub(super) fn timer(file: &File<'_>, findings: &mut Findings<'_>) -> Result<()> {
    if let Some(clock) = file.part.number("clockid").filter(|clock| !CLOCKS.contains(clock)) {
        let what = format!("expected a clock that timers have, one of {CLOCKS:?}, found {clock}");
        let finding = Finding::error("timer-clock", what).advice("the kernel makes no such timer");
        findings.add(file.spot.field("clockid", finding))?;
    }
    for field in ["vnsec", "insec"] {
        if let Some(value) = file.part.number(field).filter(|value| *value >= SECOND) {
            let what = format!("expected less than a second in nanoseconds, found {value}");
            let finding = Finding::error("timer-value", what).advice("the kernel refuses to set the timer");
            findings.add(file.spot.field(field, finding))?;
        }
    }
    Ok(())
}

pub(super) fn bpf_map(file: &File<'_>, findings: &mut Findings<'_>) -> Result<()> {
    let kind = file.part.number("map_type").unwrap_or(1);
    if !matches!(kind, 1 | 2) {
        let what = format!("expected a map of type 1 (hash) or 2 (array), found {kind}");
        let finding = Finding::error("bpf-type", what).advice("CRIU stores the content of no other map");
        findings.add(file.spot.field("map_type", finding))?;
    }
    Ok(())
}

/// What is in BPF maps: as many bytes as keys and values take.
pub(super) fn bpf_data(context: &Context<'_>, findings: &mut Findings<'_>) -> Result<()> {
    let dump = context.subject.dump;
    let Some(data) = spot::image(dump, Kind::BpfmapData, 0, findings)? else { return Ok(()) };
    let mut maps: HashMap<u32, [u64; 3]> = HashMap::new();
    for images in &dump.file_images().unwrap_or_default() {
        spot::each(&images.image, |_, look, _| {
            if let Some((FileType(19), _, Some((_, map)))) = images.part(look)
                && let Some(id) = map.word("map_id")
            {
                let sizes = ["key_size", "value_size", "max_entries"].map(|field| map.number(field).unwrap_or(0));
                maps.insert(id, sizes);
            }
            Ok(())
        })?;
    }
    spot::each(&data, |spot, look, _| {
        // that there is no such map is told where references are looked at
        let Some([key, value, most]) = look.word("map_id").and_then(|id| maps.get(&id)) else { return Ok(()) };
        let count = look.number("count").unwrap_or(0);
        for (field, size) in [("keys_bytes", key), ("values_bytes", value)] {
            let found = look.number(field).unwrap_or(0);
            // a product of 32 bits, as CRIU has it
            let needed = size.wrapping_mul(count) & u64::from(u32::MAX);
            if found != needed {
                let what = format!("expected {count} times {size} bytes, found {found}");
                let advice = "CRIU reads beyond what is there, or fills the map with something else";
                findings.add(spot.field(field, Finding::error("bpf-data", what).advice(advice)))?;
            }
        }
        if count > *most {
            let what = format!("expected at most {most} entries, which the map has room for, found {count}");
            let finding = Finding::error("bpf-data", what).advice("the kernel refuses what does not fit");
            findings.add(spot.field("count", finding))?;
        }
        Ok(())
    })
}
