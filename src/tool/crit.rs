//! What crit does with whole images, and with directories of them.

use std::fs;
use std::path::Path;

use bytes::Bytes;

use crate::base::batch::Batch;
use crate::base::made::Made;
use crate::base::map::{self, Access};
use crate::base::report::{Cancel, Progress};
use crate::base::sink::Sink;
use crate::base::{Error, Limits, Result};
use crate::checkpoint::Checkpoint;
use crate::image::{Image, Kind, Shape};
use crate::object::json::{self, Form};

/// Opens an image as crit does: its magic decides, whatever it is called. Only a plugin's image, which has no magic,
/// is known by its name.
///
/// Errors: no magic that is known.
pub fn open(name: &str, bytes: Bytes, limits: Limits) -> Result<Image> {
    let base = name.rsplit('/').next().unwrap_or(name);
    match Kind::from_file_name(base) {
        Some((kind, id)) if kind.row().shape == Shape::Plugin => Image::of_kind(name, kind, id, bytes, limits),
        _ => Image::by_magic(name, bytes, limits),
    }
}

/// The name crit gives an image's magic, and how many entries it has; a pagemap's head is not counted, as in crit.
///
/// Errors: the image is broken.
pub fn info(image: &Image) -> Result<(&'static str, usize)> {
    let count = image.len();
    if let Some(fault) = image.fault() {
        return Err(fault.clone());
    }
    let head = matches!(image.kind(), Kind::Pagemap | Kind::PagemapShmem);
    Ok((image.kind().magic_name(), count.saturating_sub(usize::from(head))))
}

/// Decodes every image of a dump that has entries to `NAME.json` in the directory `target`, which is made if it is
/// not there, and goes again if nothing was written. All files appear together, or none. Gives their number.
///
/// Errors: an image is broken (a missing required field is told to `warn`), `target` cannot be written, cancelled.
pub fn decode_directory(
    dump: &Checkpoint,
    form: &Form,
    target: &Path,
    (progress, cancel): (&dyn Progress, &Cancel),
    warn: &mut dyn FnMut(Error),
) -> Result<usize> {
    let made = Made::make(target)?;
    let names: Vec<_> = dump.images().iter().filter(|name| !name.kind.row().messages.is_empty()).collect();
    let mut batch = Batch::default();
    for (done, name) in (0u64..).zip(&names) {
        stop(cancel)?;
        let image = dump.open_image(name)?;
        let mut sink = Sink::create(&target.join(format!("{}.json", name.file)))?;
        json::decode(&image, form, &mut sink, warn)?;
        batch.add(sink)?;
        progress.advance(done.saturating_add(1), names.len() as u64);
    }
    batch.commit()?;
    made.keep();
    Ok(names.len())
}

/// Encodes every `NAME.json` of a directory to `NAME` in the directory `target`, the reverse of
/// [`decode_directory`].
///
/// Errors: a file is not an image's JSON, `target` cannot be written, cancelled.
pub fn encode_directory(
    source: &Path,
    limits: &Limits,
    access: Access,
    target: &Path,
    (progress, cancel): (&dyn Progress, &Cancel),
) -> Result<usize> {
    let failed = |error| Error::io("cannot list", error).in_image(source.to_string_lossy());
    let made = Made::make(target)?;
    let mut names = Vec::new();
    for entry in fs::read_dir(source).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        names.extend(name.strip_suffix(".json").map(str::to_owned));
    }
    names.sort_unstable();
    let mut batch = Batch::default();
    for (done, name) in (0u64..).zip(&names) {
        stop(cancel)?;
        let path = source.join(format!("{name}.json"));
        let opened = |error| Error::io("cannot open", error).in_image(path.to_string_lossy());
        // opening a pipe would wait for who writes into it
        if !fs::metadata(&path).map_err(opened)?.is_file() {
            return Err(Error::usage("is no file, expected an image's JSON").in_image(path.to_string_lossy()));
        }
        let text = map::content(&fs::File::open(&path).map_err(opened)?, &path, access)?;
        let mut sink = Sink::create(&target.join(name))?;
        json::encode(&text, limits, &mut sink).map_err(|error| error.in_image(path.to_string_lossy()))?;
        batch.add(sink)?;
        progress.advance(done.saturating_add(1), names.len() as u64);
    }
    batch.commit()?;
    made.keep();
    Ok(names.len())
}

