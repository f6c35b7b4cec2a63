//! The pages of a process or segment: those in the dump, and those in the dumps it is an increment of.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::base::{Error, Limits, Result};
use crate::image::{Image, Kind};
use crate::memory::cursor;
use crate::memory::file::PagesFile;
use crate::memory::level::Level;
use crate::memory::lz4::Unpacked;
use crate::memory::missing::Missing;
use crate::memory::parents::{Link, Parents};
use crate::memory::run::{Content, Data, Packed, PageBytes, Stored};
use crate::memory::runs::Runs;
use crate::memory::span::{Joined, Origin, Span, Spans};
use crate::memory::store::Store;
use crate::memory::table::{Found, Table};
use crate::memory::v2::{Located, PageBlocks, What};
use crate::source::Source;

/// The pages that a pagemap and its ancestors know of. What they don't speak of, who asks has to know: zeros, a file,
/// another segment. Who wants what the process saw asks its [`AddressSpace`](crate::checkpoint::AddressSpace).
///
/// ```
/// use icecore::{Checkpoint, Kind, memory::{PageState, Pages}};
///
/// let dump = Checkpoint::open("tests/data/tree")?;
/// let pages = Pages::open(dump.parents(), Kind::Pagemap, 100, None, dump.limits())?.expect("it has a pagemap");
/// assert!(matches!(pages.page(0x40_1000)?, Some(PageState::Stored(bytes)) if bytes[0] == 0x48));
/// assert!(pages.page(0x40_2000)?.is_none()); // its pagemap does not speak of it
/// # Ok::<(), icecore::Error>(())
/// ```
pub struct Pages {
    /// The dump's own pagemap, its parent's, and so on, as far as they refer to each other.
    pub(crate) levels: Vec<Level>,
    /// What is the matter with the dump behind the last level, where that one refers to a parent.
    end: Missing,
    /// Names of the dumps, in the order of `levels`.
    dumps: Vec<Arc<str>>,
    page_size: u64,
    table: OnceLock<Option<Table>>,
    unpacked: Unpacked,
}

impl Pages {
    /// The pages of a process ([`Kind::Pagemap`], its pid) or segment ([`Kind::PagemapShmem`], its number), in the
    /// first dump of `parents` and its ancestors. `page_size` is that of the machine that dumped; without it, it is
    /// found from the lengths of the images. `None` if the dump has no such pagemap.
    ///
    /// Errors: the dump's own pagemap cannot be opened. What is wrong with those of its ancestors shows where pages
    /// would come from them.
    pub fn open(
        parents: &Parents,
        kind: Kind,
        id: u64,
        page_size: Option<u64>,
        limits: &Limits,
    ) -> Result<Option<Self>> {
        let Some(link) = parents.link(0)? else { return Ok(None) };
        let dump: Arc<str> = link.source.name().into();
        let page_size = page_size.or_else(|| link.blocks.as_ref().map(|blocks| blocks.page_size().unwrap_or(4096)));
        let Some(level) = open(link, kind, id, "", page_size, limits)?.filter(Level::is_known) else {
            return Ok(None);
        };
        let page_size = match &level {
            Level::V1(store) => store.page_size(),
            Level::V2 { .. } => page_size.unwrap_or(4096),
        };
        let mut this = Self::new(level, dump, page_size);
        // runs of version 2 may mean any dump before
        while this.has_checksums() || this.levels.last().is_some_and(Level::goes_on) {
            let found = parents.link(this.levels.len()).and_then(|link| {
                let Some(link) = link else { return Ok(None) };
                let dump: Arc<str> = link.source.name().into();
                let prefix = format!("{dump}/");
                Ok(Some((open(link, kind, id, &prefix, Some(page_size), limits)?, dump)))
            });
            match found {
                Ok(Some((Some(level), dump))) => {
                    this.end = Missing::NoParent { dump: dump.to_string() };
                    this.levels.push(level);
                    this.dumps.push(dump);
                }
                Ok(Some((None, dump))) => {
                    this.end = Missing::NotInParent { dump: dump.to_string() };
                    break;
                }
                Ok(None) => break,
                Err(error) => {
                    this.end = Missing::Broken(error);
                    break;
                }
            }
        }
        Ok(Some(this))
    }

