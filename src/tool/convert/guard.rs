//! Targets that would harm what is converted, or what it refers to.

use std::path::{Path, PathBuf};

use crate::base::{Error, Result};
use crate::checkpoint::Checkpoint;
use crate::tool::convert::{Convert, Target};

/// Refuses a target that lies in the directory that is converted, where it would be a part of it, and one that is an
/// ancestor of what is written, which would then refer to pages that nobody has.
///
/// Errors: it is such a target; the parent that was asked for cannot be opened.
pub(super) fn check(source: &Path, target: Target<'_>, options: &Convert) -> Result<()> {
    let (Target::Bundle(path) | Target::Images(path) | Target::V1(path)) = target else { return Ok(()) };
    let place = whole(path);
    let own = source.canonicalize().ok().filter(|own| own.is_dir());
    if own.is_some_and(|own| place.starts_with(own)) {
        return Err(Error::usage("lies in the directory that is converted, of which it would be a part")
            .in_image(path.to_string_lossy())
            .hint("choose a place beside it"));
    }
    let Some(parent) = options.pages.parent.as_ref().filter(|_| matches!(target, Target::Bundle(_))) else {
        return Ok(());
    };
    let base = Checkpoint::open_with(parent, options.read)?;
    let mut level = 0usize;
    // one that cannot be found is told where its pages are needed
    while let Ok(Some(ancestor)) = base.parents().get(level) {
        let at = ancestor.bundle().and_then(|bundle| bundle.path()).and_then(|path| path.canonicalize().ok());
        if at.is_some_and(|at| at == place) {
            return Err(Error::usage("is a parent of what would be written over it")
                .in_image(path.to_string_lossy())
                .hint("its pages would be lost: choose another target"));
        }
        level = level.saturating_add(1);
    }
    Ok(())
}

/// A path from the root on, without links, also of what is not there yet.
pub(super) fn whole(path: &Path) -> PathBuf {
    if let Ok(whole) = path.canonicalize() {
        return whole;
    }
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            whole(parent).join(name)
        }
        _ => path.to_path_buf(),
    }
}
