//! docs/check.md has every rule that the sources know.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else {
            found.push(path);
        }
    }
}

#[test]
fn every_rule_is_in_the_document() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = fs::read_to_string(root.join("docs/check.md")).unwrap();
    let named: BTreeSet<&str> = document
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .flat_map(|line| line.split('|').next().unwrap().split('`').step_by(2))
        .collect();
    let mut files = Vec::new();
    sources(&root.join("src/tool/check"), &mut files);
    let makers = ["Finding::error(", "Finding::warning(", "Finding::note(", "wrong(", "broken(", ".ok("];
    let mut missing = BTreeSet::new();
    for file in files {
        let source = fs::read_to_string(&file).unwrap();
        // rules of unit tests are made up
        let source = source.split("#[cfg(test)]").next().unwrap();
        for maker in makers {
            for (_, rest) in source.match_indices(maker).map(|(at, _)| source.split_at(at + maker.len())) {
                let Some((rule, _)) = rest.trim_start().strip_prefix('"').and_then(|rest| rest.split_once('"')) else {
                    continue;
                };
                let is_rule =
                    rule.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-' || byte.is_ascii_digit());
                // `wrong` takes names of fields too, which have no dashes
                if is_rule && (maker != "wrong(" || rule.contains('-')) && !named.contains(rule) {
                    missing.insert(format!("{rule} ({})", file.strip_prefix(root).unwrap().display()));
                }
            }
        }
    }
    assert!(missing.is_empty(), "not in docs/check.md:\n{}", missing.into_iter().collect::<Vec<_>>().join("\n"));
}
