//! What backs a mapping is in the dump. Which image has it depends on more than the field, so no option of the schema
//! can say it.

use crate::checkpoint::mm::{Backing, Mapping};
use crate::tool::check::Finding;

/// What is wrong with the number of what backs a mapping.
pub(super) fn finding(mapping: &Mapping) -> Option<Finding> {
    let what = match &mapping.backing {
        Backing::File(None) => format!("expected file {} in the dump, which is mapped, found none", mapping.shmid),
        Backing::Memfd(None) => format!("expected memfd {} in the dump, which is mapped, found none", mapping.shmid),
        // segments and the rest: where their pages are is the subject of other rules
        _ => return None,
    };
    let advice = "the entry of files.img is lost, or the number is wrong: CRIU stops at it";
    Some(Finding::error("mapping-file", what).advice(advice))
}
