//! Any bytes as a directory of images: checking ends without a panic, tells the same twice, and of a dump that it calls
//! whole all entries, tasks and pages can be read.
#![no_main]

mod files;

use std::sync::Arc;

use files::{Files, LIMITS};
use icecore::Checkpoint;
use icecore::base::report::{Cancel, Collect, Silent};
use icecore::checkpoint::Options;
use icecore::tool::check::{Check, Finding, check_open};
use libfuzzer_sys::fuzz_target;

fn look(dump: &Checkpoint, options: &Check) -> (Vec<Finding>, bool) {
    let mut found = Collect::default();
    let checked = check_open(dump, options, &mut found, (&Silent, &Cancel::default())).expect("nothing can fail here");
    let worse = checked.errors + checked.warnings;
    // many of one kind in one image are told together
    assert!(checked.errors + checked.warnings + checked.notes >= found.rows.len() as u64);
    assert_eq!(checked.is_whole, worse == 0);
    for finding in &found.rows {
        assert!(!finding.what.is_empty() && !finding.rule.is_empty());
    }
    (found.rows, checked.is_whole)
}

fuzz_target!(|data: &[u8]| {
    let Some(files) = Files::new(data) else { return };
    let dump = Checkpoint::from_source(Arc::new(files), LIMITS);
    let read = Options { limits: LIMITS, ..Options::default() };
    let plain = look(&dump, &Check { read, ..Check::default() });
    let (deep, is_whole) = look(&dump, &Check { read, deep: true, ..Check::default() });
    // reading more finds more
    for finding in plain.0 {
        assert!(deep.contains(&finding), "only without --deep: {finding:?}");
    }
    if !is_whole {
        return;
    }
    for name in dump.images() {
        let image = dump.open_image(name).expect("whole");
        if image.kind().row().shape.is_framed() {
            for entry in &image {
                entry.and_then(|entry| entry.check()).expect("whole");
            }
        }
    }
    let Ok(tasks) = dump.tasks() else { return };
    for task in tasks.items {
        let Some(space) = task.address_space().expect("whole") else { continue };
        for run in space.runs(0..u64::MAX) {
            let _ = run;
        }
    }
});
