//! Compressed pages: whether the inventory announces what pagemaps have. What it says by itself is looked at elsewhere.

use crate::base::Result;
use crate::checkpoint::Checkpoint;
use crate::image::Kind;
use crate::tool::check::Finding;
use crate::tool::check::findings::Findings;
use crate::tool::check::memory::pagemap::Described;

/// The version of images that may have compressed pages, or parents that have.
pub(super) const COMPRESSED: u32 = 3;

/// The largest block, in bytes.
const MAX_BLOCK: u64 = 4 << 20;

pub(super) fn look(
    dump: &Checkpoint,
    page_size: u64,
    described: &[Described],
    findings: &mut Findings<'_>,
) -> Result<()> {
    // what is wrong with the inventory itself others tell
    let Ok(inventory) = dump.inventory() else { return Ok(()) };
    let name = Kind::Inventory.file_name(0).unwrap_or_default();
    let version = inventory.img_version;
    let is_old = version < COMPRESSED;
    if let Some(size) = inventory.compress_block_size.map(u64::from)
        && (size == 0 || size > MAX_BLOCK || !size.is_multiple_of(page_size))
    {
        let what = format!("expected a multiple of {page_size} up to {MAX_BLOCK}, found {size}");
        let finding = Finding::warning("compress-block-size", what).in_image(name).at_entry(0);
        findings.add(finding.in_field("compress_block_size"))?;
    }
    for one in described.iter().filter(|_| is_old && inventory.compress.is_none()) {
        let Some(entry) = one.count.first_new else { continue };
        let what = format!(
            "expected plain pages, as the inventory's img_version is {version}, found blocks or aligned payload"
        );
        let finding = Finding::error("compress-version", what).in_image(one.name.as_str()).at_entry(entry);
        findings
            .add(finding.advice("the inventory is of another dump: only images of version 3 have compressed pages"))?;
    }
    Ok(())
}
