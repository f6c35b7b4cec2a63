//! `convert`: version 1 of the format to version 2 and back.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::args::{Read, Show, bytes};
use super::interrupt;
use super::out::{Cards, Shown};
use super::progress::Bar;
use super::{Outcome, remark};
use crate::base::report::{Cancel, Rows};
use crate::base::{Error, Result};
use crate::tool::convert::pages::{Compression, PageOptions};
use crate::tool::convert::{self, Convert, Target};

/// Options of `convert`.
#[derive(Debug, Args)]
pub(crate) struct ConvertTo {
    /// Directory of images, bundle, directory of .criu files, or - for standard input
    source: PathBuf,
    /// Bundle (NAME.criu), directory, or - for standard output
    #[arg(short, long, value_name = "TARGET")]
    output: PathBuf,
    /// Version to write into a directory; without, the one that SOURCE is not
    #[arg(long, value_name = "VERSION")]
    to: Option<Version>,
    /// Pack pages: lz4, zstd, or zstd:LEVEL
    #[arg(long, value_name = "CODEC", value_parser = compression)]
    compress: Option<Compression>,
    /// Bytes of pages that are packed, or have a checksum, together
    #[arg(long, value_name = "BYTES", value_parser = unit)]
    unit: Option<u64>,
    /// Keep equal pages once for each place that has them: runs stay long, so that they can be mapped
    #[arg(long)]
    no_share: bool,
    /// Unpack what CRIU packed; without, its blocks are kept as they are
    #[arg(long)]
    decompress: bool,
    /// Refer to pages that this bundle has, and write only those that it lacks
    #[arg(long, value_name = "BASE")]
    parent: Option<PathBuf>,
    /// Take what is whole of a damaged bundle, and say what is lost
    #[arg(long)]
    salvage: bool,
    #[command(flatten)]
    show: Show,
    #[command(flatten)]
    read: Read,
}

/// A version of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Version {
    V1,
    V2,
}

/// Bytes of a unit: whole pages, and no more than a reader has to unpack at once.
fn unit(text: &str) -> Result<u64, String> {
    let is_unit = |bytes: &u64| bytes.is_power_of_two() && (4096..=4 << 20).contains(bytes);
    bytes(text).ok().filter(is_unit).ok_or_else(|| "expected a power of two from 4K to 4M, such as 64K".to_owned())
}

fn compression(text: &str) -> Result<Compression, String> {
    let (codec, level) = text.split_once(':').map_or((text, None), |(codec, level)| (codec, Some(level)));
    match (codec, level) {
        ("lz4", None) => Ok(Compression::Lz4),
        ("zstd", None) => Ok(Compression::Zstd(3)),
        ("zstd", Some(level)) => {
            let level = level.parse::<i32>().ok().filter(|level| (1..=22).contains(level));
            level.map(Compression::Zstd).ok_or_else(|| "expected a level from 1 to 22, such as zstd:9".to_owned())
        }
        _ => Err("expected lz4, zstd or zstd:LEVEL".to_owned()),
    }
}

pub(super) fn convert(options: &ConvertTo) -> Result<Outcome> {
    let target = options.target()?;
    options.fit(target)?;
    let pages = PageOptions {
        compression: options.compress.unwrap_or_default(),
        unit: options.unit,
        share: !options.no_share,
        decompress: options.decompress,
        parent: options.parent.clone(),
        ..PageOptions::default()
    };
    let convert = Convert { read: options.read.options(), pages, salvage: options.salvage };
    let cancel = Cancel::default();
    interrupt::listen(&cancel)?;
    let mut report = Cards::new(options.show);
    let mut converted = {
        let bar = Bar::new();
        convert::convert(&options.source, target, &convert, (&bar, &cancel))?
    };
    for error in std::mem::take(&mut converted.lost) {
        Rows::<convert::Converted>::problem(&mut report, error)?;
    }
    for why in &converted.counts.kept_pagemaps {
        remark(&format!("{why}: it is kept as a file with its pages, which no verb shows there"));
    }
    match target {
        // standard output has the checkpoint
        Target::Stream => remark(&converted.to_string()),
        _ => report.row(converted)?,
    }
    report.finish()
}

impl ConvertTo {
    /// Whether all that was asked for can be done for a target.
    fn fit(&self, target: Target<'_>) -> Result<()> {
        let (Target::V1(path) | Target::Images(path)) = target else { return Ok(()) };
        if path.exists() && !path.is_dir() {
            return Err(Error::usage("expected a directory, found something else")
                .in_image(path.to_string_lossy())
                .hint("the name of a bundle ends in .criu"));
        }
        let for_pages = [
            ("--compress", self.compress.is_some()),
            ("--unit", self.unit.is_some()),
            ("--no-share", self.no_share),
            ("--decompress", self.decompress),
            ("--parent", self.parent.is_some()),
        ];
        match for_pages.iter().find(|(_, is_given)| *is_given && matches!(target, Target::V1(_))) {
            Some((option, _)) => Err(Error::usage(format!("{option} is about version 2, and this writes version 1"))
                .hint("the name of a bundle ends in .criu; --to v2 writes a directory")),
            None => Ok(()),
        }
    }

    fn target(&self) -> Result<Target<'_>> {
        let path: &Path = &self.output;
        if path == Path::new("-") {
            return match self.to {
                Some(Version::V1) => Err(Error::usage("expected a directory for images of version 1")),
                _ => Ok(Target::Stream),
            };
        }
        let is_bundle = path.extension().is_some_and(|extension| extension == "criu") && !path.is_dir();
        match self.to {
            Some(Version::V1) => Ok(Target::V1(path)),
            Some(Version::V2) if !is_bundle => Ok(Target::Images(path)),
            _ if is_bundle => Ok(Target::Bundle(path)),
            _ if convert::is_version_1(&self.source) => Ok(Target::Images(path)),
            _ => Ok(Target::V1(path)),
        }
    }
}