fn stop(cancel: &Cancel) -> Result<()> {
    match cancel.is_cancelled() {
        true => Err(Error::cancelled("interrupted; nothing was written")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ErrorKind;
    use crate::base::report::Silent;

    fn image(entry: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x19, 0x43, 0x56, 0x54, 0x12, 0x39, 0x40, 0x51, entry.len() as u8, 0, 0, 0];
        bytes.extend_from_slice(entry);
        bytes
    }

    #[test]
    fn a_directory_there_and_back() {
        let work = tempfile::tempdir().unwrap();
        let (dump, text, back) = (work.path().join("dump"), work.path().join("text"), work.path().join("back"));
        fs::create_dir(&dump).unwrap();
        fs::write(dump.join("fs-1.img"), image(&[8, 16, 16, 17, 24, 18])).unwrap();
        fs::write(dump.join("fs-2.img"), image(&[8, 1, 16, 2])).unwrap();
        fs::write(dump.join("pages-1.img"), "raw").unwrap();
        let cancel = Cancel::default();
        let checkpoint = Checkpoint::open(&dump).unwrap();
        let decoded =
            decode_directory(&checkpoint, &Form::PRETTY, &text, (&Silent, &cancel), &mut |_| panic!("warned")).unwrap();
        assert_eq!(decoded, 2);
        let encoded = encode_directory(&text, &Limits::default(), Access::Map, &back, (&Silent, &cancel)).unwrap();
        assert_eq!(encoded, 2);
        for name in ["fs-1.img", "fs-2.img"] {
            assert_eq!(fs::read(back.join(name)).unwrap(), fs::read(dump.join(name)).unwrap());
        }
    }

    #[test]
    fn a_pipe_among_the_json_is_not_waited_for() {
        use rustix::fs::{CWD, FileType, Mode};
        let work = tempfile::tempdir().unwrap();
        let path = work.path().join("fs-1.img.json");
        rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        let (limits, cancel) = (Limits::default(), Cancel::default());
        let back = work.path().join("back");
        let error =
            encode_directory(work.path(), &limits, Access::Map, &back, (&Silent, &cancel)).unwrap_err().to_string();
        assert!(error.ends_with("fs-1.img.json: is no file, expected an image's JSON"), "{error}");
    }

    #[test]
    fn one_broken_image_leaves_nothing() {
        let work = tempfile::tempdir().unwrap();
        fs::write(work.path().join("fs-1.img"), image(&[8, 16, 16, 17, 24, 18])).unwrap();
        fs::write(work.path().join("fs-2.img"), image(&[8])).unwrap();
        let text = work.path().join("text");
        let checkpoint = Checkpoint::open(work.path()).unwrap();
        let cancel = Cancel::default();
        let error = decode_directory(&checkpoint, &Form::COMPACT, &text, (&Silent, &cancel), &mut |_| {}).unwrap_err();
        assert_eq!((error.image(), error.entry(), error.offset()), (Some("fs-2.img"), Some(0), Some(13)));
        assert!(!text.exists());
        // a directory that was there stays
        fs::create_dir(&text).unwrap();
        decode_directory(&checkpoint, &Form::COMPACT, &text, (&Silent, &cancel), &mut |_| {}).unwrap_err();
        assert_eq!(fs::read_dir(&text).unwrap().count(), 0);
    }

    #[test]
    fn cancelled_work_leaves_nothing() {
        let work = tempfile::tempdir().unwrap();
        fs::write(work.path().join("fs-1.img"), image(&[8, 16, 16, 17, 24, 18])).unwrap();
        fs::write(work.path().join("fs-1.img.json"), "{}").unwrap();
        let target = work.path().join("some/where");
        let checkpoint = Checkpoint::open(work.path()).unwrap();
        let (limits, cancel) = (Limits::default(), Cancel::default());
        cancel.cancel();
        let decoded = decode_directory(&checkpoint, &Form::COMPACT, &target, (&Silent, &cancel), &mut |_| {});
        assert_eq!(decoded.unwrap_err().kind(), ErrorKind::Cancelled);
        assert!(!work.path().join("some").exists());
        let encoded = encode_directory(work.path(), &limits, Access::Map, &target, (&Silent, &cancel));
        assert_eq!(encoded.unwrap_err().kind(), ErrorKind::Cancelled);
        assert!(!work.path().join("some").exists());
    }
}
