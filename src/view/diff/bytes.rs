//! Which pages of two slices differ, and in how many bytes.

/// So much is compared at a time: what differs is still in the processor's cache when it is looked at page by page.
const CHUNK: usize = 16 << 10;

/// As many zeros as a chunk, or the largest page, has bytes.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// One side of a comparison.
#[derive(Clone, Copy, Debug)]
pub(super) enum Bytes<'a> {
    These(&'a [u8]),
    Zeros,
}

impl<'a> Bytes<'a> {
    #[inline]
    fn part(self, from: usize, length: usize) -> &'a [u8] {
        match self {
            Self::These(bytes) => bytes.get(from..from.saturating_add(length)).unwrap_or_default(),
            Self::Zeros => ZEROS.get(..length).unwrap_or(&ZEROS),
        }
    }
}

/// A page that differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Changed {
    /// Where it is, in bytes from the start of the slices.
    pub(super) at: usize,
    /// Bytes that differ.
    pub(super) bytes: u64,
    /// Whether the first slice has zeros alone there, or the second.
    pub(super) was_zero: bool,
    pub(super) became_zero: bool,
}

/// Compares `length` bytes in pages and calls `changed` for those that differ; how many do not.
pub(super) fn compare(a: Bytes<'_>, b: Bytes<'_>, length: usize, page: usize, mut changed: impl FnMut(Changed)) -> u64 {
    let page = page.clamp(1, ZEROS.len());
    // what is no power of two, or larger, is no page: then page by page
    let chunk = if CHUNK.is_multiple_of(page) { CHUNK } else { page };
    let mut same = 0u64;
    for at in (0..length).step_by(chunk) {
        let end = at.saturating_add(chunk).min(length);
        if a.part(at, end.saturating_sub(at)) == b.part(at, end.saturating_sub(at)) {
            same = same.saturating_add(end.saturating_sub(at).div_ceil(page) as u64);
            continue;
        }
        for at in (at..end).step_by(page) {
            let size = page.min(end.saturating_sub(at));
            let (a, b) = (a.part(at, size), b.part(at, size));
            if a == b {
                same = same.saturating_add(1);
            } else {
                changed(Changed {
                    at,
                    bytes: differing(a, b),
                    was_zero: a == Bytes::Zeros.part(0, size),
                    became_zero: b == Bytes::Zeros.part(0, size),
                });
            }
        }
    }
    same
}

/// How many bytes differ. Sums of up to 255 fit a byte, so that many lanes are added at once.
fn differing(a: &[u8], b: &[u8]) -> u64 {
    const LANES: usize = 64;
    let mut total = 0u64;
    for (a, b) in a.chunks(LANES.saturating_mul(255)).zip(b.chunks(LANES.saturating_mul(255))) {
        let mut sums = [0u8; LANES];
        let ((lines, rest), (others, other_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
        for (a, b) in lines.iter().zip(others) {
            for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
                *sum = sum.wrapping_add(u8::from(a != b));
            }
        }
        total = sums.iter().fold(total, |total, sum| total.saturating_add(u64::from(*sum)));
        let rest = rest.iter().zip(other_rest).filter(|(a, b)| a != b).count();
        total = total.saturating_add(rest as u64);
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_byte_of_a_page_counts() {
        let (a, b) = (vec![1u8; 65536], vec![2u8; 65536]);
        for length in (0..=a.len()).filter(|length| length % 97 < 2 || length % 4096 < 2) {
            assert_eq!(differing(&a[..length], &b[..length]), length as u64);
        }
    }

    proptest! {
        #[test]
        fn as_byte_by_byte(
            pages in 1usize..20,
            edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..40),
            is_zero in any::<[bool; 2]>(),
        ) {
            let base: Vec<u8> = (0..pages * 4096).map(|at| ((at / 4096 % 3) as u8).wrapping_mul((at % 251) as u8)).collect();
            let mut other = base.clone();
            for (at, value) in edits {
                let at = at.index(other.len());
                other[at] = value;
            }
            let zeros = vec![0u8; base.len()];
            let side = |is_zero: bool, bytes| if is_zero { Bytes::Zeros } else { Bytes::These(bytes) };
            let (a, b) = (side(is_zero[0], &base[..]), side(is_zero[1], &other[..]));
            let (plain_a, plain_b) =
                (if is_zero[0] { &zeros } else { &base }, if is_zero[1] { &zeros } else { &other });
            let mut found = Vec::new();
            let same = compare(a, b, base.len(), 4096, |changed| found.push(changed));
            let mut want = Vec::new();
            for (page, (a, b)) in plain_a.chunks(4096).zip(plain_b.chunks(4096)).enumerate() {
                let bytes = a.iter().zip(b).filter(|(a, b)| a != b).count() as u64;
                if bytes > 0 {
                    let is_zero = |page: &[u8]| page.iter().all(|byte| *byte == 0);
                    let (was_zero, became_zero) = (is_zero(a), is_zero(b));
                    want.push(Changed { at: page * 4096, bytes, was_zero, became_zero });
                }
            }
            prop_assert_eq!(same as usize, pages - want.len());
            prop_assert_eq!(found, want);
        }
    }
}
