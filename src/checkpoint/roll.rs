//! The roll of open files: which there are, by type and number, and in which entry. Nothing is decoded.

use crate::base::listing::keep;
use crate::base::{Error, Result};
use crate::checkpoint::file::FileType;
use crate::checkpoint::{Checkpoint, old_files};
use crate::image::{Image, Kind};
use crate::object::Look;
use crate::object::schema::Message;

/// The files of a dump, in 16 bytes each.
#[derive(Debug, Default)]
pub struct Roll {
    /// Ascending by type, number, entry.
    called: Vec<Called>,
    /// What could not be read.
    pub problems: Vec<Error>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Called {
    file_type: i32,
    id: u32,
    entry: u64,
}

/// One image with entries of files, and the type of all of them where it has only one.
#[derive(Debug)]
pub struct FileImage {
    /// The image.
    pub image: Image,
    /// The type of its files; `None` where each entry says its own.
    pub file_type: Option<FileType>,
}

/// The part of an entry that belongs to its type, and the name of the field it is in; empty where it is the entry.
pub type Part<'a> = (&'static str, Look<'a>);

/// The types that CRIU 4.3 knows are 1 to this.
const LAST_TYPE: i32 = 20;

impl Roll {
    /// The first entry of the file with this type and number.
    pub fn entry(&self, file_type: FileType, id: u32) -> Option<u64> {
        let start = self.called.partition_point(|called| (called.file_type, called.id) < (file_type.0, id));
        let called = self.called.get(start)?;
        ((called.file_type, called.id) == (file_type.0, id)).then_some(called.entry)
    }

    /// Whether there is a file with this type and number.
    pub fn has(&self, file_type: FileType, id: u32) -> bool {
        self.entry(file_type, id).is_some()
    }

    /// Whether there is a file with this number, whatever its type.
    pub fn has_any(&self, id: u32) -> bool {
        (1..=LAST_TYPE).any(|number| self.has(FileType(number), id))
    }

    /// Files that are there once more: type, number, and the entry.
    pub fn again(&self) -> impl Iterator<Item = (FileType, u32, u64)> {
        let key = |called: &Called| (called.file_type, called.id);
        self.called.windows(2).filter_map(move |pair| match pair {
            [before, called] if key(before) == key(called) => {
                Some((FileType(called.file_type), called.id, called.entry))
            }
            _ => None,
        })
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.called.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.called.is_empty()
    }
}

impl FileImage {
    /// Type and number of the file in an entry, and its part that belongs to the type, with the part's name in front
    /// of names of fields (`reg.`). An entry that lacks the part has none.
    pub fn part<'a>(&self, entry: Look<'a>) -> Option<(FileType, u32, Option<Part<'a>>)> {
        if let Some(file_type) = self.file_type {
            return Some((file_type, entry.word("id")?, Some(("", entry))));
        }
        let file_type = FileType(i32::try_from(entry.signed("type")?).ok()?);
        let part = file_type.part_name().and_then(|name| Some((name, entry.inner(name)?)));
        Some((file_type, entry.word("id")?, part))
    }
}

impl FileType {
    /// Name of the field that entries of this type have.
    pub fn part_name(self) -> Option<&'static str> {
        const PARTS: [&str; 20] = [
            "reg", "pipe", "fifo", "isk", "usk", "efd", "epfd", "ify", "sgfd", "psk", "tty", "ffy", "nlsk", "nsf",
            "tunf", "ext", "tfd", "memfd", "bpf", "pidfd",
        ];
        PARTS.get(usize::try_from(self.0).ok()?.checked_sub(1)?).copied()
    }
}

impl Checkpoint {
    /// The images with entries of files: `files.img`, or the image per type of dumps before v3.4.
    ///
    /// Errors: one of them cannot be opened.
    pub fn file_images(&self) -> Result<Vec<FileImage>> {
        if let Some(image) = self.find(Kind::Files, 0)? {
            return Ok(vec![FileImage { image, file_type: None }]);
        }
        let mut images = Vec::new();
        for (kind, file_type) in old_files::KINDS {
            if let Some(image) = self.find(*kind, 0)? {
                images.push(FileImage { image, file_type: Some(FileType(i32::from(*file_type))) });
            }
        }
        Ok(images)
    }

    /// Name of the image that has the files of this type; `None` where the dump has none.
    pub fn file_image_name(&self, file_type: FileType) -> Option<String> {
        if self.has(Kind::Files, 0) {
            return Kind::Files.file_name(0);
        }
        let (kind, _) = old_files::KINDS.iter().find(|(_, old)| i32::from(*old) == file_type.0)?;
        kind.file_name(0)
    }

    /// The roll of open files. Read once.
    ///
    /// Errors: an image of files cannot be opened.
    pub fn roll(&self) -> Result<&Roll> {
        self.cache.roll.get_or_init(|| self.read_roll()).as_ref().map_err(Clone::clone)
    }

    fn read_roll(&self) -> Result<Roll> {
        let mut roll = Roll::default();
        for images in self.file_images()? {
            let schema = Message::by_name(images.image.kind().message_name(0));
            for entry in &images.image {
                let entry = match entry {
                    Ok(entry) => entry,
                    Err(error) => {
                        keep(&mut roll.problems, [error]);
                        continue;
                    }
                };
                let Some(look) = schema.map(|schema| Look::new(schema, entry.message())) else { continue };
                let file_type = match images.file_type {
                    Some(file_type) => Some(file_type.0),
                    None => look.signed("type").and_then(|number| i32::try_from(number).ok()),
                };
                if let (Some(file_type), Some(id)) = (file_type, look.word("id")) {
                    roll.called.push(Called { file_type, id, entry: entry.index() as u64 });
                }
            }
        }
        roll.called.sort_unstable();
        Ok(roll)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::v1::FdTypes;

    #[test]
    fn parts_are_fields() {
        let schema = Message::by_name("file_entry").unwrap();
        for number in 1..=LAST_TYPE {
            assert!(FdTypes::try_from(number).is_ok());
            assert!(schema.field(FileType(number).part_name().unwrap()).is_some());
        }
        assert_eq!((FileType(0).part_name(), FileType(21).part_name(), FileType(-1).part_name()), (None, None, None));
    }

    #[test]
    fn finds_files() {
        let called = |file_type, id, entry| Called { file_type, id, entry };
        let roll = Roll { called: vec![called(1, 2, 0), called(1, 2, 5), called(2, 9, 3)], problems: Vec::new() };
        assert_eq!((roll.entry(FileType::REG, 2), roll.entry(FileType::REG, 9)), (Some(0), None));
        assert!(roll.has_any(9) && !roll.has_any(3));
        assert_eq!(roll.again().collect::<Vec<_>>(), [(FileType::REG, 2, 5)]);
    }
}
