//! Things that belong to one another in a circle: none of them can be made first.

use std::collections::{BTreeMap, HashMap};

/// One of each circle that following `owners` runs into; each step is taken once.
pub(super) fn circles(owners: &BTreeMap<u32, u32>) -> Vec<u32> {
    let mut found = Vec::new();
    let mut seen: HashMap<u32, u32> = HashMap::with_capacity(owners.len());
    for &start in owners.keys() {
        let mut at = start;
        while let Some(&owner) = owners.get(&at) {
            match seen.get(&at) {
                Some(&by) if by == start => {
                    found.push(at);
                    break;
                }
                Some(_) => break,
                None => seen.insert(at, start),
            };
            at = owner;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_each() {
        let owners = |pairs: &[(u32, u32)]| pairs.iter().copied().collect::<BTreeMap<_, _>>();
        assert!(circles(&owners(&[(2, 1), (3, 2), (4, 2), (1, 9)])).is_empty());
        assert_eq!(circles(&owners(&[(1, 2), (2, 1), (3, 1), (5, 5), (7, 8)])), [1, 5]);
    }
}
