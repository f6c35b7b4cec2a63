//! Damage to files of version 2, and what `check` says of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::cast_possible_truncation)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::plant::{Found, Plant, checked};
use common::v2;
use icecore::Kind;
use icecore::base::Limits;
use icecore::base::map::Access;
use icecore::base::report::{Cancel, Silent};
use icecore::memory::Compression;
use icecore::source::bundle::Bundle;
use icecore::tool::check::{Check, Severity};
use icecore::tool::convert::pages::PageOptions;
use icecore::tool::convert::{Convert, Target, convert};

use Severity::{Error, Note, Warning};

fn deep() -> Check {
    Check { deep: true, ..Check::default() }
}

/// A bundle of `tree`, to do harm to.
struct Harm {
    /// Its directory goes with it.
    _plant: Plant,
    path: PathBuf,
}

impl Harm {
    fn new() -> Self {
        let plant = Plant::of_data("tree");
        let path = plant.to_v2();
        Self { _plant: plant, path }
    }

    fn bundle(&self) -> Bundle {
        Bundle::open(&self.path, Access::Read, Limits::default()).unwrap()
    }

    fn bytes(&self, change: impl FnOnce(&mut Vec<u8>)) -> &Self {
        let mut bytes = fs::read(&self.path).unwrap();
        change(&mut bytes);
        fs::write(&self.path, bytes).unwrap();
        self
    }

    /// Where an image begins, and its bytes.
    fn image(&self, kind: Kind, id: u64) -> (usize, usize) {
        let section = self.bundle().sections(kind.number(), id)[0];
        (section.offset, section.size)
    }

    fn check(&self) -> Found {
        checked(&self.path, &Check::default())
    }

    fn deep(&self) -> Found {
        checked(&self.path, &deep())
    }

    fn name(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }
}

#[track_caller]
fn assert_whole(found: &Found) {
    assert!(found.checked.is_whole, "{}", found.text());
}

#[test]
fn whole_ones_are_whole() {
    for name in ["tree", "container", "python"] {
        let plant = Plant::of_data(name);
        let target = plant.around().join("other");
        plant.check_v2().assert_whole();
        let bundle = plant.to_v2();
        let found = checked(&bundle, &deep());
        assert_whole(&found);
        assert!(found.checked.pages > 0 && found.checked.unchecked_pages == 0);
        for compression in [Compression::Lz4, Compression::Zstd(3)] {
            let pages = PageOptions { compression, ..PageOptions::default() };
            let options = Convert { pages, ..Convert::default() };
            let file = plant.around().join(format!("{compression:?}.criu"));
            convert(plant.path(), Target::Bundle(&file), &options, (&Silent, &Cancel::default())).unwrap();
            assert_whole(&checked(&file, &deep()));
        }
        fs::create_dir(&target).unwrap();
        convert(plant.path(), Target::Images(&target), &Convert::default(), (&Silent, &Cancel::default())).unwrap();
        assert_whole(&checked(&target, &deep()));
    }
}

#[test]
fn an_image_that_is_not_what_it_was() {
    let harm = Harm::new();
    let (at, size) = harm.image(Kind::Mm, 100);
    harm.bytes(|bytes| bytes[at + size / 2] ^= 1);
    let found = harm.check();
    let finding = found.of("container-damaged").next().unwrap_or_else(|| panic!("{}", found.text()));
    assert_eq!((finding.severity, finding.image.as_deref()), (Error, Some(harm.name().as_str())));
    assert!((at..at + size).contains(&(finding.offset.unwrap() as usize)), "{finding:?}");
}

#[test]
fn a_header_that_is_not_what_it_was() {
    let harm = Harm::new();
    let (at, _) = harm.image(Kind::Core, 103);
    harm.bytes(|bytes| bytes[at + 9] ^= 0x40);
    let found = harm.check();
    assert!(found.of("container-damaged").count() > 0, "{}", found.text());
}

