//! What a core image must have for its thread to be restored, as it stands there: [`Core`](super::task::Core) and
//! [`Thread`](super::thread::Thread) have it in the form in which people want it.

use crate::base::Result;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::registers::{Registers, arch};
use crate::image::Kind;
use crate::object::v1;

/// What a core image has.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Vitals {
    /// The machine's architecture: `x86_64`, `aarch64`...
    pub arch: &'static str,
    /// Whether it is a 32-bit task on a 64-bit machine.
    pub compat: bool,
    /// Whether it has the registers of that architecture.
    pub has_registers: bool,
    /// What all threads of a task have in common; `None` in the image of a thread that is not the leader.
    pub task: Option<TaskVitals>,
    /// How system calls are filtered: 2 is by filters.
    pub seccomp_mode: u32,
    /// The last filter.
    pub seccomp_filter: Option<u32>,
}

/// What the core image of a leader has of all threads.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct TaskVitals {
    /// CRIU's number of the state.
    pub state: u32,
    /// How many actions on signals there are; none in dumps before v1.7, which have an image of them.
    pub actions: usize,
    /// Resource limits, in the order of the kernel's numbers: what holds now, and how far it may be raised.
    pub limits: Vec<(u64, u64)>,
    /// Timers.
    pub times: Vec<Time>,
}

/// The fraction of a second in a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Time {
    /// Which field: `tc.timers.real.iusec`.
    pub field: &'static str,
    /// The fraction.
    pub fraction: u64,
    /// How many make a second.
    pub units: u64,
}

impl Checkpoint {
    /// What the core image of a thread has.
    ///
    /// Errors: the dump lacks it, or it is broken.
    pub fn vitals(&self, tid: u32) -> Result<Vitals> {
        let core = self.image_of(Kind::Core, u64::from(tid))?.get(0)?.decode::<v1::CoreEntry>()?;
        let registers = Registers::new(&core);
        let thread = core.thread_core.as_ref();
        let tc = core.tc.as_ref();
        Ok(Vitals {
            arch: arch(core.mtype()),
            compat: registers.is_some_and(|registers| registers.compat),
            has_registers: registers.is_some(),
            seccomp_mode: thread
                .and_then(|thread| thread.seccomp_mode)
                .or_else(|| tc?.old_seccomp_mode)
                .map_or(0, i32::cast_unsigned),
            seccomp_filter: thread.and_then(|thread| thread.seccomp_filter).or_else(|| tc?.old_seccomp_filter),
            task: tc.map(task),
        })
    }
}

fn task(tc: &v1::TaskCoreEntry) -> TaskVitals {
    let limits = tc.rlimits.iter().flat_map(|entry| &entry.rlimits).map(|entry| (entry.cur, entry.max));
    let mut times = Vec::new();
    if let Some(timers) = &tc.timers {
        const MICRO: u64 = 1_000_000;
        const NANO: u64 = 1_000_000_000;
        let interval = [
            ("tc.timers.real.iusec", timers.real.iusec),
            ("tc.timers.real.vusec", timers.real.vusec),
            ("tc.timers.virt.iusec", timers.virt.iusec),
            ("tc.timers.virt.vusec", timers.virt.vusec),
            ("tc.timers.prof.iusec", timers.prof.iusec),
            ("tc.timers.prof.vusec", timers.prof.vusec),
        ];
        times.extend(interval.map(|(field, fraction)| Time { field, fraction, units: MICRO }));
        for timer in &timers.posix {
            let both = [("tc.timers.posix.insec", timer.insec), ("tc.timers.posix.vnsec", timer.vnsec)];
            times.extend(both.map(|(field, fraction)| Time { field, fraction, units: NANO }));
        }
    }
    TaskVitals { state: tc.task_state, actions: tc.sigactions.len(), limits: limits.collect(), times }
}
