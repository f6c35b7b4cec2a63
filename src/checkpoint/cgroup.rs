//! Control groups.

use serde::Serialize;

use crate::base::{Name, Result};
use crate::checkpoint::Checkpoint;
use crate::image::Kind;
use crate::object::v1;

/// The control groups of a dump.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Cgroups {
    /// The sets; a task is in the one its `cg_set` names.
    pub sets: Vec<CgroupSet>,
    /// The hierarchies with the directories that are part of the dump.
    pub controllers: Vec<Controller>,
}

/// One directory in each hierarchy.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct CgroupSet {
    /// Its number.
    pub id: u32,
    /// Hierarchy and path.
    pub members: Vec<CgroupMember>,
}

/// A directory of a hierarchy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CgroupMember {
    /// The hierarchy: its controllers, or `name=systemd`; empty for v2.
    pub name: Name,
    /// The directory.
    pub path: Name,
}

/// A hierarchy.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Controller {
    /// Its controllers.
    pub names: Vec<Name>,
    /// Its directories.
    pub dirs: Vec<CgroupDir>,
}

/// A directory of control groups.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct CgroupDir {
    /// Its name in the directory above.
    pub name: Name,
    /// Its files and what was in them.
    pub properties: Vec<(Name, Name)>,
    /// Directories in it.
    pub children: Vec<CgroupDir>,
}

impl CgroupDir {
    /// As deep as messages may be nested, which the limits bound.
    fn new(entry: v1::CgroupDirEntry) -> Self {
        Self {
            name: entry.dir_name.into(),
            properties: entry.properties.into_iter().map(|entry| (entry.name.into(), entry.value.into())).collect(),
            children: entry.children.into_iter().map(Self::new).collect(),
        }
    }
}

impl Checkpoint {
    /// The control groups; `None` where they are not part of the dump.
    ///
    /// Errors: their image is broken.
    pub fn cgroups(&self) -> Result<Option<Cgroups>> {
        let Some(image) = self.find(Kind::Cgroup, 0)? else { return Ok(None) };
        let entry = image.get(0)?.decode::<v1::CgroupEntry>()?;
        let member = |entry: v1::CgMemberEntry| CgroupMember { name: entry.name.into(), path: entry.path.into() };
        let set =
            |entry: v1::CgSetEntry| CgroupSet { id: entry.id, members: entry.ctls.into_iter().map(member).collect() };
        let controller = |entry: v1::CgControllerEntry| Controller {
            names: entry.cnames.into_iter().map(Name::from).collect(),
            dirs: entry.dirs.into_iter().map(CgroupDir::new).collect(),
        };
        Ok(Some(Cgroups {
            sets: entry.sets.into_iter().map(set).collect(),
            controllers: entry.controllers.into_iter().map(controller).collect(),
        }))
    }
}
