//! crit 4.3 as the oracle, on real images: icecore's JSON is crit's byte for byte in both forms, and gives the image's
//! bytes back. `tests/data` always, and the folder that `ICECORE_CORPUS` names; each distinct content once.
//!
//! Where the two may differ is listed in `common/judge.rs`, and each case is checked to be the one that is listed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stderr
)]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::corpus::{self, Distinct};
use common::judge::{Verdict, judge};
use common::oracle::{self, Crit};

/// Questions run beside each other; each has a crit of its own.
const WORKERS: usize = 2;

#[derive(Default)]
struct Counts {
    files: usize,
    distinct: usize,
    equal: usize,
    entries: usize,
    kinds: BTreeMap<&'static str, usize>,
    known: BTreeMap<&'static str, usize>,
    wrong: Vec<String>,
}

fn compare(root: &Path, launcher: &Path) -> Counts {
    let files = corpus::framed(root);
    let counts = Mutex::new(Counts { files: files.len(), ..Counts::default() });
    let seen = Mutex::new(Distinct::default());
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                let mut crit = Crit::start(launcher);
                while let Some(found) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let bytes = found.read();
                    if !seen.lock().unwrap().is_new(found.kind, &bytes) {
                        continue;
                    }
                    let verdict = judge(&mut crit, found, &bytes);
                    let mut counts = counts.lock().unwrap();
                    counts.distinct += 1;
                    *counts.kinds.entry(found.kind.name()).or_default() += 1;
                    match verdict {
                        Verdict::Equal { entries } => {
                            counts.equal += 1;
                            counts.entries += entries;
                        }
                        Verdict::Known(what) => *counts.known.entry(what).or_default() += 1,
                        Verdict::Wrong(what) => counts.wrong.push(format!("{}: {what}", found.path.display())),
                    }
                }
            });
        }
    });
    counts.into_inner().unwrap()
}

fn report(root: &Path, counts: &Counts) {
    eprintln!(
        "{}: {} files, {} distinct, {} entries; {} equal to crit and encoded back, {} known differences {:?}, {} wrong; kinds {:?}",
        root.display(),
        counts.files,
        counts.distinct,
        counts.entries,
        counts.equal,
        counts.known.values().sum::<usize>(),
        counts.known,
        counts.wrong.len(),
        counts.kinds,
    );
    assert!(counts.wrong.is_empty(), "{} wrong, such as\n{}", counts.wrong.len(), {
        let some: Vec<_> = counts.wrong.iter().take(20).cloned().collect();
        some.join("\n")
    });
}

#[test]
fn small_dumps() {
    let Some(crit) = oracle::crit() else { return };
    let counts = compare(&corpus::data(), &crit);
    report(&corpus::data(), &counts);
    assert!(counts.equal > 100 && counts.entries > 500 && counts.kinds.len() > 20, "tests/data has lost its images");
}

#[test]
fn large_corpus() {
    let Some(root) = corpus::large() else {
        eprintln!("\n  SKIPPED: no large corpus: unpack one and set ICECORE_CORPUS to its folder\n");
        return;
    };
    let Some(crit) = oracle::crit() else { return };
    let counts = compare(&root, &crit);
    report(&root, &counts);
    assert!(counts.distinct > 100 && counts.equal * 10 > counts.distinct * 9, "{} are no corpus", root.display());
}
