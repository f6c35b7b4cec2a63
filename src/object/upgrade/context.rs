//! What converting one image needs of others: session and process group of processes, which V1 has in `pstree.img`
//! and V2 in the cores.

use std::collections::HashMap;
use std::fmt;
use std::sync::OnceLock;

use crate::base::{Limits, Result};
use crate::image::{Image, Kind};
use crate::object::upgrade::{edit, leader, tree};

/// Session and process group of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its session.
    pub sid: u64,
    /// Its process group.
    pub pgid: u64,
}

type Lookup<'a> = dyn Fn(u64) -> Result<Option<Session>> + Send + Sync + 'a;

/// What an image is converted with.
pub struct Context<'a> {
    /// What it may cost.
    pub limits: Limits,
    sessions: Option<Box<Lookup<'a>>>,
    /// Whether a process may lack them.
    pub(super) is_partial: bool,
}

impl<'a> Context<'a> {
    /// That of an image that stands alone: what belongs into other images stays in it.
    pub fn alone(limits: Limits) -> Self {
        Self { limits, sessions: None, is_partial: false }
    }

    /// That of the images of one dump or checkpoint. `sessions` gives what the core of a process has, or is to have.
    pub fn of(limits: Limits, sessions: impl Fn(u64) -> Result<Option<Session>> + Send + Sync + 'a) -> Self {
        Self { limits, sessions: Some(Box::new(sessions)), is_partial: false }
    }

    /// That of a V1 dump: its tree, and whether the core of a process is there and takes a session; see
    /// [`takes_session`]. Each process is asked for once at most.
    ///
    /// Errors: the tree cannot be walked.
    pub fn of_dump(
        limits: Limits,
        tree: &Image,
        takes_session: impl Fn(u64) -> bool + Send + Sync + 'a,
    ) -> Result<Self> {
        let mut known: HashMap<u64, (Session, OnceLock<bool>)> = HashMap::new();
        for entry in tree {
            let Ok(entry) = entry else { break };
            if let Ok(Some((pid, session))) = tree::session(entry.message()) {
                known.entry(pid).or_insert((session, OnceLock::new()));
            }
        }
        Ok(Self::of(limits, move |pid| {
            let Some((session, takes)) = known.get(&pid) else { return Ok(None) };
            Ok((*takes.get_or_init(|| takes_session(pid))).then_some(*session))
        }))
    }

    /// The same, to look at what is there: an entry whose session is not known comes without it.
    #[must_use]
    pub fn partial(self) -> Self {
        Self { is_partial: true, ..self }
    }

    pub(super) fn session(&self, pid: u64) -> Result<Option<Session>> {
        match &self.sessions {
            Some(sessions) => sessions(pid),
            None => Ok(None),
        }
    }
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// Whether this core of a process is sound and of a whole process, so that the session can go into it.
pub fn takes_session(core: &Image) -> bool {
    core.kind() == Kind::Core
        && core.len() == 1
        && core.fault().is_none()
        && core.get(0).is_ok_and(|entry| {
            let message = entry.message();
            message.len() <= super::image::LARGEST && matches!(edit::last_bytes(message, leader::TASK), Ok(Some(_)))
        })
}
