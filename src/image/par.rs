//! The entries of an image for rayon: split by number, found through the sparse index.

use std::ops::Range;

use rayon::iter::plumbing::{Consumer, Producer, ProducerCallback, UnindexedConsumer, bridge};
use rayon::iter::{IndexedParallelIterator, ParallelIterator};

use crate::base::Result;
use crate::image::entry::{Entries, Entry};
use crate::image::index::STRIDE;
use crate::image::v1::Image;

/// The entries of an image, in parallel. Made by [`Image::par_iter`].
#[derive(Clone, Debug)]
pub struct ParEntries<'a> {
    image: &'a Image,
}

impl Image {
    /// All entries, in parallel; collecting keeps their order. The error of a broken image comes last.
    pub fn par_iter(&self) -> ParEntries<'_> {
        ParEntries { image: self }
    }
}

impl Image {
    /// The entries cut into parts of at least `bytes` bytes of the image (but for the last), each with its length in
    /// bytes. A part is larger only where 64 consecutive entries are.
    pub(crate) fn parts(&self, bytes: usize) -> impl Iterator<Item = (Range<usize>, usize)> {
        let index = self.index();
        let mut stride = 0;
        std::iter::from_fn(move || {
            let start = *index.starts.get(stride)?;
            let first = stride.saturating_mul(STRIDE);
            loop {
                stride = stride.saturating_add(1);
                let next = index.starts.get(stride).copied();
                let length = next.unwrap_or(index.end).saturating_sub(start);
                if next.is_none() || length >= bytes {
                    return Some((first..stride.saturating_mul(STRIDE).min(index.len), length));
                }
            }
        })
    }
}

impl<'a> ParallelIterator for ParEntries<'a> {
    type Item = Result<Entry<'a>>;

    fn drive_unindexed<C: UnindexedConsumer<Self::Item>>(self, consumer: C) -> C::Result {
        bridge(self, consumer)
    }

    fn opt_len(&self) -> Option<usize> {
        Some(IndexedParallelIterator::len(self))
    }
}

impl IndexedParallelIterator for ParEntries<'_> {
    fn len(&self) -> usize {
        self.image.iter().len()
    }

    fn drive<C: Consumer<Self::Item>>(self, consumer: C) -> C::Result {
        bridge(self, consumer)
    }

    fn with_producer<CB: ProducerCallback<Self::Item>>(self, callback: CB) -> CB::Output {
        let len = self.image.len();
        callback.callback(Part { image: self.image, start: 0, end: len, fault: self.image.fault().is_some() })
    }
}

struct Part<'a> {
    image: &'a Image,
    start: usize,
    end: usize,
    fault: bool,
}

impl<'a> Producer for Part<'a> {
    type Item = Result<Entry<'a>>;
    type IntoIter = Entries<'a>;

    fn into_iter(self) -> Entries<'a> {
        self.image.range(self.start..self.end, self.fault)
    }

    fn split_at(self, index: usize) -> (Self, Self) {
        let middle = self.start.saturating_add(index);
        // the fault is an item of its own behind the last entry, so `middle` may lie behind `end`
        let left = Part { end: middle.min(self.end), fault: self.fault && middle > self.end, ..self };
        let right = Part {
            image: self.image,
            start: middle.min(self.end),
            end: self.end,
            fault: self.fault && middle <= self.end,
        };
        (left, right)
    }

    /// Smaller parts than a stride would each pay for hopping to their start.
    fn min_len(&self) -> usize {
        STRIDE
    }
}
