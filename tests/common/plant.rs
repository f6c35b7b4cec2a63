//! Planting defects in copies of dumps, and asking `check` for them.
//!
//! ```ignore
//! let plant = Plant::of_data("tree");
//! plant.entries("pstree.img", |entries| entries[1]["ppid"] = 999.into());
//! plant.expect(Severity::Error, "ppid-unknown", "pstree.img", Some(1));
//! ```

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use icecore::base::Limits;
use icecore::base::report::{Cancel, Collect, Silent};
use icecore::object::json::{self, Form};
use icecore::tool::check::{Check, Checked, Finding, Severity, check};
use icecore::tool::convert::{Convert, Target, convert};
use icecore::{Checkpoint, Image};
use serde_json::Value;

use super::corpus;

/// A copy of a dump to do harm to; gone when dropped.
#[derive(Debug)]
pub struct Plant {
    folder: tempfile::TempDir,
    dump: PathBuf,
}

/// A temporary directory in memory, where there is room for one: syncing to a disk is slow.
pub fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (kind, place) = (entry.file_type().unwrap(), to.join(entry.file_name()));
        if kind.is_dir() {
            copy_all(&entry.path(), &place);
        } else if kind.is_symlink() {
            symlink(fs::read_link(entry.path()).unwrap(), place).unwrap();
        } else if kind.is_file() {
            fs::copy(entry.path(), place).unwrap();
        }
    }
}

impl Plant {
    /// A copy of a dump of `tests/data`: `tree`, `container`, `python`.
    pub fn of_data(name: &str) -> Self {
        Self::of(&corpus::data().join(name))
    }

    /// A copy of the directory at `dump`, with the directories in it; links stay as they are.
    pub fn of(dump: &Path) -> Self {
        let plant = Self::empty();
        copy_all(dump, &plant.dump);
        plant
    }

    /// A copy of a chain: all of `root`, of which `dump` is the dump to check.
    pub fn of_chain(root: &Path, dump: &str) -> Self {
        let plant = Self::of(root);
        let dump = plant.dump.join(dump);
        Self { dump, ..plant }
    }

    /// An empty directory, to make up a dump in.
    pub fn empty() -> Self {
        let folder = scratch();
        let dump = folder.path().join("dump");
        fs::create_dir(&dump).unwrap();
        Self { folder, dump }
    }

    /// The directory to check.
    pub fn path(&self) -> &Path {
        &self.dump
    }

    /// A directory around it, for whatever else is needed.
    pub fn around(&self) -> &Path {
        self.folder.path()
    }

    /// Where an image of it is.
    pub fn image(&self, name: &str) -> PathBuf {
        self.dump.join(name)
    }