#[test]
fn runs_that_are_not_what_they_were() {
    let harm = Harm::new();
    let (at, size) = harm.image(Kind::Pagemap, 100);
    harm.bytes(|bytes| bytes[at + size - 60] ^= 1);
    let found = harm.check();
    assert!(found.of("container-damaged").count() > 0, "{}", found.text());
}

/// Where the content of the first block of pages is, and its bytes.
fn first_block(harm: &Harm) -> (usize, usize) {
    let bundle = harm.bundle();
    let block = bundle.blocks().unwrap().get(0).unwrap();
    ((block.offset + u64::from(block.data)) as usize, block.pages as usize * 4096)
}

#[test]
fn pages_that_are_not_what_they_were() {
    let harm = Harm::new();
    let (at, length) = first_block(&harm);
    harm.bytes(|bytes| bytes[at + length / 2] ^= 1);
    // no page is read without being asked to
    assert_whole(&harm.check());
    let found = harm.deep();
    let finding = found.expect(Error, "pages-damaged", &harm.name(), None);
    assert!(finding.what.contains("checksum"), "{}", finding.what);
    assert_eq!(found.of("pages-damaged").count(), 1);
}

#[test]
fn a_block_of_which_the_prefix_is_damaged() {
    let harm = Harm::new();
    let (at, _) = first_block(&harm);
    harm.bytes(|bytes| bytes[at - 6] ^= 1);
    let found = harm.check();
    assert!(found.of("container-damaged").count() > 0, "{}", found.text());
}

#[test]
fn bytes_behind_the_end() {
    let harm = Harm::new();
    let length = fs::metadata(&harm.path).unwrap().len();
    harm.bytes(|bytes| bytes.extend([7; 100]));
    let finding = harm.check().expect(Warning, "container-behind", &harm.name(), None);
    assert_eq!(finding.offset, Some(length));
}

#[test]
fn files_that_were_cut() {
    let harm = Harm::new();
    let whole = fs::read(&harm.path).unwrap();
    let (mm, _) = harm.image(Kind::Mm, 110);
    let (core, _) = harm.image(Kind::Core, 110);
    for cut in [whole.len() - 1, whole.len() - 60, whole.len() / 2, mm + 30, core + 100] {
        harm.bytes(|bytes| {
            bytes.clear();
            bytes.extend(&whole[..cut]);
        });
        let found = harm.check();
        assert!(!found.checked.is_whole, "{cut}");
        assert_eq!(found.of("container").count(), 1, "{cut}: {}", found.text());
        // what is whole is looked at all the same
        assert!(found.of("container-salvaged").all(|one| one.severity == Note), "{cut}: {}", found.text());
        assert!(found.checked.images > 0, "{cut}: {}", found.text());
    }
    // what was in it and is lost has a name
    harm.bytes(|bytes| {
        bytes.clear();
        bytes.extend(&whole[..mm + 90]);
    });
    let found = harm.check();
    assert!(found.of("image-lost").any(|one| one.what.starts_with("mm-110.img")), "{}", found.text());
}

#[test]
fn an_end_that_is_lost() {
    let harm = Harm::new();
    harm.bytes(|bytes| {
        let end = bytes.len();
        bytes[end - 30..].fill(0xee);
    });
    let found = harm.check();
    assert!(!found.checked.is_whole && found.checked.images > 100, "{}", found.text());
    assert_eq!(found.of("image-lost").count(), 0, "{}", found.text());
}

#[test]
fn a_stream_without_an_end() {
    let mut stream = v2::File::new(7);
    stream.small(200, 0, &[]).small(9, 0, &[]);
    let plant = Plant::empty();
    let path = plant.around().join("stream.criu");
    fs::write(&path, &stream.out).unwrap();
    let found = checked(&path, &Check::default());
    assert_eq!(found.of("container").count(), 1, "{}", found.text());
}

