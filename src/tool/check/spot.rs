//! Where a rule found something: an image, an entry, the part of the entry that it looks at.

use crate::checkpoint::Checkpoint;
use crate::image::{Image, Kind};
use crate::object::Look;
use crate::tool::check::Finding;
use crate::tool::check::findings::Findings;
use crate::{Entry, Result};

/// An entry, or a part of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot<'a> {
    image: &'a str,
    entry: u64,
    /// Name of the part, empty for the entry itself.
    part: &'a str,
}

impl<'a> Spot<'a> {
    /// An entry.
    pub(super) fn entry(entry: &Entry<'a>) -> Self {
        Self { image: entry.image().name(), entry: entry.index() as u64, part: "" }
    }

    /// The entry with this number.
    pub(super) fn new(image: &'a str, entry: u64) -> Self {
        Self { image, entry, part: "" }
    }

    /// A part of the entry.
    pub(super) fn part(self, part: &'a str) -> Self {
        Self { part, ..self }
    }

    /// The finding is here.
    pub(super) fn mark(&self, finding: Finding) -> Finding {
        finding.in_image(self.image).at_entry(self.entry)
    }

    /// The finding is here, in this field.
    pub(super) fn field(&self, field: &str, finding: Finding) -> Finding {
        let field = match self.part {
            "" => field.to_owned(),
            part => format!("{part}.{field}"),
        };
        self.mark(finding).in_field(field)
    }
}

/// The image, if the dump has it. One that cannot be opened is told where entries are checked.
pub(super) fn image(dump: &Checkpoint, kind: Kind, id: u64, findings: &mut Findings<'_>) -> Result<Option<Image>> {
    Ok(findings.ok("entry", dump.find(kind, id))?.flatten())
}

/// Takes the sound entries of an image one by one, those that can be told apart.
pub(super) fn each<'i>(
    image: &'i Image,
    mut take: impl FnMut(Spot<'i>, Look<'i>, &Entry<'i>) -> Result<()>,
) -> Result<()> {
    for entry in image {
        // what is broken is told where entries are checked
        let Ok(entry) = entry else { return Ok(()) };
        take(Spot::entry(&entry), entry.look()?, &entry)?;
    }
    Ok(())
}

/// One field of all entries of an image: sorted, each value once.
pub(super) fn column(image: Option<&Image>, field: &str) -> Result<Vec<u64>> {
    let mut values = Vec::new();
    if let Some(image) = image {
        each(image, |_, look, _| {
            values.extend(look.number(field));
            Ok(())
        })?;
    }
    values.sort_unstable();
    values.dedup();
    Ok(values)
}

/// Whether a sorted list has a value.
pub(super) fn has(sorted: &[u64], value: u64) -> bool {
    sorted.binary_search(&value).is_ok()
}
