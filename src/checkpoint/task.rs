//! A task: a process of the dump, alive, stopped or a zombie.

use std::collections::HashSet;

use serde::Serialize;

use crate::base::{Error, Listing, Name, Result};
use crate::checkpoint::Checkpoint;
use crate::checkpoint::limit::{Limit, limits};
use crate::checkpoint::namespace::Ids;
use crate::checkpoint::signal::{Action, PendingSignal, SignalSet, actions, pending};
use crate::checkpoint::thread::Thread;
use crate::checkpoint::timer::Timers;
use crate::image::Kind;
use crate::object::v1;

/// A task. What the tree says of it is at hand; everything else is read from its images when asked for.
#[derive(Clone)]
pub struct Task<'a> {
    pub(crate) dump: &'a Checkpoint,
    entry: usize,
    pid: u32,
    ppid: u32,
    pgid: u32,
    sid: u32,
    tids: Vec<u32>,
    is_known: bool,
}

/// Whether a task runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum State {
    /// It runs or sleeps.
    Alive,
    /// A signal stopped it.
    Stopped,
    /// It has ended; its parent has not asked how.
    Zombie,
    /// A number this version does not know, or no images at all.
    Unknown,
}

impl State {
    pub(crate) fn new(task_state: u32) -> Self {
        match task_state {
            1 => Self::Alive,
            3 => Self::Stopped,
            2 | 6 => Self::Zombie,
            _ => Self::Unknown,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Stopped => "stopped",
            Self::Zombie => "zombie",
            Self::Unknown => "unknown",
        }
    }
}

/// What all threads of a task have in common, from the core image of its leader.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Process {
    /// Whether it runs.
    pub state: State,
    /// Of a zombie: how it ended, as `wait` tells.
    pub exit_code: u32,
    /// Its command.
    pub comm: Name,
    /// Execution domain.
    pub personality: u32,
    /// Flags of the kernel's task struct.
    pub flags: u32,
    /// Of a stopped task: the signal that stopped it.
    pub stop_signal: Option<u32>,
    /// The user it logged in as; `None` for what no login started.
    pub loginuid: Option<u32>,
    /// How ready the kernel is to kill it.
    pub oom_score_adj: Option<i32>,
    /// Whether orphans below it become its children.
    pub child_subreaper: bool,
    /// Its set of control groups.
    pub cg_set: Option<u32>,
    /// Resource limits.
    pub limits: Vec<Limit>,
    /// Timers.
    pub timers: Option<Timers>,
    /// What it does on signals, where that is not the default.
    pub actions: Vec<Action>,
    /// Signals sent to it that no thread has taken yet.
    pub pending: Vec<PendingSignal>,
    /// Signals its leader blocks.
    pub blocked: SignalSet,
}

/// The core image of a task's leader.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Core {
    /// What its threads have in common.
    pub process: Process,
    /// The leader's own.
    pub leader: Thread,
}

/// Where a task is in the file system, from its fs image. The numbers are those of files of the dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FsIds {
    /// The working directory.
    pub cwd_id: u32,
    /// The root.
    pub root_id: u32,
    /// Permissions that files it makes don't get.
    pub umask: Option<u32>,
}

impl<'a> Task<'a> {
    pub(crate) fn new(dump: &'a Checkpoint, number: usize, entry: v1::PstreeEntry) -> Self {
        // the first thread is the task itself; of a zombie CRIU writes garbage there
        let all = std::iter::once(entry.pid).chain(entry.threads.into_iter().skip(1));
        // reading one image again for each time it is named would take as long as somebody likes
        let mut seen = HashSet::new();
        let tids = all.filter(|tid| seen.insert(*tid)).collect();
        Self {
            dump,
            entry: number,
            pid: entry.pid,
            ppid: entry.ppid,
            pgid: entry.pgid,
            sid: entry.sid,
            tids,
            is_known: true,
        }
    }

    /// A task of which only the number is known.
    pub(crate) fn unknown(dump: &'a Checkpoint, pid: u32) -> Self {
        Self { dump, entry: 0, pid, ppid: 0, pgid: 0, sid: 0, tids: vec![pid], is_known: false }
    }

    /// Its entry in `pstree.img`, from 0.
    pub fn entry(&self) -> usize {
        self.entry
    }

    /// Its number in its pid namespace.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether the dump says more of it than its number and its memory. A pre-dump does not: parent, group and session
    /// are then 0, and it seems to have one thread.
    pub fn is_known(&self) -> bool {
        self.is_known
    }

    /// Its parent; 0 if that is not in the dump.
    pub fn ppid(&self) -> u32 {
        self.ppid
    }

    /// Its process group; 0 where that is outside the dump.
    pub fn pgid(&self) -> u32 {
        self.pgid
    }

