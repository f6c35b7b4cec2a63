//! Elements of arrays: structs that lie over the bytes.

use zerocopy::{FromBytes, Immutable, KnownLayout};

use crate::wire::v2::fixed::fixed_message;
use crate::wire::v2::header::ObjectHeader;
use crate::wire::v2::{Broken, Problem};

/// `page` of a run that has no place.
pub const NOWHERE: u64 = u64::MAX;

/// Bits of [`PageRun::flags`] that say what version 1 said: `PE_PARENT` 1, `PE_LAZY` 2, `PE_PRESENT` 4,
/// `PE_PAYLOAD_ALIGNED` 8.
pub const V1_FLAGS: u32 = 0xff;
/// The pages are zero and not stored.
pub const ZERO: u32 = 1 << 8;
/// The run belongs to the entry of version 1 that the run before belongs to.
pub const CONT: u32 = 1 << 9;
/// The zeros were found in a hole of the file that was converted.
pub const HOLE: u32 = 1 << 10;
/// The pages are in the parent, at the same address; nothing else is known of their place.
pub const BY_ADDRESS: u32 = 1 << 11;
/// The units that have the pages are the blocks that version 1 had them in.
pub const BLOCKS: u32 = 1 << 12;
/// Where in the flags the number of the ancestor stands whose store has the pages.
pub const ANCESTOR_SHIFT: u32 = 16;

fixed_message! {
    /// Consecutive pages of a process or segment that lie behind each other in one store.
    PageRun[32] {
        /// Address of the first, in bytes.
        vaddr = 1: Fixed64 u64,
        /// How many.
        pages = 2: Fixed64 u64,
        /// The number of the first in its store, or [`NOWHERE`].
        page = 3: Fixed64 u64,
        /// What version 1 said of them, and where they are.
        flags = 4: Fixed32 u32,
    }
}

fixed_message! {
    /// Where a block of pages is.
    BlockRow[32] {
        /// The number of its first page.
        first = 1: Fixed64 u64,
        /// How many pages.
        pages = 2: Fixed64 u64,
        /// Offset of its header in the file.
        offset = 3: Fixed64 u64,
        /// From there to its data, in bytes.
        data = 4: Fixed32 u32,
    }
}

fixed_message! {
    /// A section of an image in a bundle.
    DirectoryRow[32] {
        /// Kind of the image.
        kind = 1: Fixed32 u32,
        /// Number of the image.
        id = 2: Fixed64 u64,
        /// Offset of the section's header in the file.
        offset = 3: Fixed64 u64,
        /// Bytes of the section.
        size = 4: Fixed64 u64,
    }
}

impl PageRun {
    /// Which ancestor's store has the pages; 0: this checkpoint's.
    #[inline]
    #[must_use]
    pub const fn ancestor(&self) -> u32 {
        self.flags() >> ANCESTOR_SHIFT & 0xff
    }
}

/// An element of an array.
pub trait Element: FromBytes + KnownLayout + Immutable + Copy + 'static {
    /// Whether its tags are right.
    fn has_tags(&self) -> bool;
    /// Whether it may stand behind `before`.
    fn follows(&self, before: &Self) -> bool;
}

impl Element for PageRun {
    #[inline]
    fn has_tags(&self) -> bool {
        PageRun::has_tags(self)
    }

    #[inline]
    fn follows(&self, before: &Self) -> bool {
        self.vaddr() > before.vaddr()
    }
}

impl Element for BlockRow {
    #[inline]
    fn has_tags(&self) -> bool {
        BlockRow::has_tags(self)
    }

    #[inline]
    fn follows(&self, before: &Self) -> bool {
        self.first() >= before.first().saturating_add(before.pages())
    }
}

impl Element for DirectoryRow {
    #[inline]
    fn has_tags(&self) -> bool {
        DirectoryRow::has_tags(self)
    }

    #[inline]
    fn follows(&self, before: &Self) -> bool {
        let key = |row: &Self| (row.kind(), row.id(), row.offset());
        key(self) > key(before)
    }
}

/// An array over its bytes. Elements may be longer than this library knows, never shorter.
#[derive(Clone, Copy, Debug)]
pub struct Array<'a, T> {
    bytes: &'a [u8],
    stride: usize,
    len: usize,
    element: std::marker::PhantomData<T>,
}

impl<T: Element> Default for Array<'_, T> {
    fn default() -> Self {
        Self { bytes: &[], stride: size_of::<T>(), len: 0, element: std::marker::PhantomData }
    }
}

