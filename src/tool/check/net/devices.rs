//! Network devices: numbers, names, masters, the two ends of a pair; and sockets that are bound to devices.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::{Name, Result};
use crate::image::{Image, Kind};
use crate::object::Look;
use crate::tool::check::circles::circles;
use crate::tool::check::findings::Findings;
use crate::tool::check::net::Context;
use crate::tool::check::spot::{self, Spot};
use crate::tool::check::{Finding, Subject};

const VETH: u64 = 2;
const MACVLAN: u64 = 7;
const SIT: u64 = 8;

/// Bytes of the longest name, with the NUL at its end.
const NAME: usize = 16;

/// The devices of one namespace; gives their numbers.
pub(super) fn look(subject: &Subject<'_>, image: &Image, findings: &mut Findings<'_>) -> Result<BTreeSet<u32>> {
    let mut numbers = BTreeSet::new();
    let mut names = BTreeSet::new();
    let mut masters = BTreeMap::new();
    let mut entries = BTreeMap::new();
    spot::each(image, |spot, look, entry| {
        let Some(ifindex) = look.word("ifindex") else { return Ok(()) };
        if !numbers.insert(ifindex) {
            let what = format!("expected each device once, found number {ifindex} again");
            let finding =
                Finding::error("device-twice", what).advice("the kernel makes no second device of that number");
            findings.add(spot.field("ifindex", finding))?;
        }
        let name = look.bytes("name").unwrap_or_default();
        if name.is_empty() || name.len() >= NAME || !names.insert(name) {
            let shown = Name::from(bytes::Bytes::copy_from_slice(name));
            let what = format!("expected a name of its own, of 1 to {} bytes, found \"{shown}\"", NAME - 1);
            let finding = Finding::error("device-name", what).advice("the kernel refuses the name");
            findings.add(spot.field("name", finding))?;
        }
        if let Some(master) = look.word("master") {
            masters.insert(ifindex, master);
            entries.insert(ifindex, entry.index() as u64);
        }
        part(spot, &look, findings)
    })?;
    subject.go_on()?;
    let spot = |ifindex: &u32| Spot::new(image.name(), entries.get(ifindex).copied().unwrap_or(0));
    for (ifindex, master) in masters.iter().filter(|(_, master)| !numbers.contains(master)) {
        let what = format!("expected device {master}, which device {ifindex} belongs to, found none");
        let finding = Finding::error("device-master", what).advice("CRIU refuses to restore the namespace");
        findings.add(spot(ifindex).field("master", finding))?;
    }
    for ifindex in circles(&masters) {
        let what = format!("expected masters that are made before, found device {ifindex} among its own masters");
        let finding = Finding::error("device-master", what).advice("CRIU waits for the master, and gives up");
        findings.add(spot(&ifindex).field("master", finding))?;
    }
    Ok(numbers)
}

/// What a device of its type has.
fn part(spot: Spot<'_>, look: &Look<'_>, findings: &mut Findings<'_>) -> Result<()> {
    let kind = look.number("type").unwrap_or(0);
    let needed = match kind {
        MACVLAN => "macvlan",
        SIT => "sit",
        1..SIT => return Ok(()),
        other => {
            let what = format!("expected a type of device from 1 to {SIT}, found {other}");
            let finding = Finding::error("device-type", what).advice("CRIU 4.3 refuses to restore the namespace");
            return findings.add(spot.field("type", finding));
        }
    };
    if !look.has(needed) {
        let what = format!("expected what belongs to a device of type {kind}, found none");
        let finding = Finding::error("device-type", what).advice("CRIU refuses to restore the device");
        findings.add(spot.field(needed, finding))?;
    }
    Ok(())
}

/// What leads from one namespace to another.
pub(super) fn joined(context: &Context<'_>, findings: &mut Findings<'_>) -> Result<()> {
    let dump = context.subject.dump;
    for name in dump.images_of(Kind::Netdev) {
        let Some(image) = findings.ok("entry", dump.open_image(name))? else { continue };
        spot::each(&image, |spot, look, _| {
            let (Some(VETH), Some(nsid), Some(peer)) =
                (look.number("type"), look.number("peer_nsid"), look.word("peer_ifindex"))
            else {
                return Ok(());
            };
            match context.devices.get(&nsid) {
                Some(devices) if !devices.contains(&peer) => {
                    let what = format!("expected the other end, device {peer} of namespace {nsid}, found none");
                    let advice = "CRIU makes the pair, but nobody gives its other end a name and addresses";
                    findings.add(spot.field("peer_ifindex", Finding::error("device-peer", what).advice(advice)))
                }
                _ => Ok(()),
            }
        })?;
    }
    for name in dump.images_of(Kind::Netns) {
        let Some(image) = findings.ok("entry", dump.open_image(name))? else { continue };
        spot::each(&image, |spot, look, _| {
            let mut seen = BTreeSet::new();
            for (position, nsid) in look.inners("nsids").enumerate() {
                let Some(value) = nsid.signed("netnsid_value") else { continue };
                if !seen.insert(value) {
                    let what = format!("expected each namespace to have a number of its own, found {value} again");
                    let finding = Finding::error("nsid-twice", what).advice("the kernel refuses the second");
                    findings.add(spot.field(&format!("nsids[{position}].netnsid_value"), finding))?;
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// A packet socket may be bound to a device.
pub(super) fn packet(
    context: &Context<'_>,
    _: u32,
    spot: Spot<'_>,
    part: &Look<'_>,
    findings: &mut Findings<'_>,
) -> Result<()> {
    let (Some(ns_id), Some(ifindex)) = (part.number("ns_id"), part.word("ifindex")) else { return Ok(()) };
    match context.devices.get(&ns_id) {
        Some(devices) if ifindex != 0 && !devices.contains(&ifindex) => {
            let what = format!("expected device {ifindex} in namespace {ns_id}, found none");
            let finding = Finding::error("packet-device", what).advice("CRIU cannot bind the socket to it");
            findings.add(spot.field("ifindex", finding))
        }
        _ => Ok(()),
    }
}

/// CRIU joins a netlink socket only to groups that fit one word.
pub(super) fn netlink(
    _: &Context<'_>,
    _: u32,
    spot: Spot<'_>,
    part: &Look<'_>,
    findings: &mut Findings<'_>,
) -> Result<()> {
    let words = part.numbers("groups").count();
    if words > 1 && part.number("portid").is_some_and(|port| port != 0) {
        let what = format!("expected groups in one word, found {words} words");
        let finding = Finding::error("netlink-groups", what).advice("CRIU 4.3 refuses groups above 32");
        findings.add(spot.field("groups", finding))?;
    }
    Ok(())
}