    /// Its session; 0 where that is outside the dump.
    pub fn sid(&self) -> u32 {
        self.sid
    }

    /// The numbers of its threads, its own first.
    pub fn tids(&self) -> &[u32] {
        &self.tids
    }

    /// Its core image; `None` in a pre-dump, which has none.
    ///
    /// Errors: the image is missing from a dump, or broken.
    pub fn core(&self) -> Result<Option<Core>> {
        let id = u64::from(self.pid);
        let Some(image) = self.dump.find(Kind::Core, id)? else {
            if self.dump.images_of(Kind::Core).is_empty() {
                return Ok(None);
            }
            return self.dump.image_of(Kind::Core, id).map(|_| None);
        };
        let entry = image.get(0)?;
        let mut core = entry.decode::<v1::CoreEntry>()?;
        let Some(tc) = core.tc.take() else {
            return Err(entry.locate(Error::format("expected the core of a task (field tc), found a thread's"), 0));
        };
        let leader = Thread::new(self, self.pid, core, Some(&tc))?;
        Ok(Some(Core { process: self.process(tc, leader.blocked)?, leader }))
    }

    fn process(&self, tc: v1::TaskCoreEntry, blocked: SignalSet) -> Result<Process> {
        let old_pending = || self.old(Kind::Signal).map(pending);
        Ok(Process {
            state: State::new(tc.task_state),
            exit_code: tc.exit_code,
            personality: tc.personality,
            flags: tc.flags,
            stop_signal: tc.stop_signo,
            // -1 is what the kernel says of who never logged in
            loginuid: tc.loginuid.filter(|uid| *uid != u32::MAX),
            oom_score_adj: tc.oom_score_adj,
            child_subreaper: tc.child_subreaper.unwrap_or(false),
            cg_set: tc.cg_set,
            limits: match tc.rlimits {
                Some(entry) => limits(entry.rlimits),
                None => limits(self.old(Kind::Rlimit)?),
            },
            timers: match tc.timers {
                Some(entry) => Some(Timers::new(entry)),
                None => Timers::from_old(self.old(Kind::Itimers)?, self.old(Kind::PosixTimers)?),
            },
            actions: match tc.sigactions.is_empty() {
                false => actions(tc.sigactions),
                true => actions(self.old(Kind::Sigact)?),
            },
            pending: tc.signals_s.map_or_else(old_pending, |queue| Ok(pending(queue.signals)))?,
            blocked,
            comm: tc.comm.into(),
        })
    }

    /// All entries of an image of old dumps that is numbered by task; none where it is not there.
    pub(crate) fn old<T: crate::object::Object>(&self, kind: Kind) -> Result<Vec<T>> {
        self.dump.entries_of(kind, u64::from(self.pid)).and_then(Listing::all)
    }

    /// Its threads, the leader first. A zombie has none but itself.
    pub fn threads(&self) -> Listing<Thread> {
        let mut listing = Listing::default();
        for (position, &tid) in self.tids.iter().enumerate() {
            let thread = if position == 0 {
                self.core().map(|core| core.map(|core| core.leader))
            } else {
                Thread::read(self, tid).map(Some)
            };
            if let Some(thread) = thread.transpose() {
                listing.push(thread);
            }
        }
        listing
    }

    /// What it shares with other tasks, namespaces included; `None` where the dump does not say: zombies, pre-dumps.
    ///
    /// Errors: the image is broken.
    pub fn ids(&self) -> Result<Option<Ids>> {
        if let Some(image) = self.dump.find(Kind::Ids, u64::from(self.pid))? {
            return Ok(Some(Ids::new(&image.get(0)?.decode()?)));
        }
        // before they had an image of their own they were in the core image
        match self.dump.find(Kind::Core, u64::from(self.pid))? {
            Some(image) => Ok(image.get(0)?.decode::<v1::CoreEntry>()?.ids.as_ref().map(Ids::new)),
            None => Ok(None),
        }
    }

    /// Where it is in the file system; `None` for zombies and in pre-dumps.
    ///
    /// Errors: the image is broken.
    pub fn fs(&self) -> Result<Option<FsIds>> {
        let Some(image) = self.dump.find(Kind::Fs, u64::from(self.pid))? else { return Ok(None) };
        let entry = image.get(0)?.decode::<v1::FsEntry>()?;
        Ok(Some(FsIds { cwd_id: entry.cwd_id, root_id: entry.root_id, umask: entry.umask }))
    }
}

impl std::fmt::Debug for Task<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Task")
            .field("pid", &self.pid)
            .field("ppid", &self.ppid)
            .field("tids", &self.tids)
            .finish_non_exhaustive()
    }
}
