//! `check` finds nothing wrong with dumps that CRIU made: those of `tests/data`, and of the large corpus where there is
//! one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::corpus;
use common::plant::checked;
use icecore::tool::check::{Check, Finding, Severity};

/// What truly is wrong with dumps of the large corpus: their pages files above 256 KiB were left out.
const TRUE: [&str; 1] = ["pages-missing"];

fn is_wrong(finding: &Finding) -> bool {
    finding.severity > Severity::Note && !TRUE.contains(&finding.rule)
}

fn look(root: &Path) {
    let dumps = corpus::dumps(root);
    assert!(!dumps.is_empty());
    let (mut wrong, mut counts) = (String::new(), BTreeMap::new());
    for dump in &dumps {
        for finding in checked(dump, &Check::default()).findings {
            *counts.entry((finding.severity, finding.rule)).or_insert(0u64) += 1;
            if is_wrong(&finding) {
                wrong += &format!("{}: {finding:?}\n", dump.display());
            }
        }
    }
    eprintln!("{} dumps: {counts:?}", dumps.len());
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn nothing_is_wrong_with_small_dumps() {
    look(&corpus::data());
}

#[test]
fn nothing_is_wrong_with_the_corpus() {
    match corpus::large() {
        Some(root) => look(&root),
        None => eprintln!("skipped: ICECORE_CORPUS names no corpus"),
    }
}
