//! A thread of a task.

use serde::Serialize;

use crate::base::{Address, Name, Result};
use crate::checkpoint::credentials::Credentials;
use crate::checkpoint::registers::Registers;
use crate::checkpoint::signal::{PendingSignal, SignalSet, pending};
use crate::checkpoint::task::Task;
use crate::image::Kind;
use crate::object::v1;

/// A thread, from its core image.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Thread {
    /// Its number in its pid namespace.
    pub tid: u32,
    /// Its command; threads may differ from their leader.
    pub comm: Name,
    /// Its registers; a zombie has none.
    pub registers: Option<Registers>,
    /// On whose behalf it acts; a zombie has none.
    pub credentials: Option<Credentials>,
    /// Signals it blocks.
    pub blocked: SignalSet,
    /// Signals sent to it alone.
    pub pending: Vec<PendingSignal>,
    /// How it is scheduled.
    pub sched: Sched,
    /// How its system calls are filtered: `disabled`, `strict`, `filter`.
    pub seccomp_mode: &'static str,
    /// Its last filter, a number into the dump's list.
    pub seccomp_filter: Option<u32>,
    /// The signal it gets when its parent ends; 0 is none.
    pub pdeath_sig: u32,
    /// Its list of robust futexes.
    pub robust_list: Address,
    /// Its alternate signal stack.
    pub alt_stack: Option<AltStack>,
    /// Its area for restartable sequences.
    pub rseq: Option<Address>,
    /// Its set of control groups, where that differs by thread.
    pub cg_set: Option<u32>,
    /// How late its timers may be, in nanoseconds.
    pub timerslack_ns: Option<u64>,
}

/// How a thread is scheduled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sched {
    /// The policy's number.
    pub policy: u32,
    /// Nice value of the usual policies.
    pub nice: i32,
    /// Priority of the real-time policies.
    pub priority: u32,
}

/// An alternate signal stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct AltStack {
    /// Where it is.
    pub sp: Address,
    /// Its bytes.
    pub size: u64,
    /// Flags of sigaltstack.
    pub flags: u32,
}

impl Thread {
    /// Reads the thread `tid`, which is not the leader.
    pub(crate) fn read(task: &Task<'_>, tid: u32) -> Result<Self> {
        let core = task.dump.image_of(Kind::Core, u64::from(tid))?.get(0)?.decode()?;
        Self::new(task, tid, core, None)
    }

    pub(crate) fn new(
        task: &Task<'_>,
        tid: u32,
        mut core: v1::CoreEntry,
        tc: Option<&v1::TaskCoreEntry>,
    ) -> Result<Self> {
        let registers = Registers::new(&core);
        let thread = core.thread_core.take().unwrap_or_default();
        let blocked = match tc {
            Some(tc) => SignalSet(tc.blk_sigset),
            None => SignalSet(thread.blk_sigset()),
        };
        let mode = match (thread.seccomp_mode, tc.and_then(|tc| tc.old_seccomp_mode)) {
            (Some(mode), _) | (None, Some(mode)) => mode,
            _ => 0,
        };
        let credentials = match thread.creds {
            Some(entry) => Some(Credentials::new(entry)),
            None => task.old::<v1::CredsEntry>(Kind::Creds)?.into_iter().next().map(Credentials::new),
        };
        let pending = match thread.signals_p {
            Some(queue) => pending(queue.signals),
            None => pending(task.dump.entries_of(Kind::SignalPrivate, u64::from(tid))?.all()?),
        };
        Ok(Self {
            tid,
            comm: thread.comm.or_else(|| tc.map(|tc| tc.comm.clone())).unwrap_or_default().into(),
            registers,
            credentials,
            blocked,
            pending,
            sched: Sched {
                policy: thread.sched_policy.unwrap_or(0),
                nice: thread.sched_nice.unwrap_or(0),
                priority: thread.sched_prio.unwrap_or(0),
            },
            seccomp_mode: match mode {
                0 => "disabled",
                1 => "strict",
                2 => "filter",
                _ => "unknown",
            },
            seccomp_filter: thread.seccomp_filter.or_else(|| tc.and_then(|tc| tc.old_seccomp_filter)),
            pdeath_sig: thread.pdeath_sig.unwrap_or(0),
            robust_list: Address(thread.futex_rla),
            alt_stack: thread.sas.map(|sas| AltStack {
                sp: Address(sas.ss_sp),
                size: sas.ss_size,
                flags: sas.ss_flags,
            }),
            rseq: thread.rseq_entry.map(|rseq| Address(rseq.rseq_abi_pointer)),
            cg_set: thread.cg_set,
            timerslack_ns: thread.timerslack_ns,
        })
    }
}
