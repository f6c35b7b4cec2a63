//! One page as an LZ4 block, in safe code that is as quick as LZ4's own: all that is needed while a page is packed has a
//! fixed size, so that no place has to be checked, and stays in the nearest cache.
//!
//! Matches are looked for by hashes of six bytes, not four: fewer are found, longer ones, which cost less each; most
//! pages become smaller by it. Two places are looked at together.

/// Bytes of a page.
pub(super) const PAGE: usize = 4096;
/// In front of the page there are as many bytes as are looked at backwards.
const FRONT: usize = 8;
/// The page, what is in front of it and what is read behind it; packed, it takes no more.
const ROOM: usize = 8192 + 64;
/// No place is behind this one.
const MASK: usize = 8191;
/// Entries of the table: places in the page by a hash of what is there.
const ENTRIES: usize = 1 << BITS;
const BITS: u32 = 12;
/// Bytes that have to be equal.
const LEAST: u32 = 6;
/// Behind this place no match begins, and behind that one none ends: the end of LZ4 blocks is plain.
const LAST_START: usize = FRONT + PAGE - 13;
const LAST_END: usize = FRONT + PAGE - 5;

/// What pages are packed with. Making it costs more than packing a page.
pub(super) struct PagePacker {
    table: [u16; ENTRIES],
    page: [u8; ROOM],
    out: [u8; ROOM],
}

/// Where bytes are the same as before: the place, where they were before, and which of the eight bytes there differ.
struct Match {
    at: usize,
    before: usize,
    differs: u64,
}

impl PagePacker {
    pub(super) fn new() -> Box<Self> {
        Box::new(Self { table: [0; ENTRIES], page: [0; ROOM], out: [0; ROOM] })
    }

    /// Packs a page behind what is in `into`, if that takes less than `limit` bytes; gives whether it does. The larger
    /// `acceleration` is, from 1, the fewer places are looked at.
    pub(super) fn pack(&mut self, page: &[u8; PAGE], acceleration: u32, limit: usize, into: &mut Vec<u8>) -> bool {
        self.table.fill(8);
        if let Some(place) = self.page.get_mut(FRONT..).and_then(<[u8]>::first_chunk_mut::<PAGE>) {
            *place = *page;
        }
        let step = (acceleration as usize).saturating_add(1);
        let (mut at, mut anchor, mut end) = (FRONT + 1, FRONT, 0);
        while let Some(found) = self.find(at, step) {
            let length = self.length(&found);
            let back = self.back(&found).min(found.at - anchor).min(found.before - FRONT);
            let plain = anchor..found.at - back;
            // the token, its lengths, the distance, and what is copied too much
            if end + plain.len() + 40 > limit {
                return false;
            }
            end = self.sequence(end, plain, found.at - found.before, length + back);
            (at, anchor) = (found.at + length, found.at + length);
            self.note(at - 2);
        }
        let rest = self.page.get(anchor..FRONT + PAGE).unwrap_or_default();
        if end + rest.len() + rest.len() / 255 + 2 >= limit {
            return false;
        }
        into.extend_from_slice(self.out.get(..end).unwrap_or_default());
        let nibble = rest.len().min(15);
        into.push(byte(nibble << 4));
        let mut more = rest.len().wrapping_sub(15);
        if nibble == 15 {
            while more >= 255 {
                into.push(255);
                more -= 255;
            }
            into.push(byte(more));
        }
        into.extend_from_slice(rest);
        true
    }

    /// The next place from `at` on with bytes that there were before.
    #[inline(always)]
    fn find(&mut self, mut at: usize, step: usize) -> Option<Match> {
        let start = at;
        while at <= LAST_START {
            let here = word(&self.page, at);
            let next = here >> 8;
            let first = self.swap(here, at);
            let second = self.swap(next, at + 1);
            let differs = word(&self.page, first) ^ here;
            if differs << (64 - 8 * LEAST) == 0 {
                return Some(Match { at, before: first, differs });
            }
            let differs = word(&self.page, second) ^ next;
            if differs << (64 - 8 * LEAST) == 0 {
                let differs = word(&self.page, second) ^ word(&self.page, at + 1);
                return Some(Match { at: at + 1, before: second, differs });
            }
            // what has no matches so far may have none
            at += step + ((at - start) >> 6);
        }
        None
    }

    /// Where bytes with the same hash were last; they are at `at` now.
    #[inline(always)]
    fn swap(&mut self, bytes: u64, at: usize) -> usize {
        let hash = (bytes << (64 - 8 * LEAST)).wrapping_mul(0x9e37_79b1_85eb_ca87) >> (64 - BITS);
        match self.table.get_mut(hash as usize & (ENTRIES - 1)) {
            Some(place) => usize::from(std::mem::replace(place, place_of(at))),
            None => FRONT,
        }
    }

    #[inline(always)]
    fn note(&mut self, at: usize) {
        self.swap(word(&self.page, at), at);
    }

    /// How many bytes are equal.
    #[inline(always)]
    fn length(&self, found: &Match) -> usize {
        let mut length = equal(found.differs);
        if length == 8 {
            while found.at + length < LAST_END {
                let differs = word(&self.page, found.at + length) ^ word(&self.page, found.before + length);
                length += equal(differs);
                if differs != 0 {
                    break;
                }
            }
        }
        length.min(LAST_END.saturating_sub(found.at))
    }

