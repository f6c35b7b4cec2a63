//! Timers of a task.

use serde::Serialize;

use crate::checkpoint::names;
use crate::object::v1;

/// The timers of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Timers {
    /// Counts time: sends ALRM.
    pub real: Interval,
    /// Counts the task's own time: sends VTALRM.
    pub virt: Interval,
    /// Counts the task's time, the kernel's for it included: sends PROF.
    pub prof: Interval,
    /// Those made by timer_create.
    pub posix: Vec<PosixTimer>,
}

/// A timer of setitimer, in microseconds; both 0 is off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Interval {
    /// From one end to the next.
    pub interval: u64,
    /// To the next end.
    pub value: u64,
}

/// A timer of timer_create. Times are in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PosixTimer {
    /// Its number in the task.
    pub id: u32,
    /// Its clock.
    pub clock: String,
    /// The signal it sends.
    pub signal: u32,
    /// Ends that were not delivered.
    pub overrun: u32,
    /// From one end to the next.
    pub interval: u64,
    /// To the next end; 0 is off.
    pub value: u64,
}

/// Whole seconds and a fraction, in units of which a second has `units`.
pub(crate) fn time(seconds: u64, fraction: u64, units: u64) -> u64 {
    seconds.saturating_mul(units).saturating_add(fraction)
}

impl Interval {
    fn new(entry: &v1::ItimerEntry) -> Self {
        const MICRO: u64 = 1_000_000;
        Self { interval: time(entry.isec, entry.iusec, MICRO), value: time(entry.vsec, entry.vusec, MICRO) }
    }
}

impl Timers {
    pub(crate) fn new(entry: v1::TaskTimersEntry) -> Self {
        Self {
            real: Interval::new(&entry.real),
            virt: Interval::new(&entry.virt),
            prof: Interval::new(&entry.prof),
            posix: entry.posix.iter().map(PosixTimer::new).collect(),
        }
    }

    /// From the images of dumps before v1.3: three timers and any number of the others.
    pub(crate) fn from_old(timers: Vec<v1::ItimerEntry>, posix: Vec<v1::PosixTimerEntry>) -> Option<Self> {
        if timers.is_empty() && posix.is_empty() {
            return None;
        }
        let timer = |position: usize| timers.get(position).map(Interval::new).unwrap_or_default();
        let posix = posix.iter().map(PosixTimer::new).collect();
        Some(Self { real: timer(0), virt: timer(1), prof: timer(2), posix })
    }
}

impl PosixTimer {
    fn new(entry: &v1::PosixTimerEntry) -> Self {
        const NANO: u64 = 1_000_000_000;
        Self {
            id: entry.it_id,
            clock: names::code_or_number(u64::from(entry.clock_id), names::CLOCKS),
            signal: entry.si_signo,
            overrun: entry.overrun,
            interval: time(entry.isec, entry.insec, NANO),
            value: time(entry.vsec, entry.vnsec, NANO),
        }
    }
}
