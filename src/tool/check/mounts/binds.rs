//! What a mount is mounted from: a file system that CRIU knows, or a part of another mount.

use std::collections::HashMap;

use crate::base::{Name, Result};
use crate::tool::check::Finding;
use crate::tool::check::findings::Findings;
use crate::tool::check::mounts::{Mount, fstype, is_below};

/// The mounts of each device, of all namespaces.
pub(super) struct Devices<'m> {
    by_dev: HashMap<u32, Device<'m>>,
}

#[derive(Default)]
struct Device<'m> {
    has_whole: bool,
    /// Directories of it that are found outside: those of external mounts, and of the first task's root.
    outside: Vec<&'m [u8]>,
    /// Directories of it that are roots of namespaces.
    roots: Vec<&'m [u8]>,
}

impl<'m> Devices<'m> {
    pub(super) fn new(mounts: &[Mount<'m>]) -> Self {
        let mut by_dev: HashMap<u32, Device<'m>> = HashMap::new();
        for mount in mounts {
            let device = by_dev.entry(mount.dev).or_default();
            device.has_whole |= mount.is_whole();
            if mount.is_external || mount.is_root() && mount.is_first {
                device.outside.push(mount.root);
            }
            if mount.is_root() {
                device.roots.push(mount.root);
            }
        }
        for device in by_dev.values_mut() {
            for roots in [&mut device.outside, &mut device.roots] {
                roots.sort_unstable();
                roots.dedup();
            }
        }
        Self { by_dev }
    }

    /// Whether it is found outside, or is a part of what is.
    pub(super) fn is_outside(&self, mount: &Mount<'_>) -> bool {
        let outside = self.by_dev.get(&mount.dev).map(|device| device.outside.as_slice()).unwrap_or_default();
        mount.is_external || mount.by_plugin || is_in(mount.root, outside)
    }

    /// Whether the rest of its file system is mounted too.
    fn has_source(&self, mount: &Mount<'_>) -> bool {
        self.by_dev.get(&mount.dev).is_some_and(|device| device.has_whole || is_in(mount.root, &device.roots))
    }
}

/// Whether a path is below one of many: each of its parts is looked up, however many there are.
fn is_in(path: &[u8], above: &[&[u8]]) -> bool {
    let has = |path: &[u8]| above.binary_search(&path).is_ok();
    let ends = (0..path.len()).filter(|at| path.get(*at) == Some(&b'/'));
    let parts = ends.filter_map(|end| path.get(..end)).take(MANY);
    let mut parts = parts.filter(|part| !part.is_empty());
    has(b"/") || has(path) || parts.any(|part| has(part) && is_below(path, part))
}

/// A path has no more parts than this.
const MANY: usize = 4096;

pub(super) fn look(mounts: &[Mount<'_>], devices: &Devices<'_>, findings: &mut Findings<'_>) -> Result<()> {
    for mount in mounts {
        let has_name = mount.look.has("fsname");
        if has_name && mount.fstype != fstype::AUTO {
            let what = format!(
                "expected a name of the file system only with type {}, found type {}",
                fstype::AUTO,
                mount.fstype
            );
            let finding = Finding::error("mount-type", what).advice("CRIU refuses the dump");
            findings.add(mount.spot.field("fsname", finding))?;
        }
        if devices.is_outside(mount) {
            continue;
        }
        if mount.is_whole() {
            if !fstype::is_known(mount.fstype) || mount.fstype == fstype::AUTO && !has_name {
                let what = format!("expected a type of file system that CRIU can mount, found {}", mount.fstype);
                let finding = Finding::error("mount-type", what).advice("CRIU 4.3 refuses to restore the mounts");
                findings.add(mount.spot.field("fstype", finding))?;
            }
        } else if !devices.has_source(mount) {
            let root = Name::from(bytes::Bytes::copy_from_slice(mount.root));
            let what = format!("expected a mount of all the file system that {root} is a directory of, found none");
            let advice = "CRIU does not know what to bind: the dump should have said that the mount is external";
            findings.add(mount.spot.field("root", Finding::error("mount-bind", what).advice(advice)))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories() {
        let above: [&[u8]; 2] = [b"/a/b", b"/c"];
        for (path, answer) in [("/a/b/d", true), ("/a/b", true), ("/a/bc", false), ("/c/x/y", true), ("/a", false)] {
            assert_eq!(is_in(path.as_bytes(), &above), answer, "{path}");
        }
        assert!(is_in(b"/x", &[b"/"]));
    }
}
