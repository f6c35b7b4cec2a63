//! The slow road, for a directory that no other one can take the place of: what changes is written into a hidden
//! directory in it; a journal says what goes where. From the moment when the journal has its name the change is made:
//! whoever comes next carries out what is left of it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, OFlags, RenameFlags, renameat_with};

use super::seen::{Seen, seen};
use super::{BACKUP, JOURNAL, JOURNAL_NEW, STAGED};
use crate::base::left;

/// A longer journal nobody wrote.
const LONGEST: u64 = 256 << 20;
const FIRST: &[u8] = b"icecore journal 1";
const LAST: &[u8] = b"end";

/// What is left to do. Names lead from the directory on.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Journal {
    /// The old one gets the name NAME.bak.
    pub(super) keep: Vec<PathBuf>,
    /// What is staged gets its name.
    pub(super) put: Vec<PathBuf>,
    pub(super) gone: Vec<PathBuf>,
}

impl Journal {
    /// What leads from what the directory holds to what is staged. `links` are the further names of its files as they
    /// were made: on an overlay they have other numbers than the files. Without them, what is not staged stays.
    ///
    /// Errors: it cannot be listed; there is a directory where a file was, or a file where a directory was.
    pub(super) fn between(staged: &Path, old: &[Seen], links: Option<&[Seen]>) -> io::Result<Self> {
        let new = seen(staged)?;
        let old: BTreeMap<&Path, &Seen> = old.iter().map(|seen| (seen.name.as_path(), seen)).collect();
        let is_link = |seen: &Seen| {
            let links = links.unwrap_or_default();
            let at = links.binary_search_by(|link| link.name.as_path().cmp(&seen.name));
            at.ok().and_then(|at| links.get(at)).is_some_and(|link| link.inode == seen.inode)
        };
        let mut journal = Self::default();
        let mut covered: Option<&Path> = None;
        for seen in &new {
            // a directory goes with all that is in it
            if covered.is_some_and(|directory| seen.name.starts_with(directory)) {
                continue;
            }
            match old.get(seen.name.as_path()) {
                None => {
                    journal.put.push(seen.name.clone());
                    covered = seen.is_directory.then_some(seen.name.as_path());
                }
                Some(before) if before.is_directory != seen.is_directory => {
                    return Err(io::Error::other(format!(
                        "{}: a directory cannot take the place of a file, nor a file that of a directory",
                        seen.name.display()
                    )));
                }
                Some(before) if before.is_directory || before.inode == seen.inode || is_link(seen) => {}
                Some(_) => journal.put.push(seen.name.clone()),
            }
        }
        if links.is_some() {
            let names: BTreeMap<&Path, ()> = new.iter().map(|seen| (seen.name.as_path(), ())).collect();
            let gone = old.keys().filter(|name| !names.contains_key(**name)).rev();
            journal.gone = gone.map(|name| name.to_path_buf()).collect();
        }
        Ok(journal)
    }

    /// Writes the journal; it is not in force yet.
    pub(super) fn write(&self, target: &Path) -> io::Result<()> {
        let mut bytes = FIRST.to_vec();
        for (what, names) in [(&b"keep"[..], &self.keep), (b"put", &self.put), (b"gone", &self.gone)] {
            for name in names {
                for word in [what, name.as_os_str().as_bytes()] {
                    bytes.push(0);
                    bytes.extend_from_slice(word);
                }
            }
        }
        bytes.push(0);
        bytes.extend_from_slice(LAST);
        let new = target.join(JOURNAL_NEW);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(&bytes)?;
        file.sync_all()
    }

    /// Gives the journal its name: the change is made.
    pub(super) fn enforce(target: &Path) -> io::Result<()> {
        fs::rename(target.join(JOURNAL_NEW), target.join(JOURNAL))
    }

    /// The journal that was left in a directory, if there is one.
    pub(super) fn read(target: &Path) -> io::Result<Option<Self>> {
        let file = match left::open(&target.join(JOURNAL), OFlags::empty()) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let meta = file.metadata()?;
        if !meta.is_file() || meta.len() > LONGEST {
            return Err(io::Error::other("is no journal of icecore"));
        }
        let mut bytes = Vec::new();
        file.take(LONGEST).read_to_end(&mut bytes)?;
        Self::parse(&bytes).map(Some).ok_or_else(|| io::Error::other("is no journal of icecore"))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut journal = Self::default();
        let mut words = bytes.split(|byte| *byte == 0);
        if words.next()? != FIRST {
            return None;
        }
        loop {
            let names = match words.next()? {
                LAST => return words.next().is_none().then_some(journal),
                b"keep" => &mut journal.keep,
                b"put" => &mut journal.put,
                b"gone" => &mut journal.gone,
                _ => return None,
            };
            let name = Path::new(OsStr::from_bytes(words.next()?));
            if !is_inside(name) {
                return None;
            }
            names.push(name.to_path_buf());
        }
    }