    /// How many bytes in front are equal too, at most eight.
    #[inline(always)]
    fn back(&self, found: &Match) -> usize {
        let differs = word(&self.page, found.at - FRONT) ^ word(&self.page, found.before - FRONT);
        (differs.leading_zeros() >> 3) as usize
    }

    /// Writes a sequence at `at`: plain bytes, then `length` bytes that stand `distance` bytes before. Gives its end.
    #[inline(always)]
    fn sequence(&mut self, at: usize, plain: std::ops::Range<usize>, distance: usize, length: usize) -> usize {
        let (many, more) = (plain.len(), length.saturating_sub(4));
        put(&mut self.out, at, many.min(15) << 4 | more.min(15));
        let mut end = at + 1;
        if many >= 15 {
            end = self.long(end, many - 15);
        }
        copy(&self.page, plain.start, &mut self.out, end);
        let mut done = 16;
        while done < many {
            copy(&self.page, plain.start + done, &mut self.out, end + done);
            done += 16;
        }
        end += many;
        put(&mut self.out, end, distance);
        put(&mut self.out, end + 1, distance >> 8);
        end += 2;
        if more >= 15 { self.long(end, more - 15) } else { end }
    }

    /// Writes the rest of a length that a token has no room for.
    #[inline(always)]
    fn long(&mut self, mut at: usize, mut rest: usize) -> usize {
        while rest >= 255 {
            put(&mut self.out, at, 255);
            at += 1;
            rest -= 255;
        }
        put(&mut self.out, at, rest);
        at + 1
    }
}

/// How many of eight bytes, from the first on, don't differ.
#[inline(always)]
fn equal(differs: u64) -> usize {
    (differs.trailing_zeros() >> 3) as usize
}

/// The low eight bits.
#[inline(always)]
fn byte(value: usize) -> u8 {
    let [low, ..] = value.to_le_bytes();
    low
}

/// The low sixteen bits.
#[inline(always)]
fn place_of(at: usize) -> u16 {
    let [low, high, ..] = at.to_le_bytes();
    u16::from_le_bytes([low, high])
}

#[inline(always)]
fn word(from: &[u8; ROOM], at: usize) -> u64 {
    let bytes = from.get(at & MASK..).and_then(|rest| rest.first_chunk());
    bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

#[inline(always)]
fn put(into: &mut [u8; ROOM], at: usize, value: usize) {
    if let Some(place) = into.get_mut(at & MASK) {
        *place = byte(value);
    }
}

/// Copies sixteen bytes.
#[inline(always)]
fn copy(from: &[u8; ROOM], at: usize, into: &mut [u8; ROOM], to: usize) {
    let bytes = from.get(at & MASK..).and_then(|rest| rest.first_chunk::<16>());
    let place = into.get_mut(to & MASK..).and_then(|rest| rest.first_chunk_mut::<16>());
    if let (Some(bytes), Some(place)) = (bytes, place) {
        *place = *bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A page of runs, each new bytes, the same byte, or bytes that were there before.
    fn page() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec((0u8..4, 1usize..600, any::<u64>()), 1..200).prop_map(|runs| {
            let mut page = vec![0u8; PAGE];
            let mut at = 0;
            for (how, length, seed) in runs {
                let end = (at + length).min(PAGE);
                match how {
                    0 => page[at..end].fill((seed & 0xff) as u8),
                    1 if at > 0 => (at..end).for_each(|place| page[place] = page[place - 1 - (seed as usize % at)]),
                    _ => {
                        let mut state = seed | 1;
                        for byte in &mut page[at..end] {
                            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                            *byte = (state >> 40) as u8;
                        }
                    }
                }
                at = end;
            }
            page
        })
    }

    proptest! {
        #[test]
        fn there_and_back(pages in prop::collection::vec((page(), 1u32..70_000), 1..6), limit in 100usize..4300) {
            let mut packer = PagePacker::new();
            for (page, acceleration) in pages {
                let mut into = b"before".to_vec();
                let whole = page.first_chunk().unwrap();
                let is_packed = packer.pack(whole, acceleration, limit, &mut into);
                prop_assert!(into.starts_with(b"before"));
                if !is_packed {
                    prop_assert_eq!(into.len(), 6);
                    continue;
                }
                prop_assert!(into.len() - 6 < limit);
                let mut plain = vec![7; PAGE];
                prop_assert_eq!(lz4_flex::block::decompress_into(&into[6..], &mut plain).unwrap(), PAGE);
                prop_assert!(plain == page);
                // the same again, whatever was packed before
                let mut again = Vec::new();
                prop_assert!(PagePacker::new().pack(whole, acceleration, limit, &mut again));
                prop_assert!(again == into[6..]);
            }
        }
    }

    #[test]
    fn odd_pages() {
        let mut packer = PagePacker::new();
        for (page, most) in [
            (vec![0; PAGE], 40),
            (vec![9; PAGE], 40),
            ((0..PAGE).map(|at| (at % 7) as u8).collect(), 50),
            ((0..PAGE).map(|at| (at >> 4) as u8).collect(), 2000),
            ((0..PAGE).map(|at| if !(12..=PAGE - 14).contains(&at) { at as u8 } else { 0 }).collect(), 80),
        ] {
            let mut into = Vec::new();
            assert!(packer.pack(page.first_chunk().unwrap(), 1, 3584, &mut into), "at most {most}");
            assert!(into.len() <= most, "{} bytes, at most {most}", into.len());
            let mut plain = vec![7; PAGE];
            lz4_flex::block::decompress_into(&into, &mut plain).unwrap();
            assert!(plain == page);
        }
    }
}
