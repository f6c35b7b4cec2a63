//! The entries of an image in parts that are converted on their own, in parallel. Where they are cut depends on the image
//! alone, so that the records are the same however many threads there are.

use std::ops::Range;

use crate::image::Image;
use crate::object::upgrade::image::{LIST, PARTS, WINDOW};

/// The entries of an image in parts that do not depend on threads.
pub(super) struct Parts<'a> {
    image: &'a Image,
    count: usize,
    /// Parts that are known, the next one last.
    known: Vec<(Range<usize>, usize)>,
    more: Box<dyn Iterator<Item = (Range<usize>, usize)> + 'a>,
}

impl<'a> Parts<'a> {
    pub(super) fn new(image: &'a Image, count: usize) -> Self {
        Self { image, count, known: Vec::new(), more: Box::new(image.parts(LIST)) }
    }

    /// The next parts that are converted together.
    pub(super) fn window(&mut self) -> Vec<Range<usize>> {
        let mut window = Vec::new();
        let mut bytes = 0usize;
        while window.len() < PARTS && bytes < WINDOW {
            let Some((range, length)) = self.next() else { break };
            bytes = bytes.saturating_add(length);
            window.push(range);
        }
        window
    }

    fn next(&mut self) -> Option<(Range<usize>, usize)> {
        if self.known.is_empty() {
            let (range, length) = self.more.next()?;
            let range = range.start..range.end.min(self.count);
            if range.is_empty() {
                return None;
            }
            if length < LIST.saturating_mul(4) {
                return Some((range, length));
            }
            self.cut(range);
        }
        self.known.pop()
    }

    /// Cuts a part with large entries into smaller ones.
    fn cut(&mut self, range: Range<usize>) {
        let mut start = range.start;
        let mut bytes = 0usize;
        for (entry, index) in self.image.range(range.clone(), false).zip(range.clone()) {
            bytes = bytes.saturating_add(entry.map_or(0, |entry| entry.message().len()));
            if bytes >= LIST {
                self.known.push((start..index.saturating_add(1), bytes));
                start = index.saturating_add(1);
                bytes = 0;
            }
        }
        if start < range.end {
            self.known.push((start..range.end, bytes));
        }
        self.known.reverse();
    }
}
