//! Files with a path.

use crate::base::{Name, Result};
use crate::tool::check::Finding;
use crate::tool::check::files::{File, mounts};
use crate::tool::check::findings::Findings;

/// Longest path that the kernel takes, with the NUL at its end.
const PATH_MAX: usize = 4096;

pub(super) fn look(file: &File<'_>, findings: &mut Findings<'_>) -> Result<()> {
    let Some(path) = file.part.bytes("name") else { return Ok(()) };
    // CRIU takes the first character off without looking; a file from outside is found by its whole name
    if path.first() != Some(&b'/') && !file.part.flag("ext") {
        let name = Name::from(bytes::Bytes::copy_from_slice(path));
        let what = format!("expected a path from the root, found \"{name}\"");
        let advice = "CRIU takes its first character for a slash, and opens another file or none";
        findings.add(file.spot.field("name", Finding::error("path-relative", what).advice(advice)))?;
    }
    if path.len() >= PATH_MAX || path.contains(&0) {
        let what = format!("expected a path of less than {PATH_MAX} bytes without a NUL, found {} bytes", path.len());
        let finding = Finding::error("path-long", what).advice("the kernel opens no such path");
        findings.add(file.spot.field("name", finding))?;
    }
    file.context.ghosts.compare(file, findings)?;
    // one from outside is not opened by its path
    match file.part.flag("ext") {
        true => Ok(()),
        false => mounts::known(file, "mnt_id", file.part.signed("mnt_id"), findings),
    }
}