impl<'a, T: Element> Array<'a, T> {
    /// The array that a record holds. Neither the tags of elements nor the checksum are looked at; see
    /// [`check`](Self::check).
    ///
    /// Errors: elements of the size that it says do not fill it.
    pub fn new(header: &ObjectHeader, payload: &'a [u8]) -> Result<Self, Broken> {
        let (size, count) = (payload.len(), header.count());
        let wrong = Broken { offset: 0, problem: Problem::Stride { size: size as u64, count } };
        let len = usize::try_from(count).map_err(|_| wrong)?;
        let stride = match size.checked_div(len) {
            None if size == 0 => size_of::<T>(),
            Some(stride) if size.is_multiple_of(len) => stride,
            _ => return Err(wrong),
        };
        if stride < size_of::<T>() {
            return Err(wrong);
        }
        Ok(Self { bytes: payload, stride, len, element: std::marker::PhantomData })
    }

    /// How many elements.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Element `index`.
    #[inline]
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&'a T> {
        if index >= self.len {
            return None;
        }
        let at = index.wrapping_mul(self.stride);
        T::ref_from_prefix(self.bytes.get(at..)?).ok().map(|(element, _)| element)
    }

    /// All of them as a slice, where they have the size that this library knows.
    #[inline]
    #[must_use]
    pub fn as_slice(&self) -> Option<&'a [T]> {
        if self.stride != size_of::<T>() {
            return None;
        }
        <[T]>::ref_from_bytes(self.bytes).ok()
    }

    /// All of them in order.
    pub fn iter(&self) -> impl Iterator<Item = &'a T> + use<'a, T> {
        let this = *self;
        (0..this.len).filter_map(move |index| this.get(index))
    }

    /// The first element for which `is_before` does not hold, as [`slice::partition_point`] finds it.
    #[inline]
    pub fn partition_point(&self, is_before: impl Fn(&T) -> bool) -> usize {
        if let Some(slice) = self.as_slice() {
            return slice.partition_point(is_before);
        }
        let (mut low, mut high) = (0, self.len);
        while low < high {
            let middle = low.midpoint(high);
            if self.get(middle).is_some_and(&is_before) {
                low = middle.saturating_add(1);
            } else {
                high = middle;
            }
        }
        low
    }

    /// Looks at the tags and the order of all elements.
    ///
    /// Errors: which element is wrong, at its offset in the array.
    pub fn check(&self) -> Result<(), Broken> {
        if let Some(slice) = self.as_slice() {
            // one loop without branches over what is nearly always right
            let tags = slice.iter().fold(true, |all, element| all & element.has_tags());
            let order = slice.windows(2).fold(true, |all, pair| match pair {
                [before, element] => all & element.follows(before),
                _ => all,
            });
            if tags && order {
                return Ok(());
            }
        }
        let mut before: Option<&T> = None;
        for (index, element) in self.iter().enumerate() {
            let offset = index.saturating_mul(self.stride);
            if !element.has_tags() {
                return Err(Broken { offset, problem: Problem::Element });
            }
            if before.is_some_and(|before| !element.follows(before)) {
                return Err(Broken { offset, problem: Problem::Order });
            }
            before = Some(element);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::IntoBytes;

    #[test]
    fn longer_elements() {
        let mut payload = Vec::new();
        for number in 0..5u64 {
            payload.extend(PageRun::new(number * 4096, 1, number, 4).as_bytes());
            payload.extend([0x2d, 1, 2, 3, 4]);
        }
        let header = ObjectHeader::new(64, 5, payload.len() as u64, 0);
        let array = Array::<PageRun>::new(&header, &payload).unwrap();
        assert_eq!(array.len(), 5);
        assert!(array.as_slice().is_none());
        array.check().unwrap();
        assert_eq!(array.get(3).unwrap().page(), 3);
        assert_eq!(array.partition_point(|run| run.vaddr() <= 8192), 3);
        assert!(Array::<PageRun>::new(&ObjectHeader::new(64, 6, 0, 0), &payload).is_err());
        let shorter = ObjectHeader::new(64, 37, 0, 0);
        assert!(Array::<PageRun>::new(&shorter, &payload).is_err());
        payload[37] ^= 1;
        let wrong = Array::<PageRun>::new(&header, &payload).unwrap().check().unwrap_err();
        assert_eq!((wrong.offset, wrong.problem), (37, Problem::Element));
    }
}