    fn new(level: Level, dump: Arc<str>, page_size: u64) -> Self {
        Self {
            page_size,
            levels: vec![level],
            end: Missing::NoParent { dump: dump.to_string() },
            dumps: vec![dump],
            table: OnceLock::new(),
            unpacked: Unpacked::default(),
        }
    }

    fn old(store: Store, dump: Arc<str>) -> Self {
        let page_size = store.page_size();
        Self::new(Level::V1(Box::new(store)), dump, page_size)
    }

    /// Pages that stand in a file one behind the other, as old dumps have some: `length` bytes from `start` on.
    pub(crate) fn flat(
        source: Arc<dyn Source>,
        name: &str,
        content: Bytes,
        start: u64,
        length: u64,
        page_size: u64,
    ) -> Result<Self> {
        let dump = source.name().into();
        let page_size = page_size.max(1);
        let whole = length.next_multiple_of(page_size);
        let (content, start) = if whole == length {
            (content, start)
        } else {
            // the last page is not all there: a copy has zeros behind it
            let mut copy = content.get(low(start)..).unwrap_or_default().to_vec();
            copy.truncate(low(length));
            copy.resize(low(whole), 0);
            (copy.into(), 0)
        };
        let runs = std::iter::once((0, whole / page_size)).filter(|run| run.1 > 0);
        Ok(Self::old(Store::old(source, name, content, runs, (start, 0), page_size)?, dump))
    }

    /// The pages of a process or segment in the first versions of CRIU (v0.1 to v0.4), which had no pagemaps: behind a magic, an
    /// address and a page of 4 KiB, again and again. `image` is that file.
    ///
    /// Errors: the image is of another kind.
    pub fn of_records(source: Arc<dyn Source>, image: &Image) -> Result<Self> {
        if !matches!(image.kind(), Kind::PagesOld | Kind::ShmPagesOld) {
            let what = format!("expected pages with their addresses, found {}", image.kind().name());
            return Err(Error::usage(what).in_image(image.name()));
        }
        let dump = source.name().into();
        let (records, rest) = image.body().as_chunks::<RECORD>();
        let runs = records.iter().filter_map(|record| Some((u64::from_le_bytes(*record.first_chunk()?), 1)));
        let start = (image.bytes().len() - image.body().len()) as u64 + 8;
        let mut store = Store::old(source, image.name(), image.bytes().clone(), runs, (start, 8), 4096)?;
        if !rest.is_empty() && store.fault.is_none() {
            let what = format!("expected an address and a page, {RECORD} bytes, found {}", rest.len());
            let offset = (image.bytes().len() - rest.len()) as u64;
            store.fault =
                Some(Error::format(what).at_offset(offset).in_image(image.name()).hint("the file is cut short"));
        }
        Ok(Self::old(store, dump))
    }

    /// Bytes of a page.
    pub fn page_size(&self) -> u64 {
        self.page_size
    }

    /// The dumps whose pagemaps refer to each other: the dump itself, its parent, and so on.
    pub fn dumps(&self) -> &[Arc<str>] {
        &self.dumps
    }

    /// The file that has these bytes, at their [offset](Stored::offset); `None` if they are not of these pages.
    pub fn file(&self, stored: &Stored<'_>) -> Option<PagesFile> {
        let level = self.levels.get(stored.level)?;
        // several pagemaps may call their pages file the same
        let is_own = std::ptr::eq(level.file_name(stored.part), stored.file);
        is_own.then(|| level.file(stored.part)).flatten()
    }

    /// All of a file with pages.
    pub(crate) fn content(&self, level: usize, part: usize) -> Option<&Bytes> {
        self.levels.get(level)?.content(part)
    }

