//! What inotify and fanotify watch: each watch has a number of its own and a place.

use crate::base::Result;
use crate::object::Look;
use crate::tool::check::Finding;
use crate::tool::check::files::{File, mounts};
use crate::tool::check::findings::Findings;

/// Bytes of the longest handle.
const HANDLE: u64 = 128;

/// Types of fanotify's marks.
const INODE: u64 = 1;
const MOUNT: u64 = 2;

pub(super) fn inotify(file: &File<'_>, findings: &mut Findings<'_>) -> Result<()> {
    let mut seen = Vec::new();
    for (position, watch) in file.part.inners("wd").enumerate() {
        if let Some(handle) = watch.inner("f_handle") {
            place(file, &format!("wd[{position}].f_handle"), &handle, findings)?;
        }
        seen.extend(watch.word("wd").map(|wd| (wd, position)));
    }
    seen.sort_unstable();
    let zero = seen.first().filter(|(wd, _)| *wd == 0).map(|(_, position)| (0, *position));
    let again = seen.windows(2).filter_map(|pair| match pair {
        [(before, _), (wd, position)] if before == wd => Some((*wd, *position)),
        _ => None,
    });
    for (wd, position) in zero.into_iter().chain(again) {
        let what = format!("expected each watch to have a number of its own, from 1, found {wd}");
        let finding =
            Finding::error("watch-number", what).advice("the kernel gives no watch this number; CRIU gives up");
        findings.add(file.spot.field(&format!("wd[{position}].wd"), finding))?;
    }
    Ok(())
}

pub(super) fn fanotify(file: &File<'_>, findings: &mut Findings<'_>) -> Result<()> {
    for (position, mark) in file.part.inners("mark").enumerate() {
        let field = format!("mark[{position}]");
        let (kind, part) = match mark.number("type") {
            Some(INODE) => ("inode", mark.inner("ie")),
            Some(MOUNT) => ("mount", mark.inner("me")),
            Some(other) => {
                let what = format!("expected a type of mark of 1 or 2, found {other}");
                let finding = Finding::error("mark-type", what).advice("CRIU 4.3 refuses it");
                findings.add(file.spot.field(&format!("{field}.type"), finding))?;
                continue;
            }
            None => continue,
        };
        match part {
            None => {
                let what = format!("expected what is marked, as the type says: of an {kind}, found none");
                let advice = "CRIU ends with a segmentation fault when it restores this";
                findings.add(file.spot.field(&field, Finding::error("mark-part", what).advice(advice)))?;
            }
            Some(part) if kind == "inode" => {
                if let Some(handle) = part.inner("f_handle") {
                    place(file, &format!("{field}.ie.f_handle"), &handle, findings)?;
                }
            }
            Some(part) => mounts::known(file, &format!("{field}.me.mnt_id"), part.signed("mnt_id"), findings)?,
        }
    }
    Ok(())
}

/// A file is found by its path, or by the handle that its file system gave.
fn place(file: &File<'_>, field: &str, handle: &Look<'_>, findings: &mut Findings<'_>) -> Result<()> {
    if handle.has("path") {
        return mounts::known(file, &format!("{field}.mnt_id"), handle.signed("mnt_id"), findings);
    }
    let bytes = handle.number("bytes").unwrap_or(0);
    let words = handle.numbers("handle").count() as u64;
    if bytes == 0 || bytes > HANDLE || words.saturating_mul(8) < bytes {
        let what = format!("expected a path, or a handle of 1 to {HANDLE} bytes, found {bytes} bytes in {words} words");
        let finding = Finding::error("watch-place", what).advice("CRIU cannot find what was watched");
        findings.add(file.spot.field(field, finding))?;
    }
    Ok(())
}
