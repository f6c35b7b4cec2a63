//! Why a dump lists none of what was asked for, where that is no error.

use crate::checkpoint::Checkpoint;
use crate::checkpoint::namespace::NamespaceKind;
use crate::checkpoint::task::State;
use crate::image::Kind;

impl Checkpoint {
    /// Whether it holds memory alone, taken while the tasks ran on.
    pub fn is_pre_dump(&self) -> bool {
        self.images_of(Kind::Pstree).is_empty() && !self.images_of(Kind::Pagemap).is_empty()
    }

    /// In a sentence, why there are no `what` (`mappings`...) of this task, or of any.
    pub fn why_none(&self, what: &str, pid: Option<u32>) -> String {
        let is_zombie = |pid: u32| {
            let core = self.task(pid).ok().and_then(|task| task.core().ok().flatten());
            core.is_some_and(|core| core.process.state == State::Zombie)
        };
        match pid {
            _ if self.is_pre_dump() => format!("a pre-dump is memory alone: it lists no {what}"),
            Some(pid) if is_zombie(pid) => format!("task {pid} is a zombie: it has no {what} any more"),
            Some(pid) => format!("the dump lists no {what} of task {pid}"),
            None => format!("the dump lists no {what}"),
        }
    }

    /// In a sentence, why there are no mounts.
    pub fn why_no_mounts(&self) -> String {
        let namespaces = self.namespaces().map(|listing| listing.items).unwrap_or_default();
        let mut namespaces = namespaces.iter().filter(|namespace| namespace.kind == NamespaceKind::Mnt).peekable();
        match namespaces.peek().is_some() && namespaces.all(|namespace| namespace.is_criu) {
            true => "the tasks share CRIU's mount namespace: the dump lists no mounts".to_owned(),
            false => self.why_none("mounts", None),
        }
    }
}
