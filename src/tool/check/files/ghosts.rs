//! Ghost files: copies of what was deleted while open. Whole, and somebody's.

use crate::base::Result;
use crate::checkpoint::ImageName;
use crate::image::{Image, Kind};
use crate::tool::check::files::{Context, File, remaps};
use crate::tool::check::findings::Findings;
use crate::tool::check::spot::{self, Spot};
use crate::tool::check::{Finding, Subject};

/// What a ghost file is restored as.
#[derive(Clone, Copy, Debug)]
struct Ghost {
    number: u64,
    mode: Option<u64>,
    /// Bytes; `None` of what is no regular file, or of none that is whole.
    size: Option<u64>,
}

/// The ghost files in whose place each file is opened, by the number of the file.
#[derive(Debug, Default)]
pub(super) struct Ghosts(Vec<(u32, Ghost)>);

impl Ghosts {
    pub(super) fn read(subject: &Subject<'_>, findings: &mut Findings<'_>) -> Result<Self> {
        let dump = subject.dump;
        let mut ghosts = Vec::new();
        let Some(remaps) = spot::image(dump, Kind::RemapFpath, 0, findings)? else { return Ok(Self(ghosts)) };
        let mut of_file = Vec::new();
        spot::each(&remaps, |_, look, _| {
            let (Some(file), Some(remap)) = (look.word("orig_id"), look.word("remap_id")) else { return Ok(()) };
            let is_ghost = remap & remaps::IS_GHOST != 0 || look.number("remap_type") == Some(remaps::GHOST);
            is_ghost.then(|| of_file.push((file, u64::from(remap & !remaps::IS_GHOST))));
            Ok(())
        })?;
        // each is opened once, however many lead to it
        of_file.sort_unstable_by_key(|(_, number)| *number);
        for same in of_file.chunk_by(|a, b| a.1 == b.1) {
            subject.go_on()?;
            let Some((_, number)) = same.first() else { continue };
            let Some(image) = spot::image(dump, Kind::GhostFile, *number, findings)? else { continue };
            let Some(Ok(entry)) = image.iter().next() else { continue };
            let look = entry.look()?;
            let mode = look.number("mode");
            let size = if look.flag("chunks") { look.number("size") } else { Some(entry.payload().len() as u64) };
            let size = size.filter(|_| mode.is_some_and(|mode| mode & TYPE == REGULAR));
            ghosts.extend(same.iter().map(|(file, _)| (*file, Ghost { number: *number, mode, size })));
        }
        ghosts.sort_by_key(|(file, _)| *file);
        Ok(Self(ghosts))
    }

    /// A file is opened only if it has the size and the mode that it had.
    pub(super) fn compare(&self, file: &File<'_>, findings: &mut Findings<'_>) -> Result<()> {
        let at = self.0.partition_point(|(id, _)| *id < file.id);
        let Some((_, ghost)) = self.0.get(at).filter(|(id, _)| *id == file.id) else { return Ok(()) };
        let name = Kind::GhostFile.file_name(ghost.number).unwrap_or_default();
        if let (Some(size), Some(found)) = (file.part.number("size"), ghost.size)
            && size != found
        {
            let what = format!("expected {size} bytes in {name}, which is opened for it, found {found}");
            let advice = "CRIU compares them and refuses: the ghost file was cut, or is another's";
            findings.add(file.spot.field("size", Finding::error("ghost-size", what).advice(advice)))?;
        }
        if let (Some(mode), Some(found)) = (file.part.number("mode"), ghost.mode)
            && mode != found
        {
            let what = format!("expected mode {mode:o} of {name}, which is opened for it, found {found:o}");
            let advice = "CRIU compares them and refuses: the ghost file is another's";
            findings.add(file.spot.field("mode", Finding::error("ghost-mode", what).advice(advice)))?;
        }
        Ok(())
    }
}

/// The bits of a mode that say what it is.
const TYPE: u64 = 0o170_000;
const REGULAR: u64 = 0o100_000;
const SYMLINK: u64 = 0o120_000;
const CHARACTER: u64 = 0o020_000;
const BLOCK: u64 = 0o060_000;

pub(super) fn look(context: &Context<'_>, findings: &mut Findings<'_>) -> Result<()> {
    let dump = context.subject.dump;
    let ghosts = dump.images_of(Kind::GhostFile);
    if ghosts.is_empty() {
        return Ok(());
    }
    let remaps = spot::image(dump, Kind::RemapFpath, 0, findings)?;
    // the highest bit marks ghosts in dumps that have no types of remaps
    let used = spot::column(remaps.as_ref(), "remap_id")?;
    for name in ghosts {
        context.subject.go_on()?;
        if !spot::has(&used, name.id) && !spot::has(&used, name.id | 1 << 31) {
            unused(name, findings)?;
        }
        if let Some(image) = findings.ok("entry", dump.open_image(name))? {
            whole(&image, findings)?;
        }
    }
    Ok(())
}

fn unused(name: &ImageName, findings: &mut Findings<'_>) -> Result<()> {
    let what = format!("expected a remap that leads to ghost file {}, found none", name.id);
    let advice = "CRIU passes over it: either it is left over, or an entry of remap-fpath.img is lost";
    findings.add(Finding::warning("ghost-unused", what).in_image(name.file.clone()).advice(advice))
}

fn whole(image: &Image, findings: &mut Findings<'_>) -> Result<()> {
    let mut chunks = None;
    let mut end = 0u64;
    spot::each(image, |spot, look, entry| {
        if entry.index() == 0 {
            let mode = look.number("mode").unwrap_or(REGULAR) & TYPE;
            chunks = look.flag("chunks").then(|| look.number("size"));
            return head(spot, mode, &look, chunks, findings);
        }
        let (Some(off), Some(len)) = (look.number("off"), look.number("len")) else { return Ok(()) };
        let Some(Some(size)) = chunks else { return Ok(()) };
        let last = off.checked_add(len);
        if last.is_none_or(|last| last > size) {
            let what = format!("expected a piece inside the {size} bytes of the file, found {len} bytes at {off}");
            let finding =
                Finding::error("ghost-beyond", what).advice("CRIU restores a file that is longer than it was");
            findings.add(spot.field("off", finding))?;
        } else if off < end {
            let what = format!("expected a piece behind the last one, which ends at {end}, found one at {off}");
            let finding = Finding::warning("ghost-order", what).advice("the later of two pieces counts");
            findings.add(spot.field("off", finding))?;
        }
        end = last.unwrap_or(u64::MAX).max(end);
        Ok(())
    })
}

fn head(
    spot: Spot<'_>,
    mode: u64,
    look: &crate::object::Look<'_>,
    chunks: Option<Option<u64>>,
    findings: &mut Findings<'_>,
) -> Result<()> {
    let mut lacks = |field: &str, what: &str| {
        let what = format!("expected {what}, found none");
        findings.add(spot.field(field, Finding::error("ghost-head", what).advice("CRIU refuses to restore it")))
    };
    match mode {
        REGULAR if chunks == Some(None) => lacks("size", "the size of a file that is stored in pieces"),
        SYMLINK if !look.has("symlnk_target") => lacks("symlnk_target", "where the symbolic link leads"),
        CHARACTER | BLOCK if !look.has("rdev") => lacks("rdev", "the number of the device"),
        _ => Ok(()),
    }
}
