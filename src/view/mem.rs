//! The memory of tasks by mapping: how much of each is in the dump, and where the rest is.

use serde::Serialize;

use crate::base::report::{Cell, Column, Once, Row, Rows};
use crate::base::{Address, Listing, Result};
use crate::checkpoint::mm::{Mapping, Prot};
use crate::checkpoint::{AddressSpace, Checkpoint};
use crate::memory::{Content, Run};
use crate::view::Of;

/// Where the bytes of a range of addresses are. Each counts once: together they are all that can be asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Places {
    /// In this dump, as pages of the task itself.
    pub here: u64,
    /// In the dumps this one is an increment of, as pages of the task itself.
    pub in_parents: u64,
    /// In a segment of shared memory, whichever dump has that.
    pub shared: u64,
    /// Nowhere, since they are zeros.
    pub zero: u64,
    /// In the file that is mapped, and not in the dump.
    pub file: u64,
    /// Nowhere, and it is not known what they were.
    pub missing: u64,
}

impl Places {
    fn add(&mut self, other: Self) {
        self.here = self.here.saturating_add(other.here);
        self.in_parents = self.in_parents.saturating_add(other.in_parents);
        self.shared = self.shared.saturating_add(other.shared);
        self.zero = self.zero.saturating_add(other.zero);
        self.file = self.file.saturating_add(other.file);
        self.missing = self.missing.saturating_add(other.missing);
    }

    fn sum(self) -> u64 {
        [self.here, self.in_parents, self.shared, self.zero, self.file, self.missing]
            .into_iter()
            .fold(0, u64::saturating_add)
    }

    /// Adds a run; `is_shared` is asked whether stored bytes are a segment's.
    fn count(&mut self, run: &Run<'_>, is_shared: impl FnOnce() -> bool) {
        let place = match &run.content {
            Content::Stored(_) if is_shared() => &mut self.shared,
            Content::Stored(stored) if stored.level() == 0 => &mut self.here,
            Content::Stored(_) => &mut self.in_parents,
            Content::Zero => &mut self.zero,
            Content::File { .. } => &mut self.file,
            Content::Missing(_) => &mut self.missing,
        };
        *place = place.saturating_add(run.len());
    }
}

/// A mapping, or another part of memory, and where its bytes are.
#[derive(Clone, Debug, Serialize)]
pub struct Mem {
    /// The task; `None` for a segment.
    pub pid: Option<u32>,
    /// What the row is about.
    pub of: Of,
    /// First address; in a segment, the offset. `None` in a total.
    pub start: Option<Address>,
    /// The address behind the last.
    pub end: Option<Address>,
    /// Its bytes.
    pub size: u64,
    /// Protection.
    pub prot: Option<Prot>,
    /// Whether writes reach others who map the same.
    pub is_shared: bool,
    /// What it is: `[heap]`, a path.
    pub what: String,
    /// Where its bytes are.
    #[serde(flatten)]
    pub places: Places,
    #[serde(skip)]
    is_odd: bool,
}

impl Row for Mem {
    const COLUMNS: &'static [Column] = &[
        Column::number("PID", 1),
        Column::number("START", 0),
        Column::number("END", 1),
        Column::number("SIZE", 1),
        Column::text("PROT", 2),
        Column::number("HERE", 0),
        Column::number("PARENTS", 0),
        Column::number("SHARED", 0),
        Column::number("ZERO", 0),
        Column::number("FILE", 0),
        Column::number("MISSING", 0),
        Column::long("WHAT", 0),
    ];

    fn cells(&self) -> Vec<Cell> {
        let size = |bytes: u64| if bytes == 0 { Cell::Empty } else { Cell::Size(bytes) };
        let address = |address: Option<Address>| Cell::maybe(address.map(|address| format!("{:x}", address.0)));
        let shared = if self.is_shared { "s" } else { "p" };
        let places = &self.places;
        vec![
            Cell::maybe(self.pid),
            address(self.start),
            address(self.end),
            Cell::Size(self.size),
            Cell::maybe(self.prot.map(|prot| format!("{prot}{shared}"))),
            size(places.here),
            size(places.in_parents),
            size(places.shared),
            size(places.zero),
            size(places.file),
            match places.missing {
                0 => Cell::Empty,
                bytes => Cell::Odd(crate::base::Size(bytes).to_string().into()),
            },
            if self.is_odd { Cell::Odd(self.what.clone().into()) } else { Cell::Text(self.what.clone().into()) },
        ]
    }
}

