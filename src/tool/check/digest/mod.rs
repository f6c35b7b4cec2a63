//! One digest for each file of a checkpoint and one for the whole, to be compared later, or signed. The text is defined
//! in docs/check.md: another program can make it, or check it.

mod hash;
mod line;
mod list;
mod verify;

use line::to_hex;
pub use line::{FileDigest, ItemKind};
pub use verify::verify;

use std::path::Path;

use rayon::prelude::*;
use serde::Serialize;

use crate::base::report::{Cancel, Progress, Rows};
use crate::base::{Error, Result};
use crate::checkpoint::Options;
use hash::Count;
use list::Files;

/// Files that are digested beside each other.
const WINDOW: usize = 256;
/// A file that is at least so long is digested by all cores together.
const LARGE: u64 = 1 << 20;

/// The digest of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Digest {
    /// BLAKE3 of the lines of all files.
    #[serde(rename = "blake3")]
    pub whole: String,
    /// How many files, links and directories there are.
    pub files: u64,
    /// Bytes of the files.
    pub bytes: u64,
}

impl Digest {
    /// The last line of the text, without the newline behind it.
    pub fn line(&self) -> String {
        format!("{}  whole", self.whole)
    }
}

/// Digests the files of the checkpoint at `source` as they are, whatever is in them: of a directory those in it, by
/// name; of a bundle that file; `-` is standard input. Parents are not among them: the link to one is.
///
/// Errors: a file cannot be read; there is something that is neither file, link nor directory; `out` wants no more; it
/// was cancelled.
pub fn digest(
    source: &Path,
    options: &Options,
    out: &mut dyn Rows<FileDigest>,
    (progress, cancel): (&dyn Progress, &Cancel),
) -> Result<Digest> {
    let files = Files::list(source, options)?;
    let count = Count::new(files.bytes(), progress, cancel);
    let mut whole = blake3::Hasher::new();
    let mut digest = Digest { whole: String::new(), files: 0, bytes: 0 };
    for window in files.items.chunks(WINDOW) {
        // small files beside each other, then large ones, each by all cores
        let small: Vec<Option<Result<FileDigest>>> =
            window.par_iter().map(|item| (item.size < LARGE).then(|| files.digest(item, &count, false))).collect();
        for (item, digested) in window.iter().zip(small) {
            let file = digested.unwrap_or_else(|| files.digest(item, &count, true))?;
            whole.update(file.line().as_bytes());
            whole.update(b"\n");
            digest.files = digest.files.saturating_add(1);
            digest.bytes = digest.bytes.saturating_add(if file.kind == ItemKind::File { file.size } else { 0 });
            out.row(file)?;
        }
    }
    digest.whole = whole.finalize().to_hex().to_string();
    Ok(digest)
}

/// What a text of digests says, and whether it says it of itself.
fn parse(text: &str) -> Result<Vec<FileDigest>> {
    let broken = |number: usize, what: String| Error::format(format!("line {}: {what}", number.saturating_add(1)));
    let mut files: Vec<FileDigest> = Vec::new();
    let mut whole = blake3::Hasher::new();
    let mut lines = text.split_inclusive('\n').enumerate();
    for (number, line) in lines.by_ref() {
        let bare = line.strip_suffix('\n').ok_or_else(|| broken(number, "expected a newline behind it".to_owned()))?;
        if let Some(hash) = bare.strip_suffix("  whole") {
            if line::from_hex(hash) != Some(*whole.finalize().as_bytes()) {
                return Err(broken(number, "expected the digest of the lines before it, found another".to_owned()));
            }
            return match lines.next() {
                None => Ok(files),
                Some((number, _)) => Err(broken(number, "expected nothing behind the digest of the whole".to_owned())),
            };
        }
        let Some(file) = FileDigest::from_line(bare) else {
            return Err(broken(number, "expected a digest, a size and a name, two spaces between".to_owned()));
        };
        if files.last().is_some_and(|last| last.name >= file.name) {
            return Err(broken(number, "expected names in ascending order".to_owned()));
        }
        whole.update(line.as_bytes());
        files.push(file);
    }
    Err(Error::format("expected the digest of the whole in the last line, found none"))
}
