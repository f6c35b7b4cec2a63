//! Packed units of version 2: each unpacks to as many pages as it has. Their checksums are compared elsewhere.

use std::sync::Arc;

use rayon::prelude::*;

use crate::base::Result;
use crate::memory::{Located, PageBlocks, What, unpack};
use crate::source::bundle::Bundle;
use crate::tool::check::findings::Findings;
use crate::tool::check::memory::few::Few;
use crate::tool::check::{Finding, Severity, Subject};

/// Blocks that are looked at before what was found is told.
const WINDOW: usize = 256;

/// Unpacks all units of all blocks.
pub(super) fn look(
    subject: &Subject<'_>,
    bundle: &Arc<Bundle>,
    page_size: u64,
    findings: &mut Findings<'_>,
) -> Result<()> {
    let Ok(found) = bundle.blocks() else { return Ok(()) };
    let blocks = PageBlocks::new(bundle.clone());
    let mut few = Few::default();
    for from in (0..found.len()).step_by(WINDOW) {
        subject.go_on()?;
        let window = from..from.saturating_add(WINDOW).min(found.len());
        let looked: Vec<Few> = window
            .into_par_iter()
            .map_init(Vec::new, |room, index| {
                let at = found.get(index);
                at.map_or_else(Few::default, |at| block(&blocks, (at.first, at.pages), page_size, room))
            })
            .collect();
        looked.into_iter().for_each(|found| few.extend(found));
    }
    few.tell(bundle.name(), findings)
}

fn block(blocks: &PageBlocks, (first, pages): (u64, u64), page_size: u64, room: &mut Vec<u8>) -> Few {
    let mut few = Few::default();
    let (mut at, end, mut hint) = (first, first.saturating_add(pages), 0);
    while at < end {
        match blocks.locate(at, end.saturating_sub(at), page_size, &mut hint) {
            Ok(Located { pages, part, what }) => {
                if let What::Packed { codec, offset, bytes, length, .. } = what {
                    room.resize(length, 0);
                    if let Err(what) = unpack(codec, bytes, room) {
                        few.add("block-damaged", Severity::Error, || {
                            let what = format!("pages {at} to {}: {what}", at.saturating_add(pages).saturating_sub(1));
                            let finding = Finding::error("block-damaged", what).at_offset(offset);
                            let name = blocks.bundle().part_name(part);
                            finding.in_image(name).advice("these pages are lost: take the file from a copy")
                        });
                    }
                }
                at = at.saturating_add(pages.max(1));
            }
            Err((error, pages)) => {
                few.add("container-damaged", Severity::Error, || Finding::from_error("container-damaged", &error));
                at = at.saturating_add(pages.max(1));
            }
        }
    }
    few
}
