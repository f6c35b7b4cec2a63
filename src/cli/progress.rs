//! Progress on standard error, on a terminal alone, of what takes longer than a second.

use std::io::IsTerminal;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::base::report::Progress;

/// Work that takes less shows nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// A bar that appears when the work has gone on for a second, and goes with it.
pub(crate) struct Bar {
    since: Instant,
    is_wanted: bool,
    bar: OnceLock<ProgressBar>,
}

impl Bar {
    /// Of work that begins now.
    pub(crate) fn new() -> Self {
        Self { since: Instant::now(), is_wanted: std::io::stderr().is_terminal(), bar: OnceLock::new() }
    }
}

impl Progress for Bar {
    fn advance(&self, done: u64, total: u64) {
        if !self.is_wanted || self.since.elapsed() < PATIENCE {
            return;
        }
        let bar = self.bar.get_or_init(|| {
            let bar = ProgressBar::new(total);
            match ProgressStyle::with_template("{wide_bar} {percent}% {eta}") {
                Ok(style) => bar.with_style(style),
                Err(_) => bar,
            }
        });
        bar.set_position(done);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.get() {
            bar.finish_and_clear();
        }
    }
}
