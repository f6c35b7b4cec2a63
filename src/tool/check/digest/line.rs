//! A digest as a line of text, and back: `HEX  SIZE  NAME`. docs/check.md is the definition.

use serde::{Serialize, Serializer};

use crate::base::report::{Cell, Column, Row};

/// What has a name in a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemKind {
    /// A file.
    File,
    /// A symbolic link; what is digested is where it leads.
    Link,
    /// A directory; what is in it has lines of its own.
    Directory,
}

/// The digest of one file, link or directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileDigest {
    /// Its name from the directory of the checkpoint on, bytes that are not printable ASCII, and backslashes, as
    /// `\xHH`.
    pub name: String,
    /// What it is.
    pub kind: ItemKind,
    /// Its bytes; of a link, those of where it leads; 0 of a directory.
    pub size: u64,
    /// BLAKE3 of these bytes.
    #[serde(rename = "blake3", serialize_with = "hex")]
    pub hash: [u8; 32],
}

fn hex<S: Serializer>(hash: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&to_hex(hash))
}

/// Bytes in base 16.
pub(super) fn to_hex(hash: &[u8; 32]) -> String {
    blake3::Hash::from(*hash).to_hex().to_string()
}

pub(super) fn from_hex(text: &str) -> Option<[u8; 32]> {
    // one spelling only: who signs text should not find another that is as good
    let is_plain = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    blake3::Hash::from_hex(text).ok().filter(|_| is_plain).map(|hash| *hash.as_bytes())
}

/// A name in printable ASCII; different names differ.
pub(super) fn escaped(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for &byte in name {
        match byte {
            b'\\' | 0..=0x1f | 0x7f.. => text.push_str(&format!("\\x{byte:02x}")),
            _ => text.push(char::from(byte)),
        }
    }
    text
}

impl FileDigest {
    /// The line, without the newline behind it.
    pub fn line(&self) -> String {
        let size = match self.kind {
            ItemKind::File => self.size.to_string(),
            ItemKind::Link => "link".to_owned(),
            ItemKind::Directory => "directory".to_owned(),
        };
        format!("{}  {size}  {}", to_hex(&self.hash), self.name)
    }

    /// What a line says; `None` if it is not as [`line`](Self::line) writes it.
    pub fn from_line(line: &str) -> Option<Self> {
        let (hash, rest) = line.split_once("  ")?;
        let (size, name) = rest.split_once("  ")?;
        let (kind, size) = match size {
            "link" => (ItemKind::Link, 0),
            "directory" => (ItemKind::Directory, 0),
            size => (ItemKind::File, size.parse().ok()?),
        };
        let digest = Self { name: name.to_owned(), kind, size, hash: from_hex(hash)? };
        (digest.line() == line && !name.is_empty()).then_some(digest)
    }
}

impl Row for FileDigest {
    const COLUMNS: &'static [Column] = &[Column::text("BLAKE3", 0), Column::number("SIZE", 0), Column::text("NAME", 0)];

    fn cells(&self) -> Vec<Cell> {
        vec![Cell::text(to_hex(&self.hash)), Cell::text(self.size), Cell::text(&self.name)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let hash = *blake3::hash(b"abc").as_bytes();
        for (name, kind, size) in [
            (b"core-1.img".as_slice(), ItemKind::File, 17),
            (b"two  spaces", ItemKind::File, 0),
            (b"a\nb\\c\xff", ItemKind::Link, 0),
            (b"sub", ItemKind::Directory, 0),
        ] {
            let digest = FileDigest { name: escaped(name), kind, size, hash };
            assert!(digest.line().is_ascii() && !digest.line().contains('\n'));
            assert_eq!(FileDigest::from_line(&digest.line()), Some(digest));
        }
        assert_eq!(escaped(b"a\nb\\c\xff"), "a\\x0ab\\x5cc\\xff");
        let good = format!("{}  17  x", to_hex(&hash));
        assert!(FileDigest::from_line(&good).is_some());
        for bad in
            [good.replace("  17", "  017"), good.to_uppercase(), good.replace("  x", "  "), good.replace("  ", " ")]
        {
            assert_eq!(FileDigest::from_line(&bad), None, "{bad}");
        }
    }
}
