//! The work: windows are gathered, looked at, and written while the next is looked at.

use std::io::Write;

use zerocopy::IntoBytes;

use crate::base::report::{Cancel, Progress};
use crate::base::{Error, Result};
use crate::checkpoint::Checkpoint;
use crate::memory::{Compression, Parents};
use crate::source::bundle::Writer;
use crate::tool::convert::pages::base::Base;
use crate::tool::convert::pages::blocks::{self, Block, Shape};
use crate::tool::convert::pages::gather::{Gather, Store};
use crate::tool::convert::pages::judge::{self, Hash};
use crate::tool::convert::pages::known::Known;
use crate::tool::convert::pages::loc::Files;
use crate::tool::convert::pages::number::{Numbers, Said};
use crate::tool::convert::pages::stores;
use crate::tool::convert::pages::survey::Survey;
use crate::tool::convert::pages::window::Window;
use crate::tool::convert::pages::{PageCounts, PageOptions};
use crate::wire::v2::types;

/// Runs of a record.
const RUNS: usize = (256 << 10) / 32;
/// Bytes of pages that are looked at together; of packed ones, which are kept in memory, fewer.
const WINDOW: u64 = 32 << 20;
const WINDOW_PACKED: u64 = 8 << 20;
/// Bytes of a unit where nobody says how many.
const UNIT: u64 = 64 << 10;

/// A window that was looked at and has to be written.
struct Ready {
    said: Vec<Said>,
    blocks: Vec<Block>,
    /// Bytes of pages in it.
    bytes: u64,
}

/// What looking at windows needs.
struct Eye<'b> {
    dump: &'b Checkpoint,
    base: Option<Base<'b>>,
    known: Known,
    files: Files,
    numbers: Numbers,
    shape: Shape,
    hash: Option<Hash>,
}

/// Writes the runs of all pagemaps that `survey` found, and the image of pages, which is complete then. Nothing is
/// written where there are none. Pages that the first of `base` has, or one of its ancestors, are not written again:
/// it has to be the parent of the checkpoint that is written.
///
/// Errors: the base is another than the parent of the dump; a file cannot be read, or changed since; the target cannot be written; the work was asked to end.
pub fn write<W: Write>(
    dump: &Checkpoint,
    survey: &Survey,
    base: Option<&Parents>,
    writer: &mut Writer<W>,
    options: &PageOptions,
    (progress, cancel): (&dyn Progress, &Cancel),
) -> Result<PageCounts> {
    write_with(dump, survey, base, writer, options, (progress, cancel), judge::hash)
}

/// The same with another hash.
pub(super) fn write_with<W: Write>(
    dump: &Checkpoint,
    survey: &Survey,
    base: Option<&Parents>,
    writer: &mut Writer<W>,
    options: &PageOptions,
    (progress, cancel): (&dyn Progress, &Cancel),
    hash: Hash,
) -> Result<PageCounts> {
    if survey.plans.is_empty() {
        return Ok(PageCounts::default());
    }
    let page_size = survey.page_size;
    let pages = |bytes: u64| (bytes / page_size.max(1)).max(1);
    let unit = pages(options.unit.unwrap_or(UNIT).min(4 << 20));
    let is_packed = options.compression != Compression::None || options.decompress;
    let bundles = base.map(stores::bundles).transpose()?.unwrap_or_default();
    let base = (!bundles.is_empty()).then(|| Base::new(&bundles, page_size));
    let pages_before = base.as_ref().map_or(0, Base::pages);
    let mut eye = Eye {
        dump,
        base,
        known: Known::new(if options.share { survey.pages.saturating_add(pages_before) } else { 0 }),
        files: Files::default(),
        numbers: Numbers { page_size, next: 0, runs: 0, counts: PageCounts::default() },
        shape: Shape {
            page_size,
            compression: options.compression,
            unit: u32::try_from(unit).unwrap_or(1),
            block: pages(options.block.min(types::BLOCK_DATA)).next_multiple_of(unit),
        },
        hash: options.share.then_some(hash),
    };
    if let Some(base) = &mut eye.base {
        base.learn(eye.hash, &mut eye.known, &mut eye.files)?;
    }
    let limit = if is_packed { WINDOW_PACKED } else { WINDOW };
    let window = Window::default();
    let mut gather = Gather { dump, page_size, limit, decompress: options.decompress, window };
    let mut ready: Option<Ready> = None;
    let (mut done, total) = (0u64, survey.pages.saturating_mul(page_size));
    let mut turn = |window: Window, eye: &mut Eye| -> Result<()> {
        if cancel.is_cancelled() {
            return Err(Error::cancelled("interrupted; what was being written is not there"));
        }
        let before = ready.take();
        let written = before.as_ref().map_or(0, |before| before.bytes);
        // who writes stays in this thread, which may be the only one that can
        let mut looked = None;
        let put = rayon::in_place_scope(|scope| {
            scope.spawn(|_| looked = Some(eye.look(window)));
            before.map_or(Ok(()), |before| put(writer, before, page_size))
        });
        let written = put.map(|()| written);
        done = done.saturating_add(written?);
        progress.advance(done.min(total), total);
        ready = looked.transpose()?;
        Ok(())
    };
    for plan in &survey.plans {
        let store = Store::open(dump, plan, &mut eye.files)?;
        gather.image(plan, store.as_ref(), |window| turn(window, &mut eye))?;
    }
    turn(std::mem::take(&mut gather.window), &mut eye)?;
    if let Some(last) = ready {
        put(writer, last, page_size)?;
    }
    writer.image(types::KIND_PAGES, 0)?;
    writer.stop()?;
    progress.advance(total, total);
    Ok(eye.numbers.counts)
}

impl Eye<'_> {
    fn look(&mut self, mut window: Window) -> Result<Ready> {
        judge::unpack_all(&mut window)?;
        let page_size = usize::try_from(self.shape.page_size).unwrap_or(usize::MAX);
        let mut candidates = Vec::new();
        if let Some(base) = &mut self.base {
            base.meet(&mut window, self.dump, &mut self.files, &mut candidates)?;
        }
        let pages = judge::pages(&window, page_size);
        let verdicts = judge::judge(&pages, &candidates, self.hash, &mut self.known, &self.files);
        drop(pages);
        let (said, stored, numbers) = self.numbers.window(&window, &verdicts);
        self.known.settle(|index| numbers.get(index).copied());
        let blocks = blocks::blocks(&window, &stored, &self.shape);
        let counts = &mut self.numbers.counts;
        counts.stored_bytes = blocks.iter().fold(counts.stored_bytes, |sum, block| sum.saturating_add(block.length));
        Ok(Ready { said, blocks, bytes: window.bytes })
    }
}

/// Writes a window: first the runs, then the blocks that have their pages.
fn put<W: Write>(writer: &mut Writer<W>, ready: Ready, page_size: u64) -> Result<()> {
    for said in ready.said {
        writer.image(said.kind.number(), said.id)?;
        if let Some(begin) = said.begin {
            writer.record(types::V1_IMAGE, 1, &begin)?;
        }
        for runs in said.runs.chunks(RUNS) {
            writer.record(types::PAGE_RUN, u32::try_from(runs.len()).unwrap_or(0), runs.as_bytes())?;
        }
        for note in said.notes {
            writer.record(types::NOTE, 1, &note)?;
        }
        if said.ends {
            writer.stop()?;
        }
    }
    for block in ready.blocks {
        writer.image(types::KIND_PAGES, 0)?;
        let data = block.data.iter().map(|piece| &piece[..]);
        writer.block(&block.prefix(), block.align(page_size), data)?;
    }
    Ok(())
}
