//! A dump of version 1 as version 2.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Mutex;

use crate::base::report::{Cancel, Progress};
use crate::base::{Error, ErrorKind, Result};
use crate::checkpoint::Checkpoint;
use crate::image::Kind;
use crate::object::upgrade::container::{self, CheckpointHead, Parent};
use crate::source::bundle::Writer;
use crate::source::listing::{Item, Listing, What};
use crate::tool::convert::target::Output;
use crate::tool::convert::{Convert, Counts, guard, number, pages, stop, up};
use crate::wire::field;
use crate::wire::v2::types;

/// Writes a dump of version 1 as version 2. `near` is the directory from which a path to its parent leads.
///
/// Errors: a file cannot be read, the parent is another than that of the dump, the target cannot be written, or asked to
/// end.
pub(super) fn to_v2(
    dump: &Checkpoint,
    source: &Path,
    (output, near): (Output, &Path),
    options: &Convert,
    (progress, cancel): (&dyn Progress, &Cancel),
    counts: &mut Counts,
) -> Result<()> {
    let listing = &Listing::of_directory(source, options.read.access, &options.read.limits)?;
    let mut survey = pages::survey(dump)?;
    let is_link = |item: &&Item| matches!(item.what, What::Link(_));
    let links: BTreeSet<&[u8]> = listing.items.iter().filter(is_link).map(|item| item.name.as_slice()).collect();
    survey.leave(|name| links.contains(name.as_bytes()));
    counts.kept_pagemaps = survey.kept.iter().map(ToString::to_string).collect();
    let elsewhere: BTreeSet<Vec<u8>> = survey.files.iter().map(|name| name.clone().into_bytes()).collect();
    let is_pages = |name: &[u8]| name.starts_with(b"pages-") && elsewhere.contains(name);
    let number = number::number(listing, is_pages)?;
    let is_files = matches!(output, Output::Images(_));
    let how = match output {
        Output::Stream(..) => options.pages.clone().for_stream(),
        _ => options.pages.clone(),
    };
    let mut writer = match is_files {
        true => Writer::of_files(output, number, Output::turn),
        false => Writer::new(output, number),
    };
    let base = match &options.pages.parent {
        Some(path) => Some(base(path, options)?),
        None => None,
    };
    let link = listing.items.iter().find_map(|item| match &item.what {
        What::Link(target) if item.name == b"parent" => Some(target.clone()),
        _ => None,
    });
    let parent = match (&base, &options.pages.parent) {
        (Some(base), Some(path)) => Some(Parent {
            dump: base.source().bundle().map(|bundle| bundle.dump()),
            end_checksum: base.source().bundle().and_then(|bundle| bundle.end()),
            link,
            path: Some(relative(near, path)?),
        }),
        _ => link.map(|link| Parent { link: Some(link), ..Parent::default() }),
    };
    let head = CheckpointHead {
        page_size: Some(survey.page_size),
        machine: machine(dump)?,
        writer: Some(concat!("icecore ", env!("CARGO_PKG_VERSION")).to_owned()),
        parents: parent.into_iter().collect(),
    };
    writer.image(types::KIND_CHECKPOINT, 0)?;
    writer.record(types::CHECKPOINT, 1, &container::encode_head(&head))?;
    writer.stop()?;
    let up = up::Up {
        listing,
        limits: &options.read.limits,
        progress,
        cancel,
        elsewhere: &elsewhere,
        unread: Mutex::new(None),
    };
    let left = up.images(&mut writer, counts)?;
    up.files(&mut writer, &left, counts)?;
    let base = base.as_ref().map(Checkpoint::parents);
    counts.pages = pages::write(dump, &survey, base, &mut writer, &how, (progress, cancel))?;
    counts.kept = counts.kept.saturating_add(counts.pages.noted);
    let (output, _) = if is_files { writer.finish_image()? } else { writer.finish(&[])? };
    counts.bytes_in = listing.bytes();
    stop(cancel)?;
    counts.bytes_out = output.finish()?;
    Ok(())
}

/// The machine that the first core says; a pre-dump says none, and nor does a core that is broken.
///
/// Errors: it cannot be read.
fn machine(dump: &Checkpoint) -> Result<Option<u64>> {
    let Some(core) = dump.images_of(Kind::Core).first() else { return Ok(None) };
    match dump.open_image(core) {
        Ok(core) => Ok(core.get(0).ok().and_then(|entry| field::last_varint(entry.message(), MTYPE).ok()?)),
        Err(error) if error.kind() == ErrorKind::Io => Err(error),
        Err(_) => Ok(None),
    }
}

/// `core_entry.mtype`.
const MTYPE: u32 = 1;

/// The checkpoint whose pages need not be stored again.
fn base(path: &Path, options: &Convert) -> Result<Checkpoint> {
    let base = Checkpoint::open_with(path, options.read)?;
    match base.v1_files() {
        Some(_) => Ok(base),
        None => Err(Error::usage("expected a checkpoint of version 2, found images of version 1")
            .in_image(path.to_string_lossy())
            .hint("convert it first")),
    }
}

/// The path that leads from a directory to `path`.
fn relative(near: &Path, path: &Path) -> Result<Vec<u8>> {
    let whole = |path: &Path| {
        std::fs::canonicalize(path).map_err(|error| Error::io("cannot find", error).in_image(path.to_string_lossy()))
    };
    // a directory that is written is not there yet
    let near = guard::whole(if near.as_os_str().is_empty() { Path::new(".") } else { near });
    let path = whole(path)?;
    let common = near.components().zip(path.components()).take_while(|(a, b)| a == b).count();
    let up = near.components().skip(common).map(|_| Component::ParentDir);
    let relative: PathBuf = up.chain(path.components().skip(common)).collect();
    Ok(relative.as_os_str().as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_from_one_to_another() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("a/b")).unwrap();
        std::fs::write(folder.path().join("base.criu"), "").unwrap();
        let to = folder.path().join("base.criu");
        assert_eq!(relative(folder.path(), &to).unwrap(), b"base.criu");
        assert_eq!(relative(&folder.path().join("a/b"), &to).unwrap(), b"../../base.criu");
    }
}
