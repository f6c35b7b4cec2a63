//! A directory that is written elsewhere and takes its place in one step: at any time there is the old directory or the
//! new one, whatever happens to the program or the machine.
//!
//! Usually it is written beside its place, under the name `.NAME.PROCESS.NUMBER.tmp`. One rename puts it there, or
//! exchanges it with the old one, which is then removed. A directory that cannot be exchanged (a mount point, the
//! directory in which the program was started, one in a directory that may not be written) is changed by a journal.
//! What a killed program left is removed, or finished, by the next one that writes there.

mod commit;
mod journal;
mod links;
mod recover;
mod seen;
#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags};
use rustix::io::Errno;

use crate::base::left::{self, Held};
use crate::base::made::Made;
use crate::base::sink::Sink;
use crate::base::temporary::parent;
use crate::base::{Error, Result};
pub use recover::Recovered;
use recover::{finish, hold};
use seen::{Seen, seen};

/// A journal that is in force: the directory is changed as it says.
pub const JOURNAL: &str = ".icecore-journal";
/// What was written, until it is put in place; without a journal it is worth nothing.
pub const STAGED: &str = ".icecore-stage";
/// A journal that is being written.
const JOURNAL_NEW: &str = ".icecore-journal.new";
/// Names that no file of a checkpoint may have.
const OWN: [&str; 3] = [JOURNAL, STAGED, JOURNAL_NEW];
/// What is behind the name of an old file that is kept.
const BACKUP: &str = ".bak";

/// A directory being written. Dropping it leaves no trace.
pub struct Stage {
    target: PathBuf,
    path: PathBuf,
    road: Road,
    /// What the directory it replaces held when it was begun; none where there is no directory.
    old: Option<Vec<Seen>>,
    is_replace: bool,
    /// Whether all files that stay are in it.
    is_whole: bool,
    /// What it held then.
    links: Vec<Seen>,
    /// Where not: which go, and which are kept under another name.
    gone: Mutex<Vec<PathBuf>>,
    kept: Mutex<Vec<PathBuf>>,
    /// Open since it was begun, so that it hears of every write that failed; and locked.
    directory: Held,
    /// The lock of the directory it replaces.
    _lock: Option<Held>,
    made: Option<Made>,
    /// It is not to be removed: it is in its place, or a journal says what is left to do.
    is_done: bool,
}

/// How it gets to its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Road {
    /// It is beside its place and is renamed.
    Beside,
    /// It is in its place, and a journal says what of it goes where.
    Inside,
}

