//! Room on the disk that a chain of dumps does not need: where a dump has a page itself, its ancestors' copies of that
//! page become holes, as `criu dedup` does it for one dump and its parent; here for the whole chain at once.
//!
//! The memory of the dump stays the same, wherever the work ends: only what it never asks for is taken away. An ancestor
//! by itself is no dump any more afterwards.

mod chain;
mod others;
mod row;
mod sweep;

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{FallocateFlags, SeekFrom, fallocate, seek};
use rustix::io::Errno;

use crate::base::report::{Cancel, Progress, Rows};
use crate::base::stage::{Recovered, Stage};
use crate::base::{Error, Result};
use crate::checkpoint::{Checkpoint, Options};
use chain::{Chain, Levels, Open, Owners};
pub use row::Freed;
use sweep::{Spare, sweep};

/// What is done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dedup {
    /// How images are read.
    pub read: Options,
    /// Says what would be freed, and changes nothing.
    pub dry_run: bool,
    /// Goes on where another dump may need the pages.
    pub force: bool,
}

/// How it went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deduped {
    /// Ancestors of the dump.
    pub ancestors: usize,
    /// Pages of them that a later dump has itself.
    pub pages: u64,
    /// Bytes of these that took room.
    pub allocated: u64,
    /// Bytes that are free now; 0 where nothing was changed.
    pub freed: u64,
    /// Other dumps that need pages of the ancestors, and what they are increments of.
    pub others: Vec<(String, String)>,
}

/// Punches holes into the pages files of the ancestors of the dump at `dir`. `out` takes a row for each file of which
/// something is not needed.
///
/// Errors: a dump of the chain is of version 2, or broken; a file cannot be written, or is used by another pagemap; the
/// file system cannot punch holes; another dump lies beside that needs the pages; asked to end. The memory of the dump
/// is then the same, too.
pub fn dedup(
    dir: &Path,
    options: &Dedup,
    (progress, cancel): (&dyn Progress, &Cancel),
    out: &mut impl Rows<Freed>,
) -> Result<Deduped> {
    let dump = Checkpoint::open_with(dir, options.read)?;
    let chain = Chain::of(&dump)?;
    if !options.dry_run {
        settled(&chain)?;
    }
    let others = others::find(&chain, &options.read)?;
    let shown = |path: &Path| path.to_string_lossy().into_owned();
    if let (Some(other), false) = (others.first(), options.force || options.dry_run) {
        let what = format!("is an increment of {} too, and would lose pages that it needs", shown(&other.parent));
        return Err(Error::usage(what).in_image(shown(&other.path)).hint("--force if it is not needed any more"));
    }
    let mut done = Deduped {
        ancestors: chain.dumps.len().saturating_sub(1),
        others: others.iter().map(|other| (shown(&other.path), shown(&other.parent))).collect(),
        ..Deduped::default()
    };
    let plan = Plan::of(&dump, &chain, options, cancel)?;
    done.pages = plan.files.values().fold(0, |sum, file| file.pages.saturating_add(sum));
    done.allocated = plan.files.values().fold(0, |sum, file| file.allocated.saturating_add(sum));
    if !options.dry_run && !plan.files.is_empty() {
        // whoever takes their place has to be there when they are gone
        for level in 0..chain.dumps.len() {
            let path = chain.path(level);
            let failed = |error| Error::io("cannot sync", error).in_image(shown(path));
            let directory = File::open(path).map_err(failed)?;
            rustix::fs::syncfs(&directory).map_err(|error| failed(error.into()))?;
        }
        punch(&dump, &chain, &plan, (progress, cancel))?;
    }
    for ((level, name), file) in plan.files {
        let now = match options.dry_run {
            true => None,
            false => Some(blocks(&chain, level, &name)?),
        };
        let freed = now.map(|now| file.before.saturating_sub(now));
        done.freed = done.freed.saturating_add(freed.unwrap_or(0));
        let dump = shown(chain.path(level));
        let (pages, bytes, allocated) = (file.pages, file.bytes, file.allocated);
        out.row(Freed { dump, level, file: name, pages, bytes, allocated, freed })?;
    }
    Ok(done)
}

/// Whether no directory of the chain was being changed when somebody ended the program that did it.
fn settled(chain: &Chain) -> Result<()> {
    for level in 0..chain.dumps.len() {
        let path = chain.path(level);
        if Stage::recover(path)? == Recovered::Finished {
            return Err(Error::usage("an interrupted change of it was finished just now: it is not what was read")
                .in_image(path.to_string_lossy())
                .hint("run it again"));
        }
    }
    Ok(())
}

/// What is spare in each file, by level and name.
#[derive(Default)]
struct Plan {
    files: BTreeMap<(usize, String), Planned>,
    bytes: u64,
}

