//! Holes of a pages file: where nothing was written, or what was written was punched out.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::sync::{Mutex, PoisonError};

use rustix::fs::{SeekFrom, seek};

/// The holes of a file, found as they are asked for, in order.
pub(super) struct Holes {
    file: File,
    /// A hole, from one offset up to another, and where data behind it ends.
    last: Mutex<(u64, u64, u64)>,
}

impl Holes {
    /// Those of a file; `None` if it has none.
    pub(super) fn of(file: Option<File>) -> Option<Self> {
        let file = file?;
        let meta = file.metadata().ok()?;
        // a block that is not there is a hole; without one there is nothing to look for
        (meta.blocks().saturating_mul(512) < meta.len()).then(|| Self { file, last: Mutex::new((0, 0, 0)) })
    }

    /// Whether nothing was written from `from` up to `to`. The offsets should ascend from call to call.
    pub(super) fn has(&self, from: u64, to: u64) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (start, end, data) = *last;
        if from >= start && to <= end {
            return true;
        }
        if from >= end && to <= data {
            return false;
        }
        let Ok(hole) = seek(&self.file, SeekFrom::Hole(from)) else { return false };
        if hole > from {
            // data up to there
            *last = (from, from, hole);
            return false;
        }
        let length = self.file.metadata().map_or(0, |meta| meta.len());
        // behind the last data there is nothing to seek
        let end = seek(&self.file, SeekFrom::Data(from)).unwrap_or(length);
        *last = (from, end, end);
        to <= end
    }
}
