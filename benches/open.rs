//! Opening a dump of 10,000 image files. Aim: under 15 ms; nothing is mapped before it is used.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use std::path::Path;

use criterion::{Criterion, criterion_group, criterion_main};
use icecore::Checkpoint;

mod synthetic;
use synthetic::in_turn;

const TASKS: usize = 2000;

/// The files of 2,000 tasks.
fn dump(directory: &Path) {
    for pid in 1..=TASKS {
        for name in ["core", "mm", "pagemap", "fdinfo", "ids"] {
            std::fs::write(directory.join(format!("{name}-{pid}.img")), b"\x19CVT").unwrap();
        }
    }
}

fn open(directory: &Path) -> u64 {
    Checkpoint::open(directory).unwrap().images().len() as u64
}

/// Names only, as the least that opening must do.
fn list(directory: &Path) -> u64 {
    std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().len() as u64).sum()
}

fn bench(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    dump(directory.path());
    assert_eq!(open(directory.path()), 5 * TASKS as u64);

    let [own, names] = in_turn(20, [&mut || open(directory.path()), &mut || list(directory.path())]);
    println!(
        "open: {} files in {:.2} ms (aim: 15), listing them takes {:.2} ms of it",
        5 * TASKS,
        own.as_secs_f64() * 1e3,
        names.as_secs_f64() * 1e3
    );

    let mut group = criterion.benchmark_group("open");
    group.bench_function("10,000 files", |b| b.iter(|| open(directory.path())));
    group.bench_function("list", |b| b.iter(|| list(directory.path())));
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