    /// Whether there may be checksums of stored bytes.
    pub(crate) fn has_checksums(&self) -> bool {
        self.levels.iter().any(|level| matches!(level, Level::V2 { .. }))
    }

    /// The blocks of pages of a dump of version 2.
    pub(crate) fn blocks(&self, level: usize) -> Option<&PageBlocks> {
        self.levels.get(level)?.blocks()
    }

    /// The address behind the last page that its pagemap speaks of.
    pub fn end(&self) -> u64 {
        self.spans(0..u64::MAX).last().map_or(0, |span| span.end)
    }

    /// The runs of pages in a range of addresses, ascending, as long as they can be: stored, zero or missing. Pages
    /// that no pagemap speaks of are in none.
    pub fn runs(&self, range: Range<u64>) -> Runs<'_> {
        Runs::new(self, range)
    }

    pub(crate) fn spans(&self, range: Range<u64>) -> Joined<'_> {
        Joined::new(Spans::new(&self.levels, range.start, range.end, self.page_size))
    }

    /// The page at an address, which lies anywhere in it; `None` if no pagemap speaks of it.
    ///
    /// Errors: it is in a block that is broken.
    #[inline]
    pub fn page(&self, address: u64) -> Result<Option<PageState<'_>>> {
        let start = address & !(self.page_size.wrapping_sub(1));
        let Some(span) = self.span(start) else { return Ok(None) };
        if let Origin::Plain { level, offset } = span.origin {
            let offset = offset.saturating_add(start.saturating_sub(span.start));
            if let Some(Level::V1(store)) = self.levels.get(level)
                && let Ok(pages) = store.pages()
                && let Ok(from) = usize::try_from(offset)
                && let Some(bytes) = pages.get(from..from.saturating_add(low(self.page_size)))
            {
                return Ok(Some(PageState::Stored(PageBytes::Map(bytes))));
            }
        }
        if let Origin::Placed { level, page } = span.origin
            && let Some(blocks) = self.blocks(level)
        {
            return self.placed(blocks, level, page);
        }
        self.unusual(start)
    }

    /// The page with a number.
    fn placed<'a>(&'a self, blocks: &'a PageBlocks, level: usize, page: u64) -> Result<Option<PageState<'a>>> {
        let Located { part, what, .. } = match blocks.locate(page, 1, self.page_size, &mut 0) {
            Ok(found) => found,
            Err((error, _)) => return Ok(Some(PageState::Missing(Missing::Broken(error)))),
        };
        Ok(Some(PageState::Stored(match what {
            What::Zero => PageBytes::Zero(low(self.page_size)),
            What::Plain { bytes, seal, .. } => {
                seal.check()?;
                PageBytes::Map(bytes)
            }
            What::Packed { codec, offset, bytes, length, skip, seal } => {
                let part = (part, skip..skip.saturating_add(low(self.page_size)));
                let packed = Packed { codec, bytes, length, part: part.1 };
                let file = self.levels.get(level).map_or("", |level| level.file_name(part.0));
                let data = Data::Block(Box::new(packed));
                self.unpack(&Stored { level, part: part.0, offset, data, seal: Some(seal), file })?
            }
        })))
    }

    #[cold]
    fn unusual(&self, start: u64) -> Result<Option<PageState<'_>>> {
        let Some(run) = self.runs(start..start.saturating_add(self.page_size)).next() else { return Ok(None) };
        Ok(Some(match run.content {
            Content::Stored(stored) => PageState::Stored(self.unpack(&stored)?),
            Content::Missing(missing) => PageState::Missing(missing),
            _ => PageState::Stored(PageBytes::Zero(low(self.page_size))),
        }))
    }

    fn unpack<'a>(&self, stored: &Stored<'a>) -> Result<PageBytes<'a>> {
        match &stored.data {
            Data::Map(bytes) => {
                stored.check()?;
                Ok(PageBytes::Map(bytes))
            }
            Data::Block(packed) => {
                let block = self.unpacked.get((stored.level, stored.part, stored.offset), || {
                    let mut block = vec![0; packed.length];
                    stored.unpack(packed, &mut block).map(|()| Arc::from(block))
                })?;
                Ok(PageBytes::Block(block, packed.part.clone()))
            }
        }
    }

    /// The span with this address, or a part of it that has the address.
    #[inline]
    fn span(&self, address: u64) -> Option<Span> {
        let is_array = match self.levels.first() {
            Some(Level::V2 { runs, .. }) => {
                match runs.as_ref().and_then(|runs| runs.find(address)) {
                    Some(None) => return None,
                    Some(Some(item)) => {
                        if let cursor::What::Placed { ancestor: level, page } = item.what
                            && level < self.levels.len()
                        {
                            let behind = address.saturating_sub(item.start) >> self.page_size.trailing_zeros();
                            let origin = Origin::Placed { level, page: page.saturating_add(behind) };
                            return Some(Span { start: address, end: item.end, origin });
                        }
                    }
                    None => {}
                }
                true
            }
            _ => false,
        };
        // runs of version 2 are searched where they are
        if !is_array && let Some(table) = self.table.get_or_init(|| Table::new(self.spans(0..u64::MAX), self.page_size))
        {
            match table.find(address) {
                Found::Span(span) => return Some(span),
                Found::Nothing => return None,
                Found::Other => {}
            }
        }
        self.spans(address..address.saturating_add(1)).next()
    }

    /// Why the pages of an origin without pages are missing.
    #[cold]
    pub(crate) fn missing(&self, origin: Origin) -> Missing {
        match origin {
            Origin::Absent { level } => {
                Missing::NotInParent { dump: self.dumps.get(level).map_or_else(String::new, |dump| dump.to_string()) }
            }
            Origin::NoParent => self.end.clone(),
            Origin::Broken { level } => match self.levels.get(level).and_then(Level::fault) {
                Some(fault) => Missing::Broken(fault.clone()),
                None => Missing::Unknown,
            },
            Origin::Bad { level, batch, run } => match self.levels.get(level) {
                Some(Level::V2 { runs: Some(runs), .. }) => Missing::Broken(runs.error(batch, run)),
                _ => Missing::Unknown,
            },
            Origin::Placed { level, page } => Missing::Broken(
                Error::format(format!("expected page {page} of a dump of version 2, found images of version 1"))
                    .in_image(self.dumps.get(level).cloned().unwrap_or_default()),
            ),
            _ => Missing::Lazy,
        }
    }
}

