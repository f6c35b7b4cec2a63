//! Hostile records in sound frames: any bytes as records of any type in images of any kind, framed and summed as they
//! should be. Whatever is asked of the checkpoint has an answer or an error; what is read of memory by lookup is what is
//! read by runs.
#![no_main]

use icecore::checkpoint::AddressSpace;
use icecore::memory::{Content, Page};
use icecore::object::upgrade::V1Files;
use icecore::source::bundle::{Bundle, Writer};
use icecore::wire::v2::block::{Codec, Prefix};
use icecore::wire::v2::types;
use icecore::{Checkpoint, Kind, Limits};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits { memory: 8 << 20, depth: 100, files: 100, spool: 1 << 20, parents: 10, scan: 4096 };

#[derive(Arbitrary, Debug)]
enum Step<'a> {
    /// A record of any type.
    Record {
        object_type: u8,
        count: u8,
        payload: &'a [u8],
    },
    /// Runs of pages: address, pages, first page, flags.
    Runs(Vec<(u8, u8, u8, u16)>),
    /// Pages: the first, how many, what they are filled with, and how.
    Block {
        first: u8,
        pages: u8,
        fill: u8,
        codec: u8,
        unit: u8,
        sums: u8,
        extra: &'a [u8],
    },
    /// Another image: kind, number.
    Image(u8, u8),
    Stop,
}

const PAGE: usize = 4096;

fn bundle(steps: &[Step<'_>]) -> Option<Vec<u8>> {
    let mut writer = Writer::new(Vec::new(), 7);
    writer.image(types::KIND_CHECKPOINT, 0).ok()?;
    for step in steps {
        match step {
            Step::Image(kind, id) => {
                let kind = match kind {
                    0..=92 => u32::from(*kind),
                    93..=150 => Kind::Pagemap.number(),
                    151..=220 => types::KIND_PAGES,
                    _ => types::KIND_FILE,
                };
                let id = if kind == types::KIND_PAGES { 0 } else { u64::from(*id % 4) };
                let _ = writer.image(kind, id);
            }
            Step::Record { object_type, count, payload } => {
                let _ = writer.record(u32::from(*object_type), u32::from(*count), payload);
            }
            Step::Runs(runs) => {
                let mut payload = Vec::new();
                for (vaddr, pages, page, flags) in runs {
                    payload.push(0x09);
                    payload.extend((u64::from(*vaddr) * PAGE as u64).to_le_bytes());
                    payload.push(0x11);
                    payload.extend(u64::from(*pages).to_le_bytes());
                    payload.push(0x19);
                    payload.extend(if *page == 255 { u64::MAX } else { u64::from(*page) }.to_le_bytes());
                    payload.push(0x25);
                    payload.extend(u32::from(*flags).to_le_bytes());
                }
                let _ = writer.record(types::PAGE_RUN, u32::try_from(runs.len()).ok()?, &payload);
            }
            Step::Block { first, pages, fill, codec, unit, sums, extra } => {
                let (pages, unit) = (u32::from(*pages % 8), u32::from(*unit % 8));
                let data = vec![*fill; pages as usize * PAGE];
                let mut stored = Vec::new();
                let mut sizes = Vec::new();
                let codec = Codec::from_number(u32::from(codec % 3))?;
                for piece in data.chunks(unit.max(1) as usize * PAGE) {
                    let packed = match codec {
                        Codec::Raw => piece.to_vec(),
                        Codec::Lz4 => lz4_flex::block::compress(piece),
                        Codec::Zstd => extra.to_vec(),
                    };
                    if codec != Codec::Raw {
                        sizes.push(u32::try_from(packed.len()).ok()?);
                    }
                    stored.extend(packed);
                }
                if codec == Codec::Raw {
                    stored.extend_from_slice(extra);
                }
                let sums: Vec<u32> = (0..u32::from(sums % 4)).map(|n| n.wrapping_mul(u32::from(*fill))).collect();
                let length = stored.len() as u64;
                let first = u64::from(*first);
                let prefix = Prefix { first, pages, codec, unit, sizes: &sizes, sums: &sums, length };
                let _ = writer.block(&prefix, PAGE as u64, [&stored[..]]);
            }
            Step::Stop => drop(writer.stop()),
        }
    }
    Some(writer.finish(&[]).ok()?.0)
}

/// Lookups and runs say the same of each page.
fn memory(space: &AddressSpace) {
    let mut scratch = Vec::new();
    let mut pages = 0u64;
    for run in space.runs(0..u64::MAX) {
        pages += 1;
        let found = space.page(run.start);
        match (&run.content, found) {
            (Content::Stored(stored), Ok(Page::Stored(bytes))) => {
                if let Ok(all) = stored.bytes(&mut scratch) {
                    assert!(all.starts_with(&bytes) || all.len() < bytes.len(), "{:#x}", run.start);
                }
            }
            (Content::Stored(stored), Err(_)) => assert!(stored.bytes(&mut scratch).is_err(), "{:#x}", run.start),
            (Content::Zero, Ok(Page::Zero)) | (Content::Missing(_), Ok(Page::Missing(_))) => {}
            (Content::Zero, Ok(Page::Stored(bytes))) => assert!(bytes.iter().all(|byte| *byte == 0)),
            (content, found) => {
                assert!(matches!(found, Err(_)), "{:#x}: {content:?}, by lookup {:?}", run.start, found.is_ok());
            }
        }
        if pages > 4096 {
            break;
        }
    }
}

fuzz_target!(|steps: Vec<Step<'_>>| {
    let Some(bytes) = bundle(&steps) else { return };
    let Ok(bundle) = Bundle::from_bytes("fuzz", bytes.into(), LIMITS) else { return };
    let Ok(files) = V1Files::open(bundle, icecore::base::map::Access::Read) else { return };
    for entry in files.entries() {
        let _ = files.content(&entry.name).is_ok();
    }
    let dump = Checkpoint::from_v1_files(files);
    let _ = (dump.inventory().is_ok(), dump.census().is_ok(), dump.page_size(), dump.mounts().is_ok());
    for kind in [Kind::Pagemap, Kind::PagemapShmem] {
        for name in dump.images_of(kind) {
            if kind == Kind::PagemapShmem
                && let Ok(space) = dump.segment(name.id)
            {
                memory(&space);
            }
        }
    }
    let Ok(tasks) = dump.tasks() else { return };
    for task in tasks.items {
        let _ = (task.core().is_ok(), task.fds().is_ok(), task.mm().is_ok());
        if let Ok(Some(space)) = task.address_space() {
            memory(&space);
        }
    }
});
