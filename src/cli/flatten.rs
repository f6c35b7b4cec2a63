//! `flatten`: a chain of dumps as one.

use std::path::PathBuf;

use clap::Args;

use super::args::{Read, Show};
use super::out::{Cards, Shown};
use super::progress::Bar;
use super::{Outcome, interrupt, remark};
use crate::base::Result;
use crate::base::report::{Cancel, Rows};
use crate::tool::flatten::{self, Flatten};

/// Options of `flatten`.
#[derive(Debug, Args)]
pub(crate) struct FlattenTo {
    /// Directory of images, bundle, directory of .criu files, or - for standard input
    source: PathBuf,
    /// Directory to make: of version 1, which `convert` makes version 2 of
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Unpack what CRIU packed; without, blocks that are needed as a whole are kept as they are
    #[arg(long)]
    decompress: bool,
    #[command(flatten)]
    show: Show,
    #[command(flatten)]
    read: Read,
}

pub(super) fn flatten(options: &FlattenTo) -> Result<Outcome> {
    let how = Flatten { read: options.read.options(), decompress: options.decompress };
    let cancel = Cancel::default();
    interrupt::listen(&cancel)?;
    let mut report = Cards::new(options.show);
    let flattened = {
        let bar = Bar::new();
        flatten::flatten(&options.source, &options.output, &how, (&bar, &cancel))?
    };
    flattened.notes.iter().for_each(|note| remark(note));
    report.row(flattened)?;
    report.finish()
}
