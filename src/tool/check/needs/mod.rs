//! What restoring this checkpoint needs: which CRIU, which machine, which options.

mod gates;
mod here;
mod joined;
mod kinds;
mod need;
mod since;
mod table;
mod walk;

pub use need::{Need, NeedKind};

use crate::base::Result;
use crate::tool::check::findings::Findings;
use crate::tool::check::{Checked, Subject};
use joined::Pagemaps;
use table::Gives;
use walk::{Hit, Watch};

pub(super) fn look(subject: &Subject<'_>, findings: &mut Findings<'_>, checked: &mut Checked) -> Result<()> {
    gates::look(subject, findings)?;
    let rows = table::rows();
    let hits = Watch::new(&rows).look(subject)?;
    let mut versions = Vec::new();
    let mut needs = Vec::new();
    for (number, texts) in hits.0 {
        let Some(row) = rows.get(number) else { continue };
        for (text, hit) in texts {
            match row.gives {
                Gives::Since(version, is_refused) => {
                    let why = format!("{} came with it", row.field);
                    let need = Need::new(NeedKind::Criu, "", is_refused, why);
                    versions.push((version, is_refused, placed(need, &hit, subject)));
                }
                Gives::Need { kind, name, must, why, shown_at } => {
                    let mut need = Need::new(kind, name, must, why);
                    need.shown_at = Some(shown_at).filter(|path| !path.is_empty());
                    needs.push(placed(need, &hit, subject));
                }
                Gives::Named { kind, name, must, why, .. } => {
                    let name = name.replace("{}", &text);
                    needs.push(placed(Need::new(kind, name, must, why), &hit, subject));
                }
            }
        }
    }
    needs.extend(kinds::needs(subject, &mut versions)?);
    needs.extend(joined::needs(subject)?);
    pagemaps(subject, &mut versions, &mut needs);
    image_version(subject, &mut versions, &mut needs);
    needs.extend(least(versions));
    checked.needs = merged(needs);
    if subject.options.here {
        here::Here::new().compare(&mut checked.needs, findings)?;
    }
    Ok(())
}

fn placed(mut need: Need, hit: &Hit, subject: &Subject<'_>) -> Need {
    need.times = hit.times;
    if let Some(place) = &hit.first {
        need.image = subject.dump.images().get(place.image).map(|image| image.file.clone());
        need.entry = Some(place.entry);
        need.field = Some(place.field.clone());
    }
    need
}

/// A version of CRIU, as a hundredfold; whether older ones refuse the dump; why.
type Version = (u32, bool, Need);

/// CRIU that reads compressed pages.
const COMPRESSED: u32 = 403;

fn pagemaps(subject: &Subject<'_>, versions: &mut Vec<Version>, needs: &mut Vec<Need>) {
    let pagemaps = Pagemaps::look(subject);
    let in_image = |need: Need, (times, image): (u64, Option<usize>)| {
        let need = need.times(times);
        match image.and_then(|image| subject.dump.images().get(image)) {
            Some(image) => need.in_image(&image.file),
            None => need,
        }
    };
    if pagemaps.lazy.0 > 0 {
        let why = "pages were left to a server of pages, and are not in the dump";
        let need = Need::new(NeedKind::Option, "--lazy-pages", true, why);
        needs.push(in_image(need, pagemaps.lazy));
        let mut need = Need::new(NeedKind::Kernel, "userfaultfd", true, why);
        need.shown_at = Some("/proc/sys/vm/unprivileged_userfaultfd");
        needs.push(in_image(need, pagemaps.lazy));
    }
    if pagemaps.wide.0 > 0 {
        let why = "older ones read that there are no pages (nr_pages)";
        versions.push((402, true, in_image(Need::new(NeedKind::Criu, "", true, why), pagemaps.wide)));
    }
    if pagemaps.blocks.0 > 0 {
        let need = Need::new(NeedKind::Criu, "built with LZ4", true, "pages are compressed");
        needs.push(in_image(need.clone(), pagemaps.blocks));
        versions.push((COMPRESSED, true, in_image(need, pagemaps.blocks)));
    }
}

fn image_version(subject: &Subject<'_>, versions: &mut Vec<Version>, needs: &mut Vec<Need>) {
    let Ok(inventory) = subject.dump.inventory() else { return };
    let version = match inventory.img_version {
        2 => 106,
        3 => COMPRESSED,
        _ => return,
    };
    let why = format!("image version {}", inventory.img_version);
    let mut need = Need::new(NeedKind::Criu, "", true, why).in_image("inventory.img");
    (need.entry, need.field) = (Some(0), Some("img_version".to_owned()));
    if version == COMPRESSED {
        // refused without, whether or not pages are compressed
        needs.push(Need { name: "built with LZ4".to_owned(), ..need.clone() });
    }
    versions.push((version, true, need));
}

/// The least version that restores it at all, and the least that leaves nothing out where that is another.
fn least(versions: Vec<Version>) -> Vec<Need> {
    let highest = |is_refused: bool| {
        let of = versions.iter().filter(|(_, refused, _)| *refused == is_refused);
        // of several fields of one version the first
        of.rev().max_by_key(|(version, ..)| *version).cloned()
    };
    let (refused, left_out) = (highest(true), highest(false));
    let left_out = left_out.filter(|(version, ..)| refused.as_ref().is_none_or(|(refused, ..)| version > refused));
    let named = |(version, _, mut need): Version| {
        need.name = format!("{}.{}", version / 100, version % 100);
        need
    };
    [refused, left_out].into_iter().flatten().map(named).collect()
}

/// Each need once, by sort and name, with the first reason.
fn merged(mut needs: Vec<Need>) -> Vec<Need> {
    needs.sort_by(|a, b| (a.kind, !a.must, &a.name).cmp(&(b.kind, !b.must, &b.name)));
    let mut kept: Vec<Need> = Vec::new();
    for need in needs {
        match kept.iter_mut().find(|known| (known.kind, &known.name) == (need.kind, &need.name)) {
            Some(known) => {
                known.times = known.times.saturating_add(need.times);
                known.must |= need.must;
            }
            None => kept.push(need),
        }
    }
    kept
}