impl Stage {
    /// Begins a directory that will be at `target`, where nothing is, or an empty directory, whose owner and mode are
    /// kept. Directories around it are made, and go again if it does not get there.
    ///
    /// Errors: something is there; it cannot be made; another process writes there.
    pub fn create(target: &Path) -> Result<Self> {
        match fs::canonicalize(target) {
            Ok(there) => Self::begin(there, false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::fresh(target),
            Err(error) => Err(failed(target, "cannot open", error)),
        }
    }

    /// Begins a directory that will replace the one at `target`. All its files are in it already, as further names of
    /// the same files: write what changes through [`file`](Self::file), take away what goes with
    /// [`remove`](Self::remove). Where the file system has no hard links, only what is written is in it; what stays has
    /// to be read at `target`.
    ///
    /// Whatever happens to the files at `target` from here on is noticed: begin before reading them.
    ///
    /// Errors: it is not there; it cannot be written; another process writes there; an interrupted change of it had to
    /// be finished ([`recover`](Self::recover) does so before anything is read).
    pub fn replace(target: &Path) -> Result<Self> {
        let there = fs::canonicalize(target).map_err(|error| failed(target, "cannot open", error))?;
        Self::begin(there, true)
    }

    fn fresh(target: &Path) -> Result<Self> {
        if target.file_name().is_none() {
            return Err(failed(target, "cannot open", io::ErrorKind::NotFound.into()));
        }
        let made = Made::make(parent(target))?;
        left::sweep(target);
        let (path, directory) = left::directory_beside(target, 0o777)
            .map_err(|error| failed(target, "cannot make a directory beside it", error))?;
        Ok(Self {
            target: target.to_path_buf(),
            path,
            road: Road::Beside,
            old: None,
            is_replace: false,
            is_whole: true,
            links: Vec::new(),
            gone: Mutex::default(),
            kept: Mutex::default(),
            directory,
            _lock: None,
            made: Some(made),
            is_done: false,
        })
    }

    /// Begins what takes the place of a directory that is there.
    fn begin(target: PathBuf, is_replace: bool) -> Result<Self> {
        let lock = hold(&target)?;
        left::sweep(&target);
        if finish(&target)? == Recovered::Finished && is_replace {
            return Err(Error::usage("an interrupted change of it was finished just now: it is not what was read")
                .in_image(target.to_string_lossy())
                .hint("run it again"));
        }
        let old = seen(&target).map_err(|error| failed(&target, "cannot list", error))?;
        if !is_replace && !old.is_empty() {
            return Err(
                Error::usage("is not empty, expected a directory to write into").in_image(target.to_string_lossy())
            );
        }
        let begun = match can_be_renamed(&target) {
            true => Self::in_place(&target, &lock, &old, is_replace, Road::Beside),
            false => Err(io::ErrorKind::Unsupported.into()),
        };
        let begun = begun.or_else(|error| match is_no_way(&error) {
            true => Self::in_place(&target, &lock, &old, is_replace, Road::Inside),
            false => Err(error),
        });
        let (path, road, directory, is_whole) =
            begun.map_err(|error| failed(&target, "cannot make a directory for what is written", error))?;
        let mut stage = Self {
            target,
            path,
            road,
            old: Some(old),
            is_replace,
            is_whole,
            links: Vec::new(),
            gone: Mutex::default(),
            kept: Mutex::default(),
            directory,
            _lock: Some(lock),
            made: None,
            is_done: false,
        };
        stage.settled()?;
        Ok(stage)
    }

    /// Looks at the old directory once more: an overlay gives files that get a further name other numbers.
    fn settled(&mut self) -> Result<()> {
        let now = seen(&self.target).map_err(|error| self.error("cannot list", error))?;
        self.links = seen(&self.path).map_err(|error| self.error("cannot list", error))?;
        let old = self.old.replace(now);
        let mut both = old.iter().flatten().zip(self.old.iter().flatten());
        if old.as_ref().map(Vec::len) != self.old.as_ref().map(Vec::len) || both.any(|(old, now)| !old.is_as(now)) {
            return Err(Error::usage("was changed by somebody else meanwhile").in_image(self.target.to_string_lossy()));
        }
        Ok(())
    }

    /// Makes the directory that is written, like the one it replaces and with all its files.
    fn in_place(
        target: &Path,
        lock: &File,
        old: &[Seen],
        is_replace: bool,
        road: Road,
    ) -> io::Result<(PathBuf, Road, Held, bool)> {
        let (path, directory) = match road {
            Road::Beside => left::directory_beside(target, 0o700)?,
            Road::Inside => {
                let path = target.join(STAGED);
                fs::DirBuilder::new().mode(0o700).create(&path)?;
                let directory = left::open_directory(&path)?.into();
                (path, directory)
            }
        };
        let filled = match road {
            Road::Beside => links::alike(lock, &directory),
            Road::Inside => Ok(()),
        };
        let filled = filled.and_then(|()| if is_replace { links::fill(target, &path, old) } else { Ok(()) });
        match (filled, road) {
            (Ok(()), _) => Ok((path, road, directory, true)),
            // what is not there is read where it is
            (Err(error), Road::Inside) if is_no_way(&error) => {
                fs::remove_dir_all(&path)?;
                fs::DirBuilder::new().mode(0o700).create(&path)?;
                let directory = left::open_directory(&path)?.into();
                Ok((path, road, directory, false))
            }
            (Err(error), _) => {
                let _ = fs::remove_dir_all(&path);
                Err(error)
            }
        }
    }

    /// Where to write.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Begins a file of the directory, which replaces the one that has the name. It needs no syncing and no renaming of
    /// its own; finish it all the same: dropping it takes it away.
    ///
    /// Errors: the name leads out of the directory; it cannot be written.
    pub fn file(&self, name: &Path) -> Result<Sink> {
        Sink::inside(self.place(name)?)
    }

    /// Takes a file away that the old directory has.
    ///
    /// Errors: there is none; the name leads out of the directory; the system refused.
    pub fn remove(&self, name: &Path) -> Result<()> {
        let place = self.place(name)?;
        match fs::remove_file(place) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.is_whole => {
                fs::symlink_metadata(self.target.join(name)).map_err(|error| self.error("cannot remove", error))?;
                note(&self.gone, name)
            }
            removed => removed.map_err(|error| self.error("cannot remove", error)),
        }
    }

