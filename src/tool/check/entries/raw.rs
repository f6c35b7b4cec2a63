//! Images without entries, as far as it is known what is in them: what `ip` saved, netlink messages, archives.

use crate::base::Result;
use crate::checkpoint::ImageName;
use crate::image::{Image, Kind};
use crate::tool::check::findings::Findings;
use crate::tool::check::{Finding, Subject};
use crate::wire::v1;

/// First words of what `ip ... save` writes.
const IFADDR: u32 = 0x4736_1222;
const ROUTE: u32 = 0x4531_1224;
const RULE: u32 = 0x7170_6986;

/// Bytes of struct nlmsghdr, whose first word is the length of its message.
const HEADER: usize = 16;

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Whether an image is opened here: one with entries, or raw with something to look at. Page data is not: that is the
/// subject of other rules, and of version 2 it is no file.
pub(super) fn is_looked_at(subject: &Subject<'_>, name: &ImageName) -> bool {
    if !name.kind.row().messages.is_empty() {
        return true;
    }
    // an archive of version 2 would have to be put together, and has sums of its own
    let is_archive = matches!(name.kind, Kind::TmpfsDev | Kind::TmpfsImg) && subject.dump.source().bundle().is_none();
    is_archive || saved_by_ip(name.kind).is_some() || is_netlink(name.kind)
}

fn saved_by_ip(kind: Kind) -> Option<u32> {
    match kind {
        Kind::Ifaddr => Some(IFADDR),
        Kind::Route | Kind::Route6 => Some(ROUTE),
        Kind::Rule => Some(RULE),
        _ => None,
    }
}

fn is_netlink(kind: Kind) -> bool {
    matches!(kind, Kind::NetnfCt | Kind::NetnfExp)
}

pub(super) fn look(image: &Image, findings: &mut Findings<'_>) -> Result<()> {
    let bytes = image.bytes();
    let finding = if let Some(magic) = saved_by_ip(image.kind()) {
        match v1::word(bytes, 0) {
            Some(found) if found == magic => messages(bytes, 4, true),
            Some(found) => {
                let what = format!("expected the magic {magic:#010x} of what `ip` saves, found {found:#010x}");
                Some(Finding::error("raw-magic", what).at_offset(0))
            }
            // CRIU leaves an empty file where the program that writes it failed
            None if bytes.is_empty() => None,
            None => {
                let what = format!("expected a magic of 4 bytes, found {}", bytes.len());
                Some(Finding::error("raw-cut", what).at_offset(0))
            }
        }
    } else if is_netlink(image.kind()) {
        messages(bytes, 0, false)
    } else if matches!(image.kind(), Kind::TmpfsDev | Kind::TmpfsImg) && !bytes.starts_with(&GZIP) {
        Some(Finding::error("raw-magic", "expected an archive packed by gzip (1f 8b), found other bytes").at_offset(0))
    } else {
        None
    };
    match finding {
        Some(finding) => findings.add(
            finding.in_image(image.name()).advice("the file was cut short or changed: what restores it will refuse it"),
        ),
        None => Ok(()),
    }
}

/// What is wrong with a row of netlink messages that begins at `at`; `padded` to 4 bytes each or not.
fn messages(bytes: &[u8], mut at: usize, padded: bool) -> Option<Finding> {
    while at < bytes.len() {
        let rest = bytes.len().saturating_sub(at);
        let length = v1::word(bytes, at).and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
        if rest < HEADER || length < HEADER || length > rest {
            let what = match rest < HEADER {
                true => format!("expected the header of a netlink message, {HEADER} bytes, found {rest}"),
                false => format!("expected a netlink message of {HEADER} to {rest} bytes, found one of {length}"),
            };
            return Some(Finding::error("raw-cut", what).at_offset(u64::try_from(at).unwrap_or(u64::MAX)));
        }
        let step = if padded { length.saturating_add(3) & !3 } else { length };
        at = at.saturating_add(step);
    }
    None
}
