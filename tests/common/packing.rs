//! What the tests of `crit compress` share: dumps copied and made up, compared byte for byte.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use icecore::base::report::{Cancel, Silent};
use icecore::tool::compress::{self, Compress, Decompress, Done};

use super::writer::{File, Message, message};

/// A folder of its own, in memory where there is such a place: what is written is synced.
pub fn folder() -> tempfile::TempDir {
    match Path::new("/dev/shm").is_dir() {
        true => tempfile::tempdir_in("/dev/shm").unwrap(),
        false => tempfile::tempdir().unwrap(),
    }
}

/// Copies a dump with its links.
pub fn copy(from: &Path, to: &Path) -> PathBuf {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match fs::read_link(entry.path()) {
            Ok(link) => std::os::unix::fs::symlink(link, target).unwrap(),
            Err(_) => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
    to.to_path_buf()
}

/// All files of a folder with their content; links with what they say.
pub fn all(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let content = |path: &Path| match fs::read_link(path) {
        Ok(link) => link.into_os_string().into_encoded_bytes(),
        Err(_) => fs::read(path).unwrap(),
    };
    entries.map(|entry| (entry.file_name().into_string().unwrap(), content(&entry.path()))).collect()
}

pub fn pack(dir: &Path, options: &Compress) -> icecore::Result<Done> {
    compress::compress(dir, options, &mut || Ok(()), (&Silent, &Cancel::default()))
}

/// Packs without backups, in blocks of so many pages of 4 KiB.
pub fn pack_in_place(dir: &Path, pages: u64) -> Done {
    pack(dir, &Compress { block: Some(pages * 4096), backups: false, ..Compress::default() }).unwrap()
}

pub fn unpack(dir: &Path, backups: bool) -> icecore::Result<Done> {
    let options = Decompress { backups, ..Decompress::default() };
    compress::decompress(dir, &options, &mut || Ok(()), (&Silent, &Cancel::default()))
}

/// The inventory of a dump of this version.
pub fn inventory(dir: &Path, version: u64) {
    write_inventory(dir, &message().uint(1, version).uint(2, 1));
}

pub fn write_inventory(dir: &Path, entry: &Message) {
    fs::write(dir.join("inventory.img"), File::new("INVENTORY").entry(entry).0).unwrap();
}
