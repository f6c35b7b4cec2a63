//! Memory with a descriptor: its size, name and seals, and whose its content is.

use crate::base::Result;
use crate::checkpoint::file::FileType;
use crate::image::Kind;
use crate::object::Look;
use crate::tool::check::Finding;
use crate::tool::check::files::Context;
use crate::tool::check::findings::Findings;
use crate::tool::check::spot::{self, Spot};

/// Bytes of the longest name.
const NAME: usize = 249;

/// Seals that there are.
const SEALS: u64 = 0x3f;

/// In the flags of huge pages: which size, as a power of two.
const HUGE_SHIFT: u32 = 26;
const HUGE_USUAL: u64 = 1 << 21;

pub(super) fn look(context: &Context<'_>, findings: &mut Findings<'_>) -> Result<()> {
    let dump = context.subject.dump;
    let Some(image) = spot::image(dump, Kind::MemfdInode, 0, findings)? else { return Ok(()) };
    let used = inodes(context, findings)?;
    let mut shmids = Vec::new();
    spot::each(&image, |spot, look, entry| {
        one(spot, &look, findings)?;
        // without content nothing is kept under the number
        if let Some(shmid) = look.word("shmid").filter(|_| look.number("size").is_some_and(|size| size != 0)) {
            shmids.push((shmid, entry.index()));
            let has = [Kind::PagemapShmem, Kind::ShmPagesOld].iter().any(|kind| dump.has(*kind, u64::from(shmid)));
            if !has {
                let name = Kind::PagemapShmem.file_name(u64::from(shmid)).unwrap_or_default();
                let what = format!("expected its content in {name}, found no such image");
                let finding =
                    Finding::error("memfd-content", what).advice("CRIU refuses the dump: the content is lost");
                findings.add(spot.field("shmid", finding))?;
            }
        }
        match look.number("inode_id") {
            Some(id) if !spot::has(&used, id) => {
                let what = format!("expected an open file or a mapping of memfd {id}, found none");
                let finding = Finding::warning("memfd-unused", what).advice("CRIU passes over it");
                findings.add(spot.field("inode_id", finding))
            }
            _ => Ok(()),
        }
    })?;
    shmids.sort_unstable();
    for pair in shmids.windows(2) {
        if let [(before, _), (shmid, entry)] = pair
            && before == shmid
        {
            let what = format!("expected memory of its own for each, found pagemap-shmem-{shmid}.img for another too");
            let advice = "the number is an inode's cut to 32 bits: one of the two gets the other's content";
            let spot = Spot::new(image.name(), *entry as u64);
            findings.add(spot.field("shmid", Finding::error("memfd-shmid", what).advice(advice)))?;
        }
    }
    Ok(())
}

/// The memory that open files lead to.
fn inodes(context: &Context<'_>, findings: &mut Findings<'_>) -> Result<Vec<u64>> {
    let mut used = Vec::new();
    let Some(images) = findings.ok("entry", context.subject.dump.file_images())? else { return Ok(used) };
    for images in &images {
        spot::each(&images.image, |_, look, _| {
            if let Some((FileType::MEMFD, _, Some((_, part)))) = images.part(look) {
                used.extend(part.number("inode_id"));
            }
            Ok(())
        })?;
    }
    used.sort_unstable();
    Ok(used)
}

fn one(spot: Spot<'_>, look: &Look<'_>, findings: &mut Findings<'_>) -> Result<()> {
    let size = look.number("size").unwrap_or(0);
    let huge = look.number("hugetlb_flag").unwrap_or(0);
    let unit = match huge >> HUGE_SHIFT & 0x3f {
        _ if huge == 0 => 1,
        0 => HUGE_USUAL,
        shift => 1u64.checked_shl(u32::try_from(shift).unwrap_or(u32::MAX)).unwrap_or(u64::MAX),
    };
    if size > i64::MAX.unsigned_abs() || !size.is_multiple_of(unit) {
        let what = format!("expected a size that is a multiple of {unit}, found {size}");
        let finding = Finding::error("memfd-size", what).advice("the kernel gives no memfd this size");
        findings.add(spot.field("size", finding))?;
    }
    let name = look.bytes("name").unwrap_or_default();
    if name.len() > NAME || name.contains(&0) {
        let what = format!("expected a name of at most {NAME} bytes without a NUL, found {} bytes", name.len());
        let finding = Finding::error("memfd-name", what).advice("the kernel refuses the name");
        findings.add(spot.field("name", finding))?;
    }
    let seals = look.number("seals").unwrap_or(0);
    if seals & !SEALS != 0 {
        let what = format!("expected seals out of {SEALS:#x}, found {seals:#x}");
        let finding = Finding::error("memfd-seals", what).advice("the kernel refuses seals that it does not know");
        findings.add(spot.field("seals", finding))?;
    }
    Ok(())
}
