//! The bundle whose pages need not be stored again.

use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::base::{Error, Result};
use crate::checkpoint::Options;
use crate::memory::Parents;
use crate::object::upgrade::V1Files;
use crate::object::upgrade::container::Parent;
use crate::object::upgrade::source::{is_images, open_bundle};

/// A checkpoint of version 2 that another one refers to.
pub struct BaseBundle {
    /// It and its ancestors.
    pub parents: Parents,
    /// What the child says of it.
    pub said: Parent,
}

impl BaseBundle {
    /// Opens what is at `path`, for a child in `folder`.
    ///
    /// Errors: it is not there, or of version 1.
    pub fn open(path: &Path, folder: &Path, options: Options) -> Result<Self> {
        if is_images(path) {
            return Err(Error::usage("is a directory of version 1, expected a bundle")
                .in_image(path.to_string_lossy())
                .hint("icecore convert makes one"));
        }
        let bundle = open_bundle(path, options.access, options.limits)?;
        let (dump, end_checksum) = (Some(bundle.dump()), bundle.end());
        let files = V1Files::open(bundle, options.access)?;
        let failed = |error| Error::io("cannot find", error).in_image(path.to_string_lossy());
        let whole = path.canonicalize().map_err(failed)?;
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let seen = folder.canonicalize().map_or_else(|_| whole.clone(), |folder| relative(&folder, &whole));
        let said = Parent { dump, end_checksum, link: None, path: Some(seen.as_os_str().as_bytes().to_vec()) };
        Ok(Self { parents: Parents::of(Arc::new(files)), said })
    }
}

/// The way from one directory to a file; both begin at the root.
fn relative(from: &Path, to: &Path) -> PathBuf {
    let (from, to): (Vec<Component<'_>>, Vec<Component<'_>>) = (from.components().collect(), to.components().collect());
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = from.iter().skip(common).map(|_| Component::ParentDir);
    up.chain(to.iter().skip(common).copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways() {
        let way = |from: &str, to: &str| relative(Path::new(from), Path::new(to)).to_str().unwrap().to_owned();
        assert_eq!(way("/a/b", "/a/b/c.criu"), "c.criu");
        assert_eq!(way("/a/b", "/a/c/d.criu"), "../c/d.criu");
        assert_eq!(way("/", "/d.criu"), "d.criu");
    }
}
