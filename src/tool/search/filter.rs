//! Where is searched: which processes, mappings and addresses.

use std::ops::Range;

use crate::checkpoint::mm::Mapping;

/// Which memory is searched; all of it by default.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The processes; all where there are none.
    pub pids: Vec<u32>,
    /// The kinds of mappings, as [`Backing::kind`](crate::checkpoint::mm::Backing::kind) calls them; all where there
    /// are none.
    pub kinds: Vec<String>,
    /// What must be allowed there: bits as `mmap` numbers them.
    pub prot: u32,
    /// Names of mappings, as [`Mapping::what`] writes them: a part of the name, or all of it with `*` and `?`. One of
    /// them must fit, if there are any.
    pub names: Vec<String>,
    /// Addresses; all where there are none.
    pub ranges: Vec<Range<u64>>,
    /// Whether memory that several processes share is searched for the first of them alone.
    pub shared_once: bool,
}

impl Filter {
    /// Whether it asks anything about mappings.
    pub(super) fn is_about_mappings(&self) -> bool {
        !self.kinds.is_empty() || self.prot != 0 || !self.names.is_empty()
    }

    /// Whether this mapping is searched.
    pub(super) fn admits(&self, mapping: &Mapping) -> bool {
        let is_kind = self.kinds.is_empty() || self.kinds.iter().any(|wanted| wanted == mapping.backing.kind());
        is_kind
            && mapping.prot.0 & self.prot == self.prot
            && (self.names.is_empty() || {
                let label = mapping.what();
                self.names.iter().any(|name| fits(name, &label))
            })
    }

    /// The addresses, ascending, those that touch as one.
    pub(super) fn ranges(&self) -> Vec<Range<u64>> {
        if self.ranges.is_empty() {
            return std::iter::once(0..u64::MAX).collect();
        }
        let mut sorted = self.ranges.clone();
        sorted.sort_unstable_by_key(|range| range.start);
        let mut merged: Vec<Range<u64>> = Vec::new();
        for range in sorted {
            match merged.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => merged.push(range),
            }
        }
        merged
    }
}

/// Whether a name is meant: as a part of it, or with `*` and `?` as a whole.
fn fits(pattern: &str, name: &str) -> bool {
    if !pattern.contains(['*', '?']) {
        return name.contains(pattern);
    }
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0usize, 0usize);
    // the last star, and where what it stands for ends
    let mut star: Option<(usize, usize)> = None;
    while let Some(c) = name.get(n) {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p = p.saturating_add(1);
                continue;
            }
            Some(wanted) if *wanted == '?' || wanted == c => {
                (p, n) = (p.saturating_add(1), n.saturating_add(1));
                continue;
            }
            _ => {}
        }
        let Some((at, end)) = star else { return false };
        star = Some((at, end.saturating_add(1)));
        (p, n) = (at.saturating_add(1), end.saturating_add(1));
    }
    pattern.get(p..).unwrap_or_default().iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_part_and_with_stars() {
        for (pattern, name, want) in [
            ("libc", "/usr/lib/libc.so.6", true),
            ("libc*", "/usr/lib/libc.so.6", false),
            ("*/libc.so.?", "/usr/lib/libc.so.6", true),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b", "xxaxxbxx", false),
            ("[heap]", "[heap]", true),
            ("?", "", false),
            ("*", "", true),
        ] {
            assert_eq!(fits(pattern, name), want, "{pattern} {name}");
        }
    }

    #[test]
    fn ranges_that_touch_are_one() {
        let filter = Filter { ranges: vec![8..9, 1..4, 3..5, 5..6], ..Filter::default() };
        assert_eq!(filter.ranges(), [1..6, 8..9]);
        assert!(Filter::default().ranges().iter().eq([&(0..u64::MAX)]));
    }
}
