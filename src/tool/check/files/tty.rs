//! Terminals: what is known of one has to fit its kind, and pseudo-terminals come in pairs.

use std::collections::BTreeMap;

use crate::base::Result;
use crate::checkpoint::device::Device;
use crate::checkpoint::file::FileType;
use crate::image::Kind;
use crate::object::Look;
use crate::tool::check::Finding;
use crate::tool::check::files::Context;
use crate::tool::check::findings::Findings;
use crate::tool::check::spot::{self, Spot};

/// The type of a file that is a terminal.
const TTY: i32 = 11;

const PTY: u64 = 1;
const EXTERNAL: u64 = 5;
const LAST_TYPE: u64 = 6;

/// So many characters of control the terminal's settings have at least.
const CONTROLS: usize = 19;

/// CRIU has room for so many numbers of pseudo-terminals, two for each.
const NUMBERS: u32 = 1088 * 2;

/// What drives a terminal, as CRIU tells by its device.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Driver {
    Master,
    Slave,
    Other,
}

impl Driver {
    fn of(rdev: Device) -> Option<Self> {
        Some(match (rdev.major, rdev.minor) {
            (5, 2) | (128..=135, _) => Self::Master,
            (136, _) => Self::Slave,
            (5, 0 | 1) | (4, 1..=63) | (188 | 204, _) => Self::Other,
            _ => return None,
        })
    }
}

/// The terminals that files are open on.
fn open(context: &Context<'_>, findings: &mut Findings<'_>) -> Result<Vec<u64>> {
    let mut used = Vec::new();
    for images in &findings.ok("entry", context.subject.dump.file_images())?.unwrap_or_default() {
        spot::each(&images.image, |_, look, _| {
            if let Some((FileType(TTY), _, Some((_, part)))) = images.part(look) {
                used.extend(part.number("tty_info_id"));
            }
            Ok(())
        })?;
    }
    used.sort_unstable();
    Ok(used)
}

pub(super) fn look(context: &Context<'_>, findings: &mut Findings<'_>) -> Result<()> {
    let Some(image) = spot::image(context.subject.dump, Kind::TtyInfo, 0, findings)? else { return Ok(()) };
    // of each pseudo-terminal: the entry of its slave that is in use, and whether its master is
    let mut pairs: BTreeMap<u32, (Option<u64>, bool)> = BTreeMap::new();
    let used = open(context, findings)?;
    spot::each(&image, |spot, look, entry| {
        if let Some(id) = look.number("id").filter(|id| !spot::has(&used, *id)) {
            let what = format!("expected an open file that is terminal {id}, found none");
            let advice = "CRIU passes over it, and refuses what was typed into it";
            findings.add(spot.field("id", Finding::warning("tty-unused", what).advice(advice)))?;
        }
        if let Some(driver) = one(spot, &look, findings)?
            && driver != Driver::Other
            && look.has("termios")
            && let Some(id) = look.word("id")
        {
            let pair = pairs.entry(id / 2).or_default();
            match id % 2 {
                0 => pair.0 = Some(entry.index() as u64),
                _ => pair.1 = true,
            }
        }
        Ok(())
    })?;
    let lonely =
        pairs.iter().filter_map(|(index, (slave, has_master))| Some((index, (*slave)?)).filter(|_| !has_master));
    for (index, entry) in lonely.skip(1) {
        let what = format!("expected at most one slave without a master, found another, of pseudo-terminal {index}");
        let advice = "CRIU can take one terminal from outside (--shell-job), not two";
        findings.add(Spot::new(image.name(), entry).mark(Finding::error("tty-pairs", what).advice(advice)))?;
    }
    Ok(())
}

/// One terminal.
fn one(spot: Spot<'_>, look: &Look<'_>, findings: &mut Findings<'_>) -> Result<Option<Driver>> {
    let kind = look.number("type").unwrap_or(PTY);
    let Some(rdev) = look.word("rdev").map(Device::from_libc) else { return Ok(None) };
    if kind == 0 || kind > LAST_TYPE {
        let what = format!("expected a type of terminal from 1 to {LAST_TYPE}, found {kind}");
        let finding = Finding::error("tty-type", what).advice("CRIU 4.3 refuses the dump");
        findings.add(spot.field("type", finding))?;
        return Ok(None);
    }
    if (kind == PTY) != look.has("pty") {
        let what = match kind {
            PTY => "expected the number of the pseudo-terminal, found none",
            _ => "expected no number of a pseudo-terminal, found one of a terminal that is none",
        };
        findings.add(spot.field("pty", Finding::error("tty-type", what).advice("CRIU refuses the dump")))?;
    }
    if kind == EXTERNAL {
        return Ok(Some(Driver::Other));
    }
    let Some(driver) = Driver::of(rdev) else {
        let what = format!("expected the device of a terminal, found {rdev}");
        let finding = Finding::error("tty-device", what).advice("CRIU knows no driver for it and refuses the dump");
        findings.add(spot.field("rdev", finding))?;
        return Ok(None);
    };
    settings(spot, driver, look, findings)?;
    Ok(Some(driver))
}

/// A master has all settings; any other has all, or none where it was hung up.
fn settings(spot: Spot<'_>, driver: Driver, look: &Look<'_>, findings: &mut Findings<'_>) -> Result<()> {
    const PARTS: [&str; 3] = ["termios", "termios_locked", "winsize"];
    let has = PARTS.iter().filter(|name| look.has(name)).count();
    if has < PARTS.len() && (driver == Driver::Master || has > 0) {
        let missing: Vec<&str> = PARTS.into_iter().filter(|name| !look.has(name)).collect();
        let what = format!("expected all settings of the terminal, found no {}", missing.join(", no "));
        findings.add(spot.mark(Finding::error("tty-settings", what).advice("CRIU refuses the dump")))?;
    }
    for name in ["termios", "termios_locked"] {
        let Some(found) = look.inner(name).map(|termios| termios.numbers("c_cc").count()) else { continue };
        if found < CONTROLS {
            let what = format!("expected at least {CONTROLS} characters of control, found {found}");
            let finding = Finding::error("tty-settings", what).advice("CRIU refuses the dump");
            findings.add(spot.field(&format!("{name}.c_cc"), finding))?;
        }
    }
    if look.has("termios")
        && let Some(id) = look.word("id").filter(|id| *id > NUMBERS)
    {
        let what = format!("expected a number of at most {NUMBERS}, found {id}");
        findings.add(spot.field("id", Finding::error("tty-number", what).advice("CRIU has no room for it")))?;
    }
    Ok(())
}
