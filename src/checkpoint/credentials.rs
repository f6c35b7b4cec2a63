//! On whose behalf a thread acts, and what it may do.

use serde::{Serialize, Serializer};

use crate::base::Name;
use crate::checkpoint::names;
use crate::object::v1;

/// The credentials of a thread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
#[allow(missing_docs)]
pub struct Credentials {
    pub uid: u32,
    pub gid: u32,
    pub euid: u32,
    pub egid: u32,
    pub suid: u32,
    pub sgid: u32,
    pub fsuid: u32,
    pub fsgid: u32,
    /// Further groups.
    pub groups: Vec<u32>,
    /// Capabilities that a program it executes may inherit.
    pub cap_inh: Capabilities,
    /// Capabilities it may take.
    pub cap_prm: Capabilities,
    /// Capabilities it has.
    pub cap_eff: Capabilities,
    /// Capabilities it can ever have.
    pub cap_bnd: Capabilities,
    /// Capabilities that programs without any get too.
    pub cap_amb: Capabilities,
    /// How user 0 is treated, as prctl numbers it.
    pub secbits: u32,
    /// Whether executing a program can never give it more rights.
    pub no_new_privs: bool,
    /// Its label or profile of a security module.
    pub lsm_profile: Option<Name>,
}

impl Credentials {
    pub(crate) fn new(entry: v1::CredsEntry) -> Self {
        Self {
            uid: entry.uid,
            gid: entry.gid,
            euid: entry.euid,
            egid: entry.egid,
            suid: entry.suid,
            sgid: entry.sgid,
            fsuid: entry.fsuid,
            fsgid: entry.fsgid,
            cap_inh: Capabilities::new(&entry.cap_inh),
            cap_prm: Capabilities::new(&entry.cap_prm),
            cap_eff: Capabilities::new(&entry.cap_eff),
            cap_bnd: Capabilities::new(&entry.cap_bnd),
            cap_amb: Capabilities::new(&entry.cap_amb),
            secbits: entry.secbits,
            no_new_privs: entry.no_new_privs() != 0,
            groups: entry.groups,
            lsm_profile: entry.lsm_profile.map(Name::from),
        }
    }
}

/// A set of capabilities: bit `k` is capability `k`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(pub u64);

impl Capabilities {
    fn new(words: &[u32]) -> Self {
        let word = |at: usize| words.get(at).copied().map_or(0, u64::from);
        Self(word(0) | word(1) << 32)
    }

    /// Their names, without `CAP_`; those without one by their number.
    pub fn names(self) -> impl Iterator<Item = String> {
        let name = |bit: usize| names::CAPABILITIES.get(bit).map_or_else(|| bit.to_string(), |name| (*name).to_owned());
        (0..64usize).filter(move |bit| self.0 >> bit & 1 == 1).map(name)
    }
}

impl Serialize for Capabilities {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.names())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_of_both_words() {
        let set = Capabilities::new(&[1 << 21, 1 << 8 | 1 << 31]);
        assert_eq!(set.names().collect::<Vec<_>>(), ["sys_admin", "checkpoint_restore", "63"]);
        assert_eq!(Capabilities::new(&[]), Capabilities(0));
    }
}
