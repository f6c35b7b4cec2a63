//! Whether the files are those of a text of digests that was written before.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::base::report::{Cancel, Progress, Rows};
use crate::base::{Error, Limits, Result};
use crate::checkpoint::Options;
use crate::tool::check::digest::{FileDigest, ItemKind, digest, parse};
use crate::tool::check::findings::Findings;
use crate::tool::check::{Checked, Finding};

/// The longest line: a name of 4096 bytes, each as four.
const LINE: u64 = 64 + 32 + 4 * 4096;

/// Compares the files at `source` with the text at `list`, as [`digest`] and the program write it. What differs goes
/// to `out`: of the files nothing else is looked at.
///
/// Errors: the text or the files cannot be read; `out` wants no more; it was cancelled.
pub fn verify(
    source: &Path,
    list: &Path,
    options: &Options,
    out: &mut dyn Rows<Finding>,
    control: (&dyn Progress, &Cancel),
) -> Result<Checked> {
    let text = read(list, &options.limits)?;
    let mut findings = Findings::new(out);
    let mut checked = Checked::new(&source.to_string_lossy());
    match parse(&text) {
        Ok(known) => {
            let mut compare = Compare { known: known.into_iter().peekable(), findings: &mut findings };
            checked.images = digest(source, options, &mut compare, control)?.files;
            compare.rest(None)?;
        }
        Err(error) => {
            let mut finding = Finding::from_error("digest-list", &error);
            finding.image = Some(list.to_string_lossy().into_owned());
            findings.add(finding.advice("take the list as `check --digest` wrote it"))?;
        }
    }
    findings.finish()?;
    checked.count(&findings);
    Ok(checked)
}

fn read(list: &Path, limits: &Limits) -> Result<String> {
    let failed = |error| Error::io("cannot read", error).in_image(list.to_string_lossy());
    let most = LINE.saturating_mul(limits.files as u64).min(limits.memory);
    let mut text = String::new();
    let file = File::open(list).map_err(failed)?;
    let read = file.take(most.saturating_add(1)).read_to_string(&mut text).map_err(failed)?;
    if read as u64 > most {
        let error = Error::limit(format!("the list of digests is longer than {most} bytes"));
        return Err(error.in_image(list.to_string_lossy()).hint("Limits::memory, or --max-memory, raises it"));
    }
    Ok(text)
}

/// Both are in the order of names.
struct Compare<'c, 'o, I: Iterator<Item = FileDigest>> {
    known: std::iter::Peekable<I>,
    findings: &'c mut Findings<'o>,
}

impl<I: Iterator<Item = FileDigest>> Compare<'_, '_, I> {
    /// Tells those that are in the list alone, as far as they come before `name`.
    fn rest(&mut self, name: Option<&str>) -> Result<()> {
        while let Some(gone) = self.known.next_if(|known| name.is_none_or(|name| known.name.as_str() < name)) {
            let what = format!("expected a {} of {} bytes, found none", noun(gone.kind), gone.size);
            let finding = Finding::error("digest-missing", what).in_image(gone.name);
            self.findings.add(finding.advice("take the file from where the digests were made"))?;
        }
        Ok(())
    }
}

fn noun(kind: ItemKind) -> &'static str {
    match kind {
        ItemKind::File => "file",
        ItemKind::Link => "link",
        ItemKind::Directory => "directory",
    }
}

impl<I: Iterator<Item = FileDigest>> Rows<FileDigest> for Compare<'_, '_, I> {
    fn row(&mut self, file: FileDigest) -> Result<()> {
        self.rest(Some(&file.name))?;
        let Some(known) = self.known.next_if(|known| known.name == file.name) else {
            let what = format!("expected no such {}, found one of {} bytes", noun(file.kind), file.size);
            let finding = Finding::warning("digest-new", what).in_image(file.name);
            return self
                .findings
                .add(finding.advice("it came after the digests were made: take it out if it is not yours"));
        };
        if known == file {
            return Ok(());
        }
        let what = match (known.kind == file.kind, known.size == file.size) {
            (false, _) => format!("expected a {}, found a {}", noun(known.kind), noun(file.kind)),
            (true, false) => format!("expected {} bytes, found {}", known.size, file.size),
            (true, true) if file.kind == ItemKind::Link => {
                "it leads elsewhere than when the digests were made".to_owned()
            }
            (true, true) => {
                let start = |file: &FileDigest| super::to_hex(&file.hash).chars().take(16).collect::<String>();
                format!("expected the BLAKE3 {}..., found {}...", start(&known), start(&file))
            }
        };
        let finding = Finding::error("digest-differs", what).in_image(file.name);
        self.findings.add(finding.advice("take the file from where the digests were made"))
    }

    fn problem(&mut self, error: Error) -> Result<()> {
        self.findings.broken("digest", &error)
    }
}