    /// Keeps the old file of this name as `NAME.bak`.
    ///
    /// Errors: there is a file `NAME.bak`; there is no old file; the system refused.
    pub fn keep_old(&self, name: &Path) -> Result<()> {
        let place = self.place(name)?;
        let is_there = |path: &Path| fs::symlink_metadata(path).is_ok();
        let old = self.target.join(name);
        if is_there(&journal::backup(&old)) || is_there(&journal::backup(&place)) {
            let kept = journal::backup(&old);
            return Err(Error::usage("is there already: the old file would be kept under this name")
                .in_image(kept.to_string_lossy()));
        }
        let failed = |error| failed(&old, "cannot keep the old file", error);
        if !self.is_whole {
            fs::symlink_metadata(&old).map_err(failed)?;
            return note(&self.kept, name);
        }
        fs::hard_link(&old, journal::backup(&place)).map_err(failed)
    }

    fn place(&self, name: &Path) -> Result<PathBuf> {
        place(&self.path, name)
    }

    fn error(&self, what: &'static str, error: impl Into<io::Error>) -> Error {
        failed(&self.target, what, error.into())
    }
}

fn note(names: &Mutex<Vec<PathBuf>>, name: &Path) -> Result<()> {
    match names.lock() {
        Ok(mut names) => names.push(name.to_path_buf()),
        Err(_) => return Err(Error::usage("another thread that wrote the directory ended early")),
    }
    Ok(())
}

/// Where a name is in a directory that is written.
///
/// Errors: it leads out of the directory, or to what a stage keeps there.
pub(crate) fn place(directory: &Path, name: &Path) -> Result<PathBuf> {
    match journal::is_inside(name) {
        true => Ok(directory.join(name)),
        false => Err(Error::usage("is no name for a file of a checkpoint").in_image(name.to_string_lossy())),
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !self.is_done {
            // after an exchange this is the old directory
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

fn failed(target: &Path, what: &'static str, error: io::Error) -> Error {
    Error::io(what, error).in_image(target.to_string_lossy())
}

/// Whether another directory may take this one's place: it is no mount point, and the program was not started in it (a
/// shell would be left in a directory that is gone).
fn can_be_renamed(target: &Path) -> bool {
    // the directory around the root is the root
    let has_name = target.file_name().is_some();
    let starts_here = std::env::current_dir().is_ok_and(|here| here.starts_with(target));
    has_name && !is_mount(target) && !starts_here
}

/// Whether a file system is mounted on a directory.
fn is_mount(directory: &Path) -> bool {
    let stat = rustix::fs::statx(CWD, directory, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS);
    let device = |path: &Path| fs::metadata(path).map(|meta| meta.dev()).ok();
    match stat {
        Ok(stat) if stat.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT) => {
            stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)
        }
        _ => device(directory) != device(parent(directory)),
    }
}

/// Whether it can be done another way: this one is not allowed here, or the file system has it not.
fn is_no_way(error: &io::Error) -> bool {
    use Errno as E;
    let no_way = [E::PERM, E::ACCESS, E::ROFS, E::XDEV, E::MLINK, E::OPNOTSUPP, E::NOSYS, E::INVAL, E::BUSY];
    let number = error.raw_os_error().map(Errno::from_raw_os_error);
    error.kind() == io::ErrorKind::Unsupported || number.is_some_and(|number| no_way.contains(&number))
}
