//! How a written directory gets to its place.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::PoisonError;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::journal::Journal;
use super::seen::seen;
use super::{JOURNAL, JOURNAL_NEW, Road, STAGED, Stage, is_no_way, links};
use crate::base::temporary::parent;
use crate::base::{Error, Result, left};

impl Stage {
    /// Syncs all that was written and puts the directory in its place, in one step.
    ///
    /// Errors: the system refused; what it replaces has changed meanwhile. All is then as before; if a journal could not
    /// be carried out to its end, [`recover`](Self::recover) does the rest.
    pub fn commit(mut self) -> Result<()> {
        rustix::fs::syncfs(&*self.directory).map_err(|error| self.error("cannot sync", error))?;
        self.compare(&self.target)?;
        if self.road == Road::Beside {
            match self.rename() {
                Ok(()) => return self.settle(),
                Err(error) if is_no_way(&error) && self.old.is_some() => self.move_inside()?,
                Err(error) => return Err(self.error("cannot put the new directory in place", error)),
            }
        }
        self.by_journal()
    }

    /// Whether the old directory, which may be elsewhere by now, is as it was.
    fn compare(&self, at: &Path) -> Result<()> {
        let Some(old) = &self.old else { return Ok(()) };
        match seen(at) {
            Ok(now) if now == *old => Ok(()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.error("cannot list", error)),
            _ => Err(Error::usage("was changed by somebody else meanwhile; it is left as it is")
                .in_image(self.target.to_string_lossy())),
        }
    }

    pub(super) fn rename(&self) -> io::Result<()> {
        match self.is_replace {
            true => Ok(renameat_with(CWD, &self.path, CWD, &self.target, RenameFlags::EXCHANGE)?),
            // over an empty directory, or nothing
            false => fs::rename(&self.path, &self.target),
        }
    }

    /// It is in its place: looks once more at what was replaced, and makes it last.
    pub(super) fn settle(mut self) -> Result<()> {
        let looked = if self.is_replace { self.compare(&self.path) } else { Ok(()) };
        let synced =
            looked.and_then(|()| match File::open(parent(&self.target)).and_then(|around| around.sync_all()) {
                // some network file systems cannot sync directories
                Err(error) if !matches!(error.raw_os_error().map(Errno::from_raw_os_error), Some(Errno::INVAL)) => {
                    Err(self.error("cannot sync the directory around it", error))
                }
                _ => Ok(()),
            });
        if let Err(error) = synced {
            let back = match self.is_replace {
                true => renameat_with(CWD, &self.path, CWD, &self.target, RenameFlags::EXCHANGE)
                    .map_err(|error| self.error("cannot put the old directory back", error)),
                false => self.take_back(),
            };
            // else both stay: what is not in its place may be the only one that somebody else wrote into
            self.is_done = back.is_err();
            return Err(back.err().unwrap_or(error));
        }
        if let Some(made) = self.made.take() {
            made.keep();
        }
        Ok(())
    }

    /// Takes back what took the place of nothing, or of an empty directory.
    fn take_back(&self) -> Result<()> {
        let failed = |error| self.error("cannot take the new directory back", error);
        if self.old.is_none() {
            return fs::rename(&self.target, &self.path).map_err(failed);
        }
        fs::DirBuilder::new().mode(0o700).create(&self.path).map_err(failed)?;
        left::open_directory(&self.path).and_then(|empty| links::alike(&self.directory, &empty)).map_err(failed)?;
        renameat_with(CWD, &self.path, CWD, &self.target, RenameFlags::EXCHANGE).map_err(|error| failed(error.into()))
    }

    /// It cannot take the place of the old directory after all: it goes into it.
    pub(super) fn move_inside(&mut self) -> Result<()> {
        let inside = self.target.join(STAGED);
        fs::rename(&self.path, &inside)
            .map_err(|error| self.error("cannot move what was written into the directory", error))?;
        self.path = inside;
        self.road = Road::Inside;
        Ok(())
    }

    fn by_journal(mut self) -> Result<()> {
        let old = self.old.as_deref().unwrap_or_default();
        let links = self.is_whole.then_some(self.links.as_slice());
        let mut journal =
            Journal::between(&self.path, old, links).map_err(|error| self.error("cannot say what changes", error))?;
        // one that a thread left behind is refused where it is asked for
        journal.gone.append(self.gone.get_mut().unwrap_or_else(PoisonError::into_inner));
        journal.keep.append(self.kept.get_mut().unwrap_or_else(PoisonError::into_inner));
        let enforced = journal.write(&self.target).map_err(|error| self.error("cannot write the journal", error));
        // the last look before nothing can be taken back any more
        let enforced = enforced.and_then(|()| self.compare(&self.target)).and_then(|()| self.enforce());
        if let Err(error) = enforced {
            let _ = fs::remove_file(self.target.join(JOURNAL_NEW));
            self.is_done = fs::symlink_metadata(self.target.join(JOURNAL)).is_ok();
            return Err(error);
        }
        self.is_done = true;
        journal.carry_out(&self.target).map_err(|error| {
            self.error("was interrupted while the new files were put in place", error)
                .hint("its journal, .icecore-journal, says what is left; the next run that writes here finishes it")
        })
    }

    /// Puts the journal in force, for good.
    fn enforce(&self) -> Result<()> {
        let enforced = Journal::enforce(&self.target).and_then(|()| {
            let synced = rustix::fs::syncfs(&*self.directory);
            if synced.is_err() {
                // as far as anybody knows it is not in force; it must not be later on
                fs::remove_file(self.target.join(JOURNAL))?;
            }
            Ok(synced?)
        });
        enforced.map_err(|error| self.error("cannot put the journal in force", error))
    }
}
