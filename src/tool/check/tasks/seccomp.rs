//! Filters of system calls: threads name them by their positions, and each names the one before it.

use crate::base::Result;
use crate::checkpoint::seccomp::SeccompFilter;
use crate::checkpoint::vitals::Vitals;
use crate::tool::check::Finding;
use crate::tool::check::findings::Findings;
use crate::tool::check::tasks::{Told, in_core};

const IMAGE: &str = "seccomp.img";

/// Bytes of an instruction of BPF, and how many a program has at most.
const INSTRUCTION: usize = 8;
const INSTRUCTIONS: usize = 4096;

/// The mode of a thread whose system calls are filtered.
const FILTER: u32 = 2;

pub(super) fn look(filters: &[SeccompFilter], findings: &mut Findings<'_>) -> Result<()> {
    for (number, filter) in filters.iter().enumerate() {
        let at = |finding: Finding, field: &str| {
            finding.in_image(IMAGE).at_entry(0).in_field(format!("seccomp_filters[{number}].{field}"))
        };
        let is_program = filter.size.is_multiple_of(INSTRUCTION) && filter.size / INSTRUCTION <= INSTRUCTIONS;
        if filter.size == 0 || !is_program {
            let what = format!(
                "expected a program of 1 to {INSTRUCTIONS} instructions of {INSTRUCTION} bytes, found {} bytes",
                filter.size
            );
            findings.add(at(Finding::error("seccomp-filter", what), "filter").advice("the kernel refuses it"))?;
        }
        let is_there = filter.prev.is_none_or(|prev| position(prev) < filters.len());
        if !is_there {
            let what = format!("expected one of {} filters, found {}", filters.len(), filter.prev.unwrap_or(0));
            findings.add(at(Finding::error("seccomp-prev", what), "prev").advice("CRIU stops at it"))?;
        }
    }
    for number in circles(filters) {
        let what = format!("expected a row of filters that ends, found that filter {number} comes before itself");
        let field = format!("seccomp_filters[{number}].prev");
        let finding = Finding::error("seccomp-circle", what).in_image(IMAGE).at_entry(0).in_field(field);
        findings.add(finding.advice("CRIU follows it for ever"))?;
    }
    Ok(())
}

fn position(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// One filter of each circle, in one walk over all.
fn circles(filters: &[SeccompFilter]) -> Vec<usize> {
    let mut found = Vec::new();
    // on which walk a filter was reached, from 1
    let mut reached = vec![0usize; filters.len()];
    for start in 0..filters.len() {
        let walk = start.saturating_add(1);
        let mut at = start;
        while let Some(reached) = reached.get_mut(at) {
            if *reached == walk {
                found.push(at);
            }
            if *reached != 0 {
                break;
            }
            *reached = walk;
            at = match filters.get(at).and_then(|filter| filter.prev) {
                Some(prev) => position(prev),
                None => break,
            };
        }
    }
    found
}

/// The filter that a thread names.
pub(super) fn thread(filters: &[SeccompFilter], tid: u32, vitals: &Vitals, told: &mut Told) {
    let Some(filter) = vitals.seccomp_filter.filter(|_| vitals.seccomp_mode == FILTER) else { return };
    if position(filter) >= filters.len() {
        let what = format!("expected one of {} filters, found {filter}", filters.len());
        let finding = in_core(Finding::error("seccomp-missing", what), tid).in_field("thread_core.seccomp_filter");
        told.add(finding.advice("seccomp.img is lost or is that of another dump: CRIU stops"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circles_are_found_once() {
        let of = |prevs: &[Option<u32>]| {
            let filters: Vec<_> =
                prevs.iter().map(|prev| SeccompFilter { prev: *prev, ..SeccompFilter::default() }).collect();
            circles(&filters)
        };
        assert!(of(&[None, Some(0), Some(1), Some(0)]).is_empty());
        assert_eq!(of(&[Some(0)]), [0]);
        assert_eq!(of(&[Some(1), Some(2), Some(0), Some(0), Some(9)]), [0]);
        assert_eq!(of(&[Some(1), Some(0), Some(3), Some(2)]), [0, 2]);
    }
}
