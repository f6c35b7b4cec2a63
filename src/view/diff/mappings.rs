//! What differs between the mappings of two tasks.
//!
//! A mapping of the second dump is that of the first which begins at the same address, or else ends at the same, or
//! else overlaps it and maps the same.

use std::collections::HashMap;

use serde::Serialize;

use crate::base::report::{Cell, Column, Row, Rows};
use crate::base::{Address, Name, Result};
use crate::checkpoint::file::Remap;
use crate::checkpoint::mm::{Backing, Mapping};
use crate::view::diff::change::{Change, Facts, Field, text};
use crate::view::diff::of;
use crate::view::diff::pairs::{Pairs, comm};
use crate::view::diff::summary::Tally;

/// A mapping that differs.
#[derive(Clone, Debug, Serialize)]
pub struct MappingDiff {
    /// What became of it.
    pub change: Change,
    /// The task in the first dump.
    pub pid: u32,
    /// The task in the second.
    pub pid_b: u32,
    /// Its command.
    pub comm: Name,
    /// First address, in the first dump that has it.
    pub start: Address,
    /// The address behind the last.
    pub end: Address,
    /// What is mapped, in one line.
    pub what: String,
    /// What differs; `size` where it grew or shrank.
    pub fields: Vec<Field>,
}

impl Row for MappingDiff {
    const COLUMNS: &'static [Column] = &[
        Column::text("MAPPING", 0),
        Column::number("PID", 0),
        Column::number("START", 0),
        Column::number("END", 0),
        Column::long("WHAT", 0),
        Column::long("DIFFERENCE", 0),
    ];

    fn cells(&self) -> Vec<Cell> {
        vec![
            Cell::text(self.change.name()),
            Cell::text(self.pid),
            Cell::text(format_args!("{:x}", self.start.0)),
            Cell::text(format_args!("{:x}", self.end.0)),
            Cell::text(&self.what),
            Cell::text(text(&self.fields)),
        ]
    }
}

/// Compares the mappings of the tasks that are in both dumps.
pub(super) fn mappings<R>(
    pairs: &Pairs<'_>,
    out: &mut impl Rows<R>,
    mut each: impl FnMut(MappingDiff),
) -> Result<Tally> {
    let mut tally = Tally::default();
    for (task, other) in pairs.both.iter().filter(|(task, other)| task.is_known() && other.is_known()) {
        let mappings = (of(task.dump, task.mappings()), of(other.dump, other.mappings()));
        let (Some(these), Some(those)) = (out.ok(mappings.0)?, out.ok(mappings.1)?) else { continue };
        let matches = matches(&these, &those);
        let mut is_matched = vec![false; those.len()];
        let mut found: Vec<(Change, &Mapping, Vec<Field>)> = Vec::new();
        for (mapping, place) in these.iter().zip(matches) {
            let that = place.and_then(|place| {
                if let Some(is_matched) = is_matched.get_mut(place) {
                    *is_matched = true;
                }
                those.get(place)
            });
            match that {
                None => found.push((Change::Gone, mapping, Vec::new())),
                Some(that) => {
                    let fields = if mapping == that { Vec::new() } else { facts(mapping).against(facts(that)) };
                    if fields.is_empty() {
                        tally.same = tally.same.saturating_add(1);
                    } else {
                        found.push((Change::Changed, mapping, fields));
                    }
                }
            }
        }
        let added = those.iter().zip(is_matched).filter(|(_, is_matched)| !is_matched);
        found.extend(added.map(|(mapping, _)| (Change::Added, mapping, Vec::new())));
        found.sort_by_key(|(_, mapping, _)| mapping.start);
        let comm = if found.is_empty() { None } else { comm(task).or_else(|| comm(other)) }.unwrap_or_default();
        for (change, mapping, fields) in found {
            tally.count(change);
            each(MappingDiff {
                change,
                pid: task.pid(),
                pid_b: other.pid(),
                comm: comm.clone(),
                start: mapping.start,
                end: mapping.end,
                what: mapping.what(),
                fields,
            });
        }
    }
    Ok(tally)
}

fn facts(mapping: &Mapping) -> Facts {
    let mut facts = Facts::default();
    facts.add("start", mapping.start);
    facts.add("end", mapping.end);
    facts.add("size", mapping.size());
    facts.add("prot", mapping.prot);
    facts.add("shared", mapping.flags.is_shared());
    facts.add("backing", mapping.backing.kind());
    // which segment it is only numbers say that are given anew
    if let Backing::File(name) | Backing::Memfd(name) = &mapping.backing {
        facts.add("name", name);
        facts.add("deleted", matches!(mapping.remap, Some(Remap::Ghost(_) | Remap::Linked(_))));
    }
    if matches!(mapping.backing, Backing::File(_) | Backing::Memfd(_) | Backing::Shared | Backing::SysV) {
        facts.add("pgoff", mapping.pgoff);
    }
    facts.add("vm_flags", mapping.vm_flags());
    facts
}

/// For each of `these` which of `those` it is.
fn matches(these: &[Mapping], those: &[Mapping]) -> Vec<Option<usize>> {
    let mut found = vec![None; these.len()];
    let mut free = vec![true; those.len()];
    // guards lie in other mappings
    let is_guard = |mapping: &Mapping| mapping.backing == Backing::Guard;
    let keys: [fn(&Mapping) -> Address; 2] = [|mapping| mapping.start, |mapping| mapping.end];
    for key in keys {
        let mut by_key: HashMap<(Address, bool), usize> = HashMap::new();
        for (position, mapping) in those.iter().enumerate().filter(|(position, _)| free.get(*position) == Some(&true)) {
            by_key.insert((key(mapping), is_guard(mapping)), position);
        }
        for (mapping, found) in these.iter().zip(&mut found).filter(|(_, found)| found.is_none()) {
            *found = by_key.remove(&(key(mapping), is_guard(mapping)));
            if let Some(free) = found.and_then(|position| free.get_mut(position)) {
                *free = false;
            }
        }
    }
    let mut order: Vec<usize> = (0..those.len()).filter(|position| free.get(*position) == Some(&true)).collect();
    order.sort_by_key(|position| those.get(*position).map(|mapping| mapping.start));
    let mut waiting: Vec<(&Mapping, &mut Option<usize>)> =
        these.iter().zip(&mut found).filter(|(_, found)| found.is_none()).collect();
    waiting.sort_by_key(|(mapping, _)| mapping.start);
    let mut order = order.into_iter().peekable();
    for (mapping, found) in waiting {
        while let Some(that) = order.peek().and_then(|position| those.get(*position)) {
            if that.start >= mapping.end {
                break;
            }
            let is_one = that.end > mapping.start && that.backing == mapping.backing;
            let position = order.next();
            if is_one {
                *found = position;
                break;
            }
        }
    }
    found
}
