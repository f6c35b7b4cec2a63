//! Mounts: a tree for each namespace, what each is mounted from, who propagates to whom, and what was in them.

mod binds;
mod content;
mod groups;
mod tree;

use crate::base::Result;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::namespace::NamespaceKind;
use crate::image::{Image, Kind};
use crate::object::Look;
use crate::tool::check::findings::Findings;
use crate::tool::check::spot::Spot;
use crate::tool::check::{Checked, Finding, Subject};

/// A mount as its entry has it.
#[derive(Clone, Copy, Debug)]
struct Mount<'i> {
    spot: Spot<'i>,
    mnt_id: u32,
    parent: u32,
    dev: u32,
    root: &'i [u8],
    place: &'i [u8],
    fstype: u32,
    shared_id: u32,
    master_id: u32,
    /// Found outside at restore, or made by a plugin.
    is_external: bool,
    by_plugin: bool,
    /// In the namespace of the first task, whose root is found outside at restore.
    is_first: bool,
    look: Look<'i>,
}

/// Numbers of types of file systems.
mod fstype {
    pub(super) const TMPFS: u32 = 5;
    pub(super) const AUTO: u32 = 16;
    pub(super) const AUTOFS: u32 = 18;
    /// Those that CRIU 4.3 knows.
    pub(super) fn is_known(number: u32) -> bool {
        matches!(number, 1..=6 | 7..=19 | 23)
    }
}

impl<'i> Mount<'i> {
    fn new(spot: Spot<'i>, look: Look<'i>, is_first: bool) -> Option<Self> {
        Some(Self {
            spot,
            mnt_id: look.word("mnt_id")?,
            parent: look.word("parent_mnt_id")?,
            dev: look.word("root_dev")?,
            root: look.bytes("root")?,
            place: look.bytes("mountpoint")?,
            fstype: look.word("fstype")?,
            shared_id: look.word("shared_id").unwrap_or(0),
            master_id: look.word("master_id").unwrap_or(0),
            is_external: look.flag("ext_mount") || look.has("ext_key"),
            by_plugin: look.flag("with_plugin"),
            is_first,
            look,
        })
    }

    /// Whether all of its file system is mounted, not a directory of it.
    fn is_whole(&self) -> bool {
        self.root == b"/"
    }

    /// Whether it is the root of its namespace, as CRIU tells.
    fn is_root(&self) -> bool {
        self.place == b"/"
    }
}

/// Whether a path is another, or below it.
fn is_below(path: &[u8], above: &[u8]) -> bool {
    let above = above.strip_suffix(b"/").unwrap_or(above);
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.first() == Some(&b'/'))
}

pub(super) fn look(subject: &Subject<'_>, findings: &mut Findings<'_>, _: &mut Checked) -> Result<()> {
    let dump = subject.dump;
    let mut images = Vec::new();
    for name in dump.images_of(Kind::Mnts) {
        images.extend(findings.ok("entry", dump.open_image(name))?);
    }
    let mut all = Vec::new();
    let first = first_namespace(dump);
    for image in &images {
        subject.go_on()?;
        let mounts = read(image, first == Some(image.id()))?;
        many(image, findings)?;
        tree::look(image, &mounts, findings)?;
        all.extend(mounts);
    }
    subject.go_on()?;
    let devices = binds::Devices::new(&all);
    binds::look(&all, &devices, findings)?;
    groups::look(&all, &devices, findings)?;
    content::look(dump, &all, &devices, findings)
}

/// fs.mount-max where nobody has raised it.
const USUAL: usize = 100_000;

/// So many are looked at.
const MOST: usize = 1 << 20;

fn many(image: &Image, findings: &mut Findings<'_>) -> Result<()> {
    if image.len() <= USUAL {
        return Ok(());
    }
    let what = format!("expected at most {USUAL} mounts in a namespace, found {}", image.len());
    let advice = "restoring fails unless fs.mount-max allows as many; of more than a million the first are looked at";
    findings.add(Finding::warning("mount-many", what).in_image(image.name()).advice(advice))
}

fn read(image: &Image, is_first: bool) -> Result<Vec<Mount<'_>>> {
    let mut mounts = Vec::new();
    for entry in image.iter().take(MOST) {
        let Ok(entry) = entry else { break };
        mounts.extend(Mount::new(Spot::entry(&entry), entry.look()?, is_first));
    }
    Ok(mounts)
}

/// The mount namespace of the first task.
fn first_namespace(dump: &Checkpoint) -> Option<u64> {
    let tasks = dump.tasks().ok()?;
    let ids = tasks.first()?.ids().ok()??;
    ids.namespaces.get(&NamespaceKind::Mnt).map(|id| u64::from(*id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_below() {
        for (path, above, answer) in
            [("/a/b", "/a", true), ("/a", "/a", true), ("/ab", "/a", false), ("/x", "/", true), ("/", "/a", false)]
        {
            assert_eq!(is_below(path.as_bytes(), above.as_bytes()), answer, "{path} {above}");
        }
    }
}
