//! One pagemap and its pages file, written anew.

use std::io::{BufWriter, Write};
use std::path::Path;

use bytes::Bytes;

use crate::base::{Error, Result};
use crate::checkpoint::Checkpoint;
use crate::memory::{Pages, Stored};
use crate::tool::flatten::entries::Entries;
use crate::tool::flatten::files::{Place, create};
use crate::tool::flatten::filling::From;
use crate::tool::flatten::kept::Kept;
use crate::tool::flatten::mover::Mover;
use crate::tool::flatten::object::{Object, Part, Step, What};
use crate::tool::flatten::survey::Plan;
use crate::tool::flatten::work::Work;
use crate::tool::flatten::writer::Writer;

/// How much was written.
pub(super) struct Written {
    pub(super) moved: u64,
    pub(super) written: u64,
    /// Length of both files.
    pub(super) bytes: u64,
}

/// Writes a pagemap and its pages file into `target`: `keep_blocks` as in [`Object::walk`], `aligned` as in
/// [`Entries::new`].
pub(super) fn write(
    dump: &Checkpoint,
    place: &Place<'_>,
    plan: &Plan,
    (keep_blocks, aligned): (bool, bool),
    target: &Path,
    work: &Work<'_>,
) -> Result<Written> {
    let (path, out) = create(target, plan.name.file.as_bytes(), place.rights(plan.name.file.as_bytes()))?;
    let failed = |error| Error::io("cannot write", error).in_image(path.to_string_lossy());
    let mut pagemap = BufWriter::with_capacity(BUFFER, out);
    let (pages_path, out) = create(target, plan.pages.as_bytes(), rights(dump, place, plan))?;
    let writer = Writer::new(out, &pages_path, work);
    let (length, moved, written) = match plan.kept.as_ref().filter(|_| !aligned) {
        Some(kept) => {
            pagemap.write_all(&kept.pagemap).map_err(failed)?;
            again(kept, plan.bytes, writer)?
        }
        None => {
            let object = Object::open(dump, &plan.name)?;
            pagemap.write_all(object.head()).map_err(failed)?;
            let entries = Entries::new(&mut pagemap, object.page_size(), aligned);
            walk(&object, keep_blocks, plan, entries, writer)?
        }
    };
    pagemap.flush().map_err(failed)?;
    let head = pagemap.get_ref().metadata().map_or(0, |meta| meta.len());
    Ok(Written { moved, written, bytes: head.saturating_add(length) })
}

/// Does what was kept. Gives the length of the pages file, and how much was moved and written.
fn again(kept: &Kept, bytes: u64, writer: Writer<'_>) -> Result<(u64, u64, u64)> {
    std::thread::scope(|scope| {
        let mut mover = Mover::new(scope, writer, bytes)?;
        let moved = kept.moves.iter().try_for_each(|(key, stretch)| {
            let open = || kept.files.get(key).map_or(Ok(From::Memory(Bytes::new())), From::open);
            mover.take(*key, (stretch.offset, stretch.length), stretch.at, open)
        });
        let (moved, written) = mover.finish(moved.map(|()| kept.length))?;
        Ok((kept.length, moved, written))
    })
}

/// Walks through a pagemap once more, and does what is to be done.
fn walk<W: Write>(
    object: &Object,
    keep_blocks: bool,
    plan: &Plan,
    mut entries: Entries<W>,
    writer: Writer<'_>,
) -> Result<(u64, u64, u64)> {
    let Some(pages) = &object.pages else {
        return Err(Error::usage("is kept as a file").in_image(plan.name.file.clone()));
    };
    std::thread::scope(|scope| {
        let mover = Mover::new(scope, writer, plan.bytes)?;
        let mut content = Content { pages, mover, block: Unpacked::default() };
        let walked = object.walk(keep_blocks, |step| match step {
            Step::Same(message, _) => entries.same(message),
            Step::Pages(part) => content.part(part, &mut entries),
        });
        let mut length = 0;
        let walked = walked.and_then(|_| entries.finish()).map(|(_, end)| {
            length = end;
            end
        });
        let (moved, written) = content.mover.finish(walked)?;
        Ok((length, moved, written))
    })
}

const BUFFER: usize = 256 << 10;

/// The rights that the pages of all dumps leave: who could not read some of them before cannot now.
fn rights(dump: &Checkpoint, place: &Place<'_>, plan: &Plan) -> u32 {
    let mut rights = place.rights(plan.pages.as_bytes());
    let mut level = 1;
    while let Ok(Some(ancestor)) = dump.parents().get(level) {
        rights &= match ancestor.bundle() {
            Some(_) => 0o600,
            None => super::files::rights(Path::new(ancestor.name())).map_or(0o600, |rights| rights & 0o660),
        };
        level = level.saturating_add(1);
    }
    rights
}

/// The block that was unpacked last: its neighbours often are wanted next.
#[derive(Default)]
struct Unpacked {
    place: Option<(usize, usize, u64)>,
    bytes: Vec<u8>,
}

struct Content<'p, 's, 'w> {
    pages: &'p Pages,
    mover: Mover<'s, 'w>,
    block: Unpacked,
}

impl<'s, 'w: 's> Content<'_, 's, 'w> {
    fn part<W: Write>(&mut self, part: Part<'_>, entries: &mut Entries<W>) -> Result<()> {
        let Part { vaddr, pages, style, what } = part;
        match what {
            What::Zeros => entries.plain(vaddr, pages, style).map(drop),
            What::Plain(stored) => {
                let at = entries.plain(vaddr, pages, style)?;
                stored.check()?;
                self.take(&stored, stored.len() as u64, at)
            }
            What::Block { per_block, stored, size } => {
                let at = entries.block(vaddr, pages, per_block, size, style)?;
                let Some(stored) = stored else { return Ok(()) };
                stored.check()?;
                self.take(&stored, u64::from(size), at)
            }
            What::Packed(stored) => {
                let at = entries.plain(vaddr, pages, style)?;
                let Some(packed) = stored.packed() else { return Ok(()) };
                let place = Some((stored.level, stored.part, stored.offset));
                if self.block.place != place {
                    self.block.place = None;
                    self.block.bytes.resize(packed.length, 0);
                    stored.unpack(packed, &mut self.block.bytes)?;
                    self.block.place = place;
                }
                self.mover.put(self.block.bytes.get(packed.part.clone()).unwrap_or_default(), at)
            }
        }
    }

    /// Moves stored bytes as they are.
    fn take(&mut self, stored: &Stored<'_>, length: u64, at: u64) -> Result<()> {
        let key = (stored.level, stored.part);
        let pages = self.pages;
        self.mover.take(key, (stored.offset, length), at, || match pages.file(stored) {
            Some(file) => From::open(&file),
            None => Ok(From::Memory(pages.content(stored.level, stored.part).cloned().unwrap_or_default())),
        })
    }
}
