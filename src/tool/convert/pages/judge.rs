//! Which pages of a window are zero, which are equal to others, and which have to be stored.

use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, IntoParallelRefMutIterator, ParallelIterator};

use bytes::Bytes;

use crate::base::{Error, Result};
use crate::memory::unpack;
use crate::tool::convert::pages::base::Candidate;
use crate::tool::convert::pages::known::{Home, Known};
use crate::tool::convert::pages::loc::{Files, Loc, Scratch};
use crate::tool::convert::pages::window::{Content, Window};
use crate::wire::v2::Codec;

/// What is done with one page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is zero.
    Zero,
    /// It is stored.
    New,
    /// It is where an equal one is.
    Same(Home),
}

/// What may be equal to a page, and has to be compared with it.
struct Proposal<'a> {
    index: usize,
    page: &'a [u8],
    home: Home,
    loc: Loc,
}

/// The hash by which equal pages are proposed. 0 is for pages that are zero.
pub(super) type Hash = fn(&[u8]) -> u64;

/// XXH3 with 64 bits. Who chooses the pages can make it the same for others: so it decides nothing.
pub(super) fn hash(page: &[u8]) -> u64 {
    twox_hash::XxHash3_64::oneshot(page)
}

/// Unpacks the blocks of a window.
///
/// Errors: one is broken.
pub(super) fn unpack_all(window: &mut Window) -> Result<()> {
    window.spans.par_iter_mut().try_for_each(|span| {
        let Content::Packed { bytes, loc } = &span.content else { return Ok(()) };
        let mut plain = vec![0; usize::try_from(loc.unpacked).unwrap_or(0)];
        unpack(Codec::Lz4, bytes, &mut plain).map_err(|what| Error::format(what).at_offset(loc.offset))?;
        let (bytes, loc) = (Bytes::from(plain), *loc);
        span.content = Content::Plain { bytes, loc, holes: None };
        Ok(())
    })
}

/// The plain pages of a window, in order, each with where it can be read again.
pub(super) fn pages(window: &Window, page_size: usize) -> Vec<(&[u8], Loc)> {
    let plain = window.spans.iter().filter_map(|span| match &span.content {
        Content::Plain { bytes, loc, .. } => Some((bytes, *loc)),
        _ => None,
    });
    let pages = plain.flat_map(|(bytes, loc)| {
        let chunks = bytes.chunks_exact(page_size.max(1));
        (0u64..).zip(chunks).map(move |(index, page)| (page, loc.further(index.saturating_mul(page.len() as u64))))
    });
    pages.collect()
}

/// Judges pages: `None` for the hash where nothing is shared. Each may have a candidate that it is compared with
/// before all others. What comes out depends on their order only.
pub(super) fn judge(
    pages: &[(&[u8], Loc)],
    candidates: &[Candidate],
    hash: Option<Hash>,
    known: &mut Known,
    files: &Files,
) -> Vec<Verdict> {
    let hashes: Vec<u64> = pages
        .par_iter()
        .with_min_len(64)
        .map(|(page, _)| match (is_zero(page), hash) {
            (true, _) => 0,
            (false, Some(hash)) => hash(page).max(1),
            (false, None) => 1,
        })
        .collect();
    let verdict = |hash: &u64| if *hash == 0 { Verdict::Zero } else { Verdict::New };
    let mut verdicts: Vec<Verdict> = hashes.iter().map(verdict).collect();
    let mut proposals = Vec::new();
    for (index, ((page, _), candidate)) in pages.iter().zip(candidates).enumerate() {
        if let (Some((home, loc)), Some(Verdict::New)) = (*candidate, verdicts.get(index)) {
            proposals.push(Proposal { index, page, home, loc });
        }
    }
    compare(pages, &proposals, files, &mut verdicts);
    if hash.is_none() {
        return verdicts;
    }
    proposals.clear();
    // one page of the window is equal to one before it, never to one behind: what is kept was not proposed
    for (index, ((page, loc), hash)) in pages.iter().zip(&hashes).enumerate() {
        if verdicts.get(index) != Some(&Verdict::New) {
            continue;
        }
        match known.find(*hash) {
            Some((home, loc)) => proposals.push(Proposal { index, page, home, loc }),
            None => known.keep(*hash, Home::Window(index), *loc),
        }
    }
    compare(pages, &proposals, files, &mut verdicts);
    verdicts
}