/// The memory of one task, or of all, a row for each mapping and one for the whole.
///
/// Errors: the tasks cannot be listed, there is no such task, or `out` ends the question.
pub fn mem(dump: &Checkpoint, pid: Option<u32>, out: &mut impl Rows<Mem>) -> Result<()> {
    let Listing { items: tasks, problems } = dump.tasks_or_one(pid)?;
    out.problems(problems)?;
    let out = &mut Once::new(out);
    let mut is_empty = true;
    for task in &tasks {
        match out.ok(task.address_space())? {
            Some(Some(space)) => {
                is_empty = false;
                out.problems(space.problems().iter().cloned())?;
                of_task(task.pid(), &space, out)?;
            }
            Some(None) => {}
            None => is_empty = false,
        }
    }
    if is_empty { out.note(&dump.why_none("memory", pid)) } else { Ok(()) }
}

/// The memory of a segment, in one row.
///
/// Errors: the dump has no such segment, its pagemap cannot be read, or `out` ends the question.
pub fn segment(dump: &Checkpoint, id: u64, out: &mut impl Rows<Mem>) -> Result<()> {
    let mut row = Mem { of: Of::Segment, what: format!("[shared {id}]"), is_shared: true, ..empty(None) };
    let mut end = 0;
    for run in dump.segment(id)?.runs(0..u64::MAX) {
        row.places.count(&run, || true);
        end = run.end;
    }
    (row.start, row.end, row.size) = (Some(Address(0)), Some(Address(end)), end);
    out.row(row)
}

fn empty(pid: Option<u32>) -> Mem {
    Mem {
        pid,
        of: Of::Total,
        start: None,
        end: None,
        size: 0,
        prot: None,
        is_shared: false,
        what: "total".to_owned(),
        places: Places::default(),
        is_odd: false,
    }
}

fn of_task(pid: u32, space: &AddressSpace, out: &mut impl Rows<Mem>) -> Result<()> {
    let mappings = space.mappings();
    let mut places = vec![Places::default(); mappings.len()];
    let mut elsewhere = empty(Some(pid));
    for run in space.runs(0..u64::MAX) {
        let number = space.mapping_number(run.start);
        match number.and_then(|number| Some((mappings.get(number)?, places.get_mut(number)?))) {
            Some((mapping, places)) => places.count(&run, || is_shared(space, mapping, &run)),
            None => {
                elsewhere.places.count(&run, || false);
                elsewhere.start.get_or_insert(Address(run.start));
                elsewhere.end = Some(Address(run.end));
            }
        }
    }
    let mut total = empty(Some(pid));
    for (mapping, places) in mappings.iter().zip(places) {
        total.size = total.size.saturating_add(mapping.size());
        total.places.add(places);
        out.row(Mem {
            of: Of::Mapping,
            start: Some(mapping.start),
            end: Some(mapping.end),
            size: mapping.size(),
            prot: Some(mapping.prot),
            is_shared: mapping.flags.is_shared(),
            what: mapping.what(),
            places,
            is_odd: mapping.is_lost(),
            ..empty(Some(pid))
        })?;
    }
    let known = elsewhere.places.sum();
    if known > 0 {
        (elsewhere.of, elsewhere.size) = (Of::Elsewhere, known);
        elsewhere.what = if space.is_known() { "[not mapped]" } else { "[mappings are not known]" }.to_owned();
        elsewhere.is_odd = space.is_known();
        total.size = total.size.saturating_add(known);
        total.places.add(elsewhere.places);
        out.row(elsewhere)?;
    }
    out.row(total)
}

/// Whether the stored bytes of a run are a segment's. Of a private mapping of one, the task has those that it wrote to.
fn is_shared(space: &AddressSpace, mapping: &Mapping, run: &Run<'_>) -> bool {
    let is_segment = mapping.backing.is_segment();
    let own = || space.own().and_then(|own| own.runs(run.start..run.start.saturating_add(1)).next());
    is_segment && (mapping.flags.is_shared() || own().is_none())
}
