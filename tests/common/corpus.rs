//! The real images that tests read: `tests/data` always, and every folder that `ICECORE_CORPUS` names.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

use icecore::Kind;
use icecore::image::Status;

/// One file that is an image by its name.
#[derive(Clone, Debug)]
pub struct Found {
    pub path: PathBuf,
    pub kind: Kind,
}

impl Found {
    pub fn read(&self) -> Vec<u8> {
        fs::read(&self.path).unwrap_or_else(|error| panic!("{}: {error}", self.path.display()))
    }

    pub fn name(&self) -> &str {
        self.path.file_name().unwrap().to_str().unwrap()
    }
}

pub fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

/// The large corpus, if there is one.
pub fn large() -> Option<PathBuf> {
    let path = PathBuf::from(std::env::var_os("ICECORE_CORPUS")?);
    assert!(path.is_dir(), "ICECORE_CORPUS: {} is no folder", path.display());
    Some(path)
}

/// Every file below `root` whose name is that of an image with entries, sorted. crit's backups (`*.bak`) count.
pub fn framed(root: &Path) -> Vec<Found> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file()
                && let Some((kind, _)) =
                    entry.file_name().to_str().and_then(|name| Kind::from_file_name(name.trim_end_matches(".bak")))
                && kind.row().shape.is_framed()
                && kind.row().status != Status::Plugin
            {
                found.push(Found { path: entry.path(), kind });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Every folder below `root` that holds a dump or a pre-dump, sorted.
pub fn dumps(root: &Path) -> Vec<PathBuf> {
    let is_dump = |path: &Path| {
        let names = fs::read_dir(path).unwrap().filter_map(|entry| entry.unwrap().file_name().into_string().ok());
        names.into_iter().any(|name| name == "pstree.img" || name.starts_with("pagemap-"))
    };
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            }
        }
        if is_dump(&folder) {
            found.push(folder);
        }
    }
    found.sort();
    found
}

/// Leaves one of each content. The hash only saves work: nothing is believed because of it.
#[derive(Default)]
pub struct Distinct(HashSet<(usize, u64, Kind)>);

impl Distinct {
    pub fn is_new(&mut self, kind: Kind, content: &[u8]) -> bool {
        let mut hasher = DefaultHasher::new();
        content.hash(&mut hasher);
        self.0.insert((content.len(), hasher.finish(), kind))
    }
}

/// Copies the files of a dump into a folder, to change them there.
pub fn copy_dump(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}
