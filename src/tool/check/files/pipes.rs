//! Pipes and fifos, and what is in them.

use crate::base::Result;
use crate::checkpoint::file::FileType;
use crate::image::Kind;
use crate::tool::check::Finding;
use crate::tool::check::files::{Context, File};
use crate::tool::check::findings::Findings;
use crate::tool::check::spot::{self, Spot};

/// Bytes of a pipe that nobody has resized.
const USUAL: u64 = 65536;
const PAGE: u64 = 4096;

/// A fifo has its path in another entry, of the same number in old dumps.
pub(super) fn fifo(file: &File<'_>, findings: &mut Findings<'_>) -> Result<()> {
    // that what it names is none is told where references are looked at
    if !file.part.has("regf_id") && !file.context.roll.has(FileType::REG, file.id) {
        let what = format!("expected the path in `regf_id`, or in a file of the same number, {}, found none", file.id);
        findings.add(file.spot.mark(Finding::error("path-file", what).advice("CRIU refuses the dump")))?;
    }
    Ok(())
}

/// The pipes that files of a type are ends of.
fn ends(context: &Context<'_>, wanted: FileType, findings: &mut Findings<'_>) -> Result<Vec<u64>> {
    let mut ends = Vec::new();
    for images in &findings.ok("entry", context.subject.dump.file_images())?.unwrap_or_default() {
        spot::each(&images.image, |_, look, _| {
            if let Some((found, _, Some((_, part)))) = images.part(look)
                && found == wanted
            {
                ends.extend(part.number("pipe_id"));
            }
            Ok(())
        })?;
    }
    ends.sort_unstable();
    Ok(ends)
}

pub(super) fn data(context: &Context<'_>, findings: &mut Findings<'_>) -> Result<()> {
    for (kind, file_type) in [(Kind::PipesData, FileType::PIPE), (Kind::FifoData, FileType::FIFO)] {
        let Some(image) = spot::image(context.subject.dump, kind, 0, findings)? else { continue };
        let ends = ends(context, file_type, findings)?;
        let mut seen = Vec::new();
        spot::each(&image, |spot, look, entry| {
            let Some(pipe_id) = look.word("pipe_id") else { return Ok(()) };
            seen.push((pipe_id, entry.index()));
            if !spot::has(&ends, u64::from(pipe_id)) {
                let what = format!("expected an open file that is an end of {pipe_id:#x}, found none");
                let advice = "CRIU passes over it: the entries of both ends are lost";
                findings.add(spot.field("pipe_id", Finding::warning("pipe-data-unused", what).advice(advice)))?;
            }
            fits(spot, look.number("bytes").unwrap_or(0), look.number("size"), findings)
        })?;
        seen.sort_unstable();
        for pair in seen.windows(2) {
            if let [(before, _), (pipe_id, entry)] = pair
                && before == pipe_id
            {
                let what = format!("expected what is in each pipe once, found pipe {pipe_id:#x} again");
                let finding =
                    Finding::error("pipe-data-twice", what).advice("CRIU restores the last and loses the others");
                findings.add(Spot::new(image.name(), *entry as u64).field("pipe_id", finding))?;
            }
        }
    }
    Ok(())
}

/// CRIU fills a pipe without waiting: what does not fit ends the restore.
fn fits(spot: Spot<'_>, bytes: u64, size: Option<u64>, findings: &mut Findings<'_>) -> Result<()> {
    if let Some(size) = size.filter(|size| *size > i32::MAX.unsigned_abs().into() || *size == 0) {
        let what = format!("expected a capacity from 1 to {}, found {size}", i32::MAX);
        findings.add(spot.field("size", Finding::error("pipe-size", what).advice("the kernel refuses it")))?;
        return Ok(());
    }
    // the kernel rounds up to a power of two
    let room = size.map_or(USUAL, |size| size.max(PAGE).checked_next_power_of_two().unwrap_or(u64::MAX));
    if bytes > room {
        let what = format!("expected at most {room} bytes, which the pipe can hold, found {bytes}");
        findings.add(spot.field("bytes", Finding::error("pipe-overfull", what).advice("CRIU cannot fill it")))?;
    }
    Ok(())
}
