//! Any bytes as a directory of images: every question that can be asked of a checkpoint has an answer or an error.
#![no_main]

mod files;

use std::sync::Arc;

use files::{Files, LIMITS};
use icecore::Checkpoint;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(files) = Files::new(data) else { return };
    let dump = Checkpoint::from_source(Arc::new(files), LIMITS);
    let _ = (dump.inventory().is_ok(), dump.dump_stats().is_ok(), dump.census().is_ok(), dump.page_size());
    let _ = (dump.mounts().is_ok(), dump.locks().is_ok(), dump.ipc().is_ok(), dump.cgroups().is_ok());
    let _ = (dump.namespaces().is_ok(), dump.ghosts().is_ok(), dump.tree().is_ok(), dump.fd_problems().is_ok());
    let _ = dump.queue_problems().len();
    if let Ok(files) = dump.files() {
        for file in files {
            let _ = (format!("{file:?}"), dump.queue(file), dump.holders(file).map(Iterator::count).is_ok());
        }
    }
    let Ok(tasks) = dump.tasks() else { return };
    for task in tasks.items {
        let _ = (task.core().is_ok(), task.threads(), task.ids().is_ok(), task.fs().is_ok(), task.exe().is_ok());
        let _ = (task.fds().is_ok(), task.mm().is_ok(), task.mappings().is_ok(), task.page_count().is_ok());
    }
});
