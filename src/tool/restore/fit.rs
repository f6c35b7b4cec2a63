//! How many maps a plan takes, and which fragments are copied so that they are not too many.

use crate::tool::restore::plan::{Area, Fragment, What};

/// Turns the smallest fragments that could be mapped into copies, until the maps are at most `limit` or there is none
/// left to turn; of equal ones those with the lowest addresses. How many maps there are then.
pub(super) fn fit(areas: &mut [Area], limit: usize) -> usize {
    let mut maps = areas.iter().map(|area| count(&area.fragments)).fold(0, usize::saturating_add);
    if maps <= limit {
        return maps;
    }
    let mut smallest = Vec::new();
    for (number, area) in areas.iter().enumerate() {
        for (position, fragment) in area.fragments.iter().enumerate() {
            if matches!(fragment.what, What::Map { .. }) {
                smallest.push((fragment.len(), number, position));
            }
        }
    }
    // areas and fragments ascend
    smallest.sort_unstable();
    for (_, number, position) in smallest {
        if maps <= limit {
            break;
        }
        let Some(area) = areas.get_mut(number) else { continue };
        let around = position.saturating_sub(1)..position.saturating_add(2).min(area.fragments.len());
        let first = around.start == 0;
        let part = |area: &Area| counted(area.fragments.get(around.clone()).unwrap_or_default(), first);
        let before = part(area);
        if let Some(Fragment { what, .. }) = area.fragments.get_mut(position)
            && let What::Map { image, offset } = *what
        {
            *what = What::Copy { image, offset };
        }
        maps = maps.saturating_sub(before).saturating_add(part(area));
    }
    maps
}

/// What the kernel joins: each map of a file is one of its own, neighbouring memory is one, as is what stays reserved.
fn count(fragments: &[Fragment]) -> usize {
    counted(fragments, true)
}

/// How many maps begin in these fragments; with the first of them, or only behind it.
fn counted(fragments: &[Fragment], first: bool) -> usize {
    let is_file = |fragment: &Fragment| matches!(fragment.what, What::Map { .. });
    let begins = |pair: &[Fragment]| match pair {
        [before, this] => is_file(before) || is_file(this) || before.what.is_memory() != this.what.is_memory(),
        _ => false,
    };
    let behind = fragments.windows(2).filter(|pair| begins(pair)).count();
    behind.saturating_add(usize::from(first && !fragments.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Address;
    use crate::checkpoint::mm::{Backing, Prot};
    use proptest::prelude::*;

    fn area(kinds: &[(u8, u64)], start: u64) -> Area {
        let mut at = start;
        let fragments = kinds.iter().enumerate().map(|(number, (kind, pages))| {
            let from = at;
            at += pages * 4096;
            let offset = number as u64 * (1 << 30);
            let what = match kind {
                0..4 => What::Map { image: 0, offset },
                4 => What::Copy { image: 0, offset },
                5 => What::Nothing,
                _ => What::Left,
            };
            Fragment { start: Address(from), end: Address(at), what }
        });
        let fragments = fragments.collect();
        let (prot, backing) = (Prot(3), Backing::Anonymous);
        Area { start: Address(start), end: Address(at), prot, backing, fragments, huge: true }
    }

    proptest! {
        #[test]
        fn it_fits_and_small_ones_go_first(
            kinds in prop::collection::vec((0u8..7, 1u64..5), 1..40), cut in 0usize..40, limit in 0usize..40
        ) {
            let cut = cut.min(kinds.len());
            let mut areas = vec![area(&kinds[..cut], 1 << 20), area(&kinds[cut..], 1 << 30)];
            let before = areas.clone();
            let maps = fit(&mut areas, limit);
            prop_assert_eq!(maps, areas.iter().map(|area| count(&area.fragments)).sum::<usize>());
            let changed: Vec<_> = before.iter().zip(&areas)
                .flat_map(|(before, after)| before.fragments.iter().zip(&after.fragments)).collect();
            let is_map = |fragment: &Fragment| matches!(fragment.what, What::Map { .. });
            let kept = changed.iter().filter(|(_, after)| is_map(after)).map(|(_, after)| after.len()).min();
            let gone = changed.iter().filter(|(b, a)| is_map(b) && !is_map(a)).map(|(_, after)| after.len()).max();
            prop_assert!(maps <= limit || kept.is_none(), "{maps} {limit}");
            prop_assert!(gone.is_none_or(|gone| kept.is_none_or(|kept| gone <= kept)));
            prop_assert!(gone.is_none() || before.iter().map(|a| count(&a.fragments)).sum::<usize>() > limit);
        }
    }
}
