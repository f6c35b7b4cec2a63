//! Directories and block tables against what a walk found.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::base::Limits;
use crate::source::bundle::directory::{Directory, Tail};
use crate::source::bundle::frames::{Found, Problems, State};
use crate::source::bundle::{BlockAt, Section};
use crate::wire::v2::array::Array;
use crate::wire::v2::{BlockRow, Record, types};

/// What counts of each dump: the image that was written last with its kind and id.
#[derive(Default)]
struct Current<'f> {
    images: BTreeMap<(u64, u32, u64), &'f Found>,
    /// How many sections they have, by dump.
    sections: BTreeMap<u64, usize>,
}

impl<'f> Current<'f> {
    fn add(&mut self, image: &'f Found) {
        let before = self.images.insert((image.dump, image.kind, image.id), image);
        let sections = self.sections.entry(image.dump).or_default();
        *sections = sections.saturating_sub(before.map_or(0, |before| before.sections.len()));
        *sections = sections.saturating_add(image.sections.len());
    }
}

/// Compares each directory, and the tables in it, with the images before it.
pub(super) fn compare(bytes: &Bytes, images: &[Found], tails: &[Tail], limits: &Limits, problems: &mut Problems) {
    let mut current = Current::default();
    let (mut rest, mut start) = (images, 0);
    for (segment, tail) in tails.iter().enumerate() {
        let (before, behind) = rest.split_at(rest.partition_point(|image| image.segment <= segment));
        rest = behind;
        for image in before.iter().filter(|image| image.kind != types::KIND_DIRECTORY) {
            current.add(image);
        }
        let is_here = tail.directory >= std::mem::replace(&mut start, tail.length);
        // what is wrong with it was found already
        if tail.directory == 0 || !is_here || before.iter().any(|image| image.state != State::Whole) {
            continue;
        }
        let directory = match Directory::read(bytes, tail, 0, limits) {
            Ok(directory) => directory,
            Err(error) => {
                problems.push(error);
                continue;
            }
        };
        let at = usize::try_from(tail.directory).unwrap_or(usize::MAX);
        let dump = directory.dump;
        let count = current.sections.get(&dump).copied().unwrap_or(0);
        if count != directory.sections.len() {
            let what = format!(
                "expected the {count} sections of the dump in its directory, found {}",
                directory.sections.len()
            );
            problems.at(at, what);
            continue;
        }
        let images = current.images.range((dump, 0, 0)..=(dump, u32::MAX, u64::MAX));
        let found = images.flat_map(|(_, image)| image.sections.iter());
        for (row, section) in directory.sections.iter().zip(found) {
            let place = |section: &Section| (section.kind, section.id, section.offset, section.size);
            if place(row) != place(section) {
                let what = format!(
                    "expected in the directory image {} {} at {} with {} bytes, found image {} {} at {} with {}",
                    section.kind, section.id, section.offset, section.size, row.kind, row.id, row.offset, row.size
                );
                problems.at(at, what);
            }
        }
        if !directory.tables.is_empty() {
            let pages = current.images.get(&(dump, types::KIND_PAGES, 0));
            tables(bytes, &directory.tables, pages.map_or(&[], |image| image.blocks.as_slice()), problems);
        }
    }
    for image in images.iter().filter(|image| !image.blocks.is_empty()) {
        let mut blocks: Vec<&BlockAt> = image.blocks.iter().collect();
        blocks.sort_unstable();
        for pair in blocks.windows(2) {
            if let [a, b] = pair
                && b.first.saturating_sub(a.first) < a.pages
            {
                let offset = usize::try_from(b.offset).unwrap_or(usize::MAX);
                problems.at(offset, format!("expected page {} in one block, found it in two", b.first));
            }
        }
    }
}

fn tables(bytes: &[u8], tables: &[usize], blocks: &[BlockAt], problems: &mut Problems) {
    let at = tables.first().copied().unwrap_or(0);
    let mut rows = Vec::new();
    for table in tables {
        let Ok(record) = Record::read(bytes, *table) else { continue };
        let Ok(array) = Array::<BlockRow>::new(record.header, record.payload) else { continue };
        rows.extend(array.iter().map(|row| BlockAt::of_row(row, 0)));
    }
    if rows.len() != blocks.len() {
        let what = format!("expected the {} blocks of pages in the table, found {}", blocks.len(), rows.len());
        return problems.at(at, what);
    }
    let mut blocks = blocks.to_vec();
    blocks.sort_unstable();
    for (row, block) in rows.iter().zip(&blocks).filter(|(row, block)| row != block) {
        let what = format!(
            "expected in the table the block of page {} at {}, found that of page {} at {} or other bounds",
            block.first, block.offset, row.first, row.offset
        );
        problems.at(at, what);
    }
}