    /// Does what is left to do, however much of it was done before.
    ///
    /// Errors: the system refused. What is left then is still in the journal.
    pub(super) fn carry_out(&self, target: &Path) -> io::Result<()> {
        let staged = target.join(STAGED);
        for name in &self.keep {
            // once the new one has its name, the old one has the other
            if fs::symlink_metadata(staged.join(name)).is_ok() {
                let kept = backup(&target.join(name));
                match renameat_with(CWD, target.join(name), CWD, kept, RenameFlags::NOREPLACE) {
                    Ok(()) | Err(rustix::io::Errno::NOENT | rustix::io::Errno::EXIST) => {}
                    Err(rustix::io::Errno::INVAL) => rename_where_there_is_none(&target.join(name))?,
                    Err(error) => return Err(error.into()),
                }
            }
        }
        for name in &self.put {
            match fs::rename(staged.join(name), target.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        for name in &self.gone {
            let name = target.join(name);
            let removed = match fs::symlink_metadata(&name) {
                Ok(meta) if meta.is_dir() => fs::remove_dir(&name),
                Ok(_) => fs::remove_file(&name),
                Err(error) => Err(error),
            };
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        // all names must be where they belong before nobody knows any more that they had to
        sync(target)?;
        fs::remove_file(target.join(JOURNAL))?;
        // all is done: carrying it out once more would change nothing
        let _ = sync(target);
        let _ = fs::remove_dir_all(staged);
        Ok(())
    }
}

/// `NAME.bak`.
pub(super) fn backup(name: &Path) -> PathBuf {
    let mut kept = name.as_os_str().to_os_string();
    kept.push(BACKUP);
    kept.into()
}

/// Where the file system cannot rename and refuse in one step.
fn rename_where_there_is_none(name: &Path) -> io::Result<()> {
    let kept = backup(name);
    match (fs::symlink_metadata(&kept), fs::symlink_metadata(name)) {
        (Err(_), Ok(_)) => fs::rename(name, kept),
        _ => Ok(()),
    }
}

fn sync(directory: &Path) -> io::Result<()> {
    rustix::fs::syncfs(File::open(directory)?)?;
    Ok(())
}

/// Whether a name leads down, and not to what a stage keeps in the directory.
pub(super) fn is_inside(name: &Path) -> bool {
    let mut parts = name.components();
    let first = parts.clone().next();
    let own = |part: Component<'_>| super::OWN.iter().any(|own| part.as_os_str() == *own);
    first.is_some_and(|first| !own(first)) && parts.all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_and_read() {
        let around = tempfile::tempdir().unwrap();
        assert_eq!(Journal::read(around.path()).unwrap(), None);
        let paths = |names: &[&str]| names.iter().map(PathBuf::from).collect();
        let journal = Journal {
            keep: paths(&["pagemap-1.img"]),
            put: paths(&["a\nb", "sub/c", "end"]),
            gone: paths(&["put", "d"]),
        };
        journal.write(around.path()).unwrap();
        assert_eq!(Journal::read(around.path()).unwrap(), None);
        Journal::enforce(around.path()).unwrap();
        assert_eq!(Journal::read(around.path()).unwrap(), Some(journal));
    }

    #[test]
    fn names_that_lead_elsewhere() {
        for name in ["../a", "/a", "a/../../b", "", ".", ".icecore-journal", ".icecore-stage/a"] {
            let bytes = [FIRST, b"put", name.as_bytes(), LAST].join(&0);
            assert_eq!(Journal::parse(&bytes), None, "{name}");
        }
        let whole = [FIRST, b"put", b"a", LAST].join(&0);
        assert!(Journal::parse(&whole).is_some());
        for cut in 0..whole.len() {
            assert_eq!(Journal::parse(&whole[..cut]), None);
        }
    }

    #[test]
    fn a_pipe_or_a_link_is_no_journal() {
        let around = tempfile::tempdir().unwrap();
        let path = around.path().join(JOURNAL);
        rustix::fs::mknodat(CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o600), 0).unwrap();
        Journal::read(around.path()).unwrap_err();
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        Journal::read(around.path()).unwrap_err();
    }
}
