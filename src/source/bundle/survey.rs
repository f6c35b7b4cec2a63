//! A walk over all headers of a file: which images it holds, whether each is whole, and what is wrong with them.

use crate::base::Limits;
use crate::source::bundle::BlockAt;
use crate::source::bundle::directory::Tail;
use crate::source::bundle::frames::{Content, Frames};
use crate::wire::v2::{Item, ObjectHeader, PageBlock, Record, Walk, types};

/// A file, and what a walk found in it.
pub(super) struct Survey<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) frames: Frames,
    /// Whether records are compared with their checksums before their sizes are believed.
    is_checked: bool,
}

impl<'a> Survey<'a> {
    pub(super) fn new(bytes: &'a [u8], part: usize, limits: &Limits) -> Self {
        Self { bytes, frames: Frames::new(part, limits), is_checked: false }
    }

    /// The same; records are compared with their checksums before their sizes are believed.
    pub(super) fn checked(self) -> Self {
        Self { is_checked: true, ..self }
    }

    /// From an offset on, to the end or the limit of sections, or to what is no header or not what it was: then where that begins.
    pub(super) fn walk(&mut self, from: usize, visit: &mut dyn FnMut(&Item<'a>)) -> Option<usize> {
        let mut walk = Walk::new(self.bytes, from);
        loop {
            let at = walk.offset();
            let item = walk.next()?.and_then(|item| match &item {
                Item::Record(record) if self.is_checked => record.check().map(|()| item),
                _ => Ok(item),
            });
            match &item {
                Err(broken) => {
                    let is_end = self.frames.tails.last().is_some_and(|tail| tail.length == at as u64);
                    if !is_end || !self.are_zeros(at) {
                        self.frames.problems.at(broken.offset, broken.to_string());
                    }
                    self.frames.damaged();
                    return Some(at);
                }
                Ok(Item::Image(offset, header)) => {
                    self.frames.section(*offset, header);
                    if self.frames.check().is_err() {
                        return None;
                    }
                }
                Ok(Item::Record(record)) => {
                    let content = content(record, self.frames.part);
                    self.frames.record(record.offset, record.end(), record.header, content);
                }
            }
            item.iter().for_each(&mut *visit);
        }
    }

    /// Where what follows the last END begins, if anything does.
    pub(super) fn trailing(&self) -> Option<usize> {
        let last = usize::try_from(self.frames.tails.last()?.length).ok()?;
        (last < self.bytes.len()).then_some(last)
    }

    /// Whether there are only zeros from here on, such as a device has behind a file.
    pub(super) fn are_zeros(&self, from: usize) -> bool {
        self.bytes.get(from..).unwrap_or_default().iter().all(|byte| *byte == 0)
    }
}

fn content(record: &Record<'_>, part: usize) -> Content {
    match record.header.object_type() {
        types::END => Content::End(Tail::of(record)),
        types::PAGE_BLOCK => {
            let payload = record.offset.saturating_add(size_of::<ObjectHeader>());
            let block = PageBlock::read(record.payload).map_err(|broken| broken.at(payload));
            Content::Block(block.map(|block| BlockAt::of(&block, part, record.offset)))
        }
        _ => Content::Other,
    }
}