/// Compares pages with what may be equal to them.
fn compare(pages: &[(&[u8], Loc)], proposals: &[Proposal<'_>], files: &Files, verdicts: &mut [Verdict]) {
    let equal: Vec<bool> = proposals
        .par_iter()
        .with_min_len(16)
        .map_init(Scratch::default, |scratch, proposal| match proposal.home {
            Home::Window(index) => pages.get(index).is_some_and(|(page, _)| *page == proposal.page),
            _ => files.is_equal(proposal.loc, proposal.page, scratch),
        })
        .collect();
    for (proposal, _) in proposals.iter().zip(equal).filter(|(_, equal)| *equal) {
        if let Some(verdict) = verdicts.get_mut(proposal.index) {
            *verdict = Verdict::Same(proposal.home);
        }
    }
}

fn is_zero(page: &[u8]) -> bool {
    page.chunks(64).all(|line| line.iter().fold(0, |all, byte| all | byte) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pages of a file, each filled with a number, and the file.
    fn file(numbers: &[u8], files: &mut Files) -> (Bytes, Loc) {
        let bytes = Bytes::from(numbers.iter().flat_map(|number| [*number; 4096]).collect::<Vec<u8>>());
        let loc = Loc { file: files.add(&bytes, Codec::Raw), ..Loc::default() };
        (bytes, loc)
    }

    fn judged(windows: &[&[u8]], hash: Hash) -> Vec<Vec<Verdict>> {
        let (mut known, mut files) = (Known::new(16), Files::default());
        let mut next = 100;
        let mut all = Vec::new();
        for numbers in windows {
            let (bytes, loc) = file(numbers, &mut files);
            let pages: Vec<(&[u8], Loc)> =
                bytes.chunks(4096).enumerate().map(|(i, page)| (page, loc.further(i as u64 * 4096))).collect();
            let verdicts = judge(&pages, &[], Some(hash), &mut known, &files);
            let numbers: Vec<u64> = verdicts
                .iter()
                .map(|verdict| {
                    next += u64::from(*verdict == Verdict::New);
                    next - 1
                })
                .collect();
            known.settle(|index| numbers.get(index).copied());
            all.push(verdicts);
        }
        all
    }

    const fn store(page: u64) -> Verdict {
        Verdict::Same(Home::Store { ancestor: 0, page })
    }

    #[test]
    fn equal_pages_are_found() {
        use Verdict::{New, Zero};
        let window = |index| Verdict::Same(Home::Window(index));
        let all = judged(&[&[1, 0, 2, 1], &[2, 3, 2, 0, 3]], hash);
        assert_eq!(all, [vec![New, Zero, New, window(0)], vec![store(101), New, store(101), Zero, window(1)]]);
    }

    #[test]
    fn pages_whose_hashes_collide_are_not_taken_for_equal() {
        use Verdict::{New, Zero};
        let window = |index| Verdict::Same(Home::Window(index));
        // all have the same: only what is equal to the first is shared
        let all = judged(&[&[1, 0, 2, 1], &[2, 3, 1, 0, 3]], |_| 7);
        assert_eq!(all, [vec![New, Zero, New, window(0)], vec![New, New, store(100), Zero, New]]);
        // and of those whose lower bits are the same, more than there is room for, some are forgotten
        let all =
            judged(&[&[1, 2, 3, 4, 5, 5, 1, 2, 3, 4]], |page| u64::from(page.first().copied().unwrap_or(0)) << 40);
        let shared = all[0].iter().filter(|verdict| **verdict != New).count();
        assert_eq!(all[0][..6], [New, New, New, New, New, window(4)]);
        assert!((3..=5).contains(&shared), "{all:?}");
    }
}
