//! Searching the memory of processes: for bytes, text and regular expressions, and for strings.
//!
//! Consecutive addresses whose bytes are in the dump are searched as one, whatever they are made of: pages, entries of
//! the pagemap, mappings that touch, parents. What is not in the dump parts them (a gap, a page of a mapped file, one
//! that is missing), and so does what the [`Filter`] leaves out: a match lies wholly in what is searched.
//!
//! Memory that nobody touched is zeros, and of these only what is next to stored bytes counts: as many as a match can
//! reach into, and at most 4096 where an expression has no upper bound. So a pattern with a byte that is not zero finds
//! all there is; one of zeros alone finds those in or at stored pages, and not the GiB behind them.
//!
//! Memory that processes share is searched for each of them, unless the filter says otherwise.

mod batch;
mod drive;
pub mod encoding;
pub mod excerpt;
pub mod filter;
mod gaps;
pub mod grain;
mod once;
pub mod pattern;
mod piece;
pub mod row;
mod scan;
pub mod strings;
mod window;

pub use encoding::Encoding;
pub use excerpt::{Excerpt, Place};
pub use filter::Filter;
pub use grain::Grain;
pub use pattern::Pattern;
pub use row::{Count, Match};

use drive::drive;
use row::{Counts, Matches};
use scan::Scan;

use crate::base::Result;
use crate::base::report::{Cancel, Progress, Rows};
use crate::checkpoint::Checkpoint;

/// What to look for, and where.
#[derive(Clone, Debug)]
pub struct Search {
    /// What.
    pub pattern: Pattern,
    /// Where.
    pub filter: Filter,
    /// So many bytes around each match are shown.
    pub context: u64,
    /// The search ends with so many matches.
    pub max: Option<u64>,
    /// How the work is cut.
    pub grain: Grain,
}

/// How a search went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Matches.
    pub found: u64,
    /// Bytes that were not searched.
    pub unsearched: Unsearched,
}

/// Bytes that were not searched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unsearched {
    /// Those that should be in the dump and cannot be read; each is told as a problem.
    pub bytes: u64,
    /// Those that mapped files have: no dump has them.
    pub in_files: u64,
}

/// Every match, by process and address. What cannot be searched is told to `out`, with how many bytes it is.
///
/// ```
/// use icecore::Checkpoint;
/// use icecore::base::report::{Cancel, Collect, Silent};
/// use icecore::tool::search::{Filter, Grain, Pattern, Search, search};
///
/// let dump = Checkpoint::open("tests/data/tree")?;
/// let pattern = Pattern::text("/srv/tree", false)?;
/// let filter = Filter { pids: vec![100], kinds: vec!["stack".to_owned()], ..Filter::default() };
/// let wanted = Search { pattern, filter, context: 16, max: None, grain: Grain::default() };
/// let mut found = Collect::default();
/// let summary = search(&dump, &wanted, (&Silent, &Cancel::default()), &mut found)?;
/// assert_eq!((summary.found, found.rows[0].length), (2, 9));
/// # Ok::<(), icecore::Error>(())
/// ```
///
/// Errors: there is no such process, the tasks cannot be listed, `out` ends the search, or it was cancelled.
pub fn search(
    dump: &Checkpoint,
    search: &Search,
    control: (&dyn Progress, &Cancel),
    out: &mut impl Rows<Match>,
) -> Result<Summary> {
    let mut scan = Scan::new(search, Matches::new(search.context, search.max));
    if search.max == Some(0) {
        return Ok(Summary::default());
    }
    let unsearched = drive(dump, &search.filter, &mut scan, control, out)?;
    Ok(Summary { found: scan.taker.found, unsearched })
}

/// How many matches begin in each mapping, those without any left out. `context` and `max` mean nothing here.
///
/// Errors: as [`search`].
pub fn count(
    dump: &Checkpoint,
    search: &Search,
    control: (&dyn Progress, &Cancel),
    out: &mut impl Rows<Count>,
) -> Result<Summary> {
    let mut scan = Scan::new(search, Counts::default());
    let unsearched = drive(dump, &search.filter, &mut scan, control, out)?;
    Ok(Summary { found: scan.taker.found, unsearched })
}
