//! Several files that hold one checkpoint: a directory of `.criu` files, or shards.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use bytes::Bytes;
use rayon::prelude::*;

use crate::base::map::{self, Access};
use crate::base::{Error, Limits, Result};
use crate::source::Source;
use crate::source::bundle::open::Opened;
use crate::source::bundle::{Bundle, Part};
use crate::source::dir::Dir;
use crate::wire::v2::types;

/// How names of files of version 2 end.
const SUFFIX: &str = ".criu";

/// Kinds of images of which each file may have one.
const IN_EACH: [u32; 3] = [types::KIND_PAGES, types::KIND_CHECKPOINT, types::KIND_DIRECTORY];

impl Bundle {
    /// Opens a directory of `.criu` files, each of which holds an image, or is a shard. Their headers say what they are,
    /// whatever they are called; files of another dump than that of the image CHECKPOINT are passed over with a warning.
    ///
    /// Errors: there is no such directory, no image in it, or too many files; two files hold the same image.
    pub fn open_dir(path: &Path, access: Access, limits: Limits) -> Result<Self> {
        let dir = Dir::open(path, access, limits)?;
        let mut files: Vec<&String> = dir.files().iter().filter(|file| file.ends_with(SUFFIX)).collect();
        files.sort_unstable();
        let open = |file: &&String| {
            let name = path.join(file.as_str());
            let part = Part::new(name.to_string_lossy().into_owned(), dir.open(file)?, None);
            let part = Part { is_beside: true, ..part };
            let mut opened = Opened::new(part, 0, None, &limits)?;
            if opened.sections.iter().any(|section| section.kind == types::KIND_PAGES) {
                // who restores maps pages from there
                opened.part.file = dir.file(file)?;
            }
            opened.part.path = Some(name);
            Ok(opened)
        };
        let opened: Vec<Result<Opened>> = files.par_iter().map(open).collect();
        let (mut parts, mut warnings) = (Vec::new(), Vec::new());
        for opened in opened {
            match opened {
                Ok(opened) => parts.push(opened),
                Err(error) => warnings.push(error),
            }
        }
        let checkpoint =
            |opened: &&Opened| opened.sections.iter().any(|section| section.kind == types::KIND_CHECKPOINT);
        let Some(dump) = parts.iter().find(checkpoint).or_else(|| parts.first()).map(|opened| opened.dump) else {
            let error = warnings.into_iter().next();
            let none = || Error::format(format!("expected {SUFFIX} files, found none"));
            return Err(error.unwrap_or_else(none).in_image(dir.name().to_owned()));
        };
        if let Some(other) = parts.iter().filter(checkpoint).find(|opened| opened.dump != dump) {
            let what = format!("expected one checkpoint in the directory, found another in {}", other.part.name);
            return Err(Error::format(what).in_image(dir.name().to_owned()));
        }
        parts.retain(|opened| {
            if opened.dump != dump {
                let what = format!("expected an image of dump {dump:#018x}, found {:#018x}", opened.dump);
                warnings.push(Error::format(what).in_image(opened.part.name.as_str()));
            }
            opened.dump == dump
        });
        Self::of_parts(dir.name().to_owned(), parts, warnings, limits)
    }

    /// Opens shards: bundles that hold parts of one checkpoint, in any order.
    ///
    /// Errors: as [`open`](Self::open); they are not of one dump; two of them hold the same image.
    pub fn open_many(paths: &[PathBuf], access: Access, limits: Limits) -> Result<Self> {
        let open = |path: &PathBuf| {
            let name = path.to_string_lossy().into_owned();
            let file = File::open(path).map_err(|error| Error::io("cannot open", error).in_image(name.clone()))?;
            let bytes = map::content(&file, path, access)?;
            Opened::new(Part::new(name, bytes, Some((path.clone(), file))), 0, None, &limits)
        };
        let parts = paths.par_iter().map(open).collect::<Result<Vec<_>>>()?;
        Self::of_shards(parts, limits)
    }

    /// Shards as bytes, each with what to call it.
    ///
    /// Errors: as [`open_many`](Self::open_many).
    pub fn from_shards(shards: impl IntoIterator<Item = (String, Bytes)>, limits: Limits) -> Result<Self> {
        let open = |(name, bytes)| Opened::new(Part::new(name, bytes, None), 0, None, &limits);
        let parts = shards.into_iter().map(open).collect::<Result<Vec<_>>>()?;
        Self::of_shards(parts, limits)
    }

    fn of_shards(parts: Vec<Opened>, limits: Limits) -> Result<Self> {
        let Some((name, dump)) = parts.first().map(|opened| (opened.part.name.clone(), opened.dump)) else {
            return Err(Error::usage("expected files, found none"));
        };
        if let Some(other) = parts.iter().find(|opened| opened.dump != dump) {
            let what = format!("expected a shard of dump {dump:#018x}, found {:#018x}", other.dump);
            return Err(Error::format(what).in_image(other.part.name.as_str()));
        }
        Self::of_parts(name, parts, Vec::new(), limits)
    }

    fn of_parts(name: String, opened: Vec<Opened>, mut warnings: Vec<Error>, limits: Limits) -> Result<Self> {
        let dump = opened.first().map_or(0, |opened| opened.dump);
        let (mut parts, mut sections) = (Vec::new(), Vec::new());
        for (index, opened) in opened.into_iter().enumerate() {
            sections.extend(opened.sections.into_iter().map(|section| super::Section { part: index, ..section }));
            warnings.extend(opened.warnings);
            parts.push(opened.part);
        }
        sections.sort_unstable();
        let is_twice = |pair: &&[super::Section]| matches!(pair, [a, b] if (a.kind, a.id) == (b.kind, b.id) && a.part != b.part && !IN_EACH.contains(&a.kind));
        if let Some([a, b]) = sections.windows(2).find(is_twice) {
            let other = |part: usize| parts.get(part).map_or("", |part: &Part| part.name.as_str());
            let what = format!("expected image {} {} in one file, found it also in {}", a.kind, a.id, other(b.part));
            return Err(Error::format(what).in_image(other(a.part)));
        }
        Ok(Self { name, parts, sections, dump, limits, blocks: OnceLock::new(), warnings, is_several: true })
    }
}