    /// An image as crit's JSON: `{"magic": ..., "entries": [...]}`.
    pub fn json(&self, name: &str) -> Value {
        let bytes = fs::read(self.image(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let image = Image::open(name, bytes.into(), Limits::default()).unwrap();
        let mut text = Vec::new();
        json::decode(&image, &Form::COMPACT, &mut text, &mut |error| panic!("{error}")).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    /// Writes an image from crit's JSON, whether it was there or not.
    #[track_caller]
    pub fn write_json(&self, name: &str, document: &Value) {
        let mut bytes = Vec::new();
        json::encode(document.to_string().as_bytes(), &Limits::default(), &mut bytes).unwrap();
        fs::write(self.image(name), bytes).unwrap();
    }

    /// Changes an image by its JSON.
    #[track_caller]
    pub fn edit<R>(&self, name: &str, change: impl FnOnce(&mut Value) -> R) -> R {
        let mut document = self.json(name);
        let result = change(&mut document);
        self.write_json(name, &document);
        result
    }

    /// Changes the entries of an image by their JSON.
    #[track_caller]
    pub fn entries<R>(&self, name: &str, change: impl FnOnce(&mut Vec<Value>) -> R) -> R {
        self.edit(name, |document| change(document["entries"].as_array_mut().unwrap()))
    }

    /// Where the first entry is that `is_it`, and itself.
    #[track_caller]
    pub fn find(&self, name: &str, mut is_it: impl FnMut(&Value) -> bool) -> (usize, Value) {
        let document = self.json(name);
        let entries = document["entries"].as_array().unwrap();
        let at = entries.iter().position(&mut is_it).unwrap_or_else(|| panic!("{name}: no such entry"));
        (at, entries[at].clone())
    }

    /// Changes the bytes of a file.
    pub fn bytes<R>(&self, name: &str, change: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        let mut bytes = fs::read(self.image(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let result = change(&mut bytes);
        self.write(name, &bytes);
        result
    }

    /// Changes the message of one entry on the wire: what JSON cannot say. Its size word follows.
    pub fn message<R>(&self, name: &str, entry: usize, change: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        let bytes = fs::read(self.image(name)).unwrap();
        let image = Image::open(name, bytes.clone().into(), Limits::default()).unwrap();
        let place = image.get(entry).unwrap();
        let (start, at) = (place.offset() as usize, place.message_offset() as usize);
        let mut message = place.message().to_vec();
        let behind = &bytes[at + message.len()..];
        let result = change(&mut message);
        let size = (message.len() as u32).to_le_bytes();
        self.write(name, &[&bytes[..start], &size, &message, behind].concat());
        result
    }

    /// Writes a file, whether it was there or not.
    pub fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.image(name), bytes).unwrap();
    }

    /// Cuts a file, or makes it longer by a hole.
    pub fn resize(&self, name: &str, bytes: u64) {
        fs::OpenOptions::new().write(true).open(self.image(name)).unwrap().set_len(bytes).unwrap();
    }

    /// Bytes of a file.
    pub fn size(&self, name: &str) -> u64 {
        fs::metadata(self.image(name)).unwrap().len()
    }

    /// Removes a file.
    pub fn remove(&self, name: &str) {
        fs::remove_file(self.image(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    /// Gives a file another name.
    pub fn rename(&self, from: &str, to: &str) {
        fs::rename(self.image(from), self.image(to)).unwrap();
    }

    /// Names of its files, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(&self.dump)
            .unwrap()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.file_type().unwrap().is_file())
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// It, as it is now, opened.
    pub fn open(&self) -> Checkpoint {
        Checkpoint::open(&self.dump).unwrap()
    }

    /// Checks it.
    pub fn check(&self) -> Found {
        checked(&self.dump, &Check::default())
    }

    /// Checks it with options.
    pub fn check_with(&self, options: &Check) -> Found {
        checked(&self.dump, options)
    }

    /// Checks it as version 2, into which it is converted first.
    pub fn check_v2(&self) -> Found {
        checked(&self.to_v2(), &Check::default())
    }

    /// It as a bundle of version 2.
    pub fn to_v2(&self) -> PathBuf {
        let bundle = self.folder.path().join("it.criu");
        let _ = fs::remove_file(&bundle);
        convert(&self.dump, Target::Bundle(&bundle), &Convert::default(), (&Silent, &Cancel::default())).unwrap();
        bundle
    }

    /// Checks it, and returns the finding that must be there.
    #[track_caller]
    pub fn expect(&self, severity: Severity, rule: &str, image: &str, entry: Option<u64>) -> Finding {
        self.check().expect(severity, rule, image, entry)
    }
}

/// What `check` said.
#[derive(Debug)]
pub struct Found {
    pub findings: Vec<Finding>,
    pub checked: Checked,
}

/// Checks whatever is at `source`.
pub fn checked(source: &Path, options: &Check) -> Found {
    let mut rows = Collect::default();
    let checked = check(source, options, &mut rows, (&Silent, &Cancel::default())).unwrap();
    assert!(rows.problems.is_empty(), "{:?}", rows.problems);
    Found { findings: rows.rows, checked }
}

impl Found {
    /// Findings of a rule.
    pub fn of<'f>(&'f self, rule: &'f str) -> impl Iterator<Item = &'f Finding> {
        self.findings.iter().filter(move |finding| finding.rule == rule)
    }

    /// The finding that must be there: its severity, its rule, its image (`-` for none) and its entry.
    #[track_caller]
    pub fn expect(&self, severity: Severity, rule: &str, image: &str, entry: Option<u64>) -> Finding {
        let is_it = |finding: &&Finding| {
            finding.rule == rule && finding.image.as_deref().unwrap_or("-") == image && finding.entry == entry
        };
        let Some(found) = self.findings.iter().find(is_it) else {
            panic!("no {rule} in {image}, entry {entry:?}, among\n{}", self.text());
        };
        assert_eq!(found.severity, severity, "{found:?}");
        assert_eq!(self.checked.is_whole, severity == Severity::Note && self.is_quiet(), "{}", self.text());
        found.clone()
    }

    /// Nothing worse than a note.
    fn is_quiet(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity == Severity::Note)
    }

    /// Nothing was found that counts against the dump.
    #[track_caller]
    pub fn assert_whole(&self) {
        assert!(self.is_quiet() && self.checked.is_whole, "{}", self.text());
    }

    /// All of it, a line a finding.
    pub fn text(&self) -> String {
        let line = |finding: &Finding| {
            let severity = finding.severity.name();
            format!("{severity} [{}] {}: {}\n", finding.rule, finding.place(), finding.what)
        };
        self.findings.iter().map(line).collect()
    }
}
