//! `check`: framing, required fields, references, tasks. Each rule sees the defect that is planted for it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod common;

use common::plant::Plant;
use icecore::tool::check::Severity;

#[test]
fn an_untouched_copy_is_whole() {
    for name in ["tree", "container", "python"] {
        let plant = Plant::of_data(name);
        plant.check().assert_whole();
        plant.check_v2().assert_whole();
    }
}

#[test]
fn an_entry_that_is_cut() {
    let plant = Plant::of_data("tree");
    plant.resize("fs-1.img", plant.size("fs-1.img") - 1);
    plant.expect(Severity::Error, "entry", "fs-1.img", Some(0));
}

#[test]
fn a_required_field_that_is_missing() {
    let plant = Plant::of_data("tree");
    let kept = plant.message("pstree.img", 1, |message| message.drain(..2).count());
    assert_eq!(kept, 2);
    let found = plant.expect(Severity::Error, "entry", "pstree.img", Some(1));
    assert_eq!(found.field.as_deref(), Some("pid"));
}