/// An address and a page, as the first versions of CRIU wrote them.
const RECORD: usize = 8 + 4096;

/// What a pagemap says of one page.
#[derive(Clone, Debug)]
pub enum PageState<'a> {
    /// Its bytes.
    Stored(PageBytes<'a>),
    /// That it is not there.
    Missing(Missing),
}

/// Opens the pagemap of an object in one dump; `None` if the dump has none.
fn open(
    link: Link,
    kind: Kind,
    id: u64,
    prefix: &str,
    page_size: Option<u64>,
    limits: &Limits,
) -> Result<Option<Level>> {
    let Link { source, blocks } = link;
    if let Some(blocks) = blocks {
        return Level::v2(blocks, kind, id, page_size.unwrap_or(4096)).map(Some);
    }
    let Some(file) = kind.file_name(id) else { return Ok(None) };
    let name = format!("{prefix}{file}");
    let bytes = match source.open(&file) {
        Ok(bytes) => bytes,
        Err(error) if error.io_kind() == Some(std::io::ErrorKind::NotFound) => return Ok(None),
        Err(error) => return Err(error.renamed(name)),
    };
    let image = Image::of_kind(&name, kind, id, bytes, *limits)?;
    Store::open(image, source, prefix, page_size).map(|store| Some(Level::V1(Box::new(store))))
}

fn low(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}