#[derive(Default)]
struct Planned {
    pages: u64,
    bytes: u64,
    allocated: u64,
    /// Bytes that the file takes.
    before: u64,
}

impl Plan {
    /// Looks at all pagemaps of the chain and at all pages files; what would be changed can be.
    fn of(dump: &Checkpoint, chain: &Chain, options: &Dedup, cancel: &Cancel) -> Result<Self> {
        let mut plan = Self::default();
        let mut owners = Owners::default();
        for object in chain.objects() {
            go_on(cancel)?;
            let levels = chain.open(object, dump.limits())?;
            let mut looked: Vec<(u64, u64, u64)> = Vec::new();
            for (level, name) in levels.files.iter().enumerate() {
                let mut blocks = 0;
                if let Some(name) = name {
                    let path = chain.place(level, name);
                    blocks = owners.take(&path, options.force, level > 0)?.blocks();
                    chain::open(&path, level > 0 && !options.dry_run)?;
                }
                let pages = levels.pages.get(level).and_then(Option::as_ref);
                looked.push((blocks, 0, pages.map_or(4096, |pages| pages.page_size()).max(1)));
            }
            let mut open = Open::new(chain, &levels.files, false);
            sweep(&levels.pages, |spare| {
                let (Some(Some(name)), Some((blocks, seen, page_size))) =
                    (levels.files.get(spare.level), looked.get_mut(spare.level))
                else {
                    return Ok(());
                };
                let allocated = open.get(spare.level)?.map_or(0, |file| data(file, &spare, seen));
                let planned = plan.files.entry((spare.level, name.clone())).or_default();
                planned.before = blocks.saturating_mul(512);
                planned.pages = planned.pages.saturating_add(spare.length / *page_size);
                planned.bytes = planned.bytes.saturating_add(spare.length);
                planned.allocated = planned.allocated.saturating_add(allocated);
                plan.bytes = plan.bytes.saturating_add(spare.length);
                Ok(())
            })?;
        }
        Ok(plan)
    }
}

/// Bytes of a range that are no hole. `seen` is how far the file is known to have data.
fn data(file: &File, spare: &Spare, seen: &mut u64) -> u64 {
    let end = spare.offset.saturating_add(spare.length);
    let mut at = spare.offset;
    let mut sum = 0u64;
    while at < end {
        if at >= *seen {
            at = match seek(file, SeekFrom::Data(at)) {
                Ok(data) => data,
                Err(Errno::NXIO) => return sum,
                // a file system that knows no holes
                Err(_) => return sum.saturating_add(end.saturating_sub(at)),
            };
            if at >= end {
                return sum;
            }
            *seen = seek(file, SeekFrom::Hole(at)).unwrap_or(u64::MAX);
        }
        let to = end.min(*seen);
        sum = sum.saturating_add(to.saturating_sub(at));
        at = to;
    }
    sum
}

/// Bytes that a file takes on the disk.
fn blocks(chain: &Chain, level: usize, name: &str) -> Result<u64> {
    let file = chain::open(&chain.place(level, name), false)?;
    let meta = file.metadata().map_err(|error| Error::io("cannot ask for its size", error))?;
    Ok(meta.blocks().saturating_mul(512))
}

fn go_on(cancel: &Cancel) -> Result<()> {
    match cancel.is_cancelled() {
        true => Err(Error::cancelled("interrupted; the memory of the dump is as it was")),
        false => Ok(()),
    }
}

fn punch(dump: &Checkpoint, chain: &Chain, plan: &Plan, (progress, cancel): (&dyn Progress, &Cancel)) -> Result<()> {
    let mut done = 0u64;
    for object in chain.objects() {
        let Levels { pages, files } = chain.open(object, dump.limits())?;
        let mut open = Open::new(chain, &files, true);
        sweep(&pages, |spare| {
            go_on(cancel)?;
            let Some(file) = open.get(spare.level)? else { return Ok(()) };
            let how = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            let failed = |error: Errno| {
                let name = files.get(spare.level).and_then(Option::as_deref).unwrap_or_default();
                let path = chain.place(spare.level, name);
                let what = match error {
                    Errno::OPNOTSUPP | Errno::NOSYS => "its file system cannot punch holes",
                    _ => "cannot punch a hole",
                };
                Error::io(what, error).in_image(path.to_string_lossy())
            };
            while let Err(error) = fallocate(file, how, spare.offset, spare.length) {
                if error != Errno::INTR {
                    return Err(failed(error));
                }
                go_on(cancel)?;
            }
            done = done.saturating_add(spare.length);
            progress.advance(done.min(plan.bytes), plan.bytes);
            Ok(())
        })?;
    }
    Ok(())
}
