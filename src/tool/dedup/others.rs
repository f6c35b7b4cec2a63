//! Other dumps that need pages of the ancestors: as far as they lie beside the chain.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::base::{Error, Result};
use crate::checkpoint::{Checkpoint, Options};
use crate::source::bundle::is_directory;
use crate::tool::dedup::chain::Chain;

/// A dump that is an increment of an ancestor, and not in the chain.
pub(super) struct Other {
    pub(super) path: PathBuf,
    pub(super) parent: PathBuf,
}

type Identity = (u64, u64);

fn identity(path: &Path) -> Option<Identity> {
    fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}

/// Looks at what lies beside each dump of the chain.
///
/// Errors: a directory cannot be listed, or holds more than the limits allow.
pub(super) fn find(chain: &Chain, read: &Options) -> Result<Vec<Other>> {
    let dumps: Vec<PathBuf> = (0..chain.dumps.len()).map(|level| chain.path(level).to_path_buf()).collect();
    let own: BTreeSet<Identity> = dumps.iter().filter_map(|path| identity(path)).collect();
    let ancestors: HashMap<Identity, &PathBuf> =
        dumps.iter().skip(1).filter_map(|path| Some((identity(path)?, path))).collect();
    let mut around: BTreeSet<PathBuf> = BTreeSet::new();
    for path in &dumps {
        around.extend(path.canonicalize().ok().and_then(|path| Some(path.parent()?.to_path_buf())));
    }
    let mut found = Vec::new();
    for folder in around {
        let failed =
            |error| Error::io("cannot list what lies beside the dump", error).in_image(folder.to_string_lossy());
        for (count, entry) in fs::read_dir(&folder).map_err(failed)?.enumerate() {
            if count >= read.limits.files {
                return Err(Error::limit(format!("the directory holds more than {} files", read.limits.files))
                    .in_image(folder.to_string_lossy())
                    .hint("Limits::files, or --max-files, raises it"));
            }
            let path = entry.map_err(failed)?.path();
            let Ok(meta) = fs::metadata(&path) else { continue };
            if own.contains(&(meta.dev(), meta.ino())) {
                continue;
            }
            let is_bundle = meta.is_file() && path.extension().is_some_and(|extension| extension == "criu");
            let parent = if meta.is_dir() && !is_directory(&path) {
                identity(&path.join("parent"))
            } else if is_bundle || meta.is_dir() {
                parent_of_bundle(&path, read)
            } else {
                None
            };
            if let Some(ancestor) = parent.and_then(|parent| ancestors.get(&parent)) {
                found.push(Other { path, parent: (*ancestor).clone() });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// What cannot be read as a checkpoint needs no pages.
fn parent_of_bundle(path: &Path, read: &Options) -> Option<Identity> {
    let dump = Checkpoint::open_with(path, *read).ok()?;
    let parent = dump.parents().get(1).ok()??;
    identity(Path::new(parent.name()))
}
