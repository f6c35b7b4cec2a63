//! The mappings of a task, and what else the kernel keeps of its memory.

use crate::base::Address;
use crate::checkpoint::mm::{Backing, Mapping, Mm};
use crate::checkpoint::task::Task;
use crate::tool::check::Finding;
use crate::tool::check::tasks::{Look, Told, backing};

/// The bits of a mapping's flags that say what kind it is: shared, private, both (shared, checked), droppable.
const KIND: u32 = 0xf;
const KINDS: [u32; 4] = [1, 2, 3, 8];

/// What findings of one task's mappings are about.
struct At(u32);

impl At {
    fn field(&self, finding: Finding, field: impl Into<String>) -> Finding {
        finding.in_image(format!("mm-{}.img", self.0)).at_entry(0).in_field(field)
    }

    fn vma(&self, finding: Finding, number: usize, field: &str) -> Finding {
        self.field(finding, format!("vmas[{number}]{field}"))
    }
}

pub(super) fn look(look: &Look<'_>, task: &Task<'_>, told: &mut Told) {
    let Some(Some(mm)) = told.ok(task.mm()) else { return };
    let at = At(task.pid());
    mappings(look, &at, &mm, told);
    order(&at, &mm, told);
    if look.knows_files {
        for (number, mapping) in mm.mappings.iter().enumerate() {
            if let Some(finding) = backing::finding(mapping) {
                told.add(at.vma(finding, number, ".shmid"));
            }
        }
    }
}

/// Mappings ascend and don't overlap, in whole pages. Behind them may be those that guard others.
fn mappings(look: &Look<'_>, at: &At, mm: &Mm, told: &mut Told) {
    let page = look.subject.dump.page_size();
    let is_aligned = |address: u64| address.is_multiple_of(page);
    let (mut end, mut guards) = (0u64, 0u64);
    for (number, mapping) in mm.mappings.iter().enumerate() {
        let Mapping { start, end: behind, .. } = mapping;
        if start >= behind {
            let finding = Finding::error("mapping-empty", format!("expected an end behind {start}, found {behind}"));
            told.add(at.vma(finding, number, ".end").advice("CRIU cannot map it: dump again"));
            continue;
        }
        if !is_aligned(start.0) || !is_aligned(behind.0) {
            let what = format!("expected whole pages of {page} bytes, found {start} to {behind}");
            told.add(at.vma(Finding::error("mapping-aligned", what), number, ".start").advice("CRIU cannot map it"));
        }
        let is_file = matches!(mapping.backing, Backing::File(_) | Backing::Memfd(_));
        if is_file && !is_aligned(mapping.pgoff) {
            let what = format!("expected an offset of whole pages in the file, found {:#x}", mapping.pgoff);
            told.add(at.vma(Finding::error("mapping-offset", what), number, ".pgoff").advice("the kernel refuses it"));
        }
        if !KINDS.contains(&(mapping.flags.0 & KIND)) {
            let what = format!("expected a shared or a private mapping, found flags {:#x}", mapping.flags.0);
            told.add(at.vma(Finding::error("mapping-flags", what), number, ".flags").advice("the kernel refuses it"));
        }
        let end = if mapping.backing == Backing::Guard { &mut guards } else { &mut end };
        if start.0 < *end {
            let what = format!("expected an address from {} on, found {start}: mappings ascend", Address(*end));
            let finding = Finding::error("mapping-order", what);
            told.add(at.vma(finding, number, ".start").advice("CRIU maps one over the other: dump again"));
        }
        *end = (*end).max(behind.0);
    }
}

/// The kernel wants these the right way round, and refuses them else; and what it told the program comes in pairs.
fn order(at: &At, mm: &Mm, told: &mut Told) {
    let pairs = [
        ("mm_end_code", mm.code),
        ("mm_end_data", mm.data),
        ("mm_brk", mm.brk),
        ("mm_arg_end", mm.arg),
        ("mm_env_end", mm.env),
    ];
    for (field, (start, end)) in pairs {
        if start > end {
            let finding = Finding::error("mm-order", format!("expected an address from {start} on, found {end}"));
            told.add(at.field(finding, field).advice("the kernel refuses it, and CRIU stops"));
        }
    }
    if !mm.auxv.len().is_multiple_of(2) {
        let what = format!("expected pairs of kind and value, found {} words", mm.auxv.len());
        let finding = at.field(Finding::warning("auxv", what), "mm_saved_auxv");
        told.add(finding.advice("the program finds something else there than it had: who edited the image?"));
    }
}