#[test]
fn files_of_a_directory_that_are_lost_or_damaged() {
    let plant = Plant::of_data("tree");
    let target = plant.around().join("images");
    fs::create_dir(&target).unwrap();
    convert(plant.path(), Target::Images(&target), &Convert::default(), (&Silent, &Cancel::default())).unwrap();
    let pages = fs::read_dir(&target).unwrap().map(|entry| entry.unwrap().path());
    let pages = pages.max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    let bytes = fs::read(&pages).unwrap();
    fs::remove_file(&pages).unwrap();
    let found = checked(&target, &Check::default());
    assert!(found.of("pages-missing").any(|one| one.severity == Error), "{}", found.text());
    // cut
    fs::write(&pages, &bytes[..bytes.len() / 2]).unwrap();
    let found = checked(&target, &Check::default());
    assert!(found.of("container-damaged").count() + found.of("container-cut").count() > 0, "{}", found.text());
    // of another dump
    let other = Plant::of_data("container");
    fs::write(&pages, &bytes).unwrap();
    fs::copy(other.to_v2(), target.join("other.criu")).unwrap();
    let found = checked(&target, &Check::default());
    assert!(!found.checked.is_whole, "{}", found.text());
}

#[test]
fn pages_without_checksums() {
    let plant = Plant::empty();
    let path = plant.around().join("bare.criu");
    let data = vec![3u8; 3 * 4096];
    let mut sections = v2::File::new(7);
    // page size; little endian
    sections.small(200, 0, &[0x08, 0x80, 0x20, 0x10, 1]);
    sections.section(Kind::Pagemap.number(), 1);
    sections.record(64, 1, &v2::run(0x10000, 3, 0, 4));
    sections.stop();
    sections.section(9, 0).block(0, 4096, 1, &data).stop();
    sections.bundle();
    fs::write(&path, &sections.out).unwrap();
    let found = checked(&path, &deep());
    let unchecked = found.checked.unchecked_pages;
    assert_eq!(found.checked.pages, 3, "{}", found.text());
    assert_eq!(unchecked > 0, found.of("pages-unchecked").count() == 1, "{}", found.text());
}

#[test]
fn original_bytes_that_are_not_the_objects() {
    // an entry that version 2 cannot say: a required field comes twice
    let plant = Plant::of_data("tree");
    plant.message("fs-100.img", 0, |bytes| {
        let again = bytes.clone();
        bytes.extend(again);
    });
    let path = plant.to_v2();
    let found = checked(&path, &Check::default());
    assert_eq!(found.of("original-differs").count(), 0, "{}", found.text());
    // the object is edited, its original bytes are not
    edit(&path, Kind::Fs, 100, |payload| {
        let at = payload.iter().position(|byte| *byte == 0x08).unwrap();
        payload[at + 1] ^= 2;
    });
    let found = checked(&path, &Check::default());
    let finding = found.of("original-differs").next().unwrap_or_else(|| panic!("{}", found.text()));
    assert_eq!((finding.severity, finding.image.as_deref(), finding.entry), (Warning, Some("fs-100.img"), Some(0)));
}

/// Changes the first object of an image, and all sums that are about it.
fn edit(path: &Path, kind: Kind, id: u64, change: impl FnOnce(&mut [u8])) {
    let section = Bundle::open(path, Access::Read, Limits::default()).unwrap().sections(kind.number(), id)[0];
    let mut bytes = fs::read(path).unwrap();
    let (mut at, end, mut headers) = (section.offset + 48, section.offset + section.size, 0);
    let mut change = Some(change);
    while at < end {
        let word = |from: usize| u32::from_le_bytes(bytes[from..from + 4].try_into().unwrap());
        let (object_type, length) = (word(at + 1), word(at + 11) as usize);
        let payload = at + 24..at + 24 + length;
        if object_type > 13
            && let Some(change) = change.take()
        {
            change(&mut bytes[payload.clone()]);
        }
        let sum = match object_type {
            2 => v2::crc(headers, &bytes[at..at + 20]),
            _ => v2::crc(v2::crc(0, &bytes[at..at + 20]), &bytes[payload.clone()]),
        };
        bytes[at + 20..at + 24].copy_from_slice(&sum.to_le_bytes());
        headers = v2::crc(headers, &bytes[at..at + 24]);
        at = payload.end;
    }
    fs::write(path, &bytes).unwrap();
}
