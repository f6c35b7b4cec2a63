//! Signals: sets of them, what a task does on them, those on their way.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::base::Address;
use crate::object::v1;
use crate::wire;

/// A set of signals: bit `k` is signal `k + 1`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignalSet(pub u64);

impl SignalSet {
    /// The numbers of its signals.
    pub fn numbers(self) -> impl Iterator<Item = u32> {
        (0..64).filter(move |bit| self.0 >> bit & 1 == 1).map(|bit| bit + 1)
    }
}

impl fmt::Display for SignalSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, number) in self.numbers().enumerate() {
            let comma = if position == 0 { "" } else { "," };
            write!(f, "{comma}{}", name(number))?;
        }
        Ok(())
    }
}

impl Serialize for SignalSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.numbers().map(name))
    }
}

/// Names of signals 1 to 31, as all but MIPS, Alpha and SPARC number them.
static NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
    "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO",
    "PWR", "SYS",
];

/// The name of a signal, without `SIG`: `TERM`, `RT34`.
pub fn name(number: u32) -> String {
    let known = number.checked_sub(1).and_then(|at| NAMES.get(usize::try_from(at).ok()?));
    match known {
        Some(name) => (*name).to_owned(),
        None => format!("RT{number}"),
    }
}

/// What a task does on a signal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Action {
    /// The signal.
    pub signal: u32,
    /// What is called.
    pub handler: Handler,
    /// Flags of sigaction.
    pub flags: Address,
    /// Signals blocked meanwhile.
    pub mask: SignalSet,
}

/// What is called on a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Handler {
    /// Nothing: what the kernel does.
    Default,
    /// Nothing at all.
    Ignore,
    /// The function at this address.
    At(Address),
}

/// A signal on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PendingSignal {
    /// The signal.
    pub signal: u32,
    /// Where it comes from, as `si_code` tells.
    pub code: i32,
}

/// The actions that are not the default. `entries` has one for each signal from 1 on, without KILL and STOP.
pub(crate) fn actions(entries: Vec<v1::SaEntry>) -> Vec<Action> {
    let signals = (1..).filter(|signal| *signal != 9 && *signal != 19);
    let action = |(signal, entry): (u32, v1::SaEntry)| {
        let handler = match entry.sigaction {
            0 => Handler::Default,
            1 => Handler::Ignore,
            address => Handler::At(Address(address)),
        };
        let is_default = handler == Handler::Default && entry.flags == 0 && entry.mask == 0;
        (!is_default).then_some(Action { signal, handler, flags: Address(entry.flags), mask: SignalSet(entry.mask) })
    };
    signals.zip(entries).filter_map(action).collect()
}

/// The signals of a queue, from the kernel's struct siginfo: number, errno, code.
pub(crate) fn pending(entries: Vec<v1::SiginfoEntry>) -> Vec<PendingSignal> {
    let signal = |entry: v1::SiginfoEntry| {
        Some(PendingSignal {
            signal: wire::v1::word(&entry.siginfo, 0)?,
            code: wire::v1::word(&entry.siginfo, 8)?.cast_signed(),
        })
    };
    entries.into_iter().filter_map(signal).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_skip_kill_and_stop() {
        let mut entries = vec![v1::SaEntry::default(); 62];
        entries[8].sigaction = 1;
        entries[17].sigaction = 0x4000;
        entries[61].flags = 4;
        let actions = actions(entries);
        let found: Vec<_> = actions.iter().map(|action| (action.signal, action.handler)).collect();
        assert_eq!(found, [(10, Handler::Ignore), (20, Handler::At(Address(0x4000))), (64, Handler::Default)]);
    }

    #[test]
    fn sets_and_names() {
        let set = SignalSet(1 | 1 << 14 | 1 << 63);
        assert_eq!(set.to_string(), "HUP,TERM,RT64");
        assert_eq!(name(0), "RT0");
        let siginfo = [15, 0, 0, 0, 0, 0, 0, 0, 0xfa, 0xff, 0xff, 0xff].to_vec();
        let queue = vec![v1::SiginfoEntry { siginfo: siginfo.into() }, v1::SiginfoEntry::default()];
        assert_eq!(pending(queue), [PendingSignal { signal: 15, code: -6 }]);
    }
}
